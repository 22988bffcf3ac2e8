"""Puts rows in the one order: by time, then by instrument's name, then as they came. It reads no file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_feeds.features import Features, Joined
from qengine_feeds.layout import Rows

__all__ = ["Run", "concatenate", "cut", "merge", "sort_by_time"]


class Run:
    """Rows without a source any more: instants, ranks, columns and features, ready to be cut into blocks.

    ``differ`` says that each instant is known to be later than the one before.
    """

    __slots__ = ("columns", "differ", "features", "rank", "ts")

    def __init__(
        self,
        ts: npt.NDArray[np.int64],
        rank: npt.NDArray[np.int32],
        columns: dict[str, npt.NDArray[Any]],
        features: Features | None = None,
        differ: bool = False,
    ) -> None:
        self.ts, self.rank, self.columns, self.features, self.differ = ts, rank, columns, features, differ

    def __len__(self) -> int:
        return len(self.ts)

    @classmethod
    def of(cls, rows: Rows) -> Run:
        return cls(rows.ts, rows.rank, rows.columns, rows.features, rows.differ)

    def slice(self, start: int, stop: int) -> Run:
        """Rows from ``start`` to before ``stop``, as views."""
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        features = None if self.features is None else self.features.slice(start, stop)
        return Run(self.ts[start:stop], self.rank[start:stop], columns, features, self.differ)

    def take(self, order: npt.NDArray[np.intp]) -> Run:
        """The rows in another order, as copies."""
        columns = {name: values[order] for name, values in self.columns.items()}
        features = None if self.features is None else self.features.take(order)
        return Run(self.ts[order], self.rank[order], columns, features)


# What opens a source, told how many are open already. It may begin to read at once.
Opener = Callable[[int], Iterator[Run]]


def merge(heads: Sequence[tuple[int, Opener]]) -> Iterator[Run]:
    """Merge time-sorted sources into one time-sorted sequence, holding about one batch of each open one.

    Each source is the instant that it does not start before, and what opens it: a source is opened only when the
    others have come that far, so files that follow one another in time are read one by one. The next one begins
    to be read a little earlier.
    """
    waiting = sorted(range(len(heads)), key=lambda i: heads[i][0])
    open_: list[_Head] = []
    following: Iterator[Run] | None = None
    while waiting or open_:
        while waiting and (not open_ or heads[waiting[0]][0] <= min(head.last for head in open_)):
            index = waiting.pop(0)
            head = _Head(index, heads[index][1](len(open_)) if following is None else following)
            following = None
            if head.advance():
                open_.append(head)
        if not open_:
            continue
        if waiting and following is None:
            following = heads[waiting[0]][1](len(open_))
        limit = min(head.last for head in open_)
        # In the order of the sources, so that what else is equal stays as the files are listed.
        taken = [head.take_until(limit) for head in sorted(open_, key=lambda head: head.index)]
        taken = [run for run in taken if len(run)]
        yield taken[0] if len(taken) == 1 else sort_by_time(concatenate(taken))
        open_ = [head for head in open_ if len(head.run) or head.advance()]


class _Head:
    """Where one source stands: a run that ends with the last row of its last instant."""

    def __init__(self, index: int, runs: Iterator[Run]) -> None:
        self.index = index
        self._runs = _whole_instants(runs)
        self.run: Run

    @property
    def last(self) -> int:
        return int(self.run.ts[-1])

    def advance(self) -> bool:
        run = next(self._runs, None)
        if run is None:
            return False
        self.run = run
        return True

    def take_until(self, limit: int) -> Run:
        stop = int(np.searchsorted(self.run.ts, limit, side="right"))
        taken, self.run = self.run.slice(0, stop), self.run.slice(stop, len(self.run))
        return taken


def _whole_instants(runs: Iterator[Run]) -> Iterator[Run]:
    """The same rows, cut so that no instant is in two runs: only those of an instant that was cut are copied."""
    held: Run | None = None  # its last instant may go on
    for run in runs:
        if not len(run):
            continue
        if held is not None and run.ts[0] > held.ts[-1]:
            yield held
        elif held is not None:
            first = int(np.searchsorted(held.ts, held.ts[-1]))
            if first:
                yield held.slice(0, first)
            stop = int(np.searchsorted(run.ts, run.ts[0], side="right"))
            held = concatenate([held.slice(first, len(held)), run.slice(0, stop)])
            if stop == len(run):
                continue
            yield held
            run = run.slice(stop, len(run))
        held = run
    if held is not None:
        yield held


def concatenate(runs: Sequence[Run]) -> Run:
    """The runs one after another."""
    if len(runs) == 1:
        return runs[0]
    columns = {name: np.concatenate([run.columns[name] for run in runs]) for name in runs[0].columns}
    features = [run.features for run in runs if run.features is not None]
    return Run(
        np.concatenate([run.ts for run in runs]),
        np.concatenate([run.rank for run in runs]),
        columns,
        Joined(features) if features else None,
    )


def sort_by_time(run: Run) -> Run:
    """Stable; without a copy if the run is in order already."""
    back = np.flatnonzero(run.ts[1:] < run.ts[:-1]) + 1
    if not len(back):
        return run
    return _interleaved(run, back) or run.take(np.argsort(run.ts, kind="stable"))


def _interleaved(run: Run, back: npt.NDArray[np.intp]) -> Run | None:
    """Dense cross-sections are a reshape, not a sort: series one after another that share all their instants."""
    count, rest = len(back) + 1, len(run) % (len(back) + 1)
    length = len(run) // count
    if rest or not np.array_equal(back, np.arange(length, len(run), length)):
        return None
    instants = run.ts.reshape(count, length)
    if np.any(instants[1:] != instants[0]) or np.any(instants[0, 1:] == instants[0, :-1]):
        return None

    def turned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values.reshape(count, length).T.ravel()

    columns = {name: turned(values) for name, values in run.columns.items()}
    features = None if run.features is None else run.features.take(turned(np.arange(len(run))))
    return Run(np.repeat(instants[0], count), turned(run.rank), columns, features)


def cut(runs: Iterator[Run], rows: int) -> Iterator[Run]:
    """Cut time-sorted runs into pieces of about ``rows`` rows.

    A piece has at most ``rows`` rows unless one instant alone has more, and never splits an instant. Views
    where possible: only a piece that spans two runs is a copy, and what a run leaves is completed by the next one only
    if both are short, less than an eighth of a piece, or its last instant goes on.
    """
    held: list[Run] = []  # what does not make a certain piece yet
    count = 0
    for run in runs:
        start = 0
        is_long = 8 * max(count, len(run)) >= rows
        if count and len(run) and is_long and run.ts[0] > held[-1].ts[-1]:
            yield concatenate(held)
            held, count = [], 0
        while count and start < len(run):
            # One more row than fits shows whether the last that fits ends its instant.
            stop = min(len(run), start + (rows + 1 - count if count <= rows else rows))
            held.append(run.slice(start, stop))
            count += stop - start
            if count > rows:
                pieces, rest = _whole_pieces(concatenate(held), rows)
                yield from pieces
                held, count = [rest], len(rest)
                if pieces and len(rest) <= stop - start:  # go on with views of this run alone
                    held, count, stop = [], 0, stop - len(rest)
            start = stop
        if start < len(run):
            pieces, rest = _whole_pieces(run.slice(start, len(run)), rows)
            yield from pieces
            held, count = [rest], len(rest)
    if count:
        pieces, rest = _whole_pieces(concatenate(held), rows)
        yield from pieces
        yield rest


def _whole_pieces(run: Run, rows: int) -> tuple[list[Run], Run]:
    """Pieces off the front whose ends are certain, and the rest."""
    pieces = []
    start = 0
    while len(run) - start > rows:
        stop = start + rows
        if run.ts[stop] == run.ts[stop - 1]:
            first = int(np.searchsorted(run.ts, run.ts[stop]))
            stop = first if first > start else int(np.searchsorted(run.ts, run.ts[stop], side="right"))
            if stop == len(run):
                break  # the instant may go on in the next run
        pieces.append(run.slice(start, stop))
        start = stop
    return pieces, run.slice(start, len(run))
