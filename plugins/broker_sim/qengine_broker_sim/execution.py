"""Compiled: how much of an order fills, at what price and cost, and what that does to the orders tied to it."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from qengine_portfolio import booking
from qengine_portfolio.native import floats_at, function_at, inlined, inner, merged, times_at
from qengine_portfolio.records import place_of

from qengine_broker_sim.costs import COMMISSION, SLIPPAGE, cell, concession_of, fee_of
from qengine_broker_sim.layout import (
    ACCEPTED,
    BY_CLOSE,
    CANCEL_OTHERS,
    CANCELLED,
    END_OF_DATA,
    FILLED,
    FOK,
    IN_SEQUENCE,
    INSUFFICIENT_CASH,
    INSUFFICIENT_MARGIN,
    NO,
    NO_FX_RATE,
    NO_REASON,
    ONE_CANCELS_OTHER,
    PARENT_CLOSED,
    PARTIALLY_FILLED,
    POWER_CASH,
    POWER_OFF,
    POWER_PURCHASES,
    POWER_REG_T,
    REDUCE_ONLY,
    RESERVES,
    SAME_CLOSE,
    SHORT_DISABLED,
    TRAIL_FROM_ENTRY_CLOSE,
    TRAIL_FROM_FILL,
    YES,
)
from qengine_broker_sim.margin import covered_by_margin
from qengine_broker_sim.payment import payable
from qengine_broker_sim.power import backs
from qengine_broker_sim.prices import concede, to_tick
from qengine_broker_sim.resting import (
    events_of,
    forms_of,
    head_of,
    orders_of,
    queues_of,
    refresh,
    unlink,
    view_at,
)
from qengine_broker_sim.states import FOLLOWING
from qengine_broker_sim.trades import add_trade, oldest_against, shrink_trade, trades_of

__all__ = [
    "COMMISSION",
    "COVER",
    "EXECUTE",
    "HEED",
    "JUDGE",
    "MARGIN",
    "SETTLE_BY_TRADE",
    "SLIPPAGE",
    "admit",
    "advance",
    "asked_of",
    "book",
    "close",
    "close_group",
    "count_ambiguous",
    "cover",
    "covered_of",
    "covers_all",
    "execute",
    "execute_part",
    "fill_order",
    "follow_mark",
    "heed",
    "is_open",
    "is_stop_limit",
    "release",
    "resize_children",
    "sent_lots",
    "set_aside",
    "set_limit",
    "settle_by_trade",
    "settle_part",
    "slipped",
    "snap_prices",
    "token_of",
    "traded_before",
    "whole_lots",
]

_F8 = types.float64
EXECUTE = (_F8, (*[types.int64] * 4, *[_F8] * 4, *[types.int64] * 2))
_execute_at = function_at(*EXECUTE)
# By address, where positions are made of trades.
SETTLE_BY_TRADE = (_F8, (*[types.int64] * 4, *[_F8] * 4))
_trade_at = function_at(*SETTLE_BY_TRADE)
# By address, where accounts are not plain cash, of which all is reserved.
JUDGE = (types.int64, (types.int64, types.int64, _F8, types.int64))
COVER = (types.Tuple((_F8, types.int64)), (*[types.int64] * 2, *[_F8] * 5))
MARGIN = (types.UniTuple(_F8, 2), (*[types.int64] * 3, *[_F8] * 3, types.int64))
_judge_at, _cover_at, _margin_at = function_at(*JUDGE), function_at(*COVER), function_at(*MARGIN)
# By address, where orders are tied to one another.
HEED = (types.void, (*[types.int64] * 4, _F8, *[types.int64] * 3))
_kin_at = function_at(*HEED)
_FILLS = np.int64(-1)  # in place of a reason
_NO_ROW = np.int64(0)  # nor a view, where an order ends without one

_DUST = 1e-9
_SLACK = 1 + 1e-9
_DAY = 86_400_000_000_000


@inner
def is_open(order):
    return order.state < FILLED


@inner
def is_stop_limit(order, form):
    """Whether an order has a stop and, once that is set off, a limit."""
    has_limit = order.limit == order.limit or form.limit_offset == form.limit_offset
    return order.trigger == order.trigger and has_limit and form.is_touch == 0


@inlined
def advance(sim, index, state, reason, now):
    """Move an order to a state that may follow the one it is in."""
    head, order = head_of(sim), orders_of(sim)[index]
    if not (FOLLOWING[order.state] >> state) & 1:
        raise RuntimeError("An order was to go to a state that cannot follow its own: an error in the broker.")
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


@inner
def admit(sim, index, mark, now):
    """Reserve what an arriving order may cost, or count on what it will free; or the reason of its refusal.

    ``mark`` is the instrument's last price. An order that only exits (a child, a member of a group beyond
    the first) reserves nothing; what it does is checked when it fills.
    """
    head, order = head_of(sim), orders_of(sim)[index]
    books = head.books
    if booking.head_of(books).foreign and booking.rate_of(books, order.code) != booking.rate_of(books, order.code):
        return NO_FX_RATE
    if head.admission != RESERVES:
        return _judge_at(head.judge, (sim, index, mark, now)) if head.admission == IN_SEQUENCE else NO_REASON
    if order.parent >= 0 or forms_of(sim)[order.form].reduce_only or (order.group >= 0 and order.group != index):
        return NO_REASON
    reason, amount = asked_of(sim, order, mark)
    if reason == NO_REASON:
        set_aside(sim, order, amount)
    return reason


@inlined
def asked_of(sim, order, mark):
    """Why an order that may open a position is refused, or else 0, and what it may cost (NaN: that is not known)."""
    head = head_of(sim)
    books = head.books
    rules = booking.head_of(books)
    account, code, quantity, sells = order.account, order.code, order.quantity, order.side < 0
    position = booking.positions_of(books)[booking.place_of(books, account, code)]
    opening = booking.opening_part(position.quantity, order.side, quantity, position.selling if sells else 0.0)
    if sells and opening >= quantity and not rules.shorts:
        return SHORT_DISABLED, 0.0
    if head.power == POWER_OFF:
        return NO_REASON, 0.0
    limit = order.limit
    waits_at = order.trigger if order.trail != order.trail else mark
    price = limit if limit == limit else waits_at if waits_at == waits_at else mark
    unit = price * booking.unit_value(books, code)
    amount = opening * unit
    owner = booking.accounts_of(books)[account]
    is_at_market = limit != limit and order.trigger != order.trigger
    if head.power >= POWER_REG_T:
        where = np.int64(sim), np.int64(account), np.int64(order.side)
        how_much = opening, quantity - opening, unit, np.int64(is_at_market)
        amount, free = _margin_at(head.margin, (*where, *how_much))
        if opening > 0 and amount > (free - owner.reserved) * _SLACK:
            return INSUFFICIENT_MARGIN, 0.0
    elif opening > 0:
        if amount > (booking.available(books, account) - owner.reserved) * _SLACK:
            return INSUFFICIENT_CASH, 0.0
    elif sells and is_at_market and not rules.settles:
        amount = -quantity * unit
    return NO_REASON, amount


@inlined
def set_aside(sim, order, amount):
    """Reserve what an order may cost, and count what it sells as being sold."""
    books = head_of(sim).books
    if order.side < 0:
        position = booking.positions_of(books)[booking.place_of(books, order.account, order.code)]
        order.counts_selling = 1
        position.selling += order.quantity
        position.sellers += 1
    if amount == amount and amount != 0.0:  # NaN: no price is known yet, so the fill will tell
        owner = booking.accounts_of(books)[order.account]
        order.reserved = amount
        order.has_reserved = 1
        owner.reserved += amount
        owner.reservations += 1


@inlined
def _stop_selling(position, order, quantity, is_over):
    if not order.counts_selling:
        return
    if is_over:
        position.sellers -= 1
        order.counts_selling = 0
    # Starting afresh from zero whenever nobody sells keeps rounding errors from adding up.
    position.selling = position.selling - quantity if position.sellers else 0.0


@inlined
def release(sim, order, quantity, is_over):
    """``quantity`` of an order has filled or been given up: free its share of the reservation."""
    books = head_of(sim).books
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


@inlined
def covered_of(sim, order, quantity, price, fee):
    """How much of a fill, whose commission is ``fee``, the account can take, and why not all of it."""
    head = head_of(sim)
    books = head.books
    rules = booking.head_of(books)
    held = booking.positions_of(books)[booking.place_of(books, order.account, order.code)].quantity
    opening = booking.opening_part(held, order.side, quantity, 0.0)
    closing = quantity - opening  # always fills, unless all that is bought must be paid
    if opening <= 0 and head.power < POWER_PURCHASES:
        return quantity, NO_REASON
    if forms_of(sim)[order.form].reduce_only and opening > 0:
        return closing, REDUCE_ONLY
    sells = order.side < 0
    if sells and not rules.shorts and opening > 0:
        return closing, SHORT_DISABLED
    if head.power == POWER_OFF:
        return quantity, NO_REASON
    if head.power != POWER_CASH:
        return _cover_at(head.cover, (np.int64(sim), place_of(order), quantity, closing, opening, price, fee))
    unit = price * booking.unit_value(books, order.code)
    available = booking.available(books, order.account) + (closing * unit if sells and not rules.settles else 0.0)
    if opening * unit + fee <= available * _SLACK:
        return quantity, NO_REASON
    if not head.reduces:
        return closing, INSUFFICIENT_CASH
    return closing + min(opening, max(0.0, (available - fee) / unit)), INSUFFICIENT_CASH


@inner
def cover(sim, order, quantity, closing, opening, price, fee):
    """How much of a fill an account can take that is not plain cash, and why not all of it."""
    power = head_of(sim).power
    if power >= POWER_REG_T:
        return covered_by_margin(sim, order, closing, opening, price, fee)
    if power >= POWER_PURCHASES:
        return payable(sim, order, quantity, price, fee)
    if backs(sim, order, closing, opening, price, fee):
        return quantity, NO_REASON
    return closing, INSUFFICIENT_CASH


# One fill -------------------------------------------------------------------------------------------------


@inlined
def whole_lots(quantity, lot):
    """Round a quantity down to whole lots (0: there are none)."""
    return math.floor(quantity / lot + _DUST) * lot if lot > 0 else quantity


@inlined
def sent_lots(sim, code, quantity):
    """A quantity that is sent, rounded down to whole lots with the broker's tolerance."""
    head = head_of(sim)
    lot = booking.instruments_of(head.books)[code].lot_size
    return math.floor(quantity / lot + head.lot_tolerance) * lot if lot > 0 else quantity


