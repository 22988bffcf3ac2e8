"""Run files: TOML or YAML in, a checked composition out; and the commands that work on them."""

from __future__ import annotations

from qengine_config.commands import ReplayCommand, RunCommand
from qengine_config.runfile import RunFile, load_run_file

__all__ = ["ReplayCommand", "RunCommand", "RunFile", "load_run_file"]
