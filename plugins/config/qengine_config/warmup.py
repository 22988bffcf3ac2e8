"""``qengine warmup``: has every plugin compile its machine code ahead of the first run, which would wait for it."""

from __future__ import annotations

import argparse
from typing import Any

from qengine_core.manager import Plugins
from qengine_core.plugin import component

__all__ = ["WarmupCommand"]


@component
class WarmupCommand:
    """Compiles whatever some run may ask for, as far as that has not been done.

    Worth doing once after installing, and where an image is built. The code is kept beside the sources, or where
    the environment variable ``NUMBA_CACHE_DIR`` says; what has changed since is compiled again.
    """

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""
        parser.add_argument("--workers", type=int, default=2, help="processes at a time (default: %(default)s)")

    def main(self, options: argparse.Namespace, plugins: Plugins) -> int:
        """Compile, and say so."""
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        entries = plugins.all("warmup")
        parts = [(entry.spec.component, part) for entry in entries for part in entry.spec.component().parts()]
        with ProcessPoolExecutor(max(1, options.workers), mp_context=get_context("spawn")) as pool:
            list(pool.map(_compile, parts))
        print(f"Compiled: {', '.join(entry.spec.name for entry in entries) or 'nothing, as no plugin has anything'}.")
        return 0


def _compile(what: tuple[Any, str]) -> None:
    made, part = what
    made().compile(part)
