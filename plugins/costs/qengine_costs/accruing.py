"""Financing while a run is under way: what is due at the end of each day. It takes no order and sees no row."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from qengine_core.participant import Participant
from qengine_core.plugin import Account, ConfigError, Phase, Rank, did_you_mean
from qengine_costs.tables import dates_of, read_table

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_costs.financing import BorrowFee, DayCount, Interest

__all__ = ["DAY", "BorrowAccrual", "Daily", "InterestAccrual", "basis_of", "value_of"]

DAY = 86_400_000_000_000


class Daily(Participant):
    """Acts once for each midnight (UTC) that the run lives through, just after the rows stamped with it."""

    rank = Rank.CORPORATE_ACTION

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_start(self) -> None:
        self._wait(self.run.clock.now + 1)  # the clock stands just before the first row

    def accrue(self) -> None:
        """Book what is due for the day that has ended."""
        raise NotImplementedError

    def _wait(self, since: int) -> None:
        due = (since // DAY + 1) * DAY + 1
        self.run.agenda.schedule(due, Phase.CORPORATE_ACTION, self._act, self.run.clock.now)

    def _act(self) -> None:
        self.accrue()
        self._wait(self.run.clock.now)


class InterestAccrual(Daily):
    """Interest on cash, by account and currency."""

    def __init__(self, settings: Interest, run: Run) -> None:
        super().__init__(run)
        self._settings = settings
        self._basis = basis_of(settings.day_count)

    def accrue(self) -> None:
        settings = self._settings
        for account in self.run.ledger.accounts:
            for currency in self.run.ledger.currencies if settings.currency is None else (settings.currency,):
                balance = account.balance(currency)
                if balance > 0 and not settings.short_proceeds:
                    balance = max(0.0, balance - self._shorts(account, currency))
                rate = settings.credit if balance > 0 else settings.debit
                account.pay("interest", balance * rate / self._basis, currency)

    def _shorts(self, account: Account, currency: str) -> float:
        """Market value of the short positions in a currency, as a positive number."""
        instruments = self.run.instruments
        values = (value_of(self.run, account, c) for c in account.held() if instruments[c].currency == currency)
        return -sum(value for value in values if value < 0)


class BorrowAccrual(Daily):
    """Fees for borrowed stock, by account and instrument."""

    def __init__(self, settings: BorrowFee, run: Run) -> None:
        super().__init__(run)
        self._basis = basis_of(settings.day_count)
        unknown = [name for name in settings.rates if name not in run.codes]
        if unknown:
            raise ConfigError(
                f"borrow-fee: rates name {unknown[0]!r}, which the data has not "
                f"({did_you_mean(unknown[0], run.codes)})."
            )
        self._rates = [settings.rates.get(instrument.name, settings.rate) for instrument in run.instruments]
        # By instrument: the days from which rates of the table hold, and the rates.
        self._days: dict[int, tuple[list[int], list[float]]] = {}
        if settings.path is not None:
            frame = read_table(settings.path, ("date", "instrument", "rate"), "borrow-fee")
            for day, name, rate in zip(dates_of(frame["date"]), frame["instrument"], frame["rate"], strict=True):
                if name in run.codes:
                    days, rates = self._days.setdefault(run.codes[name], ([], []))
                    days.append(day)
                    rates.append(rate)

    def accrue(self) -> None:
        day = self.run.clock.now // DAY - 1  # that has ended
        for account in self.run.ledger.accounts:
            for code in account.held():
                value = value_of(self.run, account, code)
                if value < 0:
                    currency = self.run.instruments[code].currency
                    account.pay("borrow-fee", value * self._rate(code, day) / self._basis, currency, code)

    def _rate(self, code: int, day: int) -> float:
        """The annual rate of an instrument on a day since 1970."""
        days, rates = self._days.get(code, ([], []))
        place = bisect.bisect_right(days, day)
        return rates[place - 1] if place else self._rates[code]


def basis_of(day_count: DayCount) -> float:
    """How many days a year's rate is spread over."""
    return 360.0 if day_count == "act/360" else 365.0


def value_of(run: Run, account: Account, code: int) -> float:
    """What an account's position is worth at its last known price, signed, in the instrument's currency."""
    return account.quantity(code) * run.ledger.mark(code) * run.instruments[code].multiplier
