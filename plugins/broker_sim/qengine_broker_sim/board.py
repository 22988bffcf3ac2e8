"""The last row of every instrument, for orders that fill at once; whether an order may is not known here.

A board looks to compiled code like a block of market data in which row number ``code`` is the last row of that
instrument. What a buyer and a seller may trade at are the ask and the bid, or the last price for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from qengine_portfolio.native import address, codes_at, floats_at, inner, times_at
from qengine_portfolio.view import BARS, QUOTES, VIEW

from qengine_broker_sim.layout import NO_TOKEN
from qengine_broker_sim.resting import head_of, queues_of, view_at

__all__ = ["Board", "note_rows", "show", "split_row"]

_NUMBER = -2  # of the block that a board looks like
_PRICES = ("buy_open", "sell_open", "buy_low", "buy_high", "sell_low", "sell_high", "close", "spread")
_SIZES = ("buy_size", "sell_size")


class Board:
    """The arrays of a board, and where they are."""

    def __init__(self, instruments: int) -> None:
        count = max(1, instruments)
        self.columns: dict[str, npt.NDArray[Any]] = {
            "ts": np.full(count, -1, np.int64),
            "codes": np.arange(count, dtype=np.int32),
            **{name: np.full(count, np.nan) for name in (*_PRICES, "volatility")},
            **{name: np.full(count, np.inf) for name in _SIZES},
        }
        self.tokens = np.full(count, NO_TOKEN, np.int64)  # which row it is
        self._view = np.zeros(1, VIEW)
        for name, column in self.columns.items():
            self._view[name] = address(column)
        self._view["rows"], self._view["number"] = count, _NUMBER
        self.address = address(self._view)


def split_row(columns: Mapping[str, npt.NDArray[Any]], row: int, ratio: float) -> None:
    """A remembered row of prices and sizes, by name, as it would have been after a split."""
    for name, column in columns.items():
        if name in _SIZES:
            column[row] *= ratio
        elif name in _PRICES or name == "mark":
            column[row] /= ratio


@inner
def note_rows(sim, view, stop):
    """Put up the rows of a block before ``stop`` that are new, of the kind that fills their instrument."""
    head, queues, seen = head_of(sim), queues_of(sim), view_at(view)
    shown, tokens, codes = view_at(head.board), times_at(head.board_tokens), codes_at(seen.codes)
    for row in range(seen.noted, min(stop, seen.rows)):
        code = codes[row]
        if queues[code].grade == seen.grade:
            tokens[code] = (seen.number << 32) | row
            _copy(seen, row, shown, code)
    seen.noted = max(seen.noted, min(stop, seen.rows))


@inner
def _copy(seen, row, shown, code):
    is_quote, is_bar = seen.kind == QUOTES, seen.kind == BARS
    close = floats_at(seen.close)[row]
    floats_at(shown.close)[code] = close
    floats_at(shown.buy_open)[code] = floats_at(seen.buy_open)[row] if is_quote else close
    floats_at(shown.sell_open)[code] = floats_at(seen.sell_open)[row] if is_quote else close
    if is_bar:
        low, high = floats_at(seen.buy_low)[row], floats_at(seen.sell_high)[row]
        floats_at(shown.buy_low)[code] = floats_at(shown.sell_low)[code] = low
        floats_at(shown.buy_high)[code] = floats_at(shown.sell_high)[code] = high
    if seen.spread != 0:
        floats_at(shown.spread)[code] = floats_at(seen.spread)[row]
    if seen.volatility != 0:
        floats_at(shown.volatility)[code] = floats_at(seen.volatility)[row]
    if seen.buy_size != 0:
        floats_at(shown.buy_size)[code] = floats_at(seen.buy_size)[row]
    if seen.sell_size != 0:
        floats_at(shown.sell_size)[code] = floats_at(seen.sell_size)[row]


@inner
def show(sim, code, now):
    """Let the board be read as of ``now``; returns the number of the row that it shows, NO_TOKEN if there is none."""
    head = head_of(sim)
    shown = view_at(head.board)
    shown.grade = queues_of(sim)[code].grade
    shown.kind = min(shown.grade, BARS)
    times_at(shown.ts)[code] = now
    return times_at(head.board_tokens)[code]
