"""Says on the error stream that machine code is being made, where that takes a while. It knows no code."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from qengine_core.wall import reading

__all__ = ["hush", "making"]

_PATIENCE = 1.0  # seconds: code that was kept on disk is there long before
_hushed = threading.Event()
_told: list[float] = []  # when the first line was written, in this process


def hush() -> None:
    """Say nothing more in this process."""
    _hushed.set()


@contextlib.contextmanager
def making(part: str) -> Iterator[None]:
    """Write a line if making a part takes longer than a second: a first run is silent for no longer."""
    timer = threading.Timer(_PATIENCE, _tell, [part])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _tell(part: str) -> None:
    if _hushed.is_set():
        return
    if not _told:
        _told.append(reading() - _PATIENCE)
        print(
            "Compiling machine code, once on this machine; `qengine warmup` does it ahead, in half a minute.",
            file=sys.stderr,
        )
    print(f"  {reading() - _told[0]:3.0f} s  {part}", file=sys.stderr, flush=True)
