"""Every mistake a user can make, as one sentence; it knows nothing of how errors are shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "PluginError",
    "QEngineError",
    "RunError",
    "did_you_mean",
]


class QEngineError(Exception):
    """A mistake the user can mend. Its message is one readable sentence that ends in the way out.

    ``key`` says where in a composition the mistake lies, as in ``("feed", 0, "path")``; empty if nowhere.
    """

    key: tuple[str | int, ...] = ()


class ConfigError(QEngineError):
    """A run file, parameter or composition asks for something that does not exist or is out of range."""


class PluginError(QEngineError):
    """A plugin is missing, broken, ambiguous, or breaks the contract of a hook."""


class DataError(QEngineError):
    """Market data that cannot be trusted: the message names file, row and column."""


class RunError(QEngineError):
    """A component raised while the run was under way; ``__cause__`` holds what it raised."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?) `` for the closest known name, and always the known names."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}known: {', '.join(names) if names else 'none'}"
