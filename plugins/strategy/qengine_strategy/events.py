"""What callbacks are handed: a cursor over a block's columns, boxed only where somebody reads.

A cursor is reused from row to row. Whoever keeps one keeps that row: the driver notices and goes on with
a fresh cursor, so a kept event never changes its values.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_core.clock import Position
from qengine_core.plugin import did_you_mean

__all__ = ["Bar", "Event", "Quote", "Signal", "Slice", "Trade", "to_datetime"]


def to_datetime(ts: int) -> dt.datetime:
    """Nanoseconds since the epoch as an aware UTC datetime, to the microsecond."""
    return dt.datetime.fromtimestamp(ts // 1_000_000_000, tz=dt.UTC) + dt.timedelta(
        microseconds=ts % 1_000_000_000 // 1000
    )


class Event(Position):
    """A row of market data or signals: ``event.close``, or ``event["feature"]`` for any column."""

    __slots__ = ("_block", "_names", "_sparse")

    def __init__(self, block: Block, names: Sequence[str], row: int = -1, sparse: bool = False) -> None:
        self.row = row
        self._block = block
        self._names = names
        self._sparse = sparse

    @property
    def ts(self) -> int:
        """When this became known: nanoseconds since the epoch, UTC."""
        return self._block.ts.item(self.row)

    @property
    def time(self) -> dt.datetime:
        """The same as an aware UTC datetime."""
        return to_datetime(self.ts)

    @property
    def instrument(self) -> str:
        return self._names[self._block.instrument.item(self.row)]

    def __getitem__(self, column: str) -> Any:
        """The value of any column of the stream, features included."""
        return self._box(column)[self.row]

    def __contains__(self, column: object) -> bool:
        return column in self._block.columns

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={self[name]!r}" for name in self._block.columns)
        return f"{type(self).__name__}({self.instrument} {self.time.isoformat()}, {values})"

    def _box(self, column: str) -> Any:
        """A column to index into, shared by every event of the block: a list, or a view where few rows are read."""
        key = (Event, column, self._sparse)
        boxed = self._block.cache.get(key)
        if boxed is None:
            found = self._block.columns.get(column)
            if found is None:
                known = did_you_mean(column, self._block.columns)
                raise AttributeError(f"this stream has no column {column!r} ({known})")
            as_view = self._sparse and found.dtype.kind in "biuf"
            boxed = self._block.cache[key] = found.data if as_view else found.tolist()
        return boxed


class Bar(Event):
    """A bar: open, high, low and close since the bar before it, known at its close."""

    __slots__ = ("_close", "_high", "_low", "_open", "_volume")

    def __init__(self, block: Block, names: Sequence[str], row: int = -1, sparse: bool = False) -> None:
        super().__init__(block, names, row, sparse)
        self._open: Any = None
        self._high: Any = None
        self._low: Any = None
        self._close: Any = None
        self._volume: Any = None

    # Reading before boxing raises TypeError, once per block: cheaper than asking on every read.

    @property
    def open(self) -> float:
        try:
            return self._open[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._open = self._box("open")
            return self._open[self.row]  # type: ignore[no-any-return]

    @property
    def high(self) -> float:
        try:
            return self._high[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._high = self._box("high")
            return self._high[self.row]  # type: ignore[no-any-return]

    @property
    def low(self) -> float:
        try:
            return self._low[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._low = self._box("low")
            return self._low[self.row]  # type: ignore[no-any-return]

    @property
    def close(self) -> float:
        try:
            return self._close[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._close = self._box("close")
            return self._close[self.row]  # type: ignore[no-any-return]

    @property
    def volume(self) -> float:
        try:
            return self._volume[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._volume = self._box("volume")
            return self._volume[self.row]  # type: ignore[no-any-return]


class Trade(Event):
    """A print: price and size."""

    __slots__ = ("_price",)

    def __init__(self, block: Block, names: Sequence[str], row: int = -1, sparse: bool = False) -> None:
        super().__init__(block, names, row, sparse)
        self._price: Any = None

    @property
    def price(self) -> float:
        try:
            return self._price[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._price = self._box("price")
            return self._price[self.row]  # type: ignore[no-any-return]

    @property
    def size(self) -> float:
        return self["size"]  # type: ignore[no-any-return]


class Quote(Event):
    """The top of the book: bid and ask, with sizes where the data has them."""

    __slots__ = ("_ask", "_bid")

    def __init__(self, block: Block, names: Sequence[str], row: int = -1, sparse: bool = False) -> None:
        super().__init__(block, names, row, sparse)
        self._bid: Any = None
        self._ask: Any = None

    @property
    def bid(self) -> float:
        try:
            return self._bid[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._bid = self._box("bid")
            return self._bid[self.row]  # type: ignore[no-any-return]

    @property
    def ask(self) -> float:
        try:
            return self._ask[self.row]  # type: ignore[no-any-return]
        except TypeError:
            self._ask = self._box("ask")
            return self._ask[self.row]  # type: ignore[no-any-return]

    @property
    def bid_size(self) -> float:
        return self["bid_size"]  # type: ignore[no-any-return]

    @property
    def ask_size(self) -> float:
        return self["ask_size"]  # type: ignore[no-any-return]


class Signal(Event):
    """A row of a signal stream; every column by ``signal["name"]``."""

    __slots__ = ()


class Slice(Position):
    """All rows of one timestamp: ``bars.close`` is a float64 array across instruments, NaN where one is missing.

    Arrays are indexed by instrument code, that is, in the order of ``bars.instruments``. They are
    read-only views; copy one to change it.
    """

    __slots__ = ("_block", "_dense", "index", "instruments")

    def __init__(self, dense: Any, block: Block, instruments: tuple[str, ...], row: int = -1, index: int = -1) -> None:
        self.row = row
        self.index = index
        self.instruments = instruments
        self._dense = dense
        self._block = block

    @property
    def ts(self) -> int:
        """When these rows became known: nanoseconds since the epoch, UTC."""
        return int(self._block.ts[self.row])

    @property
    def time(self) -> dt.datetime:
        """The same as an aware UTC datetime."""
        return to_datetime(self.ts)

    def __getitem__(self, column: str) -> npt.NDArray[np.float64]:
        """Any column across instruments: shape (instruments,)."""
        return self._dense.column(self._block, column)[self.index]  # type: ignore[no-any-return]

    @property
    def open(self) -> npt.NDArray[np.float64]:
        return self["open"]

    @property
    def high(self) -> npt.NDArray[np.float64]:
        return self["high"]

    @property
    def low(self) -> npt.NDArray[np.float64]:
        return self["low"]

    @property
    def close(self) -> npt.NDArray[np.float64]:
        return self["close"]

    @property
    def volume(self) -> npt.NDArray[np.float64]:
        return self["volume"]

    def history(self, column: str, length: int) -> npt.NDArray[np.float64]:
        """The last ``length`` timestamps of a column, this one last: shape (<= length, instruments).

        Shorter at the start of the data. ``ctx.subscribe(history=...)`` says how far back is kept.
        """
        return self._dense.history(self._block, column, self.index, length)  # type: ignore[no-any-return]
