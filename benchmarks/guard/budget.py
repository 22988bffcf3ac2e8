"""The stored budget: how many instructions a unit of each path may take, by version of Python. It counts nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.guard.paths import PATHS

__all__ = ["STORE", "budget", "excesses", "store"]

STORE = "python -m benchmarks guard --store"
_FILE = Path(__file__).with_name("budget.json")
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# Counts repeat to the instruction. Another build of the same version of Python may differ by a tenth.
_TOLERANCE, _TOLERANCE_OF_ANOTHER_BUILD = 0.05, 0.2


def budget() -> Mapping[str, Any] | None:
    """What is stored for this version of Python, if anything."""
    found: Mapping[str, Any] | None = _read().get(_VERSION)
    return found


def store(counted: Mapping[str, float]) -> None:
    """Make what has been counted the budget of this version of Python."""
    kept = _read() | {_VERSION: {"build": _build(), "paths": {name: round(x, 4) for name, x in counted.items()}}}
    _FILE.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n", encoding="utf-8")


def excesses(counted: Mapping[str, float], stored: Mapping[str, Any]) -> list[str]:
    """A sentence for each path that takes more than its budget allows."""
    is_same = stored["build"] == _build()
    tolerance = _TOLERANCE if is_same else _TOLERANCE_OF_ANOTHER_BUILD
    found = []
    for name, (path, _) in PATHS.items():
        if name == "yardstick":
            continue
        now, allowed = counted[name], stored["paths"].get(name)
        if allowed is None:
            found.append(f"The path {name!r} has no budget for Python {_VERSION}: {STORE}.")
        elif now > allowed * (1 + tolerance):
            found.append(
                f"The kernel's path {name!r} takes {now / allowed - 1:.1%} more instructions than its budget for "
                f"Python {_VERSION} ({now:.2f} yardsticks a unit, {allowed:.2f} stored, {tolerance:.0%} tolerated"
                f"{'' if is_same else ' of another build of it'}): {' '.join((path.__doc__ or '').split())} "
                f"If that is meant, store a new budget: {STORE}."
            )
    return found


def _build() -> str:
    return f"{' '.join(sys.version.split())}, numpy {np.__version__}"


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else {}
    return found
