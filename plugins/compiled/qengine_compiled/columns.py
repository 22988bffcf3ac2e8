"""Computes signals block by block, with as much of the past as they need, and what to hold from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from qengine_core.blocks import Block
from qengine_core.plugin import ConfigError

__all__ = ["SignalColumns"]

_CONDITIONS = ("entry", "exit", "short_entry", "short_exit")


class SignalColumns:
    """The targets of one run. Blocks come in order; each instrument's state goes on from one to the next."""

    def __init__(self, signals: Mapping[str, pl.Expr], size: float, lookback: int, instruments: int) -> None:
        self._signals, self._size, self._lookback = dict(signals), size, lookback
        self._needed = sorted({name for expression in signals.values() for name in expression.meta.root_names()})
        self._is_single = instruments == 1
        self._state = np.zeros(instruments)  # what is wanted now, by instrument
        self._past: pl.DataFrame | None = None
        self._whole: pl.DataFrame | None = None  # everything so far, as long as that is what is looked back at
        self._blocks = 0
        self.nothing: npt.NDArray[np.float64] = np.zeros(0)

    def of(self, block: Block) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """What to hold from each row on, and the rows at which that changes."""
        frame = self._frame(block)
        values = self._evaluate(self._past, frame)
        if self._blocks == 0:
            self._refuse_looking_ahead(frame, values)
        elif self._blocks == 1:
            self._refuse_looking_further(frame, values)
        self._blocks += 1
        self._keep(frame)
        codes = np.require(block.instrument, np.int32, ["C", "W"])
        targets, changes = np.empty(len(block)), np.zeros(len(block), np.bool_)
        if "target" in values.columns:
            wanted = values["target"].cast(pl.Float64).fill_null(np.nan).to_numpy()
            _follow(np.require(wanted, np.float64, ["C", "W"]), codes, self._state, targets, changes)
        else:
            flags = np.zeros((len(_CONDITIONS), len(block)), np.bool_)
            for place, name in enumerate(_CONDITIONS):
                if name in values.columns:
                    flags[place] = values[name].cast(pl.Boolean).fill_null(False).to_numpy()
            _switch(flags, codes, self._size, self._state, targets, changes)
        return targets, np.flatnonzero(changes)

    def _frame(self, block: Block) -> pl.DataFrame:
        for name in self._needed:
            if name not in block.columns:
                raise ConfigError(f"A signal needs a column {name!r}, and the bars have {', '.join(block.columns)}.")
        columns = {name: np.ascontiguousarray(block.columns[name]) for name in self._needed}
        return pl.DataFrame({"__code": np.ascontiguousarray(block.instrument), **columns})

    def _evaluate(self, past: pl.DataFrame | None, frame: pl.DataFrame) -> pl.DataFrame:
        """The signals of each row of a frame, given the rows before it."""
        whole = frame if past is None or not len(past) else pl.concat([past, frame])
        named = [expression.alias(name) for name, expression in self._signals.items()]
        if self._is_single:
            values = whole.select(named)
        else:
            values = whole.select(expression.over("__code") for expression in named)
        if len(values) != len(whole):
            raise ConfigError("A signal must be one value for each bar; this one is a single value.")
        return values.tail(len(frame))

    def _keep(self, frame: pl.DataFrame) -> None:
        """The last bars of each instrument, in order."""
        whole = frame if self._past is None else pl.concat([self._past, frame])
        self._whole = frame if self._blocks == 1 else None
        if self._is_single:
            self._past = whole.tail(self._lookback)
        else:
            place = pl.int_range(pl.len()).reverse().over("__code")
            self._past = whole.filter(place < self._lookback)

    def _refuse_looking_ahead(self, frame: pl.DataFrame, values: pl.DataFrame) -> None:
        """What a row is told must not change as later rows become known."""
        for part in {len(frame) // 2, len(frame) * 9 // 10, len(frame) - 1}:
            if part > 0 and (name := _difference(self._evaluate(None, frame.head(part)), values.head(part))):
                raise ConfigError(
                    f"The signal {name!r} looks ahead: its value at a bar depends on later ones, not known then."
                )

    def _refuse_looking_further(self, frame: pl.DataFrame, values: pl.DataFrame) -> None:
        """With more of the past than ``lookback``, a value must be the same."""
        if name := _difference(self._evaluate(self._whole, frame), values):
            raise ConfigError(
                f"The signal {name!r} looks further back than lookback = {self._lookback} bars: say how many it needs."
            )


def _difference(ours: pl.DataFrame, theirs: pl.DataFrame) -> str:
    """The first column that is not the same, if any is; numbers to nine digits, as sums may run in another order."""
    for name in ours.columns:
        left, right = ours[name], theirs[name]
        if left.dtype.is_float():
            left, right = left.fill_nan(None), right.fill_nan(None)
            same = left.is_null() == right.is_null()
            close = ((left - right).abs() <= 1e-9 * (1 + right.abs())).fill_null(True)
            if not bool((same & close).all()):
                return name
        elif not left.equals(right):
            return name
    return ""


@njit("void(float64[::1], int32[::1], float64[::1], float64[::1], boolean[::1])", cache=True)
def _follow(wanted, codes, state, targets, changes):
    for row in range(len(codes)):
        code, target = codes[row], wanted[row]
        if target == target and target != state[code]:
            state[code] = target
            changes[row] = True
        targets[row] = state[code]


@njit("void(boolean[:, ::1], int32[::1], float64, float64[::1], float64[::1], boolean[::1])", cache=True)
def _switch(flags, codes, size, state, targets, changes):
    for row in range(len(codes)):
        code = codes[row]
        before = after = state[code]
        if (before > 0.0 and flags[1, row]) or (before < 0.0 and flags[3, row]):
            after = 0.0
        if flags[0, row] and not flags[1, row]:
            after = size
        elif flags[2, row] and not flags[3, row]:
            after = -size
        if after != before:
            state[code] = after
            changes[row] = True
        targets[row] = after
