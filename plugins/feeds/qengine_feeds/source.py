"""An opened feed of tables: what it holds, and passes over its blocks in bounded memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import numpy as np
import pyarrow as pa

from qengine_core.blocks import BLOCK_ROWS, Block, StreamInfo
from qengine_core.plugin import ConfigError, DataError, Instrument, Phase, did_you_mean
from qengine_feeds.ahead import ReadAhead
from qengine_feeds.checks import Checks
from qengine_feeds.components import Detail, SyntheticFeed, TableFeed
from qengine_feeds.features import Columns
from qengine_feeds.layout import Layout, Rows
from qengine_feeds.merging import Opener, Run, concatenate, cut, merge, sort_by_time
from qengine_feeds.parts import FramePart, ParquetPart, Part
from qengine_feeds.stamps import Stamps, instant_ns, interval_ns, readable

__all__ = ["TableSource", "instruments_of", "open_tables"]

# Rows read at once, over all files that are open together, but never fewer than a block of each.
_BATCH_ROWS = 1 << 18
# Of a frame, which is in memory, a batch costs but its stamps and instruments; what is left of it after the last whole
# block is copied.
_FRAME_ROWS = 1 << 20
# A thread costs more than it brings for a few blocks, and for many files open together what it has read ahead would
# double the memory.
_AHEAD_ROWS = 1 << 18
_AHEAD_FILES = 8
_AHEAD_BATCHES = 2
# Threads that look at files as a feed is opened. Each holds a column of one.
_LOOKERS = 4
_SORTED_IN_MEMORY_ROWS = 5_000_000
# A part that may have to be sorted is read once if it has no more rows, or its share of them beside others that are
# open; else its stamps are first.
_HELD_ROWS = 1_000_000
_EARLIEST = int(np.iinfo(np.int64).min)
_LATEST = int(np.iinfo(np.int64).max)


def open_tables(feed: TableFeed, name: str, parts: Sequence[Part]) -> TableSource:
    """Find columns and instruments of every part. Raises DataError or ConfigError."""
    stamps = Stamps.of(feed)
    layouts = [Layout.of(feed, part) for part in parts]
    for layout in layouts[1:]:
        if layout.columns != layouts[0].columns:
            raise DataError(
                f"{layout.part.label} gives the columns {', '.join(layout.columns)}, but {layouts[0].part.label} "
                f"{', '.join(layouts[0].columns)}: all files of a feed need the same; say which with features."
            )
    counts = [layout.part.count(layout.ts) for layout in layouts]
    checks = Checks(feed.kind, feed.validate, ())
    for layout, count in zip(layouts, counts, strict=True):
        if not count:
            checks.found("empty", f"{layout.part.label} is empty: expected at least one row of data")
    checks.report()
    held = [(layout, count) for layout, count in zip(layouts, counts, strict=True) if count]
    with ThreadPoolExecutor(_LOOKERS) as pool:
        each = pool.map if len(held) > 1 else map
        found = list(each(_names, [layout for layout, _ in held]))
        names = _chosen(feed, sorted(set().union(*found)))
        first = list(each(lambda table: _first_instant(table[0], stamps, names), held))
    tables = [
        _Table(layout=layout, rows=rows, several=len(own) > 1, first=instant, starts_earliest=is_earliest)
        for (layout, rows), own, (instant, is_earliest) in zip(held, found, first, strict=True)
    ]
    filtered = feed.instruments is not None or feed.start is not None or feed.end is not None
    info = StreamInfo(
        kind=feed.kind,
        columns=layouts[0].columns,
        instruments=instruments_of(feed, names, feed.details),
        rows=None if filtered else sum(counts),
        phase=Phase.SIGNAL if feed.kind == "signal" else Phase.MARKET_DATA,
        interval=interval_ns(feed.interval, "interval") if feed.kind == "bar" and feed.interval else 0,
        description=_description(feed, name, stamps, tables),
    )
    return TableSource(feed, info, stamps, tables)


@attrs.frozen(kw_only=True)
class _Table:
    """One part with rows: its layout, how many, whether of several instruments, and the instant of its first row.

    ``starts_earliest`` is true where no row is known to be earlier than that.
    """

    layout: Layout
    rows: int
    several: bool
    first: int
    starts_earliest: bool


class TableSource:
    """What ``open`` of a feed of tables returns. ``blocks`` can be called any number of times."""

    def __init__(self, feed: TableFeed, info: StreamInfo, stamps: Stamps, tables: Sequence[_Table]) -> None:
        self.info = info
        self._feed, self._stamps, self._tables = feed, stamps, tables
        self._names = [instrument.name for instrument in info.instruments]
        self._ranks = {name: rank for rank, name in enumerate(self._names)}
        self._start = _EARLIEST if feed.start is None else instant_ns(feed.start, "start")
        self._end = _LATEST if feed.end is None else instant_ns(feed.end, "end")

    def blocks(self, stream: int, codes: Mapping[str, int]) -> Iterator[Block]:
        """Yield the rows in time order, those of equal time by instrument's name. Raises DataError."""
        Checks(self._feed.kind, self._feed.validate, ()).prepare()
        return self._blocks(stream, codes)

    def _blocks(self, stream: int, codes: Mapping[str, int]) -> Iterator[Block]:
        lookup = np.array([codes[name] for name in self._names], np.int32)
        as_ranked = np.array_equal(lookup, np.arange(len(lookup)))
        reading = _Pass(self._feed, self._names, self._tables)
        try:
            for run in cut(self._runs(reading), BLOCK_ROWS):
                ordered = self._in_order(run, reading.checks)
                instrument = ordered.rank if as_ranked else lookup[ordered.rank]
                columns: Mapping[str, Any] = ordered.columns
                if ordered.features is not None:
                    columns = Columns(self.info.columns, ordered.columns, ordered.features)
                yield Block(stream, ordered.ts, instrument, columns, is_sorted=True)  # as ``_Looker`` saw, or sorted
        finally:
            reading.close()

    def _runs(self, reading: _Pass) -> Iterator[Run]:
        """All rows by time, in runs of any length."""
        heads: list[tuple[int, Opener]] = []
        for table in self._tables:
            sorts = self._sorts(table)
            # Where the first row is known to be the earliest, it is soon enough to look at the others in its turn.
            if sorts is None and not table.starts_earliest:
                sorts = self._goes_back(table)

            def runs(others: int, table: _Table = table, sorts: bool | None = sorts) -> Iterator[Run]:
                is_held = sorts is None and (others + 1) * table.rows <= _HELD_ROWS
                if sorts is None and not is_held:
                    # The thread that reads ahead does one thing after the other: it looks at stamps before it reads.
                    decide = reading.result_of(lambda: self._goes_back(table))
                else:
                    decide = functools.partial(bool, sorts)
                looker = _Looker(self, table, decide, is_held, reading)
                return self._runs_of(looker, reading.batches(table, is_held, others))

            heads.append((_EARLIEST if sorts else table.first, runs))
        return heads[0][1](0) if len(heads) == 1 else merge(heads)

    def _runs_of(self, looker: _Looker, batches: Iterator[_Batch]) -> Iterator[Run]:
        """One part: run by run if it is in time order, else whole and sorted; of equal times, as they came."""
        runs: Iterable[Run] = map(Run.of, looker.rows(batches))
        if looker.is_held:
            runs = list(runs)
        if not looker.sorts():
            yield from runs
        elif held := list(runs):
            whole = concatenate(held)
            if self._feed.sort is None:
                self._check_each_instrument(looker.table, whole, looker.checks)
            yield sort_by_time(whole)

    def _read(self, layout: Layout) -> Iterator[Rows]:
        """A part's rows, by themselves: for looking at some of its columns."""
        for first, batch in _Reader(layout, _BATCH_ROWS).batches(set()):
            yield layout.rows(batch, first, self._stamps, self._ranks, set())

    def rows(self, table: _Table, batch: _Batch, wanted: set[str]) -> Rows:
        """The rows of a batch; a feature that somebody reads is noted as ``wanted``."""
        return table.layout.rows(batch[1], batch[0], self._stamps, self._ranks, wanted)

    def is_after_end(self, rows: Rows) -> bool:
        """Whether no row, nor any later one, is before the feed's end."""
        return bool(rows.ts[0] >= self._end)

    def kept(self, rows: Rows) -> Rows:
        """The rows that the feed's start, end and instruments let through."""
        keep = None
        if self._feed.instruments is not None and rows.rank.min() < 0:
            keep = rows.rank >= 0
        if self._feed.start is not None or self._feed.end is not None:
            inside = (rows.ts >= self._start) & (rows.ts < self._end)
            keep = inside if keep is None else keep & inside
        return rows if keep is None or keep.all() else rows.where(keep)

    def _sorts(self, table: _Table) -> bool | None:
        """Whether to sort a part in memory: on request, or (None) if it goes back, being small and of several."""
        if self._feed.sort is not None:
            return self._feed.sort
        return None if table.several and table.rows <= _SORTED_IN_MEMORY_ROWS else False

    def _goes_back(self, table: _Table) -> bool:
        """Whether a part is not in time order."""
        last = _EARLIEST
        for rows in self._read(attrs.evolve(table.layout.bare, instrument=None)):
            if rows.ts[0] < last or np.any(rows.ts[1:] < rows.ts[:-1]):
                return True
            last = int(rows.ts[-1])
        return False

    def refuse_disorder(self, table: _Table, before: Rows | None, rows: Rows) -> None:
        """Time must not go back within a part that is streamed, whatever ``validate`` says."""
        back = rows.ts[1:] < rows.ts[:-1]
        if before is not None and rows.ts[0] < before.ts[-1]:
            row, above, rank_above = 0, int(before.ts[-1]), int(before.rank[-1])
        elif back.any():
            row = int(np.argmax(back)) + 1
            above, rank_above = int(rows.ts[row - 1]), int(rows.rank[row - 1])
        else:
            return
        where = f"{rows.part.label}, row {rows.number(row)}, column {table.layout.ts}"
        times = f"{readable(int(rows.ts[row]))} comes after {readable(above)} in the row above"
        if rows.rank[row] != rank_above:
            raise DataError(
                f"{where}: {times}, where another instrument begins: the file is sorted by instrument, not by time, "
                f"and has more than {_SORTED_IN_MEMORY_ROWS:,} rows or says sort = false; sort it by time, or say "
                "sort = true to have it sorted in memory."
            )
        raise DataError(
            f"{where}, instrument {self._name(rows, row)}: {times}, but stamps must not go back; sort the file by "
            "time, or say sort = true to have it sorted in memory."
        )

    def _check_each_instrument(self, table: _Table, run: Run, checks: Checks) -> None:
        """Sorting a file by time is right only if it was sorted within each instrument."""
        order = np.argsort(run.rank, kind="stable")
        ts, rank = run.ts[order], run.rank[order]
        wrong = np.flatnonzero((ts[1:] < ts[:-1]) & (rank[1:] == rank[:-1])) + 1
        if len(wrong):
            row = int(wrong[0])
            (place, *_) = self._places(int(ts[row]), int(rank[row])) or [table.layout.part.label]
            checks.found(
                "stamps of an instrument that go back",
                f"{place}, column {table.layout.ts}, instrument {self._names[rank[row]]}: {readable(int(ts[row]))} "
                f"comes after {readable(int(ts[row - 1]))}, but the stamps of an instrument must not go back",
                len(wrong),
            )

    def _in_order(self, run: Run, checks: Checks) -> Run:
        """Rows of equal time by instrument's name; two bars of one instrument at one time are refused."""
        if run.differ or (len(self._names) == 1 and self._feed.kind != "bar"):
            return run
        tied = run.ts[1:] == run.ts[:-1]
        if not tied.any():
            return run
        if np.any(tied & (run.rank[1:] < run.rank[:-1])):
            run = run.take(np.lexsort((run.rank, run.ts)))
        if self._feed.kind == "bar" and self._feed.validate != "off":
            twice = np.flatnonzero(tied & (run.rank[1:] == run.rank[:-1]))
            if len(twice):
                row = int(twice[0])
                places = self._places(int(run.ts[row]), int(run.rank[row]))
                checks.found(
                    "duplicate stamps",
                    f"{' and '.join(places[:2])}: instrument {self._names[run.rank[row]]} has two bars at "
                    f"{readable(int(run.ts[row]))}, but expected one",
                    len(twice),
                )
        return run

    def _places(self, ts: int, rank: int) -> list[str]:
        """Where the rows of one instant and instrument are: found by reading again, as only errors need it."""
        places = []
        for table in self._tables:
            for rows in self._read(table.layout.bare):
                same = np.flatnonzero((rows.ts == ts) & (rows.rank == rank))
                places += [f"{rows.part.label}, row {rows.number(int(row))}" for row in same]
        return places

    def _name(self, rows: Rows, row: int) -> str:
        return self._names[rows.rank[row]] if rows.rank[row] >= 0 else "(left out)"


