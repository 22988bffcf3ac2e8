"""Strategies that are columns: when to enter and to leave, or what to hold, as Polars expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from qengine_compiled.strategy import CompiledStrategy
from qengine_core.plugin import ConfigError, did_you_mean, param

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl
    from qengine_strategy import Context

    from qengine_core.blocks import Block

__all__ = ["ColumnSignals", "SignalStrategy"]

_SIGNALS = ("entry", "exit", "short_entry", "short_exit", "target")
_SIZINGS = ("units", "value", "fraction")


class SignalStrategy(CompiledStrategy):
    """Override ``signals``, which returns Polars expressions by name, over the columns of the bars of one instrument.

    Either ``target``, the position to hold, in units of ``sizing``: where it changes, an order brings the position
    there; null leaves it. Or conditions: ``entry`` and ``exit`` of a long position of ``size``, ``short_entry`` and
    ``short_exit`` of a short one. An exit wins over an entry of the same bar, and entering on the one side leaves the
    other. Expressions look back at most ``lookback`` bars of the instrument; what looks further back, or ahead, is
    refused where that shows in the data.
    """

    size: float = param(default=1.0, help="What an entry brings the position to.", unit="as sizing says", gt=0)
    sizing: Literal["units", "value", "fraction"] = param(
        default="units", help="What sizes and targets are: units, money, or fractions of equity."
    )
    lookback: int = param(default=0, help="How many bars before its own an expression may look at.", unit="bars", ge=0)

    def signals(self) -> Mapping[str, pl.Expr]:
        """The expressions. Raises nothing; what they are is checked when the run starts."""
        raise NotImplementedError

    def on_start(self, ctx: Context) -> None:
        from qengine_compiled.columns import SignalColumns

        given = dict(self.signals())
        for name in given:
            if name not in _SIGNALS:
                raise ConfigError(f"There is no signal {name!r} ({did_you_mean(name, _SIGNALS)}).")
        if not given or ("target" in given and len(given) > 1):
            raise ConfigError(f"signals must be a target alone, or conditions of entry and exit, not {list(given)}.")
        self._columns = SignalColumns(given, self.size, self.lookback, len(ctx.instruments))
        self.targets = self._columns.nothing
        self.measure = _SIZINGS.index(self.sizing)

    def on_block(self, block: Block) -> npt.NDArray[np.int64]:
        self.targets, rows = self._columns.of(block)
        return rows

    def on_bar(self, ctx: Any, bar: Any) -> None:
        target = self.targets[bar.row]
        if self.measure == 0:
            ctx.order_target(bar.code, target)
        elif self.measure == 1:
            ctx.order_target_value(bar.code, target)
        else:
            ctx.order_target_percent(bar.code, target)


class ColumnSignals(SignalStrategy):
    """Signals by name: each is a column of the data, or a Polars SQL expression over them, as in ``"score > 0.6"``."""

    entry: str | None = param(default=None, help="When to enter a long position.")
    exit: str | None = param(default=None, help="When to leave it.")
    short_entry: str | None = param(default=None, help="When to enter a short position.")
    short_exit: str | None = param(default=None, help="When to leave it.")
    target: str | None = param(default=None, help="The position to hold, in place of the four.")

    def signals(self) -> Mapping[str, pl.Expr]:
        import polars as pl

        given = {name: getattr(self, name) for name in _SIGNALS}
        try:
            return {name: pl.sql_expr(text) for name, text in given.items() if text is not None}
        except Exception as error:
            raise ConfigError(f"A signal is no expression that Polars knows: {error}.") from error
