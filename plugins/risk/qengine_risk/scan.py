"""Compiled: the first row at which an account has lost too much, found without waking anybody on the rows before.

What the account is worth at each row to come is computed as the ledger would, with marks run ahead of the
clock in books of their own. Results are kept by row, so that what was true of a row that has passed stays
at hand when positions or cash change and everything after it is to be looked at again. ``watch`` is the
address of a ``WATCH`` record, ``books`` of a ledger's head, ``seen_by`` of a block's view.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from qengine_portfolio import booking, books, records, view
from qengine_portfolio.native import codes_at, direct, floats_at, stamp_of, times_at
from qengine_portfolio.records import record_at, records_at

__all__ = ["DRAWDOWN", "PAST", "SESSION", "WATCH", "look", "settle"]

DRAWDOWN, SESSION = 0, 1

# What was true after a row: what losses count from, the equity, the session of the row, by its open.
PAST = np.dtype([("reference", "f8"), ("equity", "f8"), ("session", "i8")])

WATCH = np.dtype(
    [
        ("kind", "i8"),
        ("fraction", "f8"),  # NaN: not limited so
        ("amount", "f8"),
        ("halted", "i8"),  # the session it is halted for
        *((f"settled_{name}", PAST[name].str) for name in PAST.names or ()),  # before row ``begin``
        ("number", "i8"),  # of the block that rows are of
        ("begin", "i8"),
        ("end", "i8"),  # rows before it have been looked at
        ("found", "i8"),  # the last of them if there the limit is passed, else -1
        ("fills", "i8"),  # the state of the accounts that this is true of
        ("cash", "f8"),
        ("holdings", "f8"),
        ("past", "i8"),  # where what is kept by row is
        ("ahead", "i8"),  # the same accounts with marks and rates of their own
    ],
    align=True,
)


_watch_at = record_at("watch", WATCH, changes=frozenset(WATCH.names or ()))
_past_at = records_at("past", PAST)


@njit
def _state_of(books):
    """Three numbers that tell one state of the accounts from another: fills, cash, holdings."""
    head, cash, holdings = booking.head_of(books), 0.0, 0.0
    balances = booking.cash_array(books)
    for place in range(head.account_count * head.currency_count):
        cash += balances[place] * (place + 1)
    held = times_at(head.held)
    for account in range(head.account_count):
        first = account * (head.instrument_count + 1)
        for index in range(booking.accounts_of(books)[account].held_count):
            place = booking.place_of(books, account, held[first + index])
            holdings += booking.positions_of(books)[place].quantity * (place + 1)
    return head.fill_count, cash, holdings


@njit
def _equity_of_all(books):
    total = 0.0
    for account in range(booking.head_of(books).account_count):
        total += booking.equity_of(books, account)
    return total


@njit
def _settle(watch, row):
    """What was found for the rows before ``row`` is the past now."""
    state = _watch_at(watch)
    last = min(row, state.end) - 1
    if last >= state.begin:
        past = _past_at(state.past)[last]
        state.settled_reference = past.reference
        state.settled_equity = past.equity
        state.settled_session = past.session
    state.begin = row
    state.end = max(row, state.end)


@njit
def _start_anew(watch, books, seen_by, row):
    """Copy the marks as they are before ``row``, and the state of the accounts that all that follows is true of."""
    state, head, seen = _watch_at(watch), booking.head_of(books), booking.view_at(seen_by)
    if row > seen.marked:
        booking.mark_rows(books, codes_at(seen.codes), floats_at(seen.mark), seen.marked, row)
        seen.marked = row
    state.number, state.begin, state.end, state.found = seen.number, row, row, -1
    state.fills, state.cash, state.holdings = _state_of(books)
    marks, rates = booking.marks_of(state.ahead), booking.rates_of(state.ahead)
    for code in range(head.instrument_count):
        marks[code] = booking.marks_of(books)[code]
    for currency in range(head.currency_count):
        rates[currency] = booking.rates_of(books)[currency]


@njit
def _step(watch, books, seen_by, row, before):
    """What is true after one row, given what was before it, and whether that is too much of a loss."""
    state, seen = _watch_at(watch), booking.view_at(seen_by)
    reference, equity, session = before
    ts = times_at(seen.ts)
    booking.mark_rows(books, codes_at(seen.codes), floats_at(seen.mark), row, row + 1)
    if state.kind == SESSION and times_at(seen.session_open)[row] > session:
        session = times_at(seen.session_open)[row]
        reference = equity
    if row + 1 < seen.rows and ts[row + 1] == ts[row]:  # the account is judged at whole instants
        return reference, equity, session, False
    equity = _equity_of_all(books)
    if state.kind == DRAWDOWN and equity > reference:
        reference = equity
    is_halted = state.halted >= session
    lost = equity <= reference - state.amount or equity <= reference - abs(reference) * state.fraction
    return reference, equity, session, lost and not is_halted


def _entries(stamp: str) -> tuple[Any, ...]:
    """The entry points. They close over ``stamp`` only so that numba's cache does."""

    @njit("void(int64, int64)", cache=True)
    def settle(watch, row):
        """What was found for the rows before ``row`` is the past now."""
        _ = stamp
        _settle(watch, row)

    @njit("int64(int64, int64, int64, int64, int64)", cache=True)
    def look(watch, books, seen_by, start, stop):
        """The first row in ``[start, stop)`` with which too much is lost, or ``stop``."""
        _ = stamp
        state, seen = _watch_at(watch), booking.view_at(seen_by)
        is_same = state.number == seen.number and state.begin <= start <= state.end
        if not is_same or (state.fills, state.cash, state.holdings) != _state_of(books):
            if is_same:
                _settle(watch, start)
            _start_anew(watch, books, seen_by, start)
        if start <= state.found:
            return min(state.found, stop)
        past, row = _past_at(state.past), state.end
        before = state.settled_reference, state.settled_equity, state.settled_session
        if row > state.begin:
            before = past[row - 1].reference, past[row - 1].equity, past[row - 1].session
        found = -1
        while row < stop and found < 0:
            reference, equity, session, is_lost = _step(watch, state.ahead, seen_by, row, before)
            before = reference, equity, session
            past[row].reference, past[row].equity, past[row].session = reference, equity, session
            if is_lost:
                found = row
            row += 1
        state.end, state.found = row, found
        return found if found >= 0 else stop

    return settle, look


settle, look = map(direct, _entries(stamp_of(booking, books, records, view)))
