"""The account's compiled code that Python calls: made once, kept on disk, made anew when any source of it changes."""

from __future__ import annotations

from typing import Any

from numba import njit

from qengine_portfolio import booking, books, records, view
from qengine_portfolio.booking import cash_of, equity_of, short_value_of
from qengine_portfolio.native import direct, stamp_of

__all__ = ["CASH", "EQUITY", "SHORT_VALUE", "figure", "mark_up_to"]

CASH, EQUITY, SHORT_VALUE = range(3)


def _entries(stamp: str) -> tuple[Any, ...]:
    """The entry points. They close over ``stamp`` only so that numba's cache does."""

    @njit("void(int64, int64, int64)", cache=True)
    def mark_up_to(books, seen_by, row):
        """Bring the marks up to a row of the block under way."""
        _ = stamp
        booking.mark_up_to(books, seen_by, row)

    @njit("float64(int64, int64, int64)", cache=True)
    def figure(books, account, which):
        """Money in all currencies (0), the same plus positions at their marks (1), what shorts are worth (2)."""
        _ = stamp
        if which == 0:
            return cash_of(books, account)
        return equity_of(books, account) if which == 1 else short_value_of(books, account)

    return mark_up_to, figure


mark_up_to, figure = map(direct, _entries(stamp_of(booking, books, records, view)))
