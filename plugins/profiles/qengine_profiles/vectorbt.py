"""The profile ``vectorbt``: the policies of vectorbt 1.2 (open source), which has no costs by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qengine_core.plugin import component

__all__ = ["Vectorbt"]


@component
class Vectorbt:
    """Orders fill at the close of the bar they were sent on, and as far as the cash goes."""

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The policies, by kind of component."""
        return {
            "broker": {
                "fill_timing": "same-close",
                "close_order": "by-instrument",
                "close_remainder": "cancelled",
                "buying_power": "purchases",
                "admission": "at-fill",
                "short_selling": True,
                "shortfall": "reduce",
                "clip_to_range": False,
                "fill_on_zero_volume": True,
                "participation": "each-order",
                "matching_order": "in-turn",
                "distance_from": "close",
                "slippage_on_exits": False,
                "trail_start": "entry-close",
                "targets_count_open_orders": False,
            },
        }
