"""The compiled code that Python calls: made once, kept on disk, and made anew when any source of it changes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from qengine_portfolio import booking, books, records, view
from qengine_portfolio.native import (
    address_of,
    carray,
    codes_at,
    direct,
    floats_at,
    function_at,
    inner,
    pointer,
    pointer_to,
    stamp_of,
    times_at,
)

from qengine_broker_sim import (
    board,
    chance,
    corporate,
    costs,
    depth,
    execution,
    inturn,
    layout,
    matching,
    payment,
    power,
    prices,
    resting,
    slips,
    standing,
    states,
    targets,
    trades,
)
from qengine_broker_sim import margin as margins
from qengine_broker_sim.board import note_rows, show
from qengine_broker_sim.corporate import end_position, split_order
from qengine_broker_sim.depth import WALK, walk_book
from qengine_broker_sim.execution import (
    COVER,
    EXECUTE,
    HEED,
    JUDGE,
    MARGIN,
    SETTLE_BY_TRADE,
    admit,
    advance,
    close,
    close_group,
    cover,
    execute,
    follow_mark,
    heed,
    is_open,
    release,
    resize_children,
    sent_lots,
    settle_by_trade,
    settle_part,
    snap_prices,
    token_of,
)
from qengine_broker_sim.inturn import match_in_turn
from qengine_broker_sim.layout import (
    ACCEPTED,
    ALREADY_FILLED,
    AS_SENT,
    AT_ONCE,
    AT_OPEN,
    BY_INSTRUMENT,
    CANCELLED,
    CLOSE_REMAINDER,
    HEAR,
    NO,
    NO_PRICE,
    NO_REASON,
    NO_TOKEN,
    NOT_AMENDABLE,
    ORDER_CLOSED,
    REJECTED,
    ROOM,
    SAME_CLOSE,
    SAY,
    SUBMITTED,
    TRAIL_FROM_SENDING,
    YES,
    ZERO_QUANTITY,
)
from qengine_broker_sim.margin import excess_at, margin_of, margin_to_open, next_breach
from qengine_broker_sim.matching import BY_CLOSES, TANGLE, match_instant, match_stop_limits, match_tangle
from qengine_broker_sim.power import judge_in_sequence
from qengine_broker_sim.progress import making
from qengine_broker_sim.resting import (
    draft_of,
    forms_of,
    head_of,
    link,
    next_match,
    orders_at,
    orders_of,
    queues_of,
    refresh,
    view_at,
)
from qengine_broker_sim.slips import WRITE, let_rest, make_whole, slip_or_send, write_slips
from qengine_broker_sim.standing import STAND, fills_at_all, heed_row, next_standing, note_quotes, stand
from qengine_broker_sim.targets import SUBMIT, in_flight, towards
from qengine_broker_sim.targets import rebalance as rebalance_to

# And the entry points, which are made when they are asked for.
__all__ = ["STAMP", "address_for", "everything", "place_of"]


# By address, where a run needs it: what an order does as it arrives, besides coming to rest.
_ARRIVAL = (types.void, (*[types.int64] * 5,))
_arrival_at = function_at(*_ARRIVAL)
_search_at, _match_at = function_at(types.int64, (types.int64,) * 4), function_at(types.int64, (types.int64,) * 3)


@inner
def _mark_up_to(sim, seen_by, row):
    """Bring the marks up to a row of the block under way."""
    booking.mark_up_to(head_of(sim).books, seen_by, row)


@inner
def _snap_to_grid(sim, index):
    """Round a quantity down to whole lots, a limit to the safe side, a trigger to the side that is later."""
    order = orders_of(sim)[index]
    order.quantity = sent_lots(sim, order.code, order.quantity)
    if not forms_of(sim)[order.form].from_fill:  # else its prices are not known yet
        snap_prices(sim, order)


@inner
def _arrive(sim, seen_by, row, index, now):
    """An order arrives: refuse it with a reason, or let it rest."""
    order = orders_of(sim)[index]
    if order.state != SUBMITTED:  # cancelled on its way
        return
    _snap_to_grid(sim, index)
    _mark_up_to(sim, seen_by, row)
    mark = booking.marks_of(head_of(sim).books)[order.code]
    if order.parent < 0:
        order.active, order.allowed = 1, order.quantity
    else:  # its parent may have filled before it came
        order.allowed = min(order.allowed, order.quantity)
    if order.trail == order.trail and (order.parent < 0 or head_of(sim).trail_start == TRAIL_FROM_SENDING):
        order.mark = order.mark if order.mark == order.mark else mark
        follow_mark(sim, order)
    reason = admit(sim, index, mark, now) if order.quantity > 0 else ZERO_QUANTITY
    if reason != NO_REASON:
        close(sim, index, REJECTED, reason, now)
        if order.group >= 0:
            close_group(sim, index, now)
        return
    advance(sim, index, ACCEPTED, NO_REASON, now)
    link(sim, index)
    if head_of(sim).arrival:
        where = np.int64(sim), np.int64(seen_by), np.int64(row), np.int64(index), np.int64(now)
        _arrival_at(head_of(sim).arrival, where)


@inner
def _act_on_arrival(sim, seen_by, row, index, now):
    """What an order does at once, under the policies that let it."""
    head = head_of(sim)
    if head.queue_model:
        stand(sim, seen_by, row, index)
    if head.timing == SAME_CLOSE and head.close_order == AS_SENT:
        _fill_at_close(sim, seen_by, row, index, now)
    elif head.timing == AT_ONCE:
        _fill_at_once(sim, seen_by, row, index, now)


@inner
def _fill_at_close(sim, seen_by, row, index, now):
    """Fill an order that has just arrived at the close of the bar it was sent on, if that is its instrument's."""
    order, seen = orders_of(sim)[index], view_at(seen_by)
    if seen.kind != 2 or order.parent >= 0 or order.trigger == order.trigger or not is_open(order):
        return
    reason = _try_close(sim, seen_by, row, index, now)
    if head_of(sim).cancels_rest and is_open(order) and order.limit != order.limit:
        close(sim, index, CANCELLED, reason, now)


