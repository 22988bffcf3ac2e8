"""What this plugin announces: the simulated broker."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_broker_sim.settings import SimulatedBroker
from qengine_core.plugin import BrokerSpec, implements


@implements.brokers
def brokers() -> Iterable[BrokerSpec]:
    yield BrokerSpec(
        name="simulated", summary="Matches orders against market data, next open first.", component=SimulatedBroker
    )
