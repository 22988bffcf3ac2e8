"""Runs one contestant on one workload in a fresh process, and reads what it says. It compares nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.compare.peers.task import Task

__all__ = ["ContestantFailedError", "Measurement", "measure"]

_ROOT = Path(__file__).parents[2]


class ContestantFailedError(RuntimeError):
    """A contestant's process ended without a result; the message says how, in a few words."""


@dataclass(frozen=True)
class Measurement:
    """What one process said, and how long it lived."""

    seconds: float
    rows: int
    orders: int
    fills: int
    final_equity: float
    note: str
    versions: Mapping[str, str]
    python: str
    peak_rss_mb: float
    process_seconds: float


def measure(python: Path | str, module: str, task: Task, timeout: float, is_peer: bool = True) -> Measurement:
    """The result of ``python -m module`` with this task; raises ContestantFailedError where there is none."""
    environment = dict(os.environ)
    if is_peer:  # settings and plugins of this machine have no part in it
        environment = {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [str(python), "-m", module, json.dumps(asdict(task))],
            cwd=_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ContestantFailedError(f"no result within {timeout:.0f} s") from None
    took = time.perf_counter() - began
    if done.returncode != 0 or not done.stdout.strip():
        said = done.stderr.strip().splitlines()
        raise ContestantFailedError(said[-1] if said else f"it ended with status {done.returncode} and said nothing")
    return Measurement(**json.loads(done.stdout), process_seconds=took)
