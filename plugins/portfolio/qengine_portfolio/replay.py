"""Compiled: positions and round trips, derived from the fills after the run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, njit, types

from qengine_portfolio import booking, books, native
from qengine_portfolio.books import FILL, POSITION

__all__ = ["STEP", "TRIP", "replay"]

# What a position was after a fill.
STEP = np.dtype([("quantity", "f8"), ("average_price", "f8"), ("realised_pnl", "f8")])

# What a closing fill realised against the average entry.
TRIP = np.dtype(
    [
        ("code", "i8"),
        ("account", "i8"),
        ("side", "i8"),
        ("entry_ts", "i8"),
        ("exit_ts", "i8"),
        ("quantity", "f8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("gross_pnl", "f8"),
        ("commission", "f8"),
    ]
)

_FILLS = types.Array(from_dtype(FILL), 1, "C", readonly=True)
_F8 = types.Array(types.float64, 1, "C", readonly=True)


def _entry(stamp: str) -> Any:
    positions_type = from_dtype(POSITION)

    @njit(
        types.int64(_FILLS, _F8, types.int64, from_dtype(STEP)[::1], from_dtype(TRIP)[::1]),
        cache=True,
        nogil=True,
    )
    def replay(fills, multipliers, accounts, steps, trips):
        """Book the fills once more: fill in ``steps`` (one a fill) and ``trips``; return how many of the latter.

        Commission is shared out by quantity: of a fill that closes and opens, by how much it does of each.
        """
        _ = stamp
        count = len(multipliers)
        positions = np.zeros(count * accounts, positions_type)
        since = np.full(count * accounts, -1, np.int64)
        paid = np.zeros(count * accounts)
        written = 0
        for number in range(len(fills)):
            fill = fills[number]
            place = fill.account * count + fill.code
            position = positions[place]
            held, entry_price = position.quantity, position.average_price
            multiplier = multipliers[fill.code]
            closed = booking.change_position(position, fill.side, fill.quantity, fill.price, multiplier)
            step = steps[number]
            step.quantity, step.average_price = position.quantity, position.average_price
            step.realised_pnl = position.realised_pnl
            if closed == 0.0:
                paid[place] = fill.commission + (paid[place] if held != 0.0 else 0.0)
                since[place] = since[place] if held != 0.0 else fill.ts
                continue
            entry_commission = paid[place] * (closed / abs(held))
            exit_commission = fill.commission * (closed / fill.quantity)
            trip = trips[written]
            written += 1
            trip.code, trip.account, trip.side = fill.code, fill.account, 1 if held > 0 else -1
            trip.entry_ts, trip.exit_ts, trip.quantity = since[place], fill.ts, closed
            trip.entry_price, trip.exit_price = entry_price, fill.price
            gain = fill.price - entry_price if held > 0 else entry_price - fill.price
            trip.gross_pnl = gain * closed * multiplier
            trip.commission = entry_commission + exit_commission
            paid[place] -= entry_commission
            if position.quantity != 0.0 and (position.quantity > 0) != (held > 0):
                since[place], paid[place] = fill.ts, fill.commission - exit_commission
        return written

    return replay


replay = _entry(native.stamp_of(booking, books))
