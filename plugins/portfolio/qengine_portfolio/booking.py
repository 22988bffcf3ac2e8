"""The rules of an account as compiled code: what a fill does to it, what an order may take of it.

A fully paid account: what is bought is paid in cash, what is sold short is collateralised in full.
Available money is cash less twice the market value of shorts (their proceeds and as much again), less
what open orders reserve. Money in other currencies counts at the last rate known; where the ledger converts, a
fill in one of them is paid in the ledger's own at that rate. ``books`` is the address of a ``Books`` head throughout.
"""

from __future__ import annotations

import numpy as np

from qengine_portfolio.books import ACCOUNT, FILL, HEAD, INSTRUMENT, PAIR, POSITION
from qengine_portfolio.native import carray, codes_at, floats_at, inlined, inner, pointer, times_at
from qengine_portfolio.records import record_at, records_at
from qengine_portfolio.view import VIEW

__all__ = [
    "accounts_of",
    "available",
    "book_fill",
    "cash_array",
    "cash_of",
    "change_position",
    "equity_of",
    "fills_of",
    "head_of",
    "instruments_of",
    "list_as_held",
    "mark_rows",
    "mark_up_to",
    "marks_of",
    "opening_part",
    "place_of",
    "positions_of",
    "rate_of",
    "rates_by_marks",
    "rates_by_rows",
    "rates_of",
    "short_value_of",
    "unit_value",
    "view_at",
]


head_of = record_at("books", HEAD, changes=frozenset({"fill_count"}))
view_at = record_at("view", VIEW, changes=frozenset({"grade", "kind", "marked", "noted", "number"}))
_accounts_at = records_at("accounts", ACCOUNT)
_fills_at = records_at("fills", FILL)
_instruments_at = records_at("instruments", INSTRUMENT, changes=frozenset())
_pairs_at = records_at("pairs", PAIR, changes=frozenset())
_positions_at = records_at("positions", POSITION)


@inner
def positions_of(books):
    return _positions_at(head_of(books).positions)


@inner
def place_of(books, account, code):
    """Where an account's position lies."""
    return account * head_of(books).instrument_count + code


@inner
def accounts_of(books):
    return _accounts_at(head_of(books).accounts)


@inner
def instruments_of(books):
    return _instruments_at(head_of(books).instruments)


@inner
def fills_of(books):
    return _fills_at(head_of(books).fills)


@inner
def marks_of(books):
    return floats_at(head_of(books).marks)


@inner
def rates_of(books):
    """What a unit of each currency is worth in the ledger's; NaN where that is not known yet."""
    return floats_at(head_of(books).rates)


@inner
def _pairs_of(books):
    return _pairs_at(head_of(books).pairs)


@inner
def _held_of(books):
    return times_at(head_of(books).held)


@inner
def cash_array(books):
    """Cash by account and currency, in the currency's own units."""
    head = head_of(books)
    return carray(pointer(head.cash), head.account_count * head.currency_count, np.float64)


@inlined
def mark_rows(books, codes, prices, start, stop):
    """Set the marks to the last price of each instrument among rows ``start <= row < stop``."""
    marks = marks_of(books)
    if head_of(books).instrument_count == 1:
        if stop > start:
            marks[0] = prices[stop - 1]
    else:
        for row in range(start, stop):
            marks[codes[row]] = prices[row]
    if head_of(books).foreign:
        rates_by_marks(books)


@inlined
def mark_up_to(books, seen_by, row):
    """Bring the marks up to a row of a block, of which ``seen_by`` is the view."""
    seen = view_at(seen_by)
    stop = min(row + 1, seen.rows)
    if stop > seen.marked:
        mark_rows(books, codes_at(seen.codes), floats_at(seen.mark), seen.marked, stop)
        seen.marked = stop


@inner
def rates_by_marks(books):
    """Set the rates that follow an instrument to its mark."""
    marks = marks_of(books)
    for currency in range(head_of(books).currency_count):
        code = _pairs_of(books)[currency].code
        if code >= 0:
            _set_rate(books, currency, marks[code])


@inner
def rates_by_rows(books, ts, codes, prices, row, rows):
    """Set the rates to what the rows of the instant that ``row`` begins say, ahead of the marks."""
    now = ts[row]
    while row < rows and ts[row] == now:
        for currency in range(head_of(books).currency_count):
            if _pairs_of(books)[currency].code == codes[row]:
                _set_rate(books, currency, prices[row])
        row += 1


@inner
def _set_rate(books, currency, price):
    if price > 0.0:
        rates_of(books)[currency] = 1.0 / price if _pairs_of(books)[currency].inverse else price


