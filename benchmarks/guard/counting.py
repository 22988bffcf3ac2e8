"""Counts the instructions of each path under valgrind, per unit and in yardsticks. It knows no budget.

A yardstick is a bit of ordinary Python, counted in the same run: in multiples of it, interpreters of one version that
were compiled differently agree better than in instructions.
"""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["CountingError", "count"]

_ROOT = Path(__file__).resolve().parents[2]
_TOOL = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
_TOTAL = re.compile(r"I\s+refs:\s+([\d,]+)")


class CountingError(RuntimeError):
    """Instructions cannot be counted here; the message says why, in one sentence."""


def count() -> dict[str, float]:
    """Instructions per unit of each path by this interpreter; of all but the yardstick, in yardsticks."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CountingError("There is no valgrind here: apt-get install valgrind.")
    with tempfile.TemporaryDirectory() as logs:
        script = str(Path(__file__).with_name("paths.py"))
        command = [valgrind, *_TOOL, f"--log-file={logs}/%p", sys.executable, "-S", script]
        # All that could make two runs differ is fixed; without site, nothing is searched that is installed beside.
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *site.getsitepackages()]),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        done = subprocess.run(command, env=environment, cwd=logs, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CountingError(
                f"valgrind could not run the paths: {(done.stderr.strip() or 'it says nothing')[-300:]}"
            )
        found = [line.split("\t") for line in done.stdout.splitlines()]
        totals = [(name, int(units), _instructions(Path(logs) / process)) for name, units, process in found]
    per_unit = {
        name: (after - before) / (double - units)
        for (name, units, before), (_, double, after) in zip(totals[::2], totals[1::2], strict=True)
    }
    stick = per_unit["yardstick"]
    return {name: value if name == "yardstick" else value / stick for name, value in per_unit.items()}


def _instructions(log: Path) -> int:
    found = _TOTAL.search(log.read_text())
    if found is None:
        raise CountingError(f"valgrind has counted nothing: {log.read_text()[-300:]}")
    return int(found[1].replace(",", ""))
