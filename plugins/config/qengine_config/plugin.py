"""Announces the commands that work on run files; it knows nothing of what they do."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_config.commands import ReplayCommand, RunCommand
from qengine_config.warmup import WarmupCommand
from qengine_core.plugin import CommandSpec, implements


@implements.commands
def commands() -> Iterable[CommandSpec]:
    """``run``, ``replay`` and ``warmup``."""
    yield CommandSpec(name="run", summary="Run the backtest that a run file describes.", component=RunCommand)
    yield CommandSpec(
        name="replay", summary="Run a run folder again and compare every output.", component=ReplayCommand
    )
    yield CommandSpec(
        name="warmup", summary="Compile machine code now, so that no run waits for it.", component=WarmupCommand
    )
