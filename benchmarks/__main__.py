"""``python -m benchmarks run W1 --json``: runs a workload several times and prints medians as one JSON object.

``python -m benchmarks compare`` runs QEngine beside other backtesters.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

from benchmarks import growth
from benchmarks.compare.command import add_arguments, compare
from benchmarks.guard.__main__ import main as guard
from benchmarks.workloads import WORKLOADS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one workload, or all")
    run.add_argument("workload", choices=[*WORKLOADS, "all"])
    run.add_argument(
        "--lane", choices=["python", "compiled"], default="python", help="what the strategy is written for"
    )
    run.add_argument("--repeat", type=int, default=5, help="how many runs the medians are taken over")
    run.add_argument("--json", action="store_true", help="print one JSON object a workload")
    grow = commands.add_parser("growth", help="how the cost of a row, an order and an instrument grows")
    grow.add_argument("case", choices=[*growth.CASES, "all"], nargs="?", default="all")
    grow.add_argument("--size", type=int, help="measure one size of one case, in this process")
    grow.add_argument("--large", action="store_true", help="go on to 100,000,000 rows")
    grow.add_argument("--json", action="store_true", help="with --size, print one JSON object")
    hold = commands.add_parser("guard", help="hold the instructions that the kernel's loop takes to their budget")
    hold.add_argument("--store", action="store_true", help="make what is counted the budget of this Python version")
    add_arguments(commands.add_parser("compare", help="run QEngine and other backtesters in turn"))
    options = parser.parse_args()
    if options.command == "compare":
        return compare(options)
    if options.command == "guard":
        return guard(["--store"] if options.store else [])
    if options.command == "growth":
        return show_growth(options)
    for name in WORKLOADS if options.workload == "all" else [options.workload]:
        figures = measure(name, options.repeat, options.lane)
        if options.json:
            print(json.dumps(figures))
        else:
            print(
                f"{name} {options.lane:>8}  {figures['rate']:>14,.0f} {figures['unit']}  "
                f"{figures['seconds']:.4f} s  {figures['summary']}"
            )
    return 0


def show_growth(options: argparse.Namespace) -> int:
    if options.size is not None:
        print(json.dumps(growth.measure(options.case, options.size)))
        return 0
    for name in growth.CASES if options.case == "all" else [options.case]:
        for line in growth.table(name, large=options.large):
            print(line, flush=True)
    return 0


def measure(name: str, repeat: int, lane: str = "python") -> dict[str, object]:
    """Medians over ``repeat`` runs, after one that warms up; raises SystemExit if the work was not done."""
    workload = WORKLOADS[name]
    frame = workload.frame()
    engine = workload.engine(frame, lane)
    reads, times, final = isinstance(frame, Path), [], set()  # where files are read, opening them counts, too
    for _ in range(repeat + 1):
        began = time.perf_counter()
        result = engine.run()
        times.append(time.perf_counter() - began if reads else result.seconds)
        final.add(result.counts["final_equity"])
        if len(final) != 1 or not workload.check(result, frame):
            sys.exit(f"{name}: the work was not done: {result.counts}")
        counts, rows = result.counts, result.rows
        del result  # its memory is the next run's: nobody keeps all results of a sweep
    seconds = statistics.median(times[1:])
    work = counts["orders"] if name == "W5" else rows
    return {
        "workload": name,
        "lane": lane,
        "summary": workload.summary,
        "rows": rows,
        "seconds": seconds,
        "rate": work / seconds,
        "unit": "orders/s" if name == "W5" else "rows/s",
        "fills": counts["fills"],
        "final_equity": final.pop(),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "repeat": repeat,
    }


if __name__ == "__main__":
    sys.exit(main())
