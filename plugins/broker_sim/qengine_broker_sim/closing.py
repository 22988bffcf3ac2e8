"""What happens as sessions close besides the end of orders of the day, where a policy says so; it knows no price."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qengine_core.plugin import Order, Phase

if TYPE_CHECKING:
    from qengine_portfolio.books import Books

    from qengine_core.run import Run

__all__ = ["AtCloses", "SessionEnd", "Settlement"]

OpenOrders = Callable[[], Sequence[Order]]


class AtCloses:
    """Does something as the sessions of a calendar close, from the first order on until nothing is left to do."""

    def __init__(self, run: Run, open_orders: OpenOrders) -> None:
        self._run = run
        self._open_orders = open_orders
        self._watched: set[Any] = set()  # the sessions whose next close is on the agenda; only ever looked up

    def watch(self, code: int) -> None:
        """An order has been sent: see to the end of the session that a bar of this time belongs to."""
        sessions = self._run.sessions(code)
        if sessions not in self._watched:
            now = self._run.clock.now
            self._schedule(sessions, max(now, sessions.of_row(now).close_ts))

    def at_close(self, sessions: Any, orders: Sequence[Order]) -> bool:
        """A session closes, with these orders of its instruments open; return whether the next close matters, too."""
        raise NotImplementedError

    def _schedule(self, sessions: Any, ts: int) -> None:
        self._watched.add(sessions)
        self._run.agenda.schedule(ts, Phase.SESSION_CLOSE, lambda: self._close(sessions), self._run.clock.now)

    def _close(self, sessions: Any) -> None:
        self._watched.discard(sessions)
        orders = [order for order in self._open_orders() if self._run.sessions(order.code) is sessions]
        if self.at_close(sessions, orders) or any(order.is_open for order in orders):
            self._schedule(sessions, sessions.for_order(self._run.clock.now).close_ts)


class SessionEnd(AtCloses):
    """Cancels open orders at the close of their instruments' sessions: all of them, or the first of several."""

    def __init__(self, run: Run, open_orders: OpenOrders, end: Callable[[Order], None], all_of_them: bool) -> None:
        super().__init__(run, open_orders)
        self._end = end
        self._all = all_of_them

    def at_close(self, sessions: Any, orders: Sequence[Order]) -> bool:
        by_code: dict[int, list[Order]] = {}
        for order in orders:
            by_code.setdefault(order.code, []).append(order)
        for those in by_code.values():
            for order in those if self._all else those[: len(those) > 1]:
                self._end(order)
        return False


class Settlement(AtCloses):
    """Makes what sales have brought available at the close after so many sessions, that of the sale included."""

    def __init__(self, run: Run, open_orders: OpenOrders, books: Books, after: int) -> None:
        super().__init__(run, open_orders)
        self._books, self._after = books, after
        self._due: dict[int, deque[float]] = {}  # by position, what the last sessions have brought

    def at_close(self, sessions: Any, orders: Sequence[Order]) -> bool:
        books, count = self._books, len(self._run.instruments)
        unsettled, waits = books.positions["unsettled"], False
        for place in np.flatnonzero(unsettled).tolist():
            if self._run.sessions(place % count) is not sessions:
                continue
            due = self._due.setdefault(place, deque())
            due.append(float(unsettled[place]) - sum(due))
            if len(due) == self._after:
                due.popleft()
            unsettled[place] = sum(due)
            waits |= bool(due)
        books.accounts["unsettled"] = unsettled.reshape(-1, count).sum(axis=1)
        return waits
