"""Compiled: slips, on which orders at market are kept that are sent on one row and filled on the next.

Such an order never rests beside another, and all there is to know of it is a line. Where a run has one instrument and
whoever walks its rows says so, it is booked from a record that stays in the processor's cache, by the functions that
book all others; the records of order and fill are written from the slips when somebody is about to read them. Until
then only their numbers are taken, which follow one another: where some other order, or fill, comes in between, the
slips are written before the next one is begun.
"""

from __future__ import annotations

import numpy as np
from numba import types
from qengine_portfolio import booking
from qengine_portfolio.native import floats_at, function_at, inlined, inner, merged, times_at
from qengine_portfolio.records import record_at, records_at

from qengine_broker_sim.costs import cell, fee_of
from qengine_broker_sim.execution import (
    asked_of,
    book,
    covered_of,
    sent_lots,
    set_aside,
    slipped,
    token_of,
    traded_before,
    whole_lots,
)
from qengine_broker_sim.layout import ACCEPTED, BLANK, FILLED, NEXT_CLOSE, NO, NO_REASON, ORDER, SLIP, YES
from qengine_broker_sim.matching import came_mid_bar
from qengine_broker_sim.resting import head_of, link, orders_at, orders_of, queues_of, view_at
from qengine_broker_sim.standing import fills_at_all
from qengine_broker_sim.targets import SUBMIT

__all__ = [
    "WRITE",
    "is_on_slip",
    "let_rest",
    "make_whole",
    "send_on_slip",
    "settle_slip",
    "slip_or_send",
    "write_slips",
]

WRITE = (types.void, (types.int64, types.int64))
_write_at, _submit_at = function_at(*WRITE), function_at(*SUBMIT)

# Of the two records beside the slips: the order that is open, and one of which nothing is said.
_OPEN, _BLANK = 0, 1
_ACCOUNT, _CODE = np.int64(0), np.int64(0)  # there is one of each


_slips_at = records_at("slips", SLIP)
_TOLD = ("submitted_ts", "accepted_ts", "side", "quantity", "reserved", "prior_quantity", "prior_notional")
_open_at = record_at("order on a slip", ORDER, changes=frozenset(_TOLD), known=BLANK[0])


@inner
def _records_of(sim):
    return orders_at(head_of(sim).slip_records)


@inner
def _open_order(sim):
    """The order that is open on a slip. All that is not told of it is as in every order at market that is plain."""
    return _open_at(head_of(sim).slip_records)


@inner
def _slips_of(sim):
    return _slips_at(head_of(sim).slips)


@inner
def make_whole(sim, everything):
    """Have the record written of the order that is open on a slip, which rests from then on; or those of all slips."""
    head = head_of(sim)
    if head.slip_open or (everything and head.slip_count):
        _write_at(head.write_slips, (np.int64(sim), np.int64(everything)))


@inner
def is_on_slip(sim, index):
    """Whether the record of an order is not written yet."""
    head = head_of(sim)
    is_open_one = head.slip_open and index == head.order_count - 1
    return is_open_one or head.slip_order <= index < head.slip_order + head.slip_count


@inner
def slip_or_send(sim, seen_by, row, now, code, side, quantity, limit, trigger, form, name, arrives):
    """Send an order as ``submit`` does, on a slip if it is plain and alone."""
    if limit != limit and trigger != trigger and form == 0 and name == 0:
        index = send_on_slip(sim, seen_by, row, now, side, quantity)
        if index >= 0:
            return index
    make_whole(sim, NO)
    where = np.int64(sim), np.int64(seen_by), np.int64(row), np.int64(now), np.int64(code), np.int64(side)
    how = np.int64(form), np.int64(name), np.int64(arrives)
    return _submit_at(head_of(sim).submit, (*where, float(quantity), float(limit), float(trigger), *how))


@merged
def send_on_slip(sim, seen_by, row, now, side, quantity):
    """Send an order at market on a slip, if nothing else is open and the account admits it; return its index, or -1."""
    head, order = head_of(sim), _open_order(sim)
    if head.open or head.pauses or head.announces:
        return np.int64(-1)
    _begin(sim)
    quantity = sent_lots(sim, _CODE, quantity)
    if not quantity > 0:
        return np.int64(-1)
    booking.mark_up_to(head.books, seen_by, row)
    order.submitted_ts = order.accepted_ts = now
    order.side, order.quantity = side, quantity
    reason, amount = asked_of(sim, order, booking.marks_of(head.books)[0])
    if reason != NO_REASON:
        return np.int64(-1)
    order.reserved = amount  # of which nobody asks while it is on a slip: nothing else is open
    index = head.order_count
    head.order_count = index + 1
    head.open = head.resting = head.slip_open = 1
    return index


