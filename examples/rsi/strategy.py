"""Mean reversion by the relative strength index: buy what has fallen too fast, sell it once it has recovered."""

from __future__ import annotations

from qengine_strategy import Bar, Context, Strategy
from talipp.indicators import RSI

from qengine_core.plugin import param


class RsiReversion(Strategy):
    """One RSI per instrument; enter below ``buy_below``, leave above ``sell_above`` or after ``patience`` bars."""

    period: int = param(default=14, help="Bars in the relative strength index.", ge=2)
    buy_below: float = param(default=30.0, help="Enter when the index falls below this.", ge=0, le=100)
    sell_above: float = param(default=55.0, help="Leave when the index rises above this.", ge=0, le=100)
    patience: int = param(default=40, help="Leave after this many bars, recovered or not.", ge=1)
    share: float = param(default=0.19, help="Share of equity in one position.", gt=0, le=1)

    def on_start(self, ctx: Context) -> None:
        self.index = {name: RSI(self.period) for name in ctx.instruments}
        self.held_bars = dict.fromkeys(ctx.instruments, 0)

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        name = bar.instrument
        index = self.index[name]
        index.add(bar.close)
        if index[-1] is None:  # still warming up
            return
        if ctx.portfolio.position(name):
            self.held_bars[name] += 1
            if index[-1] > self.sell_above:
                ctx.close(name, tag="recovered")
            elif self.held_bars[name] >= self.patience:
                ctx.close(name, tag="out of patience")
        elif index[-1] < self.buy_below:
            self.held_bars[name] = 0
            ctx.order_target_percent(name, self.share, tag="oversold")
