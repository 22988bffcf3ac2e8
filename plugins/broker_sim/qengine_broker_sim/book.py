"""Resting orders by instrument, and the summary of them that compiled code scans for."""

from __future__ import annotations

import numpy as np

from qengine_core.plugin import Order, TimeInForce

__all__ = ["Book"]

_IOC, _FOK = TimeInForce.IOC, TimeInForce.FOK
_INF = float("inf")
_NEVER = np.iinfo(np.int64).max


class Book:
    """Orders that can fill. Per instrument, a scan needs only the nearest limits and the first arrival.

    That summary is brought up to date when somebody is about to scan, not at every change.
    """

    __slots__ = ("_stale", "after", "any_price", "buy_limits", "orders", "resting", "sell_limits", "unconditional")

    def __init__(self, instruments: int) -> None:
        self.orders: list[list[Order]] = [[] for _ in range(instruments)]
        self.resting = 0
        self.unconditional = 0  # how many of them take the next row whatever its price
        self.any_price = np.zeros(instruments, dtype=np.uint8)
        self.buy_limits = np.full(instruments, -_INF)
        self.sell_limits = np.full(instruments, _INF)
        self.after = np.full(instruments, _NEVER, dtype=np.int64)
        self._stale: set[int] = set()

    def add(self, order: Order) -> None:
        """An order begins to rest."""
        self.orders[order.code].append(order)
        self.resting += 1
        self.unconditional += _is_unconditional(order)
        self._stale.add(order.code)

    def remove(self, order: Order) -> None:
        """An order rests no more."""
        self.orders[order.code].remove(order)
        self.resting -= 1
        self.unconditional -= _is_unconditional(order)
        self._stale.add(order.code)

    def summarise(self) -> None:
        """Bring the arrays up to date."""
        for code in self._stale:
            self._summarise(code)
        self._stale.clear()

    def _summarise(self, code: int) -> None:
        always, buy, sell, after = 0, -_INF, _INF, _NEVER
        for order in self.orders[code]:
            if _is_unconditional(order):
                always = 1
            elif order.side > 0:
                buy = max(buy, order.leg.limit)
            else:
                sell = min(sell, order.leg.limit)
            after = min(after, order.accepted_ts)
        self.any_price[code] = always
        self.buy_limits[code] = buy
        self.sell_limits[code] = sell
        self.after[code] = after


def _is_unconditional(order: Order) -> bool:
    """Whether the next row ends the wait, whatever its price: at market, or good for one row only."""
    limit = order.leg.limit
    return limit != limit or order.time_in_force is _IOC or order.time_in_force is _FOK
