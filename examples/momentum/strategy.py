"""Cross-sectional momentum: on the first session of each month, hold what rose most over the year before."""

from __future__ import annotations

import numpy as np
from qengine_strategy import Context, Slice, Strategy

from qengine_core.plugin import param


class Momentum(Strategy):
    """Ranks instruments by their return over ``lookback`` sessions, leaving out the last ``skip`` (12-1 momentum).

    Jegadeesh and Titman (1993), "Returns to Buying Winners and Selling Losers"; long only, equal weights. Only
    what rose at all is held, so a falling market leaves cash.
    """

    lookback: int = param(default=252, help="Sessions over which returns are measured.", ge=2)
    skip: int = param(default=21, help="Latest sessions left out: short-term returns tend to revert.", ge=0)
    top: int = param(default=2, help="How many instruments to hold.", ge=1)
    invested: float = param(default=0.95, help="Share of equity to invest.", gt=0, le=1)

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe(every="month", history=self.lookback + 1)

    def on_slice(self, ctx: Context, bars: Slice) -> None:
        closes = bars.history("close", self.lookback + 1)
        if len(closes) <= self.lookback:  # not enough of the past yet
            return
        returns = closes[-1 - self.skip] / closes[0] - 1  # NaN where an instrument is younger than that
        best = [code for code in np.argsort(-returns)[: self.top] if returns[code] > 0]
        ctx.rebalance({bars.instruments[code]: self.invested / self.top for code in best})
