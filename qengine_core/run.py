"""One run while it is under way: what its participants share, and how they find one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import numpy as np

from qengine_core.agenda import Agenda
from qengine_core.blocks import StreamInfo
from qengine_core.clock import SimulatedClock
from qengine_core.errors import ConfigError
from qengine_core.participant import Participant
from qengine_core.randomness import Randomness
from qengine_core.roles import Broker, Calendar, CommissionModel, Ledger, RiskRule, SlippageModel
from qengine_core.sessions import Sessions
from qengine_core.vocabulary import Instrument

__all__ = ["Run"]


@attrs.define(kw_only=True)
class Run:
    """Given to every ``build``. ``components`` holds what was composed, by kind (a tuple each).

    The ledger is built first, then the broker, risk and position rules, financing and the strategies: each may use
    what exists already, and all of them exist when ``on_start`` is called. ``building`` is the number, among those
    of its kind, of the component that is being built, and ``account`` the number of the account that it is for, if for
    one only. ``takes_over`` says whether a participant may handle rows in another's stead: not in the naive loop, nor
    where each one's time is taken.
    """

    clock: SimulatedClock
    agenda: Agenda
    random: Randomness
    instruments: tuple[Instrument, ...]
    streams: tuple[StreamInfo, ...]
    components: Mapping[str, tuple[Any, ...]]
    takes_over: bool = True
    codes: Mapping[str, int] = attrs.field(init=False)
    participants: list[Any] = attrs.field(init=False, factory=list)
    built: dict[str, Any] = attrs.field(init=False, factory=dict)
    risk: list[RiskRule] = attrs.field(init=False, factory=list)
    building: int = attrs.field(init=False, default=0)
    account: int | None = attrs.field(init=False, default=None)
    _sessions: list[Sessions] = attrs.field(init=False, factory=list)

    @codes.default
    def _codes(self) -> dict[str, int]:
        return {instrument.name: code for code, instrument in enumerate(self.instruments)}

    def rng(self, name: str) -> np.random.Generator:
        """The run's seeded generator of that name."""
        return self.random(name)

    def add(self, kind: str, component: Any, account: int | None = None) -> None:
        """Build what acts for a component in this run; what is on the timeline joins the participants, once."""
        self.account = account
        part = component.build(self) if hasattr(component, "build") else component
        self.built[kind] = part
        if kind == "risk":
            self.risk.append(part)
            if not isinstance(part, Participant):
                return
        if not any(part is other for other in self.participants):
            self.participants.append(part)

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

    def sessions(self, code: int) -> Sessions:
        """The sessions that an instrument trades in; the same object for all of one calendar.

        Raises ConfigError if no calendar of the run covers an instrument.
        """
        if not self._sessions:
            self._sessions = self._shared_sessions()
        return self._sessions[code]

    def _shared_sessions(self) -> list[Sessions]:
        numbers = [self._calendar_of(instrument) for instrument in self.instruments]
        shared = {
            number: Sessions(
                self.components["calendar"][number],
                tuple(instrument.name for instrument, n in zip(self.instruments, numbers, strict=True) if n == number),
            )
            for number in dict.fromkeys(numbers)
        }
        return [shared[number] for number in numbers]

    def _calendar_of(self, instrument: Instrument) -> int:
        calendars: Sequence[Calendar] = self.components["calendar"]
        for number, calendar in enumerate(calendars):
            if calendar.covers(instrument):
                return number
        raise ConfigError(
            f"No calendar covers {instrument.name}: name it in one of them, or end the list with one for all others."
        )

    def order_types(self) -> Sequence[Any]:
        """The specs of the order types that this run may name."""
        return self.components["order_type"]

    def close(self) -> None:
        """Let go of everybody. A run that is over is held by nobody but its result, and freed with it."""
        self.participants.clear()
        self.built.clear()
        self.risk.clear()
        self.agenda.clear()
