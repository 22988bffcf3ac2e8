"""Columnar market data on its way through the engine: streams, blocks, segments. It knows no prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.vocabulary import Instrument, Phase

__all__ = ["BLOCK_ROWS", "Block", "Segment", "Source", "StreamInfo"]

# What feeds should aim for: large enough to amortise Python per block, small enough that a column
# boxed into Python floats for callbacks costs eight megabytes.
BLOCK_ROWS = 262_144


@attrs.frozen(kw_only=True)
class StreamInfo:
    """What one feed will deliver, known before its first row.

    ``kind`` is one of the event kinds, ``columns`` the names of the value columns, ``rows`` the total if
    it is known cheaply (for progress). ``interval`` is how long a bar lasts, in ns (0: unknown); bars of no
    fixed length may say in an int64 column ``open_ts`` when they opened. ``description`` goes into the manifest:
    path, rows, content hash, adjustments; plain JSON values only.
    """

    kind: str
    columns: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    rows: int | None = None
    phase: Phase = Phase.MARKET_DATA
    interval: int = 0
    description: Mapping[str, Any] = attrs.field(factory=dict)


class Block:
    """A run of rows of one stream: columnar, sorted by ``ts``, and never splitting rows of equal ``ts``.

    ``ts`` is int64 nanoseconds UTC, ``instrument`` int32 codes into the run's instruments, ``columns``
    one array per name, all of one length. ``times`` is ``ts`` for reading single values quickly. ``cache`` is
    for what participants derive from the block once. ``is_sorted`` says that the feed has looked at every instant,
    and that none is earlier than the one before: the kernel, which looks else, does not look again.
    """

    __slots__ = ("cache", "columns", "instrument", "is_sorted", "stream", "times", "ts")

    def __init__(
        self,
        stream: int,
        ts: npt.NDArray[np.int64],
        instrument: npt.NDArray[np.int32],
        columns: Mapping[str, npt.NDArray[Any]],
        is_sorted: bool = False,
    ) -> None:
        self.stream = stream
        self.ts = ts
        self.times = ts.data if ts.dtype.kind == "i" else ts  # what is no whole number is refused elsewhere
        self.instrument = instrument
        self.columns = columns
        self.is_sorted = is_sorted
        self.cache: dict[object, Any] = {}

    def __len__(self) -> int:
        return len(self.ts)

    def __repr__(self) -> str:
        return f"Block(stream={self.stream}, rows={len(self)}, columns={list(self.columns)})"


class Segment:
    """Rows ``start <= row < stop`` of a block, over which no other stream has anything to say."""

    __slots__ = ("block", "start", "stop")

    def __init__(self, block: Block, start: int, stop: int) -> None:
        self.block = block
        self.start = start
        self.stop = stop

    def __repr__(self) -> str:
        return f"Segment(stream={self.block.stream}, rows={self.start}:{self.stop})"


class Source(Protocol):
    """An opened feed: what it holds, and a fresh pass over its blocks."""

    @property
    def info(self) -> StreamInfo: ...

    def blocks(self, stream: int, codes: Mapping[str, int]) -> Iterator[Block]:
        """Yield the blocks in time order. ``codes`` maps every instrument name of the run to its code.

        What has been yielded does not change any more: whoever has seen a row may keep it, and read it in a thread.
        """
        ...