@inner
def _try_close(sim, seen_by, row, index, now):
    """Fill an order at the close of its instrument's bar of this instant; return why it may not have filled."""
    order, seen = orders_of(sim)[index], view_at(seen_by)
    ts, codes = times_at(seen.ts), codes_at(seen.codes)
    if not head_of(sim).is_trading:  # the order was sent between rows
        return NO_PRICE
    row = min(row, seen.rows - 1)
    while row >= 0 and ts[row] == now and codes[row] != order.code:
        row -= 1
    if row < 0 or ts[row] != now or not fills_at_all(sim, seen_by, row):
        return NO_PRICE
    price = floats_at(seen.close)[row]
    if order.limit != order.limit or (price - order.limit) * order.side <= 0.0:
        queue, token = queues_of(sim)[order.code], token_of(seen_by, row)
        taken = queue.taken if queue.taken_on == token else 0.0
        queue.taken_on, queue.taken = token, taken + execute(sim, seen_by, row, index, price, taken, YES)
    return CLOSE_REMAINDER


@inner
def _fill_at_once(sim, seen_by, row, index, now):
    """Fill an order at market that has just arrived at the last known price, if its market is open."""
    head, order = head_of(sim), orders_of(sim)[index]
    is_at_market = order.limit != order.limit and order.trigger != order.trigger
    waits = forms_of(sim)[order.form].time_in_force >= AT_OPEN or order.not_before >= now
    if not head.is_trading or not order.active or not is_at_market or waits:
        return
    note_rows(sim, seen_by, row + 1)
    code, shown = order.code, view_at(head.board)
    token = show(sim, code, now)
    if token == NO_TOKEN or not fills_at_all(sim, head.board, code):
        return
    price = floats_at(shown.buy_open if order.side > 0 else shown.sell_open)[code]
    queue, rules = queues_of(sim)[code], booking.head_of(head.books)
    taken, first = queue.taken if queue.taken_on == token else 0.0, rules.fill_count
    queue.taken_on, queue.taken = token, taken + execute(sim, head.board, code, index, price, taken, YES)
    for number in range(first, rules.fill_count):  # it happened on the row that the clock stands on
        fill = booking.fills_of(head.books)[number]
        fill.block, fill.row = view_at(seen_by).number, row


