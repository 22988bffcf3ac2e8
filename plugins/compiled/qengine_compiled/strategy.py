"""The base class of strategies that run as machine code, in which nothing is imported that compiles."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal, dataclass_transform

import attrs

from qengine_core.plugin import param

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from qengine_strategy import Context

    from qengine_core.blocks import Block
    from qengine_core.run import Run

__all__ = ["FOK", "GTC", "IOC", "CompiledStrategy"]

# Times in force of orders, as numbers.
GTC, IOC, FOK = 0, 1, 2


@dataclass_transform(kw_only_default=True, field_specifiers=(param, attrs.field))
class CompiledStrategy:
    """Written as a ``Strategy`` is, and compiled: rows, matching, costs and account are one loop of machine code.

    ``on_start`` and ``on_stop`` are Python. Every number, flag and numpy array (of float64, int64 or bool) that
    ``self`` has after ``on_start`` is at hand in the callbacks ``on_bar``, ``on_slice``, ``on_trade``, ``on_quote``,
    ``on_signal`` and ``on_fill``, which are compiled: they may use what numba compiles. Numbers may be set there,
    arrays changed element by element. Instruments are named by code, their place in ``ctx.instruments``.

    ``bar`` (``trade``, ``quote``, ``signal``) has ``ts``, ``code``, ``row`` (of its block) and the columns of its
    stream; ``bars`` has columns as arrays across instruments, and ``bars.history("close", 22)``; ``fill`` has ``ts``,
    ``order``, ``code``, ``side``, ``quantity``, ``price``, ``commission`` and ``slippage``. ``ctx`` has ``now``,
    ``equity``, ``cash``; ``buy`` and ``sell(code, quantity, limit=, stop=, trail=, trail_fraction=, time_in_force=)``,
    which return the number of the order; ``order_target``, ``order_target_value`` and ``order_target_percent``, each
    ``(code, amount)``, and ``rebalance(weights)``; ``cancel``, ``is_open``, ``filled(order)``; ``position``, ``price``,
    ``pending`` and ``close(code)``.

    ``lane = "event"`` runs the same methods as Python, with the same result, where a run has something that the
    compiled lane has not, or to look at them with a debugger.
    """

    lane: Literal["compiled", "event"] = param(default="compiled", help="As machine code, or as Python.")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        attrs.define(cls, slots=False, eq=False, kw_only=True)

    def on_start(self, ctx: Context) -> None:
        """The run begins: subscribe, and set what the callbacks need. Python, with the context of a ``Strategy``."""

    def on_block(self, block: Block) -> npt.NDArray[np.int64] | None:
        """Rows are at hand, tens of thousands at a time, and none of them has been called for yet. Python.

        Here columns may be computed at once that callbacks read by ``bar.row``; what a row gets must follow from rows
        up to it. Returns the rows to call for, ascending, or None for those that are subscribed to.
        """
        return None

    def on_bar(self, ctx: Any, bar: Any) -> None:
        """A bar of one instrument has closed. Not together with ``on_slice``."""

    def on_slice(self, ctx: Any, bars: Any) -> None:
        """All bars of one timestamp, as arrays across instruments. Not together with ``on_bar``."""

    def on_trade(self, ctx: Any, trade: Any) -> None:
        """A trade was printed."""

    def on_quote(self, ctx: Any, quote: Any) -> None:
        """The best bid or ask has changed."""

    def on_signal(self, ctx: Any, signal: Any) -> None:
        """A row of a signal stream has become known."""

    def on_fill(self, ctx: Any, fill: Any) -> None:
        """One of the orders was executed, wholly or in part."""

    def on_stop(self, ctx: Context) -> None:
        """The data has ended. Python; ``self`` has what the callbacks left."""

    def build(self, run: Run) -> Any:
        """The participant that runs this strategy, in the lane that it says."""
        if self.lane == "event":
            from qengine_compiled.reference import event_driver

            return event_driver(copy.deepcopy(self), run)
        from qengine_compiled.driver import CompiledDriver

        return CompiledDriver(copy.deepcopy(self), run)


attrs.define(CompiledStrategy, slots=False, eq=False, kw_only=True)
