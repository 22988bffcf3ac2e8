"""Compiled: the one matching core. Which orders an instant of market data concerns, in what order, at what price.

Independent orders are tried by age; orders that depend on one another (brackets, one-cancels-other,
stop-limits) are led along the path of prices inside the bar, and where the path decides, the policy does.
"""

from __future__ import annotations

import numpy as np
from numba import from_dtype, types
from qengine_portfolio import booking
from qengine_portfolio.native import codes_at, floats_at, function_at, inner, merged, times_at

from qengine_broker_sim.chance import must_penetrate
from qengine_broker_sim.depth import trade
from qengine_broker_sim.execution import (
    close,
    count_ambiguous,
    follow_mark,
    is_open,
    is_stop_limit,
    set_limit,
    token_of,
)
from qengine_broker_sim.layout import (
    AMBIGUOUS_BAR,
    AT_CLOSE,
    AT_CLOSE_REMAINDER,
    AT_OPEN,
    AT_OPEN_REMAINDER,
    CANCELLED,
    FOK,
    FOK_REMAINDER,
    IOC,
    IOC_REMAINDER,
    MARK_EXTREME,
    NEAREST_EXTREME_FIRST,
    NEXT_CLOSE,
    NO,
    NO_TOKEN,
    OPEN_HIGH_LOW_CLOSE,
    OPEN_LOW_HIGH_CLOSE,
    ORDER,
    POST_ONLY,
    REJECT_AMBIGUOUS,
)
from qengine_broker_sim.prices import limit_price, trigger_price
from qengine_broker_sim.resting import (
    fills_from,
    find_concerned,
    forms_of,
    head_of,
    note_range,
    orders_at,
    orders_of,
    queues_of,
    refresh,
    view_at,
)
from qengine_broker_sim.standing import STAND, fills_at_all

__all__ = [
    "BY_CLOSES",
    "TANGLE",
    "after_try",
    "came_mid_bar",
    "fills_at_most",
    "has_room",
    "match_instant",
    "match_stop_limits",
    "match_tangle",
    "may_act",
    "rows_with_orders",
    "try_alone",
]

# By address, as fills are: it is compiled once some order needs it.
TANGLE = (types.float64, (*[types.int64] * 5, types.float64))
_tangle_at = function_at(*TANGLE)
# Likewise: the stop-limits that are judged by the close, and what a row does to places in the exchange's queue.
BY_CLOSES = (types.float64, (*[types.int64] * 5, types.float64))
_by_close_at = function_at(*BY_CLOSES)
_stand_at = function_at(*STAND)

_ORDER = from_dtype(ORDER)


@merged
def match_instant(sim, view, start):
    """Match every row that shares the timestamp of row ``start``; return the row after the last of them.

    What reduces a position goes first, so that what it frees can pay for the rest. Where there is no room
    for all the fills that so many rows may bring, nothing is done, and the negative of their number returned.
    """
    head, queues, seen = head_of(sim), queues_of(sim), view_at(view)
    ts, codes = times_at(seen.ts), codes_at(seen.codes)
    now, end = ts[start], start + 1
    head.now, head.start = now, start
    while end < seen.rows and ts[end] == now:
        end += 1
    if end == start + 1 and queues[codes[start]].count == 1 and head.queue_model == 0:  # the usual case, directly
        queue = queues[codes[start]]
        if fills_from(sim, seen, queue, codes[start], start) and fills_at_all(sim, view, start):
            _match_row(sim, view, start, now, NO, 0.0)
        return end
    rows, open_orders = rows_with_orders(sim, view, start, end)
    if end > start + 1:
        fills = fills_at_most(sim, open_orders)
        if fills and not has_room(sim, fills):
            return -fills
    if head.stand:
        for row in range(start, end):
            _stand_at(head.stand, (np.int64(sim), np.int64(view), np.int64(row), np.int64(now), np.int64(0)))
    taken = np.zeros(len(rows))
    instant = token_of(view, start)
    for row in rows:
        if queues[codes[row]].count > 1:
            note_range(view, row, queues[codes[row]], instant)
    is_single = end == start + 1 and open_orders <= 1
    for exits_only in range(0 if not is_single else 1, 2):
        for place in range(len(rows)):
            row = rows[place]
            queue = queues[codes[row]]
            if queue.count == 0 or (exits_only == 0 and not _is_held(head.books, codes[row])):
                continue
            if fills_from(sim, seen, queue, codes[row], row) and fills_at_all(sim, view, row):
                taken[place] = _match_row(sim, view, row, now, exits_only == 0, taken[place])
    if head.stand:
        for row in range(start, end):
            _stand_at(head.stand, (np.int64(sim), np.int64(view), np.int64(row), np.int64(now), np.int64(1)))
    return end