@inner
def _begin_instant(sim, seen_by, row):
    """Mark up to a row, and take the FX rates of its instant from its own rows: fills are booked when these are known.

    So what other orders there are, and which row of the instant concerns one of them first, makes no difference.
    """
    _mark_up_to(sim, seen_by, row - 1)
    books, seen = head_of(sim).books, view_at(seen_by)
    if booking.head_of(books).foreign:
        booking.rates_by_rows(books, times_at(seen.ts), codes_at(seen.codes), floats_at(seen.mark), row, seen.rows)


@inner
def _end_instant(sim):
    """Go back to the rates of the rows that have been seen: at these orders are sent."""
    books = head_of(sim).books
    if booking.head_of(books).foreign:
        booking.rates_by_marks(books)


# Amending -------------------------------------------------------------------------------------------------


@inner
def _unamendable(sim, index, quantity, limit, trigger, trail):
    """Why an order cannot be changed so at all, whatever its account says; or 0."""
    order = orders_of(sim)[index]
    if not is_open(order):
        return ORDER_CLOSED
    has_price = limit == limit or trigger == trigger or trail == trail
    if has_price and forms_of(sim)[order.form].from_fill and not order.active:
        return NOT_AMENDABLE  # its prices are not known before its parent fills
    if limit == limit and order.limit != order.limit:
        return NOT_AMENDABLE
    if trigger == trigger and (order.trigger != order.trigger or order.trail == order.trail or order.triggered):
        return NOT_AMENDABLE
    if trail == trail and (order.trail != order.trail or order.triggered):
        return NOT_AMENDABLE
    if quantity == quantity and quantity > order.quantity and order.parent >= 0:
        return NOT_AMENDABLE  # a child trades what its parent fills
    return NO_REASON


@inner
def _amend(sim, seen_by, row, index, now, quantity, limit, trigger, trail):
    """Change what is not NaN, or say why not and leave everything as it is."""
    orders = orders_of(sim)
    order = orders[index]
    refusal = _unamendable(sim, index, quantity, limit, trigger, trail)
    if refusal != NO_REASON:
        return refusal
    _mark_up_to(sim, seen_by, row)
    books = head_of(sim).books
    position = booking.positions_of(books)[booking.place_of(books, order.account, order.code)]
    owner = booking.accounts_of(books)[order.account]
    sold = position.selling, position.sellers
    owed = owner.reserved, owner.reservations, order.reserved, order.has_reserved, order.counts_selling
    before = order.quantity, order.limit, order.trigger, order.trail
    release(sim, order, order.quantity - order.filled, YES)
    order.quantity = quantity if quantity == quantity else order.quantity
    order.limit = limit if limit == limit else order.limit
    order.trigger = trigger if trigger == trigger else order.trigger
    order.trail = trail if trail == trail else order.trail
    _snap_to_grid(sim, index)
    if not order.triggered:
        follow_mark(sim, order)
    refusal = ALREADY_FILLED if order.filled > 0.0 else ZERO_QUANTITY
    if order.quantity > order.filled:
        refusal = NO_REASON if order.state == SUBMITTED else _admit_rest(sim, index)
    if refusal != NO_REASON:
        order.quantity, order.limit, order.trigger, order.trail = before
        position.selling, position.sellers = sold
        owner.reserved, owner.reservations, order.reserved, order.has_reserved, order.counts_selling = owed
        return refusal
    moves = _differ(order.limit, before[1]) or _differ(order.trigger, before[2])
    _settle_amendment(sim, seen_by, row, index, now, order.quantity - before[0], moves)
    return NO_REASON


@inner
def _differ(price, other):
    return price != other and (price == price or other == other)


@inner
def _admit_rest(sim, index):
    """Check, and reserve, what is left of an order that has been changed."""
    order = orders_of(sim)[index]
    whole = order.quantity
    order.quantity = whole - order.filled
    reason = admit(sim, index, booking.marks_of(head_of(sim).books)[order.code], order.accepted_ts)
    order.quantity = whole
    return reason