@inner
def _lot_of(sim, order):
    return booking.instruments_of(head_of(sim).books)[order.code].lot_size


@inner
def month_of(day):
    """The calendar month of a day since 1970, counted from year 0 (H. Hinnant, civil_from_days)."""
    days = day + 719_468
    era = days // 146_097
    day = days - era * 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    shifted = (5 * day_of_year + 2) // 153  # March is 0
    month = shifted + 3 if shifted < 10 else shifted - 9
    return (year + era * 400 + (1 if month <= 2 else 0)) * 12 + month - 1


@inlined
def traded_before(sim, account, now):
    """At an order's first fill: quantity and value that its account has traded in this month so far.

    Only commissions ask for them: without one they are 0.
    """
    if head_of(sim).commission == 0:
        return 0.0, 0.0
    owner, day = booking.accounts_of(head_of(sim).books)[account], now // _DAY
    if owner.day != day:
        month, owner.day = month_of(day), day
        if owner.month != month:
            owner.month = month
            owner.month_quantity = 0.0
            owner.month_notional = 0.0
    return owner.month_quantity, owner.month_notional


@inner
def execute(sim, view, row, index, base, taken, at_market):
    """Settle how much of an order fills at ``base`` on a row of which ``taken`` is gone, and book it.

    Returns the quantity filled. ``at_market`` says that the price was there when the order looked: an
    order that had to wait for it adds liquidity.
    """
    order, seen = orders_of(sim)[index], view_at(view)
    size = cell(seen.buy_size if order.side > 0 else seen.sell_size, row, np.inf)
    all_or_none = forms_of(sim)[order.form].time_in_force == FOK
    return execute_part(sim, view, row, index, base, size, taken, at_market, np.inf, all_or_none)


