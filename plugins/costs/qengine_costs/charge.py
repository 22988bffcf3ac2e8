"""A charge, and the one function that adds charges up; it knows no broker, no exchange and no regulator.

Every commission model of this plugin is a list of charges, packed into ``rates`` for one function that Python
and compiled code share. The function is written in the subset of Python that numba compiles: scalars in, a
scalar out, ``rates`` indexed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

from qengine_core.plugin import ConfigError, component, param

__all__ = ["Charge", "Itemised", "Measure"]

Measure = Literal["order-quantity", "order-notional", "month-quantity", "month-notional"]

# The places of a packed charge. Pairs of a tier's start and rate follow, the last tier first.
_PER, _BY_NOTIONAL, _BY_MONTH, _MARGINAL, _FIXED, _MINIMUM, _MAXIMUM, _FRACTION, _SIDE, _LIQUIDITY = range(10)
_SPARES, _TIERS, _FIRST = range(10, 13)
_UNIT, _NOTIONAL, _CHARGES = 0.0, 1.0, 2.0
_BOTH, _MAKER, _TAKER = 0.0, 1.0, 2.0

_PER_CODES = {"unit": _UNIT, "notional": _NOTIONAL, "charges": _CHARGES}
_SIDE_CODES = {"both": 0.0, "buy": 1.0, "sell": -1.0}
_LIQUIDITY_CODES = {"both": _BOTH, "maker": _MAKER, "taker": _TAKER}


class Itemised:
    """A commission model that adds up charges. A subclass is a component, and says which in ``charges``."""

    __slots__ = ()

    def __attrs_post_init__(self) -> None:
        _ = self.charges  # refuses what a charge refuses, now rather than when the run starts

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What the model charges, in order: a charge per ``charges`` is a share of those before it."""
        raise NotImplementedError(f"{type(self).__name__} must say what it charges.")

    @property
    def rates(self) -> tuple[float, ...]:
        """The charges, packed one after the other."""
        return tuple(value for charge in self.charges for value in charge.packed)

    @property
    def rebate(self) -> bool:
        """Whether a charge may be negative."""
        return any(rate < 0 for charge in self.charges for _, rate in charge.steps)

    @property
    def one_sided(self) -> bool:
        """Whether buyers and sellers pay differently."""
        return any(charge.side != "both" for charge in self.charges)

    @staticmethod
    def commission(
        side: float,
        quantity: float,
        price: float,
        multiplier: float,
        maker: float,
        month_quantity: float,
        month_notional: float,
        rates: Sequence[float],
    ) -> float:
        """The sum of the charges on an order's execution, in the instrument's currency."""
        if quantity <= 0.0:
            return 0.0
        unit = abs(price) * multiplier
        total = 0.0
        at = 0
        while at < len(rates):
            first, end = at + _FIRST, at + _FIRST + 2 * int(rates[at + _TIERS])
            weight = unit if rates[at + _PER] == _NOTIONAL else 1.0
            base = total if rates[at + _PER] == _CHARGES else weight * quantity
            measure, before = 1.0, 0.0  # of the tiers: what a unit counts, and how far the month has come
            if rates[at + _BY_NOTIONAL] > 0.0:
                measure = unit
            if rates[at + _BY_MONTH] > 0.0:
                before = month_notional if rates[at + _BY_NOTIONAL] > 0.0 else month_quantity
            # From measures of the tiers to those of the base; without one, the whole order is in one tier.
            scale = weight / measure if rates[at + _MARGINAL] > 0.0 and measure > 0.0 else 0.0
            charge, stop = 0.0, base
            for tier in range(first, end, 2):
                if scale > 0.0:
                    start = max((rates[tier] - before) * scale, 0.0)
                else:
                    start = 0.0 if rates[tier] <= before else math.inf
                if start < stop:
                    charge += rates[tier + 1] * (stop - start)
                    stop = start
            part = 1.0
            if rates[at + _LIQUIDITY] != _BOTH:
                part = maker if rates[at + _LIQUIDITY] == _MAKER else 1.0 - maker
            if part > 0.0 and rates[at + _SIDE] * side >= 0.0:
                charge = rates[at + _FIXED] + part * charge
                is_minimum = charge < rates[at + _MINIMUM]
                charge = max(charge, rates[at + _MINIMUM])
                if not (is_minimum and rates[at + _SPARES] > 0.0):
                    charge = min(charge, rates[at + _MAXIMUM])
                    if rates[at + _FRACTION] < math.inf:  # a price of zero would make 0 * infinity, not a number
                        charge = min(charge, rates[at + _FRACTION] * (unit * quantity))
                total += charge
            at = end
        return total


