"""What a command may print and where, while a run is under way; it draws nothing itself."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from qengine_core.loop import Progress

__all__ = ["print_json", "under_way"]


@contextlib.contextmanager
def under_way(name: str, *, as_json: bool, show_progress: bool) -> Iterator[Progress | None]:
    """Yield what ``Engine.run`` reports progress to: a bar on stderr, if that is a terminal and it is wanted.

    With ``as_json``, what a strategy prints goes to stderr: it must not end up inside of the JSON.
    """
    with contextlib.ExitStack() as stack:
        if as_json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if not show_progress or not sys.stderr.isatty():
            yield None
            return
        from qengine_config.showing import progress_bar

        yield stack.enter_context(progress_bar(name))


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
