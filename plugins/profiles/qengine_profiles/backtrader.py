"""The profile ``backtrader``: the policies of backtrader 1.9, which has no costs by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qengine_core.plugin import component

__all__ = ["Backtrader"]


@component
class Backtrader:
    """One queue of orders, tried in turn; proceeds of short sales are cash, and exits wait for the whole entry.

    Costs are what the run says; a commission is charged for closing and for opening, each by itself.
    """

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The policies, by kind of component."""
        return {
            "broker": {
                "buying_power": "proceeds",
                "admission": "in-sequence",
                "short_selling": True,
                "participation": "each-order",
                "fill_on_zero_volume": True,
                "commission_unit": "part",
                "matching_order": "in-turn",
                "missing_rows": "retry",
                "stop_limit": "close-back",
                "trigger_memory": False,
                "exits_act": "when-complete",
                "groups_end": "together",
                "trail_start": "sent",
                "trail_mark": "close",
                "day_orders": "strict",
                "cancel_on_arrival": False,
            },
            "ledger": {"target_lot": 1.0},
        }
