"""qengine_reporting: run folders, metrics and the HTML report. What is heavy is imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qengine_reporting.report import HtmlReport, NoReport

if TYPE_CHECKING:
    from qengine_reporting.folder import write_run
    from qengine_reporting.metrics import compute_metrics
    from qengine_reporting.reading import Difference, RunFolder, compare_runs, load_run
    from qengine_reporting.schema import SCHEMAS

__all__ = [
    "SCHEMAS",
    "Difference",
    "HtmlReport",
    "NoReport",
    "RunFolder",
    "compare_runs",
    "compute_metrics",
    "load_run",
    "write_run",
]

_HOMES = {
    "SCHEMAS": "schema",
    "Difference": "reading",
    "RunFolder": "reading",
    "compare_runs": "reading",
    "compute_metrics": "metrics",
    "load_run": "reading",
    "write_run": "folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
