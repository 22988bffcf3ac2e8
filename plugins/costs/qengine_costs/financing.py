"""Financing models by their settings: what moves cash and positions besides orders. Others do the work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qengine_core.plugin import ConfigError, component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["BorrowFee", "DayCount", "Delistings", "Dividends", "Funding", "Interest", "Splits"]

DayCount = Literal["act/360", "act/365"]


@component
class Interest:
    """Interest on cash, accrued and booked by the day: rate x balance / 360 or 365 for each midnight, UTC.

    It is booked one nanosecond after midnight, so that a day's bar stamped with the midnight after it counts to
    its day. What short sales have brought in is held as collateral and earns nothing, unless ``short_proceeds``
    says so: the market value of the shorts is taken off the balance that earns.
    """

    credit: float = param(default=0.0, help="Annual rate that a positive balance earns.", unit="fraction")
    debit: float = param(default=0.0, help="Annual rate that a negative balance pays.", unit="fraction")
    day_count: DayCount = param(default="act/360", help="How many days a year's rate is spread over.")
    short_proceeds: bool = param(default=False, help="Whether the proceeds of short sales earn interest, too.")
    currency: str | None = param(
        default=None, help="The one currency that these rates are for; without it, every one of the ledger's."
    )

    def build(self, run: Run) -> Any:
        from qengine_costs.accruing import InterestAccrual

        return InterestAccrual(self, run)


@component
class BorrowFee:
    """What lending the stock of short positions costs: rate x market value / 360 or 365 for each midnight, UTC.

    Booked as interest is, one nanosecond after midnight, at the last known price.
    """

    rate: float = param(default=0.0, help="Annual rate of instruments for which nothing else is said.", unit="fraction")
    rates: Mapping[str, float] = param(factory=dict, help="Annual rates of single instruments, by name.")
    path: Path | None = param(
        default=None,
        help="Parquet or CSV with the columns date, instrument and rate (annual, a fraction): a rate holds from its "
        "date on, and takes the place of the others.",
    )
    day_count: DayCount = param(default="act/360", help="How many days a year's rate is spread over.")

    def build(self, run: Run) -> Any:
        from qengine_costs.accruing import BorrowAccrual

        return BorrowAccrual(self, run)


@component
class Dividends:
    """Cash dividends: who holds at the open of the ex-date earns, and is paid on the pay date; a short pays.

    Both happen at the open of the day's session, or the first session after it, before any of its fills: at the
    very open for an instrument that is matched on prints or quotes, a nanosecond later for one matched on bars, since
    a bar stamped with that moment still belongs to the session before. Prices must be raw, or dividends count twice.
    Between the two dates what is owed is not part of the equity.
    """

    path: Path = param(
        help="Parquet or CSV with the columns instrument, ex_date, amount (per unit, in the instrument's currency) "
        "and, if known, pay_date: without it, a dividend is paid on its ex-date."
    )

    def build(self, run: Run) -> Any:
        from qengine_costs.dividends import DividendPayments

        return DividendPayments(self, run)


@component
class Splits:
    """Splits, which turn positions and open orders at the open of the ex-date, before any fill of its session.

    Quantities are multiplied by the ratio, prices divided by it, on their grids. Of a position what is no whole lot
    is paid for in cash (``cash-in-lieu``) at the last price. Prices must be raw, or splits count twice. It happens at
    the very open for an instrument that is matched on prints or quotes, a nanosecond later for one matched on bars.
    """

    path: Path = param(
        help="Parquet or CSV with the columns instrument, ex_date and ratio: new units for each old one, 7 for a "
        "7-for-1 split, 0.1 for ten old ones that become one."
    )

    def build(self, run: Run) -> Any:
        from qengine_costs.corporate import SplitEvents

        return SplitEvents(self, run)


@component
class Delistings:
    """Delistings and mergers for cash: at the close of the last session orders are cancelled and positions closed.

    They close at the last price, or at what the table says is paid, at no cost; from then on orders are rejected as
    ``delisted``. A bar that is stamped after the close of the last session comes too late to count.
    """

    ends_trading: ClassVar[bool] = True  # which not everybody can do with

    path: Path = param(
        help="Parquet or CSV with the columns instrument, date (of the last session) and, where it is not the last "
        "price, price: what is paid for a unit, in the instrument's currency."
    )

    def build(self, run: Run) -> Any:
        from qengine_costs.corporate import DelistingEvents

        return DelistingEvents(self, run)


@component
class Funding:
    """Funding of perpetual futures: at each time, longs pay rate x position value to shorts, or receive it if negative.

    The value is that of the last known price, and the payment booked a nanosecond after its time, so that a bar
    stamped with it has been traded.
    """

    rate: float | None = param(default=None, help="A fixed rate for each interval.", unit="fraction of the value")
    interval: float = param(default=8.0, help="How often a fixed rate is paid, from midnight, UTC.", unit="hours", gt=0)
    path: Path | None = param(
        default=None, help="Parquet or CSV with the columns ts (UTC), instrument and rate, in place of a fixed rate."
    )
    instruments: tuple[str, ...] | None = param(default=None, help="Only these instruments; without it, all.")

    def __attrs_post_init__(self) -> None:
        if (self.rate is None) == (self.path is None):
            raise ConfigError("funding takes either a fixed rate or the path of a table of rates.")

    def build(self, run: Run) -> Any:
        from qengine_costs.funding import FundingPayments

        return FundingPayments(self, run)
