"""One account as everybody else sees it: nothing is kept here, and nothing is computed before it is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qengine_core.plugin import ConfigError, PositionView, did_you_mean
from qengine_portfolio import entries
from qengine_portfolio.native import live

if TYPE_CHECKING:
    from qengine_core.clock import SimulatedClock
    from qengine_portfolio.basis import CostBasis
    from qengine_portfolio.books import Books
    from qengine_portfolio.view import Views

__all__ = ["Account", "Marks", "Together"]


class Marks:
    """Brings the books' marks and rates up to the row that the clock stands on."""

    def __init__(self, books: Books, views: Views, clock: SimulatedClock) -> None:
        self._books, self._views, self._clock = books, views, clock

    @property
    def now(self) -> int:
        return self._clock.now

    def advance(self) -> None:
        clock = self._clock
        entries.mark_up_to(self._books.address, self._views.of(clock.block).address, clock.position.row)


class Account:
    """The account of a number. See ``qengine_core.plugin.Account``."""

    def __init__(self, books: Books, number: int, marks: Marks, basis: CostBasis | None) -> None:
        self._books, self._number, self._upto = books, number, marks
        self.name = books.names[number]
        self._marks, self._rates, self._cash = live(books.marks), live(books.rates), live(books.cash)
        self._is_foreign = len(books.currencies) > 1
        self._first = number * len(books.currencies)
        self._multipliers = books.instruments["multiplier"].tolist()
        self._currencies = books.instruments["currency"].tolist()
        count = int(books.head["instrument_count"][0])
        places = range(number * count, (number + 1) * count)
        self.positions: list[PositionView] = [
            _Position(books, place) if basis is None else _PositionOnItsBasis(books, place, basis) for place in places
        ]

    @property
    def cash(self) -> float:
        """Settled money, in the ledger's currency."""
        if not self._is_foreign:
            return self._cash[self._first]
        self._upto.advance()
        return entries.figure(self._books.address, self._number, entries.CASH)

    @property
    def equity(self) -> float:
        """Cash plus every position at its last known price."""
        self._upto.advance()
        return entries.figure(self._books.address, self._number, entries.EQUITY)

    def held(self) -> Sequence[int]:
        first = self._number * (len(self.positions) + 1)
        count = int(self._books.accounts["held_count"][self._number])
        return self._books.held[first : first + count].tolist()

    def mark(self, code: int) -> float:
        self._upto.advance()
        return self._marks[code]

    def unit_value(self, code: int) -> float:
        if not self._is_foreign:
            return self._multipliers[code]
        self._upto.advance()
        return self._multipliers[code] * self._rates[self._currencies[code]]

    def short_value(self) -> float:
        self._upto.advance()
        return entries.figure(self._books.address, self._number, entries.SHORT_VALUE)

    def balance(self, currency: str) -> float:
        return self._cash[self._first + _number(self._books, currency)]

    def fx_rate(self, currency: str) -> float:
        self._upto.advance()
        return self._rates[_number(self._books, currency)]

    def quantity(self, code: int) -> float:
        return self.positions[code].quantity

    def pay(self, kind: str, amount: float, currency: str, code: int = -1) -> None:
        """Book a cash flow at the clock's time. An amount of zero is none; one that is no number is refused."""
        if amount == 0.0:
            return
        if not math.isfinite(amount):
            raise ConfigError(f"A cash flow {kind!r} of {amount!r} {currency} cannot be booked: it must be finite.")
        number = _number(self._books, currency)
        self._books.cash[self._first + number] += amount
        self._books.flows.add(self._upto.now, self._number, number, code, kind, amount)


class Together:
    """Several accounts as if they were one."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = accounts
        self.positions: list[PositionView] = [
            _Sum(parts) for parts in zip(*(account.positions for account in accounts), strict=True)
        ]

    @property
    def cash(self) -> float:
        return sum(account.cash for account in self._accounts)

    @property
    def equity(self) -> float:
        return sum(account.equity for account in self._accounts)

    def held(self) -> Sequence[int]:
        """Codes of instruments that any of the accounts holds, ascending."""
        return sorted({code for account in self._accounts for code in account.held()})

    def mark(self, code: int) -> float:
        return self._accounts[0].mark(code)

    def unit_value(self, code: int) -> float:
        return self._accounts[0].unit_value(code)

    def short_value(self) -> float:
        return sum(account.short_value() for account in self._accounts)

    def balance(self, currency: str) -> float:
        return sum(account.balance(currency) for account in self._accounts)

    def fx_rate(self, currency: str) -> float:
        return self._accounts[0].fx_rate(currency)


class _Position:
    """What is held of one instrument, as it is whenever it is read."""

    __slots__ = ("_average", "_place", "_quantity", "_realised")

    def __init__(self, books: Books, place: int) -> None:
        self._place = place
        self._quantity = live(books.positions["quantity"])
        self._average = live(books.positions["average_price"])
        self._realised = live(books.positions["realised_pnl"])

    @property
    def quantity(self) -> float:
        return self._quantity[self._place]

    @property
    def average_price(self) -> float:
        return self._average[self._place]

    @property
    def realised_pnl(self) -> float:
        return self._realised[self._place]


class _PositionOnItsBasis:
    """The same, where what it cost goes by lots or by several currencies, and is worked out when it is read."""

    __slots__ = ("_basis", "_place", "_quantity")

    def __init__(self, books: Books, place: int, basis: CostBasis) -> None:
        self._place = place
        self._quantity = live(books.positions["quantity"])
        self._basis = basis

    @property
    def quantity(self) -> float:
        return self._quantity[self._place]

    @property
    def average_price(self) -> float:
        return self._basis.of("average_price", self._place)

    @property
    def realised_pnl(self) -> float:
        return self._basis.of("realised_pnl", self._place)


class _Sum:
    """What several accounts hold of one instrument; opposite positions offset."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[PositionView]) -> None:
        self._parts = parts

    @property
    def quantity(self) -> float:
        return sum(part.quantity for part in self._parts)

    @property
    def average_price(self) -> float:
        """The mean over all units held, long or short."""
        units = sum(abs(part.quantity) for part in self._parts)
        return sum(abs(part.quantity) * part.average_price for part in self._parts) / units if units else 0.0

    @property
    def realised_pnl(self) -> float:
        return sum(part.realised_pnl for part in self._parts)


def _number(books: Any, currency: str) -> int:
    if currency not in books.currencies:
        raise ConfigError(f"The ledger keeps no {currency} ({did_you_mean(currency, books.currencies)}).")
    return books.currencies.index(currency)
