"""Order types for QEngine, as recipes over matching primitives."""

from __future__ import annotations

from qengine_orders.auctions import LimitOnClose, LimitOnOpen, MarketOnClose, MarketOnOpen
from qengine_orders.groups import Bracket, OneCancelsOther, OneTriggersOther, OneUpdatesOther, Twap
from qengine_orders.types import (
    Iceberg,
    Limit,
    LimitIfTouched,
    Market,
    MarketIfTouched,
    PercentOfVolume,
    PostOnly,
    ReduceOnly,
    Stop,
    StopLimit,
    TrailingStop,
    TrailingStopLimit,
)

__all__ = [
    "Bracket",
    "Iceberg",
    "Limit",
    "LimitIfTouched",
    "LimitOnClose",
    "LimitOnOpen",
    "Market",
    "MarketIfTouched",
    "MarketOnClose",
    "MarketOnOpen",
    "OneCancelsOther",
    "OneTriggersOther",
    "OneUpdatesOther",
    "PercentOfVolume",
    "PostOnly",
    "ReduceOnly",
    "Stop",
    "StopLimit",
    "TrailingStop",
    "TrailingStopLimit",
    "Twap",
]
