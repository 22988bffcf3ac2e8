"""Every rule obeys the laws of its kind, those with state in a run of their own; the README's examples are true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from qengine_risk import (
    Exit,
    Instruments,
    KillSwitch,
    LongOnly,
    MaxDailyLoss,
    MaxDrawdown,
    MaxLeverage,
    MaxOrder,
    MaxPosition,
    OrderRate,
    PriceCollar,
)
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive

from qengine_core.manager import Plugins
from qengine_core.testing import PluginLaws, RiskRuleLaws, check_order_type, check_risk_rule

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
RULES = [
    MaxOrder(quantity=50.0, notional=1e6),
    MaxPosition(quantity=50.0, notional=1e6, fraction=0.1),
    MaxLeverage(gross=1.0, net=0.5),
    PriceCollar(fraction=0.05, direction="worse"),
    OrderRate(orders=3),
    Instruments(allowed=("A*",)),
    LongOnly(),
    MaxDrawdown(fraction=0.1),
    MaxDailyLoss(amount=10.0, action="cancel"),
    KillSwitch(),
]


class TestPlugin(PluginLaws):
    hook_module = "qengine_risk.plugin"


class TestMaxOrder(RiskRuleLaws):
    model = MaxOrder(notional=1e4)


@pytest.mark.parametrize("model", RULES, ids=lambda model: type(model).__name__)
def test_what_a_rule_builds_obeys_the_laws_in_the_middle_of_a_run(model):
    class Looks(Strategy):
        def on_start(self, ctx):
            self.run = ctx._run

        def on_bar(self, ctx, bar):
            rules = self.run.risk
            check_risk_rule(model, rules[0])
            checked.append(rules[0])

    checked = []
    drive(Looks(), bars([10.0, 11.0]), risk=model)
    assert len(checked) == 2


def test_an_exit_is_a_lawful_order_type():
    check_order_type(Exit())


def test_the_readmes_tables_of_a_run_file_compose(tmp_path):
    from qengine_config import load_run_file

    (tmp_path / "idle.py").write_text("from qengine_strategy import Strategy\nclass Idle(Strategy):\n    pass\n")
    pieces = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert len(pieces) == 2
    for piece in pieces:
        rest = '\n[feed]\nuse = "synthetic"\n[strategy]\nuse = "idle.py:Idle"\n'
        (tmp_path / "run.toml").write_text(piece + rest)
        config = load_run_file(tmp_path / "run.toml").engine().config
        assert len([*config["risk"], *config["position_rule"]]) == sum(map(len, tomllib.loads(piece).values()))


def test_the_readmes_classes_do_what_they_say():
    names: dict = {}
    for piece in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(piece, names)

    class Buys(names["Careful"]):
        def on_bar(self, ctx, bar):
            if not ctx.portfolio.positions and not ctx.open_orders():
                ctx.buy("X", 1)

    closes = [4.0, 4.0, 12.0, 12.0, 15.0, 21.0, 21.0]
    result = drive(Buys(), bars(closes), risk=names["NoPennies"](price=5.0), position_rule=names["RoundNumbers"]())
    assert result.counts["rejections"] == {"risk:penny": 2}
    assert result.fills["price"].to_list()[:2] == [12.0, 20.0]
    assert set(result.orders["tag"].to_list()) == {"", "stop-loss", "exit"}


@pytest.mark.parametrize("kind", ["risk", "position_rule"])
def test_the_readme_lists_every_rule_and_parameter(kind):
    for entry in Plugins.discover().all(kind):
        if entry.plugin != "qengine-risk":
            continue
        rows = [line for line in README.splitlines() if line.startswith(f"| {kind} | `{entry.spec.name}` |")]
        assert len(rows) == 1, entry.spec.name
        parameters = {field.name for field in entry.spec.component.__attrs_attrs__} - {"instruments"}
        assert parameters == set(re.findall(r"`(\w+)`", rows[0].split("|")[3])), entry.spec.name
