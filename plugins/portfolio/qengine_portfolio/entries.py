"""The account's compiled code that Python calls: made once, kept on disk, made anew when any source of it changes."""

from __future__ import annotations

from typing import Any

from numba import njit

from qengine_portfolio import booking, books, view
from qengine_portfolio.booking import cash_of, equity_of, mark_rows, short_value_of
from qengine_portfolio.native import carray, codes_at, direct, floats_at, pointer, stamp_of
from qengine_portfolio.view import VIEW

__all__ = ["cash", "equity", "mark_up_to", "short_value"]


def _entries(stamp: str) -> tuple[Any, ...]:
    """The entry points. They close over ``stamp`` only so that numba's cache does."""

    @njit("void(int64, int64, int64)", cache=True)
    def mark_up_to(books, seen_by, row):
        """Bring the marks up to a row of the block under way."""
        _ = stamp
        seen = carray(pointer(seen_by), 1, VIEW)[0]
        stop = min(row + 1, seen.rows)
        if stop > seen.marked:
            codes = codes_at(seen.codes)
            mark_rows(books, codes, floats_at(seen.mark), seen.marked, stop)
            seen.marked = stop

    @njit("float64(int64, int64)", cache=True)
    def cash(books, account):
        """Money in all currencies."""
        _ = stamp
        return cash_of(books, account)

    @njit("float64(int64, int64)", cache=True)
    def equity(books, account):
        """Cash plus positions at their marks."""
        _ = stamp
        return equity_of(books, account)

    @njit("float64(int64, int64)", cache=True)
    def short_value(books, account):
        """What the short positions are worth, as a positive number."""
        _ = stamp
        return short_value_of(books, account)

    return cash, equity, mark_up_to, short_value


cash, equity, mark_up_to, short_value = map(direct, _entries(stamp_of(booking, books, view)))
