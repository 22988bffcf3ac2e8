"""Announces the strategy of columns by the name that run files use, and what is compiled; it computes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_compiled.signals import ColumnSignals
from qengine_compiled.warmup import LaneCode
from qengine_core.plugin import StrategySpec, WarmupSpec, implements


@implements.strategies
def strategies() -> Iterable[StrategySpec]:
    """Every strategy of this plugin."""
    yield StrategySpec(
        name="signals", summary="Enters and leaves by columns of the data, compiled.", component=ColumnSignals
    )


@implements.warmups
def warmups() -> Iterable[WarmupSpec]:
    """What it compiles besides strategies."""
    yield WarmupSpec(name="compiled-lane", summary="The walk over rows, and strategies' questions.", component=LaneCode)
