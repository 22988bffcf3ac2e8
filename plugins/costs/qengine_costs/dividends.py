"""Dividends while a run is under way: who is entitled when, and what is paid when. It sees no row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from qengine_core.participant import Participant
from qengine_core.plugin import Account, Phase, Rank
from qengine_costs.openings import Openings
from qengine_costs.tables import dates_of, read_table

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_costs.financing import Dividends

__all__ = ["DividendPayments"]


@attrs.frozen
class _Dividend:
    """One payment per unit of an instrument, at the moments it is earned and paid."""

    code: int
    ex_ts: int
    pay_ts: int
    amount: float


class DividendPayments(Participant):
    """Entitles who holds at the open of an ex-date, and pays at that of the pay date."""

    rank = Rank.CORPORATE_ACTION

    def __init__(self, settings: Dividends, run: Run) -> None:
        self._run = run
        self._owed = 0.0
        self._openings = Openings(run)
        frame = read_table(settings.path, ("ex_date", "instrument", "amount"), "dividends")
        paid = dates_of(frame["pay_date"]) if "pay_date" in frame.columns else [None] * len(frame)
        rows = zip(frame["instrument"], dates_of(frame["ex_date"]), paid, frame["amount"], strict=True)
        self._rows = [(run.codes[name], *rest) for name, *rest in rows if name in run.codes]

    def on_start(self) -> None:
        now, by_time = self._run.clock.now, dict[int, list[_Dividend]]()
        for code, ex_day, pay_day, amount in self._rows:
            if (ex_ts := self._openings.to_come(code, ex_day)) is not None:
                pay_ts = ex_ts if pay_day is None else max(ex_ts, self._openings.of(code, pay_day))
                by_time.setdefault(ex_ts, []).append(_Dividend(code, ex_ts, pay_ts, amount))
        for ts, dividends in by_time.items():
            self._run.agenda.schedule(ts, Phase.CORPORATE_ACTION, partial(self._entitle, dividends), now)

    def counts(self) -> Mapping[str, Any]:
        return {"dividends_unpaid": self._owed}

    def _entitle(self, dividends: list[_Dividend]) -> None:
        """Pay or owe what positions earn at the open of an ex-date."""
        run = self._run
        for account in run.ledger.accounts:
            for dividend in dividends:
                earned = account.quantity(dividend.code) * dividend.amount * run.instruments[dividend.code].multiplier
                if not earned:
                    continue
                self._owed += earned
                if dividend.pay_ts <= run.clock.now:
                    self._pay(account, dividend.code, earned)
                else:
                    pay = partial(self._pay, account, dividend.code, earned)
                    run.agenda.schedule(dividend.pay_ts, Phase.CORPORATE_ACTION, pay, run.clock.now)

    def _pay(self, account: Account, code: int, earned: float) -> None:
        account.pay("dividend", earned, self._run.instruments[code].currency, code)
        self._owed -= earned
