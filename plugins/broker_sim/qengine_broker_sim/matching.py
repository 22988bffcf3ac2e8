"""The matching core, compiled: which row can fill something, and at what price. It knows no orders, no money.

``match_price_nb`` is the one statement of when and where a primitive fills; everything else asks it.
"""

from __future__ import annotations

from numba import njit

__all__ = ["concede_nb", "match_price_nb", "next_match_nb"]


@njit("float64(int64, float64, float64, float64)", cache=True, nogil=True)
def match_price_nb(side, limit, opening, extreme):  # type: ignore[no-untyped-def]
    """The price at which a primitive fills on a row, before slippage; NaN if it does not.

    ``limit`` is NaN for a market order. ``opening`` is the row's first price for this side and
    ``extreme`` the best one it reached: a bar's low for a buy, its high for a sell; for prints and quotes
    all are the same price. A touch fills; a gap through the limit fills at the opening (an improvement).
    """
    if limit != limit:
        return opening
    if side > 0:
        return min(opening, limit) if extreme <= limit else limit * float("nan")
    return max(opening, limit) if extreme >= limit else limit * float("nan")


@njit("float64(int64, float64, float64, float64, float64, float64)", cache=True, nogil=True)
def concede_nb(side, price, concession, limit, low, high):  # type: ignore[no-untyped-def]
    """The price after slippage: never beyond the limit, never outside ``[low, high]`` (NaN: no bound)."""
    if side > 0:
        price += concession
        if price > high:
            price = high
        if price > limit:
            price = limit
    else:
        price -= concession
        if price < low:
            price = low
        if price < limit:
            price = limit
    return price


@njit(
    "int64(int64[::1], int32[::1], float64[::1], float64[::1], float64[::1], int64, int64, "
    "uint8[::1], float64[::1], float64[::1], int64[::1])",
    cache=True,
    nogil=True,
)
def next_match_nb(  # type: ignore[no-untyped-def]
    ts, codes, lows, highs, volumes, start, stop, any_price, buy_limits, sell_limits, after
):
    """The first row in ``[start, stop)`` that may fill an order of its instrument, or ``stop``.

    By instrument: ``any_price`` says an order fills whatever the price, ``buy_limits`` and ``sell_limits``
    are the nearest resting limits (-inf and inf for none), ``after`` is the earliest arrival. A
    ``volumes`` of length 0 means that rows without volume count too.
    """
    if len(buy_limits) == 1:
        buy, sell, since, always = buy_limits[0], sell_limits[0], after[0], any_price[0]
        for row in range(start, stop):
            if (lows[row] <= buy or highs[row] >= sell or always) and ts[row] > since:
                if len(volumes) == 0 or volumes[row] > 0:
                    return row
        return stop
    for row in range(start, stop):
        code = codes[row]
        if lows[row] <= buy_limits[code] or highs[row] >= sell_limits[code] or any_price[code]:
            if ts[row] > after[code] and (len(volumes) == 0 or volumes[row] > 0):
                return row
    return stop
