"""``python -m benchmarks compare``: its arguments, and the document that it prints."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compare import table
from benchmarks.compare.bench import Bench
from benchmarks.compare.contestants import OUR_COUNTS, PEERS
from benchmarks.compare.files import SOURCES

__all__ = ["add_arguments", "compare"]


def compare(options: argparse.Namespace) -> int:
    """Prints the tables; the status is 1 where QEngine itself failed."""
    peers = list(PEERS) if options.peer is None else options.peer
    names = options.workload or [name for name, source in SOURCES.items() if not (options.quick and source.is_folder)]
    bench = Bench(repeat=1 if options.quick else options.repeat, timeout=options.timeout, quick=options.quick)
    sections: list[table.Section] = []
    for name in names:
        sections.append(bench.section(name, peers))
        if options.out:  # what has been measured is kept, should the rest be broken off
            options.out.write_text(_document(bench, sections))
    print(_document(bench, sections), end="")
    return 1 if any(not line.runs for section in sections for line in section.lines[: section.ours]) else 0


def _document(bench: Bench, sections: Sequence[table.Section]) -> str:
    counted = [f"- {name}: {PEERS[name].counts}." for name in PEERS if name in bench.versions]
    blocks = [
        table.heading(bench.repeat, bench.versions),
        "What is counted as seconds:",
        "\n".join([f"- qengine: {OUR_COUNTS}.", *counted]),
        *(table.section(section) for section in sections),
    ]
    return "\n\n".join(blocks) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the subcommand understands."""
    parser.add_argument("--workload", nargs="+", choices=list(SOURCES), help="these workloads alone")
    parser.add_argument("--peer", nargs="*", choices=list(PEERS), help="these peers alone; with no name, QEngine alone")
    parser.add_argument("--repeat", type=int, default=5, help="how many runs the medians are taken over")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds after which a run is given up")
    parser.add_argument("--quick", action="store_true", help="small slices and one run: whether it works, not how fast")
    parser.add_argument("--out", type=Path, help="write the document to this file, too")