@component
class Charge:
    """One item of a commission schedule, bounded per order.

    ``min(max(fixed + rate * base, minimum), maximum, maximum_fraction * notional)``, where ``spares_minimum``
    keeps the maximums from cutting the minimum.

    ``base`` is the order's quantity, its notional, or the charges before this one, as ``per`` says. Where ``tiers``
    are given they take the place of ``rate``, and each slice of the order pays the rate of its tier, as with
    income tax; ``by`` says what the tiers measure. A negative rate is a rebate.
    """

    per: Literal["unit", "notional", "charges"] = param(
        default="unit", help="What the rate is of: a share or contract, the notional, or the charges before this one."
    )
    rate: float = param(default=0.0, help="Charge per unit of that; negative for a rebate.", unit="as per says")
    tiers: tuple[tuple[float, float], ...] = param(
        default=(),
        help="In the place of rate: pairs of where a tier begins and its rate, the first from 0 and ascending.",
        unit="as by says, as per says",
    )
    by: Measure = param(
        default="order-quantity",
        help="What tiers measure. A month's is what the account has traded in this calendar month (UTC).",
    )
    marginal: bool = param(
        default=True, help="Each slice pays its own tier; else, the whole order that of the month so far."
    )
    fixed: float = param(default=0.0, help="Charge per order, on top.", unit="currency", ge=0)
    minimum: float = param(default=0.0, help="Least charge per order; 0: none.", unit="currency", ge=0)
    maximum: float | None = param(
        default=None, help="Greatest charge per order; none: no such limit.", unit="currency", ge=0
    )
    maximum_fraction: float | None = param(
        default=None, help="Greatest charge as a fraction of the notional; none: no such limit.", unit="fraction", ge=0
    )
    spares_minimum: bool = param(
        default=False, help="Whether an order that pays the minimum pays it even where a maximum lies below."
    )
    side: Literal["both", "buy", "sell"] = param(default="both", help="Whose orders are charged.")
    liquidity: Literal["both", "maker", "taker"] = param(
        default="both", help="Which part of an order: what added liquidity (maker), or what took it (taker)."
    )

    def __attrs_post_init__(self) -> None:
        _check_tiers(self.tiers)
        if self.tiers and (self.rate or self.per == "charges"):
            other = "rate" if self.rate else 'per = "charges"'
            raise ConfigError(f"a charge takes either tiers or {other}: leave one of them out.")
        if not self.marginal and not self.by.startswith("month"):
            raise ConfigError(f'marginal = false needs tiers by "month-...", not by {self.by!r}: orders have no past.')
        for name, value in (("rate", self.rate), ("fixed", self.fixed), ("minimum", self.minimum)):
            if not math.isfinite(value):
                raise ConfigError(f"{name} must be finite, not {value!r}.")
        if self.minimum > 0 and any(rate < 0 for _, rate in self.steps):
            raise ConfigError("a charge with a negative rate takes no minimum: it could never be paid out.")

    @property
    def steps(self) -> tuple[tuple[float, float], ...]:
        """The tiers; a single rate is a tier from 0."""
        return self.tiers or ((0.0, self.rate),)

    @property
    def packed(self) -> tuple[float, ...]:
        """The charge as plain floats: what is not limited is infinite."""
        head = (
            _PER_CODES[self.per],
            float(self.by.endswith("notional")),
            float(self.by.startswith("month")),
            float(self.marginal),
            float(self.fixed),
            float(self.minimum) if self.minimum > 0 else -math.inf,
            math.inf if self.maximum is None else float(self.maximum),
            math.inf if self.maximum_fraction is None else float(self.maximum_fraction),
            _SIDE_CODES[self.side],
            _LIQUIDITY_CODES[self.liquidity],
            float(self.spares_minimum),
            float(len(self.steps)),
        )
        return head + tuple(float(value) for step in reversed(self.steps) for value in step)


def _check_tiers(tiers: tuple[tuple[float, float], ...]) -> None:
    if not tiers:
        return
    starts = [start for start, _ in tiers]
    ascending = all(lower < upper for lower, upper in itertools.pairwise(starts))
    if starts[0] != 0 or not ascending or not math.isfinite(starts[-1]):
        raise ConfigError(f"tiers must ascend from 0, not {starts}: as in [[0, 0.01], [1000, 0.005]].")
    for start, rate in tiers:
        if not math.isfinite(rate):
            raise ConfigError(f"tiers: the rate from {start:g} must be finite, not {rate!r}.")
