"""Compiled: where resting limits stand in the exchange's queue at their price, and when their turn comes.

The models are those of hftbacktest (documentation, "Order Fill" and "Probability Queue Position Models";
source ``backtest/models/queue.rs``). An order joins behind what is displayed at its price. A print at the
price moves it up by its size; what a print has beyond those ahead fills the order. Where the display shrinks
by more than was printed, somebody has cancelled: under ``risk-averse`` behind the order, as long as that
can be; under ``power`` and ``log`` behind it with the probability ``f(behind) / (f(behind) + f(ahead))``,
``f(x) = x**n`` or ``f(x) = log(1 + x)``, so that the rest of the change moves the order up. The idea is
E. Rigtorp's ("Estimating order queue position", 2013). A print beyond the limit, or an opposite quote that
reaches it, fills all of the order at its limit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from qengine_portfolio.native import codes_at, floats_at, inlined, inner, times_at

from qengine_broker_sim.execution import execute_part, is_open, token_of
from qengine_broker_sim.layout import DAY, GTC, GTD, NO, POWER, RISK_AVERSE
from qengine_broker_sim.resting import forms_of, head_of, orders_of, queues_of, summarise, view_at

__all__ = ["STAND", "fills_at_all", "heed_row", "next_standing", "note_quotes", "stand"]

# By address, where a run has such queues: what a row of an instant does to them before it is matched (0), and after.
STAND = (types.void, (*[types.int64] * 5,))

_DUST = 1e-9
_SAME = 1e-11  # relative: rounding a price to its tick may change the last bits of it


@inlined
def fills_at_all(sim, view, row):
    """Whether a row fills anything, given the rule on rows without volume."""
    seen = view_at(view)
    if head_of(sim).zero_volume or seen.kind == 0 or seen.buy_size == 0:
        return True
    return floats_at(seen.buy_size)[row] > 0.0


@inner
def _is_same(price, other):
    return abs(price - other) <= _SAME * abs(other)


@inner
def shown_at(view, row, side, price):
    """What a row of quotes displays at a price of an order's own side; infinite where it does not reach so far."""
    seen = view_at(view)
    table, first = times_at(seen.depth), 2 if side > 0 else 0
    for level in range(seen.levels):
        at = floats_at(table[4 * level + first])[row]
        if at != at:
            return np.inf
        if _is_same(at, price):
            return floats_at(table[4 * level + first + 1])[row]
        if (at - price) * side < 0.0:  # better than this level, and nobody shows any there
            return 0.0
    return np.inf


# Coming into the queue ------------------------------------------------------------------------------------


@inner
def _may_stand(sim, order):
    """Whether an order is a limit that waits for the market to come to it."""
    waits = order.trigger == order.trigger and not order.triggered
    if waits or order.limit != order.limit or not order.active or not is_open(order):
        return False
    return queues_of(sim)[order.code].also >= 0 and forms_of(sim)[order.form].time_in_force in (GTC, GTD, DAY)


@inner
def _join(view, row, order):
    """Stand behind all that is displayed at the limit, unless that reaches the other side or nothing is known."""
    table = times_at(view_at(view).depth)
    ask, bid = floats_at(table[0])[row], floats_at(table[2])[row]
    if (ask != ask and bid != bid) or (ask <= order.limit if order.side > 0 else bid >= order.limit):
        return
    order.ahead = order.shown = shown_at(view, row, order.side, order.limit)
    order.traded = 0.0
    order.rested = 1


@inner
def stand(sim, seen_by, row, index):
    """An order has arrived, or lost its place: let it join by the last quote of its instrument."""
    order, seen = orders_of(sim)[index], view_at(seen_by)
    if not _may_stand(sim, order):
        return
    if seen.kind == 0:
        codes, at = codes_at(seen.codes), min(row, seen.rows - 1)
        while at >= 0 and codes[at] != order.code:
            at -= 1
        if at >= 0:
            _join(seen_by, at, order)
            return
    _join(head_of(sim).book, order.code, order)


@inner
def join_row(sim, view, row, now):
    """After a row of quotes has been matched: whatever limit it leaves resting joins the queue."""
    seen, orders = view_at(view), orders_of(sim)
    if seen.kind != 0:
        return
    token, index = token_of(view, row), queues_of(sim)[codes_at(seen.codes)[row]].first
    while index >= 0:
        order = orders[index]
        if order.ahead != order.ahead and (order.accepted_ts < now or order.born == token) and _may_stand(sim, order):
            _join(view, row, order)
        index = order.next


@inner
def note_quotes(sim, view, start, stop):
    """Write the last quotes of rows ``start <= row < stop`` to the book that arriving orders look at."""
    head, seen = head_of(sim), view_at(view)
    source, target, codes = times_at(seen.depth), times_at(view_at(head.book).depth), codes_at(seen.codes)
    for row in range(stop - 1 if head.queue_count == 1 else start, stop):
        for column in range(4 * head.levels):
            known = column < 4 * seen.levels and source[column] != 0
            floats_at(target[column])[codes[row]] = floats_at(source[column])[row] if known else np.nan


# Moving up ------------------------------------------------------------------------------------------------


@inner
def move_up(sim, view, row, now):
    """A row says something new about the queues of its instrument: move orders up, and fill those it reaches."""
    seen = view_at(view)
    queue = queues_of(sim)[codes_at(seen.codes)[row]]
    if queue.count == 0 or queue.also < 0:
        return
    if seen.kind == 0:
        _move_by_quote(sim, view, row, now, queue)
    elif queue.also == seen.kind and fills_at_all(sim, view, row):
        _move_by_print(sim, view, row, now, queue)


