"""A compiled pass over market data: the equity curve from fills and prices."""

from __future__ import annotations

import numpy as np
from numba import njit, types

__all__ = ["equity_nb"]

# Columns that come straight from Arrow are read-only; writeable arrays are taken as well.
_I8 = types.Array(types.int64, 1, "C", readonly=True)
_I4 = types.Array(types.int32, 1, "C", readonly=True)
_F8 = types.Array(types.float64, 1, "C", readonly=True)
_F8_OUT = types.float64[::1]
_I8_OUT = types.int64[::1]
_I4_OUT = types.int32[::1]


# Defined before its caller: explicit signatures compile on the spot.
@njit("void(int32, float64, float64[::1], int32[::1], int64[::1])", cache=True, nogil=True)
def _apply_nb(code, quantity, quantities, held, held_count):  # type: ignore[no-untyped-def]
    """Change one position and keep the list of held codes ascending."""
    before = quantities[code]
    after = before + quantity
    if abs(after) <= 1e-12 * abs(quantity):  # what is left of 0.1 + 0.2 - 0.3
        after = 0.0
    quantities[code] = after
    count = held_count[0]
    if before == 0.0 and after != 0.0:
        place = count
        while place > 0 and held[place - 1] > code:
            held[place] = held[place - 1]
            place -= 1
        held[place] = code
        held_count[0] = count + 1
    elif before != 0.0 and after == 0.0:
        place = 0
        while held[place] != code:
            place += 1
        for index in range(place, count - 1):
            held[index] = held[index + 1]
        held_count[0] = count - 1


@njit(
    types.int64(
        *(_I8, _I4, _F8, types.int64, types.int64, types.int64, _I8_OUT),
        *(_I8, _I4, _F8, _F8),
        *(_F8_OUT, _F8_OUT, _F8, _I4_OUT, _I8_OUT, _F8_OUT, _I8_OUT, types.float64[:, ::1]),
    ),
    cache=True,
    nogil=True,
)
def equity_nb(  # type: ignore[no-untyped-def]
    ts,
    codes,
    prices,
    start,
    stop,
    interval,
    next_ts,
    fill_rows,
    fill_codes,
    fill_quantities,
    fill_cash,
    quantities,
    marks,
    multipliers,
    held,
    held_count,
    cash,
    out_ts,
    out,
):
    """Walk rows, apply each fill on the row it happened, and write the account at sampled instants.

    ``fill_quantities`` is signed, ``fill_cash`` the change of cash. ``quantities``, ``marks``, ``held``
    (codes with a position, ``held_count[0]`` of them), ``cash[0]`` and ``next_ts`` (when the next sample is due,
    and when the last was taken) carry over. Each sample sums the held positions afresh, lest rounding errors
    build up. Columns of ``out``: equity, cash, long value, short value. Returns
    the number of samples.
    """
    written, fill, row = 0, 0, start - 1
    while (row := row + 1) < stop:
        if len(marks) == 1 and ts[row] < next_ts[0] and ts[row] != next_ts[1]:
            row = min(stop - 1, row + np.searchsorted(ts[row:stop], next_ts[0]))  # nothing is sampled before
        while fill < len(fill_rows) and fill_rows[fill] <= row:
            _apply_nb(fill_codes[fill], fill_quantities[fill], quantities, held, held_count)
            cash[0] += fill_cash[fill]
            fill += 1
        marks[codes[row]] = prices[row]
        now = ts[row]
        if (now < next_ts[0] and now != next_ts[1]) or (row + 1 < stop and ts[row + 1] == now):
            continue
        if now >= next_ts[0]:
            next_ts[0] = now + 1 if interval == 0 else (now // interval + 1) * interval
        next_ts[1] = now  # another stream's rows of this instant replace this sample
        longs = shorts = 0.0
        for index in range(held_count[0]):
            code = held[index]
            value = quantities[code] * marks[code] * multipliers[code]
            if value >= 0:
                longs += value
            else:
                shorts -= value
        out_ts[written] = now
        out[written] = cash[0] + longs - shorts, cash[0], longs, shorts
        written += 1
    while fill < len(fill_rows):
        _apply_nb(fill_codes[fill], fill_quantities[fill], quantities, held, held_count)
        cash[0] += fill_cash[fill]
        fill += 1
    return written
