"""Announces the rules by the names that run files use; it checks nothing."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import (
    OrderTypeSpec,
    PositionRuleSpec,
    RiskRule,
    RiskRuleComponent,
    RiskRuleSpec,
    implements,
)
from qengine_risk.exits import Exit
from qengine_risk.halts import KillSwitch, MaxDailyLoss, MaxDrawdown
from qengine_risk.limits import BorrowLimit, Instruments, LongOnly, MaxLeverage, MaxOrder, MaxPosition, PriceCollar
from qengine_risk.rate import OrderRate
from qengine_risk.rules import ExitRule, StopLoss, TakeProfit, TimeExit, TrailingStop


@implements.risk_rules
def risk_rules() -> Iterable[RiskRuleSpec]:
    """Every rule that orders are put to."""
    rules: tuple[tuple[str, str, type[RiskRule | RiskRuleComponent]], ...] = (
        ("max-order", "The largest order, by quantity or value.", MaxOrder),
        ("max-position", "The largest position, by quantity, value or share of equity.", MaxPosition),
        ("max-leverage", "The largest gross or net leverage.", MaxLeverage),
        ("price-collar", "Limits and triggers no further than so much from the last price.", PriceCollar),
        ("order-rate", "At most so many orders in an interval.", OrderRate),
        ("instruments", "What may be traded, and what may not.", Instruments),
        ("long-only", "No short sales.", LongOnly),
        ("borrow-limit", "Short sales within what can be borrowed.", BorrowLimit),
        ("max-drawdown", "Halts once equity has fallen so far from its highest.", MaxDrawdown),
        ("max-daily-loss", "Halts for the session once it has lost so much.", MaxDailyLoss),
        ("kill-switch", "Halts when the strategy says so, or at a time.", KillSwitch),
    )
    for name, summary, component in rules:
        yield RiskRuleSpec(name=name, summary=summary, component=component)


@implements.position_rules
def position_rules() -> Iterable[PositionRuleSpec]:
    """Every rule by which positions are left."""
    rules: tuple[tuple[str, str, type[ExitRule]], ...] = (
        ("stop-loss", "Leaves a position that has lost so much.", StopLoss),
        ("take-profit", "Leaves a position that has gained so much.", TakeProfit),
        ("trailing-stop", "Leaves a position that has fallen so far from its best price.", TrailingStop),
        ("time-exit", "Leaves a position after so many bars, so long, or at the session's close.", TimeExit),
    )
    for name, summary, component in rules:
        yield PositionRuleSpec(name=name, summary=summary, component=component)


@implements.order_types
def order_types() -> Iterable[OrderTypeSpec]:
    """How positions are left at market."""
    yield OrderTypeSpec(name="exit", summary="Trade at market towards zero, never beyond.", component=Exit)