@inner
def execute_part(sim, view, row, index, base, size, taken, at_market, most, all_or_none):
    """Settle, as ``execute`` does, at most ``most`` of an order against ``size``; return the quantity filled.

    By address: whatever calls it would otherwise be compiled together with a copy of all that a fill does.
    """
    where = np.int64(sim), np.int64(view), np.int64(row), np.int64(index)
    how_much = float(base), float(size), float(taken), float(most)
    return _execute_at(head_of(sim).execute, (*where, *how_much, np.int64(at_market), np.int64(all_or_none)))


@merged
def settle_part(sim, view, row, index, base, size, taken, most, at_market, all_or_none):
    """What ``execute_part`` does."""
    head, order, seen = head_of(sim), orders_of(sim)[index], view_at(view)
    form = forms_of(sim)[order.form]
    now = times_at(seen.ts)[row]
    lot = booking.instruments_of(head.books)[order.code].lot_size
    wanted = order.allowed - order.filled
    quantity = min(wanted, form.display)
    if quantity > most:
        quantity = whole_lots(most, lot)
    if head.participation < np.inf:
        share = head.participation * size - (0.0 if head.own_share else taken)
        if quantity > share:
            quantity = whole_lots(share, lot)
    if form.participation < np.inf and quantity > form.participation * size:
        quantity = whole_lots(form.participation * size, lot)
    quantity = whole_lots(quantity, lot)
    if quantity <= 0 or (quantity < wanted and all_or_none):
        return 0.0
    if head.by_trade:
        where = np.int64(sim), np.int64(view), np.int64(row), np.int64(index)
        return _trade_at(head.by_trade, (*where, float(base), float(quantity), float(size), float(taken)))
    price = slipped(sim, view, row, order, quantity, base, size, taken)
    if order.filled == 0.0:
        order.prior_quantity, order.prior_notional = traded_before(sim, order.account, now)
    is_maker = order.limit == order.limit and not at_market
    fee = fee_of(sim, order, quantity, price, is_maker)
    covered, reason = covered_of(sim, order, quantity, price, fee)
    if covered < quantity:
        covered = 0.0 if all_or_none else whole_lots(covered, lot)
    if covered > 0:
        if covered < quantity:
            fee = fee_of(sim, order, covered, price, is_maker)
        fill_order(sim, view, row, index, covered, price, abs(price - base), fee, now, is_maker)
    if reason != NO_REASON and is_open(order):
        close(sim, index, CANCELLED, reason, now)
    return covered if covered > 0 else 0.0


