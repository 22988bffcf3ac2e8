"""What the README shows works as it stands, and its table has every order type."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from qengine_core.compose import compose
from qengine_core.manager import Plugins
from qengine_core.plugin import OrderType, component, param

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@component
class Breakout:
    """Stands for the strategy of the README."""

    entry: OrderType = param(help="how to enter")


def test_the_examples_run():
    names = {"__name__": __name__}
    for example in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(example, names)
    assert names["result"].fills.height == 2


def test_the_run_file_names_an_order_type():
    (table,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    strategy = tomllib.loads(table)["strategy"] | {"use": f"{__name__}:Breakout"}
    made = compose(Plugins.discover(), {"feed": "synthetic", "strategy": strategy}, Path())
    (trader,) = made.components["strategy"]
    assert trader.entry.legs()[0].trigger == 105.0
    assert made.config["strategy"][0]["entry"]["entry"]["price"] == 105.0


def test_the_table_names_every_type():
    registered = {entry.spec.name for entry in Plugins.discover().all("order_type") if entry.plugin == "qengine-orders"}
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])} == registered
