"""The simulated broker of QEngine: matching, order states, liquidity, buying power."""

from __future__ import annotations

from qengine_broker_sim.latency import MeasuredLatency
from qengine_broker_sim.settings import SimulatedBroker

__all__ = ["MeasuredLatency", "SimulatedBroker"]
