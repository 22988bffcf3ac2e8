"""Reading ahead changes nothing but the time it takes: the same blocks, errors and warnings, and no thread stays."""

from __future__ import annotations

import itertools
import threading
import warnings

import numpy as np
import polars as pl
import pytest
from qengine_feeds import CsvFeed, FrameFeed, ParquetFeed
from qengine_feeds import source as source_module
from qengine_feeds.ahead import ReadAhead
from qengine_feeds.checks import DataWarning

from qengine_core.plugin import DataError


def bars(first, rows, names=("A", "B"), **columns):
    ts = np.repeat(np.arange(first, first + rows, dtype=np.int64), len(names))
    price = 100.0 + np.sin(np.arange(len(ts)))
    values = {"open": price, "high": price + 1, "low": price - 1, "close": price, "x": np.arange(len(ts)) * 1.5}
    return pl.DataFrame({"ts": ts, "instrument": list(names) * rows, **values, **columns})


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("qengine-feed")]


def passes(feed):
    """The blocks of one pass, one by one."""
    source = feed.open()
    return source.blocks(0, {instrument.name: code for code, instrument in enumerate(source.info.instruments)})


def told(feed):
    """Everything that a pass over a feed delivers, and how it ends."""
    found = []
    try:
        for block in passes(feed):
            columns = {name: block.columns[name].tolist() for name in block.columns}
            found.append((block.ts.tolist(), block.instrument.tolist(), columns))
    except DataError as error:
        found.append(str(error))
    return found


def flat(blocks):
    """The rows of some blocks, wherever these were cut."""
    columns = [[ts, codes, *columns.values()] for ts, codes, columns in blocks]
    return [list(itertools.chain(*parts)) for parts in zip(*columns, strict=True)]


@pytest.fixture
def small(monkeypatch):
    """Blocks of 64 rows, batches of 128, files of 100 read whole if need be, and a thread for whatever has 256."""
    monkeypatch.setattr(source_module, "BLOCK_ROWS", 64)
    monkeypatch.setattr(source_module, "_BATCH_ROWS", 128)
    monkeypatch.setattr(source_module, "_FRAME_ROWS", 128)
    monkeypatch.setattr(source_module, "_AHEAD_ROWS", 256)
    monkeypatch.setattr(source_module, "_HELD_ROWS", 100)


def without(monkeypatch, make):
    with monkeypatch.context() as patched:
        patched.setattr(source_module, "_AHEAD_ROWS", 1 << 60)
        return make()


LAYOUTS = {
    "one file": [(0, 900)],
    "one after another": [(0, 300), (300, 300), (600, 5), (605, 300)],
    "over one another": [(0, 300), (100, 300), (150, 300)],
    "many at once": [(0, 100)] * 12,
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("held", [100, 10_000])
@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_blocks_come_with_and_without_a_thread(layout, ending, held, tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "_HELD_ROWS", held)
    for number, (first, rows) in enumerate(LAYOUTS[layout]):
        frame = bars(first, rows, names=(f"A{number}", f"B{number}"))
        getattr(frame, f"write_{ending}")(tmp_path / f"{number}.{ending}")
    feed = (ParquetFeed if ending == "parquet" else CsvFeed)(path=tmp_path)
    blocks = passes(feed)
    next(blocks)
    assert len(readers()) == 1
    blocks.close()
    found = told(feed)
    assert found == without(monkeypatch, lambda: told(feed))
    assert not readers()
    monkeypatch.setattr(source_module, "_HELD_ROWS", 0)
    assert flat(found) == flat(told(feed))


@pytest.mark.usefixtures("small")
def test_what_is_wrong_far_on_is_refused_after_the_rows_before_it(tmp_path, monkeypatch):
    path = tmp_path / "data.parquet"
    frame = bars(0, 900)
    frame.with_columns(low=pl.when(pl.col("x") == 1200 * 1.5).then(-1.0).otherwise(pl.col("low"))).write_parquet(path)
    found = told(ParquetFeed(path=path))
    assert "data.parquet, row 1201, column low, instrument A" in found[-1]
    assert sum(len(ts) for ts, _, _ in found[:-1]) >= 1201 - 2 * 128
    assert found == without(monkeypatch, lambda: told(ParquetFeed(path=path)))
    assert not readers()


@pytest.mark.usefixtures("small")
def test_a_damaged_file_is_named_after_the_rows_of_those_before_it(tmp_path, monkeypatch):
    for number in range(3):
        bars(300 * number, 300).write_parquet(tmp_path / f"{number}.parquet", row_group_size=100, use_pyarrow=True)
    feed = ParquetFeed(path=tmp_path)
    source = feed.open()
    damaged = tmp_path / "1.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:4] + b"\xff" * (len(content) // 2) + content[4 + len(content) // 2 :])
    delivered = []
    with pytest.raises(DataError, match=r"1\.parquet is not a whole Parquet file"):
        delivered.extend(source.blocks(0, {"A": 0, "B": 1}))
    assert 600 - 128 <= sum(map(len, delivered)) <= 600
    assert not readers()


@pytest.mark.usefixtures("small")
def test_warnings_reach_who_reads(tmp_path):
    path = tmp_path / "data.parquet"
    frame = bars(0, 900)
    frame.with_columns(low=pl.when(pl.col("x") < 3).then(-1.0).otherwise(pl.col("low"))).write_parquet(path)
    feed = ParquetFeed(path=path, validate="warn")
    with pytest.warns(DataWarning, match="2 rows are wrong"):
        told(feed)
    with warnings.catch_warnings():  # an error can only be raised where somebody catches it
        warnings.simplefilter("error")
        with pytest.raises(DataWarning):
            told(feed)
    assert not readers()


@pytest.mark.usefixtures("small")
def test_who_stops_early_is_warned_of_nothing_that_was_only_read_ahead(tmp_path):
    path = tmp_path / "data.parquet"
    frame = bars(0, 900)
    frame.with_columns(low=pl.when(pl.col("x") > 200).then(-1.0).otherwise(pl.col("low"))).write_parquet(path)
    blocks = passes(ParquetFeed(path=path, validate="warn"))
    next(blocks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blocks.close()
    assert not readers()


def test_the_thread_ends_with_a_pass_that_nobody_finishes(tmp_path):
    bars(0, 200_000).write_parquet(tmp_path / "data.parquet")
    blocks = passes(ParquetFeed(path=tmp_path))
    next(blocks)
    assert len(readers()) == 1
    del blocks
    assert not readers()


def test_no_thread_is_begun_for_a_few_blocks_or_a_frame_in_memory(tmp_path):
    bars(0, 1_000).write_parquet(tmp_path / "data.parquet")
    for feed in (ParquetFeed(path=tmp_path), FrameFeed(frame=bars(0, 400_000))):
        blocks = passes(feed)
        next(blocks)
        assert not readers()


def test_a_step_that_raises_raises_where_its_item_would_have_come():
    ahead, steps, found = ReadAhead(), iter([lambda: 1, lambda: 2, lambda: {}["third"], lambda: None]), []
    with pytest.raises(KeyError, match="third"):
        found.extend(ahead.items(lambda: next(steps), 2))
    ahead.close()
    assert found == [1, 2]
    assert not readers()


def test_a_step_knows_what_was_known_when_it_was_queued():
    ahead, known = ReadAhead(), []

    def next_step():
        said = len(known)
        return lambda: said if said < 9 else None

    for item in ahead.items(next_step, 3):
        known.append(item)
    ahead.close()
    assert known == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