@inner
def _settle_amendment(sim, seen_by, row, index, now, change, moves):
    """What follows from a change: one that asks for more, or for another price, queues up again."""
    order = orders_of(sim)[index]
    if order.parent < 0:
        order.allowed = order.quantity
    else:
        order.allowed = min(order.allowed, order.quantity)
    if order.tied and change != 0.0:
        resize_children(sim, index, change)
    if moves:
        order.rested = 0
    if moves or change > 0.0:
        order.not_before = max(order.not_before, now)
        if order.linked:
            resting.unlink(sim, index)
            link(sim, index)
            order.ahead = np.nan
            if head_of(sim).queue_model:
                stand(sim, seen_by, row, index)
    refresh(sim, index)


# The entry points close over ``stamp`` only so that numba's cache does.


def _sending(stamp: str) -> tuple[Any, ...]:
    """What the strategy's side of an order needs."""

    @njit("int64(int64, int64, int64, int64, int64, int64, float64, float64, float64, int64, int64, int64)", cache=True)
    def submit(sim, seen_by, row, now, code, side, quantity, limit, trigger, form, name, arrives):
        """Write an order down and let it arrive; return its index. The draft has what is not an argument."""
        _ = stamp
        head, orders = head_of(sim), orders_of(sim)
        index = head.order_count
        head.order_count = index + 1
        head.open += 1
        orders[index] = draft_of(sim)
        order = orders[index]
        order.submitted_ts, order.code, order.side, order.quantity = now, code, side, quantity
        order.limit, order.trigger, order.form, order.type = limit, trigger, form, name
        if order.group == -2:  # the first of a new group gives it its name
            order.group = index
        if order.kin >= 0:  # into the ring of the order named in the draft
            other = order.kin
            order.kin = orders[other].kin if orders[other].kin >= 0 else other
            orders[other].kin = index
        advance(sim, index, SUBMITTED, NO_REASON, now)
        if arrives:
            _arrive(sim, seen_by, row, index, now)
        return index

    return (submit,)


def _slipping(stamp: str) -> tuple[Any, ...]:
    """What sends orders where those at market may be kept on slips."""

    @njit(SUBMIT[0](*SUBMIT[1]), cache=True)
    def slip(sim, seen_by, row, now, code, side, quantity, limit, trigger, form, name, arrives):
        """Send an order as ``submit`` does, on a slip if it is plain and alone."""
        _ = stamp
        return slip_or_send(sim, seen_by, row, now, code, side, quantity, limit, trigger, form, name, arrives)

    return (slip,)


def _arriving(stamp: str) -> tuple[Any, ...]:
    """What the broker's side of an order needs where it takes time, or has to pass rules."""

    @njit("void(int64, int64, int64, int64, int64)", cache=True)
    def arrive(sim, seen_by, row, index, now):
        """Let an order that was submitted earlier arrive."""
        _ = stamp
        _arrive(sim, seen_by, row, index, now)

    return (arrive,)


def _settling(stamp: str) -> tuple[Any, ...]:
    """What the orders of an instant need that are filled at its closes together."""

    @njit("void(int64, int64, int64, int64, int64, int64)", cache=True)
    def settle(sim, seen_by, row, now, indices, count):
        """Fill the orders that an instant has brought at its closes, in the order that the policy says."""
        _ = stamp
        head, orders, sent = head_of(sim), orders_of(sim), times_at(indices)
        _mark_up_to(sim, seen_by, row)
        marks, keys = booking.marks_of(head.books), np.empty(count)
        for place in range(count):
            order = orders[sent[place]]
            keys[place] = (
                order.code if head.close_order == BY_INSTRUMENT else order.side * order.quantity * marks[order.code]
            )
        for place in np.argsort(keys, kind="mergesort"):
            _fill_at_close(sim, seen_by, row, sent[place], now)

    return (settle,)