@inner
def covers_all(sim, view, row, index, quantity, price):
    """Whether the account can take all of a fill that is still to be made of several parts, ``price`` on average."""
    order = orders_of(sim)[index]
    if order.filled == 0.0:
        now = times_at(view_at(view).ts)[row]
        order.prior_quantity, order.prior_notional = traded_before(sim, order.account, now)
    return covered_of(sim, order, quantity, price, fee_of(sim, order, quantity, price, NO))[0] >= quantity


@inlined
def slipped(sim, view, row, order, quantity, base, size, taken):
    """The price after slippage, within the bar's range if it is clipped, and never beyond a limit."""
    head = head_of(sim)
    concession = concession_of(sim, view, row, order.code, order.side, quantity, base, size, taken)
    if concession == 0.0 or (order.parent >= 0 and not head.exits_slip):
        return base
    seen = view_at(view)
    bounded = head.clips and seen.kind == 2
    low = cell(seen.buy_low, row, np.nan) if bounded else np.nan
    high = cell(seen.sell_high, row, np.nan) if bounded else np.nan
    return concede(order.side, base, concession, order.limit if head.limits_bound else np.nan, low, high)


@inlined
def book(sim, account, code, side, quantity, price, fee):
    """What a fill does to its account: what was traded this month, cash and position."""
    books = head_of(sim).books
    if head_of(sim).commission:
        owner = booking.accounts_of(books)[account]
        owner.month_quantity += quantity
        owner.month_notional += abs(price) * quantity * booking.unit_value(books, code)
    booking.book_fill(books, account, code, side, quantity, price, fee)


