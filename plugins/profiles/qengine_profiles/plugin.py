"""Announces the profiles by the names that run files use."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import ProfileSpec, implements
from qengine_profiles.backtesting_py import BacktestingPy
from qengine_profiles.backtrader import Backtrader
from qengine_profiles.lean import Lean
from qengine_profiles.vectorbt import Vectorbt
from qengine_profiles.zipline import Zipline


@implements.profiles
def profiles() -> Iterable[ProfileSpec]:
    """Every profile of this plugin."""
    yield ProfileSpec(name="backtesting-py", summary="Fills as backtesting.py 0.6 does.", component=BacktestingPy)
    yield ProfileSpec(name="backtrader", summary="Fills as backtrader 1.9 does.", component=Backtrader)
    yield ProfileSpec(name="lean", summary="Fills as LEAN does for US equities.", component=Lean)
    yield ProfileSpec(name="vectorbt", summary="Fills as vectorbt 1.2 does.", component=Vectorbt)
    yield ProfileSpec(name="zipline", summary="Fills as zipline-reloaded 3.2 does.", component=Zipline)
