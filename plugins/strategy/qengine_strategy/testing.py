"""Drives a strategy from a list of rows through the real engine, for unit tests; it reads no file.

``drive(MyStrategy(), bars([10, 11, 9]))`` returns the same Result as any run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.blocks import BLOCK_ROWS, Block, StreamInfo
from qengine_core.engine import Engine, Result
from qengine_core.plugin import BAR, ConfigError, Instrument
from qengine_strategy.context import to_ns
from qengine_strategy.strategy import Strategy

__all__ = ["ListFeed", "bars", "drive"]

Row = Mapping[str, Any] | Sequence[Any]
_TUPLE = ("ts", "open", "high", "low", "close", "volume", "instrument")
_START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_DAY = dt.timedelta(days=1)


def drive(
    strategy: Strategy,
    rows: Sequence[Row],
    *,
    cash: float = 100_000.0,
    kind: str = BAR,
    instruments: Sequence[Instrument] = (),
    block_rows: int = BLOCK_ROWS,
    interval: dt.timedelta | int = 0,
    **engine: Any,
) -> Result:
    """Run a strategy over a list of rows and return the result.

    A row is a mapping with ``ts``, ``instrument`` ("X" if left out) and the columns of its ``kind``, or, for
    bars, a tuple ``(ts, open, high, low, close, volume, instrument)``, of which the last two may be left out.
    ``ts`` is an aware datetime or int nanoseconds UTC. ``instruments`` describes lots, ticks and multipliers
    where they matter; ``interval`` is how long each bar lasts (a timedelta or ns; 0: they do not say).
    ``engine`` takes any argument of Engine (``commission=``, ``broker=``, ``wake=`` ...).
    """
    feed = ListFeed(rows=rows, kind=kind, instruments=instruments, block_rows=block_rows, interval=interval)
    return Engine(feed=feed, strategy=strategy, **{"ledger": {"use": "standard", "cash": cash}, **engine}).run()


def bars(
    closes: Sequence[float],
    instrument: str = "X",
    *,
    start: int | dt.datetime = _START,
    step: dt.timedelta = _DAY,
    volume: float = 1_000_000.0,
) -> list[dict[str, Any]]:
    """Bars with the given closes, one ``step`` apart, each opening where the one before it closed."""
    first, width = to_ns(start), step // dt.timedelta(microseconds=1) * 1000
    opens = [closes[0], *closes[:-1]] if closes else []
    return [
        {
            "ts": first + index * width,
            "instrument": instrument,
            "open": float(opening),
            "high": float(max(opening, close)),
            "low": float(min(opening, close)),
            "close": float(close),
            "volume": volume,
        }
        for index, (opening, close) in enumerate(zip(opens, closes, strict=True))
    ]


def _as_mapping(row: Row) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        if not len(_TUPLE) - 2 <= len(row) <= len(_TUPLE):
            raise ConfigError(
                f"A bar is a tuple ({', '.join(_TUPLE)}), the last two of which are optional; this is {row!r}."
            )
        row = dict(zip(_TUPLE, row, strict=False))
    if "ts" not in row:
        raise ConfigError(f"A row needs 'ts': {row!r}.")
    return {"instrument": "X", **row, "ts": to_ns(row["ts"])}


def _as_mappings(rows: Sequence[Row]) -> tuple[Mapping[str, Any], ...]:
    return tuple(_as_mapping(row) for row in rows)


def _as_ns(interval: dt.timedelta | int) -> int:
    return interval if isinstance(interval, int) else interval // dt.timedelta(microseconds=1) * 1000


def _as_tuple(instruments: Sequence[Instrument]) -> tuple[Instrument, ...]:
    return tuple(instruments)


@attrs.frozen(kw_only=True)
class ListFeed:
    """Rows held in a list, as one stream; sorted by time, rows of equal time in the order given.

    ``block_rows`` sets where blocks are cut, so that a test can put a border anywhere. A column that a row
    does not have is NaN there. ``interval`` is how long each bar lasts, as a timedelta or in ns; bars may say
    instead in ``open_ts`` when they opened.
    """

    rows: Sequence[Mapping[str, Any]] = attrs.field(converter=_as_mappings)
    kind: str = BAR
    instruments: Sequence[Instrument] = attrs.field(default=(), converter=_as_tuple)
    block_rows: int = BLOCK_ROWS
    interval: int = attrs.field(default=0, converter=_as_ns)

    def open(self) -> _ListSource:
        """Turn the rows into columns. Raises ConfigError for a row that is not one."""
        return _ListSource(self)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> npt.NDArray[Any]:
    if name == "open_ts":  # nanoseconds, which floats would round
        return np.array([to_ns(row[name]) for row in rows], dtype=np.int64)
    return np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)


class _ListSource:
    """The columns of a ListFeed, and a fresh pass over them."""

    def __init__(self, feed: ListFeed) -> None:
        rows = sorted(feed.rows, key=lambda row: row["ts"])
        names = dict.fromkeys(name for row in rows for name in row if name not in ("ts", "instrument"))
        described = {instrument.name: instrument for instrument in feed.instruments}
        found = dict.fromkeys(row["instrument"] for row in rows)
        self._block_rows = feed.block_rows
        self._ts = np.array([row["ts"] for row in rows], dtype=np.int64)
        self._instruments = [row["instrument"] for row in rows]
        self._columns = {name: _column(rows, name) for name in names}
        self.info = StreamInfo(
            kind=feed.kind,
            columns=tuple(names),
            instruments=tuple(
                described.get(name, Instrument(name=name)) for name in dict.fromkeys([*described, *found])
            ),
            rows=len(rows),
            interval=feed.interval,
        )

    def blocks(self, stream: int, codes: Mapping[str, int]) -> Iterator[Block]:
        ts, start = self._ts, 0
        instruments = np.array([codes[name] for name in self._instruments], dtype=np.int32)
        while start < len(ts):
            last = min(start + self._block_rows, len(ts)) - 1
            stop = int(np.searchsorted(ts, ts[last], side="right"))  # rows of one time stay together
            part = slice(start, stop)
            columns = {name: values[part] for name, values in self._columns.items()}
            yield Block(stream, ts[part], instruments[part], columns)
            start = stop
