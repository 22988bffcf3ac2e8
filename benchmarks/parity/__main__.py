"""``python -m benchmarks.parity``: runs scenarios through the peers and in QEngine, and compares what they did."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.parity import comparing, results
from benchmarks.parity.environments import PeerUnavailableError
from benchmarks.parity.ours import OURS
from benchmarks.parity.runners import (
    RUNNERS,
    Runner,
    RunnerFailedError,
    case_folder,
    result_folder,
    run,
)
from benchmarks.parity.scenario import Scenario
from benchmarks.parity.scenarios import SCENARIOS
from benchmarks.parity.workload import RECORD, Workload, outcome

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 when a peer was not there or failed; the others are run all the same."""
    options = _parser().parse_args(arguments)
    peers = [RUNNERS[name] for name in options.peer or RUNNERS]
    scenarios = [SCENARIOS[name] for name in options.scenario or SCENARIOS]
    if options.command == "list":
        _list(peers, scenarios)
        return 0
    if options.command == "expect":
        results.save(results.collect(RUNNERS.values(), SCENARIOS.values()))
        print(f"{results.EXPECTED.name} now says what {', '.join(RUNNERS)} did in {len(SCENARIOS)} scenarios.")
        return 0
    if options.command == "workload":
        workload = Workload(options.instruments, options.days)
        return max([_workload(peer, workload, ours=options.ours) for peer in peers])
    if options.command == "compare":
        return max([_compare(peer, scenarios, fresh=options.fresh) for peer in peers])
    return max([_run(peer, scenarios, fills=options.fills) for peer in peers])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    words = {
        "run": "run scenarios through the peers, into the cache folder",
        "list": "list the scenarios, and which peers run them",
        "compare": "run scenarios in QEngine under the peers' profiles, and compare with what the peers did",
        "workload": "run the large workload through the peers, or in QEngine, and record what it takes",
        "expect": "write what the peers did in all scenarios to expected.json",
    }
    for name, help_text in words.items():
        command = commands.add_parser(name, help=help_text)
        several: dict[str, Any] = {"action": "append", "metavar": "NAME"}
        command.add_argument("--peer", choices=list(RUNNERS), help="this peer alone; may be repeated", **several)
        if name == "workload":
            command.add_argument("--instruments", type=int, default=Workload.instruments)
            command.add_argument("--days", type=int, default=Workload.days)
            command.add_argument("--ours", action="store_true", help="QEngine under the peers' profiles, and compare")
        if name == "compare":
            command.add_argument("--fresh", action="store_true", help="run the peers too, in place of expected.json")
        command.add_argument("--scenario", choices=list(SCENARIOS), help="this one alone; may be repeated", **several)
        command.add_argument("--fills", action="store_true", help="print the fills")
    return parser


def _list(peers: list[Runner], scenarios: list[Scenario]) -> None:
    for scenario in scenarios:
        able = [peer.name for peer in peers if peer.skips(scenario) is None]
        print(f"{scenario.name:32} {scenario.exercises}\n{'':32} {', '.join(able) or 'none of them'}")


def _run(peer: Runner, scenarios: list[Scenario], *, fills: bool) -> int:
    try:
        skipped = run(peer, scenarios)
    except (PeerUnavailableError, RunnerFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    for scenario in scenarios:
        if scenario.name in skipped:
            print(f"{peer.name:12} {scenario.name:32} left out: {skipped[scenario.name]}")
            continue
        folder = result_folder(peer, scenario.name)
        account, table = (pl.read_parquet(folder / f"{name}.parquet") for name in ("account", "fills"))
        print(f"{peer.name:12} {scenario.name:32} {table.height:4} fills, equity {account['equity'][-1]:,.4f}")
        for row in table.iter_rows() if fills else ():
            print(f"{'':12} {row[0]:12} {row[1]:4} bar {row[2]:3} {row[3]:+10.4f} at {row[4]:.8g}, {row[5]:.6g}")
    return 0


def _compare(peer: Runner, scenarios: list[Scenario], *, fresh: bool) -> int:
    """Ours against one peer, a line a scenario and one a difference; 1 if one is not known, or no difference is left
    where one is known.
    """
    ours = OURS[peer.name]
    skipped = run(ours, scenarios)
    if fresh:
        run(peer, scenarios)
    record = results.load()["scenarios"]
    status, fills, equal = 0, 0, 0
    for scenario in scenarios:
        if scenario.name in skipped:
            continue
        mine = results.result(result_folder(ours, scenario.name))
        theirs = (
            results.result(result_folder(peer, scenario.name)) if fresh else record[scenario.name]["results"][peer.name]
        )
        found, cause = comparing.differences(mine, theirs), comparing.known_cause(scenario.name, peer.name)
        if bool(found) != (cause is not None):
            status = 1
        fills += len(theirs["fills"])
        equal += not found
        words = "equal" if not found else f"{len(found)} differences" + ("" if cause is None else f", known: {cause}")
        print(f"{peer.name:12} {scenario.name:32} {len(theirs['fills']):4} fills, {words}")
        for difference in found:
            print(f"{'':45} {difference}")
    print(f"{peer.name:12} {equal} of {len(scenarios) - len(skipped)} scenarios equal, with {fills} fills")
    return status


def _workload(peer: Runner, workload: Workload, *, ours: bool) -> int:
    """The record is of the full workload alone; a smaller one is only printed."""
    if peer.name == "backtesting":
        print(f"{peer.name:12} left out: it trades one instrument.")
        return 0
    side: Runner = OURS[peer.name] if ours else peer
    case, result = case_folder(workload.name), result_folder(side, workload.name)
    if not (case / "scenario.json").exists():
        workload.write(case)
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir(parents=True)
    try:
        _in_a_process(side, {case: result})
    except (PeerUnavailableError, RunnerFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    said = outcome(result)
    print(f"{side.name:12} {json.dumps(said)}")
    if workload == Workload():
        record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        RECORD.write_text(json.dumps(record | {side.name: said}, indent=1) + "\n")
    return _compare_workload(peer, result, result_folder(peer, workload.name)) if ours else 0


def _in_a_process(side: Runner, cases: dict[Path, Path]) -> None:
    """In a process of its own, so that what it takes of memory is its own too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        process.submit(side.run, cases).result()


def _compare_workload(peer: Runner, mine: Path, theirs: Path) -> int:
    """Every fill against the peer's, whose results must be there from a run of its own."""
    if not (theirs / "run.json").exists():
        print(f"{peer.name} has not run it here: do so without --ours first.", file=sys.stderr)
        return 1
    found = comparing.differences(results.result(mine), results.result(theirs))
    print(f"{peer.name:12} {len(found)} differences")
    for difference in found[:20]:
        print(f"{'':12} {difference}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
