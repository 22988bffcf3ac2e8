"""Announces the commands that work on run files; it knows nothing of what they do."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_config.commands import ReplayCommand, RunCommand
from qengine_core.plugin import CommandSpec, implements


@implements.commands
def commands() -> Iterable[CommandSpec]:
    """``run`` and ``replay``."""
    yield CommandSpec(name="run", summary="Run the backtest that a run file describes.", component=RunCommand)
    yield CommandSpec(
        name="replay", summary="Run a run folder again and compare every output.", component=ReplayCommand
    )
