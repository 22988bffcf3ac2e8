"""``python -m benchmarks guard``: count, show, and hold what is counted to the budget, or make it the budget."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.guard.budget import STORE, budget, excesses, store
from benchmarks.guard.counting import CountingError, count

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every path keeps its budget, 1 if not, or if nothing can be counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks guard", description=__doc__)
    parser.add_argument("--store", action="store_true", help="make what is counted the budget of this Python version")
    options = parser.parse_args(arguments)
    try:
        counted = count()
    except CountingError as error:
        print(error, file=sys.stderr)
        return 1
    stored = budget()
    _show(counted, stored["paths"] if stored else {})
    if options.store:
        store(counted)
        return 0
    if stored is None:
        print(f"There is no budget for this version of Python yet: {STORE}.", file=sys.stderr)
        return 1
    found = excesses(counted, stored)
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


def _show(counted: dict[str, float], allowed: dict[str, float]) -> None:
    stick = counted["yardstick"]
    print("| path | instructions a unit | in yardsticks | stored | against it |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, value in counted.items():
        steps = 1.0 if name == "yardstick" else value
        known = 1.0 if name == "yardstick" else allowed.get(name)
        against = "| |" if known is None else f"{known:.3f} | {steps / known - 1:+.1%} |"
        print(f"| {name} | {steps * stick:,.0f} | {steps:.3f} | {against}")


if __name__ == "__main__":
    sys.exit(main())
