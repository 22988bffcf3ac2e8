"""Compiled: matching without a path. Orders are tried one after the other, each by itself against the whole row.

The order is that of their acceptance, over all instruments of an instant; a stop goes before the other exits of
its entry. Simulators that keep one queue of orders work like this, and it is fast; what it gives up is that two
orders reached in one bar may fill in an order in which prices cannot have passed them.
"""

from __future__ import annotations

import numpy as np
from qengine_portfolio import booking
from qengine_portfolio.native import codes_at, floats_at, inner, times_at
from qengine_portfolio.view import BARS

from qengine_broker_sim.execution import execute, is_open, set_limit, token_of
from qengine_broker_sim.layout import AT_CLOSE, AT_OPEN, AT_TRIGGER, CLOSE_BACK, NEXT_CLOSE, NO, NO_TOKEN, POWER_EQUITY
from qengine_broker_sim.matching import after_try, fills_at_most, has_room, may_act, rows_with_orders, try_alone
from qengine_broker_sim.prices import trigger_price
from qengine_broker_sim.resting import fills_from, forms_of, head_of, orders_of, queues_of, refresh, view_at
from qengine_broker_sim.standing import fills_at_all

__all__ = ["match_in_turn"]


@inner
def match_in_turn(sim, view, start):
    """Match every row that shares the timestamp of row ``start``; return the row after the last of them.

    Where there is no room for all the fills that so many rows may bring, nothing is done, and the negative of
    their number returned.
    """
    head, seen = head_of(sim), view_at(view)
    ts = times_at(seen.ts)
    now, end = ts[start], start + 1
    while end < seen.rows and ts[end] == now:
        end += 1
    if end > start + 1:
        fills = fills_at_most(sim, rows_with_orders(sim, view, start, end)[1])
        if fills and not has_room(sim, fills):
            return -fills
    head.now, head.start = now, start
    if head.power == POWER_EQUITY:  # which is worked out with the closes of this instant
        booking.mark_rows(head.books, codes_at(seen.codes), floats_at(seen.mark), start, end)
    if head.last_rows and seen.kind == 2:
        _match_last_rows(sim, view, start, end, now)
    else:
        _match_rows(sim, view, start, end, now)
    return end


@inner
def _match_rows(sim, view, start, end, now):
    head = head_of(sim)
    taken = np.zeros(end - start)
    _forget_turns(sim, view, start, end)
    head.walks_again = 1
    while head.walks_again:
        head.walks_again = 0
        _walk_once(sim, view, start, end, now, taken)
    for row in range(start, end):
        if _is_matched(sim, view, row):
            _finish_row(sim, view, row, now)


@inner
def _match_last_rows(sim, view, start, end, now):
    """Match the last row of every instrument, those of this instant and older ones alike."""
    head, seen = head_of(sim), view_at(view)
    last = view_at(head.last_rows)
    codes, present = codes_at(seen.codes), times_at(head.last_seen)
    for row in range(start, end):
        if queues_of(sim)[codes[row]].grade == seen.grade:
            present[codes[row]] = now
            _remember(seen, row, last, codes[row])
    times = times_at(last.ts)
    for code in range(last.rows):
        times[code] = now
    last.number = seen.number
    rules = booking.head_of(head.books)
    before = rules.fill_count
    _match_rows(sim, head.last_rows, 0, last.rows, now)
    fills = booking.fills_of(head.books)
    for number in range(before, rules.fill_count):
        fills[number].row = start


@inner
def _remember(seen, row, last, code):
    """Copy a row into the table of last rows."""
    for source, target in (
        (seen.mark, last.mark),
        (seen.buy_open, last.buy_open),
        (seen.sell_open, last.sell_open),
        (seen.buy_low, last.buy_low),
        (seen.buy_high, last.buy_high),
        (seen.sell_low, last.sell_low),
        (seen.sell_high, last.sell_high),
        (seen.close, last.close),
        (seen.buy_size, last.buy_size),
        (seen.sell_size, last.sell_size),
    ):
        floats_at(target)[code] = np.inf if source == 0 else floats_at(source)[row]
    if seen.session_open != 0:
        times_at(last.session_open)[code] = times_at(seen.session_open)[row]
        times_at(last.session_close)[code] = times_at(seen.session_close)[row]
        times_at(last.is_opening)[code] = times_at(seen.is_opening)[row]


@inner
def _is_bound(sim, view, row, index, now):
    """Whether an order waits for a row of its own: one at market, or for a session, where the row is an older one."""
    head, order = head_of(sim), orders_of(sim)[index]
    if view != head.last_rows or times_at(head.last_seen)[row] == now:
        return False
    at_market = order.limit != order.limit and (order.trigger != order.trigger or order.triggered)
    return at_market or forms_of(sim)[order.form].time_in_force >= AT_OPEN


@inner
def _is_matched(sim, view, row):
    """Whether there is a row, and it can fill orders of its instrument."""
    seen = view_at(view)
    queue = queues_of(sim)[codes_at(seen.codes)[row]]
    if queue.count == 0 or floats_at(seen.close)[row] != floats_at(seen.close)[row]:
        return False
    if view == head_of(sim).last_rows:
        return queue.grade >= BARS and fills_at_all(sim, view, row)
    return fills_from(sim, seen, queue, codes_at(seen.codes)[row], row) and fills_at_all(sim, view, row)


