"""Price levels that wake a strategy, and the search for the next row of market data that reaches one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_core.plugin import BAR, QUOTE, ConfigError

__all__ = ["Levels", "Watch"]

_FIRST_LOOK = 1_024  # rows looked at together; more and more as nothing is found


class Watch:
    """A level of one instrument's price, above or below: it wakes once. ``cancel()`` takes it back."""

    __slots__ = ("_levels", "above", "below", "code")

    def __init__(self, levels: Levels, code: int, above: float, below: float) -> None:
        self._levels, self.code, self.above, self.below = levels, code, above, below

    @property
    def is_waiting(self) -> bool:
        """Whether it has neither woken the strategy nor been cancelled."""
        return self in self._levels.watches

    def cancel(self) -> None:
        self._levels.forget([self])


class Levels:
    """The levels that a strategy waits for. A bar reaches from its low to its high; a quote is its middle."""

    def __init__(self, instruments: int) -> None:
        self.watches: list[Watch] = []
        self._above = np.full(instruments, math.inf)  # the nearest level of each instrument
        self._below = np.full(instruments, -math.inf)
        self._quiet: tuple[Block | None, int, int] = (None, 0, 0)  # rows that are known to reach none

    def add(self, code: int, above: float, below: float) -> Watch:
        """Wait for a price at or above one level, or at or below another. Raises ConfigError if there is none."""
        if not (above < math.inf or below > -math.inf) or math.isnan(above) or math.isnan(below):
            raise ConfigError(f"A watch needs above= or below=, a price, not {above!r} and {below!r}.")
        watch = Watch(self, code, above, below)
        self.watches.append(watch)
        self._refresh(code)
        return watch

    def forget(self, watches: list[Watch]) -> None:
        """Wait for these no more."""
        for watch in watches:
            if watch in self.watches:
                self.watches.remove(watch)
                self._refresh(watch.code)

    def _refresh(self, code: int) -> None:
        mine = [watch for watch in self.watches if watch.code == code]
        self._above[code] = min((watch.above for watch in mine), default=math.inf)
        self._below[code] = max((watch.below for watch in mine), default=-math.inf)
        self._quiet = (None, 0, 0)

    def next_row(self, block: Block, kind: str, start: int, stop: int) -> int:
        """The first row in ``[start, stop)`` that reaches a level of its instrument, or ``stop``."""
        if not self.watches:
            return stop
        quiet, since, until = self._quiet
        begin = until if quiet is block and since <= start < until else start
        low, high = _range_of(block, kind)
        row, look = begin, _FIRST_LOOK
        while row < stop:
            part = slice(row, min(row + look, stop))
            codes = block.instrument[part]
            reached = (high[part] >= self._above[codes]) | (low[part] <= self._below[codes])
            first = int(reached.argmax())
            if reached[first]:
                row += first
                break
            row, look = part.stop, look * 4
        self._quiet = (block, start, min(row, stop))
        return min(row, stop)

    def reached(self, block: Block, kind: str, row: int) -> list[Watch]:
        """The watches that a row sets off."""
        low, high = _range_of(block, kind)
        code, lowest, highest = block.instrument.item(row), low.item(row), high.item(row)
        return [w for w in self.watches if w.code == code and (highest >= w.above or lowest <= w.below)]


def _range_of(block: Block, kind: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The lowest and the highest price of each row."""
    columns = block.columns
    if kind == BAR:
        return columns["low"], columns["high"]
    if kind == QUOTE:
        middle = block.cache.get("middle")
        if middle is None:
            middle = block.cache["middle"] = (columns["bid"] + columns["ask"]) / 2
        return middle, middle
    return columns["price"], columns["price"]
