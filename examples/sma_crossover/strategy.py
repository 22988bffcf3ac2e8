"""A moving average crossover: hold an equal share of every instrument whose fast average is above its slow one."""

from __future__ import annotations

from qengine_strategy import Bar, Context, Strategy
from talipp.indicators import SMA

from qengine_core.plugin import ConfigError, param


class SmaCrossover(Strategy):
    """Long while the fast average is above the slow one, flat otherwise; one instrument is as good as another."""

    fast: int = param(default=20, help="Bars in the fast average.", ge=1)
    slow: int = param(default=100, help="Bars in the slow average.", ge=2)
    invested: float = param(default=0.95, help="Share of equity to invest when every instrument is held.", gt=0, le=1)

    def on_start(self, ctx: Context) -> None:
        if self.fast >= self.slow:
            raise ConfigError(f"fast ({self.fast}) must be shorter than slow ({self.slow}).")
        self.averages = {name: (SMA(self.fast), SMA(self.slow)) for name in ctx.instruments}
        self.is_long = dict.fromkeys(ctx.instruments, False)

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        name = bar.instrument
        fast, slow = self.averages[name]
        fast.add(bar.close)
        slow.add(bar.close)
        if slow[-1] is None:  # still warming up
            return
        wants_long = fast[-1] > slow[-1]
        if wants_long == self.is_long[name]:
            return
        self.is_long[name] = wants_long
        if wants_long:
            ctx.order_target_percent(name, self.invested / len(ctx.instruments), tag="fast above slow")
        else:
            ctx.close(name, tag="fast below slow")
