"""What this plugin announces: the standard ledger, and what it compiles."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import LedgerSpec, WarmupSpec, implements
from qengine_portfolio.settings import StandardLedger
from qengine_portfolio.warmup import LedgerCode


@implements.ledgers
def ledgers() -> Iterable[LedgerSpec]:
    yield LedgerSpec(
        name="standard", summary="One currency, average cost, marked at the last known price.", component=StandardLedger
    )


@implements.warmups
def warmups() -> Iterable[WarmupSpec]:
    yield WarmupSpec(name="ledger", summary="Figures of the account, round trips, the curve.", component=LedgerCode)