@inner
def heed_row(sim, view, row, now, is_matched):
    """What a row does to the queues of its instrument before it is matched, and after that."""
    if is_matched:
        join_row(sim, view, row, now)
    else:
        move_up(sim, view, row, now)


@inner
def _is_concerned(order, now):
    return is_open(order) and order.ahead == order.ahead and order.accepted_ts < now and order.not_before < now


@inner
def _move_by_quote(sim, view, row, now, queue):
    orders, head, index = orders_of(sim), head_of(sim), queue.first
    while index >= 0:
        order = orders[index]
        if _is_concerned(order, now):
            shown = shown_at(view, row, order.side, order.limit)
            if _says_more(order, shown):
                order.ahead = ahead_after(
                    head.queue_model, head.queue_exponent, order.ahead, order.shown, shown, order.traded
                )
                order.shown, order.traded = shown, 0.0
        index = order.next


@inner
def _says_more(order, shown):
    """Whether a display tells anything about an order's place. Out of sight it tells nothing."""
    return shown < np.inf and (shown != order.shown or order.traded != 0.0)


@inner
def ahead_after(model, exponent, ahead, before, after, traded):
    """What stands before an order when the display at its price has gone from ``before`` to ``after``.

    ``traded`` was printed at the price meanwhile and has moved the order up already.
    """
    if ahead == np.inf or before == np.inf:  # seen for the first time
        return after
    if model == RISK_AVERSE:
        return min(ahead, after)
    change = before - after - traded
    if change < 0.0:
        return min(ahead, after)
    behind = max(before - ahead, 0.0)
    share = _behind(model, exponent, ahead, behind)
    moved = ahead - (1.0 - share) * change + min(behind - share * change, 0.0)
    return max(min(moved, after), 0.0)


@inner
def _behind(model, exponent, ahead, behind):
    """The probability that who cancels stands behind the order."""
    if model == POWER:
        before, after = ahead**exponent, behind**exponent
    else:
        before, after = math.log1p(ahead), math.log1p(behind)
    return after / (after + before) if after + before > 0.0 else 1.0


@inner
def _move_by_print(sim, view, row, now, queue):
    """By age; what one of our orders takes of a print, those after it do not get."""
    seen, orders = view_at(view), orders_of(sim)
    price, size, token = floats_at(seen.close)[row], floats_at(seen.buy_size)[row], token_of(view, row)
    aggressor = floats_at(seen.aggressor)[row] if seen.aggressor != 0 else 0.0
    index, taken = queue.first, 0.0
    while index >= 0:
        order, this = orders[index], index
        index = order.next
        if order.token == token or not _is_concerned(order, now):
            continue
        order.token = token
        given = _given(order, price, size, aggressor)
        if given < np.inf:
            given -= taken
        if given > _DUST * size:
            taken += execute_part(sim, view, row, this, order.limit, size, taken, NO, given, NO)
            index = queue.first  # with this one others may have left the queue; those tried are marked


@inner
def _given(order, price, size, aggressor):
    """What a print has for an order: all it wants if the print lies beyond the limit, else what is left of it."""
    if not _is_same(price, order.limit):
        return np.inf if (price - order.limit) * order.side < 0.0 else 0.0
    if aggressor * order.side > 0.0:  # it was taken from the other side of the book
        return 0.0
    order.ahead -= size
    order.traded += size
    given = -order.ahead
    if given > 0.0:
        order.ahead = 0.0
    return given


# The search -----------------------------------------------------------------------------------------------


@inner
def next_standing(sim, view, start, stop):
    """What ``next_match`` is where orders stand in queues: rows that move one on concern it, too."""
    queues, seen = queues_of(sim), view_at(view)
    ts, codes = times_at(seen.ts), codes_at(seen.codes)
    buy_lows, buy_highs = floats_at(seen.buy_low), floats_at(seen.buy_high)
    sell_lows, sell_highs = floats_at(seen.sell_low), floats_at(seen.sell_high)
    for row in range(start, stop):
        queue = queues[codes[row]]
        if queue.count == 0 or (queue.grade != seen.grade and queue.also != seen.kind):
            continue
        if queue.stale:
            summarise(sim, queue)
        if ts[row] <= queue.after or not fills_at_all(sim, view, row):
            continue
        if queue.also == seen.kind:
            if _reaches(sim, queue, buy_lows[row], ts[row]):
                return row
            continue
        if queue.always > 0 or buy_lows[row] <= queue.buy_down or buy_highs[row] >= queue.buy_up:
            return row
        if sell_lows[row] <= queue.sell_down or sell_highs[row] >= queue.sell_up:
            return row
        if queue.also >= 0 and _tells(sim, view, row, queue, ts[row]):
            return row
    return stop


@inner
def _reaches(sim, queue, price, now):
    """Whether a print concerns an order that stands in line."""
    orders, index = orders_of(sim), queue.first
    while index >= 0:
        order = orders[index]
        if _is_concerned(order, now) and ((price - order.limit) * order.side <= 0.0 or _is_same(price, order.limit)):
            return True
        index = order.next
    return False


@inner
def _tells(sim, view, row, queue, now):
    """Whether a row of quotes moves an order on, or lets one join."""
    orders, index = orders_of(sim), queue.first
    while index >= 0:
        order = orders[index]
        if _is_concerned(order, now):
            if _says_more(order, shown_at(view, row, order.side, order.limit)):
                return True
        elif order.ahead != order.ahead and order.accepted_ts < now and _may_stand(sim, order):
            return True
        index = order.next
    return False
