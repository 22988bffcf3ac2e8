"""The last row of each instrument, as a block of market data of which every instrument has one row."""

from __future__ import annotations

import numpy as np
from qengine_portfolio.native import address
from qengine_portfolio.view import BARS, VIEW

__all__ = ["LastRows"]

_PRICES = ("mark", "buy_open", "sell_open", "buy_low", "buy_high", "sell_low", "sell_high", "close")
_SIZES = ("buy_size", "sell_size")
_SESSIONS = ("session_open", "session_close", "is_opening")


class LastRows:
    """A view whose row numbers are instrument codes; compiled code fills it in as rows of bars go by."""

    def __init__(self, instruments: int) -> None:
        self.columns = {name: np.full(instruments, np.nan) for name in (*_PRICES, *_SIZES)}
        self._times = {name: np.full(instruments, -1, np.int64) for name in ("ts", *_SESSIONS)}
        self._codes = np.arange(instruments, dtype=np.int32)
        self._seen = np.full(instruments, -1, np.int64)  # when each instrument's row was the present one
        self._record = np.zeros(1, VIEW)
        for name, column in (*self.columns.items(), *self._times.items(), ("codes", self._codes)):
            self._record[name] = address(column)
        self._record["rows"] = self._record["marked"] = instruments
        self._record["kind"] = BARS
        self.address = address(self._record)
        self.seen_address = address(self._seen)
