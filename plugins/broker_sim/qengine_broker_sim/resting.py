"""Compiled: queues of resting orders by instrument, and the search for the next row that concerns one.

``sim`` is the address of the simulator's head, ``view`` that of a block's view; orders are indices.
"""

from __future__ import annotations

import numpy as np
from qengine_portfolio.booking import view_at
from qengine_portfolio.native import codes_at, floats_at, inner, merged, times_at
from qengine_portfolio.records import record_at, records_at

from qengine_broker_sim.layout import AT_CLOSE, AT_OPEN, CHANGES, EVENT, FOK, FORM, HEAD, IOC, ORDER, QUEUE

__all__ = [
    "draft_of",
    "events_of",
    "fills_from",
    "find_concerned",
    "forms_of",
    "head_of",
    "link",
    "next_match",
    "note_range",
    "orders_at",
    "orders_of",
    "queues_of",
    "refresh",
    "summarise",
    "unlink",
    "view_at",
]

_NEVER = np.iinfo(np.int64).max
_INF = np.inf

# Rows that a search compares without looking at the outcome: the processor does several at once.
_STRIDE = 64

# The heaps of a queue.
_HEAPS = 5
_BUY_DOWN, _BUY_UP, _SELL_DOWN, _SELL_UP, _LIST = (np.int64(heap) for heap in range(_HEAPS))


head_of = record_at("simulator", HEAD, changes=CHANGES)
orders_at = records_at("orders", ORDER)
_events_at = records_at("events", EVENT)
_forms_at = records_at("forms", FORM, changes=frozenset())
_queues_at = records_at("queues", QUEUE, changes=frozenset(QUEUE.names or ()) - {"grade", "also", "tops"})
_DRAFT = HEAD.fields["draft"][1]  # type: ignore[index]


@inner
def draft_of(sim):
    """What the next order has beyond the arguments of ``submit``."""
    return orders_at(sim + _DRAFT)[0]


@inner
def orders_of(sim):
    return orders_at(head_of(sim).orders)


@inner
def forms_of(sim):
    return _forms_at(head_of(sim).forms)


@inner
def queues_of(sim):
    return _queues_at(head_of(sim).queues)


@inner
def events_of(sim):
    return _events_at(head_of(sim).events)


@inner
def fills_from(sim, seen, queue, code, row):
    """Whether a row is of the data that fills an instrument's orders: the finest.

    Under drill-down a coarser bar does, too, in which no finer row came.
    """
    if queue.grade == seen.grade:
        return True
    head = head_of(sim)
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


# Heaps ----------------------------------------------------------------------------------------------------

# An order that one price decides lies in one of four heaps of its queue: of buyers who wait for the price to fall,
# buyers who wait for it to rise, and sellers likewise. All others lie in a fifth, which is a list, as all in it are
# on the same level. They are skew heaps (Sleator and Tarjan 1986, "Self-adjusting heaps"): nothing is kept in
# balance, a change takes logarithmic time on average, and one of a single order takes none.


@inner
def _price_of(order, form):
    """Whether an order waits for its side's price to fall, and to what."""
    if order.trigger == order.trigger and not order.triggered:
        return (order.side > 0) == (form.is_touch != 0), order.trigger
    return order.side > 0, order.limit


@inner
def _place_of(order, form):
    """The heap of an order, and its level there: the higher, the sooner a price reaches it."""
    if not order.active or order.concerns or order.trail == order.trail:
        return _LIST, _INF
    falls, price = _price_of(order, form)
    heap = (0 if order.side > 0 else 2) + (0 if falls else 1)
    return heap, price if falls else -price


@inner
def _meld(sim, first, second):
    """Make one heap of two; return its top (-1: of none)."""
    orders = orders_of(sim)
    if first < 0 or second < 0:
        return max(first, second)
    if orders[first].level < orders[second].level:
        first, second = second, first
    top = first
    while second >= 0:
        order = orders[first]
        following, order.right = order.right, order.left
        if following >= 0 and orders[following].level >= orders[second].level:
            following, second = second, following
        order.left = second
        orders[second].back = first
        first, second = second, following
    return top


@inner
def _has_any(queue):
    """Whether the heaps by price have an order."""
    tops = times_at(queue.tops)
    return max(tops[0], tops[1], tops[2], tops[3]) >= 0


