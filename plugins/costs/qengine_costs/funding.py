"""Funding of perpetual futures while a run is under way: what positions pay at each funding time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qengine_core.participant import Participant
from qengine_core.plugin import ConfigError, Phase, Rank, did_you_mean
from qengine_costs.accruing import value_of
from qengine_costs.tables import read_table, stamps_of

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_costs.financing import Funding

__all__ = ["FundingPayments"]

_HOUR = 3_600_000_000_000
_DAY = 24 * _HOUR


class FundingPayments(Participant):
    """Pays a fixed rate at regular times, or those of a table at theirs."""

    rank = Rank.CORPORATE_ACTION

    def __init__(self, settings: Funding, run: Run) -> None:
        self._run = run
        self._step = round(settings.interval * _HOUR)
        names = run.codes if settings.instruments is None else settings.instruments
        for name in names:
            if name not in run.codes:
                raise ConfigError(f"funding: there is no instrument {name!r} ({did_you_mean(name, run.codes)}).")
        self._fixed = dict.fromkeys((run.codes[name] for name in names), settings.rate or 0.0)
        self._table: dict[int, dict[int, float]] = {}  # by time: rates by instrument
        if settings.path is not None:
            frame = read_table(settings.path, ("ts", "instrument", "rate"), "funding")
            for ts, name, rate in zip(stamps_of(frame["ts"]), frame["instrument"], frame["rate"], strict=True):
                if name in names:
                    self._table.setdefault(ts, {})[run.codes[name]] = rate
        self._is_fixed = settings.path is None

    def on_start(self) -> None:
        now = self._run.clock.now
        if self._is_fixed:
            self._wait(now + 1)
        for ts, rates in self._table.items():
            if ts > now:
                self._run.agenda.schedule(ts + 1, Phase.CORPORATE_ACTION, partial(self._pay, rates), now)

    def _wait(self, since: int) -> None:
        """For the next time of the fixed rate, counted from each midnight."""
        midnight = since // _DAY * _DAY
        due = min(midnight + ((since - midnight) // self._step + 1) * self._step, midnight + _DAY)
        self._run.agenda.schedule(due + 1, Phase.CORPORATE_ACTION, self._act, self._run.clock.now)

    def _act(self) -> None:
        self._pay(self._fixed)
        self._wait(self._run.clock.now)

    def _pay(self, rates: dict[int, float]) -> None:
        run = self._run
        for account in run.ledger.accounts:
            for code in account.held():
                if code in rates:
                    amount = -value_of(run, account, code) * rates[code]
                    account.pay("funding", amount, run.instruments[code].currency, code)
