"""What a plugin author tests with: the laws of every kind of component, and an empty place to register in.

Nothing here runs outside of tests; pytest is needed only by whoever collects the classes.
"""

from __future__ import annotations

from qengine_core.testing.conformance import (
    CalendarLaws,
    CommissionLaws,
    FeedLaws,
    LatencyLaws,
    OrderTypeLaws,
    PluginLaws,
    RiskRuleLaws,
    SlippageLaws,
    WarmupLaws,
    check_calendar,
    check_commission,
    check_component,
    check_feed,
    check_hook_module,
    check_latency,
    check_order_type,
    check_risk_rule,
    check_slippage,
    check_warmup,
)
from qengine_core.testing.financing import FinancingLaws, check_financing
from qengine_core.testing.sandbox import plugin_sandbox

__all__ = [
    "CalendarLaws",
    "CommissionLaws",
    "FeedLaws",
    "FinancingLaws",
    "LatencyLaws",
    "OrderTypeLaws",
    "PluginLaws",
    "RiskRuleLaws",
    "SlippageLaws",
    "WarmupLaws",
    "check_calendar",
    "check_commission",
    "check_component",
    "check_feed",
    "check_financing",
    "check_hook_module",
    "check_latency",
    "check_order_type",
    "check_risk_rule",
    "check_slippage",
    "check_warmup",
    "plugin_sandbox",
]
