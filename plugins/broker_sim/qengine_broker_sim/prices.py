"""At what price a primitive trades: scalar rules without orders, books or money."""

from __future__ import annotations

import math

from numba import njit

__all__ = ["concede", "limit_price", "to_tick", "trigger_price"]

_NAN = float("nan")


@njit
def limit_price(side, limit, opening, extreme, penetrates):
    """The price at which a limit (NaN: at market) trades on a row, before slippage; NaN if it does not.

    ``opening`` is the row's first price for this side and ``extreme`` the best one it reached. A touch
    fills, or, if it must penetrate, a price beyond; a gap through the limit fills at the opening.
    """
    if limit != limit:
        return opening
    if side > 0:
        if opening <= limit and (opening < limit or not penetrates):
            return opening
        if extreme < limit or (extreme == limit and not penetrates):
            return limit
    else:
        if opening >= limit and (opening > limit or not penetrates):
            return opening
        if extreme > limit or (extreme == limit and not penetrates):
            return limit
    return _NAN


@njit
def trigger_price(rises, trigger, opening, extreme):
    """The price at which a trigger is set off on a row: at it, or at the opening if that gapped beyond; else NaN."""
    if rises:
        return opening if opening >= trigger else trigger if extreme >= trigger else _NAN
    return opening if opening <= trigger else trigger if extreme <= trigger else _NAN


@njit
def concede(side, price, concession, limit, low, high):
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


@njit
def to_tick(price, falls, tick, tolerance):
    """Round a price to the grid, down or up; to the nearest tick if it lies within the tolerance, in ticks."""
    steps = price / tick
    near = round(steps)
    if abs(steps - near) < tolerance:
        return near * tick
    return (math.floor(steps) if falls else math.ceil(steps)) * tick
