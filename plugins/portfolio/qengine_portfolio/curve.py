"""A compiled pass over market data: the equity curve from fills and prices."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from qengine_portfolio.native import inner

__all__ = ["equity_nb"]

# Columns that come straight from Arrow are read-only; writeable arrays are taken as well.
_I8 = types.Array(types.int64, 1, "C", readonly=True)
_I4 = types.Array(types.int32, 1, "C", readonly=True)
_F8 = types.Array(types.float64, 1, "C", readonly=True)
_F8_OUT = types.float64[::1]
_I8_OUT = types.int64[::1]
_I4_OUT = types.int32[::1]


@inner
def _apply_nb(code, quantity, quantities, held, held_count):
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


_FILLS = types.Tuple((_I8, _I4, _F8, _I4, _F8))
_SEVERAL = types.Tuple((types.int64[::1], types.boolean[::1], _F8_OUT, _I4, _F8_OUT))


@inner
def _convert_nb(several, marks, cash, multipliers, held, count, out):
    """Bring the rates up to the marks, and what a price of 1 is worth; return the cash of all currencies.

    Writes balance and rate of each currency into ``out``, from column 4 on.
    """
    pairs, inverse, rates, currencies, units = several
    total = cash[0]
    out[4], out[5] = cash[0], rates[0]
    for currency in range(1, len(pairs)):
        code = pairs[currency]
        if code >= 0 and marks[code] > 0.0:
            rates[currency] = 1.0 / marks[code] if inverse[currency] else marks[code]
        if cash[currency] != 0.0:
            total += cash[currency] * rates[currency]
        out[4 + 2 * currency], out[5 + 2 * currency] = cash[currency], rates[currency]
    for code in held[:count]:
        units[code] = multipliers[code] * rates[currencies[code]]
    return total


@inner
def _settle_nb(fills, first, row, quantities, marks, held, held_count, cash):
    """Apply the fills from number ``first`` on that happened up to a row; return the number of the next."""
    rows, codes, changes, currencies, paid = fills
    while first < len(rows) and rows[first] <= row:
        _apply_nb(codes[first], changes[first], quantities, held, held_count)
        if currencies[first] < 0:  # a split by the ratio ``paid``
            marks[codes[first]] /= paid[first]
        else:
            cash[currencies[first]] += paid[first]
        first += 1
    return first


@inner
def _values_nb(quantities, marks, units, held, count):
    """What the long and the short positions are worth, both as positive numbers."""
    longs = shorts = 0.0
    for code in held[:count]:
        value = quantities[code] * marks[code] * units[code]
        if value >= 0:
            longs += value
        else:
            shorts -= value
    return longs, shorts


@njit(
    types.int64(
        *(_I8, _I4, _F8, types.int64, types.int64, types.int64, _I8_OUT),
        *(_FILLS, _F8_OUT, _F8_OUT, _F8, _I4_OUT, _I8_OUT, _F8_OUT, _SEVERAL),
        *(_I8_OUT, types.float64[:, ::1]),
    ),
    cache=True,
    nogil=True,
)
def equity_nb(
    ts,
    codes,
    prices,
    start,
    stop,
    interval,
    next_ts,
    fills,
    quantities,
    marks,
    multipliers,
    held,
    held_count,
    cash,
    several,
    out_ts,
    out,
):
    """Walk rows, apply each fill on the row it happened, and write the account at sampled instants.

    ``fills`` are columns: row, code, signed quantity, currency, change of cash in it (currency -1: a ratio to split
    by). ``quantities``, ``marks``, ``held`` (codes with a position, ``held_count[0]`` of them), ``cash`` by currency
    and ``next_ts`` (when the next sample is due, and when the last was taken) carry over. Each sample sums the held
    positions afresh, lest rounding errors build up. ``several`` is what several currencies need: by currency which
    instrument's mark its rate is (-1: it does not change), whether it is one over that, and the rates; by instrument
    its currency, and what a price of 1 is worth. Columns of ``out``: equity, cash, long value, short value, and with
    several currencies balance and rate of each. Returns the number of samples.
    """
    pairs, _, _, _, units = several
    fill_rows, written, fill, row = fills[0], np.int64(0), np.int64(0), start - 1
    due, last = next_ts
    upcoming = fill_rows[0] if len(fill_rows) else stop  # the row of the next fill
    while (row := row + 1) < stop:
        now = ts[row]
        if len(marks) == 1 and now < due and now != last:
            row = min(stop - 1, row + np.searchsorted(ts[row:stop], due))  # nothing is sampled before
            now = ts[row]
        if upcoming <= row:
            fill = _settle_nb(fills, fill, row, quantities, marks, held, held_count, cash)
            upcoming = fill_rows[fill] if fill < len(fill_rows) else stop
        marks[codes[row]] = prices[row]
        if (now < due and now != last) or (row + 1 < stop and ts[row + 1] == now):
            continue
        if now >= due:
            due = now + 1 if interval == 0 else (now // interval + 1) * interval
        last = now  # another stream's rows of this instant replace this sample
        money = cash[0]
        if len(pairs) > 1:
            money = _convert_nb(several, marks, cash, multipliers, held, held_count[0], out[written])
        longs, shorts = _values_nb(quantities, marks, units, held, held_count[0])
        out_ts[written] = now
        out[written, 0] = money + longs - shorts
        out[written, 1], out[written, 2], out[written, 3] = money, longs, shorts
        written += 1
    next_ts[0], next_ts[1] = due, last
    _settle_nb(fills, fill, len(ts), quantities, marks, held, held_count, cash)
    return written
