"""Which session of one calendar a strategy is in; it knows no calendar and no strategy, only the run's sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_core.plugin import BAR, Session

if TYPE_CHECKING:
    from qengine_core.agenda import Scheduled
    from qengine_core.run import Run
    from qengine_core.sessions import Sessions

__all__ = ["SessionWatch"]


class SessionWatch:
    """Goes from session to session with the rows of the instruments that trade in them.

    A session without rows passes in silence. ``close`` is the appointment at which the session under way
    closes; None if none is.
    """

    def __init__(self, run: Run, sessions: Sessions) -> None:
        self._sessions = sessions
        self._codes = np.array([run.codes[name] for name in sessions.instruments], dtype=np.int32)
        self._all = len(self._codes) == len(run.instruments)
        self._current: Session | None = None
        self.close: Scheduled | None = None

    def begins(self, ts: int, kind: str) -> bool:
        """Whether a row of these instruments is the first of another session."""
        session = self._current
        return session is None or (ts > session.until_ts if kind == BAR else ts >= session.until_ts)

    def enter(self, ts: int, kind: str) -> Session:
        """Go to the session of a row."""
        self._current = session = self._sessions.of_row(ts, kind)
        return session

    def leave(self) -> Session | None:
        """The session under way, if there is one: it is over."""
        if self.close is None:
            return None
        self.close.cancel()
        self.close = None
        return self._current

    def next_change(self, block: Block, kind: str, start: int, stop: int) -> int:
        """The first row in ``[start, stop)`` that begins another session, or ``stop``."""
        ts, rows = self._mine(block)
        if self._current is None:
            place = 0 if rows is None else int(np.searchsorted(rows, start))
        else:
            place = int(np.searchsorted(ts, self._current.until_ts, side="right" if kind == BAR else "left"))
        if rows is not None:
            place = int(rows[place]) if place < len(rows) else stop
        return min(max(place, start), stop)

    def _mine(self, block: Block) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp] | None]:
        """Timestamps of the rows of these instruments, and which rows they are (None: all of them)."""
        if self._all:
            return block.ts, None
        if self not in block.cache:
            rows = np.flatnonzero(np.isin(block.instrument, self._codes))
            block.cache[self] = block.ts[rows], rows
        mine: tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]] = block.cache[self]
        return mine
