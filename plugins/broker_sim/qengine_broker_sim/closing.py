"""What ends with a session besides the orders of the day, where a policy says so; it knows no price."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qengine_core.plugin import Order, Phase

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["SessionEnd"]


class SessionEnd:
    """Cancels open orders at the close of their instruments' sessions: all of them, or the first of several."""

    def __init__(self, run: Run, open_orders: Callable[[], Any], end: Callable[[Order], None], *, all_of_them: bool):
        self._run = run
        self._open_orders = open_orders
        self._end = end
        self._all = all_of_them
        self._watched: set[Any] = set()  # the sessions whose next close is on the agenda; only ever looked up

    def watch(self, code: int) -> None:
        """An order has been sent: see to the end of the session that a bar of this time belongs to."""
        sessions = self._run.sessions(code)
        if sessions not in self._watched:
            now = self._run.clock.now
            self._schedule(sessions, max(now, sessions.of_row(now).close_ts))

    def _schedule(self, sessions: Any, ts: int) -> None:
        self._watched.add(sessions)
        self._run.agenda.schedule(ts, Phase.SESSION_CLOSE, lambda: self._sweep(sessions), self._run.clock.now)

    def _sweep(self, sessions: Any) -> None:
        by_code: dict[int, list[Order]] = {}
        for order in self._open_orders():
            if self._run.sessions(order.code) is sessions:
                by_code.setdefault(order.code, []).append(order)
        for orders in by_code.values():
            for order in orders if self._all else orders[: len(orders) > 1]:
                self._end(order)
        self._watched.discard(sessions)
        if any(order.is_open for orders in by_code.values() for order in orders):
            self._schedule(sessions, sessions.for_order(self._run.clock.now).close_ts)
