"""The simulated broker's settings; light to import, because matching itself is built per run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qengine_core.plugin import component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["SimulatedBroker"]


@component
class SimulatedBroker:
    """Fills orders from market data: at the earliest on the next real row of the instrument.

    A market order takes the next open (or print, or the opposite quote); a limit order fills when the
    range touches it, at the open if that is better. Every instrument is matched on the finest data there
    is of it: quotes, else trades, else bars.
    """

    buying_power: Literal["cash", "off"] = param(
        default="cash",
        help="'cash' refuses what the account cannot pay for (open orders reserve); 'off' checks nothing.",
    )
    short_selling: bool = param(
        default=False, help="Whether positions may go short; shorts are then fully collateralised under 'cash'."
    )
    shortfall: Literal["reject", "reduce"] = param(
        default="reject",
        help="What a fill does that the cash does not cover: cancel the order, or fill what it covers.",
    )
    participation_limit: float | None = param(
        default=None,
        help="Largest share of a row's volume that all orders of an instrument may take together.",
        gt=0,
        le=1,
    )
    fill_on_zero_volume: bool = param(default=False, help="Whether a row without volume fills orders.")
    clip_to_range: bool = param(default=True, help="Whether slippage is kept within the bar's high and low.")

    def build(self, run: Run) -> Any:
        from qengine_broker_sim.broker import MatchingBroker

        return MatchingBroker(self, run)
