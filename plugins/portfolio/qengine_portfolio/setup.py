"""From the ledger's settings to books: which accounts there are, who trades them, where rates come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qengine_core.plugin import ConfigError, did_you_mean
from qengine_portfolio.books import Books, Pair

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_portfolio.settings import StandardLedger

__all__ = ["MAIN", "books_of", "seats_of"]

MAIN = "main"  # the account's name where there is one only


def books_of(settings: StandardLedger, run: Run) -> Books:
    """Fresh books. Raises ConfigError for accounts or rates that cannot be."""
    accounts = dict(settings.accounts) or {MAIN: settings.cash}
    for name, cash in accounts.items():
        if not name or not 0 <= cash < math.inf:
            raise ConfigError(f"accounts.{name} = {cash!r}: an account has a name, and starts with cash >= 0.")
    books = Books(run.instruments, accounts, settings.currency, _pairs(settings, run))
    books.head["converts"] = settings.foreign_cash == "convert"
    return books


def seats_of(settings: StandardLedger, run: Run) -> list[int]:
    """The account's number of each strategy. Raises ConfigError where accounts and strategies do not match."""
    names, count = list(settings.accounts), len(run.components["strategy"])
    if settings.strategies:
        for name in settings.strategies:
            if name not in names:
                raise ConfigError(f"strategies names an account {name!r} ({did_you_mean(name, names)}).")
        if len(settings.strategies) != count:
            raise ConfigError(
                f"strategies names the accounts of {len(settings.strategies)} strategies, but the run has {count}: "
                "name one account for each."
            )
        return [names.index(name) for name in settings.strategies]
    if not names:
        return [0] * count
    if len(names) != count:
        raise ConfigError(
            f"The ledger has {len(names)} accounts and the run {count} strategies: say which account each strategy "
            f"trades, as in strategies = {[names[0]] * count}."
        )
    return list(range(count))


def _pairs(settings: StandardLedger, run: Run) -> Mapping[str, Pair]:
    for instrument in run.instruments:
        if instrument.currency not in (settings.currency, *settings.fx):
            raise ConfigError(
                f"{instrument.name} is quoted in {instrument.currency}, but the ledger keeps {settings.currency} "
                "only: set the feed's currency or the ledger's, or say what the other is worth, as in "
                f'fx = {{{instrument.currency} = "{instrument.currency}{settings.currency}"}}.'
            )
    return {currency: _pair(settings, run, currency, rate) for currency, rate in settings.fx.items()}


def _pair(settings: StandardLedger, run: Run, currency: str, rate: str | float) -> Pair:
    where = f"fx.{currency} = {rate!r}"
    if currency == settings.currency:
        raise ConfigError(f"{where}: {currency} is the ledger's own currency, and has no rate.")
    if not isinstance(rate, str):
        if not 0 < rate < math.inf:
            raise ConfigError(f"{where}: a rate is a number above 0.")
        return Pair(rate=float(rate))
    name = rate.removeprefix("1/").strip()
    if name not in run.codes:
        raise ConfigError(f"{where}: no feed has an instrument {name!r} ({did_you_mean(name, run.codes)}).")
    code, inverse = run.codes[name], rate.startswith("1/")
    quoted, expected = run.instruments[code].currency, currency if inverse else settings.currency
    if quoted != expected:
        raise ConfigError(
            f"{where}: {name} is quoted in {quoted}, but this needs a price in {expected}: set the currency of that "
            f'instrument, or write "{name if inverse else f"1/{name}"}".'
        )
    return Pair(code=code, inverse=inverse)
