"""Draws progress and results on a terminal with rich; it computes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from qengine_core.loop import Progress as ProgressCallback

__all__ = ["progress_bar", "show", "show_profile", "show_replay"]

_PROGRESS_ROWS = 8_192  # rows between two looks at the screen: it costs 10 us, and blocks can be tiny


@contextlib.contextmanager
def progress_bar(name: str) -> Iterator[ProgressCallback]:
    """A bar on stderr with rows, rate and time left; yields what ``Engine.run`` calls."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        _Rows(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)
        shown = 0

        def update(rows: int, _ts: int, total: int | None) -> None:
            nonlocal shown
            if rows >= shown + _PROGRESS_ROWS or rows == total:
                shown = rows
                progress.update(task, completed=rows, total=total)

        yield update


class _Rows(ProgressColumn):
    """``1,234,567 of 10,000,000 rows  850,000/s``."""

    def render(self, task: Task) -> Text:
        of = f" of {task.total:,.0f}" if task.total is not None else ""
        rate = f"  {task.speed:,.0f}/s" if task.speed else ""
        return Text(f"{task.completed:,.0f}{of} rows{rate}", style="progress.data.speed")


def show(summary: Mapping[str, Any]) -> None:
    """Print a result: the figures, then warnings, then where the files are."""
    console = Console(highlight=False)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for label, text in [*_subject(summary), *_figures(summary), *_traffic(summary)]:
        table.add_row(label, Text(text))
    console.print(table)
    for warning in summary["warnings"]:
        console.print(Text(f"! {warning}", style="yellow"), soft_wrap=True)
    # Not wrapped and without markup: a path must survive being copied.
    for label in ("out", "report"):
        if summary[label]:
            console.print(Text(f"{'Run folder' if label == 'out' else 'Report'}: {summary[label]}"), soft_wrap=True)


def _subject(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = summary["instruments"]
    listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    rate = summary["rows_per_second"]
    speed = f"{summary['seconds']:.2f} s" + (f", {rate:,.0f} rows/s" if rate else "")
    period = f"{summary['start'][:10]} to {summary['end'][:10]}" if summary["start"] else "no data"
    return [
        ("Strategy", ", ".join(use.rpartition("/")[2] for use in summary["strategy"])),
        ("Instruments", listed or "none"),
        ("Period", period),
        ("Rows", f"{summary['rows']:,}"),
        ("Speed", speed),
    ]


# What reporting calls a metric, what people call it, and how it is written.
_METRICS = (
    ("total_return", "Return", "{:+.2%}"),
    ("cagr", "CAGR", "{:+.2%}"),
    ("sharpe", "Sharpe", "{:.2f}"),
    ("max_drawdown", "Max drawdown", "{:.2%}"),
    ("round_trips", "Round trips", "{:,}"),
    ("win_rate", "Win rate", "{:.1%}"),
    ("total_commission", "Commission", "{:,.2f}"),
    ("total_slippage", "Slippage", "{:,.2f}"),
)


def _figures(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    metrics, counts = summary["metrics"] or {}, summary["counts"]
    equity = metrics.get("final_equity", counts.get("final_equity"))
    if equity is not None:
        rows.append(("Final equity", f"{equity:,.2f} {summary['currency'] or ''}".rstrip()))
    rows += [(label, form.format(metrics[key])) for key, label, form in _METRICS if metrics.get(key) is not None]
    return rows


def _traffic(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = summary["counts"]
    rows = [(key.capitalize(), f"{counts[key]:,}") for key in ("orders", "fills") if key in counts]
    rejections = counts.get("rejections")
    if rejections:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in rejections.items())
        rows.append(("Rejected", f"{sum(rejections.values()):,} ({reasons})"))
    return rows


def show_profile(parts: Sequence[Mapping[str, Any]]) -> None:
    """Print what the time went on: a line per part, and all of them together."""
    table = Table(title="Where the time went", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("part")
    for heading in ("seconds", "share", "calls"):
        table.add_column(heading, justify="right")
    for part in parts:
        table.add_row(part["part"], f"{part['seconds']:.4f}", f"{part['share']:.1%}", f"{part['calls']:,}")
    table.add_section()
    table.add_row("total", f"{sum(part['seconds'] for part in parts):.4f}", f"{sum(p['share'] for p in parts):.1%}", "")
    Console(highlight=False).print(table)


def show_replay(summary: Mapping[str, Any]) -> None:
    """Print what a replay found: a line per output, then what has changed since."""
    console = Console(highlight=False)
    for name, verdict in summary["outputs"].items():
        same = verdict == "identical"
        text = f"identical  {name}" if same else f"different  {name}: {verdict}"
        console.print(Text(text, style="green" if same else "red"), soft_wrap=True)
    for change in summary["changes"]:
        console.print(Text(f"! {change}", style="yellow"), soft_wrap=True)
    different = sum(verdict != "identical" for verdict in summary["outputs"].values())
    total = len(summary["outputs"])
    console.print(f"All {total} outputs are identical." if not different else f"{different} of {total} outputs differ.")
