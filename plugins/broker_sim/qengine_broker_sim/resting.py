"""Compiled: queues of resting orders by instrument, and the search for the next row that concerns one.

``sim`` is the address of the simulator's head, ``view`` that of a block's view; orders are indices.
"""

from __future__ import annotations

import numpy as np
from qengine_portfolio.native import carray, codes_at, floats_at, inner, pointer, times_at
from qengine_portfolio.view import VIEW

from qengine_broker_sim.layout import AT_CLOSE, AT_OPEN, EVENT, FOK, FORM, HEAD, IOC, ORDER, QUEUE

__all__ = [
    "events_of",
    "fills_from",
    "forms_of",
    "heads_of",
    "link",
    "next_match",
    "orders_of",
    "queues_of",
    "refresh",
    "summarise",
    "unlink",
    "views_of",
]

_NEVER = np.iinfo(np.int64).max
_INF = np.inf

# Accessors return arrays, not their elements: an element of records returned from a function is a copy.


@inner
def heads_of(sim):
    return carray(pointer(sim), 1, HEAD)


@inner
def orders_of(sim):
    return carray(pointer(heads_of(sim)[0].orders), 1, ORDER)


@inner
def forms_of(sim):
    return carray(pointer(heads_of(sim)[0].forms), 1, FORM)


@inner
def queues_of(sim):
    return carray(pointer(heads_of(sim)[0].queues), 1, QUEUE)


@inner
def events_of(sim):
    return carray(pointer(heads_of(sim)[0].events), 1, EVENT)


@inner
def views_of(view):
    return carray(pointer(view), 1, VIEW)


@inner
def fills_from(sim, seen, queue, code, row):
    """Whether a row is of the data that fills an instrument's orders: the finest.

    Under drill-down a coarser bar does, too, in which no finer row came.
    """
    if queue.grade == seen.grade:
        return True
    head = heads_of(sim)[0]
    if head.graded == 0 or seen.grade < queue.grade or seen.opened == 0:
        return False
    opened, last = times_at(seen.opened)[row], times_at(head.graded)
    grade = queue.grade
    while grade < seen.grade and last[grade * head.queue_count + code] <= opened:
        grade += 1
    return grade == seen.grade


@inner
def _is_always(order, form):
    """Whether the next row concerns an order whatever its price: at market, or good for one row only."""
    if not order.active:
        return False
    if form.time_in_force in (IOC, FOK, AT_OPEN, AT_CLOSE):
        return True
    if form.post_only and not order.rested:  # whether it would take shows on its first row
        return True
    if order.trail == order.trail and order.mark != order.mark:  # it takes its first mark from the next row
        return True
    waits = order.trigger == order.trigger and not order.triggered
    return not waits and (order.limit != order.limit or order.reached != 0)


@inner
def _is_entangled(order, form):
    """Whether what an order does on a bar may depend on the path of prices inside it."""
    has_both = order.trigger == order.trigger and (order.limit == order.limit or form.limit_offset == form.limit_offset)
    return has_both or order.tied != 0 or form.reduce_only != 0


@inner
def link(sim, index):
    """Put an active order at the end of its instrument's queue."""
    head, orders = heads_of(sim)[0], orders_of(sim)
    order = orders[index]
    form = forms_of(sim)[order.form]
    queue = queues_of(sim)[order.code]
    head.turns += 1
    order.turn = head.turns
    order.next = -1
    order.previous = queue.last
    if queue.last >= 0:
        orders[queue.last].next = index
    else:
        queue.first = index
    queue.last = index
    queue.count += 1
    order.linked = 1
    order.concerns = 1 if _is_always(order, form) else 0
    order.tangled = 1 if _is_entangled(order, form) else 0
    queue.always += order.concerns
    queue.entangled += order.tangled
    head.resting += 1
    head.always += order.concerns
    if queue.count == 1:
        _clear(queue)
    if queue.stale == 0:
        _widen(queue, order, form)


@inner
def unlink(sim, index):
    """Take an order out of its queue."""
    head, orders = heads_of(sim)[0], orders_of(sim)
    order = orders[index]
    queue = queues_of(sim)[order.code]
    if order.previous >= 0:
        orders[order.previous].next = order.next
    else:
        queue.first = order.next
    if order.next >= 0:
        orders[order.next].previous = order.previous
    else:
        queue.last = order.previous
    queue.count -= 1
    order.linked = 0
    queue.always -= order.concerns
    queue.entangled -= order.tangled
    head.resting -= 1
    head.always -= order.concerns
    queue.stale = 1


