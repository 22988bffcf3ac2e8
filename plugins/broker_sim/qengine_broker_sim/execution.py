"""Compiled: how much of an order fills, at what price and cost, and what that does to the orders tied to it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types
from qengine_portfolio import booking
from qengine_portfolio.native import RATES, carray, floats_at, function_at, pointer, times_at

from qengine_broker_sim.layout import (
    ACCEPTED,
    BY_PATH,
    CANCEL_OTHERS,
    CANCELLED,
    FILLED,
    FOK,
    INSUFFICIENT_CASH,
    NO,
    NO_REASON,
    ONE_CANCELS_OTHER,
    PARENT_CLOSED,
    PARTIALLY_FILLED,
    REDUCE_ONLY,
    SHORT_DISABLED,
    YES,
)
from qengine_broker_sim.prices import concede, to_tick
from qengine_broker_sim.resting import (
    events_of,
    forms_of,
    heads_of,
    orders_of,
    refresh,
    unlink,
    views_of,
)

__all__ = [
    "COMMISSION",
    "SLIPPAGE",
    "admit",
    "advance",
    "close",
    "execute",
    "is_open",
    "is_stop_limit",
    "release",
    "snap_prices",
    "token_of",
    "trailed",
]

_F8 = types.float64
COMMISSION = (_F8, (*[_F8] * 7, RATES))
SLIPPAGE = (_F8, (*[_F8] * 8, RATES))
_commission_at = function_at(*COMMISSION)
_slippage_at = function_at(*SLIPPAGE)

_DUST = 1e-9
_SLACK = 1 + 1e-9
_DAY = 86_400_000_000_000


@njit
def is_open(order):
    return order.state < FILLED


@njit
def is_stop_limit(order, form):
    """Whether an order has a stop and, once that is set off, a limit."""
    has_limit = order.limit == order.limit or form.limit_offset == form.limit_offset
    return order.trigger == order.trigger and has_limit and form.is_touch == 0


@njit
def advance(sim, index, state, reason, now):
    """Move an order to a state; the table of what may follow what is held by tests over whole runs."""
    head, order = heads_of(sim)[0], orders_of(sim)[index]
    was_open = is_open(order)
    order.state = state
    if state == ACCEPTED:
        order.accepted_ts = now
    elif state >= FILLED:
        order.closed_ts = now
        order.reason = reason
        if was_open and head.trial == 0:
            head.open -= 1
    if head.announces:
        event = events_of(sim)[head.event_count]
        event.ts, event.order, event.fill, event.state, event.reason = now, index, -1, state, reason
        head.event_count += 1


# Buying power ---------------------------------------------------------------------------------------------


@njit
def admit(sim, index, mark):
    """Reserve what an arriving order may cost, or count on what it will free; or the reason of its refusal.

    ``mark`` is the instrument's last price. An order that only exits (a child, a member of a group beyond
    the first) reserves nothing; what it does is checked when it fills.
    """
    head, order = heads_of(sim)[0], orders_of(sim)[index]
    books = head.books
    rules = booking.heads_of(books)[0]
    form = forms_of(sim)[order.form]
    if order.parent >= 0 or form.reduce_only or (order.group >= 0 and order.group != index):
        return NO_REASON
    account, code, quantity, sells = order.account, order.code, order.quantity, order.side < 0
    position = booking.positions_of(books)[booking.place_of(books, account, code)]
    opening = booking.opening_part(position.quantity, order.side, quantity, position.selling if sells else 0.0)
    if sells:
        if opening >= quantity and not rules.shorts:
            return SHORT_DISABLED
        order.counts_selling = 1
        position.selling += quantity
        position.sellers += 1
    if not rules.checks:
        return NO_REASON
    limit = order.limit
    waits_at = order.trigger if order.trail != order.trail else mark
    price = limit if limit == limit else waits_at if waits_at == waits_at else mark
    unit = price * booking.unit_value(books, code)
    amount = opening * unit
    owner = booking.accounts_of(books)[account]
    if opening > 0:
        if amount > (booking.available(books, account) - owner.reserved) * _SLACK:
            _stop_selling(position, order, quantity, YES)
            return INSUFFICIENT_CASH
    elif sells and limit != limit and order.trigger != order.trigger:
        amount = -quantity * unit
    if amount == amount and amount != 0.0:  # NaN: no price is known yet, so the fill will tell
        order.reserved = amount
        order.has_reserved = 1
        owner.reserved += amount
        owner.reservations += 1
    return NO_REASON


@njit
def _stop_selling(position, order, quantity, is_over):
    if not order.counts_selling:
        return
    if is_over:
        position.sellers -= 1
        order.counts_selling = 0
    # Starting afresh from zero whenever nobody sells keeps rounding errors from adding up.
    position.selling = position.selling - quantity if position.sellers else 0.0


@njit
def release(sim, index, quantity, is_over):
    """``quantity`` of an order has filled or been given up: free its share of the reservation."""
    books, order = heads_of(sim)[0].books, orders_of(sim)[index]
    place = booking.place_of(books, order.account, order.code)
    _stop_selling(booking.positions_of(books)[place], order, quantity, is_over)
    if not order.has_reserved:
        return
    owner = booking.accounts_of(books)[order.account]
    amount = order.reserved
    if is_over:
        order.reserved = 0.0
        order.has_reserved = 0
        owner.reservations -= 1
        owner.reserved = owner.reserved - amount if owner.reservations else 0.0
        return
    left = order.quantity - order.filled
    kept = amount * left / (left + quantity)
    order.reserved = kept
    owner.reserved += kept - amount


@njit
def _covered(sim, order, quantity, price, fee):
    """How much of a fill, whose commission is ``fee``, the account can take, and why not all of it."""
    head = heads_of(sim)[0]
    books = head.books
    rules = booking.heads_of(books)[0]
    held = booking.positions_of(books)[booking.place_of(books, order.account, order.code)].quantity
    opening = booking.opening_part(held, order.side, quantity, 0.0)
    closing = quantity - opening  # always fills
    if opening <= 0:
        return quantity, NO_REASON
    if forms_of(sim)[order.form].reduce_only:
        return closing, REDUCE_ONLY
    sells = order.side < 0
    if sells and not rules.shorts:
        return closing, SHORT_DISABLED
    if not rules.checks:
        return quantity, NO_REASON
    unit = price * booking.unit_value(books, order.code)
    available = booking.available(books, order.account) + (closing * unit if sells else 0.0)
    if opening * unit + fee <= available * _SLACK:
        return quantity, NO_REASON
    if not head.reduces:
        return closing, INSUFFICIENT_CASH
    return closing + min(opening, max(0.0, (available - fee) / unit)), INSUFFICIENT_CASH


# One fill -------------------------------------------------------------------------------------------------


@njit
def _cell(column, row, missing):
    """A value of a column that may not be there."""
    return missing if column == 0 else floats_at(column)[row]


@njit
def _whole_lots(quantity, lot):
    return math.floor(quantity / lot + _DUST) * lot if lot > 0 else quantity


@njit
def _fee(sim, order, quantity, price, is_maker):
    """What executing ``quantity`` more at ``price`` adds to the order's commission."""
    head = heads_of(sim)[0]
    if head.commission == 0:
        return 0.0
    total = order.filled + quantity
    average = price if total == quantity else (order.average_price * order.filled + price * quantity) / total
    maker = (order.maker_quantity + (quantity if is_maker else 0.0)) / total
    rates = carray(pointer(head.commission_rates), head.commission_size, np.float64)
    multiplier = booking.instruments_of(head.books)[order.code].multiplier
    prior = order.prior_quantity, order.prior_notional
    values = (float(order.side), total, average, multiplier, maker, prior[0], prior[1], rates)
    return _commission_at(head.commission, values) - order.commission