@inlined
def fill_order(sim, view, row, index, quantity, price, concession, fee, now, is_maker):
    """Write a fill down, book it, and move its order on."""
    head, order = head_of(sim), orders_of(sim)[index]
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
    rules = booking.head_of(books)
    number = rules.fill_count
    if number >= rules.fill_room or (head.announces and head.event_count + 4 > head.event_room):
        raise RuntimeError("There is no room for another fill: an error in the broker, which makes it beforehand.")
    rules.fill_count = number + 1
    fill = booking.fills_of(books)[number]
    fill.ts, fill.order, fill.block, fill.row = now, index, view_at(view).number, row
    fill.quantity, fill.price, fill.commission, fill.slippage = quantity, price, fee, concession
    fill.code, fill.account, fill.side, fill.maker = order.code, order.account, order.side, is_maker
    fill.fx_rate = booking.rate_of(books, order.code)
    book(sim, order.account, order.code, order.side, quantity, price, fee)
    if head.announces:
        event = events_of(sim)[head.event_count]
        event.ts, event.order, event.fill, event.state, event.reason = now, index, number, 0, 0
        head.event_count += 1
    is_over = total == order.quantity
    release(sim, order, quantity, is_over)
    advance(sim, index, FILLED if is_over else PARTIALLY_FILLED, NO_REASON, now)
    if is_over and head.trial == 0:
        unlink(sim, index)
    if order.tied and head.by_trade == 0:
        _tell_kin(sim, view, row, index, quantity, is_over, now, _FILLS)


@inner
def close(sim, index, state, reason, now):
    """End an order that has not filled to the end, and what hangs on it."""
    _end(sim, index, state, reason, now)
    if orders_of(sim)[index].tied:
        _tell_kin(sim, _NO_ROW, _NO_ROW, index, 0.0, YES, now, reason)


@inner
def _tell_kin(sim, view, row, index, quantity, is_over, now, reason):
    """Have those heed it that are tied to an order that has filled ``quantity``, or ended for a reason."""
    head = head_of(sim)
    if head.kin == 0:
        raise RuntimeError("Orders are tied, for which nothing is prepared: an error in the broker.")
    where = np.int64(sim), np.int64(view), np.int64(row), np.int64(index)
    _kin_at(head.kin, (*where, float(quantity), np.int64(is_over), np.int64(now), np.int64(reason)))


@inner
def heed(sim, view, row, index, quantity, is_over, now, reason):
    """What those do that are tied to an order that has filled, or ended for a reason."""
    if reason == _FILLS:
        _heed_fill(sim, view, row, index, quantity, is_over, now)
        return
    if head_of(sim).ends_together and reason != ONE_CANCELS_OTHER and reason != END_OF_DATA:
        _end_relatives(sim, index, now)
    while _orphan(sim, index, now):
        pass


@inlined
def _end(sim, index, state, reason, now):
    head, order = head_of(sim), orders_of(sim)[index]
    release(sim, order, order.quantity - order.filled, YES)
    advance(sim, index, state, reason, now)
    if head.trial == 0 and order.linked:
        unlink(sim, index)


# Positions made of trades -------------------------------------------------------------------------------------


