"""The scenarios, each made so that the case it is named after really occurs."""

from __future__ import annotations

from benchmarks.parity.scenarios import brackets, market, money, plain, seeded, triggers

__all__ = ["SCENARIOS"]

_GROUPS = [
    plain.MARKET,
    plain.COSTS,
    plain.LIMITS_AND_STOPS,
    triggers.STOP_LIMITS,
    triggers.TRAILING,
    brackets.BRACKETS,
    brackets.MORE,
    brackets.GROUPS,
    money.CASH,
    money.SHORTS,
    money.TARGETS,
    market.LIQUIDITY,
    market.MISSING,
    market.EXPIRY,
    market.EDGES,
    seeded.ORDERS,
    seeded.BRACKETS,
]

SCENARIOS = {scenario.name: scenario for group in _GROUPS for scenario in group}