@inner
def refresh(sim, index):
    """A resting order has changed: count it anew, and summarise its queue before the next search."""
    head, order = heads_of(sim)[0], orders_of(sim)[index]
    if head.trial or not order.linked:
        return
    queue = queues_of(sim)[order.code]
    concerns = 1 if _is_always(order, forms_of(sim)[order.form]) else 0
    queue.always += concerns - order.concerns
    head.always += concerns - order.concerns
    order.concerns = concerns
    queue.stale = 1


@inner
def _clear(queue):
    queue.stale = 0
    queue.after = _NEVER
    queue.buy_down = -_INF
    queue.sell_down = -_INF
    queue.buy_up = _INF
    queue.sell_up = _INF


@inner
def _widen(queue, order, form):
    """Make the summary of a queue cover one more order."""
    if not order.active:
        return
    since = max(order.accepted_ts, order.not_before)
    if since < queue.after:
        queue.after = since
    if order.trigger == order.trigger and not order.triggered:
        falls = (order.side > 0) == (form.is_touch != 0)
        level = order.trigger
        if order.trail == order.trail:  # the mark moves with every new extreme
            if order.side > 0:
                queue.buy_down = max(queue.buy_down, np.nextafter(order.mark, -_INF))
            else:
                queue.sell_up = min(queue.sell_up, np.nextafter(order.mark, _INF))
    else:
        falls = order.side > 0
        level = order.limit
        if level != level:
            return
    if order.side > 0:
        if falls:
            queue.buy_down = max(queue.buy_down, level)
        else:
            queue.buy_up = min(queue.buy_up, level)
    elif falls:
        queue.sell_down = max(queue.sell_down, level)
    else:
        queue.sell_up = min(queue.sell_up, level)


@inner
def summarise(sim, queue):
    orders, forms = orders_of(sim), forms_of(sim)
    _clear(queue)
    index = queue.first
    while index >= 0:
        _widen(queue, orders[index], forms[orders[index].form])
        index = orders[index].next


@inner
def _search_one(sim, view, queue, start, stop):
    """The search where the run has one instrument: nothing is looked up per row."""
    seen = views_of(view)[0]
    ts = times_at(seen.ts)
    always, after = queue.always > 0, queue.after
    skips = heads_of(sim)[0].zero_volume == 0 and seen.kind != 0 and seen.buy_size != 0
    sizes = floats_at(seen.buy_size)
    buy_lows = floats_at(seen.buy_low)
    sell_highs = floats_at(seen.sell_high)
    buy_down, buy_up, sell_down, sell_up = queue.buy_down, queue.buy_up, queue.sell_down, queue.sell_up
    down, up = max(buy_down, sell_down), min(buy_up, sell_up)
    while start < stop and ts[start] <= after:
        start += 1
    while start < stop:
        found = start if always else stop
        if not always and seen.kind == 0:  # a buyer's and a seller's price differ
            for row in range(start, stop):
                ask, bid = buy_lows[row], sell_highs[row]
                if ask <= buy_down or ask >= buy_up or bid <= sell_down or bid >= sell_up:
                    found = row
                    break
        elif not always:
            for row in range(start, stop):
                if buy_lows[row] <= down or sell_highs[row] >= up:
                    found = row
                    break
        if found == stop or not skips or sizes[found] > 0.0:
            return found
        start = found + 1
    return stop


@inner
def next_match(sim, view, start, stop):
    """The first row in ``[start, stop)`` that may concern an order of its instrument, or ``stop``."""
    head, queues, seen = heads_of(sim)[0], queues_of(sim), views_of(view)[0]
    if head.queue_count == 1:
        queue = queues[0]
        if queue.count == 0 or (queue.grade != seen.grade and head.graded == 0):
            return stop
        if queue.stale:
            summarise(sim, queue)
        if queue.grade == seen.grade:
            return _search_one(sim, view, queue, start, stop)
    ts, codes = times_at(seen.ts), codes_at(seen.codes)
    buy_lows = floats_at(seen.buy_low)
    buy_highs = floats_at(seen.buy_high)
    sell_lows = floats_at(seen.sell_low)
    sell_highs = floats_at(seen.sell_high)
    sizes = floats_at(seen.buy_size)
    skips = head.zero_volume == 0 and seen.kind != 0 and seen.buy_size != 0
    for row in range(start, stop):
        queue = queues[codes[row]]
        if queue.count == 0 or (queue.grade != seen.grade and not fills_from(sim, seen, queue, codes[row], row)):
            continue
        if queue.stale:
            summarise(sim, queue)
        if ts[row] <= queue.after:
            continue
        touched = queue.always > 0 or buy_lows[row] <= queue.buy_down or buy_highs[row] >= queue.buy_up
        if not touched and not (sell_lows[row] <= queue.sell_down or sell_highs[row] >= queue.sell_up):
            continue
        if skips and not sizes[row] > 0.0:
            continue
        return row
    return stop
