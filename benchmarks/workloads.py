"""The workloads W1 to W8, and W8 on quotes: data, strategy, composition, and what proves that the work was done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
from qengine_broker_sim import SimulatedBroker
from qengine_costs import Percent
from qengine_feeds import FrameFeed, ParquetFeed
from qengine_strategy import Bar, Context, Quote, Slice, Strategy, Trade

from benchmarks import data
from benchmarks.compiled import COMPILED
from qengine_core import Engine, Result

__all__ = ["WORKLOADS", "Workload"]


class Crossover(Strategy):
    """Long while the fast average is above the slow one, flat otherwise; averages kept incrementally."""

    fast: int = 10
    slow: int = 30

    def on_start(self, ctx: Context) -> None:
        self.name = ctx.instruments[0]
        self.window: deque[float] = deque(maxlen=self.slow)
        self.fast_sum = self.slow_sum = 0.0
        self.is_long = False

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        close, window = bar.close, self.window
        self.fast_sum += close
        self.slow_sum += close
        if len(window) >= self.fast:
            self.fast_sum -= window[-self.fast]
        if len(window) < self.slow:
            window.append(close)
            return
        self.slow_sum -= window[0]
        window.append(close)
        above = self.fast_sum * self.slow > self.slow_sum * self.fast
        if above is not self.is_long:
            self.is_long = above
            if above:
                ctx.buy(self.name, 100)
            else:
                ctx.sell(self.name, 100)


class Momentum(Strategy):
    """Hold the 50 instruments that rose most over eleven months to a month ago, equally, changed monthly."""

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", every="month", history=253)

    def on_slice(self, ctx: Context, bars: Slice) -> None:
        closes = bars.history("close", 253)
        if len(closes) == 253:
            weights = np.zeros(len(bars.instruments))
            weights[np.argpartition(closes[-22] / closes[0], -50)[-50:]] = 0.019
            ctx.rebalance(weights)


class LongShort(Strategy):
    """Every day, long what fell most over a month and short what rose most, 50 of each, equally."""

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", history=22)

    def on_slice(self, ctx: Context, bars: Slice) -> None:
        closes = bars.history("close", 22)
        if len(closes) == 22:
            ranked = np.argpartition(closes[-1] / closes[0], (49, -50))
            weights = np.zeros(len(ranked))
            weights[ranked[:50]], weights[ranked[-50:]] = 0.009, -0.009
            ctx.rebalance(weights)


class DailyTop(Strategy):
    """Sees the first minute of each day, and holds the ten instruments that rose most since the day before."""

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", every="day")
        self.before: Any = None

    def on_slice(self, ctx: Context, bars: Slice) -> None:
        closes = bars.close.copy()
        if self.before is not None:
            weights = np.zeros(len(closes))
            weights[np.argpartition(closes / self.before, -10)[-10:]] = 0.095
            ctx.rebalance(weights)
        self.before = closes


class Watcher(Strategy):
    """Reads each close and does nothing."""

    def on_start(self, ctx: Context) -> None:
        self.last = 0.0

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        self.last = bar.close


class Quoter(Strategy):
    """Keeps one resting limit order five cents away, and moves it every 1,000 prints."""

    def on_start(self, ctx: Context) -> None:
        self.name = ctx.instruments[0]
        self.resting: Any = None
        ctx.subscribe("trade", every=1_000)

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        if self.resting is not None and self.resting.is_open:
            ctx.cancel(self.resting)
        if ctx.portfolio.position(self.name) > 0:
            self.resting = ctx.sell(self.name, 1, limit=round(trade.price + 0.05, 2))
        else:
            self.resting = ctx.buy(self.name, 1, limit=round(trade.price - 0.05, 2))


class QuoteQuoter(Strategy):
    """The same on changes of the best bid and ask: a bid five cents below, or an offer five above."""

    def on_start(self, ctx: Context) -> None:
        self.name = ctx.instruments[0]
        self.resting: Any = None
        ctx.subscribe("quote", every=1_000)

    def on_quote(self, ctx: Context, quote: Quote) -> None:
        if self.resting is not None and self.resting.is_open:
            ctx.cancel(self.resting)
        if ctx.portfolio.position(self.name) > 0:
            self.resting = ctx.sell(self.name, 1, limit=round(quote.bid + 0.05, 2))
        else:
            self.resting = ctx.buy(self.name, 1, limit=round(quote.ask - 0.05, 2))


class Alternator(Strategy):
    """A market order on every bar, alternating sides."""

    def on_start(self, ctx: Context) -> None:
        self.name = ctx.instruments[0]
        self.buys = False

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        self.buys = not self.buys
        if self.buys:
            ctx.buy(self.name, 1)
        else:
            ctx.sell(self.name, 1)


@attrs.frozen(kw_only=True)
class Workload:
    """One benchmark: how to make its data and engine, and what its result must satisfy.

    ``frame`` is a frame, or a folder of Parquet files: then reading is part of what is timed.
    """

    name: str
    summary: str
    frame: Callable[[], Any]
    strategy: Callable[[], Strategy]
    check: Callable[[Result, Any], bool]
    kind: Literal["bar", "trade", "quote"] = "bar"
    cash: float = 1_000_000.0
    commission: Any = None
    broker: Any = None

    def engine(self, frame: Any, lane: str = "python") -> Engine:
        """The composition over a frame, with the strategy in Python (event or slice lane) or compiled."""
        feed: Any
        if isinstance(frame, Path):
            feed = ParquetFeed(path=frame, kind=self.kind, **({} if self.kind == "bar" else {"instrument": "X"}))
        else:
            named = {} if "instrument" in frame.columns else {"instrument": "X"}
            feed = FrameFeed(frame=frame, kind=self.kind, **named)
        parts = {"commission": self.commission, "broker": self.broker}
        strategy = self.strategy() if lane == "python" else COMPILED[self.name]()
        return Engine(feed=feed, strategy=strategy, ledger={"cash": self.cash}, **parts)


def _crossings(result: Result, frame: Any) -> bool:
    """The orders sent are those that a vectorised computation of the same averages sees."""
    close = frame["close"].to_numpy()
    sums = np.concatenate(([0.0], np.cumsum(close)))
    fast, slow = (sums[30:] - sums[20:-10]) / 10, (sums[30:] - sums[:-30]) / 30
    above = (fast > slow)[1:]  # the strategy decides from the 31st bar on
    changes = int(above[0]) + int(np.count_nonzero(above[1:] != above[:-1]))
    return abs(result.counts["orders"] - changes) <= 2 and result.counts["fills"] >= changes - 3


WORKLOADS = {
    "W1": Workload(
        name="W1",
        summary="SMA(10/30) crossover on 1,000,000 one-minute bars, next open, 0.1 % commission",
        frame=lambda: data.minute_bars(1_000_000),
        strategy=Crossover,
        commission=Percent(rate=0.001),
        check=_crossings,
    ),
    "W2": Workload(
        name="W2",
        summary="250 instruments x 2,520 days, monthly momentum rebalance",
        frame=lambda: data.panel(250, 2_520),
        strategy=Momentum,
        check=lambda result, frame: (
            result.rows == 630_000 and 2_000 < result.counts["fills"] == result.counts["orders"]
        ),
    ),
    "W3": Workload(
        name="W3",
        summary="a strategy that reads the close of 1,000,000 one-minute bars",
        frame=lambda: data.minute_bars(1_000_000),
        strategy=Watcher,
        check=lambda result, frame: result.rows == 1_000_000 and result.counts["orders"] == 0,
    ),
    "W4": Workload(
        name="W4",
        summary="10,000,000 prints, one resting limit order re-quoted every 1,000",
        frame=lambda: data.ticks(10_000_000),
        strategy=Quoter,
        kind="trade",
        check=lambda result, frame: result.counts["orders"] == 10_000 and result.counts["fills"] > 1_000,
    ),
    "W5": Workload(
        name="W5",
        summary="100,000 bars, a market order on each, alternating sides",
        frame=lambda: data.minute_bars(100_000),
        strategy=Alternator,
        check=lambda result, frame: result.counts["orders"] == 100_000 and result.counts["fills"] == 99_999,
    ),
    "W6": Workload(
        name="W6",
        summary="1,000 instruments x 2,520 days, 50 longs and 50 shorts rebalanced daily",
        frame=lambda: data.panel(1_000, 2_520),
        strategy=LongShort,
        commission=Percent(rate=0.0005),
        # What a short sale brings is cash like any other, and sales pay for the purchases sent with them, as in peers.
        broker=SimulatedBroker(short_selling=True, buying_power="proceeds", admission="in-sequence"),
        check=lambda result, frame: result.rows == 2_520_000 and result.counts["fills"] > 200_000,
    ),
    "W7": Workload(
        name="W7",
        summary="50 instruments x 10 years of one-minute bars from Parquet, the ten best of each day",
        frame=lambda: data.on_disk("minutes-10"),
        strategy=DailyTop,
        commission=Percent(rate=0.0005),
        check=lambda result, frame: result.rows == 49_140_000 and result.counts["fills"] > 20_000,
    ),
    "W8": Workload(
        name="W8",
        summary="126,000,000 prints from Parquet, one resting limit order re-quoted every 1,000",
        frame=lambda: data.on_disk("ticks-year"),
        strategy=Quoter,
        kind="trade",
        check=lambda result, frame: result.counts["orders"] == 126_000 and result.counts["fills"] > 10_000,
    ),
    "W8Q": Workload(
        name="W8Q",
        summary="126,000,000 changes of bid and ask from Parquet, one resting limit order re-quoted every 1,000",
        frame=lambda: data.on_disk("quotes-year"),
        strategy=QuoteQuoter,
        kind="quote",
        check=lambda result, frame: result.counts["orders"] == 126_000 and result.counts["fills"] > 10_000,
    ),
}
