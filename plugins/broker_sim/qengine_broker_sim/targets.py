"""Compiled: orders that bring positions to targets, in units, in money or as fractions of equity.

``send`` is the address of the entry point that sends an order: it is not compiled into what calls it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from qengine_portfolio import booking
from qengine_portfolio.native import carray, floats_at, function_at, inner, merged, pointer

from qengine_broker_sim.costs import COMMISSION
from qengine_broker_sim.resting import draft_of, forms_of, head_of, orders_of, queues_of

__all__ = [
    "IMPOSSIBLE",
    "NOTHING",
    "NO_PRICE_YET",
    "OF_EQUITY",
    "SUBMIT",
    "UNITS",
    "VALUE",
    "in_flight",
    "rebalance",
    "towards",
]

SUBMIT = (types.int64, (*[types.int64] * 6, *[types.float64] * 3, *[types.int64] * 3))
_submit_at = function_at(*SUBMIT)
_commission_at = function_at(*COMMISSION)

# What a target is in, and what comes of one that takes no order.
UNITS, VALUE, OF_EQUITY = (np.int64(number) for number in range(3))
NOTHING, NO_PRICE_YET, IMPOSSIBLE = (np.int64(-1 - number) for number in range(3))


@inner
def in_flight(sim, account, code):
    """Signed quantity still to come from orders that are neither triggered later nor tied to others."""
    orders, total = orders_of(sim), 0.0
    index = queues_of(sim)[code].first
    while index >= 0:
        order = orders[index]
        waits = order.trigger == order.trigger and not order.triggered
        counts = order.account == account and order.parent < 0 and order.group < 0 and not waits
        if counts and not forms_of(sim)[order.form].yields:
            total += order.side * (order.quantity - order.filled)
        index = order.next
    return total


@inner
def _held(sim, account, code):
    books = head_of(sim).books
    return booking.positions_of(books)[booking.place_of(books, account, code)].quantity


@inner
def _value(sim, account, code):
    """The signed market value of a position."""
    books, held = head_of(sim).books, _held(sim, account, code)
    return held * booking.marks_of(books)[code] * booking.unit_value(books, code) if held != 0.0 else 0.0


@inner
def _in_lots(quantity, lot):
    """A signed quantity in whole lots, towards zero."""
    return math.trunc(quantity / lot + math.copysign(1e-9, quantity)) * lot


@inner
def _trade(sim, view, row, now, send, account, code, quantity, lot):
    """Send what is missing to a position; return the order's index, or that there is nothing to send."""
    head = head_of(sim)
    missing = quantity - _held(sim, account, code)
    if head.counts_open and head.open:
        missing -= in_flight(sim, account, code)
    if not math.isfinite(missing):
        return IMPOSSIBLE
    lot = max(lot, floats_at(head.lots)[code])
    if lot > 0.0:
        missing = _in_lots(missing, lot)
    if missing == 0.0:
        return NOTHING
    side = 1 if missing > 0.0 else -1
    draft_of(sim).account = account
    where = np.int64(sim), np.int64(view), np.int64(row), np.int64(now), np.int64(code), np.int64(side)
    index = _submit_at(send, (*where, abs(missing), np.nan, np.nan, np.int64(0), np.int64(0), np.int64(1)))
    draft_of(sim).account = 0
    return index


@inner
def _trade_value(sim, view, row, now, send, account, code, value):
    """Trade towards a signed market value, at the last known price."""
    head = head_of(sim)
    price = booking.marks_of(head.books)[code] * booking.unit_value(head.books, code)
    if not price > 0.0:
        return NO_PRICE_YET
    lot = head.target_lot if value != 0.0 else 0.0
    return _trade(sim, view, row, now, send, account, code, value / price, lot)


@inner
def _share(sim, account, code, fraction, equity):
    """The value of a fraction of equity, less what the ledger reserves for targets, and for what trading costs."""
    head = head_of(sim)
    equity -= head.target_reserve * equity
    if head.target_commission:
        equity -= _commission(sim, code, fraction * equity - _value(sim, account, code))
    return fraction * equity


@inner
def _commission(sim, code, value):
    """What an order of that signed value would be charged if it took liquidity, whatever the month so far."""
    head = head_of(sim)
    price, unit = booking.marks_of(head.books)[code], booking.unit_value(head.books, code)
    if not price > 0.0 or head.commission == 0:
        return 0.0
    lot, multiplier = (
        max(head.target_lot, floats_at(head.lots)[code]),
        booking.instruments_of(head.books)[code].multiplier,
    )
    quantity = abs(value) / (price * unit)
    if lot > 0.0 and math.isfinite(quantity):
        quantity = math.trunc(quantity / lot + 1e-9) * lot
    rates = carray(pointer(head.commission_rates), head.commission_size, np.float64)
    way = math.copysign(1.0, value)
    values = (way, quantity, price, multiplier, 0.0, 0.0, 0.0, rates)
    return unit / multiplier * _commission_at(head.commission, values)


@inner
def towards(sim, view, row, now, send, account, code, what, amount):
    """Send what is missing to one target; return the order's index, or why there is none."""
    if what == UNITS:
        return _trade(sim, view, row, now, send, account, code, amount, 0.0)
    if what == OF_EQUITY:
        amount = _share(sim, account, code, amount, booking.equity_of(head_of(sim).books, account))
    return _trade_value(sim, view, row, now, send, account, code, amount)


@merged
def rebalance(sim, view, row, now, send, account, weights, sent):
    """Bring every instrument whose weight is a number to that fraction of equity, sales first; return how many orders.

    ``weights`` and ``sent`` are arrays by instrument code; indices of orders are written into ``sent``. Where an
    instrument has no price, or a weight cannot be meant, ``-1 - code`` is returned.
    """
    equity = booking.equity_of(head_of(sim).books, account)
    ways = np.zeros(len(weights), np.int8)  # decided before anything is sent, as orders may fill at once
    for code in range(len(weights)):
        weight = weights[code]
        if weight == weight and (weight != 0.0 or not _is_idle(sim, account, code)):
            ways[code] = 1 if weight * equity - _value(sim, account, code) > 0.0 else -1
    count = 0
    for way in (-1, 1):
        for code in range(len(weights)):
            if ways[code] != way:
                continue
            value = _share(sim, account, code, weights[code], equity)
            index = _trade_value(sim, view, row, now, send, account, code, value)
            if index >= 0:
                sent[count] = index
                count += 1
            elif index != NOTHING:
                return -1 - code
    return count


@inner
def _is_idle(sim, account, code):
    """Whether nothing is held of an instrument, and nothing on order."""
    return _held(sim, account, code) == 0.0 and queues_of(sim)[code].count == 0
