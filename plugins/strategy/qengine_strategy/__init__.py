"""The Strategy base class, its context and testing helpers for QEngine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qengine_strategy.strategy import Strategy

if TYPE_CHECKING:
    from qengine_strategy.context import Context
    from qengine_strategy.events import Bar, Quote, Signal, Slice, Trade

__all__ = ["Bar", "Context", "Quote", "Signal", "Slice", "Strategy", "Trade"]

_HOMES = {
    "Bar": "events",
    "Context": "context",
    "Quote": "events",
    "Signal": "events",
    "Slice": "events",
    "Trade": "events",
}


def __getattr__(name: str) -> Any:
    """Import what needs numpy on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"qengine_strategy.{_HOMES[name]}"), name)