@inner
def _is_held(books, code):
    """Whether some account has a position in an instrument, so that there may be something to exit."""
    for account in range(booking.head_of(books).account_count):
        if booking.positions_of(books)[booking.place_of(books, account, np.int64(code))].quantity != 0.0:
            return True
    return False


@inner
def rows_with_orders(sim, view, start, end):
    """The rows of an instant whose instruments have open orders, and how many, each counted on every row."""
    queues, codes = queues_of(sim), codes_at(view_at(view).codes)
    rows, count, total = np.empty(end - start, np.int64), 0, 0
    for row in range(start, end):
        orders = queues[codes[row]].count
        if orders:
            rows[count] = row
            count += 1
            total += orders
    return rows[:count], total


@inner
def fills_at_most(sim, open_orders):
    """How many fills an instant may bring whose rows find so many orders open, each counted on every row.

    Where positions are made of trades, a fill opens one or closes one, in whole or, for the last of an order, in part.
    """
    head, total = head_of(sim), open_orders
    if head.walks:  # each level of a book may fill a part
        total *= head.levels + 1
    return total if head.by_trade == 0 else 3 * total + head.open_trades


@inner
def has_room(sim, fills):
    """Whether so many fills, and what is announced of them, can be written down."""
    head = head_of(sim)
    books = booking.head_of(head.books)
    if books.fill_count + fills > books.fill_room:
        return False
    return head.announces == 0 or head.event_count + 4 * (fills + head.open) <= head.event_room


@inner
def _match_row(sim, view, row, now, exits_only, taken):
    """Match one row against the orders of its instrument; return how much of its volume is taken."""
    head, seen = head_of(sim), view_at(view)
    code = np.int64(codes_at(seen.codes)[row])
    queue = queues_of(sim)[code]
    token = token_of(view, row)
    if head.by_close:
        where = np.int64(sim), np.int64(view), np.int64(row), np.int64(now), np.int64(exits_only)
        taken = _by_close_at(head.by_close, (*where, float(taken)))
    if queue.entangled > 0:  # as a whole, early if any of it exits
        if queue.token == token or (exits_only and not _any_exits(sim, queue)):
            return taken
        queue.token = token
        if head.tangle == 0:
            raise RuntimeError("Orders are entangled, for which nothing is prepared: an error in the broker.")
        return _tangle_at(head.tangle, (np.int64(sim), np.int64(view), np.int64(row), code, now, float(taken)))
    orders, forms, found, count = orders_of(sim), forms_of(sim), times_at(head.found), 1
    if queue.count == 1:
        found[0] = queue.first
    else:
        count = find_concerned(sim, queue)
    for place in range(count):  # no row of this instant does anything to the others, and none of these to another
        index = found[place]
        order = orders[index]
        if may_act(sim, view, row, index, token, now) and (not exits_only or _exits(head.books, order)):
            order.token = token
            taken += try_alone(sim, view, row, index, taken)
            after_try(sim, view, row, index, forms[order.form].time_in_force, now)
    return taken


@inner
def _any_exits(sim, queue):
    orders, books = orders_of(sim), head_of(sim).books
    index = queue.first
    while index >= 0:
        if orders[index].active and _exits(books, orders[index]):
            return True
        index = orders[index].next
    return False


@inner
def may_act(sim, view, row, index, token, now):
    order = orders_of(sim)[index]
    if not order.active or order.token == token or not is_open(order) or order.not_before >= now:
        return False
    if order.allowed <= order.filled:  # its parent has to fill more
        return False
    if order.accepted_ts >= now and order.born != token:
        return False
    time_in_force = forms_of(sim)[order.form].time_in_force
    if time_in_force < AT_OPEN:
        return view_at(view).opened == 0 or not came_mid_bar(sim, view, row, order, token)
    return _is_its_row(sim, view, row, index)


