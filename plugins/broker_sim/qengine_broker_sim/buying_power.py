"""Whether the account can pay: once when an order arrives, against what other orders reserve, and once at the fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qengine_core.plugin import BUY, Order

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker
    from qengine_core.run import Run

__all__ = ["BuyingPower"]

_SLACK = 1 + 1e-9


class BuyingPower:
    """A fully paid account: what is bought is paid in cash, what is sold short is collateralised in full.

    Available money is cash less twice the market value of shorts (their proceeds and as much again),
    less what open orders reserve, plus what open market orders that only reduce a position will free.
    """

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        self._checks = settings.buying_power == "cash"
        self._shorts = settings.short_selling
        self._takes_part = settings.shortfall == "reduce"
        self._ledger = run.ledger
        self._positions = run.ledger.positions
        self._multipliers = [instrument.multiplier for instrument in run.instruments]
        self._reserved: dict[int, float] = {}
        self._total = 0.0
        self._selling: dict[int, float] = {}
        self._sellers: dict[int, int] = {}

    def admit(self, order: Order) -> str:
        """Reserve what an arriving order may cost, or count on what it will free; or say why it is refused."""
        code, quantity, sells = order.code, order.quantity, order.side != BUY
        held = self._positions[code].quantity
        opening = _opening(held, order.side, quantity, self._selling.get(code, 0.0) if sells else 0.0)
        if sells:
            if opening >= quantity and not self._shorts:
                return "short-selling-disabled"
            self._selling[code] = self._selling.get(code, 0.0) + quantity
            self._sellers[code] = self._sellers.get(code, 0) + 1
        if not self._checks:
            return ""
        limit = order.leg.limit
        price = (limit if limit == limit else self._ledger.mark(code)) * self._multipliers[code]
        amount = opening * price
        if opening > 0:
            if amount > (self._available() - self._total) * _SLACK:
                self._unqueue(order, quantity, is_over=True)
                return "insufficient-cash"
        elif sells and limit != limit:
            amount = -quantity * price
        if amount == amount and amount:  # NaN: no price is known yet, so the fill will tell
            self._reserved[order.id] = amount
            self._total += amount
        return ""

    def settle(self, order: Order, quantity: float, is_over: bool) -> None:
        """``quantity`` of an order has filled or been given up: free its share of the reservation."""
        self._unqueue(order, quantity, is_over)
        amount = self._reserved.pop(order.id, 0.0)
        if not amount:
            return
        if is_over:
            self._total = self._total - amount if self._reserved else 0.0
            return
        kept = amount * (order.quantity - order.filled) / (order.quantity - order.filled + quantity)
        self._reserved[order.id] = kept
        self._total += kept - amount

    def reduces(self, order: Order) -> bool:
        """Whether a fill of this order would bring its position closer to zero."""
        held = self._positions[order.code].quantity
        return held != 0.0 and (held > 0) != (order.side > 0)

    def covered(self, order: Order, quantity: float, price: float, fee: float) -> tuple[float, str]:
        """How much of a fill, whose commission is ``fee``, the account can take, and why not all of it.

        The closing part always fills.
        """
        opening = _opening(self._positions[order.code].quantity, order.side, quantity, 0.0)
        if opening <= 0:
            return quantity, ""
        sells, closing = order.side != BUY, quantity - opening
        if sells and not self._shorts:
            return closing, "short-selling-disabled"
        if not self._checks:
            return quantity, ""
        unit = price * self._multipliers[order.code]
        available = self._available() + (closing * unit if sells else 0.0)
        if opening * unit + fee <= available * _SLACK:
            return quantity, ""
        if not self._takes_part:
            return closing, "insufficient-cash"
        return closing + min(opening, max(0.0, (available - fee) / unit)), "insufficient-cash"

    def _unqueue(self, order: Order, quantity: float, is_over: bool) -> None:
        if order.side == BUY:
            return
        code = order.code
        self._sellers[code] -= is_over
        # Starting afresh from zero whenever nobody sells keeps rounding errors from adding up.
        self._selling[code] = self._selling[code] - quantity if self._sellers[code] else 0.0

    def _available(self) -> float:
        cash = self._ledger.cash
        return cash - 2 * self._ledger.short_value() if self._shorts else cash


def _opening(held: float, side: int, quantity: float, queued: float) -> float:
    """The part of ``quantity`` that does not reduce a position of which ``queued`` is being sold already."""
    if held == 0.0 or (held > 0) == (side > 0):
        return quantity
    reducible = abs(held) - queued
    return quantity if reducible <= 0 else quantity - reducible if quantity > reducible else 0.0
