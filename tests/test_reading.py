"""A run reads ahead and reads only what is asked for: the strategy sees the same, and no thread outlives the run."""

from __future__ import annotations

import threading

import numpy as np
import polars as pl
import pytest
from qengine_feeds import FrameFeed, ParquetFeed
from qengine_strategy import Bar, Context, Slice, Strategy

from qengine_core import Engine
from qengine_core.errors import RunError

ROWS = 300_000
START = 1_577_836_800_000_000_000  # 2020
SUMS: list[list[float]] = []  # of each run


class Curious(Strategy):
    """Reads a feature on some bars, trades on it, and may fail."""

    fails_at: int = -1

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", every=1_000)
        self.seen: list[float] = []

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        self.seen.append(bar["score"] if len(self.seen) >= 150 else 0.0)
        assert "other" in bar
        if len(self.seen) == self.fails_at:
            raise ValueError("enough")
        if self.seen[-1] > 0:
            ctx.buy(bar.instrument, 1)
        elif self.seen[-1] < 0:
            ctx.sell(bar.instrument, 1)


class Sums(Strategy):
    """Adds up a feature across instruments."""

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", every=500)
        SUMS.append([])

    def on_slice(self, ctx: Context, bars: Slice) -> None:
        SUMS[-1].append(float(bars["score"].sum()))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, str]:
    index = np.arange(ROWS)
    close = 100.0 + np.round(np.sin(index / 1_000), 3)
    names = ["A", "B", "C"]
    frame = pl.DataFrame(
        {
            "ts": START + np.repeat(np.arange(ROWS // 3, dtype=np.int64), 3) * 60_000_000_000,
            "instrument": pl.Series(names * (ROWS // 3), dtype=pl.Enum(names)),
            "open": close,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "score": np.cos(index / 7_000),
            "other": index * 2.0,
        }
    )
    folder = tmp_path_factory.mktemp("data")
    for number, first in enumerate(range(0, ROWS, 120_000)):
        frame[first : first + 120_000].write_parquet(folder / f"{number}.parquet", row_group_size=50_000)
    return frame, str(folder)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("qengine-feed")]


@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_files_give_what_the_frame_gives(data, wake):
    frame, folder = data
    results = [
        Engine(feed=feed, strategy=Curious(), wake=wake).run()
        for feed in (FrameFeed(frame=frame), ParquetFeed(path=folder), ParquetFeed(path=folder))
    ]
    assert results[0].counts["fills"] > 50
    for result in results[1:]:
        assert result.counts == results[0].counts
        assert result.rows == results[0].rows
        assert result.fills.equals(results[0].fills)
        assert result.equity.equals(results[0].equity)
    assert results[1].wakes == results[2].wakes
    assert not readers()


def test_a_slice_reads_features_of_files(data):
    frame, folder = data
    for feed in (FrameFeed(frame=frame), ParquetFeed(path=folder)):
        Engine(feed=feed, strategy=Sums()).run()
    assert len(SUMS[0]) > 100
    assert SUMS[0] == SUMS[1]


def test_no_thread_outlives_a_run_that_fails(data):
    with pytest.raises(RunError, match="enough") as caught:
        Engine(feed=ParquetFeed(path=data[1]), strategy=Curious(fails_at=3)).run()
    assert not readers()  # although the error, which holds the run's frames, is still here
    assert caught.value.__cause__ is not None


def test_no_thread_outlives_a_run_that_is_interrupted(data):
    seen = []

    def interrupt(rows: int, ts: int, total: int | None) -> None:
        seen.append(len(readers()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Engine(feed=ParquetFeed(path=data[1]), strategy=Curious()).run(progress=interrupt)
    assert seen == [1]
    assert not readers()
