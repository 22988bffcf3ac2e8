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
    fill_timing: Literal["next-open", "next-close", "same-close", "at-once"] = param(
        default="next-open",
        help="When orders fill: from the next bar's open on, only at its close, at the close an order was sent on, or, "
        "at market, at once at the last known price while the market is open.",
    )
    intrabar_path: Literal[
        "worst-case", "open-high-low-close", "open-low-high-close", "nearest-extreme-first", "reject-ambiguous"
    ] = param(
        default="worst-case",
        help="How prices move inside a bar where that decides; 'reject-ambiguous' cancels the orders it would decide.",
    )
    limit_touch: Literal["touch", "penetrate"] = param(
        default="touch", help="Whether a limit fills when it is touched, or only when prices go beyond."
    )
    stop_limit: Literal["by-path", "by-close"] = param(
        default="by-path",
        help="How a stop-limit fills in a bar: by the path inside it, or where the close is within the limit, at the "
        "worst price within it.",
    )
    trail_mark: Literal["extreme", "close"] = param(
        default="extreme", help="What moves the mark of a trailing stop: the bar's best price or its close."
    )
    open_cutoff: float = param(
        default=0.0,
        help="How long before a session opens an order at its open must have arrived.",
        unit="minutes",
        ge=0,
    )
    close_cutoff: float = param(
        default=10.0,
        help="How long before a session closes an order at its close must have arrived.",
        unit="minutes",
        ge=0,
    )
    entry_latency: float = param(
        default=0.0, help="How long an order, or its cancellation, takes to arrive.", unit="milliseconds", ge=0
    )
    feed_latency: float = param(
        default=0.0,
        help="How much later than the market the strategy sees a row; its orders arrive so much later, too.",
        unit="milliseconds",
        ge=0,
    )
    response_latency: float = param(
        default=0.0, help="How long fills and order states take to reach the strategy.", unit="milliseconds", ge=0
    )

    def build(self, run: Run) -> Any:
        from qengine_broker_sim.broker import AtOnceBroker, MatchingBroker

        return (AtOnceBroker if self.fill_timing == "at-once" else MatchingBroker)(self, run)