@inner
def came_mid_bar(sim, view, row, order, token):
    """Whether an order, or a change of it, came after a bar had opened whose open it must not have, therefore."""
    head = head_of(sim)
    if head.waits == 0 or head.timing == NEXT_CLOSE or order.born == token:
        return False
    came = max(order.accepted_ts, order.not_before)
    return came > head.starts and came > times_at(view_at(view).opened)[row]


@inner
def _is_its_row(sim, view, row, index):
    """Whether a row opens, or closes, a session for which an order arrived in time."""
    order, seen, head = orders_of(sim)[index], view_at(view), head_of(sim)
    if seen.session_open == 0:
        return False
    if forms_of(sim)[order.form].time_in_force == AT_OPEN:
        opens = times_at(seen.session_open)[row]
        return times_at(seen.is_opening)[row] != 0 and order.accepted_ts <= opens - head.open_cutoff
    closes = times_at(seen.session_close)[row]
    return times_at(seen.ts)[row] >= closes and order.accepted_ts <= closes - head.close_cutoff


@inner
def _exits(books, order):
    """Whether a fill of this order would bring its position closer to zero."""
    held = booking.positions_of(books)[booking.place_of(books, order.account, order.code)].quantity
    return held != 0.0 and (held > 0) != (order.side > 0)


@inner
def after_try(sim, view, row, index, time_in_force, now):
    """What is good for one row ends with it; what stays has rested."""
    order = orders_of(sim)[index]
    if not is_open(order):
        return
    if not order.rested:
        order.rested = 1
        if order.concerns:
            refresh(sim, index)
    if time_in_force == IOC:
        close(sim, index, CANCELLED, IOC_REMAINDER, now)
    elif time_in_force == FOK:
        close(sim, index, CANCELLED, FOK_REMAINDER, now)
    elif time_in_force == AT_OPEN:
        close(sim, index, CANCELLED, AT_OPEN_REMAINDER, now)
    elif time_in_force == AT_CLOSE:
        close(sim, index, CANCELLED, AT_CLOSE_REMAINDER, now)
    if is_open(order) and order.trail == order.trail and not order.triggered:
        _move_mark(sim, view, row, index)


@inner
def _move_mark(sim, view, row, index):
    """After a row has been tried against the old mark, move the mark of a trailing order.

    Of a bar in the midst of which the order became active, only the close is known to lie after that.
    """
    order, seen = orders_of(sim)[index], view_at(view)
    is_whole = seen.kind != 2 or order.born != token_of(view, row)
    if head_of(sim).trail_mark == MARK_EXTREME and is_whole:
        column = seen.buy_low if order.side > 0 else seen.sell_high
    else:
        column = seen.close
    best = floats_at(column)[row]
    better = best < order.mark if order.side > 0 else best > order.mark
    if better or order.mark != order.mark:
        order.mark = best
        follow_mark(sim, order)
        refresh(sim, index)


# Orders on their own --------------------------------------------------------------------------------------


@inner
def try_alone(sim, view, row, index, taken):
    """Try an order whose outcome does not depend on the path; return the quantity filled."""
    head, order, seen = head_of(sim), orders_of(sim)[index], view_at(view)
    buys = order.side > 0
    opening = floats_at(seen.buy_open if buys else seen.sell_open)[row]
    low = floats_at(seen.buy_low if buys else seen.sell_low)[row]
    high = floats_at(seen.buy_high if buys else seen.sell_high)[row]
    time_in_force = forms_of(sim)[order.form].time_in_force
    if time_in_force == AT_OPEN:
        low = high = opening
    elif seen.kind == 2 and (head.timing == NEXT_CLOSE or time_in_force == AT_CLOSE):
        opening = low = high = floats_at(seen.close)[row]
    if order.trigger == order.trigger and not order.triggered:
        rises = buys != (forms_of(sim)[order.form].is_touch != 0)
        price = trigger_price(rises, order.trigger, opening, high if rises else low)
        if price != price:
            return 0.0
        order.triggered = 1
        refresh(sim, index)
        return trade(sim, view, row, index, price, taken, price == opening)
    limit, extreme = np.nan if order.reached else order.limit, low if buys else high
    price = limit_price(order.side, limit, opening, extreme, must_penetrate(sim, index))
    if price != price:
        return 0.0
    if extreme == limit and opening != limit:
        count_ambiguous(sim, order.code, order.token)
    at_market = price == opening
    if head.limits_stay and not order.reached:
        order.reached = 1
        refresh(sim, index)
    if at_market and not order.rested and forms_of(sim)[order.form].post_only:
        close(sim, index, CANCELLED, POST_ONLY, times_at(seen.ts)[row])
        return 0.0
    return trade(sim, view, row, index, price, taken, at_market)


