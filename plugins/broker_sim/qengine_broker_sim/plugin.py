"""What this plugin announces: the simulated broker, measured latencies, and what it compiles."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_broker_sim.latency import MeasuredLatency
from qengine_broker_sim.settings import SimulatedBroker
from qengine_broker_sim.warmup import BrokerCode
from qengine_core.plugin import BrokerSpec, LatencySpec, WarmupSpec, implements


@implements.brokers
def brokers() -> Iterable[BrokerSpec]:
    yield BrokerSpec(
        name="simulated", summary="Matches orders against market data, next open first.", component=SimulatedBroker
    )


@implements.latency_models
def latency_models() -> Iterable[LatencySpec]:
    yield LatencySpec(
        name="measured", summary="Latencies of orders as they were measured, by time.", component=MeasuredLatency
    )


@implements.warmups
def warmups() -> Iterable[WarmupSpec]:
    yield WarmupSpec(name="simulated-broker", summary="Sending, matching and settling orders.", component=BrokerCode)