def _changing(stamp: str) -> tuple[Any, ...]:
    """What a change of an order needs."""

    @njit("int64(int64, int64, int64, int64, int64, float64, float64, float64, float64)", cache=True)
    def amend(sim, seen_by, row, index, now, quantity, limit, trigger, trail):
        """Change an open order in place (NaN: leave as it is); return why not, or 0."""
        _ = stamp
        return _amend(sim, seen_by, row, index, now, quantity, limit, trigger, trail)

    return (amend,)


def _ending(stamp: str) -> tuple[Any, ...]:
    """What becomes of orders besides filling."""

    @njit("void(int64, int64, int64, int64, int64)", cache=True)
    def cancel(sim, index, state, reason, now):
        """End an open order."""
        _ = stamp
        if is_open(orders_of(sim)[index]):
            close(sim, index, state, reason, now)

    @njit("float64(int64, int64, int64)", cache=True)
    def pending(sim, account, code):
        """Signed quantity still to come from orders that are neither triggered later nor tied to others."""
        _ = stamp
        return in_flight(sim, account, code)

    return cancel, pending


@inner
def _opens(sim, order, index):
    """Whether an order may open a position: no child, no second of a group, and not only there to reduce."""
    is_alternative = order.group >= 0 and order.group != index
    return order.parent < 0 and not is_alternative and not forms_of(sim)[order.form].reduce_only


@inner
def _still_to_trade(sim, account, code, side, counts_triggers):
    """What an account's open orders of a side may still trade of an instrument, exits left out."""
    orders, total = orders_of(sim), 0.0
    index = queues_of(sim)[code].first
    while index >= 0:
        order = orders[index]
        waits = order.trigger == order.trigger and not order.triggered
        is_its = order.account == account and order.side == side
        if is_its and (counts_triggers or not waits) and _opens(sim, order, index):
            total += order.quantity - order.filled
        index = order.next
    return total


def _exposing(stamp: str) -> tuple[Any, ...]:
    """What risk rules ask for."""

    @njit("float64(int64, int64, int64, int64, int64)", cache=True)
    def working(sim, account, code, side, counts_triggers):
        """What open orders of a side may still trade, those that can only reduce left out."""
        _ = stamp
        return _still_to_trade(sim, account, code, side, counts_triggers)

    @njit("float64(int64, int64, int64, int64)", cache=True)
    def closing(sim, account, code, side):
        """What open orders of a side, not waiting for a trigger, may still trade, those that yield left out."""
        _ = stamp
        orders, total = orders_of(sim), 0.0
        index = queues_of(sim)[code].first
        while index >= 0:
            order = orders[index]
            waits = order.trigger == order.trigger and not order.triggered
            is_its = order.account == account and order.side == side
            is_first = order.parent < 0 and (order.group < 0 or order.group == index)
            if is_its and is_first and not waits and not forms_of(sim)[order.form].yields:
                total += order.quantity - order.filled
            index = order.next
        return total

    @njit("float64(int64, int64, int64, int64, int64, int64, float64, int64)", cache=True)
    def exposure(sim, seen_by, row, account, code, side, quantity, which):
        """Gross (0), long (1) or short (2) value at work if all that is open fills, and one order more."""
        _ = stamp
        _mark_up_to(sim, seen_by, row)
        books, total = head_of(sim).books, 0.0
        marks = booking.marks_of(books)
        for at in range(head_of(sim).queue_count):
            held = booking.positions_of(books)[booking.place_of(books, account, at)].quantity
            bought = _still_to_trade(sim, account, at, 1, YES) + (quantity if at == code and side > 0 else 0.0)
            sold = _still_to_trade(sim, account, at, -1, YES) + (quantity if at == code and side < 0 else 0.0)
            if held == 0.0 and bought == 0.0 and sold == 0.0:
                continue
            value = abs(marks[at]) * booking.unit_value(books, at)
            if which == 0:
                total += max(abs(held), abs(held + bought), abs(held - sold)) * value
            else:
                total += (held + bought if which == 1 else held - sold) * value
        return total

    return working, closing, exposure


