"""The same strategies as Python in the event lane: to compare with, and for all that is not compiled.

Each object here has the names that compiled code sees, and passes on to what a ``Strategy`` has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qengine_strategy import Strategy
from qengine_strategy.driver import StrategyDriver
from qengine_strategy.interest import CALLBACKS, overrides

from qengine_compiled.driver import refuse_several_streams
from qengine_compiled.strategy import CompiledStrategy
from qengine_core.plugin import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qengine_strategy import Context

    from qengine_core.run import Run

__all__ = ["event_driver"]

_NAN = math.nan
_TIMES_IN_FORCE = ("gtc", "ioc", "fok")


def event_driver(strategy: CompiledStrategy, run: Run) -> StrategyDriver:
    """The driver of an ordinary strategy that calls this one's methods."""
    refuse_several_streams(strategy, run)
    methods: dict[str, Any] = {
        name: _passing_on(name)
        for name in (*CALLBACKS.values(), "on_slice", "on_fill")
        if overrides(strategy, CompiledStrategy, name)
    }
    methods["on_start"] = lambda self, ctx: self.calls.start(ctx)
    methods["on_stop"] = lambda self, ctx: self.calls.stop(ctx)
    made: Any = type(type(strategy).__name__, (Strategy,), methods)()
    made.calls = _Calls(strategy, run)  # not held by the class, which lives until garbage is collected
    return StrategyDriver(made, run)


def _passing_on(name: str) -> Callable[..., None]:
    wrap = {"on_slice": _Cross, "on_fill": _Fill}.get(name, _Row)

    def method(self: Any, _: Context, event: Any) -> None:
        calls = self.calls
        if wrap is not _Row or calls.wants(event):
            getattr(calls.strategy, name)(calls.context, wrap(event, calls))

    return method


class _Calls:
    """What the callbacks of one run share."""

    def __init__(self, strategy: CompiledStrategy, run: Run) -> None:
        self.strategy, self.run, self.codes = strategy, run, run.codes
        self.context: Any = None
        self._looks_ahead = overrides(strategy, CompiledStrategy, "on_block")
        self._block: Any = None
        self._rows: frozenset[int] | None = None

    def start(self, ctx: Context) -> None:
        self.strategy.on_start(ctx)
        self.context = _Context(ctx, self.run)

    def stop(self, ctx: Context) -> None:
        self.strategy.on_stop(ctx)
        self.context = None  # which leads back to here

    def wants(self, event: Any) -> bool:
        """Whether the strategy wants a row, of whose block it is told first."""
        if not self._looks_ahead:
            return True
        block = self.run.clock.block
        if block is not self._block:
            chosen, self._block = self.strategy.on_block(block), block
            self._rows = None if chosen is None else frozenset(chosen.tolist())
        return self._rows is None or event.row in self._rows


class _Context:
    """``ctx``: instruments by code, orders by number."""

    def __init__(self, ctx: Context, run: Run) -> None:
        self._ctx, self._run, self._broker = ctx, run, run.broker
        self._names = ctx.instruments
        self._types = {spec.name: spec.component for spec in run.order_types()}
        self._orders: dict[int, Any] = {}

    @property
    def now(self) -> int:
        return self._ctx.now

    @property
    def equity(self) -> float:
        return self._ctx.portfolio.equity

    @property
    def cash(self) -> float:
        return self._ctx.portfolio.cash

    def buy(self, instrument: int, quantity: float, *prices: Any, **options: Any) -> int:
        return self._order(instrument, quantity, 1, *prices, **options)

    def sell(self, instrument: int, quantity: float, *prices: Any, **options: Any) -> int:
        return self._order(instrument, quantity, -1, *prices, **options)

    def _order(
        self,
        instrument: int,
        quantity: float,
        side: int,
        limit: float = _NAN,
        stop: float = _NAN,
        trail: float = _NAN,
        trail_fraction: float = _NAN,
        time_in_force: int = 0,
    ) -> int:
        kind = self._kind(limit, stop, trail, trail_fraction)
        send = self._ctx.buy if side > 0 else self._ctx.sell
        return self._kept(send(self._names[instrument], quantity, kind, time_in_force=_TIMES_IN_FORCE[time_in_force]))

    def _kind(self, limit: float, stop: float, trail: float, trail_fraction: float) -> Any:
        if trail == trail or trail_fraction == trail_fraction:
            if limit == limit or stop == stop:
                raise ConfigError("a trailing stop has neither limit nor stop")
            by_fraction = trail_fraction == trail_fraction
            distance = {"fraction": trail_fraction} if by_fraction else {"amount": trail}
            return self._types["trailing-stop"](**distance)
        if stop == stop:
            return (
                self._types["stop-limit"](price=stop, limit=limit)
                if limit == limit
                else self._types["stop"](price=stop)
            )
        return self._types["limit"](price=limit) if limit == limit else None

    def _kept(self, order: Any) -> int:
        if order is None:
            return -1
        self._orders[order.id - 1] = order
        return int(order.id) - 1

    def cancel(self, order: int) -> None:
        self._ctx.cancel(self._orders[order])

    def is_open(self, order: int) -> bool:
        return order in self._orders and self._orders[order].is_open

    def filled(self, order: int) -> float:
        return self._orders[order].filled if order in self._orders else 0.0

    def order_target(self, instrument: int, quantity: float) -> int:
        return self._kept(self._ctx.order_target(self._names[instrument], quantity))

    def order_target_value(self, instrument: int, value: float) -> int:
        return self._kept(self._ctx.order_target_value(self._names[instrument], value))

    def order_target_percent(self, instrument: int, fraction: float) -> int:
        return self._kept(self._ctx.order_target_percent(self._names[instrument], fraction))

    def rebalance(self, weights: npt.NDArray[np.float64]) -> int:
        sent = self._ctx.rebalance(np.asarray(weights))
        for order in sent:
            self._kept(order)
        return len(sent)

    def close(self, instrument: int) -> int:
        return self.order_target(instrument, 0.0)

    def position(self, instrument: int) -> float:
        return self._ctx.portfolio.position(self._names[instrument])

    def price(self, instrument: int) -> float:
        return self._ctx.portfolio.price(self._names[instrument])

    def pending(self, instrument: int) -> float:
        return self._broker.pending(instrument)


class _Row:
    """A row: ``ts``, ``code`` and the columns of its stream."""

    def __init__(self, event: Any, calls: _Calls) -> None:
        self._event, self._codes = event, calls.codes

    @property
    def code(self) -> int:
        return self._codes[self._event.instrument]

    @property
    def ts(self) -> int:
        return int(self._event.ts)

    @property
    def row(self) -> int:
        return int(self._event.row)

    def __getattr__(self, column: str) -> float:
        return float(self._event[column])


class _Cross:
    """A timestamp: ``ts``, ``count`` and the columns of its stream, across instruments."""

    def __init__(self, bars: Any, calls: _Calls) -> None:
        self._bars, self.count = bars, len(calls.codes)

    @property
    def ts(self) -> int:
        return int(self._bars.ts)

    def __getattr__(self, column: str) -> npt.NDArray[np.float64]:
        values: npt.NDArray[np.float64] = self._bars[column]
        return values

    def history(self, column: str, length: int) -> npt.NDArray[np.float64]:
        values: npt.NDArray[np.float64] = self._bars.history(column, length)
        return values


class _Fill:
    """A fill, whose order is a number."""

    def __init__(self, fill: Any, calls: _Calls) -> None:
        self._fill = fill
        self.order = fill.order.id - 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fill, name)
