"""What this plugin announces: the simulated broker, measured latencies, and a command that compiles."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_broker_sim.latency import MeasuredLatency
from qengine_broker_sim.settings import SimulatedBroker
from qengine_broker_sim.warmup import WarmupCommand
from qengine_core.plugin import BrokerSpec, CommandSpec, LatencySpec, implements


@implements.brokers
def brokers() -> Iterable[BrokerSpec]:
    yield BrokerSpec(
        name="simulated", summary="Matches orders against market data, next open first.", component=SimulatedBroker
    )


@implements.commands
def commands() -> Iterable[CommandSpec]:
    yield CommandSpec(
        name="warmup",
        summary="Compile the simulated broker now, so that no run waits for it.",
        component=WarmupCommand,
    )


@implements.latency_models
def latency_models() -> Iterable[LatencySpec]:
    yield LatencySpec(
        name="measured", summary="Latencies of orders as they were measured, by time.", component=MeasuredLatency
    )