def _matching(stamp: str) -> tuple[Any, ...]:
    """What rows need."""

    @njit("int64(int64, int64, int64)", cache=True)
    def match(sim, seen_by, row):
        """Match the instant that a row begins; return the row after it, or the negative of the room it needs."""
        _ = stamp
        _begin_instant(sim, seen_by, row)
        end = match_instant(sim, seen_by, row)
        _end_instant(sim)
        return end

    return (match,)


def _in_turn(stamp: str) -> tuple[Any, ...]:
    """What rows need where orders are tried in turn."""

    @njit("int64(int64, int64, int64)", cache=True)
    def turn(sim, seen_by, row):
        """Try the orders that the instant of a row concerns in turn; return as ``match`` does."""
        _ = stamp
        _begin_instant(sim, seen_by, row)
        end = match_in_turn(sim, seen_by, row)
        _end_instant(sim)
        return end

    return (turn,)


def _targeting(stamp: str) -> tuple[Any, ...]:
    """What targets need: orders sent for many instruments in one call."""

    @njit("int64(int64, int64, int64, int64, int64, int64, int64, int64, float64)", cache=True)
    def target(sim, seen_by, row, now, send, account, code, what, amount):
        """Send what is missing to a target in units (0), in money (1) or as a fraction of equity (2)."""
        _ = stamp
        _mark_up_to(sim, seen_by, row)
        return towards(sim, seen_by, row, now, send, account, code, what, amount)

    @njit("int64(int64, int64, int64, int64, int64, int64, int64, int64, int64)", cache=True)
    def rebalance(sim, seen_by, row, now, send, account, weights, sent, count):
        """Bring ``count`` instruments to their weights; return how many orders that takes, or ``-1 - code``."""
        _ = stamp
        _mark_up_to(sim, seen_by, row)
        wanted, indices = carray(pointer(weights), count, np.float64), carray(pointer(sent), count, np.int64)
        return rebalance_to(sim, seen_by, row, now, send, account, wanted, indices)

    return target, rebalance


def _searching(stamp: str) -> tuple[Any, ...]:
    """What interest needs."""

    @njit("int64(int64, int64, int64, int64)", cache=True)
    def search(sim, seen_by, start, stop):
        """The first row in ``[start, stop)`` that may concern a resting order, or ``stop``."""
        _ = stamp
        if head_of(sim).queue_model:
            return next_standing(sim, seen_by, start, stop)
        return next_match(sim, seen_by, start, stop)

    return (search,)


def _advancing(stamp: str) -> tuple[Any, ...]:
    """What somebody needs who walks rows himself."""

    @njit("int64(int64, int64, int64, int64)", cache=True)
    def match_up_to(sim, seen_by, row, stop):
        """Match all rows in ``[row, stop)`` that concern resting orders; return -1, or the row to go on from.

        Then ``asks`` says what is to be done first; what is below zero there is room that rows need.
        """
        _ = stamp
        head = head_of(sim)
        rules = booking.head_of(head.books)
        make_whole(sim, NO)
        row = max(row, head.done)
        while row < stop and head.resting:
            found = _search_at(head.search, (sim, seen_by, row, stop))
            if found >= stop:
                break
            head.asks = ROOM
            if rules.fill_count + (head.open + head.open_trades + 1) * head.fills_per_order >= rules.fill_room:
                return found
            before, done = rules.fill_count, _match_at(head.match, (sim, seen_by, found))
            if done < 0:  # many rows of one time
                head.asks = done
                return found
            head.done = row = done
            if head.event_count or (head.pauses and rules.fill_count > before):
                head.asks = SAY if head.event_count else HEAR
                return found
        return -1

    return (match_up_to,)


def _corporate(stamp: str) -> tuple[Any, ...]:
    """What corporate actions do to orders."""

    @njit("float64(int64, int64, float64, int64)", cache=True)
    def split(sim, index, ratio, form):
        """Split an open order, with a form whose amounts have been split; return what it may trade yet."""
        _ = stamp
        return split_order(sim, index, ratio, form)

    @njit("void(int64, int64, int64, int64, float64, int64)", cache=True)
    def close_out(sim, seen_by, row, index, price, now):
        """Fill an order that has been written down at a price, whatever the market."""
        _ = stamp
        end_position(sim, seen_by, row, index, price, now)

    return split, close_out


