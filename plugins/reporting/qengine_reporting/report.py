"""The report components: settings only; what draws is imported when a report is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qengine_core.plugin import component, param

if TYPE_CHECKING:
    from qengine_core.engine import Result

__all__ = ["HtmlReport", "NoReport"]


@component
class HtmlReport:
    """One self-contained HTML page: key figures, charts, tables, settings and data of the run.

    It needs no network, adapts to a phone's width, and is the same to the byte for the same run.
    """

    title: str = param(default="", help="Heading of the page; left out, the strategy's name.")
    theme: Literal["auto", "light", "dark"] = param(default="auto", help="Colours; auto follows the reader's system.")
    max_points: int = param(
        default=2000, help="Points a curve is thinned to, keeping its extremes.", unit="points", ge=100
    )
    max_instruments: int = param(
        default=12, help="Instruments drawn with their trades, the most traded first.", unit="instruments", ge=1
    )

    def write(self, result: Result, folder: Path) -> None:
        """Write ``report.html`` into ``folder``. Raises OSError."""
        from qengine_reporting.page import render

        (folder / "report.html").write_text(render(self, result), encoding="utf-8")


@component
class NoReport:
    """Writes no report. Tables, metrics and manifest are written all the same."""

    def write(self, result: Result, folder: Path) -> None:
        """Do nothing."""
