"""Risk with several accounts: limits and exits are each account's own, halts are for all of them together."""

from __future__ import annotations

import polars as pl
import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_risk import KillSwitch, MaxDrawdown, MaxLeverage, MaxPosition, StopLoss
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars

from qengine_core.engine import Engine

PRICES = [100.0, 100.0, 104.0, 99.0, 93.0, 96.0, 88.0, 101.0, 97.0, 92.0]
CASH = {"alpha": 10_000.0, "beta": 2_000.0}


class Script(Strategy):
    """Trades signed quantities of X, by number of the bar; ``own`` are rules of its own."""

    script: dict
    own: tuple = ()

    def position_rules(self):
        return self.own

    def on_start(self, ctx):
        self.bars = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        quantity = self.script.get(self.bars, 0.0)
        if quantity == "kill":
            ctx.kill()
        elif quantity:
            ctx.order("X", quantity)


ALPHA = Script(script={1: 60.0, 2: 30.0, 6: 40.0, 8: -10.0})
BETA = Script(script={1: 19.0, 2: 1.0, 3: -30.0, 6: -15.0, 8: 12.0})


def run(strategies, accounts, **rules):
    return Engine(
        feed=ListFeed(rows=bars(PRICES)),
        strategy=list(strategies),
        ledger={"accounts": accounts},
        broker=SimulatedBroker(buying_power="off", short_selling=True),
        **rules,
    ).run()


def of(result, account):
    """What became of an account's orders, and its fills."""
    orders = result.orders.filter(pl.col("account") == account)
    fills = result.fills.filter(pl.col("account") == account)
    return (
        orders.select("side", "quantity", "state", "reason", "tag").rows(),
        fills.select("ts", "side", "quantity", "price").rows(),
    )


@pytest.mark.parametrize(
    "rules",
    [
        {"risk": [MaxPosition(fraction=0.8)]},
        {"risk": [MaxLeverage(gross=0.9)]},
        {"position_rule": [StopLoss(fraction=0.05)]},
        {"risk": [MaxPosition(quantity=50.0)], "position_rule": [StopLoss(fraction=0.05)]},
    ],
)
def test_limits_and_exits_are_each_accounts_own(rules):
    together = run([ALPHA, BETA], CASH, **rules)
    seen = set()
    for strategy, (name, cash) in zip((ALPHA, BETA), CASH.items(), strict=True):
        alone = run([strategy], {name: cash}, **rules)
        assert of(together, name) == of(alone, name)
        seen |= set(alone.orders["reason"]) | set(alone.orders["tag"])
    assert seen > {""}  # the rules did something


def test_a_strategys_own_rules_leave_the_positions_of_others_alone():
    buys = {1: 10.0}
    result = run([Script(script=buys, own=(StopLoss(fraction=0.05),)), Script(script=buys)], CASH)
    assert result.orders.filter(pl.col("tag") == "stop-loss")["account"].to_list() == ["alpha"]
    assert result.fills.select("account", "side").rows() == [("alpha", "buy"), ("beta", "buy"), ("alpha", "sell")]


def test_a_loss_of_all_accounts_together_leaves_the_positions_of_all():
    """Long 80 and 10 from 100: 12,000 becomes 11,370 at 93, a loss from the highest, at 104, of 8 %."""
    strategies = [Script(script={1: 80.0}), Script(script={1: 10.0, 8: 5.0})]
    result = run(strategies, CASH, risk=[MaxDrawdown(fraction=0.07, action="flatten")])
    last = result.positions.group_by("account", maintain_order=True).last()
    assert dict(last.select("account", "quantity").iter_rows()) == {"alpha": 0.0, "beta": 0.0}
    assert result.orders.select("account", "side", "quantity", "state").rows() == [
        ("alpha", "buy", 80.0, "filled"),
        ("beta", "buy", 10.0, "filled"),
        ("alpha", "sell", 80.0, "filled"),
        ("beta", "sell", 10.0, "filled"),
        ("beta", "buy", 5.0, "rejected"),
    ]


def test_whoever_pulls_the_switch_stops_all_and_opposite_positions_are_left_each():
    strategies = [Script(script={1: 8.0}), Script(script={1: -8.0, 3: "kill", 6: -1.0})]
    result = run(strategies, CASH, risk=[KillSwitch(action="flatten")])
    assert result.orders.select("account", "side", "quantity", "state").rows()[2:] == [
        ("alpha", "sell", 8.0, "filled"),
        ("beta", "buy", 8.0, "filled"),
        ("beta", "sell", 1.0, "rejected"),
    ]
