"""Backtrader's published crossover of close and average, as a stock and as a future: signals, fills and money."""

from __future__ import annotations

import pytest
from published import data, fills_of, final, golden
from qengine_costs import NoCommission, PerContract
from qengine_feeds import CsvFeed
from qengine_strategy import Strategy
from talipp.indicators import SMA

from qengine_core import Engine


class Crossover(Strategy):
    """Buy one when the close crosses its average of 15 days upwards, close when it crosses downwards."""

    def on_start(self, ctx):
        self.average = SMA(15)
        self.side = 0
        self.signals = {1: [], -1: []}
        REPORTS.append(self.signals)

    def on_bar(self, ctx, bar):
        self.average.add(bar.close)
        gap = bar.close - self.average[-1] if self.average[-1] is not None else 0.0
        side = (gap > 0) - (gap < 0)
        crossed = self.side * side < 0
        self.side = side or self.side
        if ctx.open_orders() or not crossed or (side > 0) == bool(ctx.portfolio.positions):
            return
        self.signals[side].append(f"{bar.close:.2f}")
        ctx.order(bar.instrument, side)


REPORTS = []
# A contract of 38,000 is bought for a margin of 1,000, which the account always has: nothing is ever refused.
MARGIN = {"buying_power": "off", "admission": "at-fill"}


@pytest.mark.parametrize(
    ("name", "multiplier", "commission", "rules"),
    [("run_A", 1.0, NoCommission(), {}), ("run_B", 10.0, PerContract(rate=2.0), MARGIN)],
)
def test_a_crossover_of_close_and_average(name, multiplier, commission, rules):
    expected = golden("backtrader-sma-cross")
    result = Engine(
        feed=CsvFeed(
            path=data("backtrader/2006-day-001.txt"),
            columns={"ts": "Date", **{each.lower(): each for each in ("Open", "High", "Low", "Close", "Volume")}},
            stamp="date",
            instrument="INDEX",
            multiplier=multiplier,
        ),
        profile="backtrader",
        strategy=Crossover(),
        ledger={"cash": 10_000.0},
        broker=rules,
        commission=commission,
    ).run()
    signals = REPORTS.pop()
    assert signals[1] == expected["buy_signal_close"]
    assert signals[-1] == expected["sell_signal_close"]
    for side, fills in ((1, expected["buy_fills"]), (-1, expected["sell_fills"])):
        assert [f"{price:.2f}" for _, quantity, price in fills_of(result) if quantity == side] == fills
    assert final(result) == pytest.approx(expected[name]["final_value"], abs=0.01)
    if name == "run_A":
        assert result.equity["cash"][-1] == pytest.approx(expected[name]["final_cash"], abs=0.01)
