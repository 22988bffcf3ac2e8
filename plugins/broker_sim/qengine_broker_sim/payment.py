"""Compiled: accounts in which whatever is bought is paid from cash, and what is sold is cash at once."""

from __future__ import annotations

from qengine_portfolio import booking
from qengine_portfolio.native import inner

from qengine_broker_sim.costs import fee_of
from qengine_broker_sim.layout import INSUFFICIENT_CASH, NO, NO_REASON, POWER_LOCKED
from qengine_broker_sim.resting import head_of

__all__ = ["payable"]

_SLACK = 1 + 1e-9
_DUST = 1e-9
_STEPS = 64


@inner
def payable(sim, order, quantity, price, fee):
    """How much of an execution, whose commission is ``fee``, the account can pay for, and why not all of it.

    What is bought takes cash, be it to cover a short; of what is sold, the proceeds must cover the commission. With
    locked proceeds, what shorts have brought and as much again is no cash (vectorbt 1.2, ``lock_cash``).
    """
    head = head_of(sim)
    unit = price * booking.unit_value(head.books, order.code)
    fee *= booking.rate_of(head.books, order.code)
    if order.side < 0:
        if quantity * unit - fee < 0.0:
            return 0.0, INSUFFICIENT_CASH
        if head.power != POWER_LOCKED:
            return quantity, NO_REASON
        held = max(0.0, _held(sim, order))
        most = held
        free = _free_cash(sim, order.account)
        if held > 0.0:
            free += held * unit - _charge(sim, order, held, price)
        if free > 0.0:
            most += _part(sim, order, max(quantity - held, 0.0), price, unit, free)
        return (quantity, NO_REASON) if quantity <= most * _SLACK else _cut(sim, order, most)
    limit = booking.cash_of(head.books, order.account)
    if head.power == POWER_LOCKED:
        limit = min(limit, _unlocked(sim, order, price, unit))
    if quantity * unit + fee <= limit * _SLACK:
        return quantity, NO_REASON
    return _cut(sim, order, _part(sim, order, quantity, price, unit, limit))


@inner
def _cut(sim, order, quantity):
    """What is left of an execution where not all of it can be paid; crumbs of rounding are nothing."""
    is_some = head_of(sim).reduces and quantity > _DUST * order.quantity
    return (quantity if is_some else 0.0), INSUFFICIENT_CASH


@inner
def _part(sim, order, quantity, price, unit, money):
    """The quantity, at most this, that costs so much with its commission."""
    if money <= 0.0 or quantity <= 0.0:
        return 0.0
    part = quantity
    for _ in range(_STEPS):
        before = part
        part = min(quantity, max(0.0, (money - _charge(sim, order, part, price)) / unit))
        if part <= 0.0 or abs(part - before) <= 1e-14 * quantity:
            break
    return part


@inner
def _charge(sim, order, quantity, price):
    """The commission on an execution, in the ledger's currency."""
    return fee_of(sim, order, quantity, price, NO) * booking.rate_of(head_of(sim).books, order.code)


@inner
def _held(sim, order):
    books = head_of(sim).books
    return booking.positions_of(books)[booking.place_of(books, order.account, order.code)].quantity


@inner
def _debt(sim, account, code):
    """What a short position has brought; nothing, if there is none."""
    books = head_of(sim).books
    position = booking.positions_of(books)[booking.place_of(books, account, code)]
    return max(0.0, -position.quantity) * position.average_price * booking.unit_value(books, code)


@inner
def _free_cash(sim, account):
    """Cash less twice what short positions have brought."""
    head = head_of(sim)
    free = booking.cash_of(head.books, account)
    for code in range(head.queue_count):
        free -= 2 * _debt(sim, account, code)
    return free


@inner
def _unlocked(sim, order, price, unit):
    """What a purchase may cost: free cash, and what covering the instrument's short sets free as far as it goes."""
    free, debt, short = _free_cash(sim, order.account), _debt(sim, order.account, order.code), -_held(sim, order)
    if short <= 0.0:
        return free
    if free + 2 * debt >= short * unit + _charge(sim, order, short, price):
        return free + 2 * debt
    # Only a part of the short can be covered: each unit of it takes its price and the commission on it, and sets
    # twice its entry price free. The commission is taken for a fixed part and a part in proportion.
    fee, half = _charge(sim, order, short, price), _charge(sim, order, short / 2, price)
    rate = 2 * (fee - half) / short
    fixed = fee - rate * short
    part = (free - fixed) / (unit + rate - 2 * debt / short)
    return part * (unit + rate) + fixed
