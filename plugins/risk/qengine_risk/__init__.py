"""Risk: what is checked before an order is sent, what halts a run, and when positions are left by rule."""

from __future__ import annotations

from qengine_risk.exits import Exit
from qengine_risk.halts import KillSwitch, MaxDailyLoss, MaxDrawdown
from qengine_risk.limits import (
    BorrowLimit,
    Instruments,
    LongOnly,
    MaxLeverage,
    MaxOrder,
    MaxPosition,
    PriceCollar,
    price_of,
)
from qengine_risk.rate import OrderRate
from qengine_risk.rules import After, ExitRule, HeldPosition, StopLoss, TakeProfit, TimeExit, TrailingStop

__all__ = [
    "After",
    "BorrowLimit",
    "Exit",
    "ExitRule",
    "HeldPosition",
    "Instruments",
    "KillSwitch",
    "LongOnly",
    "MaxDailyLoss",
    "MaxDrawdown",
    "MaxLeverage",
    "MaxOrder",
    "MaxPosition",
    "OrderRate",
    "PriceCollar",
    "StopLoss",
    "TakeProfit",
    "TimeExit",
    "TrailingStop",
    "price_of",
]
