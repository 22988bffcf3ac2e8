"""The simulated broker's settings; light to import, because matching itself is built per run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qengine_core.plugin import ConfigError, LatencyModel, component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["SimulatedBroker"]


@component
class SimulatedBroker:
    """Fills orders from market data: at the earliest on the next real row of the instrument.

    A market order takes the next open (or print, or the opposite quote); a limit order fills when the
    range touches it, at the open if that is better. Every instrument is matched on the finest data there
    is of it: quotes, else trades, else bars, of several intervals the shortest.
    """

    buying_power: Literal[
        "cash", "proceeds", "equity", "purchases", "purchases-locked", "reg-t", "percent-margin", "off"
    ] = param(
        default="cash",
        help="'cash' refuses what the account cannot pay for in full, shorts collateralised; under 'proceeds' those of "
        "a short are cash like any other, and opening a position must not bring cash below zero; 'equity' holds the "
        "value of all positions to equity times leverage; under 'purchases' whatever is bought, to cover a short as "
        "well, is paid from cash, and a sale need only cover its costs; 'purchases-locked' is the same, but locks what "
        "shorts have brought and as much again; 'off' checks nothing. Margin accounts: 'reg-t' asks equity "
        "of 50 % of what is opened, and of 25 % of longs and 30 % of shorts held; 'percent-margin' of the fractions "
        "below.",
    )
    initial_margin: float = param(
        default=0.5,
        help="Under 'percent-margin': the share of a position's value that equity must have to open it.",
        unit="fraction",
        gt=0,
        le=1,
    )
    maintenance_margin: float = param(
        default=0.25,
        help="Under 'percent-margin': the share of positions' value below which equity must not fall.",
        unit="fraction",
        ge=0,
        le=1,
    )
    liquidation: Literal["largest-first", "proportional", "all", "off"] = param(
        default="largest-first",
        help="What a margin account closes, at market, when equity falls below the maintenance margin: the largest "
        "positions as far as is needed, a share of each, all, or nothing.",
    )
    admission: Literal["reserve", "in-sequence", "at-fill"] = param(
        default="reserve",
        help="What an arriving order must pass: 'reserve' counts what open orders may cost; 'in-sequence' executes the "
        "orders of an instant one after the other, refused ones too, on a shadow of the account, each at the price it "
        "names or the last; 'at-fill' asks nothing before the fill.",
    )
    leverage: float = param(
        default=1.0,
        help="Under 'proceeds' a long position ties up its value divided by this; under 'equity' all positions do.",
        ge=1,
    )
    short_selling: bool = param(
        default=False, help="Whether positions may go short; shorts are then fully collateralised under 'cash'."
    )
    settlement_sessions: int = param(
        default=0,
        help="Under 'cash': what a sale has brought can be spent after the close of so many sessions, its own "
        "included; 0: at once. US stocks settle after 1 since 28 May 2024, after 2 before (17 CFR 240.15c6-1).",
        unit="sessions",
        ge=0,
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
    lot_size: float = param(
        default=0.0, help="Smallest step of the quantity of instruments that name none; 0 for none.", unit="units", ge=0
    )
    lot_tolerance: float = param(
        default=1e-9, help="What lies so near below a whole number of lots is taken for it.", unit="lots", ge=0, lt=1
    )
    tick_size: float = param(
        default=0.0,
        help="Smallest step of the limits and triggers of instruments that name none; 0 for none.",
        unit="price",
        ge=0,
    )
    tick_tolerance: float = param(
        default=1e-6,
        help="A price so near to a tick is taken for it, whatever side is safe.",
        unit="ticks",
        ge=0,
        lt=0.5,
    )
    participation: Literal["shared", "each-order"] = param(
        default="shared",
        help="Whether the orders of an instrument share what participation_limit allows on a row, or each may take it.",
    )
    fill_on_zero_volume: bool = param(default=False, help="Whether a row without volume fills orders.")
    clip_to_range: bool = param(default=True, help="Whether slippage is kept within the bar's high and low.")
    limit_bounds_slippage: bool = param(
        default=True, help="Whether slippage ends at an order's limit; else it may carry a fill beyond."
    )
    slippage_on_exits: bool = param(
        default=True, help="Whether exits (orders that wait for a parent to fill) pay slippage."
    )
    slippage_on: Literal["fill", "opening"] = param(
        default="fill",
        help="What pays slippage: every fill, or, like a spread, only what opens a trade (needs netting = 'trades'), "
        "whatever its limit and the bar's range.",
    )
    commission_unit: Literal["order", "part", "request"] = param(
        default="order",
        help="What a commission is worked out on: the whole of an order, or by itself each part of a fill that closes "
        "or opens a position, so that a minimum counts for each of them; or all that was asked for, at the first fill "
        "and whatever it fills.",
    )
    netting: Literal["position", "trades"] = param(
        default="position",
        help="'trades': each entry is a trade; orders of the other side close the oldest first, a fill for each, and "
        "an exit closes its own trade alone. Needs matching_order = 'in-turn'.",
    )
    matching_order: Literal["exits-first", "in-turn"] = param(
        default="exits-first",
        help="'exits-first' fills what reduces a position before what opens one, and leads orders that depend on one "
        "another along the path inside a bar; 'in-turn' tries every order alone against its whole row, in order of "
        "acceptance over all instruments.",
    )
    fill_timing: Literal["next-open", "next-close", "same-close", "at-once"] = param(
        default="next-open",
        help="When orders fill: from the next bar's open on, only at its close, at the close an order was sent on, or, "
        "at market, at once at the last known price while the market is open.",
    )
    close_order: Literal["as-sent", "by-instrument", "by-value"] = param(
        default="as-sent",
        help="Under 'same-close': each order fills as it is sent; or those of an instant when all have been sent, by "
        "instrument in order of the feed, or by signed value, the largest sale first.",
    )
    close_remainder: Literal["rests", "cancelled"] = param(
        default="rests",
        help="Under 'same-close': what becomes of a market order that its close has not filled, or not in full.",
    )
    intrabar_path: Literal[
        "worst-case",
        "open-high-low-close",
        "open-low-high-close",
        "nearest-extreme-first",
        "reject-ambiguous",
        "drill-down",
    ] = param(
        default="worst-case",
        help="How prices move inside a bar where that decides; 'reject-ambiguous' cancels the orders it would decide, "
        "'drill-down' asks finer data where there is some, and is 'worst-case' elsewhere.",
    )
    mid_bar: Literal["next-bar", "same-bar"] = param(
        default="next-bar",
        help="When an order may fill that arrives after a bar has opened, of bars that say when: from the next bar's "
        "open on, or on the bar under way.",
    )
    limit_touch: Literal["touch", "penetrate", "probability"] = param(
        default="touch", help="Whether a limit fills when it is touched, only when prices go beyond, or by chance."
    )
    touch_probability: float = param(
        default=0.5,
        help="How probable it is, under limit_touch='probability', that an instant that touches a limit fills it.",
        ge=0,
        le=1,
    )
    depth: Literal["top", "walk"] = param(
        default="top",
        help="Whether quotes fill all of an order at the best price, or level by level what each displays.",
    )
    depth_beyond: Literal["rest", "last-level"] = param(
        default="rest",
        help="Whether what the displayed book cannot fill waits, under depth='walk', or takes the last level, too.",
    )
    depth_memory: Literal["row", "level"] = param(
        default="row",
        help="How long, under depth='walk', what our orders took is gone: for the row, or until the level changes.",
    )
    queue_model: Literal["none", "risk-averse", "power", "log"] = param(
        default="none",
        help="How a resting limit moves up in the exchange's queue at its price; needs quotes and trades.",
    )
    queue_exponent: float = param(
        default=3.0, help="The n of f(x) = x**n under queue_model='power': how far behind most cancellations are.", gt=0
    )
    missing_rows: Literal["wait", "retry"] = param(
        default="wait",
        help="Whether an order waits for its instrument's next row, or, unless it is at market, is tried against the "
        "last one again at every instant at which another instrument has a row. Needs matching_order = 'in-turn'.",
    )
    limit_memory: bool = param(
        default=False,
        help="Whether a limit once reached stays reached, so that later rows fill what is left at any price.",
    )
    stop_limit: Literal["by-path", "by-close", "close-back", "at-trigger"] = param(
        default="by-path",
        help="How a stop-limit fills in a bar: 'by-path', as prices pass inside it (matched in turn: not on the row "
        "that sets it off inside); 'by-close', where the close is within the limit, at the worst price within it. "
        "Matched in turn, on the row that sets it off: 'close-back', at its trigger if the limit allows, else at the "
        "limit if the bar turned and closed within it; 'at-trigger', at its trigger if the limit lies beyond it and "
        "was reached, a gap notwithstanding.",
    )
    trigger_memory: bool = param(
        default=True,
        help="Whether what a partial fill leaves of a triggered order stays triggered (matched in turn).",
    )
    exits_act: Literal["as-filled", "when-complete"] = param(
        default="as-filled",
        help="When orders that wait for a parent act: in proportion to its fills and from then on, or in full from the "
        "first instant after it is complete; then a sibling steps back only for one that is complete, too.",
    )
    groups_end: Literal["by-fill", "together"] = param(
        default="by-fill",
        help="'together': an order that is cancelled, refused or expires takes its parent, children and group with it.",
    )
    distance_from: Literal["fill", "close"] = param(
        default="fill",
        help="What distances of exits are measured from: their entry's fill, or the close of the row that filled it.",
    )
    trail_start: Literal["fill", "sent", "entry-close"] = param(
        default="fill",
        help="Where the trail of an exit starts: its entry's fill, the last price when it was sent, or the close of "
        "the row that filled the entry.",
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
    day_orders: Literal["tried", "strict"] = param(
        default="tried",
        help="Whether a day order sent at the very close is for the next session; under 'strict' it is over when the "
        "session that it was sent in is, tried or not, while an order without a price rests on.",
    )
    session_end: Literal["day-orders", "cancel-all", "cancel-first-of-several"] = param(
        default="day-orders",
        help="What ends when a session closes: orders of the day; every open order, one sent at the close too; or, of "
        "each instrument with several open orders, the oldest.",
    )
    targets_count_open_orders: bool = param(
        default=True, help="Whether an order towards a target takes into account what open orders may still trade."
    )
    cancel_on_arrival: bool = param(
        default=True,
        help="Whether an order can be cancelled at the very time at which it arrived; else such a request is ignored.",
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
    latency: LatencyModel | None = param(
        default=None, help="A model of latency, such as 'measured', in place of these three fixed ones."
    )

    def __attrs_post_init__(self) -> None:
        needs = (
            ("stop_limit", "by-close", "matching_order", "exits-first"),
            ("stop_limit", "close-back", "matching_order", "in-turn"),
            ("stop_limit", "at-trigger", "matching_order", "in-turn"),
            ("netting", "trades", "matching_order", "in-turn"),
            ("missing_rows", "retry", "matching_order", "in-turn"),
            ("slippage_on", "opening", "netting", "trades"),
            ("admission", "in-sequence", "buying_power", "proceeds"),
            ("buying_power", "purchases", "admission", "at-fill"),
            ("buying_power", "purchases-locked", "admission", "at-fill"),
            ("close_order", "by-instrument", "fill_timing", "same-close"),
            ("close_order", "by-value", "fill_timing", "same-close"),
            ("close_remainder", "cancelled", "fill_timing", "same-close"),
        )
        if self.watches_margin and self.fill_timing == "at-once":
            raise ConfigError("fill_timing = 'at-once' has no liquidation yet: choose another, or liquidation = 'off'.")
        if self.settlement_sessions and self.buying_power != "cash":
            raise ConfigError(
                f"settlement_sessions = {self.settlement_sessions} needs buying_power = 'cash', not "
                f"{self.buying_power!r}: other accounts may spend what a sale brings before it has settled."
            )
        if self.buying_power == "percent-margin" and self.maintenance_margin > self.initial_margin:
            raise ConfigError(
                f"maintenance_margin = {self.maintenance_margin} must not exceed initial_margin = "
                f"{self.initial_margin}: a position would be closed as soon as it is opened."
            )
        for name, value, other, needed in needs:
            if getattr(self, name) == value and getattr(self, other) != needed:
                raise ConfigError(f"{name} = {value!r} needs {other} = {needed!r}, not {getattr(self, other)!r}.")
        if self.latency is not None and (self.entry_latency or self.feed_latency or self.response_latency):
            raise ConfigError(
                "The broker has a latency model and fixed latencies too: leave out entry_latency, feed_latency and "
                "response_latency, or the model."
            )
        if (self.depth != "top" or self.queue_model != "none") and (
            self.fill_timing == "at-once" or self.matching_order == "in-turn"
        ):
            raise ConfigError(
                "depth and queue_model are for orders that are matched row by row, exits first: leave out "
                "fill_timing = 'at-once' and matching_order = 'in-turn', or these two."
            )
        if self.watches_margin and (self.depth != "top" or self.queue_model != "none"):
            raise ConfigError("depth and queue_model have no liquidation yet: leave them out, or liquidation = 'off'.")
        others = self.fill_timing == "at-once" or self.depth != "top" or self.queue_model != "none"
        if self.intrabar_path == "drill-down" and others:
            raise ConfigError(
                "intrabar_path = 'drill-down' chooses between data, and fill_timing = 'at-once', depth "
                "and queue_model say themselves which they ask: leave out the one or the others."
            )

    @property
    def watches_margin(self) -> bool:
        """Whether positions are closed when equity falls below the maintenance margin."""
        return self.buying_power in ("reg-t", "percent-margin") and self.liquidation != "off"

    @property
    def margins(self) -> dict[str, float]:
        """Initial and maintenance margin, of longs and of shorts, as fractions of market value.

        Reg-T: Federal Reserve, 12 CFR 220.12 (50 % of longs; 150 % of shorts, of which the proceeds are 100);
        FINRA rule 4210 (25 % of longs, 30 % of shorts; amounts per share of cheap stocks are left out).
        """
        initial, held_long, held_short = self.initial_margin, self.maintenance_margin, self.maintenance_margin
        if self.buying_power == "reg-t":
            initial, held_long, held_short = 0.5, 0.25, 0.3
        return {
            "initial_long": initial,
            "initial_short": initial,
            "maintenance_long": held_long,
            "maintenance_short": held_short,
        }

    def build(self, run: Run) -> Any:
        from qengine_broker_sim.broker import AtOnceBroker, MatchingBroker
        from qengine_broker_sim.deep import DeepBroker
        from qengine_broker_sim.drilling import DrillingBroker
        from qengine_broker_sim.liquidation import MarginBroker

        wanted = {
            MarginBroker: self.watches_margin,
            DrillingBroker: self.intrabar_path == "drill-down",
            DeepBroker: self.depth != "top" or self.queue_model != "none",
            AtOnceBroker: self.fill_timing == "at-once",
        }
        parts = tuple(part for part, is_wanted in wanted.items() if is_wanted) or (MatchingBroker,)
        # Each part calls the next through super(); what nobody asked for is not there to be asked.
        made: type[MatchingBroker] = parts[0] if len(parts) == 1 else type("CombinedBroker", parts, {})
        return made(self, run)
