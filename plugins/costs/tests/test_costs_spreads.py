"""Estimated spreads: by hand, on prices whose spread is known, and blind to the future."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_costs import HalfSpread
from qengine_costs.spreads import corwin_schultz, roll
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive

from qengine_core.plugin import ConfigError


def test_corwin_and_schultz_by_hand():
    """Two bars from 99 to 101: b = 2 ln(101/99)^2, g = ln(101/99)^2, so a = ln(101/99) and S = 2 (101 - 99) / 200.

    Ranges that do not move are all spread: bid 99, ask 101, whose spread is 2 % of their mean.
    """
    high, low, close = np.full(3, 101.0), np.full(3, 99.0), np.array([100.0, 100.0, 50.0])
    found = corwin_schultz(high, low, close, window=1)
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(0.02 * 100.0)


def test_corwin_and_schultz_move_a_bar_that_gapped_to_the_close_before():
    """The second bar lies 9 above the close before it: brought down, it is the bar of the test above."""
    high, low, close = np.array([101.0, 111.0, 1.0]), np.array([99.0, 109.0, 1.0]), np.array([101.0, 110.0, 1.0])
    shifted = corwin_schultz(high, low, close, window=1)[2]
    high[1], low[1] = 103.0, 101.0
    assert shifted == pytest.approx(corwin_schultz(high, low, close, window=1)[2])
    falls = np.array([101.0, 93.0, 1.0]), np.array([99.0, 91.0, 1.0]), np.array([99.0, 92.0, 1.0])
    moved = np.array([101.0, 99.0, 1.0]), np.array([99.0, 97.0, 1.0]), np.array([99.0, 92.0, 1.0])
    assert corwin_schultz(*falls, window=1)[2] == pytest.approx(corwin_schultz(*moved, window=1)[2])


def test_roll_by_hand():
    """A price that bounces between bid 99 and ask 101: the changes are +-2, their covariance -4, the spread 4 = 2 * 2.

    (That of Roll's model, in which trades fall on either side by chance, is half of it; a strict bounce is its limit.)
    """
    close = np.array([99.0, 101.0] * 4)
    found = roll(close, window=4)
    assert np.isnan(found[:6]).all()
    assert found[6:] == pytest.approx([2 * math.sqrt(4.0)] * 2)
    assert roll(np.arange(10.0) ** 2, window=4)[-1] == 0.0  # a trend has no bounce


def test_both_find_the_spread_of_simulated_trades():
    """A random walk traded at random at bid or ask, a percent apart: Roll's model, and that of Corwin and Schultz."""
    rng = np.random.default_rng(7)
    days, prints = 3_000, 200
    middle = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01 / math.sqrt(prints), days * prints)))
    price = (middle * (1 + 0.005 * rng.choice([-1.0, 1.0], days * prints))).reshape(days, prints)
    high, low, close = price.max(axis=1), price.min(axis=1), price[:, -1]
    estimate = np.nanmean(corwin_schultz(high, low, close) / close)
    assert estimate == pytest.approx(0.01, rel=0.2)
    ticks = price.reshape(-1)[:60_000]
    assert np.nanmean(roll(ticks, window=2_000) / ticks) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("window", [1, 3])
def test_an_estimate_knows_no_row_from_its_own_on(window):
    rng = np.random.default_rng(1)
    close = 100 + rng.normal(size=30).cumsum()
    high, low = close + rng.random(30), close - rng.random(30)
    for cut in range(1, 30):
        whole = corwin_schultz(high, low, close, window)[: cut + 1], roll(close, window)[: cut + 1]
        later = [column.copy() for column in (high, low, close)]
        for column in later:
            column[cut:] *= 1.5
        assert np.array_equal(whole[0], corwin_schultz(*later, window)[: cut + 1], equal_nan=True)
        assert np.array_equal(whole[1], roll(later[2], window)[: cut + 1], equal_nan=True)


def test_too_little_is_unknown_and_nonsense_refused():
    nothing = np.empty(0)
    assert len(roll(nothing)) == len(corwin_schultz(nothing, nothing, nothing)) == 0
    assert np.isnan(roll(np.ones(50))).all()
    assert np.isnan(corwin_schultz(np.ones(5), np.ones(5), np.ones(5))).all()
    with pytest.raises(ConfigError, match="window must be >= 1"):
        roll(np.ones(5), window=0)
    with pytest.raises(ConfigError, match="of one length, not 5, 4, 5"):
        corwin_schultz(np.ones(5), np.ones(4), np.ones(5))


def test_half_spread_pays_half_of_an_estimate_that_stands_beside_the_bars():
    class Buys(Strategy):
        def on_bar(self, ctx, bar):
            ctx.buy("X", 1)

    rows = bars([100.0] * 5)
    estimates = corwin_schultz(np.full(5, 101.0), np.full(5, 99.0), np.full(5, 100.0), window=2)
    for row, estimate in zip(rows, estimates, strict=True):
        row |= {"spread": float(estimate)}
    broker = SimulatedBroker(clip_to_range=False)
    result = drive(Buys(), rows, slippage=HalfSpread(bps=50), broker=broker)
    assert result.fills["price"].to_list() == pytest.approx([100.25, 100.25, 101.0, 101.0])
