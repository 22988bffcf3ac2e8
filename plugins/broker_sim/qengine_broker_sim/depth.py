"""Compiled: an order against the book of a row of quotes, level by level, and what our orders took of it."""

from __future__ import annotations

import numpy as np
from numba import types
from qengine_portfolio.native import carray, floats_at, function_at, inner, pointer, times_at

from qengine_broker_sim.chance import must_penetrate
from qengine_broker_sim.execution import covers_all, execute, execute_part, is_open, token_of
from qengine_broker_sim.layout import FOK, LAST_LEVEL, NO
from qengine_broker_sim.resting import forms_of, head_of, orders_of, view_at

__all__ = ["WALK", "trade", "walk_book"]

_DUST = 1e-9
_PRICE, _SIZE, _GONE = 0, 1, 2

# By address, as fills are: it is compiled where a run has books, and there once.
WALK = (types.float64, (*[types.int64] * 4, types.float64, types.int64))
_walk_at = function_at(*WALK)


@inner
def trade(sim, view, row, index, price, taken, at_market):
    """Execute an order at the price that a row offers or, where the book is walked, at those of its levels.

    An order that stands in the exchange's queue and is met by the other side trades at its own limit.
    """
    head, seen = head_of(sim), view_at(view)
    if seen.kind == 0 and head.walks + head.queue_model > 0:
        order, own_price = orders_of(sim)[index], np.nan
        if order.ahead == order.ahead:
            own_price = price = order.limit
            at_market = NO
        if head.walks:
            where = np.int64(sim), np.int64(view), np.int64(row), np.int64(index)
            return _walk_at(head.walk, (*where, float(own_price), np.int64(at_market)))
    return execute(sim, view, row, index, price, taken, at_market)


@inner
def walk_book(sim, view, row, index, own_price, at_market):
    """Execute an order at the levels of a row's book; what they gave is remembered where that is the policy."""
    head, code = head_of(sim), orders_of(sim)[index].code
    rows = _levels_of(sim, view, row, code)
    filled = _walk(sim, view, row, index, rows, own_price, at_market)
    if head.remembers:
        _books_at(head.gone, code, head.levels)[:] = rows
    return filled


@inner
def _walk(sim, view, row, index, rows, own_price, at_market):
    """Take level after level up to the limit, one fill each; return the quantity filled.

    Each fill then has a price that was quoted, on the grid, and never beyond the limit; the commission is
    that of the whole order in any case. With an ``own_price`` all levels trade at that.
    """
    head, order = head_of(sim), orders_of(sim)[index]
    form = forms_of(sim)[order.form]
    levels = rows[0 if order.side > 0 else 1]
    wanted = min(order.allowed - order.filled, form.display)
    if form.time_in_force == FOK and not _gives_all(sim, view, row, index, levels):
        return 0.0
    filled, last, strict = 0.0, np.nan, must_penetrate(sim, index)
    for place in range(head.levels + 1):
        price, size, gone = last, np.inf, 0.0
        ends = place == head.levels or levels[place, _PRICE] != levels[place, _PRICE]
        if not ends:
            price, size, gone = levels[place, _PRICE], levels[place, _SIZE], levels[place, _GONE]
        if (ends and (head.beyond != LAST_LEVEL or last != last)) or _is_beyond(order, price, strict):
            break
        last = price
        if size - gone > _DUST * min(size, 1e300):
            most = min(size - gone, wanted - filled)
            at = own_price if own_price == own_price else price
            got = execute_part(sim, view, row, index, at, size, gone, at_market, most, NO)
            filled += got
            if not ends:
                levels[place, _GONE] += got
        if ends or not is_open(order) or wanted - filled <= _DUST * wanted:
            break
    return filled


@inner
def _is_beyond(order, price, strict):
    """Whether a level is worse than the limit, or no better where prices must penetrate it."""
    if order.limit != order.limit:
        return False
    return (price - order.limit) * order.side > 0.0 or (strict and price == order.limit)


@inner
def _gives_all(sim, view, row, index, levels):
    """Whether the levels within the limit, and the account, have room for all that is left of an order."""
    head, order = head_of(sim), orders_of(sim)[index]
    wanted = order.allowed - order.filled
    quantity, notional, last, is_over = 0.0, 0.0, np.nan, False
    strict = must_penetrate(sim, index)
    for place in range(head.levels):
        price = levels[place, _PRICE]
        if price != price:
            break
        if _is_beyond(order, price, strict):
            is_over = True
            break
        last = price
        offered = levels[place, _SIZE] - levels[place, _GONE]
        if head.participation < np.inf:
            offered = min(offered, head.participation * levels[place, _SIZE] - levels[place, _GONE])
        part = min(max(offered, 0.0), wanted - quantity)
        quantity += part
        notional += part * price
    if head.beyond == LAST_LEVEL and not is_over and last == last:
        notional += (wanted - quantity) * last
        quantity = wanted
    if quantity < wanted * (1.0 - _DUST):
        return False
    return covers_all(sim, view, row, index, wanted, notional / quantity)


@inner
def _levels_of(sim, view, row, code):
    """Both sides of a row's book (0: asks, 1: bids), level by level: price, displayed size, and what our orders took.

    There is one such book for each row of the instant that is being matched. Where levels are remembered, what
    was taken of the instrument's book before is gone of every level that has the same price and size still.
    """
    head, seen = head_of(sim), view_at(view)
    slot = row - head.start
    rows = _books_at(head.slots, slot, head.levels)
    tokens, token = times_at(head.slot_tokens), token_of(view, row)
    if tokens[slot] != token:
        tokens[slot] = token
        table = times_at(seen.depth)
        for side in range(2):
            for place in range(head.levels):
                level = rows[side, place]
                level[_PRICE], level[_SIZE], level[_GONE] = np.nan, np.nan, 0.0
                if place < seen.levels:
                    sizes = table[4 * place + 2 * side + 1]
                    level[_PRICE] = floats_at(table[4 * place + 2 * side])[row]
                    level[_SIZE] = floats_at(sizes)[row] if sizes != 0 else np.inf
    if head.remembers:
        before = _books_at(head.gone, code, head.levels)
        for side in range(2):
            for level in rows[side]:
                for old in before[side]:
                    if old[_PRICE] == level[_PRICE] and old[_SIZE] == level[_SIZE]:
                        level[_GONE] = max(level[_GONE], old[_GONE])
    return rows


@inner
def _books_at(address, number, levels):
    """One of several books of the same number of levels at an address."""
    size = 2 * levels * 3
    return carray(pointer(address), (number + 1) * size, np.float64)[number * size :].reshape((2, levels, 3))
