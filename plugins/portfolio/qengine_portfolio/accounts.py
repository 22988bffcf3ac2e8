"""One account of the books as those see it that pay into it or take from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qengine_core.plugin import ConfigError, did_you_mean

if TYPE_CHECKING:
    from qengine_core.clock import SimulatedClock
    from qengine_portfolio.books import Books

__all__ = ["BookedAccount"]


class BookedAccount:
    """What account ``number`` of the books holds, and cash flows into it. See ``qengine_core.plugin.Account``."""

    def __init__(self, books: Books, number: int, clock: SimulatedClock) -> None:
        self._books = books
        self._number = number
        self._clock = clock

    def balance(self, currency: str) -> float:
        """Cash in one currency, in its own units. Raises ConfigError for one that the books do not keep."""
        return float(self._books.cash[self._place(currency)])

    def held(self) -> Sequence[int]:
        """Codes of the instruments whose quantity is not zero, ascending."""
        first = self._number * (len(self._books.marks) + 1)
        count = int(self._books.accounts["held_count"][self._number])
        held: list[int] = self._books.held[first : first + count].tolist()
        return held

    def quantity(self, code: int) -> float:
        """What is held of an instrument, signed."""
        return float(self._books.positions["quantity"][self._number * len(self._books.marks) + code])

    def pay(self, kind: str, amount: float, currency: str, code: int = -1) -> None:
        """Book a cash flow at the clock's time. An amount of zero is none; one that is no number is refused."""
        if amount == 0.0:
            return
        if not math.isfinite(amount):
            raise ConfigError(f"A cash flow {kind!r} of {amount!r} {currency} cannot be booked: it must be finite.")
        place = self._place(currency)
        self._books.cash[place] += amount
        number = self._books.currencies.index(currency)
        self._books.flows.add(self._clock.now, self._number, number, code, kind, amount)

    def _place(self, currency: str) -> int:
        """Where the cash of a currency lies."""
        known = self._books.currencies
        if currency not in known:
            raise ConfigError(f"The ledger keeps no {currency} ({did_you_mean(currency, known)}).")
        return self._number * len(known) + known.index(currency)
