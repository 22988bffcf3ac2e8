"""What this plugin announces: order types."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import OrderTypeSpec, implements
from qengine_orders import auctions, groups, types

_TYPES = (
    ("market", "Trade at the next price there is.", types.Market),
    ("limit", "Trade at a price or better, or wait.", types.Limit),
    ("stop", "Trade at market once prices have got as bad as a price.", types.Stop),
    ("stop-limit", "Become a limit order once prices have got as bad as a price.", types.StopLimit),
    ("market-if-touched", "Trade at market once prices have got as good as a price.", types.MarketIfTouched),
    ("limit-if-touched", "Become a limit order once prices have got as good as a price.", types.LimitIfTouched),
    ("trailing-stop", "A stop that follows the best price.", types.TrailingStop),
    ("trailing-stop-limit", "A trailing stop that becomes a limit order.", types.TrailingStopLimit),
    ("market-on-open", "Trade at the opening price of a session.", auctions.MarketOnOpen),
    ("market-on-close", "Trade at the closing price of a session.", auctions.MarketOnClose),
    ("limit-on-open", "Trade at the opening price of a session, if that is good enough.", auctions.LimitOnOpen),
    ("limit-on-close", "Trade at the closing price of a session, if that is good enough.", auctions.LimitOnClose),
    ("iceberg", "A limit order that shows a part of itself.", types.Iceberg),
    ("post-only", "A limit order that only adds liquidity.", types.PostOnly),
    ("reduce-only", "An order that never opens a position.", types.ReduceOnly),
    ("percent-of-volume", "An order that takes a share of each row's volume.", types.PercentOfVolume),
    ("bracket", "An entry with a profit to take and a loss to stop.", groups.Bracket),
    ("one-cancels-other", "Orders of which the first to fill cancels the others.", groups.OneCancelsOther),
    ("one-updates-other", "Orders that share one quantity.", groups.OneUpdatesOther),
    ("one-triggers-other", "An order whose fills send another.", groups.OneTriggersOther),
    ("twap", "Equal slices, one every so many seconds.", groups.Twap),
)


@implements.order_types
def order_types() -> Iterable[OrderTypeSpec]:
    for name, summary, component in _TYPES:
        yield OrderTypeSpec(name=name, summary=summary, component=component)
