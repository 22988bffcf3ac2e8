"""The workloads' rules as QEngine's strategies have them, in numpy and Python alone, for peers to call."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

__all__ = [
    "HISTORY",
    "LONG_SHORT_DAYS",
    "MOMENTUM_DAYS",
    "RULES",
    "SHARES",
    "Averages",
    "buyers",
    "decision_days",
    "long_short",
    "momentum",
    "orders",
]

SHARES = 100
MOMENTUM_DAYS = 253
LONG_SHORT_DAYS = 22


class Averages:
    """Two moving averages kept incrementally; ``update`` says +1 to buy, -1 to sell and 0 to do nothing."""

    def __init__(self, fast: int = 10, slow: int = 30) -> None:
        self.fast, self.slow = fast, slow
        self.window: deque[float] = deque(maxlen=slow)
        self.fast_sum = self.slow_sum = 0.0
        self.is_long = False

    def update(self, close: float) -> int:
        window = self.window
        self.fast_sum += close
        self.slow_sum += close
        if len(window) >= self.fast:
            self.fast_sum -= window[-self.fast]
        if len(window) < self.slow:
            window.append(close)
            return 0
        self.slow_sum -= window[0]
        window.append(close)
        above = self.fast_sum * self.slow > self.slow_sum * self.fast
        if above == self.is_long:
            return 0
        self.is_long = above
        return 1 if above else -1


def momentum(closes: np.ndarray) -> dict[int, float]:
    """Weights by column from the last 253 closes: the 50 that rose most over eleven months to a month ago."""
    ranked = np.argsort(-closes[-22] / closes[0], kind="stable")[:50]
    return dict.fromkeys(ranked.tolist(), 0.019)


def long_short(closes: np.ndarray) -> dict[int, float]:
    """Weights by column from the last 22 closes: long the 50 that fell most, short the 50 that rose most."""
    ranked = np.argsort(closes[-1] / closes[0], kind="stable")
    return dict.fromkeys(ranked[:50].tolist(), 0.009) | dict.fromkeys(ranked[-50:].tolist(), -0.009)


RULES = {"W2": momentum, "W6": long_short}
HISTORY = {"W2": MOMENTUM_DAYS, "W6": LONG_SHORT_DAYS}


def decision_days(workload: str, ts: np.ndarray) -> np.ndarray:
    """On which days the panel's workload rebalances: with enough history, and W2 on the first day of a month alone."""
    enough = np.arange(1, len(ts) + 1) >= HISTORY[workload]
    return enough & _month_starts(ts) if workload == "W2" else enough


def _month_starts(ts: np.ndarray) -> np.ndarray:
    """Which of these times are the first of their month, UTC."""
    months = ts.astype("datetime64[ns]").astype("datetime64[M]")
    return np.concatenate(([True], months[1:] != months[:-1]))


def orders(
    weights: Mapping[int, float], held: Mapping[int, float], closes: np.ndarray, equity: float
) -> list[tuple[int, float]]:
    """Signed quantities that bring the portfolio to the weights at these closes: sales first, then by column."""
    targets = dict.fromkeys((column for column, quantity in held.items() if quantity), 0.0) | dict(weights)
    changes = [
        (column, (weight * equity / closes[column] if weight else 0.0) - held.get(column, 0.0))
        for column, weight in targets.items()
    ]
    return sorted((change for change in changes if change[1]), key=lambda change: (change[1] > 0, change[0]))


def buyers(prices: np.ndarray) -> np.ndarray:
    """Which prints a buyer took: those above the one before, and at the same price as that one was taken."""
    way = np.sign(np.diff(prices, prepend=prices[0]))
    moves = np.flatnonzero(way)
    if not len(moves):
        return np.ones(len(prices), bool)
    last = np.searchsorted(moves, np.arange(len(way)), side="right") - 1
    return np.where(last >= 0, way[moves[np.maximum(last, 0)]] > 0, True)
