"""The ledger's settings; light to import, because the accounts themselves are built per run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from qengine_core.plugin import component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["StandardLedger"]


@component
class StandardLedger:
    """One account or several, each with books of its own, valued in one currency at the last known prices.

    The equity curve has a row at every bar's timestamp. Where a run has no bars, it has one at the first
    print or quote of every ``tick_interval`` seconds, and a last one at the end.
    """

    cash: float = param(
        default=100_000.0, help="Cash of the one account at the start of the run.", unit="currency", ge=0
    )
    currency: str = param(default="USD", help="The ledger's currency; instruments in others need their rate under fx.")
    target_reserve: float = param(
        default=0.0,
        help="Share of equity that orders for a percentage of it leave uninvested.",
        unit="fraction",
        ge=0,
        lt=1,
    )
    target_commission: bool = param(
        default=False, help="Whether orders for a percentage of equity leave room for their commission."
    )
    target_lot: float = param(
        default=0.0,
        help="Orders for a value or a percentage of equity are rounded towards zero to whole multiples of this (0: not "
        "beyond the instrument's lots); a target of nothing closes all of a position.",
        unit="units",
        ge=0,
    )
    tick_interval: float = param(
        default=60.0, help="How often the equity curve is sampled when there are no bars.", unit="seconds", ge=0
    )
    lots: Literal["average", "fifo", "lifo"] = param(
        default="average",
        help="What a closing fill closes: a part of everything at average cost, or the oldest or newest lots.",
    )
    accounts: Mapping[str, float] = param(
        factory=dict, help="Several accounts in place of one: the cash of each at the start, by name.", unit="currency"
    )
    strategies: tuple[str, ...] = param(
        default=(),
        help="The account that each strategy trades, in the order of strategies; by default one each, in order.",
    )
    fx: Mapping[str, str | float] = param(
        factory=dict,
        help='What other currencies are worth: the instrument whose price that is, as in {EUR = "EURUSD"}, one over '
        'such, as in {JPY = "1/USDJPY"}, or a number for good.',
    )
    foreign_cash: Literal["convert", "keep"] = param(
        default="convert",
        help="What happens to money in other currencies: exchanged at once at the last known rate, or kept as a "
        "balance, which may be below zero.",
    )

    def build(self, run: Run) -> Any:
        from qengine_portfolio.ledger import LedgerBook

        return LedgerBook(self, run)
