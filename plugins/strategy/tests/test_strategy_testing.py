"""The helpers for users' unit tests, and the indicators their strategies lean on."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive
from talipp.indicators import RSI, SMA

from qengine_core.plugin import ConfigError

CLOSES = (100 + np.cumsum(np.sin(np.arange(200) * 1.7) + np.cos(np.arange(200) * 0.3))).tolist()


class BuyOnce(Strategy):
    def on_bar(self, ctx, bar):
        if not ctx.portfolio.positions:
            ctx.buy(bar.instrument, 1)


def test_bars_open_where_the_bar_before_closed():
    rows = bars([10, 12, 11], "Y", start=dt.datetime(2021, 1, 1, tzinfo=dt.UTC), step=dt.timedelta(minutes=5))
    assert [row["open"] for row in rows] == [10.0, 10.0, 12.0]
    assert [(row["low"], row["high"]) for row in rows] == [(10, 10), (10, 12), (11, 12)]
    assert rows[1]["ts"] - rows[0]["ts"] == 300_000_000_000
    assert {row["instrument"] for row in rows} == {"Y"}
    assert bars([]) == []


def test_drive_takes_tuples_mappings_and_datetimes():
    day = dt.timedelta(days=1)
    start = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
    tuples = [(start + n * day, 10.0, 11.0, 9.0, 10.5, 100.0, "Y") for n in range(3)]
    result = drive(BuyOnce(), tuples, cash=500.0)
    assert result.fills.select("instrument", "price").rows() == [("Y", 10.0)]
    assert result.equity["equity"].to_list() == [500.0, 500.5, 500.5]
    short = [(int(n), 10.0, 11.0, 9.0, 10.5) for n in range(3)]
    assert drive(BuyOnce(), short).fills["instrument"].to_list() == ["X"]


def test_drive_sorts_rows_by_time_and_keeps_the_order_of_those_that_tie():
    seen = []

    class Watcher(Strategy):
        def on_bar(self, ctx, bar):
            seen.append((bar.ts, bar.instrument))

    drive(Watcher(), [(2, 1.0, 1.0, 1.0, 1.0, 1.0, "B"), (1, 1.0, 1.0, 1.0, 1.0), (2, 1.0, 1.0, 1.0, 1.0, 1.0, "A")])
    assert seen == [(1, "X"), (2, "B"), (2, "A")]


@pytest.mark.parametrize("row", [(1, 2.0), {"close": 1.0}, (1, 2.0, 3.0, 4.0, 5.0, 6.0, "X", 8)])
def test_a_row_that_is_none_is_refused(row):
    with pytest.raises(ConfigError, match=r"A bar is a tuple|needs 'ts'"):
        drive(BuyOnce(), [row])


def incrementally(indicator):
    """What a strategy reads that feeds each close to an indicator, NaN while it warms up."""
    read = []

    class Feeds(Strategy):
        def on_start(self, ctx):
            self.indicator = indicator()

        def on_bar(self, ctx, bar):
            self.indicator.add(bar.close)
            value = self.indicator[-1]
            read.append(float("nan") if value is None else value)

    drive(Feeds(), bars(CLOSES))
    return np.array(read)


def test_the_simple_moving_average_of_talipp_is_the_rolling_mean_of_polars():
    expected = pl.Series(CLOSES).rolling_mean(14).fill_null(float("nan")).to_numpy()
    np.testing.assert_allclose(incrementally(lambda: SMA(14)), expected, rtol=1e-12)


def test_the_relative_strength_index_of_talipp_is_wilders_expression_in_polars():
    """Wilder (1978): the first average is the mean of n changes, each later one (n - 1) / n of the one before."""
    n = 14
    change = pl.Series(CLOSES).diff()

    def smoothed(moves):
        start = pl.Series([moves[1 : n + 1].mean()])
        return pl.concat([start, moves[n + 1 :]]).ewm_mean(alpha=1 / n, adjust=False)

    up, down = smoothed(change.clip(lower_bound=0)), smoothed((-change).clip(lower_bound=0))
    expected = np.concatenate([np.full(n, np.nan), (100 - 100 / (1 + up / down)).to_numpy()])
    np.testing.assert_allclose(incrementally(lambda: RSI(n)), expected, rtol=1e-9)


@pytest.mark.parametrize("plugin", ["strategy", "orders"])
def test_the_examples_of_the_readme_run(plugin):
    """All blocks of a README in one namespace, as a reader would run them; they assert what they claim."""
    text = (Path(__file__).parents[2] / plugin / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert sum("assert" in block for block in blocks) >= 1
    namespace = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, f"{plugin}/README.md", "exec"), namespace)
