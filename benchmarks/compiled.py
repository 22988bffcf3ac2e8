"""The strategies of the workloads for the compiled lane: the same decisions, as machine code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from qengine_compiled import CompiledStrategy
from qengine_strategy import Context

__all__ = ["COMPILED"]


class Crossover(CompiledStrategy):
    """Long while the fast average is above the slow one, flat otherwise; averages kept incrementally."""

    fast: int = 10
    slow: int = 30

    def on_start(self, ctx: Context) -> None:
        self.window = np.zeros(self.slow)
        self.seen = self.place = 0
        self.fast_sum = self.slow_sum = 0.0
        self.is_long = False

    def on_bar(self, ctx: Any, bar: Any) -> None:
        close, place, window = bar.close, self.place, self.window
        leaves = place - self.fast
        self.fast_sum += close
        self.fast_sum -= window[leaves if leaves >= 0 else leaves + self.slow]  # zeros, until it is full
        self.slow_sum += close
        self.slow_sum -= window[place]
        window[place] = close
        self.place = place + 1 if place + 1 < self.slow else 0
        if self.seen < self.slow:
            self.seen += 1
            return
        above = self.fast_sum * self.slow > self.slow_sum * self.fast
        if above != self.is_long:
            self.is_long = above
            if above:
                ctx.buy(bar.code, 100)
            else:
                ctx.sell(bar.code, 100)


class Momentum(CompiledStrategy):
    """Hold the 50 instruments that rose most over eleven months to a month ago, equally, changed monthly."""

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", every="month", history=253)
        self.weights = np.zeros(len(ctx.instruments))

    def on_slice(self, ctx: Any, bars: Any) -> None:
        closes = bars.history("close", 253)
        if len(closes) == 253:
            gains = closes[-22] / closes[0]
            least = np.partition(gains, len(gains) - 50)[len(gains) - 50]
            for code in range(len(gains)):
                self.weights[code] = 0.019 if gains[code] >= least else 0.0
            ctx.rebalance(self.weights)


@njit(cache=True)
def nth_least(values, n):
    """The n-th of the values from below. Few of many are kept in order, which takes less than a partition of all."""
    kept = np.sort(values[:n])
    for value in values[n:]:
        if value < kept[-1]:
            place = n - 1
            while place > 0 and kept[place - 1] > value:
                kept[place] = kept[place - 1]
                place -= 1
            kept[place] = value
    return kept[-1]


class LongShort(CompiledStrategy):
    """Every day, long what fell most over a month and short what rose most, 50 of each, equally."""

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", history=22)
        self.weights = np.zeros(len(ctx.instruments))

    def on_slice(self, ctx: Any, bars: Any) -> None:
        closes = bars.history("close", 22)
        if len(closes) == 22:
            gains = closes[-1] / closes[0]
            count = len(gains)
            most, least = nth_least(gains, 50), -nth_least(-gains, 50)
            for code in range(count):
                self.weights[code] = 0.009 if gains[code] <= most else -0.009 if gains[code] >= least else 0.0
            ctx.rebalance(self.weights)


class DailyTop(CompiledStrategy):
    """Sees the first minute of each day, and holds the ten instruments that rose most since the day before."""

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", every="day")
        self.weights, self.before = np.zeros(len(ctx.instruments)), np.full(len(ctx.instruments), np.nan)

    def on_slice(self, ctx: Any, bars: Any) -> None:
        closes, count = bars.close, bars.count
        if self.before[0] == self.before[0]:
            gains = closes / self.before
            least = np.partition(gains, count - 10)[count - 10]
            for code in range(count):
                self.weights[code] = 0.095 if gains[code] >= least else 0.0
            ctx.rebalance(self.weights)
        for code in range(count):
            self.before[code] = closes[code]


class Watcher(CompiledStrategy):
    """Reads each close and does nothing."""

    def on_start(self, ctx: Context) -> None:
        self.last = 0.0

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.last = bar.close


class Quoter(CompiledStrategy):
    """Keeps one resting limit order five cents away, and moves it every 1,000 prints."""

    def on_start(self, ctx: Context) -> None:
        self.resting = -1
        ctx.subscribe("trade", every=1_000)

    def on_trade(self, ctx: Any, trade: Any) -> None:
        if ctx.is_open(self.resting):
            ctx.cancel(self.resting)
        if ctx.position(trade.code) > 0:
            self.resting = ctx.sell(trade.code, 1, limit=round(trade.price + 0.05, 2))
        else:
            self.resting = ctx.buy(trade.code, 1, limit=round(trade.price - 0.05, 2))


class QuoteQuoter(CompiledStrategy):
    """The same on changes of the best bid and ask: a bid five cents below, or an offer five above."""

    def on_start(self, ctx: Context) -> None:
        self.resting = -1
        ctx.subscribe("quote", every=1_000)

    def on_quote(self, ctx: Any, quote: Any) -> None:
        if ctx.is_open(self.resting):
            ctx.cancel(self.resting)
        if ctx.position(quote.code) > 0:
            self.resting = ctx.sell(quote.code, 1, limit=round(quote.bid + 0.05, 2))
        else:
            self.resting = ctx.buy(quote.code, 1, limit=round(quote.ask - 0.05, 2))


class Alternator(CompiledStrategy):
    """A market order on every bar, alternating sides."""

    def on_start(self, ctx: Context) -> None:
        self.buys = False

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.buys = not self.buys
        if self.buys:
            ctx.buy(bar.code, 1)
        else:
            ctx.sell(bar.code, 1)


COMPILED = {
    "W1": Crossover,
    "W2": Momentum,
    "W3": Watcher,
    "W4": Quoter,
    "W5": Alternator,
    "W6": LongShort,
    "W7": DailyTop,
    "W8": Quoter,
    "W8Q": QuoteQuoter,
}
