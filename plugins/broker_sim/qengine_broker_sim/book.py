"""Resting orders by instrument, and the summary of them that compiled code scans for."""

from __future__ import annotations

import numpy as np

from qengine_core.plugin import Order, TimeInForce

__all__ = ["Book"]

_INF = float("inf")
_NEVER = np.iinfo(np.int64).max


class Book:
    """Orders that can fill. Per instrument, the scan needs only the nearest limits and the first arrival."""

    __slots__ = ("after", "any_price", "buy_limits", "orders", "resting", "sell_limits")

    def __init__(self, instruments: int) -> None:
        self.orders: list[list[Order]] = [[] for _ in range(instruments)]
        self.resting = 0
        self.any_price = np.zeros(instruments, dtype=np.uint8)
        self.buy_limits = np.full(instruments, -_INF)
        self.sell_limits = np.full(instruments, _INF)
        self.after = np.full(instruments, _NEVER, dtype=np.int64)

    def add(self, order: Order) -> None:
        orders = self.orders[order.code]
        orders.append(order)
        self.resting += 1
        self._summarise(order.code, orders)

    def remove(self, order: Order) -> None:
        orders = self.orders[order.code]
        orders.remove(order)
        self.resting -= 1
        self._summarise(order.code, orders)

    def _summarise(self, code: int, orders: list[Order]) -> None:
        always, buy, sell, after = 0, -_INF, _INF, _NEVER
        for order in orders:
            limit = order.leg.limit
            # An order that ends on its first row must see that row whatever its price.
            if limit != limit or order.time_in_force in _ONE_ROW:
                always = 1
            elif order.side > 0:
                buy = max(buy, limit)
            else:
                sell = min(sell, limit)
            after = min(after, order.accepted_ts)
        self.any_price[code] = always
        self.buy_limits[code] = buy
        self.sell_limits[code] = sell
        self.after[code] = after


_ONE_ROW = (TimeInForce.IOC, TimeInForce.FOK)
