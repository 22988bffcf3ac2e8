"""The profile ``zipline``: the policies of zipline-reloaded 3.2, with its default costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qengine_core.plugin import component

__all__ = ["Zipline"]


@component
class Zipline:
    """Everything happens at the close of the next bar, nothing is refused for lack of money.

    Costs are zipline's defaults: 0.001 a share, 5 basis points, and 10 % of a bar's volume.
    """

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The policies, by kind of component."""
        return {
            "broker": {
                "fill_timing": "next-close",
                "buying_power": "off",
                "short_selling": True,
                "participation_limit": 0.1,
                "clip_to_range": False,
                "limit_bounds_slippage": False,
                "limit_memory": True,
                "matching_order": "in-turn",
                "lot_size": 1.0,
                "lot_tolerance": 1e-4,
                "tick_size": 0.01,
                "tick_tolerance": 0.05,
                "targets_count_open_orders": False,
            },
            "commission": {"use": "per-share", "rate": 0.001},
            "slippage": {"use": "fixed-bps", "bps": 5.0},
        }
