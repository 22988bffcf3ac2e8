"""What this plugin announces: the standard ledger."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import LedgerSpec, implements
from qengine_portfolio.settings import StandardLedger


@implements.ledgers
def ledgers() -> Iterable[LedgerSpec]:
    yield LedgerSpec(
        name="standard", summary="One currency, average cost, marked at the last known price.", component=StandardLedger
    )
