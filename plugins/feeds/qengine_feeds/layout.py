"""Says which of a table's columns is which of ours, and makes numpy rows of its batches. It judges no value."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qengine_core.plugin import ConfigError, DataError, did_you_mean
from qengine_feeds.components import Adjust, TableFeed
from qengine_feeds.features import Features, ReadFeatures
from qengine_feeds.parts import CsvPart, FramePart, ParquetPart, Part
from qengine_feeds.stamps import BadStamp, Stamps, as_numpy

__all__ = ["OPTIONAL", "REQUIRED", "Layout", "Rows"]

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "bar": ("open", "high", "low", "close"),
    "trade": ("price", "size"),
    "quote": ("bid", "ask"),
    "signal": (),
}
OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "bar": ("volume",),
    "trade": (),
    "quote": ("bid_size", "ask_size"),
    "signal": (),
}
# How others call them, tried in this order whatever the case. The nameless ones are a frame's or file's index.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "ts": ("ts", "timestamp", "time", "datetime", "date", "__index_level_0__", "index", ""),
    "instrument": ("instrument", "symbol", "ticker"),
    "volume": ("volume", "vol"),
    "size": ("size", "quantity", "qty"),
    "bid_size": ("bid_size", "bidsize"),
    "ask_size": ("ask_size", "asksize"),
}
_RAW_CLOSE = "raw_close"


@attrs.define(eq=False)
class Rows:
    """Some rows of one part: instants, ranks of instruments by name, the columns of their kind, and features.

    ``first`` is the part's row (from 0) that the first is; ``picked`` the part's rows where some were left out.
    ``differ`` says that each instant is known to be later than the one before.
    """

    part: Part
    ts: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int32]
    columns: dict[str, npt.NDArray[Any]]
    first: int
    features: Features | None = None
    picked: npt.NDArray[np.int64] | None = None
    differ: bool = False

    def __len__(self) -> int:
        return len(self.ts)

    def number(self, row: int) -> int:
        """The part's row, from 1, as people count them."""
        return (self.first + row if self.picked is None else int(self.picked[row])) + 1

    def where(self, keep: npt.NDArray[np.bool_]) -> Rows:
        """The rows that ``keep`` is true for."""
        rows = np.flatnonzero(keep)
        return Rows(
            self.part,
            self.ts[rows],
            self.rank[rows],
            {name: values[rows] for name, values in self.columns.items()},
            self.first,
            None if self.features is None else self.features.take(rows),
            rows + self.first if self.picked is None else self.picked[rows],
        )


