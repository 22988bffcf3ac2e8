"""One position at average cost, and the records of how it changed. It knows no clock and no market data."""

from __future__ import annotations

from typing import NamedTuple

from qengine_core.plugin import Fill

__all__ = ["ClosedTrade", "Position"]


class ClosedTrade(NamedTuple):
    """A round trip: what one closing fill realised against the average entry."""

    code: int
    side: int
    quantity: float
    entry_ts: int
    exit_ts: int
    entry_price: float
    exit_price: float
    gross_pnl: float
    commission: float


class Position:
    """What is held of one instrument: ``quantity`` is signed, ``realised_pnl`` gross of commission."""

    __slots__ = ("_entry_commission", "_entry_ts", "average_price", "quantity", "realised_pnl")

    def __init__(self) -> None:
        self.quantity = 0.0
        self.average_price = 0.0
        self.realised_pnl = 0.0
        self._entry_ts = -1
        self._entry_commission = 0.0

    def apply(self, fill: Fill, multiplier: float) -> ClosedTrade | None:
        """Change the position by a fill; return the round trip if it closed any part of it."""
        held = self.quantity
        signed = fill.side * fill.quantity
        if held == 0.0:
            self._open(fill, fill.quantity, fill.commission)
            return None
        if (held > 0) == (fill.side > 0):
            size = abs(held)
            self.average_price = (self.average_price * size + fill.price * fill.quantity) / (size + fill.quantity)
            self.quantity = held + signed
            self._entry_commission += fill.commission
            return None
        return self._close(fill, held, signed, multiplier)

    def _open(self, fill: Fill, quantity: float, commission: float) -> None:
        self.quantity = fill.side * quantity
        self.average_price = fill.price
        self._entry_ts = fill.ts
        self._entry_commission = commission

    def _close(self, fill: Fill, held: float, signed: float, multiplier: float) -> ClosedTrade:
        side = 1 if held > 0 else -1
        closed = min(abs(held), fill.quantity)
        gross = side * (fill.price - self.average_price) * closed * multiplier
        entry_commission = self._entry_commission * (closed / abs(held))
        exit_commission = fill.commission * (closed / fill.quantity)
        trade = ClosedTrade(
            fill.code,
            side,
            closed,
            self._entry_ts,
            fill.ts,
            self.average_price,
            fill.price,
            gross,
            entry_commission + exit_commission,
        )
        self.realised_pnl += gross
        self._entry_commission -= entry_commission
        left = held + signed
        if abs(left) <= 1e-9 * fill.quantity:  # what is left of 0.1 + 0.2 - 0.3
            self.quantity, self.average_price, self._entry_commission = 0.0, 0.0, 0.0
        elif (left > 0) == (held > 0):
            self.quantity = left
        else:
            self._open(fill, abs(left), fill.commission - exit_commission)
        return trade
