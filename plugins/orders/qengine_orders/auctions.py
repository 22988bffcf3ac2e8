"""Order types for the first and the last price of a session; when sessions are, the run's calendar says."""

from __future__ import annotations

import attrs

from qengine_core.plugin import Leg, TimeInForce, param

__all__ = ["LimitOnClose", "LimitOnOpen", "MarketOnClose", "MarketOnOpen"]

_PRICE = "instrument currency per unit"


@attrs.frozen
class MarketOnOpen:
    """Trade at the opening price of the next session, and only there.

    As every type of this module, it must arrive before the broker's cut-off, and what the row that opens (or
    closes) the session leaves over is cancelled. It is a market order with the time in force at-open.
    """

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(time_in_force=TimeInForce.AT_OPEN),)


@attrs.frozen
class MarketOnClose:
    """Trade at the closing price of the session under way, or of the next one, and only there."""

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(time_in_force=TimeInForce.AT_CLOSE),)


@attrs.frozen
class LimitOnOpen:
    """Trade at the opening price of the next session if that is ``price`` or better."""

    price: float = param(help="The worst acceptable price.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(limit=self.price, time_in_force=TimeInForce.AT_OPEN),)


@attrs.frozen
class LimitOnClose:
    """Trade at the closing price of the session if that is ``price`` or better."""

    price: float = param(help="The worst acceptable price.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(limit=self.price, time_in_force=TimeInForce.AT_CLOSE),)