def _noting(stamp: str) -> tuple[Any, ...]:
    """What brokers need that remember rows."""

    @njit("void(int64, int64, int64)", cache=True)
    def note(sim, seen_by, stop):
        """Put up the rows of a block before ``stop`` on the board of last rows."""
        _ = stamp
        note_rows(sim, seen_by, stop)

    @njit("void(int64, int64, int64, int64)", cache=True)
    def note_book(sim, seen_by, start, stop):
        """Remember what rows of quotes, all in the past, said last."""
        _ = stamp
        note_quotes(sim, seen_by, start, stop)

    return note, note_book


def _watching(stamp: str) -> tuple[Any, ...]:
    """What margin accounts need."""

    @njit("int64(int64, int64, int64, int64, int64)", cache=True)
    def breach(sim, seen_by, account, start, stop):
        """The first row in ``[start, stop)`` that ends an instant with equity below the maintenance margin, or stop."""
        _ = stamp
        _mark_up_to(sim, seen_by, start - 1)
        return next_breach(sim, seen_by, account, start, stop)

    @njit("float64(int64, int64, int64, int64)", cache=True)
    def excess(sim, seen_by, row, account):
        """Equity beyond the maintenance margin, once a row is known."""
        _ = stamp
        _mark_up_to(sim, seen_by, row)
        return excess_at(sim, account, booking.marks_of(head_of(sim).books), NO)

    @njit("float64(int64, int64, int64)", cache=True)
    def margin(sim, account, code):
        """The maintenance margin of one position."""
        _ = stamp
        return margin_of(sim, account, code, booking.marks_of(head_of(sim).books), NO)

    return breach, excess, margin


_COMPILED = (
    board,
    chance,
    corporate,
    costs,
    depth,
    execution,
    inturn,
    layout,
    margins,
    matching,
    payment,
    power,
    prices,
)
# A fingerprint of all that is compiled into the core, for whoever compiles parts of it into his own.
STAMP = stamp_of(booking, books, records, view, *_COMPILED, resting, slips, standing, states, targets, trades)
_GROUPS: dict[tuple[str, ...], Callable[[str], tuple[Any, ...]]] = {
    ("submit",): _sending,
    ("slip",): _slipping,
    ("arrive",): _arriving,
    ("settle",): _settling,
    ("amend",): _changing,
    ("cancel", "pending"): _ending,
    ("working", "closing", "exposure"): _exposing,
    ("match",): _matching,
    ("turn",): _in_turn,
    ("target", "rebalance"): _targeting,
    ("search",): _searching,
    ("match_up_to",): _advancing,
    ("split", "close_out"): _corporate,
    ("note", "note_book"): _noting,
    ("breach", "excess", "margin"): _watching,
}


def __getattr__(name: str) -> Any:
    """An entry point, compiled (or loaded) with those of its group when a run first asks for one."""
    for names in _GROUPS:
        if name in names:
            globals().update(zip(names, map(direct, _made(names)), strict=True))
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _made(names: tuple[str, ...]) -> tuple[Any, ...]:
    with making(" and ".join(names)):
        return _GROUPS[names](STAMP)


@functools.cache
def place_of(name: str) -> int:
    """Where an entry point is, for compiled code that calls it as Python does; it stays there."""
    (names,) = (names for names in _GROUPS if name in names)
    return pointer_to(_made(names)[names.index(name)])


# Functions that others call by address. They are compiled by themselves, where a run needs one, and close over the
# stamp as the entry points do: of a global, numba's cache knows nothing.


def _executing(stamp: str) -> Callable[..., Any]:
    """What settles a fill."""

    def execute(sim, view, row, index, base, size, taken, most, at_market, all_or_none):
        _ = stamp
        return settle_part(sim, view, row, index, base, size, taken, most, at_market != 0, all_or_none != 0)

    return execute


