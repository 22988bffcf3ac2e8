"""Slippage models: the price concession of a fill. It knows no order and no cap on participation.

Every ``slippage`` below returns a concession per unit, >= 0 and in price units; the broker adds it to what a
buyer pays and takes it from what a seller gets, and decides how much of a row's volume an order may take.
They are written in the subset of Python that numba compiles: scalars in, a scalar out, ``rates`` indexed.
"""

# ruff: noqa: ARG004 - a model takes every argument of its role, whether or not it depends on it
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from qengine_core.plugin import ConfigError, component, param

__all__ = ["FixedBps", "HalfSpread", "NoSlippage", "Ticks", "VolatilityShare", "VolumeShare"]


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
        side: float,
        quantity: float,
        price: float,
        volume: float,
        taken: float,
        spread: float,
        volatility: float,
        tick: float,
        rates: Sequence[float],
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        if quantity <= 0.0:
            return 0.0
        total = taken + quantity
        share = total / volume if total < volume else 1.0
        return rates[0] * (share * share) * abs(price)


@component
class VolatilityShare:
    """Impact that grows with volatility and with a power of the share of volume taken: the square-root law.

    ``coefficient * volatility * |price| * share ** exponent`` with ``share = min((taken + quantity) / volume, 1)``

    With the exponent 1/2 this is the law I = Y * sigma * sqrt(Q / V) that N. Torre and M. Ferrari (BARRA, Market
    Impact Model Handbook, 1997) used and B. Toth et al. ("Anomalous price impact and the critical nature of
    liquidity in financial markets", Physical Review X 1, 021006, 2011) measured, with Y of the order of 1.
    R. Almgren et al. ("Direct estimation of equity market impact", Risk 18(7), 2005) found 3/5. Volatility and
    volume are of one row of data: with the exponent 1/2 the length of the row cancels out.

    ``taken`` is what earlier orders took of the same row, so splitting an order does not make it cheaper.
    Where volatility is unknown, as in a run's first rows, ``volatility`` takes its place. Where volume is
    unknown there is no impact; where it is zero, the order is the whole volume.
    """

    coefficient: float = param(default=1.0, help="Y: impact of taking the whole volume, in volatilities.", ge=0)
    exponent: float = param(default=0.5, help="Power of the share of volume; 0.5 is the square-root law.", gt=0)
    volatility: float = param(
        default=0.0,
        help="Volatility to assume where it is unknown: the standard deviation of returns per row.",
        unit="fraction",
        ge=0,
    )

    @property
    def rates(self) -> tuple[float, ...]:
        """``(coefficient, exponent, volatility)``."""
        return (float(self.coefficient), float(self.exponent), float(self.volatility))

    @staticmethod
    def slippage(
        side: float,
        quantity: float,
        price: float,
        volume: float,
        taken: float,
        spread: float,
        volatility: float,
        tick: float,
        rates: Sequence[float],
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        if quantity <= 0.0:
            return 0.0
        if math.isnan(volatility):
            volatility = rates[2]
        total = taken + quantity
        share = total / volume if total < volume else 1.0
        return rates[0] * volatility * abs(price) * math.pow(share, rates[1])


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
        side: float,
        quantity: float,
        price: float,
        volume: float,
        taken: float,
        spread: float,
        volatility: float,
        tick: float,
        rates: Sequence[float],
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        return rates[0] * abs(price) if quantity > 0.0 else 0.0


@component
class Ticks:
    """The same number of ticks for every fill: ``ticks`` times the instrument's tick size.

    Of an instrument that names no tick size, ``tick_size`` is taken; where that is not given either, there is
    no slippage.
    """

    ticks: float = param(default=1.0, help="Concession in ticks.", unit="ticks", ge=0)
    tick_size: float = param(
        default=0.0, help="Tick size of instruments that name none; 0: no slippage for them.", unit="price", ge=0
    )

    @property
    def rates(self) -> tuple[float, ...]:
        """``(ticks, tick_size)``."""
        return (float(self.ticks), float(self.tick_size))

    @staticmethod
    def slippage(
        side: float,
        quantity: float,
        price: float,
        volume: float,
        taken: float,
        spread: float,
        volatility: float,
        tick: float,
        rates: Sequence[float],
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        if quantity <= 0.0:
            return 0.0
        return rates[0] * (tick if tick > 0.0 else rates[1])


@component
class HalfSpread:
    """Half the bid-ask spread: the row's own where it is known, else an estimate in ``bps`` or in ``ticks``.

    ``spread / 2``, where the row does not say with a spread of ``bps / 10,000 * |price|`` or ``ticks`` times
    the instrument's tick size (none, where it has none). A spread of zero means that the price is already a
    bid or an ask, and costs nothing more. A crossed quote (negative spread) counts as zero: nobody is paid to trade.
    """

    bps: float | None = param(
        default=None,
        help="The whole spread to assume where data has none, in hundredths of a percent of the price; or give ticks.",
        unit="basis points",
        ge=0,
    )
    ticks: float | None = param(
        default=None,
        help="The whole spread to assume where data has none, in ticks of the instrument; or give bps.",
        unit="ticks",
        ge=0,
    )

    def __attrs_post_init__(self) -> None:
        if (self.bps is None) == (self.ticks is None):
            given = "neither" if self.bps is None else "both"
            raise ConfigError(f"half-spread takes either bps or ticks, not {given}: the spread where data has none.")

    @property
    def rates(self) -> tuple[float, ...]:
        """The assumed whole spread: ``(fraction of the price, ticks)``."""
        return ((self.bps or 0.0) / 10_000.0, float(self.ticks or 0.0))

    @staticmethod
    def slippage(
        side: float,
        quantity: float,
        price: float,
        volume: float,
        taken: float,
        spread: float,
        volatility: float,
        tick: float,
        rates: Sequence[float],
    ) -> float:
        """Concession per unit (>= 0), in price units, for ``quantity`` > 0 at ``price``."""
        if quantity <= 0.0:
            return 0.0
        if math.isnan(spread):
            spread = rates[0] * abs(price) + rates[1] * tick
        return max(spread, 0.0) * 0.5


@component
class NoSlippage:
    """Fills at the price that matching found, without a concession."""

    is_nothing: ClassVar[bool] = True

    @property
    def rates(self) -> tuple[float, ...]:
        """Empty: there is nothing to set."""
        return ()

    @staticmethod
    def slippage(
        side: float,
        quantity: float,
        price: float,
        volume: float,
        taken: float,
        spread: float,
        volatility: float,
        tick: float,
        rates: Sequence[float],
    ) -> float:
        """Zero."""
        return 0.0