# Stop-limits whose limit is judged by the close -----------------------------------------------------------


@inner
def match_stop_limits(sim, view, row, now, exits_only, taken):
    """Try the stop-limits of an instrument by the close of a row; nothing else on the row concerns them then."""
    orders, forms, books = orders_of(sim), forms_of(sim), head_of(sim).books
    queue = queues_of(sim)[np.int64(codes_at(view_at(view).codes)[row])]
    token, index = token_of(view, row), queue.first
    while index >= 0:
        order = orders[index]
        following, form = order.next, forms[order.form]
        is_one = is_stop_limit(order, form) and form.time_in_force < AT_OPEN
        if is_one and may_act(sim, view, row, index, token, now) and (not exits_only or _exits(books, order)):
            order.token = token
            taken += _try_by_close(sim, view, row, index, taken)
            after_try(sim, view, row, index, form.time_in_force, now)
        if following >= 0 and not orders[following].linked:  # ended with this one
            following = queue.first
        index = following
    return taken


@inner
def _try_by_close(sim, view, row, index, taken):
    """Set a stop-limit off if prices went beyond its stop, and fill it if the close is within its limit.

    It fills at the limit, or at the row's worst price where even that is better.
    """
    head, order, seen = head_of(sim), orders_of(sim)[index], view_at(view)
    buys = order.side > 0
    worst = floats_at(seen.buy_high if buys else seen.sell_low)[row]
    closing = worst if seen.kind == 0 else floats_at(seen.close)[row]
    if seen.kind == 2 and head.timing == NEXT_CLOSE:
        worst = closing
    if not order.triggered:
        if not (worst > order.trigger if buys else worst < order.trigger):
            return 0.0
        order.triggered = 1
        set_limit(sim, order)
        refresh(sim, index)
    if not (closing < order.limit if buys else closing > order.limit):
        return 0.0
    price = min(worst, order.limit) if buys else max(worst, order.limit)
    return trade(sim, view, row, index, price, taken, NO)


# Orders that depend on one another ------------------------------------------------------------------------


@inner
def match_tangle(sim, view, row, code, now, taken):
    """Lead the orders of one instrument along the path inside a bar that the policy says."""
    head, seen = head_of(sim), view_at(view)
    policy = head.path
    if seen.kind != 2 or head.timing == NEXT_CLOSE or not _any_reached(sim, view, row, code, now):
        taken = _walk(sim, view, row, code, now, OPEN_HIGH_LOW_CLOSE, taken)
    elif policy in (OPEN_HIGH_LOW_CLOSE, OPEN_LOW_HIGH_CLOSE):
        taken = _walk(sim, view, row, code, now, policy, taken)
    else:
        saved_orders, saved_positions, saved_cash, saved_accounts, saved = _snapshot(sim, code)
        relatives = saved_orders[0]
        worth = np.zeros(2)
        outcomes = np.zeros((2, len(relatives), 2))
        head.trial = 1
        for path in range(2):
            _walk(sim, view, row, code, now, path + 1, taken)
            worth[path] = _worth(sim, view, row, code)
            for place in range(len(relatives)):
                order = orders_of(sim)[relatives[place]]
                outcomes[path, place, 0], outcomes[path, place, 1] = order.filled, order.filled * order.average_price
            _restore(sim, code, saved_orders, saved_positions, saved_cash, saved_accounts, saved)
        head.trial = 0
        differs = worth[0] != worth[1] or not np.array_equal(outcomes[0], outcomes[1])
        if differs:
            count_ambiguous(sim, code, token_of(view, row))
        if differs and policy == REJECT_AMBIGUOUS:
            _give_up(sim, relatives, outcomes, now)
        path = OPEN_HIGH_LOW_CLOSE if worth[0] <= worth[1] else OPEN_LOW_HIGH_CLOSE
        if policy == NEAREST_EXTREME_FIRST:
            path = _nearest_first(view, row)
        taken = _walk(sim, view, row, code, now, path, taken)
    _finish_row(sim, view, row, code, now)
    return taken