# A batch of a part, and the part's row that is its first.
_Batch = tuple[int, pa.RecordBatch]


class _Looker:
    """Makes rows of a part's batches, and looks whether they can be right.

    Of a part that ``is_held``, that is read as a whole before anything is done with it, this also finds out whether
    it has to be sorted; of others ``sorts`` is known before.
    """

    def __init__(
        self, source: TableSource, table: _Table, sorts: Callable[[], bool], is_held: bool, reading: _Pass
    ) -> None:
        self.table, self.is_held, self.checks = table, is_held, reading.checks
        self._source, self._wanted, self._sorts = source, reading.wanted, sorts
        self._goes_back = False

    def sorts(self) -> bool:
        """Whether the part is to be sorted; of one that is held, once all of it has been looked at."""
        return self._goes_back if self.is_held else self._sorts()

    def rows(self, batches: Iterator[_Batch]) -> Iterator[Rows]:
        """The rows that the feed lets through. Raises DataError for what cannot be right, or notes it."""
        source, before = self._source, None
        for batch in batches:
            rows = source.rows(self.table, batch, self._wanted)
            is_sound, is_ordered, rows.differ = self.checks.look(rows)
            is_ordered = is_ordered and (before is None or bool(rows.ts[0] >= before.ts[-1]))
            self._goes_back |= not is_ordered
            if not self.is_held and not self._sorts():
                if not is_ordered:
                    source.refuse_disorder(self.table, before, rows)
                if source.is_after_end(rows):
                    return
            before, kept = rows, source.kept(rows)
            if not len(kept):
                continue
            if not is_sound:
                self.checks.values(kept)
            yield kept