@inner
def _put(sim, queue, index):
    orders, tops = orders_of(sim), times_at(queue.tops)
    order = orders[index]
    heap, level = _place_of(order, forms_of(sim)[order.form])
    if heap != _LIST:
        if not _has_any(queue):
            queue.since = _NEVER
        queue.since = min(queue.since, max(order.accepted_ts, order.not_before))
    order.level, order.left, order.right = level, -1, -1
    top = _meld(sim, index, tops[heap])
    tops[heap] = top
    orders[top].back = -1 - heap


@inner
def _take(sim, queue, index):
    """Put what lies below an order in its place. What has changed about the order itself makes no difference."""
    orders = orders_of(sim)
    order = orders[index]
    rest, back = _meld(sim, np.int64(order.left), np.int64(order.right)), order.back
    if back < 0:
        times_at(queue.tops)[-1 - back] = rest
    elif orders[back].left == index:
        orders[back].left = rest
    else:
        orders[back].right = rest
    if rest >= 0:
        orders[rest].back = back


@inner
def note_range(view, row, queue, instant):
    """Note how far the prices of an instant went, by one row more. None is missed, be it outside of its bar's range."""
    seen = view_at(view)
    if queue.instant != instant:
        queue.instant = instant
        queue.buy_low = queue.sell_low = _INF
        queue.buy_high = queue.sell_high = -_INF
    asked, offered = floats_at(seen.buy_open)[row], floats_at(seen.sell_open)[row]
    closing = floats_at(seen.close)[row] if seen.kind == 2 else np.nan
    queue.buy_low = _least(queue.buy_low, floats_at(seen.buy_low)[row], asked, closing)
    queue.sell_low = _least(queue.sell_low, floats_at(seen.sell_low)[row], offered, closing)
    queue.buy_high = -_least(-queue.buy_high, -floats_at(seen.buy_high)[row], -asked, -closing)
    queue.sell_high = -_least(-queue.sell_high, -floats_at(seen.sell_high)[row], -offered, -closing)


@inner
def _least(least, *prices):
    """What is NaN reaches nothing."""
    for price in prices:
        if price < least:
            least = price
    return least


@inner
def _reach(queue, heap):
    """The lowest level of a heap that the instant's rows reach."""
    if heap == 0:
        return queue.buy_low
    if heap == 1:
        return -queue.buy_high
    if heap == 2:
        return queue.sell_low
    return -queue.sell_high if heap == 3 else -_INF


@merged
def find_concerned(sim, queue):
    """Write down, by age, all orders of a queue that the instant may concern; return how many."""
    orders, found, tops = orders_of(sim), times_at(head_of(sim).found), times_at(queue.tops)
    count, place = np.int64(0), 0
    for heap in range(_HEAPS):
        reach = _reach(queue, heap)
        if tops[heap] >= 0 and orders[tops[heap]].level >= reach:
            found[count] = tops[heap]
            count += 1
        while place < count:  # below one that is not reached, none is
            order = orders[found[place]]
            place += 1
            if order.left >= 0 and orders[order.left].level >= reach:
                found[count] = order.left
                count += 1
            if order.right >= 0 and orders[order.right].level >= reach:
                found[count] = order.right
                count += 1
    _sort_by_age(sim, count)
    return count


@inner
def _sort_by_age(sim, count):
    """Shell's sort of what has been written down: most of the time that is next to nothing, and never very many."""
    orders, found, gap = orders_of(sim), times_at(head_of(sim).found), 1
    while 3 * gap < count:
        gap = 3 * gap + 1
    while gap > 0:
        for place in range(gap, count):
            index, at = found[place], place
            turn = orders[index].turn
            while at >= gap and orders[found[at - gap]].turn > turn:
                found[at] = found[at - gap]
                at -= gap
            found[at] = index
        gap //= 3


# The queue ------------------------------------------------------------------------------------------------


@inner
def link(sim, index):
    """Put an active order at the end of its instrument's queue."""
    head, orders = head_of(sim), orders_of(sim)
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
    queue.stale = 1
    if queue.count == 1 and order.concerns:  # at market and alone, as orders mostly are: prices do not matter
        queue.stale, queue.after = 0, max(order.accepted_ts, order.not_before)
    _put(sim, queue, index)


@inner
def unlink(sim, index):
    """Take an order out of its queue."""
    head, orders = head_of(sim), orders_of(sim)
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
    _take(sim, queue, index)


