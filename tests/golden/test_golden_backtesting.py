"""What backtesting.py published of its own data. It sizes an order when it fills: so do these strategies, at the open.

Each open is a print at which they decide, and their orders fill at once.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from published import data, final, golden
from qengine_costs import Percent
from qengine_feeds import FrameFeed
from qengine_orders import Bracket, Stop
from qengine_reporting.metrics import metrics_of
from qengine_strategy import Strategy
from talipp.indicators import SMA

from qengine_core import Engine


def bars_of(name, length):
    """Bars that open at their stamp and close ``length`` later, and a print of each open."""
    table = pl.read_csv(data(f"backtesting-py/{name}"), try_parse_dates=True)
    table = table.rename({column: column.lower() for column in table.columns[1:]})
    opens = pl.col(table.columns[0]).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    table = table.with_columns(pl.col("open", "high", "low", "close", "volume").cast(pl.Float64), opens=opens)
    bars = table.select("open", "high", "low", "close", "volume", ts=pl.col("opens") + length - dt.timedelta(seconds=1))
    return bars, table.select(ts="opens", price="open", size=pl.lit(1.0))


class Crossover(Strategy):
    """Long while the fast average is above the slow one since it crossed it, short while it is below."""

    last: int
    leverage: float = 1.0
    spread: float = 0.0

    def on_start(self, ctx):
        self.averages = SMA(10), SMA(30)
        self.gap, self.signal = np.nan, 0

    def on_bar(self, ctx, bar):
        for average in self.averages:
            average.add(bar.close)
        fast, slow = (average[-1] for average in self.averages)
        gap = fast - slow if slow is not None else np.nan
        self.signal = np.sign(gap) if gap * self.gap < 0 else 0
        self.gap = gap

    def on_trade(self, ctx, trade):
        if trade.ts == self.last:  # what is open at the end is closed at the last bar, and that is at its open
            ctx.order_target(trade.instrument, 0)
        elif self.signal:
            price = trade.price * (1 + self.signal * self.spread)
            ctx.order_target(trade.instrument, self.signal * (ctx.portfolio.equity * self.leverage // price))
        self.signal = 0


def run(bars, prints, strategy, spread=0.0, commission=None, **broker):
    """Under the profile, with fills at once: at the opening prints, whose orders no other price may fill."""
    return Engine(
        profile="backtesting-py",
        feed=[FrameFeed(frame=prints, kind="trade", instrument="X"), FrameFeed(frame=bars, instrument="X")],
        strategy=strategy,
        ledger={"cash": 10_000.0},
        broker={"fill_timing": "at-once", **broker},
        slippage={"use": "fixed-bps", "bps": spread * 10_000},
        commission=commission,
    ).run()


def cross(name, length, leverage=1.0, spread=0.0):
    bars, prints = bars_of(name, length)
    last = prints["ts"].dt.epoch("ns")[-1]
    return run(bars, prints, Crossover(last=last, leverage=leverage, spread=spread), spread, leverage=leverage)


def holds(result, expected, trades):
    assert final(result) == pytest.approx(expected["Equity Final [$]"], rel=1e-8)
    assert result.equity["equity"].max() == pytest.approx(expected["Equity Peak [$]"], rel=1e-8)
    assert 100 * metrics_of(result)["max_drawdown"] == pytest.approx(expected["Max. Drawdown [%]"], rel=1e-8)
    assert result.trades.height == expected["# Trades"]
    for trade, row in zip(result.trades.head(len(trades)).iter_rows(named=True), trades, strict=False):
        side = 1 if trade["direction"] == "long" else -1
        assert (str(trade["entry_ts"])[:19], str(trade["exit_ts"])[:19]) == (row["entry_time"], row["exit_time"])
        ours = (side * trade["quantity"], trade["entry_price"], trade["exit_price"], trade["gross_pnl"])
        theirs = (row["size"], row["entry_price"], row["exit_price"], row["pnl"])
        assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-6)


def test_a_crossover_on_days():
    expected = golden("backtesting-sma-goog")
    holds(cross("GOOG.csv", dt.timedelta(days=1)), expected["statistics"], expected["trades"])


def test_a_crossover_on_hours():
    expected = golden("backtesting-sma-eurusd")
    holds(cross("EURUSD.csv", dt.timedelta(hours=1)), expected["A"], expected["A_first_trades"])


def test_a_crossover_on_hours_at_a_leverage_of_twenty_and_a_spread():
    expected = golden("backtesting-sma-eurusd")["B"]
    holds(cross("EURUSD.csv", dt.timedelta(hours=1), leverage=20.0, spread=0.0001), expected, ())


class InAndOut(Strategy):
    """Buy what the account can pay for at the third open, sell at the fourth."""

    spread: float
    commission: Percent

    def on_start(self, ctx):
        self.opens = 0

    def on_trade(self, ctx, trade):
        self.opens += 1
        if self.opens == 3:
            price = trade.price * (1 + self.spread)
            charge = self.commission.commission(1.0, 1.0, price, 1.0, 0.0, 0.0, 0.0, self.commission.rates)
            ctx.buy("X", ctx.portfolio.equity // (price + charge))
        elif self.opens == 4:
            ctx.close("X")


@pytest.mark.parametrize(
    ("case", "spread", "commission"),
    [
        ("spread_1pct_and_commission_1pct", 0.01, Percent(rate=0.01)),
        ("commission_100_plus_1pct", 0.0, Percent(fixed=100.0, rate=0.01)),
        ("commission_function_1pct_signed", 0.0, Percent(rate=0.01)),
    ],
)
def test_a_spread_at_the_entry_and_commissions_of_both_sides(case, spread, commission):
    expected = golden("backtesting-costs")[case]
    bars, prints = (frame.head(20) for frame in bars_of("GOOG.csv", dt.timedelta(days=1)))
    result = run(bars, prints, InAndOut(spread=spread, commission=commission), spread, commission)
    [trade], [row] = result.trades.to_dicts(), expected["trades"]
    assert (str(trade["entry_ts"])[:19], str(trade["exit_ts"])[:19]) == (row["entry_time"], row["exit_time"])
    ours = (trade["quantity"], trade["entry_price"], trade["exit_price"], trade["pnl"])
    assert ours == pytest.approx((row["size"], row["entry_price"], row["exit_price"], row["pnl"]), abs=1e-6)
    assert result.equity["equity"][2:4].to_list() == pytest.approx(expected["equity_bars_2_3"], abs=0.01)


class Once(Strategy):
    """Send one order after a day."""

    day: str
    order: object

    def on_bar(self, ctx, bar):
        if str(bar.time)[:10] == self.day:
            ctx.buy("X", 1, self.order)


@pytest.mark.parametrize(
    ("case", "day", "order"),
    [
        ("A", "2012-10-17", Bracket(stop_loss=720.0)),
        ("B", "2012-10-17", Bracket(entry=Stop(price=758.0), stop_loss=720.0)),
        ("C", "2004-09-09", Bracket(entry=Stop(price=104.0), stop_loss=103.0, take_profit=110.0)),
    ],
)
def test_brackets_at_gaps_and_within_the_bar_of_their_entry(case, day, order):
    """A stop of the entry at market is hit on its very bar; that of an entry by a stop waits, and fills at a gap."""
    row = golden("backtesting-bracket-sl-tp")[case]
    bars, _ = bars_of("GOOG.csv", dt.timedelta(days=1))
    result = Engine(
        profile="backtesting-py", feed=FrameFeed(frame=bars, instrument="X"), strategy=Once(day=day, order=order)
    ).run()
    [trade] = result.trades.to_dicts()
    dates = [str(trade[name])[:10] for name in ("entry_ts", "exit_ts")]
    assert dates == [row[name][:10] for name in ("entry_time", "exit_time")]
    assert [trade["entry_price"], trade["exit_price"]] == [row["entry_price"], row["exit_price"]]
