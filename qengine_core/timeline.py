"""Merges the streams of a run into one sequence of segments, in the total order (ts, phase, arrival)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence

import numpy as np

from qengine_core.blocks import Block, Segment
from qengine_core.errors import DataError
from qengine_core.vocabulary import Phase

__all__ = ["Timeline"]


class Timeline:
    """Iterates over segments: the longest runs of one stream's rows before another stream must speak.

    One binary search per segment and no heap per event; Python's own search, because a call of numpy costs more.
    Streams that share a timestamp speak in order of phase, then in the order in which the run lists them.
    """

    def __init__(self, streams: Sequence[tuple[Phase, Iterator[Block]]]) -> None:
        self._heads = [_Head(arrival, phase, blocks) for arrival, (phase, blocks) in enumerate(streams)]

    def __iter__(self) -> Iterator[Segment]:
        alive = sorted((head for head in self._heads if head.advance()), key=_Head.key)
        while alive:
            head = alive.pop(0)
            stop = head.rows_before(alive[0]) if alive else len(head.block)
            yield Segment(head.block, head.row, stop)
            head.row = stop
            if stop < len(head.block) or head.advance():
                insort(alive, head, key=_Head.key)

    def close(self) -> None:
        """Let feeds end what they have begun (files, threads, warnings), even if the run did not come to their end."""
        for head in self._heads:
            close = getattr(head.blocks, "close", None)  # of generators; other iterators need not have one
            if close is not None:
                close()


class _Head:
    """Where one stream stands."""

    def __init__(self, arrival: int, phase: Phase, blocks: Iterator[Block]) -> None:
        self.order = (int(phase), arrival)
        self.blocks = blocks
        self.row = 0
        self.block: Block
        self.last_ts: int | None = None

    def key(self) -> tuple[int, tuple[int, int]]:
        return self.block.times[self.row], self.order

    def advance(self) -> bool:
        """Step to the next block that has rows, refusing one that would turn back time."""
        for block in self.blocks:
            if not len(block):
                continue
            ts = block.ts
            falls = not block.is_sorted and bool(np.any(ts[1:] < ts[:-1]))
            if falls or (self.last_ts is not None and ts[0] <= self.last_ts):
                raise DataError(
                    f"Stream {block.stream} is not in time order around {int(ts[0])} ns UTC: a feed must yield "
                    "blocks sorted by ts, and must not split rows of equal ts across two blocks."
                )
            self.block, self.row, self.last_ts = block, 0, int(ts[-1])
            return True
        return False

    def rows_before(self, other: _Head) -> int:
        """The first of this block's rows that comes after where the other stream stands."""
        ts, order = other.key()
        place = bisect_right if self.order < order else bisect_left
        return place(self.block.times, ts, self.row)
