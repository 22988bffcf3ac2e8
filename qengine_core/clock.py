"""The one clock of a run: it stands where the cursor stands, and reads no wall clock."""

from __future__ import annotations

import numpy as np

from qengine_core.blocks import Block

__all__ = ["Position", "SimulatedClock"]


class Position:
    """A row of the block under way. Cursors subclass it, so that moving one is moving the clock."""

    __slots__ = ("row",)

    def __init__(self, row: int = -1) -> None:
        self.row = row


_BEFORE = Block(-1, np.empty(0, np.int64), np.empty(0, np.int32), {})


class SimulatedClock:
    """Says what time it is in the run, derived from where the loop is rather than copied per row.

    Rows of ``block`` up to and including ``position.row`` are in the past; nothing after them may be read.
    """

    __slots__ = ("_instant", "block", "position")

    def __init__(self, start_ts: int = 0) -> None:
        self.block = _BEFORE
        self.position = Position()
        self._instant: int | None = start_ts

    @property
    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        instant = self._instant
        return self.block.times[self.position.row] if instant is None else instant

    @property
    def is_on_row(self) -> bool:
        """Whether a row is being handled now, and not an appointment between rows."""
        return self._instant is None

    def stand_on(self, block: Block, position: Position) -> None:
        """Follow a position over the rows of a block."""
        self.block = block
        self.position = position
        self._instant = None

    def stand_at(self, ts: int) -> None:
        """Stand at an instant between rows (a timer, the start, the end)."""
        self._instant = ts