@inlined
def _begin(sim):
    """See to it that the next order, and its fill, will follow the last that are on slips, and that there is a slip."""
    head = head_of(sim)
    count, fills = head.slip_count, booking.head_of(head.books).fill_count
    if head.order_count != head.slip_order + count or fills != head.slip_fill + count or count == head.slip_room:
        make_whole(sim, YES)
        head.slip_order, head.slip_fill = head.order_count, fills


@merged
def settle_slip(sim, view, row):
    """Fill the order that is open on the row after it was sent; return the row after that.

    Where there is more to it, its record is written in place of that, and -1 returned: it rests as any other.
    """
    head, order, seen = head_of(sim), _open_order(sim), view_at(view)
    if not _is_plain_row(sim, view, row, order):
        let_rest(sim)
        return np.int64(-1)
    now, books = times_at(seen.ts)[row], head.books
    booking.mark_up_to(books, view, row - 1)
    base = floats_at(seen.buy_open if order.side > 0 else seen.sell_open)[row]
    if seen.kind == 2 and head.timing == NEXT_CLOSE:
        base = floats_at(seen.close)[row]
    size = cell(seen.buy_size if order.side > 0 else seen.sell_size, row, np.inf)
    quantity = whole_lots(order.quantity, booking.instruments_of(books)[0].lot_size)
    price = slipped(sim, view, row, order, quantity, base, size, 0.0)
    order.prior_quantity, order.prior_notional = traded_before(sim, _ACCOUNT, now)
    fee = fee_of(sim, order, quantity, price, NO)
    covered, reason = covered_of(sim, order, quantity, price, fee)
    rules = booking.head_of(books)
    is_whole = quantity == order.quantity and covered == quantity and reason == NO_REASON
    if not is_whole or base != base or rules.fill_count >= rules.fill_room:
        let_rest(sim)
        return np.int64(-1)
    rules.fill_count += 1
    book(sim, _ACCOUNT, _CODE, order.side, quantity, price, fee)
    slip = _slips_of(sim)[head.slip_count]
    slip.submitted_ts, slip.ts, slip.token = order.submitted_ts, now, token_of(view, row)
    slip.quantity, slip.price = order.side * quantity, price
    slip.commission, slip.slippage = fee, abs(price - base)
    head.slip_count += 1
    head.open = head.resting = head.slip_open = 0
    head.done = row + 1
    return row + 1


@inlined
def _is_plain_row(sim, view, row, order):
    """Whether a row is alone in its instant, later than an order, of the data that fill it, and fills anything."""
    seen = view_at(view)
    ts = times_at(seen.ts)
    if order.accepted_ts >= ts[row] or (row + 1 < seen.rows and ts[row + 1] == ts[row]):
        return False
    if queues_of(sim)[0].grade != seen.grade or not fills_at_all(sim, view, row):
        return False
    return seen.opened == 0 or not came_mid_bar(sim, view, row, order, token_of(view, row))


@inner
def let_rest(sim):
    """Write the record of the order that is open, which rests as any other from now on."""
    head, orders, records = head_of(sim), orders_of(sim), _records_of(sim)
    if not head.slip_open:
        return
    index = head.order_count - 1
    order, amount = orders[index], records[_OPEN].reserved
    orders[index] = records[_OPEN]
    order.state, order.active, order.allowed, order.reserved = ACCEPTED, 1, order.quantity, 0.0
    set_aside(sim, order, amount)
    records[_OPEN] = records[_BLANK]
    head.slip_open = head.resting = 0
    link(sim, index)


@inner
def write_slips(sim):
    """Write the records of the orders that were filled on slips, and of their fills."""
    head, orders, books = head_of(sim), orders_of(sim), head_of(sim).books
    for number in range(head.slip_count):
        slip, index = _slips_of(sim)[number], head.slip_order + number
        orders[index] = _records_of(sim)[_BLANK]
        _write_order(orders[index], slip)
        _write_fill(booking.fills_of(books)[head.slip_fill + number], index, slip, booking.rate_of(books, _CODE))
    head.slip_count = 0


@inner
def _write_order(order, slip):
    quantity = abs(slip.quantity)
    order.submitted_ts = order.accepted_ts = slip.submitted_ts
    order.closed_ts, order.token = slip.ts, slip.token
    order.quantity = order.allowed = order.filled = quantity
    order.side = 1 if slip.quantity > 0 else -1
    order.average_price, order.commission = slip.price, slip.commission
    order.state, order.active = FILLED, 1


@inner
def _write_fill(fill, index, slip, rate):
    fill.ts, fill.order = slip.ts, index
    fill.block, fill.row = slip.token >> 32, slip.token & 0xFFFFFFFF
    fill.quantity, fill.price = abs(slip.quantity), slip.price
    fill.commission, fill.slippage, fill.fx_rate = slip.commission, slip.slippage, rate
    fill.code, fill.account, fill.maker = 0, 0, 0
    fill.side = 1 if slip.quantity > 0 else -1