@inner
def _nearest_first(view, row):
    seen = view_at(view)
    opening = floats_at(seen.buy_open)[row]
    to_low = opening - floats_at(seen.buy_low)[row]
    to_high = floats_at(seen.sell_high)[row] - opening
    return OPEN_HIGH_LOW_CLOSE if to_high < to_low else OPEN_LOW_HIGH_CLOSE


@inner
def _any_reached(sim, view, row, code, now):
    """Whether the row sets off or fills any order at all: most rows do not, and need no path."""
    orders, seen = orders_of(sim), view_at(view)
    opening = floats_at(seen.buy_open)[row]
    low = floats_at(seen.buy_low)[row]
    high = floats_at(seen.sell_high)[row]
    token, index = token_of(view, row), queues_of(sim)[code].first
    while index >= 0:
        if may_act(sim, view, row, index, token, now):
            if _is_ready(sim, index, opening) or _level_in(sim, index, opening, high):
                return True
            if _level_in(sim, index, opening, low):
                return True
        index = orders[index].next
    return False


@inner
def _is_ready(sim, index, price):
    """Whether an order is set off, or trades, when its side's price is ``price``."""
    order = orders_of(sim)[index]
    if order.trigger == order.trigger and not order.triggered:
        rises = (order.side > 0) != (forms_of(sim)[order.form].is_touch != 0)
        return price >= order.trigger if rises else price <= order.trigger
    limit = order.limit
    if limit != limit or order.reached:
        return True
    if must_penetrate(sim, index):
        return price < limit if order.side > 0 else price > limit
    return price <= limit if order.side > 0 else price >= limit


@inner
def _level_of(sim, index):
    """The price that an order waits for, and whether it waits for prices to rise to it."""
    order = orders_of(sim)[index]
    if order.trigger == order.trigger and not order.triggered:
        return order.trigger, (order.side > 0) != (forms_of(sim)[order.form].is_touch != 0)
    return order.limit, order.side < 0


@inner
def _level_in(sim, index, start, stop):
    """Whether the price that an order waits for lies on the way from ``start`` to ``stop``."""
    order = orders_of(sim)[index]
    level, rises = _level_of(sim, index)
    is_limit = not (order.trigger == order.trigger and not order.triggered)
    reached = start <= level <= stop if rises else stop <= level <= start
    if reached and is_limit and level == stop and must_penetrate(sim, index):
        return False
    return reached


@inner
def _path_of(sim, view, row, path):
    """The prices that a row passes through, in order: four of a bar, one of a print or under closing prices."""
    seen = view_at(view)
    points = np.empty(4)
    close_price = floats_at(seen.close)[row]
    if seen.kind != 2 or head_of(sim).timing == NEXT_CLOSE:
        points[0] = close_price
        return points, 1
    low = floats_at(seen.buy_low)[row]
    high = floats_at(seen.sell_high)[row]
    points[0] = floats_at(seen.buy_open)[row]
    points[1] = high if path == OPEN_HIGH_LOW_CLOSE else low
    points[2] = low if path == OPEN_HIGH_LOW_CLOSE else high
    points[3] = close_price
    return points, 4


