"""Compiled: whether rows of market data can be right, in one pass. Which cannot, and why, is for others to say.

A pass holds no lock of Python's: the thread that reads ahead goes on meanwhile. To import this takes a while, and is
put off until there are rows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types

__all__ = ["compiled", "look_at"]

inner: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]

_UNSOUND, _BACK, _TIED = 1, 2, 4
_NONE = np.empty(0)


def look_at(kind: str, ts: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]) -> tuple[bool, bool, bool]:
    """Whether all values of some rows are sound, whether times never go back, and whether each is later than the last.

    ``kind`` is bar, trade or quote. NaN is not sound: a comparison with it is false.
    """
    names = _COLUMNS[kind]
    found = compiled(kind)(ts, *(columns.get(name, _NONE) for name in names))
    return not found & _UNSOUND, not found & _BACK, not found & (_BACK | _TIED)


@functools.cache
def compiled(kind: str) -> Callable[..., int]:
    """What looks at the rows of a kind, compiled or loaded when it is first asked for."""
    column = types.Array(types.float64, 1, "C", readonly=True)
    stamps = types.Array(types.int64, 1, "C", readonly=True)
    signature = types.int64(stamps, *[column] * len(_COLUMNS[kind]))
    look: Callable[..., int] = njit(signature, cache=True, nogil=True)(_LOOKS[kind])  # type: ignore[type-var]
    return look


# All rows are counted, though one would do, and by their numbers: then the processor compares several at once.


@inner
def _not_amounts(values):
    count = 0
    for row in range(len(values)):
        count += 1 - ((values[row] >= 0.0) & (values[row] < np.inf))
    return count


@inner
def _verdict(unsound, ts):
    back = tied = 0
    for row in range(1, len(ts)):
        back += ts[row] < ts[row - 1]
        tied += ts[row] == ts[row - 1]
    return (_UNSOUND if unsound else 0) | (_BACK if back else 0) | (_TIED if tied else 0)


def _bars(ts, opened, high, low, close, volume):
    count = _not_amounts(volume)
    for row in range(len(ts)):
        ranges = (low[row] > 0.0) & (high[row] < np.inf)
        opens = (low[row] <= opened[row]) & (opened[row] <= high[row])
        closes = (low[row] <= close[row]) & (close[row] <= high[row])
        count += 1 - (ranges & opens & closes)
    return _verdict(count, ts)


def _trades(ts, price, size):
    count = _not_amounts(size)
    for row in range(len(ts)):
        count += 1 - ((price[row] > 0.0) & (price[row] < np.inf))
    return _verdict(count, ts)


def _quotes(ts, bid, ask, bid_size, ask_size):
    count = _not_amounts(bid_size) + _not_amounts(ask_size)
    for row in range(len(ts)):
        count += 1 - ((bid[row] > 0.0) & (bid[row] <= ask[row]) & (ask[row] < np.inf))
    return _verdict(count, ts)


_LOOKS = {"bar": _bars, "trade": _trades, "quote": _quotes}
_COLUMNS = {
    "bar": ("open", "high", "low", "close", "volume"),
    "trade": ("price", "size"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
}
