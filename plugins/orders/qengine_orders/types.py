"""Order types as recipes over matching primitives; they know nothing of how a broker matches them."""

from __future__ import annotations

import attrs

from qengine_core.plugin import MARKET_LEG, Leg, param

__all__ = ["Limit", "Market"]


@attrs.frozen
class Market:
    """Trade at the next price there is: the open of the next bar, the next print, the next quote."""

    def legs(self) -> tuple[Leg, ...]:
        return (MARKET_LEG,)


@attrs.frozen
class Limit:
    """Trade at ``price`` or better, or wait for it.

    A buy fills at the lower of the open and ``price``, a sell at the higher: a favourable gap is
    improvement. It never trades beyond ``price``, slippage included.
    """

    price: float = param(help="The worst acceptable price.", unit="instrument currency per unit", gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(limit=self.price),)