@inner
def settle_by_trade(sim, view, row, index, base, quantity, size, taken):
    """Close trades of the other side, oldest first and a fill each; what is left of an order opens one of its own.

    An exit closes its own trade.
    """
    head, order = head_of(sim), orders_of(sim)[index]
    now = times_at(view_at(view).ts)[row]
    if order.filled == 0.0:
        order.prior_quantity, order.prior_notional = traded_before(sim, order.account, now)
    own = order.parent if order.parent >= 0 and orders_of(sim)[order.parent].side != order.side else -1
    left, gone = quantity, taken
    while left > 0.0:
        trade = own if own >= 0 else oldest_against(sim, order)
        if trade < 0 or trades_of(sim)[trade].quantity <= 0.0:
            break
        part = min(left, trades_of(sim)[trade].quantity)
        price = base if head.opening_only else slipped(sim, view, row, order, part, base, size, gone)
        fee = fee_of(sim, order, part, price, NO)
        fill_order(sim, view, row, index, part, price, abs(price - base), fee, now, NO)
        _shrink_exits(sim, trade, index, shrink_trade(sim, trade, part), now)
        left, gone = left - part, gone + part
    if left > 0.0 and own < 0:
        left -= _open_trade(sim, view, row, index, base, left, size, gone, now)
    elif order.tied and own < 0:  # nothing was opened that its exits could protect
        while _orphan(sim, index, now):
            pass
    return quantity - left


@inner
def _open_trade(sim, view, row, index, base, quantity, size, taken, now):
    """Open a trade if the account allows, and let its exits act; return the quantity opened."""
    head, order = head_of(sim), orders_of(sim)[index]
    if head.opening_only:  # a spread: neither a limit nor the bar's range bounds it
        price = base + order.side * concession_of(sim, view, row, order.code, order.side, quantity, base, size, taken)
    else:
        price = slipped(sim, view, row, order, quantity, base, size, taken)
    fee = fee_of(sim, order, quantity, price, NO)
    covered, reason = covered_of(sim, order, quantity, price, fee)
    if covered < quantity:
        close(sim, index, CANCELLED, reason, now)
        return 0.0
    at_market = order.limit != order.limit and order.trigger != order.trigger
    by_trigger = order.limit != order.limit and not at_market
    add_trade(sim, index, quantity)
    fill_order(sim, view, row, index, quantity, price, abs(price - base), fee, now, NO)
    has_exits = order.tied != 0 and _attach_exits(sim, view, row, index, quantity, now)
    if has_exits and (at_market or (by_trigger and _only_profits(sim, view, row, index))):
        head.walks_again = 1
    return quantity


@inner
def _shrink_exits(sim, trade, index, left, now):
    """The exits of a trade close what is left of it."""
    orders = orders_of(sim)
    other = orders[trade].kin
    while other >= 0 and other != trade:
        exit_order = orders[other]
        if other != index and exit_order.parent == trade and is_open(exit_order):
            if left > 0.0:
                exit_order.quantity = exit_order.filled + left
                exit_order.allowed = exit_order.quantity
            else:
                reason = ONE_CANCELS_OTHER if orders[index].parent == trade else PARENT_CLOSED
                _end(sim, other, CANCELLED, reason, now)
        other = exit_order.kin


@inner
def _attach_exits(sim, view, row, index, opened, now):
    """The exits of a trade that has been opened may act, stops before everything else; whether there are any."""
    head, orders = head_of(sim), orders_of(sim)
    other, found = orders[index].kin, False
    while other != index:
        exit_order = orders[other]
        if exit_order.parent == index and is_open(exit_order):
            exit_order.quantity = opened
            _activate(sim, view, row, other, opened, YES, now)
            exit_order.allowed = opened
            head.turns += 1
            exit_order.turn = -head.turns if exit_order.trigger == exit_order.trigger else head.turns
            found = True
        other = exit_order.kin
    return found


