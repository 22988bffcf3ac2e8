"""Which rows of a stream a strategy wants: all of them, of some instruments, every so often."""

from __future__ import annotations

import re

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_core.plugin import ConfigError
from qengine_strategy.dense import instant_ends

__all__ = ["Interest"]

_UNITS = {"s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000}
_CALENDAR = {"day": "datetime64[D]", "month": "datetime64[M]", "year": "datetime64[Y]"}


@attrs.define
class Interest:
    """The wanted rows of one kind of event, computed once per block in numpy.

    ``codes`` narrows to instruments. ``every`` is None, a number N (each N-th row or timestamp), a period
    ("day", "week", "month", "year": the first row or timestamp of each, in UTC), or a duration ("30s",
    "5m", "1h", "2d": the first of each such interval since the epoch).
    """

    slices: bool
    codes: frozenset[int] | None = None
    every: int | str | None = None
    _seen: int = attrs.field(default=0, init=False)
    _last_period: int | None = attrs.field(default=None, init=False)
    _block: Block | None = attrs.field(default=None, init=False)
    _rows: npt.NDArray[np.int64] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        every = self.every
        if isinstance(every, int) and (isinstance(every, bool) or every < 1):
            raise ConfigError(f"every must be at least 1, not {every!r}.")
        if isinstance(every, str):
            _period_of(np.zeros(1, dtype=np.int64), every)

    def rows(self, block: Block) -> npt.NDArray[np.int64] | None:
        """The wanted rows of a block, ascending; None for all of them."""
        if block is not self._block:
            self._block, self._rows = block, self._select(block)
        return self._rows

    def _select(self, block: Block) -> npt.NDArray[np.int64] | None:
        rows: npt.NDArray[np.int64] | None = instant_ends(block) if self.slices else None
        if self.codes is not None and not self.slices:
            rows = np.flatnonzero(np.isin(block.instrument, np.array(sorted(self.codes), dtype=np.int32)))
        if self.every is None or self.every == 1:
            return rows
        if rows is None:
            rows = np.arange(len(block))
        if isinstance(self.every, int):
            first = self.every - 1 - self._seen % self.every
            self._seen += len(rows)
            return rows[first :: self.every]
        if not len(rows):
            return rows
        periods = _period_of(block.ts[rows], self.every)
        before = np.concatenate(([self._last_period if self._last_period is not None else periods[0] - 1], periods))
        self._last_period = int(periods[-1])
        return rows[before[1:] != before[:-1]]


def _period_of(ts: npt.NDArray[np.int64], every: str) -> npt.NDArray[np.int64]:
    """A number that changes when a new period begins."""
    if every in _CALENDAR:
        return ts.view("datetime64[ns]").astype(_CALENDAR[every]).astype(np.int64)
    if every == "week":
        return (ts // _UNITS["d"] + 3) // 7  # 1970-01-01 was a Thursday; weeks begin on Monday
    match = re.fullmatch(r"([1-9]\d*)([smhd])", every)
    if match is None:
        raise ConfigError(f"every must be a number, 'day', 'week', 'month', 'year' or like '5m', not {every!r}.")
    return ts // (int(match[1]) * _UNITS[match[2]])
