"""One run while it is under way: what its participants share, and how they find one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import numpy as np

from qengine_core.agenda import Agenda
from qengine_core.blocks import StreamInfo
from qengine_core.clock import SimulatedClock
from qengine_core.randomness import Randomness
from qengine_core.roles import Broker, CommissionModel, Ledger, SlippageModel
from qengine_core.vocabulary import Instrument

__all__ = ["Run"]


@attrs.define(kw_only=True)
class Run:
    """Given to every ``build``. ``components`` holds what was composed, by kind (a tuple each).

    The ledger is built first, then the broker, then the strategies: each may use what exists already,
    and all of them exist when ``on_start`` is called.
    """

    clock: SimulatedClock
    agenda: Agenda
    random: Randomness
    instruments: tuple[Instrument, ...]
    streams: tuple[StreamInfo, ...]
    components: Mapping[str, tuple[Any, ...]]
    codes: Mapping[str, int] = attrs.field(init=False)
    participants: list[Any] = attrs.field(init=False, factory=list)
    built: dict[str, Any] = attrs.field(init=False, factory=dict)

    @codes.default
    def _codes(self) -> dict[str, int]:
        return {instrument.name: code for code, instrument in enumerate(self.instruments)}

    def rng(self, name: str) -> np.random.Generator:
        """The run's seeded generator of that name."""
        return self.random(name)

    @property
    def ledger(self) -> Ledger:
        return cast("Ledger", self.built["ledger"])

    @property
    def broker(self) -> Broker:
        return cast("Broker", self.built["broker"])

    @property
    def commission(self) -> CommissionModel:
        return cast("CommissionModel", self.components["commission"][0])

    @property
    def slippage(self) -> SlippageModel:
        return cast("SlippageModel", self.components["slippage"][0])

    def order_types(self) -> Sequence[Any]:
        """The specs of the order types that this run may name."""
        return self.components["order_type"]
