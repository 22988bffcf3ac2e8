"""The profile ``lean``: the policies of QuantConnect's LEAN for US equities, with its default costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qengine_core.plugin import component

__all__ = ["Lean"]


@component
class Lean:
    """Orders at market fill at once at the last known price: the ask or bid of quotes, else the last trade.

    Where the market is closed they wait for the next opening, so the run needs the calendar of its exchange. Limits
    must be traded through, stop-limits are judged by the close, and a share is charged 0.005, at least 1 and at most
    half a percent. Positions may be worth twice the account. A target in percent is rounded to whole shares, and leaves
    a quarter of a percent of the account uninvested, and its commission.
    Limits if touched follow the path inside a bar, where LEAN judges them by the quote.
    """

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The policies, by kind of component."""
        return {
            "broker": {
                "fill_timing": "at-once",
                "limit_touch": "penetrate",
                "stop_limit": "by-close",
                "close_cutoff": 15.5,
                "buying_power": "equity",
                "leverage": 2.0,
                "admission": "at-fill",
                "short_selling": True,
                "clip_to_range": False,
                "fill_on_zero_volume": True,
            },
            "commission": {
                "use": "per-share",
                "rate": 0.005,
                "minimum": 1.0,
                "maximum_fraction": 0.005,
                "spares_minimum": True,
            },
            "ledger": {"target_reserve": 0.0025, "target_commission": True, "target_lot": 1.0},
        }
