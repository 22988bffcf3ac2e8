"""Compiled: the open trades that a position is made of, where each entry is one. They lie as their orders do."""

from __future__ import annotations

from qengine_portfolio import booking
from qengine_portfolio.native import inner
from qengine_portfolio.records import records_at

from qengine_broker_sim.layout import TRADE, TRADES
from qengine_broker_sim.resting import head_of, orders_of

__all__ = ["add_trade", "oldest_against", "shrink_trade", "trades_of"]

_trades_at = records_at("trades", TRADE)
_trade_lists_at = records_at("trade lists", TRADES)


@inner
def trades_of(sim):
    return _trades_at(head_of(sim).trades)


@inner
def _lists_of(sim):
    return _trade_lists_at(head_of(sim).trade_lists)


@inner
def add_trade(sim, index, quantity):
    """An order has opened so much (more) of its position."""
    order, trades = orders_of(sim)[index], trades_of(sim)
    trade = trades[index]
    if trade.quantity > 0.0:
        trade.quantity += quantity
        return
    head_of(sim).open_trades += 1
    open_ones = _lists_of(sim)[booking.place_of(head_of(sim).books, order.account, order.code)]
    trade.quantity, trade.next, trade.previous = quantity, -1, open_ones.last
    if open_ones.last >= 0:
        trades[open_ones.last].next = index
    else:
        open_ones.first = index
    open_ones.last = index


@inner
def oldest_against(sim, order):
    """The oldest open trade of the other side, or -1. All trades of a position are on one side."""
    open_ones = _lists_of(sim)[booking.place_of(head_of(sim).books, order.account, order.code)]
    first = open_ones.first
    return first if first >= 0 and orders_of(sim)[first].side != order.side else -1


@inner
def shrink_trade(sim, index, quantity):
    """So much of a trade has been closed; return what is left of it."""
    order, trades = orders_of(sim)[index], trades_of(sim)
    trade = trades[index]
    trade.quantity -= quantity
    if trade.quantity > 1e-12 * order.quantity:
        return trade.quantity
    trade.quantity = 0.0
    head_of(sim).open_trades -= 1
    open_ones = _lists_of(sim)[booking.place_of(head_of(sim).books, order.account, order.code)]
    if trade.previous >= 0:
        trades[trade.previous].next = trade.next
    else:
        open_ones.first = trade.next
    if trade.next >= 0:
        trades[trade.next].previous = trade.previous
    else:
        open_ones.last = trade.previous
    return 0.0