@inner
def _only_profits(sim, view, row, index):
    """Whether a row reaches an exit at a profit of a trade that began at a trigger, and none at a loss."""
    orders, seen = orders_of(sim), view_at(view)
    low, high = floats_at(seen.buy_low)[row], floats_at(seen.sell_high)[row]
    other, profits = orders[index].kin, False
    while other != index:
        exit_order = orders[other]
        if exit_order.parent == index and is_open(exit_order):
            level = exit_order.trigger if exit_order.trigger == exit_order.trigger else exit_order.limit
            rises = (exit_order.side > 0) == (exit_order.trigger == exit_order.trigger)
            if level <= high if rises else level >= low:
                if exit_order.trigger == exit_order.trigger:
                    return False
                profits = True
        other = exit_order.kin
    return profits


# Orders tied to one another -------------------------------------------------------------------------------


@inner
def _orphan(sim, index, now):
    """Children whose parent is over get no more than what it filled, and none of nothing; whether any ended."""
    orders = orders_of(sim)
    other, has_ended = orders[index].kin, False
    while other != index:
        child = orders[other]
        if child.parent >= 0 and is_open(child) and not is_open(orders[child.parent]):
            allowed = whole_lots(child.allowed, _lot_of(sim, child))
            if allowed - child.filled <= _DUST * child.quantity:
                _end(sim, other, CANCELLED, PARENT_CLOSED, now)
                has_ended = True
            else:
                child.quantity = child.allowed = allowed
        other = child.kin
    return has_ended


@inner
def close_group(sim, index, now):
    """One of a group has been refused on arrival: none of the others goes to market alone."""
    orders = orders_of(sim)
    other = orders[index].kin
    while other != index:
        sibling = orders[other]
        if sibling.group == orders[index].group and is_open(sibling):
            close(sim, other, CANCELLED, ONE_CANCELS_OTHER, now)
        other = sibling.kin


@inner
def resize_children(sim, index, change):
    """An order has been asked to trade ``change`` more, or less: so much more may its children come to."""
    orders = orders_of(sim)
    other = orders[index].kin
    while other != index:
        child = orders[other]
        if child.parent == index and is_open(child):
            wanted = child.quantity + change * child.ratio / orders[index].ratio
            child.quantity = max(whole_lots(wanted, _lot_of(sim, child)), child.allowed)
        other = child.kin


@inner
def _end_relatives(sim, index, now):
    """An order has ended otherwise than by filling: so do its parent, its children and the others of its group."""
    orders = orders_of(sim)
    order = orders[index]
    other = order.kin
    while other != index:
        kin = orders[other]
        if is_open(kin):
            if kin.parent == index:
                _end(sim, other, CANCELLED, PARENT_CLOSED, now)
            elif (order.group >= 0 and kin.group == order.group) or order.parent == other:
                _end(sim, other, CANCELLED, ONE_CANCELS_OTHER, now)
        other = kin.kin


@inner
def _heed_fill(sim, view, row, index, quantity, is_over, now):
    """An order has filled: its children may act on so much, its siblings step back."""
    orders, waits = orders_of(sim), head_of(sim).exits_wait != 0
    order = orders[index]
    if waits and not is_over and (order.parent >= 0 or order.group < 0):
        return
    total = order.filled if waits else quantity  # what waited for the end has heard of nothing before
    other = order.kin
    while other != index:
        kin = orders[other]
        if is_open(kin):
            if kin.parent == index and (is_over or not waits):
                _activate(sim, view, row, other, total * kin.ratio / order.ratio, is_over, now)
            elif order.group >= 0 and kin.group == order.group:
                _step_back(sim, other, order, total if order.parent >= 0 else quantity, now)
        other = kin.kin