@inner
def _forget_turns(sim, view, start, end):
    """Nobody has had a turn on these rows yet; the last rows of instruments come by more than once."""
    orders, codes = orders_of(sim), codes_at(view_at(view).codes)
    for row in range(start, end):
        if _is_matched(sim, view, row):
            index = queues_of(sim)[codes[row]].first
            while index >= 0:
                orders[index].token = NO_TOKEN
                index = orders[index].next


@inner
def _walk_once(sim, view, start, end, now, taken):
    """Give every order that rests when the walk begins its turn; again in the next, if it has not filled by then."""
    orders, codes = orders_of(sim), codes_at(view_at(view).codes)
    count = 0
    for row in range(start, end):
        if _is_matched(sim, view, row):
            count += queues_of(sim)[codes[row]].count
    indices, rows, turns = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    before = np.empty(count)
    place = 0
    for row in range(start, end):
        if _is_matched(sim, view, row):
            index = queues_of(sim)[codes[row]].first
            while index >= 0:
                indices[place], rows[place], turns[place] = index, row, orders[index].turn
                before[place] = orders[index].filled
                index = orders[index].next
                place += 1
    for place in np.argsort(turns, kind="mergesort"):
        row = rows[place]
        taken[row - start] += _give_turn(sim, view, row, indices[place], now, taken[row - start])
    if head_of(sim).walks_again:
        for place in range(count):
            if orders[indices[place]].filled == before[place]:
                orders[indices[place]].token = NO_TOKEN


@inner
def _give_turn(sim, view, row, index, now, taken):
    """Try an order, after the stop that protects the same entry; return the quantity filled."""
    orders, token, filled = orders_of(sim), token_of(view, row), 0.0
    order = orders[index]
    if order.parent >= 0 and order.group >= 0 and order.trigger != order.trigger:
        other = order.kin
        while other != index:
            kin = orders[other]
            if kin.group == order.group and kin.trigger == kin.trigger and may_act(sim, view, row, other, token, now):
                filled += _try(sim, view, row, other, taken + filled)
            other = kin.kin
    if may_act(sim, view, row, index, token, now) and not _is_bound(sim, view, row, index, now):
        filled += _try(sim, view, row, index, taken + filled)
    return filled


@inner
def _try(sim, view, row, index, taken):
    head, order = head_of(sim), orders_of(sim)[index]
    order.token = token_of(view, row)
    if order.trigger == order.trigger and not order.triggered:
        form = forms_of(sim)[order.form]
        if order.limit == order.limit or form.limit_offset == form.limit_offset:
            return _try_stop_limit(sim, view, row, index, taken)
        filled = try_alone(sim, view, row, index, taken)
        if head.forgets and order.triggered and is_open(order):
            order.triggered = 0
            refresh(sim, index)
        return filled
    return try_alone(sim, view, row, index, taken)


@inner
def _try_stop_limit(sim, view, row, index, taken):
    """Set a stop-limit off, and fill it on the same row as far as the rule allows; return the quantity filled."""
    head, order, seen = head_of(sim), orders_of(sim)[index], view_at(view)
    form = forms_of(sim)[order.form]
    buys = order.side > 0
    opening = floats_at(seen.buy_open if buys else seen.sell_open)[row]
    low = floats_at(seen.buy_low if buys else seen.sell_low)[row]
    high = floats_at(seen.buy_high if buys else seen.sell_high)[row]
    if form.time_in_force == AT_OPEN:
        low = high = opening
    elif seen.kind == 2 and (head.timing == NEXT_CLOSE or form.time_in_force == AT_CLOSE):
        opening = low = high = floats_at(seen.close)[row]
    rises = buys != (form.is_touch != 0)
    price = trigger_price(rises, order.trigger, opening, high if rises else low)
    if price != price:
        return 0.0
    order.triggered = 1
    set_limit(sim, order)
    refresh(sim, index)
    room = (order.limit - order.trigger) * order.side
    if head.stop_limits == AT_TRIGGER:
        reached = low <= order.limit if buys else high >= order.limit
        return execute(sim, view, row, index, order.trigger, taken, NO) if reached and room > 0.0 else 0.0
    if price == opening:
        return try_alone(sim, view, row, index, taken)
    if head.stop_limits != CLOSE_BACK:
        return 0.0
    if room >= 0.0:
        return execute(sim, view, row, index, order.trigger, taken, NO)
    closing = floats_at(seen.close)[row]
    turned = opening > closing if buys else opening <= closing
    if turned and (closing - order.limit) * order.side <= 0.0:
        return execute(sim, view, row, index, order.limit, taken, NO)
    return 0.0


@inner
def _finish_row(sim, view, row, now):
    """After all turns: what is good for one row ends, and the marks of trailing orders move."""
    orders, forms, token = orders_of(sim), forms_of(sim), token_of(view, row)
    code = codes_at(view_at(view).codes)[row]
    index = queues_of(sim)[code].first
    while index >= 0:
        order = orders[index]
        following = order.next
        starts_trail = order.born == token and order.trail == order.trail and order.mark != order.mark
        may_end = may_act(sim, view, row, index, NO_TOKEN, now) and not _is_bound(sim, view, row, index, now)
        if starts_trail or may_end:
            after_try(sim, view, row, index, forms[order.form].time_in_force, now)
            if following >= 0 and not orders[following].linked:  # ended with this one
                following = queues_of(sim)[code].first
        index = following
