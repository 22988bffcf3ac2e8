"""Compiled: what an execution costs. Commission and slippage by the models' functions, which lie at addresses."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from qengine_portfolio import booking
from qengine_portfolio.native import RATES, carray, floats_at, function_at, inlined, inner, pointer

from qengine_broker_sim.layout import FEE_BY_ORDER, FEE_BY_REQUEST
from qengine_broker_sim.resting import head_of, view_at

__all__ = ["COMMISSION", "SLIPPAGE", "cell", "concession_of", "fee_of"]

_F8 = types.float64
COMMISSION = (_F8, (*[_F8] * 7, RATES))
SLIPPAGE = (_F8, (*[_F8] * 8, RATES))
_commission_at = function_at(*COMMISSION)
_slippage_at = function_at(*SLIPPAGE)


@inlined
def cell(column, row, missing):
    """A value of a column that may not be there."""
    return missing if column == 0 else floats_at(column)[row]


@inlined
def fee_of(sim, order, quantity, price, is_maker):
    """What executing ``quantity`` more at ``price`` adds to the order's commission."""
    head = head_of(sim)
    if head.commission == 0:
        return 0.0
    if head.fee_by_part != FEE_BY_ORDER:
        if head.fee_by_part == FEE_BY_REQUEST:
            maker = 1.0 if is_maker else 0.0
            return 0.0 if order.filled > 0.0 else _commission_on(sim, order, order.quantity, price, maker)
        return _fee_by_part(sim, order, quantity, price, is_maker)
    total = order.filled + quantity
    average = price if total == quantity else (order.average_price * order.filled + price * quantity) / total
    maker = (order.maker_quantity + (quantity if is_maker else 0.0)) / total
    return _commission_on(sim, order, total, average, maker) - order.commission


@inner
def _fee_by_part(sim, order, quantity, price, is_maker):
    """The commission on what closes and on what opens, each by itself and whatever the order has paid before."""
    books, maker = head_of(sim).books, 1.0 if is_maker else 0.0
    held = booking.positions_of(books)[booking.place_of(books, order.account, order.code)].quantity
    opening = booking.opening_part(held, order.side, quantity, 0.0)
    fee = _commission_on(sim, order, quantity - opening, price, maker) if opening < quantity else 0.0
    return fee + _commission_on(sim, order, opening, price, maker) if opening > 0.0 else fee


@inner
def _commission_on(sim, order, quantity, price, maker):
    head = head_of(sim)
    rates = carray(pointer(head.commission_rates), head.commission_size, np.float64)
    multiplier = booking.instruments_of(head.books)[order.code].multiplier
    prior = order.prior_quantity, order.prior_notional
    values = (float(order.side), quantity, price, multiplier, maker, prior[0], prior[1], rates)
    return _commission_at(head.commission, values)


@inlined
def concession_of(sim, view, row, code, side, quantity, price, size, taken):
    """What the slippage model gives away per unit; ``taken`` is how much of the row's ``size`` is gone."""
    head, seen = head_of(sim), view_at(view)
    if head.slippage == 0:
        return 0.0
    spread = 0.0 if seen.kind == 0 else cell(seen.spread, row, np.nan)
    volatility = cell(seen.volatility, row, np.nan)
    if volatility != volatility and seen.kind == 2:
        volatility = _parkinson(cell(seen.buy_low, row, np.nan), cell(seen.sell_high, row, np.nan))
    rates = carray(pointer(head.slippage_rates), head.slippage_size, np.float64)
    tick = booking.instruments_of(head.books)[code].tick_size
    values = (float(side), quantity, price, size, taken, spread, volatility, tick, rates)
    return _slippage_at(head.slippage, values)


@inner
def _parkinson(low, high):
    """The standard deviation of returns that a bar's range suggests (Parkinson 1980)."""
    return math.log(high / low) / 1.6651092223153954 if low > 0.0 and high > low else 0.0
