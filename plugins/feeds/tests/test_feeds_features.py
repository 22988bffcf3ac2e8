"""Columns that nobody asks for are not read; those that somebody reads are the same whenever that begins."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qengine_feeds import Adjust, FrameFeed, ParquetFeed
from qengine_feeds import layout as layout_module
from qengine_feeds import source as source_module

FEATURES = ("x", "count", "word", "day")


def bars(first, rows, names=("A", "B")):
    ts = np.repeat(np.arange(first, first + rows, dtype=np.int64), len(names))
    index = np.arange(len(ts)) + 1_000 * first
    price = 100.0 + np.sin(index)
    prices = {"open": price, "high": price + 1, "low": price - 1, "close": price}
    features = {
        "x": pl.Series(index * 1.5, nan_to_null=False).replace({15.0: None}),
        "count": pl.Series(index).replace({7: None}),
        "word": [f"w{number % 5}" if number % 11 else None for number in index.tolist()],
        "day": [dt.date(2020, 1, 1) + dt.timedelta(days=number % 400) for number in index.tolist()],
    }
    return pl.DataFrame({"ts": ts, "instrument": list(names) * rows, **prices, **features})


def blocks_of(feed):
    source = feed.open()
    return source.blocks(0, {instrument.name: code for code, instrument in enumerate(source.info.instruments)})


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(source_module, "BLOCK_ROWS", 64)
    monkeypatch.setattr(source_module, "_BATCH_ROWS", 128)
    monkeypatch.setattr(source_module, "_FRAME_ROWS", 128)
    monkeypatch.setattr(source_module, "_AHEAD_ROWS", 256)
    monkeypatch.setattr(source_module, "_HELD_ROWS", 100)


@pytest.fixture
def columns_read(monkeypatch):
    """The columns of each stretch of a Parquet file that is read, as Arrow is asked for them."""
    asked = []
    reads = pq.ParquetFile.iter_batches

    def iter_batches(self, *args, columns, **options):
        asked.append(tuple(columns))
        return reads(self, *args, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    return asked


@pytest.mark.usefixtures("small")
def test_a_feature_is_read_from_the_block_on_where_somebody_first_reads_it(tmp_path, columns_read):
    frame = bars(0, 1_000)
    frame.write_parquet(tmp_path / "data.parquet", row_group_size=300, use_pyarrow=True)
    seen, before = [], 0
    for number, block in enumerate(blocks_of(ParquetFeed(path=tmp_path))):
        assert list(block.columns) == ["open", "high", "low", "close", *FEATURES]
        assert len(block.columns) == 8
        assert "x" in block.columns
        assert "y" not in block.columns
        if number < 10:
            before += len(block)
            assert not any(set(FEATURES) & set(columns) for columns in columns_read)
        else:
            seen.append(block.columns["x"])
    expected = frame["x"].to_numpy()[before:]
    np.testing.assert_array_equal(np.concatenate(seen), expected)
    assert any(set(columns) >= {"ts", "close", "x"} for columns in columns_read)  # in one go with the others
    alone = [columns for columns in columns_read if columns == ("x",)]
    assert 1 <= len(alone) <= 5  # only of batches that had been read by then
    assert not any({"count", "word", "day"} & set(columns) for columns in columns_read)


@pytest.mark.usefixtures("small")
def test_a_column_that_is_not_there_is_no_key(tmp_path):
    bars(0, 300).write_parquet(tmp_path / "data.parquet")
    block = next(blocks_of(ParquetFeed(path=tmp_path)))
    with pytest.raises(KeyError):
        block.columns["y"]
    assert block.columns.get("y") is None
    assert dict(block.columns).keys() == set(block.columns)


def test_a_feature_of_a_frame_is_converted_when_it_is_read(monkeypatch):
    converted = []
    convert = layout_module._texts
    monkeypatch.setattr(layout_module, "_texts", lambda array: converted.append(len(array)) or convert(array))
    (block,) = blocks_of(FrameFeed(frame=bars(0, 100)))
    assert not converted
    assert block.columns["word"][:3].tolist() == [None, "w1", "w2"]
    assert block.columns["word"] is block.columns["word"]
    assert converted == [200]


@pytest.mark.usefixtures("small")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 120), st.booleans()), min_size=1, max_size=4),
    group=st.sampled_from([1, 7, 100, 1000]),
    reads=st.dictionaries(st.sampled_from(FEATURES), st.integers(0, 6), max_size=4),
    options=st.sampled_from([{}, {"start": "1970-01-01T00:00:00.000000020"}, {"instruments": ("A0", "B1")}]),
    sort=st.sampled_from([None, True]),
)
def test_the_values_do_not_depend_on_when_somebody_begins_to_read_them(
    files, group, reads, options, sort, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("files")
    for number, (first, rows, by_name) in enumerate(files):
        frame = bars(first, rows, (f"A{number}", f"B{number}"))
        frame = frame.sort("instrument", maintain_order=True) if by_name else frame
        frame.write_parquet(folder / f"{number}.parquet", row_group_size=group, use_pyarrow=True)
    if "instruments" in options and len(files) < 2:
        options = {}
    feed = ParquetFeed(path=folder, sort=sort, ts_unit="ns", **options)
    whole = joined([dict(block.columns) for block in blocks_of(feed)])
    late = []
    for number, block in enumerate(blocks_of(feed)):
        late.append(block)
        for name, begin in reads.items():
            if number >= begin:
                assert len(block.columns[name]) == len(block)
    found = joined([block.columns for block in late])  # kept blocks can still be read
    for name, values in whole.items():  # where blocks end may depend on what is read, but not what is in them
        np.testing.assert_array_equal(found[name], values)


def joined(blocks):
    return {name: np.concatenate([columns[name] for columns in blocks]) for name in (blocks[0] if blocks else ())}


@pytest.mark.usefixtures("small")
def test_an_adjusted_close_and_hive_keys_are_there_as_before(tmp_path):
    folder = tmp_path / "venue=X"
    folder.mkdir()
    bars(0, 300).with_columns(adj=pl.col("close") / 2).write_parquet(folder / "data.parquet")
    feed = ParquetFeed(path=tmp_path, adjust=Adjust(close="adj"), features=("venue", "x", "adj"))
    blocks = list(blocks_of(feed))
    assert list(blocks[0].columns) == ["open", "high", "low", "close", "venue", "x", "adj", "raw_close"]
    for block in blocks:
        np.testing.assert_array_equal(block.columns["close"], block.columns["adj"])
        assert set(block.columns["venue"]) == {"X"}
        assert np.all(block.columns["raw_close"] > block.columns["close"])


def test_wide_files_are_read_in_bounded_memory(tmp_path):
    rows = 600_000
    price = np.full(rows, 10.0)
    table = {"ts": np.arange(rows), "price": price, "size": price, **{f"f{i}": price + i for i in range(20)}}
    pq.write_table(pa.table(table), tmp_path / "data.parquet", row_group_size=100_000)
    del table
    peak = 0
    for block in blocks_of(ParquetFeed(path=tmp_path, kind="trade", instrument="X")):
        assert block.columns["f3"][0] == 13.0
        peak = max(peak, pa.total_allocated_bytes())
    # Up to four batches of four columns, and a little; all columns of a batch would be twice as much.
    assert peak < 4 * source_module._BATCH_ROWS * 8 * 5