class _Pass:
    """One pass over a feed: its checks, the features that somebody has asked for, and what reads ahead."""

    def __init__(self, feed: TableFeed, names: Sequence[str], tables: Sequence[_Table]) -> None:
        self.checks = Checks(feed.kind, feed.validate, names)
        self.wanted: set[str] = set()
        rows = sum(table.rows for table in tables if not isinstance(table.layout.part, FramePart))
        self._ahead = ReadAhead() if rows >= _AHEAD_ROWS else None

    def batches(self, table: _Table, is_held: bool, others: int) -> Iterator[_Batch]:
        """A part's batches (one, if it is held), while so many others are open; read ahead, if at all, from now on."""
        most = _FRAME_ROWS if isinstance(table.layout.part, FramePart) else _BATCH_ROWS
        rows = table.rows if is_held else max(BLOCK_ROWS, most // max(1, others))
        reader = _Reader(table.layout, rows)
        if self._ahead is None or others >= _AHEAD_FILES:
            return reader.batches(self.wanted)
        return self._ahead.items(lambda: functools.partial(reader.next, frozenset(self.wanted)), _AHEAD_BATCHES)

    def result_of(self, function: Callable[[], bool]) -> Callable[[], bool]:
        """What a function returns; it is called ahead of time, if anything is."""
        return function if self._ahead is None else self._ahead.result_of(function)

    def close(self) -> None:
        """Stop reading, and warn of what was found wrong in the rows that were delivered."""
        if self._ahead is not None:
            self._ahead.close()
        self.checks.report()


class _Reader:
    """Reads a part batch by batch. Of a part whose columns can be read apart, with the features wanted by then."""

    def __init__(self, layout: Layout, rows: int) -> None:
        self._layout, self._rows = layout, rows
        self._wanted: frozenset[str] | None = None
        self._open: Iterator[pa.RecordBatch]
        self._first = 0

    def batches(self, wanted: Set[str]) -> Iterator[_Batch]:
        """All that are left, ``wanted`` as it is at each."""
        while (batch := self.next(frozenset(wanted))) is not None:
            yield batch

    def next(self, wanted: frozenset[str]) -> _Batch | None:
        """The next one that has rows; None after the last."""
        if wanted != self._wanted:
            self._reopen(wanted)
        for batch in self._open:
            if len(batch):
                first, self._first = self._first, self._first + len(batch)
                return first, batch
        return None

    def _reopen(self, wanted: frozenset[str]) -> None:
        layout, part = self._layout, self._layout.part
        text = [layout.instrument] if layout.instrument is not None else []
        if isinstance(part, ParquetPart):
            self._open = part.batches(layout.needed(wanted), self._rows, text, self._first)
        elif self._wanted is None:  # the others have all features in each batch
            self._open = part.batches(layout.needed(()), self._rows, text)
        self._wanted = wanted


def _names(layout: Layout) -> set[str]:
    """The instruments of a part."""
    if layout.instrument is None:
        return {layout.name}
    kind = layout.part.schema.field(layout.instrument).type
    if not (pa.types.is_integer(kind) or pa.types.is_dictionary(kind) or "string" in str(kind)):
        raise DataError(
            f"{layout.part.label}, column {layout.instrument}: instruments must be text or whole numbers, not {kind}: "
            "convert the column, or map another with columns."
        )
    found = layout.part.names(layout.instrument)
    if None in found:
        found.remove(None)  # the row is named when it is read
    return {str(name) for name in found}


def _chosen(feed: TableFeed, found: list[str]) -> list[str]:
    """The instruments to deliver, by name."""
    if feed.instruments is None:
        return found
    for name in feed.instruments:
        if name not in found:
            raise DataError(f"There is no instrument {name!r} in the data ({did_you_mean(name, found)}).")
    return sorted(set(feed.instruments))


def _first_instant(layout: Layout, stamps: Stamps, names: Sequence[str]) -> tuple[int, bool]:
    """The instant of a part's first row, and whether the part itself says that none is earlier.

    Reading it also shows early whether the columns can be read at all.
    """
    layout = layout.doubtful
    batch = next(batch for batch in layout.part.batches(layout.needed(()), 1) if len(batch))
    rows = layout.rows(batch, 0, stamps, {name: rank for rank, name in enumerate(names)}, set())
    part = layout.part
    return int(rows.ts[0]), isinstance(part, ParquetPart) and part.is_lowest(layout.ts, batch.column(layout.ts))


_DETAILS = ("currency", "multiplier", "tick_size", "lot_size")


def instruments_of(
    feed: TableFeed | SyntheticFeed, names: Sequence[str], details: Mapping[str, Detail]
) -> tuple[Instrument, ...]:
    """The instruments with what the feed says about all and about single ones. Raises ConfigError."""
    common = {name: getattr(feed, name) for name in _DETAILS}
    for name, detail in details.items():
        if name not in names:
            raise ConfigError(
                f"details names an instrument {name!r} that the feed lacks ({did_you_mean(name, names)})."
            )
        for key, value in detail.items():
            if key not in _DETAILS:
                raise ConfigError(f"details.{name} has no setting {key!r} ({did_you_mean(key, _DETAILS)}).")
            if not _is_possible(key, value):
                expected = (
                    "text" if key == "currency" else "a number above 0" if key == "multiplier" else "a number >= 0"
                )
                raise ConfigError(f"details.{name}.{key} must be {expected}, not {value!r}.")
    return tuple(Instrument(**{"name": name, **common, **details.get(name, {})}) for name in names)


def _is_possible(key: str, value: str | float) -> bool:
    if key == "currency" or isinstance(value, str):
        return key == "currency" and isinstance(value, str)
    return value > 0 if key == "multiplier" else value >= 0


class Description(Mapping[str, Any]):
    """What the manifest says about the data, as a mapping of plain values.

    Content hashes cost as much as reading, so they are made when the description is first read: a run that writes
    no manifest does not pay. A file that has changed since it was opened is refused then.
    """

    def __init__(self, known: dict[str, Any], tables: Sequence[_Table]) -> None:
        self._said: dict[str, Any] = {**known, "files": None}
        self._tables = tables
        self._states = [table.layout.part.state() for table in tables]

    def __getitem__(self, key: str) -> Any:
        if key == "files" and self._said["files"] is None:
            self._said["files"] = [self._file(table, state) for table, state in self._pairs()]
        return self._said[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._said)

    def __len__(self) -> int:
        return len(self._said)

    def __repr__(self) -> str:
        return f"Description({self._said!r})"

    def _pairs(self) -> Iterator[tuple[_Table, object]]:
        return zip(self._tables, self._states, strict=True)

    @staticmethod
    def _file(table: _Table, state: object) -> dict[str, Any]:
        part = table.layout.part
        if part.state() != state:
            raise DataError(f"{part.label} has changed since it was opened: run again, with nobody writing to it.")
        return {"path": part.label, "rows": table.rows, "sha256": part.digest()}


def _description(feed: TableFeed, name: str, stamps: Stamps, tables: Sequence[_Table]) -> Description:
    """What the manifest says about the data: how it was read, where it starts, and its files."""
    said: dict[str, Any] = {"feed": name, "kind": feed.kind, "stamps": stamps.describe()}
    path = getattr(feed, "path", None)
    if path is not None:
        said["path"] = str(path)
    if feed.adjust is not None:
        adjust = feed.adjust
        said["adjusted"] = {"close": adjust.close, "factor": adjust.factor, "volume": adjust.volume}
    said |= {"validate": feed.validate, "first_ts": min((table.first for table in tables), default=None)}
    return Description(said, tables)
