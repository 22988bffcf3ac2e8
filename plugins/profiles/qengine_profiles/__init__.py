"""Profiles: named sets of policies under which a run does what another backtester does. They know no engine."""

from __future__ import annotations

from qengine_profiles.backtesting_py import BacktestingPy
from qengine_profiles.backtrader import Backtrader
from qengine_profiles.lean import Lean
from qengine_profiles.vectorbt import Vectorbt
from qengine_profiles.zipline import Zipline

__all__ = ["BacktestingPy", "Backtrader", "Lean", "Vectorbt", "Zipline"]
