"""Whether the account can pay: once when an order arrives, against what other orders reserve, and once at the fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qengine_core.plugin import BUY, Order

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker
    from qengine_core.run import Run

__all__ = ["BuyingPower"]

Fee = Callable[[Order, float, float], float]
_TOLERANCE = 1e-9


class BuyingPower:
    """A fully paid account: what is bought is paid in cash, what is sold short is collateralised in full.

    Available money is cash less twice the market value of shorts (their proceeds and as much again),
    less what open orders reserve, plus what open market orders that only reduce a position will free.
    """

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        self._checks = settings.buying_power == "cash"
        self._shorts = settings.short_selling
        self._reduces_size = settings.shortfall == "reduce"
        self._ledger = run.ledger
        self._multipliers = [instrument.multiplier for instrument in run.instruments]
        self._reserved: dict[int, float] = {}
        self._total = 0.0
        self._selling = [0.0] * len(run.instruments)
        self._queued: dict[int, float] = {}

    def refusal(self, order: Order) -> str:
        """Why an arriving order cannot be accepted, or an empty string."""
        opening = self._opening(order, order.quantity, self._selling[order.code] if order.side != BUY else 0.0)
        if order.side != BUY and not self._shorts and opening >= order.quantity:
            return "short-selling-disabled"
        if not self._checks or opening <= 0:
            return ""
        price = self._estimate(order)
        if price != price:
            return ""  # nothing is known of the price yet; the fill will tell
        needed = opening * price * self._multipliers[order.code]
        available = self._available() - self._total
        return "" if needed <= available * (1 + _TOLERANCE) else "insufficient-cash"

    def reserve(self, order: Order) -> None:
        """Set aside what the rest of an accepted order may cost, or count on what it will free."""
        self.release(order)
        remaining = order.quantity - order.filled
        if order.side != BUY:
            self._queued[order.id] = remaining
            self._selling[order.code] += remaining
        if not self._checks:
            return
        amount = self._opening(order, remaining, 0.0) * self._estimate(order) * self._multipliers[order.code]
        if amount == 0.0 and order.side != BUY and order.leg.limit != order.leg.limit:
            amount = -remaining * self._estimate(order) * self._multipliers[order.code]
        if amount == amount and amount != 0.0:
            self._reserved[order.id] = amount
            self._total += amount

    def release(self, order: Order) -> None:
        """Forget what an order reserved."""
        queued = self._queued.pop(order.id, 0.0)
        if queued:
            self._selling[order.code] -= queued
        amount = self._reserved.pop(order.id, 0.0)
        self._total = self._total - amount if self._reserved else 0.0

    def reduces(self, order: Order) -> bool:
        """Whether a fill of this order would bring its position closer to zero."""
        held = self._ledger.position(order.code).quantity
        return held != 0.0 and (held > 0) != (order.side > 0)

    def covered(self, order: Order, quantity: float, price: float, fee: Fee) -> tuple[float, str]:
        """How much of a fill the account can take, and why not all of it. The closing part always fills."""
        opening = self._opening(order, quantity, 0.0)
        if opening <= 0:
            return quantity, ""
        closing = quantity - opening
        if order.side != BUY and not self._shorts:
            return closing, "short-selling-disabled"
        if not self._checks:
            return quantity, ""
        unit = price * self._multipliers[order.code]
        available = self._available() + (closing * unit if order.side != BUY else 0.0)
        if opening * unit + fee(order, quantity, price) <= available * (1 + _TOLERANCE):
            return quantity, ""
        if not self._reduces_size:
            return closing, "insufficient-cash"
        affordable = max(0.0, (available - fee(order, quantity, price)) / unit)
        return closing + min(opening, affordable), "insufficient-cash"

    def _opening(self, order: Order, quantity: float, queued: float) -> float:
        """The part of ``quantity`` that does not reduce the position, given what is queued to reduce it."""
        held = self._ledger.position(order.code).quantity
        if held == 0.0 or (held > 0) == (order.side > 0):
            return quantity
        return max(0.0, quantity - max(0.0, abs(held) - queued))

    def _estimate(self, order: Order) -> float:
        limit = order.leg.limit
        return limit if limit == limit else self._ledger.mark(order.code)

    def _available(self) -> float:
        cash = self._ledger.cash
        return cash - 2 * self._ledger.short_value() if self._shorts else cash
