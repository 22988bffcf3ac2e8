"""Announces the strategy of columns by the name that run files use; it computes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_compiled.signals import ColumnSignals
from qengine_core.plugin import StrategySpec, implements


@implements.strategies
def strategies() -> Iterable[StrategySpec]:
    """Every strategy of this plugin."""
    yield StrategySpec(
        name="signals", summary="Enters and leaves by columns of the data, compiled.", component=ColumnSignals
    )