@attrs.frozen(kw_only=True)
class Layout:
    """The columns of one part: ``values`` maps our names to its names, canonical ones first.

    Where no column says the instrument (``instrument`` is None), every row is of the one called ``name``.
    """

    part: Part
    ts: str
    instrument: str | None
    name: str
    values: dict[str, str]
    canonical: frozenset[str]
    adjust: Adjust | None

    @classmethod
    def of(cls, feed: TableFeed, part: Part) -> Layout:
        """Find the columns. Raises DataError naming those that are missing, ConfigError for a wrong mapping."""
        names = list(part.schema.names)
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise DataError(f"{part.label} has the column {twice[0]!r} more than once: rename one of them.")
        find = _Finder(feed, part, names)
        ts, instrument = find("ts"), find("instrument")
        if ts is None:
            raise DataError(
                f"{part.label} has no column of stamps: name it ts, or say which it is with "
                f"columns = {{ts = ...}} (known: {', '.join(names)})."
            )
        values: dict[str, str] = {}
        for name in REQUIRED[feed.kind] + OPTIONAL[feed.kind]:
            column = find(name)
            if column is not None:
                values[name] = column
            elif name in REQUIRED[feed.kind]:
                raise DataError(
                    f"{part.label} has no column {name!r}, which a {feed.kind} needs: say which it is with "
                    f"columns = {{{name} = ...}} ({did_you_mean(name, names)})."
                )
        canonical = frozenset(values)
        values |= find.features({ts, instrument, *values.values()}, canonical)
        for theirs in [values[ours] for ours in values if ours not in canonical]:
            _refuse_nested(part, theirs, part.schema.field(theirs).type)
        name = _only_instrument(feed, part, instrument)
        if isinstance(part, CsvPart):
            part = part.typed(
                numbers=[*(values[name] for name in canonical), *_adjusting(feed.adjust)],
                texts=[ts, *([instrument] if instrument is not None else [])],
            )
        if isinstance(part, FramePart) and instrument is not None:
            part = part.encoded(instrument)
        return cls(
            part=part, ts=ts, instrument=instrument, name=name, values=values, canonical=canonical, adjust=feed.adjust
        )

    def needed(self, wanted: Collection[str]) -> list[str]:
        """The part's columns to read, of the features those that are ``wanted``, if columns can be read apart."""
        instrument = [self.instrument] if self.instrument is not None else []
        values = [theirs for ours, theirs in self.values.items() if ours in self._always or ours in wanted]
        return list(dict.fromkeys([self.ts, *instrument, *values, *_adjusting(self.adjust)]))

    @property
    def _always(self) -> Collection[str]:
        """Our names of the columns that are read whether or not anybody asks for them."""
        if not isinstance(self.part, ParquetPart):
            return self.values
        return {ours for ours, theirs in self.values.items() if ours in self.canonical or theirs in self.part.keys}

    @property
    def bare(self) -> Layout:
        """The same, of stamps and instruments alone."""
        return attrs.evolve(self, values={}, canonical=frozenset(), adjust=None)

    @property
    def doubtful(self) -> Layout:
        """The same, without the columns whose type promises that they can be read."""
        if not isinstance(self.part, ParquetPart):
            return self
        wrong = {
            ours: theirs
            for ours, theirs in self.values.items()
            if ours in self.canonical and not _is_number(self.part.schema.field(theirs).type)
        }
        return attrs.evolve(self, values=wrong, canonical=frozenset(wrong), adjust=None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Our names of the columns delivered."""
        return (*self.values, *([_RAW_CLOSE] if self.adjust else []))

    def rows(
        self, batch: pa.RecordBatch, first: int, stamps: Stamps, ranks: Mapping[Any, int], wanted: set[str]
    ) -> Rows:
        """One batch as arrays. Rows of instruments that ``ranks`` does not know get rank -1.

        A feature that somebody reads, and the batch does not have, is read now and noted as ``wanted``.
        """
        arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
        try:
            ts = stamps.convert(arrays[self.ts], at_start=first == 0)
        except BadStamp as bad:
            raise DataError(
                f"{self.part.label}, row {first + bad.row + 1}, column {self.ts}: {bad.value!r}: {bad.sentence}."
            ) from None
        rank = self._ranks(arrays, len(batch), first, ranks)
        columns = {
            ours: self._column(theirs, arrays[theirs], True, first)
            for ours, theirs in self.values.items()
            if ours in self.canonical
        }
        if self.adjust is not None:
            self._adjust(columns, arrays, first)

        def feature(ours: str) -> npt.NDArray[Any]:
            theirs = self.values[ours]
            if theirs in arrays:
                return self._column(theirs, arrays[theirs], False, first)
            wanted.add(ours)
            assert isinstance(self.part, ParquetPart)
            read = self.part.column(theirs, first, len(batch))
            return np.concatenate([self._column(theirs, array, False, first) for array in read])

        has_features = len(self.values) > len(self.canonical)
        return Rows(self.part, ts, rank, columns, first, ReadFeatures(feature) if has_features else None)

    def _ranks(
        self, arrays: Mapping[str, pa.Array], length: int, first: int, ranks: Mapping[Any, int]
    ) -> npt.NDArray[np.int32]:
        if self.instrument is None:
            return _constant(ranks.get(self.name, -1), length)
        array = arrays[self.instrument]
        if not pa.types.is_dictionary(array.type):
            array = pc.dictionary_encode(array)
        if array.null_count or array.indices.null_count:
            row = int(np.flatnonzero(as_numpy(array.is_null()))[0])
            raise DataError(
                f"{self.part.label}, row {first + row + 1}, column {self.instrument}: the instrument is missing; "
                "every row needs one."
            )
        known = np.array([ranks.get(str(name), -1) for name in array.dictionary.to_pylist()], np.int32)
        if len(known) == 1:
            return _constant(int(known[0]), length)
        indices = as_numpy(array.indices)
        if np.array_equal(known, np.arange(len(known))):  # the dictionary is in the order of ranks
            return indices.astype(np.int32, copy=False)
        return known.take(indices)

    def _column(self, name: str, array: pa.Array, canonical: bool, first: int) -> npt.NDArray[Any]:
        """A column as numpy: zero-copy where it has no nulls; canonical ones as float64."""
        kind = array.type
        if pa.types.is_decimal(kind):
            array = array.cast(pa.float64())
        if _is_number(kind):
            values = as_numpy(array)  # nulls of whole numbers make float64 with NaN
            wanted = np.float64 if canonical else values.dtype
            return np.ascontiguousarray(values, wanted)
        if canonical:
            raise DataError(
                f"{self.part.label}, row {first + 1}, column {name}: expected numbers, found "
                f"{_called(kind)} ({_first_value(array)}): convert the column, or map another with columns."
            )
        if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _texts(array)
        return np.ascontiguousarray(array.to_numpy(zero_copy_only=False))

    def _adjust(self, columns: dict[str, npt.NDArray[Any]], arrays: Mapping[str, pa.Array], first: int) -> None:
        """Multiply prices by the factor, keeping the close as it was traded."""
        assert self.adjust is not None
        (name,) = _adjusting(self.adjust)
        given = self._column(name, arrays[name], True, first)
        close = columns["close"]
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = given / close if self.adjust.close else given
            wrong = ~((factor > 0) & (factor < np.inf) | ~(close > 0))  # a wrong close is the checks' to refuse
            if np.any(wrong):
                row = int(np.argmax(wrong))
                raise DataError(
                    f"{self.part.label}, row {first + row + 1}, column {name}: {given[row]:g} makes no factor to "
                    "adjust by; it must be a number above 0."
                )
            factor = np.where(close > 0, factor, 1.0)  # so that the other prices are not blamed for it
            # All four are multiplied, the close too: rounding is monotone, so the close stays between low and high.
            for column in ("open", "high", "low", "close"):
                columns[column] = columns[column] * factor
            if self.adjust.volume and "volume" in columns:
                columns["volume"] = columns["volume"] / factor
        columns[_RAW_CLOSE] = close


@functools.lru_cache(maxsize=8)
def _constant(rank: int, length: int) -> npt.NDArray[np.int32]:
    """One rank for all rows: the same array for every batch, so nobody may write to it."""
    ranks = np.full(length, rank, np.int32)
    ranks.flags.writeable = False
    return ranks


def _refuse_nested(part: Part, name: str, kind: pa.DataType) -> None:
    if pa.types.is_nested(kind):
        raise DataError(
            f"{part.label}, column {name}: {kind} cannot be passed on as a feature: name the columns to pass on with "
            "features, without this one."
        )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _texts(array: pa.Array) -> npt.NDArray[Any]:
    """Text as an object array whose equal values are one object."""
    encoded = array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(array)
    words = np.array([*encoded.dictionary.to_pylist(), None], object)
    return words[as_numpy(encoded.indices.fill_null(len(words) - 1))]  # type: ignore[no-any-return]


def _called(kind: pa.DataType) -> str:
    return "text" if "string" in str(kind) else str(kind)


def _first_value(array: pa.Array) -> str:
    return f"first {array[0].as_py()!r}" if len(array) else "no row"


def _only_instrument(feed: TableFeed, part: Part, column: str | None) -> str:
    """The instrument of all rows of a part, or no name if a column says it."""
    if column is None:
        name = feed.instrument or part.stem
        if name is None:
            raise ConfigError(
                f'{part.label} has no column of instruments: say which it is with instrument = "NAME", or name the '
                "column with columns = {instrument = ...}."
            )
        return name
    if feed.instrument is not None:
        raise ConfigError(
            f"{part.label} says in its column {column!r} which instrument a row is of: leave instrument out, "
            "or choose some with instruments."
        )
    return ""


def _adjusting(adjust: Adjust | None) -> list[str]:
    """The part's column to adjust by, if any."""
    return [] if adjust is None else [name for name in (adjust.close, adjust.factor) if name is not None]


class _Finder:
    """Looks our names up among a part's columns."""

    def __init__(self, feed: TableFeed, part: Part, names: list[str]) -> None:
        self._feed, self._part, self._names = feed, part, names
        self._lower: dict[str, str] = {}
        for name in names:
            self._lower.setdefault(name.lower(), name)
        for ours, theirs in feed.columns.items():
            if theirs not in names:
                raise DataError(
                    f"{part.label} has no column {theirs!r}, which columns says is {ours} "
                    f"({did_you_mean(theirs, names)})."
                )
        named = _adjusting(feed.adjust)
        if named and feed.kind != "bar":
            raise ConfigError(f'adjust is for bars, not for kind = "{feed.kind}": leave it out.')
        for name in named:
            if name not in names:
                raise DataError(f"{part.label} has no column {name!r} to adjust by ({did_you_mean(name, names)}).")

    def __call__(self, ours: str) -> str | None:
        if ours in self._feed.columns:
            return self._feed.columns[ours]
        taken = set(self._feed.columns.values())
        found = (self._lower.get(alias) for alias in _ALIASES.get(ours, (ours,)))
        return next((name for name in found if name is not None and name not in taken), None)

    def features(self, used: Iterable[str | None], canonical: frozenset[str]) -> dict[str, str]:
        """The further columns, by our names. Partition keys of folders count only where they are asked for."""
        renamed = {theirs: ours for ours, theirs in self._feed.columns.items() if ours not in ("ts", "instrument")}
        wanted = self._feed.features
        if wanted is None:
            keys = set(getattr(self._part, "keys", ()))
            kept = [name for name in self._names if name not in set(used) and (name not in keys or name in renamed)]
            return {renamed.get(name, name): name for name in kept}
        found = {}
        for name in wanted:
            theirs = self._feed.columns.get(name, name)
            if theirs not in self._names:
                raise DataError(
                    f"{self._part.label} has no column {name!r}, which features asks for "
                    f"({did_you_mean(name, self._names)})."
                )
            if name not in canonical:
                found[name] = theirs
        return found
