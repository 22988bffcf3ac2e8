"""The comparison as Markdown: medians, ratios to QEngine, memory, and whether the work was the same."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.runner import Measurement

__all__ = ["Line", "Section", "heading", "same_work", "section"]

_COLUMNS = (
    "contestant",
    "rows",
    "seconds",
    "per second",
    "QEngine, times as fast",
    "process, s",
    "peak RSS, MB",
    "orders",
    "fills",
    "final equity",
    "same work",
)


@dataclass
class Line:
    """One contestant in one workload: its measurements, or why there are none.

    ``reference`` is what QEngine does with the same rows; the first line of a section is its own.
    """

    name: str
    runs: list[Measurement] = field(default_factory=list)
    reference: Measurement | None = None
    absent: str = ""
    notes: tuple[str, ...] = ()

    def median(self, name: str) -> float:
        return statistics.median(getattr(run, name) for run in self.runs)


@dataclass(frozen=True)
class Section:
    """One workload; QEngine's lanes come first, ``ours`` of them, and rates are compared with the first one's."""

    workload: str
    summary: str
    unit: str
    rows: int
    lines: Sequence[Line]
    ours: int

    def rate(self, line: Line) -> float:
        """Work a second: orders where the workload is about orders, and rows otherwise."""
        work = line.runs[0].orders if self.unit == "orders" else line.runs[0].rows
        return work / line.median("seconds")


def section(part: Section) -> str:
    """A heading, a table, the numbered notes to it, and who does not take part."""
    notes: list[str] = []
    rows = [_row(part, line, notes) for line in part.lines if line.runs]
    table = ["| " + " | ".join(_COLUMNS) + " |", "| --- |" + " ---: |" * (len(_COLUMNS) - 2) + " --- |"]
    table += ["| " + " | ".join(row) + " |" for row in rows]
    absent = [f"- {line.name}: {line.absent}." for line in part.lines if not line.runs]
    numbered = [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    blocks = [f"## {part.workload}: {part.summary}", "\n".join(table), "\n".join(numbered)]
    if absent:
        blocks += ["Not here:", "\n".join(absent)]
    return "\n\n".join(block for block in blocks if block)


def _row(part: Section, line: Line, notes: list[str]) -> list[str]:
    """The cells of one line; its notes are numbered on from those before."""
    first = part.lines[0]
    run, rate = line.runs[0], part.rate(line)
    said = [*line.notes, run.note] if run.note else list(line.notes)
    for note in said:
        if note not in notes:
            notes.append(note)
    marks = ", ".join(str(number) for number in sorted(notes.index(note) + 1 for note in said))
    return [
        f"{line.name} [{marks}]" if marks else line.name,
        f"{run.rows:,}" if run.rows == part.rows else f"{run.rows:,} of {part.rows:,}",
        _digits(line.median("seconds")),
        f"{rate:,.0f} {part.unit}",
        _digits(part.rate(first) / rate) if first.runs and line is not first else "-",
        f"{line.median('process_seconds'):.1f}",
        f"{line.median('peak_rss_mb'):,.0f}",
        f"{run.orders:,}",
        f"{run.fills:,}",
        f"{run.final_equity:,.2f}",
        same_work(line),
    ]


def same_work(line: Line) -> str:
    """Whether fills and final equity are QEngine's on the same rows, and by how much they are not."""
    if len({(run.orders, run.fills, run.final_equity) for run in line.runs}) > 1:
        return "**no: its own runs differ**"
    ours, theirs = line.reference, line.runs[0]
    if ours is None:
        return "not checked"
    if ours is theirs:
        return "-"
    fills, away = theirs.fills - ours.fills, theirs.final_equity / ours.final_equity - 1
    if fills == 0 and abs(away) < 1e-9:
        return "yes"
    is_near = abs(fills) <= 0.005 * ours.fills and abs(away) < 1e-3
    return f"{'nearly' if is_near else '**no**'}: fills {fills:+,}, equity {100 * away:+.1g} %"


def heading(repeat: int, versions: Mapping[str, str]) -> str:
    """Date, machine, versions, and how to read the tables."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    lines = [
        "# QEngine and other backtesters",
        "",
        f"- Date: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        f"- Machine: {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
        f"load over the last 1, 5 and 15 minutes at the end: {load}",
        *(f"- {name}: {version}" for name, version in versions.items()),
        "",
        f"Medians of {repeat} run{'s' * (repeat > 1)}, each in a fresh process, contestants in turn, on the same "
        "Parquet files. *Seconds* are those of the simulation, with the data in the contestant's own form and its "
        "compilers warm; *process* is from start to end: imports, reading, conversion, warming up and the run. "
        "*Same work* compares fills and final equity with QEngine's on the same rows: *yes* is the same number of "
        "fills and equity to nine digits, *nearly* is within 0.5 % and 0.1 %. A slow contestant gets the first rows "
        "*of* the data alone: its rate is compared with QEngine's on all, its work with QEngine's on the same rows.",
    ]
    return "\n".join(lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = (line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line)
        return next(names, platform.machine())
    return platform.processor() or platform.machine()


def _digits(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"
