"""The commands ``run`` and ``replay``: their arguments, and nothing of how they work."""

from __future__ import annotations

import argparse

from qengine_core.manager import Plugins
from qengine_core.plugin import component

__all__ = ["ReplayCommand", "RunCommand"]


@component
class RunCommand:
    """``qengine run FILE``: compose what the run file says, run it, and show what came out."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""
        parser.add_argument("file", help="run file: .toml, .yaml or .yml")
        parser.add_argument("--out", metavar="DIR", help="where run folders go (default: runs)")
        parser.add_argument(
            "--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides", help="as in strategy.fast=20"
        )
        parser.add_argument("--seed", type=int, metavar="N", help="seed of every random generator")
        parser.add_argument("--profile", action="store_true", help="show what the time went on, part by part")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
        parser.add_argument("--no-progress", action="store_true", help="show no progress bar")

    def main(self, options: argparse.Namespace, plugins: Plugins) -> int:
        """Run it. Raises QEngineError for the user's mistakes."""
        from qengine_config.running import run

        return run(options, plugins)


@component
class ReplayCommand:
    """``qengine replay RUN_FOLDER``: run the recorded composition again and compare every output byte by byte."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""
        parser.add_argument("folder", help="a run folder: the one with manifest.json in it")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
        parser.add_argument("--no-progress", action="store_true", help="show no progress bar")

    def main(self, options: argparse.Namespace, plugins: Plugins) -> int:
        """Replay it: 0 if every output is identical, 1 if not. Raises QEngineError for the user's mistakes."""
        from qengine_config.replaying import replay

        return replay(options, plugins)
