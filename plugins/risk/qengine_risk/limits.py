"""Limits on orders and on what they lead to: each looks at one order before it is sent, and remembers nothing.

Limits on exposure let exits through: an order that can but bring a position closer to zero is never refused by
them. They count the worst case, in which everything open on the order's side fills. What has to be valued and has no
price yet is refused as ``no-price``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from qengine_core.plugin import ConfigError, OrderRequest, component, param
from qengine_risk.patterns import covers

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = [
    "BorrowLimit",
    "Instruments",
    "LongOnly",
    "MaxLeverage",
    "MaxOrder",
    "MaxPosition",
    "PriceCollar",
    "price_of",
]

_SLACK = 1 + 1e-9
_WHOSE = "Names or patterns such as BTC* of the instruments it is for; empty: all."


def price_of(request: OrderRequest) -> float:
    """The price an order may trade at: its limit, else its trigger, else the last known price (NaN: none)."""
    if request.limit == request.limit and not request.waits:
        return request.limit
    if request.trigger == request.trigger and math.isfinite(request.trigger) and not request.waits:
        return request.trigger
    return request.mark


@component
class MaxOrder:
    """The largest order. It counts for exits too: a slip of the finger may as well be a sale."""

    quantity: float | None = param(default=None, help="Largest quantity; none: no limit.", unit="units", gt=0)
    notional: float | None = param(
        default=None,
        help="Largest value, at the limit, else the trigger, else the last price; none: no limit.",
        unit="account currency",
        gt=0,
    )
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def __attrs_post_init__(self) -> None:
        _need_one(self, "quantity", "notional")

    def check(self, request: OrderRequest) -> str:
        """``max-order-quantity``, ``max-order-notional`` or ``no-price``."""
        if not covers(self.instruments, request.instrument.name):
            return ""
        if self.quantity is not None and request.quantity > self.quantity * _SLACK:
            return "max-order-quantity"
        if self.notional is None:
            return ""
        value = request.quantity * abs(price_of(request)) * request.unit_value
        if value != value:
            return "no-price"
        return "max-order-notional" if value > self.notional * _SLACK else ""


@component
class MaxPosition:
    """The largest position of an instrument, long or short, counting open orders of the order's side."""

    quantity: float | None = param(default=None, help="Largest quantity; none: no limit.", unit="units", gt=0)
    notional: float | None = param(
        default=None, help="Largest value at the last price; none: no limit.", unit="account currency", gt=0
    )
    fraction: float | None = param(
        default=None, help="Largest value as a share of equity; none: no limit.", unit="fraction of equity", gt=0
    )
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def __attrs_post_init__(self) -> None:
        _need_one(self, "quantity", "notional", "fraction")

    def build(self, run: Run) -> Any:
        """What checks in one run: it asks the ledger for equity."""
        from qengine_risk.checks import PositionCheck

        return PositionCheck(self, run)


@component
class MaxLeverage:
    """The most that positions may be worth, counting open orders, as a multiple of equity.

    ``gross`` limits longs plus shorts, ``net`` their difference, either way. Where equity is not positive
    nothing may be opened.
    """

    gross: float | None = param(default=None, help="Largest gross leverage; none: no limit.", unit="x equity", gt=0)
    net: float | None = param(default=None, help="Largest net leverage; none: no limit.", unit="x equity", gt=0)

    def __attrs_post_init__(self) -> None:
        _need_one(self, "gross", "net")

    def build(self, run: Run) -> Any:
        """What checks in one run: it asks the ledger for equity, and the broker for what is at work."""
        from qengine_risk.checks import LeverageCheck

        return LeverageCheck(self, run)


@component
class PriceCollar:
    """Refuses limits and triggers that lie too far from the last price, where somebody may have mistyped one.

    ``direction = "worse"`` looks only at prices worse than the last one: a buyer's limit above it, a stop of any
    side beyond it never, since a stop waits for worse prices on purpose. Legs that wait for another (a bracket's
    exits) and trailing stops have no price yet and pass. A market order has no price of its own: it is
    refused while its instrument has none either, as are all others.
    """

    fraction: float = param(help="How far a price may lie from the last one.", unit="fraction of the last price", gt=0)
    direction: Literal["both", "worse"] = param(
        default="both", help="Whether prices that are too good to fill soon are refused, too."
    )
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def check(self, request: OrderRequest) -> str:
        """``price-collar`` or ``no-price``."""
        if request.waits or not covers(self.instruments, request.instrument.name):
            return ""
        if request.mark != request.mark:
            return "no-price"
        room = self.fraction * abs(request.mark) * _SLACK
        too_dear = (request.limit - request.mark) * request.side > room  # of no limit: NaN, so False
        if self.direction == "worse":
            return "price-collar" if too_dear else ""
        far = any(abs(price - request.mark) > room for price in (request.limit, request.trigger))
        return "price-collar" if far else ""


@component
class Instruments:
    """What may be traded: only ``allowed``, if any are named, and nothing that is ``blocked``. Exits pass."""

    allowed: tuple[str, ...] = param(default=(), help="Names or patterns of what may be traded; empty: all.")
    blocked: tuple[str, ...] = param(default=(), help="Names or patterns of what may not; it wins over allowed.")

    def __attrs_post_init__(self) -> None:
        if not self.allowed and not self.blocked:
            raise ConfigError("instruments needs allowed or blocked: neither is given, so nothing would be checked.")

    def check(self, request: OrderRequest) -> str:
        """``instrument-blocked`` or ``instrument-not-allowed``."""
        if request.is_exit:
            return ""
        name = request.instrument.name
        if self.blocked and covers(self.blocked, name):
            return "instrument-blocked"
        return "" if covers(self.allowed, name) else "instrument-not-allowed"


@component
class LongOnly:
    """Nothing may be sold short: a sale, with what is being sold already, is for no more than is held."""

    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def check(self, request: OrderRequest) -> str:
        """``long-only``."""
        if request.side > 0 or request.is_exit or not covers(self.instruments, request.instrument.name):
            return ""
        return "long-only"


@component
class BorrowLimit:
    """Nothing may be sold short beyond what can be borrowed; 0 for what is hard to borrow. It counts open sales."""

    quantity: float = param(help="Largest short position that lenders have stock for.", unit="units", ge=0)
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def check(self, request: OrderRequest) -> str:
        """``no-borrow``."""
        if request.side > 0 or request.is_exit or not covers(self.instruments, request.instrument.name):
            return ""
        short = request.working + request.quantity - request.position
        return "no-borrow" if short > self.quantity * _SLACK else ""


def _need_one(rule: object, *names: str) -> None:
    if all(getattr(rule, name) is None for name in names):
        listed = f"{', '.join(names[:-1])} or {names[-1]}"
        raise ConfigError(f"a limit needs {listed}: none is given, so nothing would be checked.")