@inner
def _walk(sim, view, row, code, now, path, taken):
    """Lead the orders of an instrument along a path of prices; return the volume taken by then."""
    seen = view_at(view)
    points, count = _path_of(sim, view, row, path)
    is_quote = seen.kind == 0
    ask = floats_at(seen.buy_open)[row]
    bid = floats_at(seen.sell_open)[row]
    token, price, leg = token_of(view, row), points[0], 0
    while True:
        is_opening, is_closing = leg == 0 and price == points[0], leg == count - 1
        asked, offered = (ask, bid) if is_quote else (price, price)
        index = _first_ready(sim, view, row, code, token, now, asked, offered, is_opening, is_closing)
        if index >= 0:
            here = price
            if is_quote:
                here = ask if orders_of(sim)[index].side > 0 else bid
            taken += _act(sim, view, row, index, here, is_opening, taken, token)
            continue
        if leg == count - 1:
            return taken
        index, level = _nearest(sim, view, row, code, token, now, price, points[leg + 1])
        if index >= 0:
            price = level
            taken += _act(sim, view, row, index, price, NO, taken, token)
            continue
        leg += 1
        price = points[leg]


@inner
def _first_ready(sim, view, row, code, token, now, ask, bid, is_opening, is_closing):
    """The oldest order that acts at the present price, of those that yield only if there is no other; or -1."""
    orders, forms = orders_of(sim), forms_of(sim)
    index, yielding = queues_of(sim)[code].first, -1
    while index >= 0:
        order = orders[index]
        if may_act(sim, view, row, index, token, now) and _is_ready(sim, index, ask if order.side > 0 else bid):
            form = forms[order.form]
            time_in_force = form.time_in_force
            if (is_opening or time_in_force != AT_OPEN) and (is_closing or time_in_force != AT_CLOSE):
                if not form.yields:
                    return index
                if yielding < 0:
                    yielding = index
        index = order.next
    return yielding


@inner
def _nearest(sim, view, row, code, token, now, start, stop):
    """The order whose price comes first on the way from ``start`` to ``stop`` (the older of two), and that price."""
    orders, forms = orders_of(sim), forms_of(sim)
    best, found = np.nan, -1
    index = queues_of(sim)[code].first
    while index >= 0:
        order = orders[index]
        is_free = forms[order.form].time_in_force < AT_OPEN
        if is_free and may_act(sim, view, row, index, token, now) and _level_in(sim, index, start, stop):
            level = _level_of(sim, index)[0]
            if found < 0 or abs(level - start) < abs(best - start):
                best, found = level, index
        index = order.next
    return found, best


@inner
def _act(sim, view, row, index, price, at_opening, taken, token):
    """An order's price has come: set it off, or trade. Returns the quantity filled."""
    order = orders_of(sim)[index]
    form = forms_of(sim)[order.form]
    if order.trigger == order.trigger and not order.triggered:
        order.triggered = 1
        set_limit(sim, order)
        refresh(sim, index)
        if order.limit == order.limit:
            return 0.0  # a limit order from here on: it trades at once if the price allows
    order.token = token
    if head_of(sim).limits_stay and order.limit == order.limit and not order.reached:
        order.reached = 1
        refresh(sim, index)
    if at_opening and form.post_only and not order.rested:
        close(sim, index, CANCELLED, POST_ONLY, times_at(view_at(view).ts)[row])
        return 0.0
    if not at_opening and price == order.limit and _is_extreme(view, row, price, order.side > 0):
        count_ambiguous(sim, order.code, token)
    return trade(sim, view, row, index, price, taken, at_opening)


@inner
def _is_extreme(view, row, price, buys):
    """Whether a bar touched a price, and went no further."""
    seen = view_at(view)
    return seen.kind == 2 and price == floats_at(seen.buy_low if buys else seen.sell_high)[row]


@inner
def _finish_row(sim, view, row, code, now):
    """After a path: what is good for one row ends, and the marks of trailing orders move."""
    orders, forms = orders_of(sim), forms_of(sim)
    index = queues_of(sim)[code].first
    while index >= 0:
        order = orders[index]
        following = order.next
        if may_act(sim, view, row, index, NO_TOKEN, now):
            after_try(sim, view, row, index, forms[order.form].time_in_force, now)
            if following >= 0 and not orders[following].linked:  # ended with this one
                following = queues_of(sim)[code].first
        index = following