@inner
def _activate(sim, view, row, index, quantity, is_over, now):
    """A child may act on ``quantity`` more; from now on, if it could not act before."""
    order = orders_of(sim)[index]
    parent, form = orders_of(sim)[order.parent], forms_of(sim)[order.form]
    allowed = min(order.quantity, order.allowed + quantity)
    share = parent.quantity * order.ratio / parent.ratio
    order.allowed = order.quantity if is_over and share >= order.quantity * (1 - _DUST) else allowed
    if order.active:
        return
    head = head_of(sim)
    order.active = 1
    # It may act on the rest of the path inside this row, unless it has to wait, or is judged by the close.
    waits = head.exits_wait or (head.stop_limits == BY_CLOSE and is_stop_limit(order, form))
    order.born = -1 if waits else token_of(view, row)
    order.accepted_ts = now
    if head.order_of_matching:  # it is not its turn on this row, unless all orders are tried again
        order.token = token_of(view, row)
    if head.trail_start == TRAIL_FROM_FILL:
        order.mark = parent.average_price
    elif head.trail_start == TRAIL_FROM_ENTRY_CLOSE:
        order.mark = floats_at(view_at(view).close)[row] if head.timing == SAME_CLOSE else np.nan
    if form.from_fill:
        base = floats_at(view_at(view).close)[row] if head.from_close else parent.average_price
        scale = parent.side * (base if form.from_fill == 2 else 1.0)
        order.limit = base + order.limit * scale
        order.trigger = base + order.trigger * scale
        snap_prices(sim, order)
    follow_mark(sim, order)
    refresh(sim, index)


@inner
def _step_back(sim, index, filled, quantity, now):
    """A sibling has filled ``quantity``: cancel this order, or take as much off it."""
    order = orders_of(sim)[index]
    form = forms_of(sim)[order.form]
    if form.group_mode == CANCEL_OTHERS:
        close(sim, index, CANCELLED, ONE_CANCELS_OTHER, now)
        return
    share = quantity * order.ratio / filled.ratio
    left = whole_lots(max(0.0, order.quantity - share), _lot_of(sim, order))
    order.allowed = max(0.0, min(order.allowed - share, left))
    if left - order.filled <= _DUST * order.quantity:
        close(sim, index, CANCELLED, ONE_CANCELS_OTHER, now)
    else:
        order.quantity = left
        release(sim, order, share, NO)


@inner
def token_of(view, row):
    """A number for one row of one block."""
    return (view_at(view).number << 32) | row


@inner
def follow_mark(sim, order):
    """Put the trigger of a trailing order where its mark says, on the grid; out of reach while there is no mark."""
    if order.trail != order.trail:
        return
    if order.mark != order.mark:
        order.trigger = np.inf if order.side > 0 else -np.inf
        return
    distance = order.mark * order.trail if forms_of(sim)[order.form].trail_is_percent else order.trail
    level = order.mark + distance if order.side > 0 else order.mark - distance
    order.trigger = _on_grid(sim, order, level, order.side < 0)


@inner
def set_limit(sim, order):
    """A trigger has been set off whose limit lies so far beyond it."""
    offset = forms_of(sim)[order.form].limit_offset
    if offset == offset:
        level = order.trigger + (offset if order.side > 0 else -offset)
        order.limit = _on_grid(sim, order, level, order.side > 0)


@inner
def count_ambiguous(sim, code, token):
    """The data do not say what a row did: count it once, however many orders it concerns."""
    queue = queues_of(sim)[code]
    if head_of(sim).trial == 0 and queue.ambiguous_on != token:
        queue.ambiguous_on = token
        queue.ambiguous += 1


@inner
def snap_prices(sim, order):
    """Round a limit to the grid on the safe side, a trigger on the side that is later."""
    if order.limit == order.limit:
        order.limit = _on_grid(sim, order, order.limit, order.side > 0)
    if order.trigger == order.trigger and order.trail != order.trail:
        rises = (order.side > 0) != (forms_of(sim)[order.form].is_touch != 0)
        order.trigger = _on_grid(sim, order, order.trigger, not rises)


@inner
def _on_grid(sim, order, price, falls):
    """A price on the grid of an order's instrument, or of the broker's where it names none, rounded down or up."""
    head = head_of(sim)
    tick = booking.instruments_of(head.books)[order.code].tick_size
    tick = tick if tick > 0 else head.tick_size
    return to_tick(price, falls, tick, head.tick_tolerance) if tick > 0 else price