def _walking(stamp: str) -> Callable[..., Any]:
    """What trades with a book of several levels."""

    def walk(sim, view, row, index, own_price, at_market):
        _ = stamp
        return walk_book(sim, view, row, index, own_price, at_market)

    return walk


def _judging(stamp: str) -> Callable[..., Any]:
    """What judges orders in sequence."""

    def judge(sim, index, mark, now):
        _ = stamp
        return judge_in_sequence(sim, index, mark, now)

    return judge


def _covering(stamp: str) -> Callable[..., Any]:
    """What says how much of a fill an account covers that is not plain cash."""

    def covers(sim, order, quantity, closing, opening, price, fee):
        _ = stamp
        return cover(sim, orders_at(order)[0], quantity, closing, opening, price, fee)

    return covers


def _securing(stamp: str) -> Callable[..., Any]:
    """What an order ties up in a margin account, and what that has beyond the initial margins of its positions."""

    def margin(sim, account, side, opening, closing, unit, is_at_market):
        _ = stamp
        free = excess_at(sim, account, booking.marks_of(head_of(sim).books), YES)
        return margin_to_open(sim, side, opening, closing, unit, is_at_market != 0), free

    return margin


def _tangling(stamp: str) -> Callable[..., Any]:
    """What leads orders along the path inside a bar."""

    def tangle(sim, view, row, code, now, taken):
        _ = stamp
        return match_tangle(sim, view, row, code, now, taken)

    return tangle


def _standing(stamp: str) -> Callable[..., Any]:
    """What keeps places in the exchange's queue."""

    def stand(sim, view, row, now, is_matched):
        _ = stamp
        heed_row(sim, view, row, now, is_matched != 0)

    return stand


def _by_closing(stamp: str) -> Callable[..., Any]:
    """What matches stop-limits by the close."""

    def by_close(sim, view, row, now, exits_only, taken):
        _ = stamp
        return match_stop_limits(sim, view, row, now, exits_only != 0, taken)

    return by_close


def _heeding(stamp: str) -> Callable[..., Any]:
    """What tells orders of what those do that they are tied to."""

    def kin(sim, view, row, index, quantity, is_over, now, reason):
        _ = stamp
        heed(sim, view, row, index, quantity, is_over != 0, now, reason)

    return kin


def _trading(stamp: str) -> Callable[..., Any]:
    """What settles a fill where positions are made of trades."""

    def by_trade(sim, view, row, index, base, quantity, size, taken):
        _ = stamp
        return settle_by_trade(sim, view, row, index, base, quantity, size, taken)

    return by_trade


def _acting(stamp: str) -> Callable[..., Any]:
    """What lets orders act as they arrive."""

    def arrival(sim, view, row, index, now):
        _ = stamp
        _act_on_arrival(sim, view, row, index, now)

    return arrival


def _writing_slips(stamp: str) -> Callable[..., Any]:
    """What writes the records of orders on slips."""

    def write(sim, everything):
        _ = stamp
        if everything:
            write_slips(sim)
        let_rest(sim)

    return write


_BY_ADDRESS = {
    "execute": (_executing, EXECUTE),
    "judge": (_judging, JUDGE),
    "cover": (_covering, COVER),
    "margin": (_securing, MARGIN),
    "walk": (_walking, WALK),
    "tangle": (_tangling, TANGLE),
    "arrival": (_acting, _ARRIVAL),
    "kin": (_heeding, HEED),
    "stand": (_standing, STAND),
    "by_close": (_by_closing, BY_CLOSES),
    "by_trade": (_trading, SETTLE_BY_TRADE),
    "write_slips": (_writing_slips, WRITE),
}


@functools.cache
def address_for(name: str) -> tuple[int, Any]:
    """Where the compiled function is that the head's field of this name leads to, and what keeps it there."""
    make, signature = _BY_ADDRESS[name]
    with making(name):
        return address_of(make(STAMP), *signature)


def everything() -> dict[str, Callable[[], object]]:
    """All that can be compiled, by name: called, each of these does it."""
    groups = {names[0]: functools.partial(_made, names) for names in _GROUPS}
    return groups | {name: functools.partial(address_for, name) for name in _BY_ADDRESS}