@inlined
def cash_of(books, account):
    """Money in all currencies, in the ledger's."""
    count = head_of(books).currency_count
    cash, rates = floats_at(head_of(books).cash), rates_of(books)
    total = cash[account * count]
    for currency in range(1, count):
        balance = cash[account * count + currency]
        if balance != 0.0:  # of a currency that nobody holds no rate may be known
            total += balance * rates[currency]
    return total


@inlined
def rate_of(books, code):
    """What a unit of an instrument's currency is worth in the ledger's; NaN where that is not known yet."""
    return rates_of(books)[instruments_of(books)[code].currency]


@inlined
def unit_value(books, code):
    """What a price of 1 is worth, in the ledger's currency."""
    return instruments_of(books)[code].multiplier * rate_of(books, code)


@inner
def equity_of(books, account):
    """Cash plus every position at its mark."""
    total = cash_of(books, account)
    first = account * (head_of(books).instrument_count + 1)
    held, marks = _held_of(books), marks_of(books)
    for index in range(accounts_of(books)[account].held_count):
        code = held[first + index]
        total += positions_of(books)[place_of(books, account, code)].quantity * marks[code] * unit_value(books, code)
    return total


@inlined
def short_value_of(books, account):
    """Market value of the short positions, as a positive number."""
    total = 0.0
    first = account * (head_of(books).instrument_count + 1)
    held, marks = _held_of(books), marks_of(books)
    for index in range(accounts_of(books)[account].held_count):
        code = held[first + index]
        quantity = positions_of(books)[place_of(books, account, code)].quantity
        if quantity < 0.0:
            total -= quantity * marks[code] * unit_value(books, code)
    return total


@inlined
def available(books, account):
    """Money that a new position may take, before reservations."""
    cash = cash_of(books, account) - accounts_of(books)[account].unsettled
    return cash - 2 * short_value_of(books, account) if head_of(books).shorts else cash


@inlined
def opening_part(held, side, quantity, queued):
    """The part of ``quantity`` that does not reduce a position of which ``queued`` is being sold already."""
    if held == 0.0 or (held > 0) == (side > 0):
        return quantity
    reducible = abs(held) - queued
    if reducible <= 0:
        return quantity
    return quantity - reducible if quantity > reducible else 0.0


@inlined
def change_position(position, side, size, price, multiplier):
    """Change a position by a fill at average cost; return the quantity of it that closed."""
    held = position.quantity
    if held == 0.0:
        position.quantity = side * size
        position.average_price = price
        return 0.0
    left = held + side * size
    if (held > 0) == (side > 0):
        before = abs(held)
        position.average_price = (position.average_price * before + price * size) / (before + size)
        position.quantity = left
        return 0.0
    closed = size if size < abs(held) else abs(held)
    gain = price - position.average_price
    position.realised_pnl += (gain if held > 0 else -gain) * closed * multiplier
    if abs(left) <= 1e-12 * size:  # what is left of 0.1 + 0.2 - 0.3
        position.quantity = 0.0
        position.average_price = 0.0
    else:
        position.quantity = left
        if (left > 0) != (held > 0):
            position.average_price = price
    return closed


@inner
def list_as_held(books, account, code, is_held):
    """Enter a code into the ascending list of those with a position, or take it out."""
    owner, held = accounts_of(books)[account], _held_of(books)
    first = account * (head_of(books).instrument_count + 1)
    count = owner.held_count
    if is_held:
        place = first + count
        while place > first and held[place - 1] > code:
            held[place] = held[place - 1]
            place -= 1
        held[place] = code
        owner.held_count = count + 1
    else:
        place = first
        while held[place] != code:
            place += 1
        for index in range(place, first + count - 1):
            held[index] = held[index + 1]
        owner.held_count = count - 1


@inlined
def book_fill(books, account, code, side, quantity, price, fee):
    """Book one fill: cash and position."""
    head, instrument = head_of(books), instruments_of(books)[code]
    multiplier = instrument.multiplier
    cash = floats_at(head.cash)
    paid = side * quantity * price * multiplier + fee
    if head.converts and instrument.currency != 0:
        cash[account * head.currency_count] -= paid * rates_of(books)[instrument.currency]
    else:
        cash[account * head.currency_count + instrument.currency] -= paid
    position = positions_of(books)[place_of(books, account, code)]
    was_held = position.quantity != 0.0
    closed = change_position(position, side, quantity, price, multiplier)
    if head.settles and side < 0:  # what opens a short is locked anyway
        proceeds = closed * price * unit_value(books, code)
        position.unsettled += proceeds
        accounts_of(books)[account].unsettled += proceeds
    is_held = position.quantity != 0.0
    if was_held != is_held:
        if head.instrument_count == 1:
            accounts_of(books)[account].held_count = is_held  # of the list that says 0
        else:
            list_as_held(books, account, code, is_held)
    marks = marks_of(books)
    if marks[code] != marks[code]:  # filled before its first close is seen: the fill is what is known
        marks[code] = price
