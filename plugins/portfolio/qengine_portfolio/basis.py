"""What positions cost, worked out from the fills: as far as somebody asks during the run, and whole after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_portfolio.books import Books
from qengine_portfolio.native import live
from qengine_portfolio.replay import COST, LOT, STEP, TRIP, replay

__all__ = ["METHODS", "CostBasis"]

METHODS = ("average", "fifo", "lifo")  # in the order of replay's constants


class CostBasis:
    """Average price and realised P&L by place, at average cost or by lots.

    Nothing of it happens when orders fill: the fills are gone through when somebody reads, once each.
    """

    def __init__(self, books: Books, method: str) -> None:
        self._books, self._method = books, METHODS.index(method)
        self._multipliers = np.ascontiguousarray(books.instruments["multiplier"])
        self._costs = np.zeros(len(books.positions), COST)
        self._lots = np.zeros(0, LOT)
        self._columns = {name: live(self._costs[name]) for name in ("average_price", "realised_pnl")}
        self._done = 0

    def of(self, name: str, place: int) -> float:
        """One figure of one place, with every fill so far."""
        if self._done < self._books.fill_count:
            self._go_through(np.zeros(0, STEP), np.zeros(0, TRIP))
        return self._columns[name][place]

    def whole(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """All fills, what a position was after each, and the round trips they made."""
        again = CostBasis(self._books, METHODS[self._method])
        count = self._books.fill_count
        # Of lots, a fill closes one after another: each trip ends a lot or the fill, and a fill opens one lot at most.
        steps, trips = np.zeros(count, STEP), np.zeros(count if again._method == 0 else 2 * count, TRIP)
        written = again._go_through(steps, trips)
        return self._books.fills[:count], steps, trips[:written]

    def _go_through(self, steps: npt.NDArray[Any], trips: npt.NDArray[Any]) -> int:
        """Go through the fills since last time; return how many round trips were written."""
        fills = self._books.fills[: self._books.fill_count]
        if self._method and len(self._lots) < len(fills):  # a lot lies where the fill that opened it does
            grown = np.zeros(max(len(fills), 2 * len(self._lots)), LOT)
            grown[: self._done] = self._lots[: self._done]
            self._lots = grown
        start, self._done = self._done, len(fills)
        written: int = replay(fills, start, self._multipliers, self._method, self._costs, self._lots, steps, trips)
        return written
