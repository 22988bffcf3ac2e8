"""What goes into a contestant's process and what comes out of it, the same for all. It knows no backtester.

A process gets one task as JSON in its last argument and prints one line of JSON. Whatever a library prints meanwhile
goes to standard error.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Outcome", "Panel", "Run", "Task", "serve"]


@dataclass(frozen=True)
class Panel:
    """Bars of many instruments: when each day's bars closed (ns, UTC), names, and columns of days by instruments."""

    ts: np.ndarray
    names: list[str]
    columns: dict[str, np.ndarray]


@dataclass(frozen=True)
class Task:
    """One measurement: the first ``rows`` rows of ``file``, and how many to warm up with where a library compiles.

    ``is_whole`` says that these rows are all that the workload has.
    """

    workload: str
    lane: str
    file: str
    rows: int
    warm_rows: int
    is_whole: bool = False

    def warming(self) -> Task:
        """The same task on the few rows that a compiler is warmed up with."""
        return Task(self.workload, self.lane, self.file, self.warm_rows, self.warm_rows)

    @cached_property
    def table(self) -> dict[str, np.ndarray]:
        """Columns of numbers by name; ``ts`` is in nanoseconds, UTC. Instruments are left out."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        read = ds.dataset(self.file, format="parquet").head(self.rows)
        names = [name for name in read.column_names if name != "instrument"]
        ts = read["ts"].cast(pa.int64()).to_numpy()
        return {"ts": ts} | {name: read[name].to_numpy() for name in names if name != "ts"}

    @property
    def bars(self) -> dict[str, np.ndarray]:
        """The table for those who know bars alone: a print is a bar of one price."""
        table = self.table
        if "price" not in table:
            return table
        prices = dict.fromkeys(("open", "high", "low", "close"), table["price"])
        return prices | {"ts": table["ts"], "volume": table["size"]}

    @cached_property
    def panel(self) -> Panel:
        """The table of a panel, which lists every instrument on every day, in the same order."""
        import pyarrow.parquet as pq

        table = self.table
        width = int(np.argmax(table["ts"] != table["ts"][0]))
        names = pq.ParquetFile(self.file).read_row_group(0, columns=["instrument"])["instrument"]
        columns = {name: values.reshape(-1, width) for name, values in table.items()}
        return Panel(columns.pop("ts")[:, 0], [str(name) for name in names.slice(0, width).to_pylist()], columns)


@dataclass(frozen=True)
class Outcome:
    """What a run took and did; ``seconds`` are those of the simulation, with the data in the library's own form."""

    seconds: float
    rows: int
    orders: int
    fills: int
    final_equity: float
    note: str = ""


Run = Callable[[Task], Outcome]


def serve(distributions: list[str], workloads: Mapping[str, Run]) -> None:
    """Does the task that the last argument describes, and prints outcome, versions and peak memory as one line."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = Task(**json.loads(sys.argv[-1]))
    said: dict[str, Any] = asdict(workloads[task.workload](task))
    installed = {one.name: one.version for one in importlib.metadata.distributions()}
    said["versions"] = {name: installed[name] for name in distributions if name in installed}
    said["python"] = platform.python_version()
    said["peak_rss_mb"] = _peak_kb() / 1024
    print(json.dumps(said), file=answer, flush=True)


def _peak_kb() -> float:
    """This program's own peak. Linux keeps in ``ru_maxrss`` what the process that started it held, so ask for more."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak
