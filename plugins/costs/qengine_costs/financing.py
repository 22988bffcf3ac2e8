"""Financing models by their settings: what moves cash besides fills. Their work in a run is done elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qengine_core.plugin import component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["DayCount", "Interest"]

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
