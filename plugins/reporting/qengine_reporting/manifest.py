"""What a run folder's manifest.json says: how the run was composed and what came out. It writes nothing."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qengine_core import __version__
from qengine_core.wall import utc_now_iso

if TYPE_CHECKING:
    from qengine_core.engine import Result

__all__ = ["SCHEMA_VERSION", "described", "hashes", "manifest", "plain"]

SCHEMA_VERSION = 1
_OWN_NAME = "qengine-reporting"  # writes the tables of every run, composed or not


def manifest(result: Result, outputs: Mapping[str, str]) -> dict[str, Any]:
    """The manifest as plain JSON values. Everything but ``wall`` is the same for the same run.

    ``outputs`` maps each file of the folder to the SHA-256 of its bytes. Times are ISO 8601 in UTC.
    """
    rate = result.rows / result.seconds if result.seconds > 0 else None
    return {
        **described(result),
        "outputs": dict(outputs),
        "wall": {
            "created": utc_now_iso(),
            "seconds": plain(result.seconds),
            "rows_per_second": plain(rate),
        },
    }


def described(result: Result) -> dict[str, Any]:
    """The part of the manifest that does not depend on when and how fast the run ran."""
    counts = {"rows": result.rows, "wakes": result.wakes, **result.counts}
    facts = {
        "schema_version": SCHEMA_VERSION,
        "qengine": __version__,
        "plugins": dict(sorted({**result.plugins, _OWN_NAME: version(_OWN_NAME)}.items())),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "config": result.config,
        "seed": result.config.get("seed"),
        "data": [_stream(stream) for stream in result.streams],
        "start": _moment(result.start_ts) if result.rows else None,
        "end": _moment(result.end_ts) if result.rows else None,
        "counts": counts,
        "flags": list(result.flags),
    }
    return {key: plain(value) for key, value in facts.items()}


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` but the manifest, by its relative path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in files}


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """As JSON values: what has no finite number is None, and what JSON does not know becomes text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def _stream(stream: Any) -> dict[str, Any]:
    return {
        "kind": stream.kind,
        "columns": list(stream.columns),
        "instruments": [instrument.name for instrument in stream.instruments],
        "rows": stream.rows,
        **stream.description,
    }


def _moment(ts: int) -> str:
    """All nine digits of the second if the last three are used, else Python's usual six or none."""
    text = str(np.datetime64(ts, "ns"))
    text = text.removesuffix("000") if not ts % 1000 else text
    return f"{text.removesuffix('.000000')}Z"
