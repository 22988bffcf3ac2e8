"""Order types for QEngine, as recipes over matching primitives."""

from __future__ import annotations

from qengine_orders.types import Limit, Market

__all__ = ["Limit", "Market"]
