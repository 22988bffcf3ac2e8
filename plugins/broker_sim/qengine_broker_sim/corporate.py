"""Compiled: what a split does to an open order, and how a position ends that can be traded no more."""

from __future__ import annotations

import numpy as np
from qengine_portfolio import booking
from qengine_portfolio.native import inner

from qengine_broker_sim.execution import advance, fill_order, snap_prices, whole_lots
from qengine_broker_sim.layout import ACCEPTED, NO, NO_REASON, SUBMITTED
from qengine_broker_sim.resting import forms_of, head_of, link, orders_of, refresh

__all__ = ["end_position", "split_order"]


@inner
def split_order(sim, index, ratio, form):
    """Turn each unit of an order into ``ratio``, prices accordingly, on their grids; return what it may trade yet.

    ``form`` is the number of its form with amounts that have been split already.
    """
    order, books = orders_of(sim)[index], head_of(sim).books
    lot = booking.instruments_of(books)[order.code].lot_size
    left, room = order.quantity - order.filled, order.allowed - order.filled
    order.form = form
    order.filled *= ratio
    order.quantity = order.filled + whole_lots(left * ratio, lot)
    order.allowed = order.filled + whole_lots(room * ratio, lot)
    order.average_price /= ratio
    order.mark /= ratio
    shape = forms_of(sim)[form]
    if shape.from_fill != 2 or order.active:  # else they are fractions still
        order.limit /= ratio
        order.trigger /= ratio
    if not shape.trail_is_percent:
        order.trail /= ratio
    if order.active or not shape.from_fill:
        snap_prices(sim, order)
    order.maker_quantity *= ratio
    order.ahead *= ratio
    order.shown *= ratio
    order.traded *= ratio
    remaining = order.quantity - order.filled
    if order.counts_selling:
        booking.positions_of(books)[booking.place_of(books, order.account, order.code)].selling += remaining - left
    refresh(sim, index)
    return remaining


@inner
def end_position(sim, seen_by, row, index, price, now):
    """Fill an order that has been written down, whole, at a price and at no cost."""
    order = orders_of(sim)[index]
    if order.state == SUBMITTED:
        advance(sim, index, ACCEPTED, NO_REASON, now)
        link(sim, index)
    order.active, order.allowed = 1, order.quantity
    fill_order(sim, seen_by, np.int64(row), index, order.quantity, price, 0.0, 0.0, now, NO)
