"""The laws of financing models: a small ledger, ten days without market data, and what is booked in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.agenda import Agenda
from qengine_core.blocks import StreamInfo
from qengine_core.clock import SimulatedClock
from qengine_core.participant import Participant
from qengine_core.randomness import Randomness
from qengine_core.run import Run
from qengine_core.testing.conformance import ComponentLaws, run_laws
from qengine_core.vocabulary import BAR, Instrument, Phase

__all__ = ["FinancingLaws", "check_financing"]

_DAY = 86_400_000_000_000


class FinancingLaws(ComponentLaws):
    """The laws of a financing model, of accounts that hold ``instruments`` for ten days from ``first_ts`` (ns UTC)."""

    instruments: ClassVar[tuple[Instrument, ...]] = (Instrument(name="X"), Instrument(name="Y", multiplier=10.0))
    first_ts: ClassVar[int] = 1_577_890_800_000_000_000  # 2020-01-01, 15:00

    def test_builds_a_participant(self) -> None:
        participant = self.model.build(_World(self, 0.0, {}).run)
        assert isinstance(participant, Participant), f"build() returns {participant!r}, which is no Participant."

    def test_books_nothing_for_an_account_that_has_nothing(self) -> None:
        flows = self._flows(0.0, {})
        assert not flows, f"an account without cash and positions is booked {flows[0]}."

    def test_books_amounts_that_can_be_told_apart(self) -> None:
        """Finite amounts, under a kind in lower-case words."""
        for flow in self._all_flows():
            assert math.isfinite(flow.amount), f"{flow} is booked, whose amount is not a finite number."
            words = flow.kind.split("-")
            assert all(word.isalnum() and word == word.lower() for word in words), (
                f"{flow}: a kind is lower-case words."
            )

    def test_books_before_the_market_data_of_the_instant(self) -> None:
        """Else the equity of an instant would depend on where a feed cuts its blocks."""
        for flow in self._all_flows():
            assert flow.phase < Phase.MARKET_DATA, f"{flow} is booked in the phase {Phase(flow.phase).name}."

    def test_books_the_same_each_time(self) -> None:
        assert self._all_flows() == self._all_flows(), "two runs of the same days are booked differently."

    def _all_flows(self) -> list[_Flow]:
        longs = dict.fromkeys(range(len(self.instruments)), 7.0)
        shorts = {code: -quantity for code, quantity in longs.items()}
        return self._flows(1e6, longs) + self._flows(-1e6, longs) + self._flows(1e6, shorts)

    def _flows(self, cash: float, quantities: Mapping[int, float]) -> list[_Flow]:
        world = _World(self, cash, quantities)
        world.live(self.model.build(world.run))
        return world.flows


def check_financing(model: Any) -> None:
    """Every law of a financing model, over ten days of 2020. Raises AssertionError naming the flow that breaks one."""
    run_laws(type("Laws", (FinancingLaws,), {"model": model}))


@attrs.frozen
class _Flow:
    """What was booked, when, and in which phase."""

    ts: int
    phase: int
    kind: str
    amount: float
    currency: str
    code: int


class _World:
    """A run without market data: a ledger of one account, and the days that pass over it."""

    def __init__(self, laws: FinancingLaws, cash: float, quantities: Mapping[int, float]) -> None:
        self.flows: list[_Flow] = []
        self.cash, self.quantities = cash, dict(quantities)
        self.currencies: Sequence[str] = tuple(dict.fromkeys(i.currency for i in laws.instruments)) or ("USD",)
        self.accounts = [self]
        self._first_ts = laws.first_ts
        stream = StreamInfo(kind=BAR, columns=(), instruments=laws.instruments, rows=0)
        self.run = Run(
            clock=SimulatedClock(laws.first_ts - 1),
            agenda=Agenda(),
            random=Randomness(0),
            instruments=laws.instruments,
            streams=(stream,),
            components={"calendar": (_EveryDay(),)},
        )
        self.run.built["ledger"], self.run.built["broker"] = self, _NoOrders(self)

    def live(self, participant: Participant) -> None:
        """Let ten days pass."""
        clock, agenda = self.run.clock, self.run.agenda
        participant.on_start()
        while agenda.next_key is not None and agenda.next_key[0] <= self._first_ts + 10 * _DAY:
            ts, self._phase = agenda.next_key
            clock.stand_at(ts)
            for event in agenda.take():
                assert event.action is not None
                event.action()
                agenda.drain()

    # What a financing model asks of a ledger and its accounts.

    def mark(self, code: int) -> float:
        return 100.0 + code

    def balance(self, currency: str) -> float:
        return self.cash if currency == self.currencies[0] else 0.0

    def held(self) -> Sequence[int]:
        return sorted(self.quantities)

    def quantity(self, code: int) -> float:
        return self.quantities.get(code, 0.0)

    def pay(self, kind: str, amount: float, currency: str, code: int = -1) -> None:
        if amount:
            self.flows.append(_Flow(self.run.clock.now, self._phase, kind, amount, currency, code))

    def split(self, code: int, ratio: float) -> None:
        self.quantities = {at: held * ratio if at == code else held for at, held in self.quantities.items()}


class _NoOrders:
    """What a financing model may ask of a broker, of one that has no open orders."""

    def __init__(self, world: _World) -> None:
        self._world = world

    def split(self, code: int, ratio: float) -> None:
        """Nothing is open."""

    def close_out(self, code: int, price: float, reason: str) -> None:
        self._world.quantities.pop(code, None)


class _EveryDay:
    """A calendar in which every day is a session."""

    def covers(self, instrument: Instrument) -> bool:
        return True

    def sessions(
        self, first_ts: int, last_ts: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.datetime64]]:
        opens = np.arange(first_ts // _DAY, last_ts // _DAY + 1, dtype=np.int64) * _DAY
        return opens, opens + _DAY, opens.view("datetime64[ns]").astype("datetime64[D]")