@inner
def _give_up(sim, relatives, outcomes, now):
    """Cancel the orders that the path would have decided, and those tied to them."""
    orders = orders_of(sim)
    for place in range(len(relatives)):
        if np.array_equal(outcomes[0, place], outcomes[1, place]):
            continue
        first = index = relatives[place]
        while True:
            if is_open(orders[index]) and (index == first or orders[index].tied):
                close(sim, index, CANCELLED, AMBIGUOUS_BAR, now)
            index = orders[index].kin
            if index < 0 or index == first or not orders[first].tied:
                break


@inner
def _worth(sim, view, row, code):
    """Cash and this instrument's positions at the bar's close, over all accounts."""
    books = head_of(sim).books
    close_price = floats_at(view_at(view).close)[row]
    total = 0.0
    for account in range(booking.head_of(books).account_count):
        held = booking.positions_of(books)[booking.place_of(books, account, code)].quantity
        total += booking.cash_of(books, account) + held * close_price * booking.unit_value(books, code)
    return total


@inner
def _relatives(sim, code):
    """The orders of a queue and all those tied to one of them; one that is tied to several may come twice."""
    orders = orders_of(sim)
    found = [np.int64(0) for _ in range(0)]
    index = queues_of(sim)[code].first
    while index >= 0:
        found.append(index)
        other = orders[index].kin
        while other >= 0 and other != index:
            if orders[other].code != code:
                found.append(other)
            other = orders[other].kin
        index = orders[index].next
    return found


@inner
def _snapshot(sim, code):
    """Everything that trying a path may change."""
    head = head_of(sim)
    books = head.books
    rules = booking.head_of(books)
    relatives = _relatives(sim, code)
    orders = np.empty(len(relatives), _ORDER)
    for place in range(len(relatives)):
        orders_at(orders.ctypes.data)[place] = orders_of(sim)[relatives[place]]
    accounts = rules.account_count
    positions = np.empty((accounts, 6))
    owners = np.empty((accounts, 7))
    for account in range(accounts):
        position = booking.positions_of(books)[booking.place_of(books, account, code)]
        positions[account, 0], positions[account, 1] = position.quantity, position.average_price
        positions[account, 2], positions[account, 3] = position.realised_pnl, position.selling
        positions[account, 4], positions[account, 5] = position.sellers, position.unsettled
        owner = booking.accounts_of(books)[account]
        owners[account, 0], owners[account, 1] = owner.reserved, owner.reservations
        owners[account, 2], owners[account, 3] = owner.month_quantity, owner.month_notional
        owners[account, 4], owners[account, 5], owners[account, 6] = owner.month, owner.unsettled, owner.day
    cash = booking.cash_array(books).copy()
    saved = np.array([float(rules.fill_count), float(head.event_count), booking.marks_of(books)[code]])
    return (relatives, orders), positions, cash, owners, saved


@inner
def _restore(sim, code, saved_orders, positions, cash, owners, saved):
    head = head_of(sim)
    books = head.books
    rules = booking.head_of(books)
    relatives, orders = saved_orders
    for place in range(len(relatives)):
        orders_of(sim)[relatives[place]] = orders_at(orders.ctypes.data)[place]
    for account in range(rules.account_count):
        position = booking.positions_of(books)[booking.place_of(books, account, code)]
        is_held, was_held = position.quantity != 0.0, positions[account, 0] != 0.0
        if is_held != was_held:
            booking.list_as_held(books, account, code, was_held)
        position.quantity, position.average_price = positions[account, 0], positions[account, 1]
        position.realised_pnl, position.selling = positions[account, 2], positions[account, 3]
        position.sellers, position.unsettled = int(positions[account, 4]), positions[account, 5]
        owner = booking.accounts_of(books)[account]
        owner.reserved, owner.reservations = owners[account, 0], int(owners[account, 1])
        owner.month_quantity, owner.month_notional = owners[account, 2], owners[account, 3]
        owner.month, owner.unsettled, owner.day = int(owners[account, 4]), owners[account, 5], int(owners[account, 6])
    booking.cash_array(books)[:] = cash
    rules.fill_count = int(saved[0])
    head.event_count = int(saved[1])
    booking.marks_of(books)[code] = saved[2]
