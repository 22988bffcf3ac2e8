"""Compiled: what positions cost and what closing them realised, derived from the fills.

Prices are in the instrument's currency. Values are in the ledger's, each at the rate of its own fill, so that what
a position realised is what closing it was worth less what opening it was. An open lot goes by the number of the
fill that opened it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, njit, types

from qengine_portfolio import books, native
from qengine_portfolio.books import FILL
from qengine_portfolio.native import inner

__all__ = ["COST", "LOT", "STEP", "TRIP", "replay"]

AVERAGE, FIFO, LIFO = (np.int64(number) for number in range(3))

# One position. Averages are of what is open; ``average_value`` is in the ledger's currency, multiplier aside.
COST = np.dtype(
    [
        ("quantity", "f8"),
        ("average_price", "f8"),
        ("average_value", "f8"),
        ("realised_pnl", "f8"),
        ("commission", "f8"),  # that has been paid on what is open
        ("since", "i8"),
        ("first", "i8"),  # lots, in the order that they are closed in (-1: none)
        ("last", "i8"),
        ("price_sum", "f8"),  # over all lots, times their size
        ("value_sum", "f8"),
    ]
)

LOT = np.dtype([("left", "f8"), ("commission", "f8"), ("next", "i8"), ("scale", "f8")])  # of its price, by splits

# What a position was after a fill.
STEP = np.dtype([("quantity", "f8"), ("average_price", "f8"), ("average_value", "f8"), ("realised_pnl", "f8")])

# What a closing fill realised against one entry: the average, or one lot's.
TRIP = np.dtype(
    [
        ("code", "i8"),
        ("account", "i8"),
        ("side", "i8"),
        ("entry_ts", "i8"),
        ("exit_ts", "i8"),
        ("quantity", "f8"),
        ("entry_price", "f8"),
        ("entry_value", "f8"),
        ("exit_price", "f8"),
        ("fx_rate", "f8"),
        ("gross_pnl", "f8"),
        ("commission", "f8"),
    ]
)

_DUST = 1e-12  # of a quantity: less is what rounding has left

_FILLS = types.Array(from_dtype(FILL), 1, "C", readonly=True)
_F8 = types.Array(types.float64, 1, "C", readonly=True)


@inner
def _describe(trips, written, fill, side, entry_ts, quantity, entry_price, entry_value, commission, multiplier):
    """Write one round trip down, if there is room for any; return how many there are now."""
    if len(trips) == 0:
        return written
    trip = trips[written]
    trip.code, trip.account, trip.side = fill.code, fill.account, side
    trip.entry_ts, trip.exit_ts, trip.quantity = entry_ts, fill.ts, quantity
    trip.entry_price, trip.entry_value, trip.exit_price = entry_price, entry_value, fill.price
    trip.fx_rate = fill.fx_rate
    gain = fill.price * fill.fx_rate - entry_value
    trip.gross_pnl = (gain if side > 0 else -gain) * quantity * multiplier
    trip.commission = commission
    return written + 1


@inner
def _close_average(cost, trips, written, fill, closed, paid, multiplier):
    """Close a part of everything there is. Commission is shared out by quantity."""
    share = cost.commission * (closed / abs(cost.quantity))
    side = 1 if cost.quantity > 0 else -1
    written = _describe(
        *(trips, written, fill, side, cost.since, closed, cost.average_price, cost.average_value),
        *(share + paid * (closed / fill.quantity), multiplier),
    )
    cost.commission -= share
    gain = fill.price * fill.fx_rate - cost.average_value
    cost.realised_pnl += (gain if side > 0 else -gain) * closed * multiplier
    return written


@inner
def _close_lots(cost, lots, fills, trips, written, fill, closed, paid, multiplier):
    """Close lots from the first on, a round trip each."""
    side = 1 if cost.quantity > 0 else -1
    wanted = closed
    while wanted > _DUST * fill.quantity and cost.first >= 0:
        entry, lot = fills[cost.first], lots[cost.first]
        taken, price = min(wanted, lot.left), entry.price * lot.scale
        value = price * entry.fx_rate
        share = lot.commission * (taken / lot.left)
        written = _describe(
            *(trips, written, fill, side, entry.ts, taken, price, value),
            *(share + paid * (taken / fill.quantity), multiplier),
        )
        gain = fill.price * fill.fx_rate - value
        cost.realised_pnl += (gain if side > 0 else -gain) * taken * multiplier
        wanted -= taken
        is_closed = lot.left - taken <= _DUST * entry.quantity / lot.scale
        gone = lot.left if is_closed else taken
        cost.price_sum -= gone * price
        cost.value_sum -= gone * value
        lot.left -= gone
        lot.commission -= share
        if is_closed:
            cost.first = lot.next
    return written


@inner
def _open_lot(cost, lots, number, size, commission, method):
    """A lot of its own for what a fill opened: closed after all others (FIFO), or before them (LIFO)."""
    lot = lots[number]
    lot.left, lot.commission, lot.next, lot.scale = size, commission, -1, 1.0
    if cost.first < 0:
        cost.first = number
    elif method == FIFO:
        lots[cost.last].next = number
    else:
        lot.next = cost.first
        cost.first = number
    if method == FIFO or cost.last < 0:
        cost.last = number


@inner
def _average_lots(cost, lots, fills):
    """The averages over what is open; of a single lot, its own price to the last bit."""
    first = cost.first
    if first >= 0 and lots[first].next < 0:
        cost.average_price = fills[first].price * lots[first].scale
        cost.average_value = cost.average_price * fills[first].fx_rate
        cost.price_sum = lots[first].left * cost.average_price
        cost.value_sum = lots[first].left * cost.average_value
    else:
        cost.average_price = cost.price_sum / abs(cost.quantity)
        cost.average_value = cost.value_sum / abs(cost.quantity)


@inner
def _open(cost, held, size, price, value):
    """Average an entry in."""
    before = abs(held)
    if before == 0.0:
        cost.average_price, cost.average_value = price, value
    else:
        cost.average_price = (cost.average_price * before + price * size) / (before + size)
        cost.average_value = (cost.average_value * before + value * size) / (before + size)


@inner
def _empty(cost):
    cost.quantity = cost.average_price = cost.average_value = cost.commission = 0.0
    cost.price_sum = cost.value_sum = 0.0
    cost.first = cost.last = -1


@inner
def _split(fill, multiplier, method, cost, lots):
    """Scale a position and its lots; of what is paid for in cash the cost is realised, as a loss."""
    before, ratio = cost.quantity, fill.slippage
    after = before + fill.side * fill.quantity
    cost.average_price /= ratio
    cost.average_value /= ratio
    cost.realised_pnl -= (before * ratio - after) * cost.average_value * multiplier
    if after == 0.0:
        _empty(cost)
        return
    cost.quantity = after
    number = cost.first if method != AVERAGE else np.int64(-1)
    while number >= 0:
        lots[number].left *= after / before
        lots[number].scale /= ratio
        number = lots[number].next
    cost.price_sum *= after / before / ratio
    cost.value_sum *= after / before / ratio


@inner
def _apply(fills, number, multiplier, method, cost, lots, trips, written):
    """Let one fill close, then open; return how many round trips there are now."""
    fill = fills[number]
    if fill.order < 0:
        _split(fill, multiplier, method, cost, lots)
        return written
    held, left = cost.quantity, cost.quantity + fill.side * fill.quantity
    paid, size = fill.commission * fill.fx_rate, fill.quantity
    if held != 0.0 and (held > 0) != (fill.side > 0):
        closed = min(fill.quantity, abs(held))
        if method == AVERAGE:
            written = _close_average(cost, trips, written, fill, closed, paid, multiplier)
        else:
            written = _close_lots(cost, lots, fills, trips, written, fill, closed, paid, multiplier)
        paid -= paid * (closed / fill.quantity)
        if abs(left) <= _DUST * fill.quantity:  # what is left of 0.1 + 0.2 - 0.3
            _empty(cost)
            return written
        if (left > 0) == (held > 0):
            cost.quantity = left
            if method != AVERAGE:
                _average_lots(cost, lots, fills)
            return written
        _empty(cost)
        held, size = 0.0, abs(left)
    if held == 0.0:
        _empty(cost)
        cost.since = fill.ts
    cost.quantity = left
    cost.commission += paid
    _open(cost, held, size, fill.price, fill.price * fill.fx_rate)
    if method != AVERAGE:
        cost.price_sum += size * fill.price
        cost.value_sum += size * fill.price * fill.fx_rate
        _open_lot(cost, lots, number, size, paid, method)
        _average_lots(cost, lots, fills)
    return written


def _entry(stamp: str) -> Any:
    @njit(
        types.int64(
            *(_FILLS, types.int64, _F8, types.int64),
            *(from_dtype(dtype)[::1] for dtype in (COST, LOT, STEP, TRIP)),
        ),
        cache=True,
        nogil=True,
    )
    def replay(fills, start, multipliers, method, costs, lots, steps, trips):
        """Go through the fills from number ``start`` on; return how many round trips were written.

        ``costs`` (by place) and ``lots`` (by fill; unused at average cost) carry over. ``steps`` (one a fill) and
        ``trips`` may be empty: then they are not written. Commission is shared out by quantity, of a fill that
        closes and opens by how much it does of each.
        """
        _ = stamp
        written, count = np.int64(0), len(multipliers)
        for number in range(start, len(fills)):
            fill = fills[number]
            cost = costs[fill.account * count + fill.code]
            written = _apply(fills, number, multipliers[fill.code], method, cost, lots, trips, written)
            if len(steps):
                step = steps[number]
                step.quantity, step.average_price = cost.quantity, cost.average_price
                step.average_value, step.realised_pnl = cost.average_value, cost.realised_pnl
        return written

    return replay


replay = _entry(native.stamp_of(books))
