"""Published values of indicators, as a strategy gets them from talipp bar by bar."""

from __future__ import annotations

import pytest
from published import data, golden
from qengine_feeds import CsvFeed
from qengine_strategy import Strategy
from talipp.indicators import (
    BB,
    DEMA,
    EMA,
    MACD,
    ROC,
    RSI,
    SMA,
    SMMA,
    VTX,
    WMA,
    Aroon,
    DonchianChannels,
    Stoch,
    Williams,
)
from talipp.ohlcv import OHLCV

from qengine_core import Engine


class SlowStochastic:
    """The average of the fast stochastic, and that of itself."""

    def __init__(self):
        self.fast, self.slow = Stoch(14, 3), SMA(3)

    def add(self, bar):
        self.fast.add(bar)
        if self.fast[-1] is not None and self.fast[-1].d is not None:
            self.slow.add(self.fast[-1].d)

    def __getitem__(self, place):
        return [self.fast[place].d, self.slow[place]] if len(self.slow) else None


class AverageTrueRange(SMMA):
    """Of true ranges from the second bar on; talipp's own ATR counts the range of the first bar as one."""

    close_before = None

    def add(self, bar):
        if self.close_before is not None:
            super().add(max(bar.high, self.close_before) - min(bar.low, self.close_before))
        self.close_before = bar.close

    def __getitem__(self, place):
        return super().__getitem__(place) if len(self) else None


def closes_only(bar):
    """A bar without range, of which extremes are those of closes."""
    return OHLCV(bar.close, bar.close, bar.close, bar.close)


# What is made of what, and the lines in the published order. Without an indicator in talipp: momentum, moves,
# Heikin-Ashi, PPO. Its CCI takes the mean deviation from the current average, the published one from each bar's own.
OF_CLOSES = {
    "sma": (lambda: SMA(30), lambda value: [value]),
    "ema": (lambda: EMA(30), lambda value: [value]),
    "wma": (lambda: WMA(30), lambda value: [value]),
    "smma": (lambda: SMMA(30), lambda value: [value]),
    "dema": (lambda: DEMA(30), lambda value: [value]),
    "bbands": (lambda: BB(20, 2), lambda value: [value.cb, value.ub, value.lb]),
    "rsi": (lambda: RSI(14), lambda value: [value]),
    "macdhisto": (lambda: MACD(12, 26, 9), lambda value: [value.macd, value.signal, value.histogram]),
    "roc": (lambda: ROC(12), lambda value: [value / 100]),
    "sumn": (lambda: SMA(14), lambda value: [14 * value]),
}
OF_BARS = {
    "atr": (lambda: AverageTrueRange(14), lambda value: [value]),
    "stochastic": (SlowStochastic, list),
    "williamsr": (lambda: Williams(14), lambda value: [value]),
    "aroonupdown": (lambda: Aroon(14), lambda value: [value.up, value.down]),
    "vortex": (lambda: VTX(14), lambda value: [value.plus_vtx, value.minus_vtx]),
    "highest": (lambda: DonchianChannels(14, input_modifier=closes_only), lambda value: [value.ub]),
    "lowest": (lambda: DonchianChannels(14, input_modifier=closes_only), lambda value: [value.lb]),
}


class Watch(Strategy):
    """Feeds an indicator and keeps its values."""

    make: object
    of_bars: bool

    def on_start(self, ctx):
        self.indicator = self.make()
        VALUES.clear()

    def on_bar(self, ctx, bar):
        self.indicator.add(OHLCV(bar.open, bar.high, bar.low, bar.close) if self.of_bars else bar.close)
        VALUES.append(self.indicator[-1])


VALUES = []


@pytest.mark.parametrize("name", [*OF_CLOSES, *OF_BARS])
def test_an_indicator_has_the_published_values(name):
    expected = golden("indicators-a")[name]
    make, lines = (OF_CLOSES | OF_BARS)[name]
    feed = CsvFeed(
        path=data("backtrader/2006-day-001.txt"),
        columns={"ts": "Date", **{each.lower(): each for each in ("Open", "High", "Low", "Close", "Volume")}},
        stamp="date",
        instrument="INDEX",
    )
    Engine(feed=feed, strategy=Watch(make=make, of_bars=name in OF_BARS)).run()
    assert len(VALUES) == 255
    for place, bar in enumerate(expected["check_bars"]):
        assert lines(VALUES[bar]) == pytest.approx([line[place] for line in expected["lines"]], abs=1e-6), bar
