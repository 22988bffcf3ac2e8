"""The base class of strategies: what can be overridden, and nothing of how it is called."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, dataclass_transform

import attrs

from qengine_core.plugin import Fill, MarginCall, OrderUpdate, Session, param

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_strategy.context import Context
    from qengine_strategy.events import Bar, Quote, Signal, Slice, Trade

__all__ = ["Strategy"]


@dataclass_transform(field_specifiers=(param, attrs.field))
class Strategy:
    """Subclass it, annotate its parameters, override what you want to hear of.

    A strategy is woken only for what it overrides, narrowed by ``ctx.subscribe`` in ``on_start``.
    Annotated class attributes are its parameters (as in attrs); anything else is set in ``on_start``. Each
    run works on a deep copy of its own, so nothing is carried from one run to the next. Orders fill on the
    next row at the earliest.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        attrs.define(cls, slots=False, eq=False)

    def on_start(self, ctx: Context) -> None:
        """The run begins: subscribe, schedule, make indicators. No market data yet."""

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """A bar of one instrument has closed. Not together with ``on_slice``."""

    def on_slice(self, ctx: Context, bars: Slice) -> None:
        """All bars of one timestamp, as arrays across instruments. Not together with ``on_bar``."""

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        """A trade was printed."""

    def on_quote(self, ctx: Context, quote: Quote) -> None:
        """The best bid or ask has changed."""

    def on_signal(self, ctx: Context, signal: Signal) -> None:
        """A row of a signal stream has become known."""

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        """One of the orders was executed, wholly or in part."""

    def on_order(self, ctx: Context, update: OrderUpdate) -> None:
        """One of the orders has changed state."""

    def on_margin_call(self, ctx: Context, call: MarginCall) -> None:
        """Equity has fallen below what positions need; orders that close some are on their way."""

    def on_timer(self, ctx: Context, name: str) -> None:
        """A timer set by ``ctx.set_timer`` is due."""

    def on_session_open(self, ctx: Context, session: Session) -> None:
        """The first row of a new session is at hand; called before it is delivered.

        The run's calendar says when sessions are; with several calendars, ``session.instruments`` says whose.
        """

    def on_session_close(self, ctx: Context, session: Session) -> None:
        """A session closes: called at its close, after all rows of that instant, or when the data ends before.

        Where its only row comes later (a day's bar stamped at midnight), after the instant of that row.
        """

    def on_stop(self, ctx: Context) -> None:
        """The data has ended. Orders sent now stay unfilled."""

    def position_rules(self) -> Sequence[Any]:
        """Position rules that come with this strategy, beside those of the run; asked for once, before the run.

        As in ``return [StopLoss(fraction=self.stop)]``, with ``from qengine_risk import StopLoss``.
        """
        return ()

    def build(self, run: Run) -> Any:
        """The participant that calls this strategy in one run."""
        from qengine_strategy.driver import StrategyDriver

        return StrategyDriver(copy.deepcopy(self), run)
