"""The hooks of QEngine, and nothing else: what a plugin may implement, with one argument at most.

Registration hooks take nothing and return specs; they are called once, in no particular order. Lifecycle
hooks take one context, so that a new field never changes a signature, and return nothing. A hook is added
only together with a plugin that uses it, a test and an entry in the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
import pluggy

from qengine_core.roles import (
    BrokerSpec,
    CalendarSpec,
    CommandSpec,
    CommissionSpec,
    ComponentSpec,
    FeedSpec,
    FinancingSpec,
    LatencySpec,
    LedgerSpec,
    OrderTypeSpec,
    PositionRuleSpec,
    ProfileSpec,
    ReportSpec,
    RiskRuleSpec,
    RunnerSpec,
    SlippageSpec,
    StrategySpec,
    WarmupSpec,
)

if TYPE_CHECKING:
    from qengine_core.engine import Result

__all__ = [
    "LIFECYCLE_HOOKS",
    "REGISTRATION_HOOKS",
    "RunContext",
    "RunFailed",
    "RunFinished",
    "Specs",
    "implements",
]

PROJECT = "qengine"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@attrs.frozen(kw_only=True)
class RunContext:
    """A run is about to start. ``out`` is where results should go, or None for nowhere.

    ``config`` is the composition as plain values, complete with defaults; ``state`` is a scratch
    mapping, private to the hook implementations, that lasts for the run.
    """

    out: str | None
    config: Mapping[str, Any]
    state: dict[str, Any]


@attrs.frozen(kw_only=True)
class RunFinished(RunContext):
    """A run has ended well. Implementations may add tables to ``result`` and write to ``out``."""

    result: Result


@attrs.frozen(kw_only=True)
class RunFailed(RunContext):
    """A run has ended in ``error`` (KeyboardInterrupt included)."""

    error: BaseException


class Specs:
    """What a plugin may implement."""

    @hookspec
    def qengine_feeds(self) -> Iterable[FeedSpec]:
        """Announce feeds."""
        raise NotImplementedError

    @hookspec
    def qengine_strategies(self) -> Iterable[StrategySpec]:
        """Announce strategies that run files can name."""
        raise NotImplementedError

    @hookspec
    def qengine_order_types(self) -> Iterable[OrderTypeSpec]:
        """Announce order types: recipes over matching primitives."""
        raise NotImplementedError

    @hookspec
    def qengine_brokers(self) -> Iterable[BrokerSpec]:
        """Announce brokers, simulated or real."""
        raise NotImplementedError

    @hookspec
    def qengine_ledgers(self) -> Iterable[LedgerSpec]:
        """Announce ledgers."""
        raise NotImplementedError

    @hookspec
    def qengine_commission_models(self) -> Iterable[CommissionSpec]:
        """Announce commission models."""
        raise NotImplementedError

    @hookspec
    def qengine_slippage_models(self) -> Iterable[SlippageSpec]:
        """Announce slippage models."""
        raise NotImplementedError

    @hookspec
    def qengine_financing_models(self) -> Iterable[FinancingSpec]:
        """Announce financing models: interest, fees and payments that are no fills."""
        raise NotImplementedError

    @hookspec
    def qengine_latency_models(self) -> Iterable[LatencySpec]:
        """Announce models of latency."""
        raise NotImplementedError

    @hookspec
    def qengine_calendars(self) -> Iterable[CalendarSpec]:
        """Announce trading calendars."""
        raise NotImplementedError

    @hookspec
    def qengine_risk_rules(self) -> Iterable[RiskRuleSpec]:
        """Announce risk rules: what is checked before an order is sent."""
        raise NotImplementedError

    @hookspec
    def qengine_position_rules(self) -> Iterable[PositionRuleSpec]:
        """Announce position rules: when a position is left without an order by hand."""
        raise NotImplementedError

    @hookspec
    def qengine_reports(self) -> Iterable[ReportSpec]:
        """Announce reports written after a run."""
        raise NotImplementedError

    @hookspec
    def qengine_runners(self) -> Iterable[RunnerSpec]:
        """Announce runners: ways to drive the loop."""
        raise NotImplementedError

    @hookspec
    def qengine_profiles(self) -> Iterable[ProfileSpec]:
        """Announce profiles: named sets of policies."""
        raise NotImplementedError

    @hookspec
    def qengine_commands(self) -> Iterable[CommandSpec]:
        """Announce subcommands of ``qengine``."""
        raise NotImplementedError

    @hookspec
    def qengine_warmups(self) -> Iterable[WarmupSpec]:
        """Announce what can be compiled ahead of the first run."""
        raise NotImplementedError

    @hookspec
    def qengine_run_started(self, context: RunContext) -> None:
        """The composition is complete; no feed is open yet and nothing has run."""

    @hookspec
    def qengine_run_finished(self, context: RunFinished) -> None:
        """The run has ended and its result is complete."""

    @hookspec
    def qengine_run_failed(self, context: RunFailed) -> None:
        """The run has ended in an error."""


def _hooks(returns: bool) -> dict[str, Any]:
    functions = {name: value for name, value in vars(Specs).items() if name.startswith("qengine_")}
    return {name: f for name, f in functions.items() if (f.__code__.co_argcount == 1) is returns}


# Hook name by name, the record each registration hook must yield is read off its annotation.
LIFECYCLE_HOOKS = tuple(_hooks(returns=False))
REGISTRATION_HOOKS: Mapping[str, type[ComponentSpec[Any]]] = {
    "qengine_feeds": FeedSpec,
    "qengine_strategies": StrategySpec,
    "qengine_order_types": OrderTypeSpec,
    "qengine_brokers": BrokerSpec,
    "qengine_ledgers": LedgerSpec,
    "qengine_commission_models": CommissionSpec,
    "qengine_slippage_models": SlippageSpec,
    "qengine_financing_models": FinancingSpec,
    "qengine_latency_models": LatencySpec,
    "qengine_calendars": CalendarSpec,
    "qengine_risk_rules": RiskRuleSpec,
    "qengine_position_rules": PositionRuleSpec,
    "qengine_reports": ReportSpec,
    "qengine_runners": RunnerSpec,
    "qengine_profiles": ProfileSpec,
    "qengine_commands": CommandSpec,
    "qengine_warmups": WarmupSpec,
}
if set(REGISTRATION_HOOKS) != set(_hooks(returns=True)):
    raise AssertionError("REGISTRATION_HOOKS must name every registration hook of Specs")

S = TypeVar("S", bound=ComponentSpec[Any])
Announcing = Callable[[], Iterable[S]]


def _mark(function: Callable[..., Any], name: str) -> Any:
    return hookimpl(specname=name)(function)


class Implements:
    """Typed markers: ``@implements.feeds`` on a function; a typo is an error at import and for mypy."""

    def feeds(self, function: Announcing[FeedSpec]) -> Announcing[FeedSpec]:
        return cast("Announcing[FeedSpec]", _mark(function, "qengine_feeds"))

    def strategies(self, function: Announcing[StrategySpec]) -> Announcing[StrategySpec]:
        return cast("Announcing[StrategySpec]", _mark(function, "qengine_strategies"))

    def order_types(self, function: Announcing[OrderTypeSpec]) -> Announcing[OrderTypeSpec]:
        return cast("Announcing[OrderTypeSpec]", _mark(function, "qengine_order_types"))

    def brokers(self, function: Announcing[BrokerSpec]) -> Announcing[BrokerSpec]:
        return cast("Announcing[BrokerSpec]", _mark(function, "qengine_brokers"))

    def ledgers(self, function: Announcing[LedgerSpec]) -> Announcing[LedgerSpec]:
        return cast("Announcing[LedgerSpec]", _mark(function, "qengine_ledgers"))

    def commission_models(self, function: Announcing[CommissionSpec]) -> Announcing[CommissionSpec]:
        return cast("Announcing[CommissionSpec]", _mark(function, "qengine_commission_models"))

    def slippage_models(self, function: Announcing[SlippageSpec]) -> Announcing[SlippageSpec]:
        return cast("Announcing[SlippageSpec]", _mark(function, "qengine_slippage_models"))

    def financing_models(self, function: Announcing[FinancingSpec]) -> Announcing[FinancingSpec]:
        return cast("Announcing[FinancingSpec]", _mark(function, "qengine_financing_models"))

    def latency_models(self, function: Announcing[LatencySpec]) -> Announcing[LatencySpec]:
        return cast("Announcing[LatencySpec]", _mark(function, "qengine_latency_models"))

    def calendars(self, function: Announcing[CalendarSpec]) -> Announcing[CalendarSpec]:
        return cast("Announcing[CalendarSpec]", _mark(function, "qengine_calendars"))

    def risk_rules(self, function: Announcing[RiskRuleSpec]) -> Announcing[RiskRuleSpec]:
        return cast("Announcing[RiskRuleSpec]", _mark(function, "qengine_risk_rules"))

    def position_rules(self, function: Announcing[PositionRuleSpec]) -> Announcing[PositionRuleSpec]:
        return cast("Announcing[PositionRuleSpec]", _mark(function, "qengine_position_rules"))

    def reports(self, function: Announcing[ReportSpec]) -> Announcing[ReportSpec]:
        return cast("Announcing[ReportSpec]", _mark(function, "qengine_reports"))

    def runners(self, function: Announcing[RunnerSpec]) -> Announcing[RunnerSpec]:
        return cast("Announcing[RunnerSpec]", _mark(function, "qengine_runners"))

    def profiles(self, function: Announcing[ProfileSpec]) -> Announcing[ProfileSpec]:
        return cast("Announcing[ProfileSpec]", _mark(function, "qengine_profiles"))

    def commands(self, function: Announcing[CommandSpec]) -> Announcing[CommandSpec]:
        return cast("Announcing[CommandSpec]", _mark(function, "qengine_commands"))

    def warmups(self, function: Announcing[WarmupSpec]) -> Announcing[WarmupSpec]:
        return cast("Announcing[WarmupSpec]", _mark(function, "qengine_warmups"))

    def run_started(self, function: Callable[[RunContext], None]) -> Callable[[RunContext], None]:
        return cast("Callable[[RunContext], None]", _mark(function, "qengine_run_started"))

    def run_finished(self, function: Callable[[RunFinished], None]) -> Callable[[RunFinished], None]:
        return cast("Callable[[RunFinished], None]", _mark(function, "qengine_run_finished"))

    def run_failed(self, function: Callable[[RunFailed], None]) -> Callable[[RunFailed], None]:
        return cast("Callable[[RunFailed], None]", _mark(function, "qengine_run_failed"))


implements = Implements()
