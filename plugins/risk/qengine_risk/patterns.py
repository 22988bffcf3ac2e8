"""Which instruments a rule is for. It knows names only."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

__all__ = ["covers"]


def covers(patterns: Sequence[str], name: str) -> bool:
    """Whether a name is listed or matches a pattern; no patterns match everything."""
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
