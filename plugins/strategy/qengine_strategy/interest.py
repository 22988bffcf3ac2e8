"""Which rows of a stream a strategy wants: all of them, of some instruments, every so often."""

from __future__ import annotations

import re
from typing import NoReturn

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_core.plugin import BAR, QUOTE, SIGNAL, TRADE, ConfigError, did_you_mean
from qengine_strategy.dense import instant_ends

__all__ = ["CALLBACKS", "Interest", "interests_of", "overrides", "refuse_unheard"]

CALLBACKS = {BAR: "on_bar", TRADE: "on_trade", QUOTE: "on_quote", SIGNAL: "on_signal"}

_UNITS = {"s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000}
_CALENDAR = {"day": "datetime64[D]", "month": "datetime64[M]", "year": "datetime64[Y]"}


def overrides(strategy: object, base: type, method: str) -> bool:
    """Whether a strategy has a callback of its own, in place of its base class's."""
    return getattr(type(strategy), method) is not getattr(base, method)


def interests_of(strategy: object, base: type) -> dict[str, Interest]:
    """A strategy wants what it overrides, by kind. Raises ConfigError for bars that are wanted in two ways."""
    in_slices = overrides(strategy, base, "on_slice")
    if in_slices and overrides(strategy, base, "on_bar"):
        raise ConfigError(f"Strategy {type(strategy).__name__} overrides both on_bar and on_slice: choose one.")
    found = {kind: Interest(False) for kind, method in CALLBACKS.items() if overrides(strategy, base, method)}
    return found | ({BAR: Interest(True)} if in_slices else {})


def refuse_unheard(strategy: object, kind: str) -> NoReturn:
    """A strategy subscribes to what it does not listen to. Raises ConfigError that says what to override."""
    what = f"override {CALLBACKS[kind]} to receive it" if kind in CALLBACKS else did_you_mean(kind, CALLBACKS)
    raise ConfigError(f"Strategy {type(strategy).__name__} subscribes to {kind!r} without listening: {what}.")


@attrs.define(eq=False)
class Interest:
    """The wanted rows of one kind of event, computed once per block in numpy. Streams are counted apart.

    ``codes`` narrows to instruments. ``every`` is None, a number N (each N-th row or timestamp), a period
    ("day", "week", "month", "year": the first row or timestamp of each, in UTC), or a duration ("30s",
    "5m", "1h", "2d": the first of each such interval since the epoch). ``every`` begins to count after
    ``since`` (None: with the first row there is). With ``crossing`` the wanted rows are those that reach a level that
    the strategy watches, which only it knows.
    """

    slices: bool
    codes: frozenset[int] | None = None
    every: int | str | None = None
    since: int | None = None
    crossing: bool = False
    _seen: dict[int, int] = attrs.field(factory=dict, init=False)
    _last_period: dict[int, int] = attrs.field(factory=dict, init=False)
    _key: object = attrs.field(factory=object, init=False)  # in the cache of blocks, which must not hold this
    _block: Block | None = attrs.field(default=None, init=False)
    _rows: list[int] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        every = self.every
        if self.crossing and (self.slices or every is not None or self.codes is not None):
            raise ConfigError("crossing goes with on_bar, on_trade and on_quote, and without instruments= and every=.")
        if isinstance(every, int) and (isinstance(every, bool) or every < 1):
            raise ConfigError(f"every must be at least 1, not {every!r}.")
        if every is not None and not isinstance(every, int):
            _period_of(np.zeros(1, dtype=np.int64), every)

    def rows(self, block: Block) -> list[int] | None:
        """The wanted rows of a block, ascending (a list, because few are looked up at a time); None for all."""
        if block is not self._block:
            key = (self._key, list)
            if key not in block.cache:
                chosen = self.chosen(block)
                block.cache[key] = None if chosen is None else chosen.tolist()
            self._block, self._rows = block, block.cache[key]
        return self._rows

    def chosen(self, block: Block) -> npt.NDArray[np.int64] | None:
        """The same as an array."""
        # Streams take turns, so a block may be left and come back to; its rows are counted once.
        if self._key not in block.cache:
            block.cache[self._key] = self._select(block)
        found: npt.NDArray[np.int64] | None = block.cache[self._key]
        return found

    def _select(self, block: Block) -> npt.NDArray[np.int64] | None:
        rows = self._named(block)
        if self.every is None or self.every == 1:
            return rows
        if rows is None:
            if isinstance(self.every, int) and self.since is None:
                return np.arange(self._first_nth(block, len(block)), len(block), self.every)
            rows = np.arange(len(block))
        if self.since is not None:
            rows = rows[block.ts[rows] > self.since]
        return self._each_nth(block, rows) if isinstance(self.every, int) else self._each_first(block, rows)

    def _named(self, block: Block) -> npt.NDArray[np.int64] | None:
        """Rows of the instruments asked for: for slices, the last row of each timestamp that has one of them."""
        ends = instant_ends(block) if self.slices else None
        if self.codes is None:
            return ends
        rows = np.flatnonzero(np.isin(block.instrument, np.array(sorted(self.codes), dtype=np.int32)))
        wanted: npt.NDArray[np.int64] = rows if ends is None else ends[np.unique(ends.searchsorted(rows))]
        return wanted

    def _each_nth(self, block: Block, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return rows[self._first_nth(block, len(rows)) :: self.every]

    def _first_nth(self, block: Block, count: int) -> int:
        """The first of ``count`` rows that is an N-th one, counted on from the block before."""
        assert isinstance(self.every, int)
        seen = self._seen.get(block.stream, 0)
        self._seen[block.stream] = seen + count
        return self.every - 1 - seen % self.every

    def _each_first(self, block: Block, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if not len(rows):
            return rows
        periods = _period_of(block.ts[rows], self.every)
        last = self._last_period.get(block.stream, int(periods[0]) - 1)
        self._last_period[block.stream] = int(periods[-1])
        before = np.concatenate(([last], periods))
        begins: npt.NDArray[np.int64] = rows[before[1:] != before[:-1]]
        return begins


def _period_of(ts: npt.NDArray[np.int64], every: object) -> npt.NDArray[np.int64]:
    """A number that changes when a new period begins."""
    if not isinstance(every, str):
        raise ConfigError(f"every must be a whole number or text like 'month' or '5m', not {every!r}.")
    if every in _CALENDAR:
        return ts.view("datetime64[ns]").astype(_CALENDAR[every]).astype(np.int64)
    if every == "week":
        return (ts // _UNITS["d"] + 3) // 7  # 1970-01-01 was a Thursday; weeks begin on Monday
    match = re.fullmatch(r"([1-9]\d*)([smhd])", every)
    if match is None:
        raise ConfigError(f"every must be a number, 'day', 'week', 'month', 'year' or like '5m', not {every!r}.")
    return ts // (int(match[1]) * _UNITS[match[2]])
