"""Compiled: accounts whose money is not reserved but judged, order by order or at the fill, by named rules."""

from __future__ import annotations

import numpy as np
from qengine_portfolio import booking
from qengine_portfolio.native import inner
from qengine_portfolio.records import records_at

from qengine_broker_sim.costs import fee_of
from qengine_broker_sim.layout import INSUFFICIENT_CASH, NO, NO_REASON, POWER_PROCEEDS, SHADOW, SUBMITTED
from qengine_broker_sim.resting import head_of, orders_of

__all__ = ["backs", "judge_in_sequence"]

_SLACK = 1e-9

_shadows_at = records_at("shadows", SHADOW)


@inner
def _shadows_of(sim):
    """By account: a shadow for each instrument, and after them one whose quantity is cash."""
    return _shadows_at(head_of(sim).shadows)


@inner
def judge_in_sequence(sim, index, mark, now):
    """Execute an order on the account's shadow at the price it names (the mark, if none); refuse what it cannot pay.

    The shadow starts from the account at the first order of an instant, and keeps what was executed on it, that of
    refused orders too: those sent after them are refused until sales have made up for it.
    """
    head, order = head_of(sim), orders_of(sim)[index]
    books = head.books
    if order.state != SUBMITTED:  # amended: it was judged when it was sent
        return NO_REASON
    first = order.account * (head.queue_count + 1)
    shadow, money = _shadows_of(sim)[first + order.code], _shadows_of(sim)[first + head.queue_count]
    if money.ts != now:
        money.ts, money.quantity = now, _free_cash(sim, order.account)
    if shadow.ts != now:
        shadow.ts = now
        shadow.quantity = booking.positions_of(books)[booking.place_of(books, order.account, order.code)].quantity
    price = order.trigger if order.trigger == order.trigger else order.limit if order.limit == order.limit else mark
    if price != price or np.isinf(price):
        return NO_REASON  # nothing is known yet; the fill will tell
    quantity, unit = order.quantity, price * booking.unit_value(books, order.code)
    opening = booking.opening_part(shadow.quantity, order.side, quantity, 0.0)
    money.quantity -= _taken(head.leverage, order.side, quantity - opening, opening, unit)
    money.quantity -= fee_of(sim, order, quantity, price, NO)
    shadow.quantity += order.side * quantity
    return NO_REASON if money.quantity >= -_SLACK * unit * quantity else INSUFFICIENT_CASH


@inner
def _taken(leverage, side, closing, opening, unit):
    """Cash that an execution takes, where a long position ties up its value divided by the leverage."""
    longs, shorts = (opening, closing) if side > 0 else (closing, opening)
    return side * unit * (longs / leverage + shorts)


@inner
def _free_cash(sim, account):
    """Cash, proceeds of short sales included, and what long positions have been lent."""
    head = head_of(sim)
    books = head.books
    total = booking.cash_of(books, account)
    if head.leverage == 1.0:
        return total
    lent = 1.0 - 1.0 / head.leverage
    for code in range(head.queue_count):
        position = booking.positions_of(books)[booking.place_of(books, account, code)]
        if position.quantity > 0.0:
            total += lent * position.quantity * position.average_price * booking.unit_value(books, code)
    return total


@inner
def backs(sim, order, closing, opening, price, fee):
    """Whether the account can open a part of a position, once the part that closes one is done.

    ``proceeds``: cash must not fall below zero. ``equity``: the value opened must not exceed what equity, beyond
    the margin of positions held, allows at the leverage.
    """
    head = head_of(sim)
    books = head.books
    value = booking.unit_value(books, order.code)
    unit = price * value
    if head.power == POWER_PROCEEDS:
        free = _free_cash(sim, order.account) - fee
        free -= _taken(head.leverage, order.side, closing, opening, unit)
        if order.side < 0:  # what a long has gained or lost since its purchase is the account's alone
            average = booking.positions_of(books)[booking.place_of(books, order.account, order.code)].average_price
            free += (1.0 - 1.0 / head.leverage) * closing * (price - average) * value
        return free >= -_SLACK * opening * unit
    mark = booking.marks_of(books)[order.code]
    equity = booking.equity_of(books, order.account) - order.side * closing * (price - mark) * value
    tied = (_gross_value(sim, order.account) - closing * mark * value) / head.leverage
    return opening * unit + fee <= max(0.0, equity - tied) * head.leverage * (1.0 + _SLACK)


@inner
def _gross_value(sim, account):
    """The market value of all positions, shorts as positive numbers."""
    books, total = head_of(sim).books, 0.0
    marks = booking.marks_of(books)
    for code in range(head_of(sim).queue_count):
        held = booking.positions_of(books)[booking.place_of(books, account, code)].quantity
        if held != 0.0:
            total += abs(held) * marks[code] * booking.unit_value(books, code)
    return total
