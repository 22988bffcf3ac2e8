"""Halting under way in one run: what is refused from then on, and what is done at once. It knows no losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qengine_core.participant import Participant
from qengine_core.plugin import Order, OrderRequest, Phase, Rank
from qengine_risk.exits import Exit

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_risk.halts import KillSwitch

__all__ = ["Halt", "Switch"]

_JOURNAL = "risk-journal"


class _Tripped(NamedTuple):
    """A halt has just come into force."""

    halt: Halt


class Halt(Participant):
    """Refuses all but exits once tripped. Acts after everybody else, when a row has been dealt with."""

    rank = Rank.RECORDING

    def __init__(self, name: str, action: str, run: Run) -> None:
        self.name = name
        self._action, self._run = action, run
        self._reason = ""
        self.is_halted = False
        self._journal: list[dict[str, str]] = run.built.setdefault(_JOURNAL, [])
        run.agenda.on(_Tripped, self._act, self.rank)

    def check(self, request: OrderRequest) -> str:
        """The name of the halt, with its reason if it has one."""
        if request.is_exit or not self._halts(request):
            return ""
        return f"{self.name}: {self._reason}" if self._reason else self.name

    def _halts(self, request: OrderRequest) -> bool:
        return self.is_halted

    def trip(self, reason: str = "") -> None:
        """Halt, as of now. What is to be done is done once the callback under way is over."""
        now = self._run.clock.now
        self.is_halted, self._reason = True, reason
        stamp = f"{np.datetime64(now, 'ns').astype('datetime64[us]')}Z"
        self._journal.append({"rule": self.name, "time": stamp, "reason": reason, "action": self._action})
        self._run.agenda.post(_Tripped(self))

    def _act(self, event: _Tripped) -> None:
        if event.halt is not self or self._action == "halt":
            return
        run, why = self._run, f"risk:{self.name}"
        for order in run.broker.open_orders():
            if self._action == "flatten" or not self._is_exit(order):
                run.broker.cancel(order, why)
        if self._action == "flatten":
            for number, account in enumerate(run.ledger.accounts):
                for code in account.held():
                    quantity = account.quantity(code)
                    side = -1 if quantity > 0 else 1
                    run.broker.submit(code, side, abs(quantity), Exit(), tag=why, account=number)

    def _is_exit(self, order: Order) -> bool:
        held = self._run.ledger.accounts[order.account].quantity(order.code)
        return held * order.side < 0 and order.remaining <= abs(held)

    def counts(self) -> Mapping[str, Any]:
        return {"halts": self._journal}


class Switch(Halt):
    """The kill switch of one run."""

    def __init__(self, settings: KillSwitch, run: Run) -> None:
        super().__init__("kill-switch", settings.action, run)
        self._at = settings.at_ts

    def on_start(self) -> None:
        if self._at is None:
            return
        now = self._run.clock.now
        self._run.agenda.schedule(max(self._at, now), Phase.TIMER, lambda: self.kill("time"), now)

    def kill(self, reason: str = "") -> None:
        """Halt for good; a second time changes nothing."""
        if not self.is_halted:
            self.trip(reason)