@njit
def _parkinson(low, high):
    """The standard deviation of returns that a bar's range suggests (Parkinson 1980)."""
    return math.log(high / low) / 1.6651092223153954 if low > 0.0 and high > low else 0.0


@njit
def _concession(sim, view, row, order, quantity, price, size, taken):
    head, seen = heads_of(sim)[0], views_of(view)[0]
    if head.slippage == 0:
        return 0.0
    spread = 0.0 if seen.kind == 0 else _cell(seen.spread, row, np.nan)
    volatility = _cell(seen.volatility, row, np.nan)
    if volatility != volatility and seen.kind == 2:
        volatility = _parkinson(_cell(seen.buy_low, row, np.nan), _cell(seen.sell_high, row, np.nan))
    rates = carray(pointer(head.slippage_rates), head.slippage_size, np.float64)
    tick = booking.instruments_of(head.books)[order.code].tick_size
    values = (float(order.side), quantity, price, size, taken, spread, volatility, tick, rates)
    return _slippage_at(head.slippage, values)


@njit
def month_of(ts):
    """The calendar month (UTC) of a time, counted from year 0 (H. Hinnant, civil_from_days)."""
    days = ts // _DAY + 719_468
    era = days // 146_097
    day = days - era * 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    shifted = (5 * day_of_year + 2) // 153  # March is 0
    month = shifted + 3 if shifted < 10 else shifted - 9
    return (year + era * 400 + (1 if month <= 2 else 0)) * 12 + month - 1


