"""QEngine's kernel: one clock, one timeline, typed hooks. Everything else is a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qengine_core.engine import Engine, Result
    from qengine_core.errors import QEngineError
    from qengine_core.manager import Plugins
    from qengine_core.timings import Timings

__all__ = ["Engine", "Plugins", "QEngineError", "Result", "Timings", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "Engine": "qengine_core.engine",
    "Plugins": "qengine_core.manager",
    "QEngineError": "qengine_core.errors",
    "Result": "qengine_core.engine",
    "Timings": "qengine_core.timings",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that hook modules and ``qengine --help`` do not pay for numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
