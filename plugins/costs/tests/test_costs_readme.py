"""What the README shows works as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from qengine_costs import Charge, PerShare, Schedule, VolumeShare

from qengine_core.manager import Plugins
from qengine_core.params import structure

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_its_tables_of_a_run_file_are_understood():
    first, prices = (tomllib.loads(block) for block in blocks("toml"))
    for given, cls in (
        (first["commission"], PerShare),
        (first["slippage"], VolumeShare),
        (prices["commission"], Schedule),
    ):
        given.pop("use")
        made = structure(cls, given, "README")
        assert all(value is not None for value in made.rates)
    assert [charge.liquidity for charge in made.charges] == ["maker", "taker", "both"]
    # A taker in the second tier, and a fifth on top.
    assert made.commission(1.0, 10.0, 100.0, 1.0, 0.0, 0.0, 20_000.0, made.rates) == pytest.approx(4.0 * 1.2)


def test_its_models_charge_what_they_say():
    names = {}
    for block in blocks("python"):
        exec(block, names)
    shares = names["LondonShares"]()
    assert shares.charges[1] == Charge(per="notional", rate=0.005, side="buy")
    assert shares.commission(1.0, 1000.0, 3.0, 1.0, 0.0, 0.0, 0.0, shares.rates) == pytest.approx(1.5 + 15)
    assert shares.commission(-1.0, 1000.0, 3.0, 1.0, 0.0, 0.0, 0.0, shares.rates) == pytest.approx(1.5)
    root = names["PerNotionalSquareRoot"](rate=0.01)
    assert root.commission(1.0, 100.0, 25.0, 1.0, 0.0, 0.0, 0.0, root.rates) == 0.5


@pytest.mark.parametrize("kind", ["commission", "slippage", "financing"])
def test_it_lists_every_model(kind):
    listed = re.findall(rf"^\| {kind} \| `([a-z-]+)` \|", TEXT, re.MULTILINE)
    announced = [entry.spec.name for entry in Plugins.discover().all(kind) if entry.plugin == "qengine-costs"]
    assert sorted(listed) == sorted(announced)
