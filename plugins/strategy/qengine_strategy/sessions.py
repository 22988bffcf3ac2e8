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
        self._block: Block | None = None  # of which the next change is known
        self._change = 0
        self.close: Scheduled | None = None

    def begins(self, ts: int, kind: str) -> bool:
        """Whether a row of these instruments is the first of another session."""
        session = self._current
        return session is None or (ts > session.until_ts if kind == BAR else ts >= session.until_ts)

    def enter(self, ts: int, kind: str) -> Session:
        """Go to the session of a row."""
        self._block = None
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
        if block is not self._block:
            self._block, self._change = block, self._find_change(block, kind)
        return min(max(self._change, start), stop)

    def _find_change(self, block: Block, kind: str) -> int:
        """The first row of the block that begins another session, or its length. All rows before have been seen."""
        rows = None if self._all else self._mine(block)
        ts = block.ts if rows is None else block.ts[rows]
        until = None if self._current is None else self._current.until_ts
        place = 0 if until is None else int(np.searchsorted(ts, until, side="right" if kind == BAR else "left"))
        if rows is None:
            return place
        return int(rows[place]) if place < len(rows) else len(block)

    def _mine(self, block: Block) -> npt.NDArray[np.intp]:
        """The rows of these instruments."""
        if self not in block.cache:
            block.cache[self] = np.flatnonzero(np.isin(block.instrument, self._codes))
        rows: npt.NDArray[np.intp] = block.cache[self]
        return rows
