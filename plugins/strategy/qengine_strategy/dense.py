"""Cross-sections: a block's long rows as matrices of timestamps by instruments, and their recent past."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_core.plugin import ConfigError, did_you_mean

__all__ = ["Dense", "instant_ends"]


def instant_ends(block: Block) -> npt.NDArray[np.int64]:
    """The last row of each timestamp of a block."""
    ends = block.cache.get("instant_ends")
    if ends is None:
        ends = block.cache["instant_ends"] = np.flatnonzero(np.append(block.ts[1:] != block.ts[:-1], True))
    return ends


class Dense:
    """One stream's matrices, made when they are first read, and the blocks that history may reach back to."""

    def __init__(self, instruments: int) -> None:
        self._instruments = instruments
        self._past: deque[Block] = deque()
        self._current: Block | None = None
        self.depth = 0

    def enter(self, block: Block) -> None:
        """A new block begins; drop those that no history can reach any more."""
        if block is self._current:
            return
        if self._current is not None and self.depth:
            self._past.append(self._current)
        self._current = block
        reach = sum(len(instant_ends(past)) for past in self._past)
        while self._past and reach - len(instant_ends(self._past[0])) >= self.depth:
            reach -= len(instant_ends(self._past.popleft()))

    def column(self, block: Block, name: str) -> npt.NDArray[np.float64]:
        """Shape (timestamps of the block, instruments), read-only; a mere reshape where no row is missing."""
        key = ("dense", name)
        matrix = block.cache.get(key)
        if matrix is None:
            matrix = block.cache[key] = self._spread(block, name)
        return matrix

    def history(self, block: Block, name: str, index: int, length: int) -> npt.NDArray[np.float64]:
        if length > max(self.depth, 1):
            raise ConfigError(
                f"history of {length} was asked for, but {self.depth} is kept: "
                f"call ctx.subscribe(history={length}) in on_start."
            )
        part = self.column(block, name)[max(0, index + 1 - length) : index + 1]
        parts = [part]
        missing = length - len(part)
        for past in reversed(self._past):
            if missing <= 0:
                break
            older = self.column(past, name)[-missing:]
            parts.insert(0, older)
            missing -= len(older)
        if len(parts) == 1:
            return part
        joined = np.concatenate(parts)
        joined.flags.writeable = False  # as it is when one block holds it all
        return joined

    def _spread(self, block: Block, name: str) -> npt.NDArray[np.float64]:
        values = block.columns.get(name)
        if values is None:
            raise ConfigError(f"this stream has no column {name!r} ({did_you_mean(name, block.columns)}).")
        ends, codes, count = instant_ends(block), block.instrument, self._instruments
        if len(values) == len(ends) * count and self._is_complete(block, codes):
            matrix = np.ascontiguousarray(values, dtype=np.float64).reshape(len(ends), count)
        else:
            starts = np.append(0, ends[:-1] + 1)
            instants = np.repeat(np.arange(len(ends)), ends + 1 - starts)
            matrix = np.full((len(ends), count), np.nan)
            matrix[instants, codes] = values
        matrix = matrix.view()
        matrix.flags.writeable = False
        return matrix

    def _is_complete(self, block: Block, codes: npt.NDArray[np.int32]) -> bool:
        complete = block.cache.get("complete")
        if complete is None:
            tiled = codes.reshape(-1, self._instruments)
            complete = block.cache["complete"] = bool((tiled == np.arange(self._instruments)).all())
        return complete
