"""Commission models of every broker's kind: a list of charges each. It knows no broker by name."""

from __future__ import annotations

from typing import ClassVar, Literal

from qengine_core.plugin import ConfigError, component, param
from qengine_costs.charge import Charge, Itemised, Measure

__all__ = ["MakerTaker", "NoCommission", "PerContract", "PerShare", "PerTrade", "Percent", "Schedule", "Tiered"]


@component
class PerShare(Itemised):
    """A charge per share or contract, with a minimum and up to two maximums per order.

    ``min(max(rate * quantity, minimum), maximum, maximum_fraction * |price| * quantity * multiplier)``

    Where a maximum lies below the minimum, the maximum is what is charged: a one-share order of a cheap
    stock does not cost more than it is worth. (Interactive Brokers words its schedules so; Zipline's
    PerShare is the same without maximums.) With ``spares_minimum`` the minimum stands, as in LEAN.
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
    spares_minimum: bool = param(
        default=False, help="Whether an order that pays the minimum pays it even where a maximum lies below."
    )

    @property
    def charges(self) -> tuple[Charge, ...]:
        """One, per unit."""
        return (
            Charge(
                rate=self.rate,
                minimum=self.minimum,
                maximum=self.maximum,
                maximum_fraction=self.maximum_fraction,
                spares_minimum=self.spares_minimum,
            ),
        )


@component
class PerContract(Itemised):
    """A charge per contract of a future or option: the broker's, within its bounds, and the fees passed on.

    ``min(max(rate * quantity, minimum), maximum) + (exchange + regulatory) * quantity``
    """

    rate: float = param(help="The broker's charge per contract.", unit="currency per contract", ge=0)
    minimum: float = param(default=0.0, help="Least charge of the broker per order.", unit="currency", ge=0)
    maximum: float | None = param(
        default=None, help="Greatest charge of the broker per order; none: no such limit.", unit="currency", ge=0
    )
    exchange: float = param(default=0.0, help="Exchange and clearing fees.", unit="currency per contract", ge=0)
    regulatory: float = param(default=0.0, help="Regulatory fees.", unit="currency per contract", ge=0)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The broker's, the exchange's, the regulator's."""
        return (
            Charge(rate=self.rate, minimum=self.minimum, maximum=self.maximum),
            Charge(rate=self.exchange),
            Charge(rate=self.regulatory),
        )


@component
class PerTrade(Itemised):
    """A fixed charge per order, whatever its size (Zipline's PerTrade): ``amount``, once it has filled at all."""

    amount: float = param(help="Charge per order.", unit="currency", ge=0)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """One, fixed."""
        return (Charge(fixed=self.amount),)


@component
class Percent(Itemised):
    """A share of what is traded, given as ``rate`` or in ``bps``, on top of a fixed charge, within bounds.

    ``min(max(fixed + rate * |price| * quantity * multiplier, minimum), maximum)``

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
    maximum: float | None = param(
        default=None, help="Greatest charge per order; none: no such limit.", unit="currency", ge=0
    )

    def __attrs_post_init__(self) -> None:
        if (self.rate is None) == (self.bps is None):
            raise ConfigError(
                f"percent takes either rate (a fraction of the notional) or bps, not {self._given()}: "
                "rate = 0.001 and bps = 10 are the same charge."
            )
        super().__attrs_post_init__()

    def _given(self) -> str:
        return "neither" if self.rate is None else "both"

    @property
    def charges(self) -> tuple[Charge, ...]:
        """One, per notional."""
        rate = self.rate if self.rate is not None else (self.bps or 0.0) / 10_000.0
        return (Charge(per="notional", rate=rate, fixed=self.fixed, minimum=self.minimum, maximum=self.maximum),)


@component
class Tiered(Itemised):
    """A charge whose rate changes with the order's size or with what the month has seen, within bounds.

    ``tiers`` lists pairs ``[from, rate]``, the first from 0 and ascending: with ``[[0, 0.01], [1000, 0.005]]``
    the first 1,000 shares cost 0.01 each and every further one 0.005. Each rate applies to its own slice, as
    with income tax, so that a larger order never costs less than a smaller one. By the month, the slices
    begin where the account's orders of this calendar month (UTC) ended; with ``marginal = false``, as crypto
    exchanges do it, the whole order pays the rate of the tier in which it begins.

    The month's notional is in the account's currency, the order's own in the instrument's.
    """

    tiers: tuple[tuple[float, float], ...] = param(
        help="Pairs of where a tier begins, and its rate.", unit="as by says, as per says"
    )
    per: Literal["unit", "notional"] = param(
        default="unit", help="What the rates are of: a share or contract, or the notional (a fraction of it)."
    )
    by: Measure = param(default="order-quantity", help="What the tiers measure.")
    marginal: bool = param(
        default=True, help="Each slice pays its own tier; else, the whole order that of the month so far."
    )
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

    def __attrs_post_init__(self) -> None:
        for start, rate in self.tiers:
            if not rate >= 0:
                raise ConfigError(f"tiers: the rate from {start:g} must be >= 0, not {rate!r}; schedule knows rebates.")
        if not self.tiers:
            raise ConfigError("tiers must ascend from 0, not []: as in [[0, 0.01], [1000, 0.005]].")
        super().__attrs_post_init__()

    @property
    def charges(self) -> tuple[Charge, ...]:
        """One, in tiers."""
        return (
            Charge(
                per=self.per,
                tiers=self.tiers,
                by=self.by,
                marginal=self.marginal,
                minimum=self.minimum,
                maximum=self.maximum,
                maximum_fraction=self.maximum_fraction,
            ),
        )


@component
class MakerTaker(Itemised):
    """One rate for what adds liquidity (fills of resting limit orders), another for what takes it.

    A negative rate is a rebate: the account is paid. An order that does both pays each rate on its part.
    """

    maker: float = param(help="Rate for adding liquidity; negative for a rebate.", unit="as per says")
    taker: float = param(help="Rate for taking liquidity; negative for a rebate.", unit="as per says")
    per: Literal["unit", "notional"] = param(
        default="notional", help="What the rates are of: a share or contract, or the notional (a fraction of it)."
    )

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The maker's and the taker's."""
        return (
            Charge(per=self.per, rate=self.maker, liquidity="maker"),
            Charge(per=self.per, rate=self.taker, liquidity="taker"),
        )


@component
class Schedule(Itemised):
    """Any number of charges, added up: a broker's or an exchange's price list, item by item.

    Each of ``charges`` is a table of

    - ``per`` (``unit``, ``notional``, or ``charges``: the sum of those before it) and ``rate``, or ``tiers``, whose
      ``by`` is ``order-quantity``, ``order-notional``, ``month-quantity`` or ``month-notional``, with ``marginal``;
    - ``fixed``, ``minimum``, ``maximum``, ``maximum_fraction`` (of the notional), all per order and per charge;
    - ``side`` (``both``, ``buy``, ``sell``) and ``liquidity`` (``both``, ``maker``, ``taker``).

    What is left out is off. ``min(max(fixed + rate * base, minimum), maximum, maximum_fraction * notional)`` is a
    charge; a negative rate is a rebate.
    """

    charges: tuple[Charge, ...] = param(help="The charges, as tables; see above.")


@component
class NoCommission(Itemised):
    """No commission at all."""

    is_nothing: ClassVar[bool] = True

    @property
    def charges(self) -> tuple[Charge, ...]:
        """None."""
        return ()
