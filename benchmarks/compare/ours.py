"""QEngine as a contestant: one workload in one lane, in a process of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import polars as pl

from benchmarks.compare.peers.task import Outcome, Task, serve
from benchmarks.workloads import WORKLOADS
from qengine_core import Engine

__all__ = ["LANES"]

# The lanes of each workload; the first is what the others and the peers are compared with.
LANES = {name: ("slice" if name in ("W2", "W6", "W7") else "event", "compiled") for name in WORKLOADS}


def run(task: Task) -> Outcome:
    """The loop is timed, after a run on a few rows or one file; where reading files counts, all of the run is."""
    workload, path = WORKLOADS[task.workload], Path(task.file)
    frame: pl.DataFrame | Path
    few: pl.DataFrame | Path
    if path.is_dir():
        frame, few = path, min(path.glob("*.parquet"))
    else:
        table = pl.read_parquet(path, n_rows=task.rows)
        frame, few = table, table.head(task.warm_rows)
    engine(task, few).run()
    began = time.perf_counter()
    result = engine(task, frame).run()
    wall = time.perf_counter() - began
    counts = result.counts
    if task.is_whole and not workload.check(result, frame):
        sys.exit(f"{task.workload}: the work was not done: {counts}")
    seconds = wall if path.is_dir() else result.seconds
    return Outcome(seconds, result.rows, counts["orders"], counts["fills"], counts["final_equity"])


def engine(task: Task, frame: pl.DataFrame | Path) -> Engine:
    """The workload's engine in the lane that is asked for."""
    return WORKLOADS[task.workload].engine(frame, "compiled" if task.lane == "compiled" else "python")


if __name__ == "__main__":
    serve(["qengine-core", "numba", "numpy", "polars"], dict.fromkeys(WORKLOADS, run))
