"""Where the next run folder goes; it makes no run folder itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from qengine_core.plugin import ConfigError

__all__ = ["next_run_folder"]


def next_run_folder(parent: Path, name: str) -> Path:
    """``<parent>/<name>-<NNN>`` with the first number above all taken ones, whatever became of those runs.

    Makes the parent, so that a folder that cannot be written is found before the run and not after it.
    Raises ConfigError.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Results cannot go to {parent}: {error.strerror}. Choose another folder with --out."
        ) from None
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"Results cannot go to {parent}: it is not writable. Choose another folder with --out.")
    # A run under way or a failed one may carry marks before or after its name; its number is taken all the same.
    pattern = re.compile(rf"\.?{re.escape(name)}-(\d{{3,}})(?!\d)")
    taken = [int(match[1]) for entry in parent.iterdir() if (match := pattern.match(entry.name))]
    return parent / f"{name}-{max(taken, default=0) + 1:03d}"
