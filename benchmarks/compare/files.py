"""The data files of the comparison, written once for everybody, and their sizes. It knows no contestant."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.parity.environments import cache_folder

__all__ = ["SOURCES", "Source"]


@dataclass(frozen=True)
class Source:
    """One workload's data: a Parquet file, or a folder of files with ``per_file`` rows each.

    ``quick`` rows are what a smoke test takes, and what compilers are warmed up with.
    """

    name: str
    rows: int
    quick: int
    unit: str = "bars"
    frame: Callable[[], Any] | None = None
    per_file: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it is too large for a frame, so that reading counts."""
        return self.frame is None

    def path(self, rows: int) -> Path:
        """Where the first ``rows`` rows are: the file to read them from, or a folder of as many files as they fill."""
        if self.frame is None:
            return self._folder(rows)
        file = cache_folder() / "data" / "compare" / f"{self.name}.parquet"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(".unfinished")
            self.frame().write_parquet(unfinished, compression="lz4")
            unfinished.rename(file)
        return file

    def _folder(self, rows: int) -> Path:
        whole = data.on_disk(self.name)
        if rows >= self.rows:
            return whole
        files = sorted(whole.glob("*.parquet"))[: rows // self.per_file]
        part = cache_folder() / "data" / "compare" / f"{self.name}-{len(files)}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for file in files:
            (part / file.name).symlink_to(file)
        return part


_MINUTES = Source("minute-bars-1000000", 1_000_000, 5_000, frame=lambda: data.minute_bars(1_000_000))

SOURCES = {
    "W1": _MINUTES,
    "W2": Source("panel-250x2520", 250 * 2_520, 250 * 300, frame=lambda: data.panel(250, 2_520)),
    "W3": _MINUTES,
    "W4": Source("ticks-10000000", 10_000_000, 20_000, unit="prints", frame=lambda: data.ticks(10_000_000)),
    "W5": Source("minute-bars-100000", 100_000, 2_000, unit="orders", frame=lambda: data.minute_bars(100_000)),
    "W6": Source("panel-1000x2520", 1_000 * 2_520, 1_000 * 40, frame=lambda: data.panel(1_000, 2_520)),
    "W7": Source("minutes-10", 49_140_000, 50 * 390 * 21, per_file=50 * 390 * 21),
    "W8": Source("ticks-year", 126_000_000, 500_000, unit="prints", per_file=500_000),
}
