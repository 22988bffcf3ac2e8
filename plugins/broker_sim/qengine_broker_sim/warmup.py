"""``qengine warmup``: makes the machine code of the broker ahead of the first run, which would wait for it."""

from __future__ import annotations

import argparse

from qengine_core.manager import Plugins
from qengine_core.plugin import component

__all__ = ["WarmupCommand"]

# What takes longest is begun first, so that it does not run alone at the end.
_LONGEST = ("tangle", "submit", "walk", "turn", "execute")


@component
class WarmupCommand:
    """Compiles every part of the simulated broker that some run may ask for, as far as that has not been done.

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

        from qengine_broker_sim import entries

        names = dict.fromkeys((*_LONGEST, *entries.everything()))
        with ProcessPoolExecutor(max(1, options.workers), mp_context=get_context("spawn")) as pool:
            list(pool.map(_make, names))
        print("The simulated broker is compiled.")
        return 0


def _make(name: str) -> None:
    from qengine_broker_sim import entries, progress

    progress.hush()  # whoever warms up knows what he waits for

    entries.everything()[name]()
