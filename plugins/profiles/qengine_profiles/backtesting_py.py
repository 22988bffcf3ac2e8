"""The profile ``backtesting-py``: the policies of backtesting.py 0.6, which has no costs by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qengine_core.plugin import component

__all__ = ["BacktestingPy"]


@component
class BacktestingPy:
    """Each entry is a trade that its exits close, from the bar of a market entry on; equity backs what is opened.

    Costs are what the run says; slippage is a spread, paid on opening.
    """

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The policies, by kind of component."""
        return {
            "broker": {
                "buying_power": "equity",
                "admission": "at-fill",
                "short_selling": True,
                "fill_on_zero_volume": True,
                "slippage_on": "opening",
                "commission_unit": "part",
                "netting": "trades",
                "matching_order": "in-turn",
                "stop_limit": "at-trigger",
                "trail_start": "entry-close",
                "trail_mark": "close",
            },
        }
