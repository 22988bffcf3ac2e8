"""The ledger's settings; light to import, because the accounts themselves are built per run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qengine_core.plugin import component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["StandardLedger"]


@component
class StandardLedger:
    """One account in one currency, at average cost, marked at the last known price.

    The equity curve has a row at every bar's timestamp. Where a run has no bars, it has one at the first
    print or quote of every ``tick_interval`` seconds, and a last one at the end.
    """

    cash: float = param(default=100_000.0, help="Cash at the start of the run.", unit="currency", ge=0)
    currency: str = param(default="USD", help="The account's currency; every instrument must be quoted in it.")
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

    def build(self, run: Run) -> Any:
        from qengine_portfolio.ledger import LedgerBook

        return LedgerBook(self, run)
