"""Compiled: margin accounts. What positions tie up of an account's equity, and the next row that brings too little.

Initial margin must be there when a position is opened, maintenance margin as long as it is held; both are fractions
of market value, for longs and for shorts. Positions count at their marks.
"""

from __future__ import annotations

import numpy as np
from qengine_portfolio import booking
from qengine_portfolio.native import codes_at, floats_at, inner, times_at

from qengine_broker_sim.layout import INSUFFICIENT_MARGIN, NO, NO_REASON, YES
from qengine_broker_sim.resting import head_of, view_at

__all__ = ["covered_by_margin", "excess_at", "margin_of", "margin_to_open", "next_breach", "required_at"]

_SLACK = 1 + 1e-9
_NEAR = 1e-9  # of what the account turns over: closer to a breach than this, rounding is looked at


@inner
def _rate(head, side, is_initial):
    """The fraction of its value that a position of this side ties up."""
    if is_initial:
        return head.initial_long if side > 0 else head.initial_short
    return head.maintenance_long if side > 0 else head.maintenance_short


@inner
def margin_of(sim, account, code, marks, is_initial):
    """What one position ties up, in the account's currency."""
    books = head_of(sim).books
    held = booking.positions_of(books)[booking.place_of(books, account, code)].quantity
    if held == 0.0:
        return 0.0
    value = abs(held * marks[code]) * booking.unit_value(books, code)
    return value * _rate(head_of(sim), held, is_initial)


@inner
def required_at(sim, account, marks, is_initial):
    """What all positions of an account tie up at given marks."""
    total = 0.0
    for code in range(head_of(sim).queue_count):
        total += margin_of(sim, account, code, marks, is_initial)
    return total


@inner
def _equity_at(sim, account, marks):
    books = head_of(sim).books
    total = booking.cash_of(books, account)
    for code in range(head_of(sim).queue_count):
        held = booking.positions_of(books)[booking.place_of(books, account, code)].quantity
        if held != 0.0:
            total += held * marks[code] * booking.unit_value(books, code)
    return total


@inner
def excess_at(sim, account, marks, is_initial):
    """Equity beyond the margin of all positions, at given marks; negative where it falls short."""
    return _equity_at(sim, account, marks) - required_at(sim, account, marks, is_initial)


# Opening --------------------------------------------------------------------------------------------------


@inner
def margin_to_open(sim, side, opening, closing, unit, is_at_market):
    """What an order will tie up: the initial margin of what it opens, less that of what it closes at market."""
    head = head_of(sim)
    needed = opening * unit * _rate(head, side, YES)
    return needed - closing * unit * _rate(head, -side, YES) if is_at_market else needed


@inner
def covered_by_margin(sim, order, closing, opening, price, fee):
    """How much of a fill the account can take, once the part that closes a position is done, and why not all."""
    head = head_of(sim)
    books = head.books
    marks, value = booking.marks_of(books), booking.unit_value(books, order.code)
    free = excess_at(sim, order.account, marks, YES) - fee
    if closing > 0.0:  # at its price rather than the mark; and it ties up nothing any more
        mark = marks[order.code]
        free -= order.side * closing * (price - mark) * value
        free += closing * abs(mark) * value * _rate(head, -order.side, YES)
    each = abs(price) * value * _rate(head, order.side, YES)
    if opening * each <= free * _SLACK:
        return closing + opening, NO_REASON
    if not head.reduces or each <= 0.0:
        return closing, INSUFFICIENT_MARGIN
    return closing + min(opening, max(0.0, free / each)), INSUFFICIENT_MARGIN


# Holding --------------------------------------------------------------------------------------------------


@inner
def next_breach(sim, view, account, start, stop):
    """The first row in ``[start, stop)`` at the end of whose instant an account's equity is below its maintenance.

    The marks must be those before ``start``. Equity and margin are linear in each price, so what a row changes is
    one product; close to a breach, everything is added up afresh.
    """
    books, seen = head_of(sim).books, view_at(view)
    ts, codes, prices = times_at(seen.ts), codes_at(seen.codes), floats_at(seen.mark)
    count = head_of(sim).queue_count
    if booking.accounts_of(books)[account].held_count == 0:
        return stop
    if booking.head_of(books).currency_count > 1:  # rates move, too: every instant is looked at
        for row in range(start, stop):
            if row + 1 >= seen.rows or ts[row + 1] != ts[row]:
                return row
        return stop
    marks, weights = np.empty(count), np.zeros(count)
    scale = abs(booking.cash_of(books, account))
    for code in range(count):
        marks[code] = booking.marks_of(books)[code]
        held = booking.positions_of(books)[booking.place_of(books, account, code)].quantity
        if held != 0.0:
            tied = abs(held) * _rate(head_of(sim), held, NO)
            weights[code] = (held - tied) * booking.unit_value(books, code)
            scale += abs(held * marks[code]) * booking.unit_value(books, code)
    excess = excess_at(sim, account, marks, NO)
    for row in range(start, stop):
        code = codes[row]
        excess += weights[code] * (prices[row] - marks[code]) if weights[code] != 0.0 else 0.0
        marks[code] = prices[row]
        if excess > _NEAR * scale or (row + 1 < seen.rows and ts[row + 1] == ts[row]):
            continue
        excess = excess_at(sim, account, marks, NO)
        if excess < 0.0:
            return row
    return stop
