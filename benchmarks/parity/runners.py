"""Who can run scenarios: a runner turns cases into folders of fills, account and orders. It compares nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.parity.environments import PEERS, cache_folder, environment
from benchmarks.parity.scenario import Scenario

__all__ = ["RUNNERS", "PeerRunner", "Runner", "RunnerFailedError", "case_folder", "result_folder", "run"]

_ROOT = Path(__file__).parents[2]


class RunnerFailedError(RuntimeError):
    """A runner could not do a scenario that it should have done; the message names both and says where to look."""


class Runner(Protocol):
    """One side of the comparison.

    ``run`` reads ``scenario.json`` and ``bars.parquet`` of each case and leaves in its result folder the tables
    ``fills`` (intent, instrument, bar, quantity, price, commission), ``account`` (bar, cash, equity) and ``orders``
    (intent, status, reason) as Parquet, and ``run.json`` (digest, versions, seconds).
    """

    @property
    def name(self) -> str: ...

    def skips(self, scenario: Scenario) -> str | None:
        """Why the scenario makes no sense here, or nothing."""

    def run(self, cases: Mapping[Path, Path]) -> None:
        """Runs every case folder into its result folder; raises RunnerFailedError when one of them failed."""


@dataclass(frozen=True)
class PeerRunner:
    """A peer, in a process of its own environment; one process does all cases."""

    name: str

    def skips(self, scenario: Scenario) -> str | None:
        return scenario.without.get(self.name)

    def run(self, cases: Mapping[Path, Path]) -> None:
        python = environment(self.name)
        pairs = [(str(case), str(result)) for case, result in cases.items()]
        done = subprocess.run(
            [python, "-m", f"benchmarks.parity.peers.{self.name}"],
            input=json.dumps(pairs),
            cwd=_ROOT,
            # A peer's own settings and plugins of this machine have no part in it.
            env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            capture_output=True,
            text=True,
            check=False,
        )
        failed = [result for result in cases.values() if not (result / "run.json").exists()]
        if failed:
            notes = failed[0] / "error.txt"
            said = (notes.read_text() if notes.exists() else done.stderr).strip().splitlines()
            raise RunnerFailedError(
                f"{self.name} failed in {', '.join(folder.name for folder in failed)}; the first said "
                f"{said[-1] if said else 'nothing'}: see {failed[0]}."
            )


RUNNERS: dict[str, Runner] = {name: PeerRunner(name) for name in PEERS}


def case_folder(name: str) -> Path:
    """Where a case is written for everybody to read."""
    return cache_folder() / "parity" / "cases" / name


def result_folder(runner: Runner, name: str) -> Path:
    """Where one side's results of one case are kept."""
    return cache_folder() / "parity" / "results" / runner.name / name


def run(runner: Runner, scenarios: Iterable[Scenario]) -> dict[str, str]:
    """Runs those that make sense, from an empty result folder each; returns why the others do not."""
    skipped: dict[str, str] = {}
    cases: dict[Path, Path] = {}
    for scenario in scenarios:
        if (reason := runner.skips(scenario)) is not None:
            skipped[scenario.name] = reason
            continue
        folder = result_folder(runner, scenario.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        scenario.write(case_folder(scenario.name))
        cases[case_folder(scenario.name)] = folder
    if cases:
        runner.run(cases)
    return skipped
