"""Strategies that are columns: what they hold, how far they may look, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_compiled import SignalStrategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core import Engine
from qengine_core.errors import ConfigError, QEngineError

LANES = pytest.mark.parametrize("lane", ["compiled", "event"])


class Rising(SignalStrategy):
    """Long while prices rise."""

    over: int = 1

    def signals(self):
        close = pl.col("close")
        return {"entry": close > close.shift(self.over), "exit": close < close.shift(self.over)}


class BothWays(SignalStrategy):
    """Long above the mean, short below it."""

    def signals(self):
        close, mean = pl.col("close"), pl.col("close").rolling_mean(3)
        return {
            "entry": close > mean * 1.01,
            "exit": close < mean,
            "short_entry": close < mean * 0.99,
            "short_exit": close > mean,
        }


class Held(SignalStrategy):
    """Holds what a column says."""

    def signals(self):
        return {"target": pl.col("wanted")}


@LANES
def test_entries_and_exits(lane):
    result = drive(Rising(lane=lane, lookback=1, size=3), bars([10.0, 11.0, 12.0, 11.0, 10.0, 12.0, 13.0]))
    assert result.orders.select("side", "quantity").rows() == [("buy", 3.0), ("sell", 3.0), ("buy", 3.0)]
    assert [ts.day for ts in result.orders["submitted_ts"]] == [2, 4, 6]


@LANES
def test_a_target_is_held_until_it_changes_and_null_leaves_it(lane):
    wanted = [0.0, 5.0, 5.0, float("nan"), 2.0, -1.0, -1.0]
    rows = [row | {"wanted": value} for row, value in zip(bars([10.0] * 7), wanted, strict=True)]
    result = drive(Held(lane=lane), rows, broker={"use": "simulated", "short_selling": True})
    assert result.orders.select("side", "quantity").rows() == [("buy", 5.0), ("sell", 3.0), ("sell", 3.0)]


@LANES
@pytest.mark.parametrize(("sizing", "quantity"), [("units", 2.0), ("value", 0.2), ("fraction", 20_000.0)])
def test_sizes(lane, sizing, quantity):
    rows = [row | {"wanted": 2.0} for row in bars([10.0, 10.0])]
    result = drive(
        Held(lane=lane, sizing=sizing), rows, cash=100_000.0, broker={"use": "simulated", "buying_power": "off"}
    )
    assert result.orders["quantity"].to_list() == [quantity]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    instruments=st.integers(1, 3),
    block_rows=st.sampled_from([4, 7, 1000]),
    strategy=st.sampled_from([BothWays, Rising]),
)
def test_where_blocks_are_cut_and_which_lane_runs_makes_no_difference(seed, instruments, block_rows, strategy):
    rng, rows = np.random.default_rng(seed), []
    for number in range(instruments):
        closes = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.02, 30))), 2)
        rows += [row for row in bars(closes.tolist(), f"I{number}") if rng.random() < 0.9]
    rows.sort(key=lambda row: (row["ts"], row["instrument"]))
    results = [
        drive(
            strategy(lookback=2, lane=lane), rows, block_rows=size, broker={"use": "simulated", "short_selling": True}
        )
        for lane, size in (("compiled", 10_000), ("compiled", block_rows), ("event", block_rows))
    ]
    for result in results[1:]:
        assert result.orders.equals(results[0].orders)
        assert result.fills.equals(results[0].fills)


class Ahead(SignalStrategy):
    """Knows tomorrow."""

    def signals(self):
        return {
            "entry": pl.col("close").shift(-1) > pl.col("close"),
            "exit": pl.col("close").shift(-1) < pl.col("close"),
        }


class Centred(SignalStrategy):
    """Compares with the mean of all there is."""

    def signals(self):
        return {"target": (pl.col("close") > pl.col("close").mean()).cast(pl.Float64)}


@LANES
@pytest.mark.parametrize("strategy", [Ahead, Centred])
def test_looking_ahead_is_refused(lane, strategy):
    closes = [10.0, 11.0, 9.0, 12.0, 8.0, 13.0, 20.0, 1.0, 30.0]
    with pytest.raises(QEngineError, match="looks ahead"):
        drive(strategy(lane=lane), bars(closes))


@LANES
def test_looking_further_back_than_said_is_refused(lane):
    closes = [10.0, 11.0, 9.0, 12.0, 8.0, 13.0, 20.0, 1.0, 30.0]
    with pytest.raises(QEngineError, match="lookback = 0"):
        drive(Rising(lane=lane), bars(closes), block_rows=4)


class Strange(SignalStrategy):
    """Names a signal that there is not."""

    def signals(self):
        return {"entries": pl.col("close") > 1}


class Needy(SignalStrategy):
    """Needs a column that there is not."""

    def signals(self):
        return {"entry": pl.col("colour") > 1}


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="no signal 'entries'"):
        drive(Strange(), bars([1.0, 2.0]))
    with pytest.raises(ConfigError, match="needs a column 'colour'"):
        drive(Needy(), bars([1.0, 2.0]))


@LANES
def test_signals_need_one_feed(lane):
    feeds = [ListFeed(rows=bars([1.0, 2.0, 3.0], name)) for name in "AB"]
    with pytest.raises(QEngineError, match="put the data into one feed"):
        Engine(feed=feeds, strategy=Rising(lane=lane)).run()


def test_signals_are_named_in_a_run_file(tmp_path):
    rows = [row | {"score": score} for row, score in zip(bars([10.0] * 5), [0.1, 0.9, 0.9, 0.2, 0.2], strict=True)]
    path = tmp_path / "bars.parquet"
    pl.DataFrame(rows).with_columns(pl.col("ts").cast(pl.Datetime("ns", "UTC"))).write_parquet(path)
    config = {
        "feed": {"use": "parquet", "path": str(path), "stamp": "close"},
        "strategy": {"use": "signals", "entry": "score > 0.6", "exit": "score < 0.3", "size": 4},
    }
    engine = Engine.from_config(config)
    result = engine.run()
    assert result.orders.select("side", "quantity").rows() == [("buy", 4.0), ("sell", 4.0)]
    assert Engine.from_config(engine.config).run().orders.equals(result.orders)
    with pytest.raises(QEngineError, match="no expression"):
        Engine.from_config(config | {"strategy": {"use": "signals", "entry": "score >"}}).run()
