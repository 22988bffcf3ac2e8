"""The only place that reads a wall clock: for noting when and how long a run ran, never for deciding anything."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["Stopwatch", "reading", "utc_now_iso"]

reading = time.perf_counter  # in seconds, of which only differences mean something


class Stopwatch:
    """Measures seconds since it was made."""

    def __init__(self) -> None:
        self._began = reading()

    def seconds(self) -> float:
        return reading() - self._began


def utc_now_iso() -> str:
    """The wall clock's time as ISO 8601 in UTC, to the second: ``2024-05-01T12:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
