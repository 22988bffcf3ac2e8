"""The matching core: which row can fill something, and at what price. It knows no orders and no money.

``match_price`` is the one statement of when and where a primitive fills, ``concede`` of what slippage may
do to it. Both are scalar functions in the subset numba compiles: Python calls them as they are, compiled
code through their ``_nb`` twins, and both get the same bits.
"""

from __future__ import annotations

from numba import njit, types

__all__ = ["concede", "concede_nb", "match_price", "match_price_nb", "next_match_nb"]

# Columns that come straight from Arrow are read-only; writeable arrays are taken as well.
_I8 = types.Array(types.int64, 1, "C", readonly=True)
_I4 = types.Array(types.int32, 1, "C", readonly=True)
_U1 = types.Array(types.uint8, 1, "C", readonly=True)
_F8 = types.Array(types.float64, 1, "C", readonly=True)


def match_price(side: int, limit: float, opening: float, extreme: float) -> float:
    """The price at which a primitive fills on a row, before slippage; NaN if it does not.

    ``limit`` is NaN for a market order. ``opening`` is the row's first price for this side and
    ``extreme`` the best one it reached: a bar's low for a buy, its high for a sell; for prints and quotes
    all are the same price. A touch fills; a gap through the limit fills at the opening (an improvement).
    """
    if limit != limit:
        return opening
    if side > 0:
        if extreme <= limit:
            return opening if opening < limit else limit
    elif extreme >= limit:
        return opening if opening > limit else limit
    return float("nan")


def concede(side: int, price: float, concession: float, limit: float, low: float, high: float) -> float:
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


match_price_nb = njit("float64(int64, float64, float64, float64)", cache=True, nogil=True)(match_price)
concede_nb = njit("float64(int64, float64, float64, float64, float64, float64)", cache=True, nogil=True)(concede)


@njit(
    types.int64(_I8, _I4, _F8, _F8, _F8, types.int64, types.int64, _U1, _F8, _F8, _I8),
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
    counts_volume = len(volumes) > 0
    if len(buy_limits) == 1:
        buy, sell, since, always = buy_limits[0], sell_limits[0], after[0], any_price[0]
        for row in range(start, stop):
            touched = lows[row] <= buy or highs[row] >= sell or always
            if touched and ts[row] > since and (not counts_volume or volumes[row] > 0):
                return row
        return stop
    for row in range(start, stop):
        code = codes[row]
        touched = lows[row] <= buy_limits[code] or highs[row] >= sell_limits[code] or any_price[code]
        if touched and ts[row] > after[code] and (not counts_volume or volumes[row] > 0):
            return row
    return stop