@inner
def refresh(sim, index):
    """A resting order has changed: count it anew, and put it where it belongs now."""
    head, order = head_of(sim), orders_of(sim)[index]
    if head.trial or not order.linked:
        return
    queue = queues_of(sim)[order.code]
    concerns = 1 if _is_always(order, forms_of(sim)[order.form]) else 0
    queue.always += concerns - order.concerns
    head.always += concerns - order.concerns
    order.concerns = concerns
    queue.stale = 1
    _take(sim, queue, index)
    _put(sim, queue, index)


@inner
def _widen(queue, order, form):
    """Make the summary of a queue cover one more order, of those that lie in no heap by price."""
    if not order.active:
        return
    queue.after = min(queue.after, max(order.accepted_ts, order.not_before))
    if order.concerns:  # whatever the price
        return
    falls, price = _price_of(order, form)
    if order.side > 0:
        if falls:
            queue.buy_down = max(queue.buy_down, price)
        else:
            queue.buy_up = min(queue.buy_up, price)
        if not order.triggered:  # the mark of a trail moves with every new extreme
            queue.buy_down = max(queue.buy_down, np.nextafter(order.mark, -_INF))
    else:
        if falls:
            queue.sell_down = max(queue.sell_down, price)
        else:
            queue.sell_up = min(queue.sell_up, price)
        if not order.triggered:
            queue.sell_up = min(queue.sell_up, np.nextafter(order.mark, _INF))


@inner
def _nearest(sim, queue, heap):
    top = times_at(queue.tops)[heap]
    return orders_of(sim)[top].level if top >= 0 else -_INF


@inner
def summarise(sim, queue):
    """Look up the nearest prices that concern an order of a queue, and when they do."""
    orders, forms = orders_of(sim), forms_of(sim)
    queue.stale = 0
    if queue.always == 0:  # else prices do not matter
        queue.buy_down, queue.buy_up = _nearest(sim, queue, _BUY_DOWN), -_nearest(sim, queue, _BUY_UP)
        queue.sell_down, queue.sell_up = _nearest(sim, queue, _SELL_DOWN), -_nearest(sim, queue, _SELL_UP)
    queue.after = queue.since if _has_any(queue) else _NEVER
    index = times_at(queue.tops)[_LIST]
    while index >= 0:
        _widen(queue, orders[index], forms[orders[index].form])
        index = orders[index].left


@merged
def _search_one(sim, view, queue, start, stop):
    """The search where the run has one instrument: nothing is looked up per row."""
    seen = view_at(view)
    ts = times_at(seen.ts)
    always, after = queue.always > 0, queue.after
    skips = head_of(sim).zero_volume == 0 and seen.kind != 0 and seen.buy_size != 0
    sizes = floats_at(seen.buy_size)
    buys, sells = (queue.buy_down, queue.buy_up), (queue.sell_down, queue.sell_up)
    if seen.kind != 0:  # buyers and sellers see the same prices, of which the lowest and the highest are looked at
        buys, sells = (max(buys[0], sells[0]), _INF), (-_INF, min(buys[1], sells[1]))
    while start < stop and ts[start] <= after:
        start += 1
    while start < stop:
        found = start if always else _first_beyond(seen.buy_low, seen.sell_high, buys, sells, start, stop)
        if found == stop or not skips or sizes[found] > 0.0:
            return found
        start = found + 1
    return stop


@inner
def _first_beyond(buy_prices, sell_prices, buys, sells, start, stop):
    """The first row in ``[start, stop)`` with a price at or beyond one of its two bounds, or ``stop``."""
    of_buyers, of_sellers = floats_at(buy_prices), floats_at(sell_prices)
    while start + _STRIDE <= stop:
        count = np.int64(0)
        for row in range(np.uint64(start), np.uint64(start + _STRIDE)):
            count += _is_beyond(of_buyers[row], buys) | _is_beyond(of_sellers[row], sells)
        if count:
            break
        start += _STRIDE
    for row in range(start, stop):
        if _is_beyond(of_buyers[row], buys) or _is_beyond(of_sellers[row], sells):
            return row
    return stop


@inner
def _is_beyond(price, bounds):
    return (price <= bounds[0]) | (price >= bounds[1])


@merged
def next_match(sim, view, start, stop):
    """The first row in ``[start, stop)`` that may concern an order of its instrument, or ``stop``."""
    head, queues, seen = head_of(sim), queues_of(sim), view_at(view)
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
