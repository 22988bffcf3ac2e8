"""QEngine as a contestant: one workload in one lane, in a process of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import attrs
import polars as pl
from qengine_broker_sim import SimulatedBroker

from benchmarks.compare.peers.task import Outcome, Task, serve
from benchmarks.workloads import WORKLOADS
from qengine_core import Engine

__all__ = ["LANES"]

# The lanes of each workload; the first is what the others and the peers are compared with.
LANES = {name: ("slice",) if name in ("W2", "W6", "W7") else ("event",) for name in WORKLOADS}

# To every peer what a short sale brings is cash like any other, and sales pay for the purchases sent with them. By
# default QEngine holds it as collateral and counts open orders, and would refuse 2 % of the orders that the peers fill.
BROKERS = {"W6": SimulatedBroker(short_selling=True, buying_power="proceeds", admission="in-sequence")}


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
    """The workload's engine; every lane that is not a workload's own strategy is composed here."""
    workload = WORKLOADS[task.workload]
    return attrs.evolve(workload, broker=BROKERS.get(task.workload, workload.broker)).engine(frame)


if __name__ == "__main__":
    serve(["qengine-core", "numba", "numpy", "polars"], dict.fromkeys(WORKLOADS, run))
