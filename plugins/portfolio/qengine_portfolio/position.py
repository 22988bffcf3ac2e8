"""One position at average cost, and the records of how it changed. It knows no clock and no market data."""

from __future__ import annotations

from typing import NamedTuple

from qengine_core.plugin import Fill

__all__ = ["ClosedTrade", "Position", "TracedPosition"]


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

    __slots__ = ("average_price", "quantity", "realised_pnl")

    def __init__(self) -> None:
        self.quantity = 0.0
        self.average_price = 0.0
        self.realised_pnl = 0.0

    def apply(self, fill: Fill, multiplier: float) -> float:
        """Change the position by a fill at average cost; return the quantity of it that closed."""
        held, size = self.quantity, fill.quantity
        if held == 0.0:
            self.quantity = fill.side * size
            self.average_price = fill.price
            return 0.0
        left = held + fill.side * size
        if (held > 0) == (fill.side > 0):
            before = abs(held)
            self.average_price = (self.average_price * before + fill.price * size) / (before + size)
            self.quantity = left
            return 0.0
        closed = size if size < abs(held) else abs(held)
        gain = fill.price - self.average_price
        self.realised_pnl += (gain if held > 0 else -gain) * closed * multiplier
        if abs(left) <= 1e-12 * size:  # what is left of 0.1 + 0.2 - 0.3
            self.quantity = self.average_price = 0.0
        else:
            self.quantity = left
            if (left > 0) != (held > 0):
                self.average_price = fill.price
        return closed


class TracedPosition(Position):
    """A position that also knows since when it is held and what its entry cost, for the table of round trips."""

    __slots__ = ("_entry_commission", "_entry_ts")

    def __init__(self) -> None:
        super().__init__()
        self._entry_ts = -1
        self._entry_commission = 0.0

    def trace(self, fill: Fill, multiplier: float) -> ClosedTrade | None:
        """Apply a fill; return the round trip if it closed any part of the position."""
        held, entry_price = self.quantity, self.average_price
        closed = self.apply(fill, multiplier)
        if not closed:
            self._entry_commission = fill.commission + (self._entry_commission if held else 0.0)
            self._entry_ts = self._entry_ts if held else fill.ts
            return None
        entry_commission = self._entry_commission * (closed / abs(held))
        exit_commission = fill.commission * (closed / fill.quantity)
        trade = ClosedTrade(
            fill.code,
            1 if held > 0 else -1,
            closed,
            self._entry_ts,
            fill.ts,
            entry_price,
            fill.price,
            (fill.price - entry_price if held > 0 else entry_price - fill.price) * closed * multiplier,
            entry_commission + exit_commission,
        )
        self._entry_commission -= entry_commission
        if self.quantity and (self.quantity > 0) != (held > 0):
            self._entry_ts, self._entry_commission = fill.ts, fill.commission - exit_commission
        return trade