@njit
def _recall_month(sim, order, now):
    """At an order's first fill: what the account has traded in this month so far."""
    owner = booking.accounts_of(heads_of(sim)[0].books)[order.account]
    month = month_of(now)
    if owner.month != month:
        owner.month = month
        owner.month_quantity = 0.0
        owner.month_notional = 0.0
    order.prior_quantity = owner.month_quantity
    order.prior_notional = owner.month_notional


@njit
def execute(sim, view, row, index, base, taken, at_market):
    """Settle how much of an order fills at ``base`` on a row of which ``taken`` is gone, and book it.

    Returns the quantity filled. ``at_market`` says that the price was there when the order looked: an
    order that had to wait for it adds liquidity.
    """
    head, order, seen = heads_of(sim)[0], orders_of(sim)[index], views_of(view)[0]
    form = forms_of(sim)[order.form]
    now = times_at(seen.ts)[row]
    lot = booking.instruments_of(head.books)[order.code].lot_size
    size = _cell(seen.buy_size if order.side > 0 else seen.sell_size, row, np.inf)
    wanted = order.allowed - order.filled
    quantity = min(wanted, form.display)
    if head.participation < np.inf and quantity > head.participation * size - taken:
        quantity = _whole_lots(head.participation * size - taken, lot)
    if form.participation < np.inf and quantity > form.participation * size:
        quantity = _whole_lots(form.participation * size, lot)
    all_or_none = form.time_in_force == FOK
    if quantity <= 0 or (quantity < wanted and all_or_none):
        return 0.0
    price = base
    concession = _concession(sim, view, row, order, quantity, base, size, taken)
    if concession != 0.0:
        bounded = head.clips and seen.kind == 2
        low = _cell(seen.buy_low, row, np.nan) if bounded else np.nan
        high = _cell(seen.sell_high, row, np.nan) if bounded else np.nan
        price = concede(order.side, base, concession, order.limit, low, high)
    if order.filled == 0.0:
        _recall_month(sim, order, now)
    is_maker = order.rested != 0 and order.limit == order.limit and not at_market
    fee = _fee(sim, order, quantity, price, is_maker)
    covered, reason = _covered(sim, order, quantity, price, fee)
    if covered < quantity:
        covered = 0.0 if all_or_none else _whole_lots(covered, lot)
    if covered > 0:
        if covered < quantity:
            fee = _fee(sim, order, covered, price, is_maker)
        _fill(sim, view, row, index, covered, price, abs(price - base), fee, now, is_maker)
    if reason != NO_REASON and is_open(order):
        close(sim, index, CANCELLED, reason, now)
    return covered if covered > 0 else 0.0


@njit
def _fill(sim, view, row, index, quantity, price, concession, fee, now, is_maker):
    """Write a fill down, book it, and move its order on."""
    head, order = heads_of(sim)[0], orders_of(sim)[index]
    books = head.books
    before = order.filled
    total = before + quantity
    if order.quantity - total <= _DUST * order.quantity:
        total = order.quantity
    order.average_price = price if before == 0 else (order.average_price * before + price * quantity) / total
    order.filled = total
    order.commission += fee
    if is_maker:
        order.maker_quantity += quantity
    owner = booking.accounts_of(books)[order.account]
    owner.month_quantity += quantity
    owner.month_notional += abs(price) * quantity * booking.unit_value(books, order.code)
    rules = booking.heads_of(books)[0]
    number = rules.fill_count
    rules.fill_count = number + 1
    fill = booking.fills_of(books)[number]
    fill.ts, fill.order, fill.block, fill.row = now, index, views_of(view)[0].number, row
    fill.quantity, fill.price, fill.commission, fill.slippage = quantity, price, fee, concession
    fill.code, fill.account, fill.side, fill.maker = order.code, order.account, order.side, is_maker
    booking.book_fill(books, order.account, order.code, order.side, quantity, price, fee)
    if head.announces:
        event = events_of(sim)[head.event_count]
        event.ts, event.order, event.fill, event.state, event.reason = now, index, number, 0, 0
        head.event_count += 1
    is_over = total == order.quantity
    release(sim, index, quantity, is_over)
    advance(sim, index, FILLED if is_over else PARTIALLY_FILLED, NO_REASON, now)
    if is_over and head.trial == 0:
        unlink(sim, index)
    if order.kin >= 0:
        _tell_kin(sim, view, row, index, quantity, is_over, now)


