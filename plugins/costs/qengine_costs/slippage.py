"""Slippage models: the price concession of a fill. It knows no order, no side and no cap on participation.

Every ``slippage`` below returns a concession per unit, >= 0 and in price units; the broker adds it to what a
buyer pays and takes it from what a seller gets, and decides how much of a row's volume an order may take.
They are written in the subset of Python that numba compiles: scalars in, a scalar out, ``rates`` indexed.
"""

# ruff: noqa: ARG004 - a model takes every argument of its role, whether or not it depends on it
from __future__ import annotations

import math
from collections.abc import Sequence

from qengine_core.plugin import component, param

__all__ = ["FixedBps", "HalfSpread", "NoSlippage", "VolumeShare"]


@component
class VolumeShare:
    """Impact that grows with the square of the share of the row's volume taken, as Zipline's VolumeShareSlippage.

    ``price_impact * share ** 2 * |price|`` with ``share = min((taken + quantity) / volume, 1)``

    ``taken`` is what earlier orders took of the same row, so splitting an order does not make it cheaper.
    Zipline documents a fill at ``price * (1 +- price_impact * volume_share ** 2)``, ``price_impact`` 0.1 by
    default, ``volume_share`` at most its ``volume_limit``; that cap is the broker's here. Where volume is
    unknown there is no impact; where it is zero, the order is the whole volume.
    """

    price_impact: float = param(
        default=0.1, help="Impact of taking a row's whole volume, as a fraction of the price.", unit="fraction", ge=0
    )

    @property
    def rates(self) -> tuple[float, ...]:
        """``(price_impact,)``."""
        return (float(self.price_impact),)

    @staticmethod
    def slippage(
        quantity: float, price: float, volume: float, taken: float, spread: float, rates: Sequence[float]
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        if quantity <= 0.0:
            return 0.0
        total = taken + quantity
        share = total / volume if total < volume else 1.0
        return rates[0] * (share * share) * abs(price)


@component
class FixedBps:
    """The same fraction of the price for every fill: ``bps / 10,000 * |price|``."""

    bps: float = param(help="Concession in hundredths of a percent of the price.", unit="basis points", ge=0)

    @property
    def rates(self) -> tuple[float, ...]:
        """The concession as a fraction of the price, alone."""
        return (self.bps / 10_000.0,)

    @staticmethod
    def slippage(
        quantity: float, price: float, volume: float, taken: float, spread: float, rates: Sequence[float]
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        return rates[0] * abs(price) if quantity > 0.0 else 0.0


@component
class HalfSpread:
    """Half the bid-ask spread: the row's own where it is known, else an estimate.

    ``spread / 2``, or ``bps / 10,000 * |price| / 2`` where the row does not say. A spread of zero means that
    the price is already a bid or an ask, and costs nothing more. A crossed quote (negative spread) counts as
    zero: nobody is paid to trade.
    """

    bps: float = param(
        help="The whole spread to assume where the data has none, in hundredths of a percent of the price.",
        unit="basis points",
        ge=0,
    )

    @property
    def rates(self) -> tuple[float, ...]:
        """The assumed whole spread as a fraction of the price, alone."""
        return (self.bps / 10_000.0,)

    @staticmethod
    def slippage(
        quantity: float, price: float, volume: float, taken: float, spread: float, rates: Sequence[float]
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        if quantity <= 0.0:
            return 0.0
        if math.isnan(spread):
            spread = rates[0] * abs(price)
        return max(spread, 0.0) * 0.5


@component
class NoSlippage:
    """Fills at the price that matching found, without a concession."""

    @property
    def rates(self) -> tuple[float, ...]:
        """Empty: there is nothing to set."""
        return ()

    @staticmethod
    def slippage(
        quantity: float, price: float, volume: float, taken: float, spread: float, rates: Sequence[float]
    ) -> float:
        """Zero."""
        return 0.0
