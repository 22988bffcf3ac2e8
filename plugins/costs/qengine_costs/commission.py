"""Commission models: what a broker charges for an order so far. It knows no order, no account and no file.

Every ``commission`` below is called with the order's *total* filled quantity and its average price, so a
minimum or a fixed fee counts once per order however many fills it takes (the broker books the difference).
They are written in the subset of Python that numba compiles: scalars in, a scalar out, ``rates`` indexed.
"""

# ruff: noqa: ARG004 - a model takes every argument of its role, whether or not it charges by it
from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from qengine_core.plugin import ConfigError, component, param

__all__ = ["NoCommission", "PerShare", "PerTrade", "Percent", "Tiered"]


@component
class PerShare:
    """A charge per share or contract, with a minimum and up to two maximums per order.

    ``min(max(rate * quantity, minimum), maximum, maximum_fraction * |price| * quantity * multiplier)``

    Where a maximum lies below the minimum, the maximum is what is charged: a one-share order of a cheap
    stock does not cost more than it is worth. (Interactive Brokers words its fixed schedule so: 0.005 per
    share, minimum 1, maximum 1 % of trade value; Zipline's PerShare is the same without maximums.)
    """

    rate: float = param(help="Charge per share or contract.", unit="currency per unit", ge=0)
    minimum: float = param(default=0.0, help="Least charge per order.", unit="currency", ge=0)
    maximum: float | None = param(
        default=None, help="Greatest charge per order; none: no such limit.", unit="currency", ge=0
    )
    maximum_fraction: float | None = param(
        default=None,
        help="Greatest charge as a fraction of the order's notional; none: no such limit.",
        unit="fraction",
        ge=0,
    )

    @property
    def rates(self) -> tuple[float, ...]:
        """``(rate, minimum, maximum, maximum_fraction)``, infinite where there is no maximum."""
        return (float(self.rate), float(self.minimum), _or_infinite(self.maximum), _or_infinite(self.maximum_fraction))

    @staticmethod
    def commission(quantity: float, price: float, multiplier: float, rates: Sequence[float]) -> float:
        """Commission in the instrument's currency for ``quantity`` > 0 at the average ``price``."""
        if quantity <= 0.0:
            return 0.0
        charge = min(max(rates[0] * quantity, rates[1]), rates[2])
        notional = abs(price) * quantity * multiplier
        # A price of zero would make 0 * infinity, which is not a number.
        return min(charge, rates[3] * notional) if rates[3] < math.inf else charge


@component
class PerTrade:
    """A fixed charge per order, whatever its size (Zipline's PerTrade): ``amount``, once it has filled at all."""

    amount: float = param(help="Charge per order.", unit="currency", ge=0)

    @property
    def rates(self) -> tuple[float, ...]:
        """``(amount,)``."""
        return (float(self.amount),)

    @staticmethod
    def commission(quantity: float, price: float, multiplier: float, rates: Sequence[float]) -> float:
        """Commission in the instrument's currency for ``quantity`` > 0 at the average ``price``."""
        return rates[0] if quantity > 0.0 else 0.0


@component
class Percent:
    """A share of what is traded, given as ``rate`` or in ``bps``, on top of a fixed charge, with a minimum.

    ``max(fixed + rate * |price| * quantity * multiplier, minimum)``

    (Zipline's PerDollar is ``rate`` alone; backtesting.py's ``commission=(fixed, rate)`` is the first two.)
    """

    rate: float | None = param(
        default=None, help="Charge as a fraction of the notional; or give bps.", unit="fraction", ge=0
    )
    bps: float | None = param(
        default=None, help="Charge in hundredths of a percent; or give rate.", unit="basis points", ge=0
    )
    fixed: float = param(default=0.0, help="Charge per order, on top.", unit="currency", ge=0)
    minimum: float = param(default=0.0, help="Least charge per order.", unit="currency", ge=0)

    def __attrs_post_init__(self) -> None:
        if (self.rate is None) == (self.bps is None):
            raise ConfigError(
                f"percent takes either rate (a fraction of the notional) or bps, not {self._given()}: "
                "rate = 0.001 and bps = 10 are the same charge."
            )

    def _given(self) -> str:
        return "neither" if self.rate is None else "both"

    @property
    def rates(self) -> tuple[float, ...]:
        """``(rate, fixed, minimum)``, the rate as a fraction."""
        rate = self.rate if self.rate is not None else (self.bps or 0.0) / 10_000.0
        return (float(rate), float(self.fixed), float(self.minimum))

    @staticmethod
    def commission(quantity: float, price: float, multiplier: float, rates: Sequence[float]) -> float:
        """Commission in the instrument's currency for ``quantity`` > 0 at the average ``price``."""
        if quantity <= 0.0:
            return 0.0
        return max(rates[1] + rates[0] * (abs(price) * quantity * multiplier), rates[2])


@component
class Tiered:
    """A charge per share or contract that changes with the order's size, with a minimum per order.

    ``tiers`` lists pairs ``[from_quantity, rate]``, the first from 0 and ascending: with ``[[0, 0.01], [1000,
    0.005]]`` the first 1,000 shares of an order cost 0.01 each and every further one 0.005. Each rate
    applies to its own slice, as with income tax, so that a larger order never costs less than a smaller one.
    """

    tiers: tuple[tuple[float, float], ...] = param(
        help="Pairs of the quantity from which a rate applies, and the rate per unit.", unit="units, currency per unit"
    )
    minimum: float = param(default=0.0, help="Least charge per order.", unit="currency", ge=0)

    def __attrs_post_init__(self) -> None:
        starts = [start for start, _ in self.tiers]
        ascending = all(lower < upper for lower, upper in itertools.pairwise(starts))
        if not starts or starts[0] != 0 or not ascending or not math.isfinite(starts[-1]):
            raise ConfigError(f"tiers must ascend from quantity 0, not {starts}: as in [[0, 0.01], [1000, 0.005]].")
        for start, rate in self.tiers:
            if not 0 <= rate < math.inf:
                raise ConfigError(f"tiers: the rate from quantity {start:g} must be >= 0 and finite, not {rate!r}.")

    @property
    def rates(self) -> tuple[float, ...]:
        """``(minimum, from_quantity, rate, from_quantity, rate, ...)``."""
        return (float(self.minimum), *(float(value) for tier in self.tiers for value in tier))

    @staticmethod
    def commission(quantity: float, price: float, multiplier: float, rates: Sequence[float]) -> float:
        """Commission in the instrument's currency for ``quantity`` > 0 at the average ``price``."""
        if quantity <= 0.0:
            return 0.0
        charge = 0.0
        tiers = (len(rates) - 1) // 2
        for tier in range(tiers):
            start = rates[1 + 2 * tier]
            stop = rates[3 + 2 * tier] if tier + 1 < tiers else quantity
            if quantity > start:
                charge += rates[2 + 2 * tier] * (min(quantity, stop) - start)
        return max(charge, rates[0])


@component
class NoCommission:
    """No commission at all."""

    @property
    def rates(self) -> tuple[float, ...]:
        """Empty: there is nothing to set."""
        return ()

    @staticmethod
    def commission(quantity: float, price: float, multiplier: float, rates: Sequence[float]) -> float:
        """Zero."""
        return 0.0


def _or_infinite(limit: float | None) -> float:
    return math.inf if limit is None else float(limit)