@njit
def close(sim, index, state, reason, now):
    """End an order that has not filled to the end, and what hangs on it."""
    _end(sim, index, state, reason, now)
    if orders_of(sim)[index].kin >= 0:
        while _orphan(sim, index, now):
            pass


@njit
def _end(sim, index, state, reason, now):
    head, order = heads_of(sim)[0], orders_of(sim)[index]
    release(sim, index, order.quantity - order.filled, YES)
    advance(sim, index, state, reason, now)
    if head.trial == 0 and order.linked:
        unlink(sim, index)


# Orders tied to one another -------------------------------------------------------------------------------


@njit
def _orphan(sim, index, now):
    """Children whose parent is over get no more than what it filled, and none of nothing; whether any ended."""
    orders = orders_of(sim)
    other, has_ended = orders[index].kin, False
    while other != index:
        child = orders[other]
        if child.parent >= 0 and is_open(child) and not is_open(orders[child.parent]):
            if child.allowed - child.filled <= _DUST * child.quantity:
                _end(sim, other, CANCELLED, PARENT_CLOSED, now)
                has_ended = True
            else:
                child.quantity = child.allowed
        other = child.kin
    return has_ended


@njit
def _tell_kin(sim, view, row, index, quantity, is_over, now):
    """An order has filled: its children may act on so much, its siblings step back."""
    orders = orders_of(sim)
    order = orders[index]
    other = order.kin
    while other != index:
        kin = orders[other]
        if is_open(kin):
            if kin.parent == index:
                _activate(sim, view, row, other, quantity * kin.ratio, is_over, now)
            elif order.group >= 0 and kin.group == order.group:
                _step_back(sim, other, order, quantity, now)
        other = kin.kin


@njit
def _activate(sim, view, row, index, quantity, is_over, now):
    """A child may act on ``quantity`` more; from now on, if it could not act before."""
    order = orders_of(sim)[index]
    parent, form = orders_of(sim)[order.parent], forms_of(sim)[order.form]
    allowed = min(order.quantity, order.allowed + quantity)
    order.allowed = order.quantity if is_over and order.ratio * parent.quantity >= order.quantity else allowed
    if order.active:
        return
    order.active = 1
    if heads_of(sim)[0].stop_limits == BY_PATH or not is_stop_limit(order, form):
        order.born = token_of(view, row)  # it may act on the rest of the path inside this row
    order.accepted_ts = now
    order.mark = parent.average_price
    if form.from_fill:
        base = parent.average_price
        scale = parent.side * (base if form.from_fill == 2 else 1.0)
        order.limit = base + order.limit * scale
        order.trigger = base + order.trigger * scale
        snap_prices(sim, order)
    if order.trail == order.trail:
        order.trigger = trailed(order, form)
    refresh(sim, index)


@njit
def _step_back(sim, index, filled, quantity, now):
    """A sibling has filled ``quantity``: cancel this order, or take as much off it."""
    order = orders_of(sim)[index]
    form = forms_of(sim)[order.form]
    if form.group_mode == CANCEL_OTHERS:
        close(sim, index, CANCELLED, ONE_CANCELS_OTHER, now)
        return
    share = quantity * order.ratio / filled.ratio
    left = max(0.0, order.quantity - share)
    order.allowed = max(0.0, min(order.allowed - share, left))
    if left - order.filled <= _DUST * order.quantity:
        close(sim, index, CANCELLED, ONE_CANCELS_OTHER, now)
    else:
        order.quantity = left
        release(sim, index, share, NO)


@njit
def token_of(view, row):
    """A number for one row of one block."""
    return (views_of(view)[0].number << 32) | row


@njit
def trailed(order, form):
    """Where the trigger of a trailing order lies, given its mark; out of reach while there is none."""
    if order.mark != order.mark:
        return np.inf if order.side > 0 else -np.inf
    distance = order.mark * order.trail if form.trail_is_percent else order.trail
    return order.mark + distance if order.side > 0 else order.mark - distance


@njit
def snap_prices(sim, order):
    """Round a limit to the grid on the safe side, a trigger on the side that is later."""
    tick = booking.instruments_of(heads_of(sim)[0].books)[order.code].tick_size
    if tick <= 0:
        return
    if order.limit == order.limit:
        order.limit = to_tick(order.limit, order.side > 0, tick)
    if order.trigger == order.trigger and order.trail != order.trail:
        rises = (order.side > 0) != (forms_of(sim)[order.form].is_touch != 0)
        order.trigger = to_tick(order.trigger, not rises, tick)
