"""Rows that cannot be right are refused in one sentence: file, row, column, instrument, what was expected."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_feeds import Adjust, CsvFeed, FrameFeed, ParquetFeed
from qengine_feeds import source as source_module
from qengine_feeds.checks import DataWarning

from qengine_core.plugin import ConfigError, DataError

KINDS = {
    "bar": {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0},
    "trade": {"price": 10.0, "size": 5.0},
    "quote": {"bid": 10.0, "ask": 11.0, "bid_size": 5.0, "ask_size": 5.0},
}


def frame_of(kind="bar", rows=4, instrument="X", **columns):
    values = {"ts": list(range(1, rows + 1)), "instrument": [instrument] * rows}
    values |= {name: [value] * rows for name, value in KINDS.get(kind, {}).items()}
    return pl.DataFrame(values | columns)


def with_value(kind, row, column, value):
    frame = frame_of(kind)
    return frame.with_columns(pl.when(pl.col("ts") == row).then(value).otherwise(pl.col(column)).alias(column))


def drain(feed):
    source = feed.open()
    codes = {instrument.name: code for code, instrument in enumerate(source.info.instruments)}
    return list(source.blocks(0, codes))


def refusal(feed):
    with pytest.raises((DataError, ConfigError)) as caught:
        drain(feed)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    return str(caught.value)


VALUES = [
    ("bar", "open", float("nan"), "the open is missing (null) or not a number, but a price must be a number above 0"),
    ("bar", "close", None, "the close is missing (null) or not a number"),
    ("bar", "low", 0.0, "the low is 0, but a price must be a number above 0"),
    ("bar", "low", -1.5, "the low is -1.5, but a price must be a number above 0"),
    ("bar", "high", float("inf"), "the high is inf, but a price must be a number above 0"),
    ("bar", "high", 8.0, "the high is 8, but the high must not be below the low"),
    ("bar", "open", 12.5, "the open is 12.5, but the open must lie between low and high"),
    ("bar", "close", 8.5, "the close is 8.5, but the close must lie between low and high"),
    ("bar", "volume", -1.0, "the volume is -1, but a volume must be a number, 0 or more"),
    ("bar", "volume", float("nan"), "the volume is missing"),
    ("trade", "price", -3.0, "the price is -3, but a price must be"),
    ("trade", "size", -1.0, "the size is -1, but a size must be"),
    ("quote", "bid", 11.5, "the bid is 11.5, but the bid must not be above the ask"),
    ("quote", "ask", float("nan"), "the ask is missing"),
    ("quote", "bid_size", -1.0, "the bid_size is -1, but a bid_size must be"),
]


@pytest.mark.parametrize(("kind", "column", "value", "sentence"), VALUES)
def test_a_value_that_cannot_be_right_is_named_with_its_row(kind, column, value, sentence, tmp_path):
    frame = with_value(kind, 3, column, value)
    frame.write_parquet(tmp_path / "data.parquet")
    message = refusal(ParquetFeed(path=tmp_path / "data.parquet", kind=kind))
    assert message.startswith(f"{tmp_path}/data.parquet, row 3, column {column}, instrument X at 1970-01-01T00:00:00")
    assert sentence in message
    assert message.endswith('mend the data, or say validate = "warn" to go on all the same.')
    with pytest.warns(DataWarning, match="1 row is wrong; first: .*row 3") as warned:
        assert len(drain(FrameFeed(frame=frame, kind=kind, validate="warn"))[0]) == 4
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(drain(FrameFeed(frame=frame, kind=kind, validate="off"))[0]) == 4


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, np.nan, np.inf])] * 5), min_size=1, max_size=6)
)
def test_the_fast_check_refuses_exactly_what_the_definition_refuses(rows):
    columns = dict(zip(KINDS["bar"], map(list, zip(*rows, strict=True)), strict=True))
    frame = pl.DataFrame({"ts": list(range(len(rows))), **columns})
    sound = all(0 < l <= o <= h < np.inf and l <= c <= h and 0 <= v < np.inf for o, h, l, c, v in rows)  # noqa: E741
    if sound:
        assert len(drain(FrameFeed(frame=frame, instrument="X"))[0]) == len(rows)
    else:
        refusal(FrameFeed(frame=frame, instrument="X"))


def test_warnings_count_each_kind_of_problem_once():
    frame = frame_of(rows=40_000).with_columns(low=pl.when(pl.col("ts") % 2 == 0).then(-1.0).otherwise(9.0))
    frame = frame.with_columns(volume=pl.when(pl.col("ts") == 20_001).then(-1.0).otherwise(1.0))
    with pytest.warns(DataWarning) as warned:
        drain(FrameFeed(frame=frame, validate="warn"))
    texts = sorted(str(warning.message) for warning in warned)
    assert [text.split(";")[0] for text in texts] == ["1 row is wrong", "20000 rows are wrong"]
    assert "row 20001, column volume" in texts[0]
    assert "row 2, column low" in texts[1]


def test_two_bars_of_one_instrument_at_one_time_are_refused_where_they_are(tmp_path):
    frame_of(ts=[1, 2, 2, 3]).write_parquet(tmp_path / "a.parquet")
    message = refusal(ParquetFeed(path=tmp_path / "a.parquet"))
    assert "a.parquet, row 2 and " in message
    assert "a.parquet, row 3: instrument X has two bars at 1970-01-01T00:00:00, but expected one" in message
    frame_of(ts=[3, 4, 5, 6]).write_parquet(tmp_path / "b.parquet")
    frame_of().write_parquet(tmp_path / "a.parquet")
    message = refusal(ParquetFeed(path=tmp_path / "*.parquet"))
    assert "a.parquet, row 3 and " in message
    assert "b.parquet, row 1: instrument X has two bars" in message
    with pytest.warns(DataWarning, match="2 rows are wrong"):
        drain(ParquetFeed(path=tmp_path / "*.parquet", validate="warn"))
    assert len(drain(FrameFeed(frame=frame_of("trade", ts=[1, 2, 2, 3]), kind="trade"))[0]) == 4


def test_stamps_that_go_back_are_refused_in_every_mode():
    for mode in ("raise", "warn", "off"):
        message = refusal(FrameFeed(frame=frame_of(ts=[1, 3, 2, 4]), validate=mode))
        assert message.startswith("the frame, row 3, column ts, instrument X: 1970-01-01T00:00:00 comes after")
        assert "say sort = true" in message
    assert drain(FrameFeed(frame=frame_of(ts=[1, 3, 2, 4]), sort=True))[0].ts.tolist() == [1, 2, 3, 4]


def test_going_back_is_noticed_between_batches(monkeypatch):
    monkeypatch.setattr(source_module, "_FRAME_ROWS", 1)
    monkeypatch.setattr(source_module, "BLOCK_ROWS", 2)
    assert "row 3, column ts, instrument X" in refusal(FrameFeed(frame=frame_of(ts=[1, 3, 2, 4])))
    assert [len(block) for block in drain(FrameFeed(frame=frame_of()))] == [2, 2]


def long_frame():
    return pl.concat([frame_of(instrument="B"), frame_of(instrument="A")])


def test_a_file_sorted_by_instrument_is_sorted_in_memory_if_small_else_refused(monkeypatch):
    (block,) = drain(FrameFeed(frame=long_frame()))
    assert block.ts.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert block.instrument.tolist() == [0, 1] * 4
    message = refusal(FrameFeed(frame=long_frame(), sort=False))
    assert "row 5, column ts" in message
    assert "the file is sorted by instrument, not by time" in message
    monkeypatch.setattr(source_module, "_SORTED_IN_MEMORY_ROWS", 7)
    assert "sort it by time, or say sort = true" in refusal(FrameFeed(frame=long_frame()))
    assert len(drain(FrameFeed(frame=long_frame(), sort=True))[0]) == 8
    assert len(drain(FrameFeed(frame=long_frame().sort("ts")))[0]) == 8


def test_sorting_by_itself_does_not_hide_that_an_instrument_is_unsorted():
    frame = pl.concat([frame_of(instrument="B", ts=[1, 3, 2, 4]), frame_of(instrument="A")])
    message = refusal(FrameFeed(frame=frame))
    assert "the frame, row 3, column ts, instrument B" in message
    assert "must not go back" in message
    with pytest.warns(DataWarning, match="row 3"):
        (block,) = drain(FrameFeed(frame=frame, validate="warn"))
    assert block.ts.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert drain(FrameFeed(frame=frame, sort=True))[0].ts.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("frame", "settings", "sentence"),
    [
        (frame_of().drop("ts"), {}, "has no column of stamps: name it ts"),
        (frame_of().drop("low"), {}, "has no column 'low', which a bar needs"),
        (frame_of().rename({"close": "clsoe"}), {}, "did you mean 'clsoe'?"),
        (
            frame_of(),
            {"columns": {"open": "opn"}},
            "has no column 'opn', which columns says is open (did you mean 'open'?",
        ),
        (frame_of().drop("instrument"), {}, 'say which it is with instrument = "NAME"'),
        (frame_of(), {"instrument": "X"}, "leave instrument out"),
        (frame_of(), {"instruments": ("Y",)}, "There is no instrument 'Y' in the data"),
        (frame_of(instrument="AAPL"), {"instruments": ("APPL",)}, "did you mean 'AAPL'?"),
        (frame_of(instrument=None), {}, "instruments must be text or whole numbers, not null"),
        (
            frame_of().with_columns(instrument=pl.Series(["A", "A", None, "A"])),
            {},
            "row 3, column instrument: the instrument is missing",
        ),
        (frame_of(instrument=[1]), {}, "column instrument: instruments must be text or whole numbers, not large_list"),
        (frame_of(rows=0), {}, "the frame is empty: expected at least one row"),
        (frame_of(close=["ten"] * 4), {}, "column close: expected numbers, found text (first 'ten')"),
        (frame_of(x=[[1]] * 4), {}, "cannot be passed on as a feature: name the columns to pass on with features"),
        (frame_of(x=1.0), {"features": ("y",)}, "has no column 'y', which features asks for"),
        (frame_of(), {"adjust": Adjust(close="adj")}, "has no column 'adj' to adjust by"),
        (frame_of(f=[1.0, 0.0, 1.0, 1.0]), {"adjust": Adjust(factor="f")}, "row 2, column f: 0 makes no factor"),
        (frame_of(a=[1.0, 1.0, None, 1.0]), {"adjust": Adjust(close="a")}, "row 3, column a: nan makes no factor"),
        (frame_of("trade"), {"kind": "trade", "adjust": Adjust(close="price")}, "adjust is for bars"),
        (frame_of(), {"details": {"Y": {}}}, "details names an instrument 'Y' that the feed lacks"),
        (frame_of(), {"details": {"X": {"mult": 2.0}}}, "details.X has no setting 'mult'"),
        (frame_of(), {"details": {"X": {"multiplier": 0.0}}}, "details.X.multiplier must be a number above 0, not 0.0"),
        (frame_of(), {"details": {"X": {"currency": 3}}}, "details.X.currency must be text, not 3"),
        (frame_of(), {"details": {"X": {"lot_size": "1"}}}, "details.X.lot_size must be a number >= 0, not '1'"),
    ],
)
def test_what_a_feed_cannot_use_is_refused(frame, settings, sentence):
    assert sentence in refusal(FrameFeed(frame=frame, **settings))


def test_adjust_needs_one_column_and_a_frame_needs_a_frame():
    with pytest.raises(ConfigError, match="either close or factor"):
        Adjust()
    with pytest.raises(ConfigError, match="either close or factor"):
        Adjust(close="a", factor="b")
    with pytest.raises(ConfigError, match="in a run file, use the feed parquet or csv"):
        FrameFeed(frame="<polars frame in memory>")


def test_broken_empty_and_missing_files_are_named(tmp_path):
    whole = tmp_path / "whole.parquet"
    frame_of(rows=5_000).write_parquet(whole)
    content = whole.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) // 2])
    assert "cut.parquet is not a whole Parquet file" in refusal(ParquetFeed(path=tmp_path / "cut.parquet"))
    middle = bytearray(content)
    middle[4:200] = bytes(196)
    (tmp_path / "rotten.parquet").write_bytes(middle)
    assert "rotten.parquet is not a whole Parquet file" in refusal(ParquetFeed(path=tmp_path / "rotten.parquet"))
    (tmp_path / "none.parquet").write_bytes(b"")
    assert "none.parquet is not a whole Parquet file" in refusal(ParquetFeed(path=tmp_path / "none.parquet"))
    frame_of(rows=0).write_parquet(tmp_path / "empty.parquet")
    assert "empty.parquet is empty" in refusal(ParquetFeed(path=tmp_path / "empty.parquet"))
    assert "There is no file gone.parquet" in refusal(ParquetFeed(path="gone.parquet"))
    assert "No file matches gone*.parquet" in refusal(ParquetFeed(path="gone*.parquet"))
    (tmp_path / "folder").mkdir()
    assert "holds no file ending in .parquet or .pq" in refusal(ParquetFeed(path=tmp_path / "folder"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "x.csv is empty"),
        ("ts,open,high,low,close\n", "x.csv is empty: expected at least one row"),
        ("ts,open,high,low,close\n2020-01-01,1,1,1,1\n2020-01-02,1,1\n", "Expected 5 columns, got 3"),
        ("ts,open,high,low,close\n2020-01-01,1,1,1,1\n2020-01-02,1,1,1,ten\n", "invalid value 'ten'"),
        ("ts,open,high,low,close\n2020-01-01,1,1,1,\n", "row 1, column close, instrument x"),
        ("ts,open,open,high,low,close\n2020-01-01,1,1,1,1,1\n", "has the column 'open' more than once"),
        ("ts,open,high,low,close\n2020-01-01,1,1,1,1\nsoon,1,1,1,1\n", "row 2, column ts: 'soon'"),
    ],
)
def test_malformed_csv_is_named(tmp_path, text, sentence):
    (tmp_path / "x.csv").write_text(text)
    message = refusal(CsvFeed(path=tmp_path / "x.csv"))
    assert message.startswith(f"{tmp_path}/x.csv")
    assert sentence in message


def test_one_empty_file_among_others_is_skipped_when_only_warning(tmp_path):
    frame_of(rows=0).write_parquet(tmp_path / "a.parquet")
    frame_of().write_parquet(tmp_path / "b.parquet")
    assert "a.parquet is empty" in refusal(ParquetFeed(path=tmp_path))
    with pytest.warns(DataWarning, match="a.parquet is empty"):
        assert len(drain(ParquetFeed(path=tmp_path, validate="warn"))[0]) == 4


def test_files_of_one_feed_need_the_same_columns(tmp_path):
    frame_of(x=1.0).write_parquet(tmp_path / "a.parquet")
    frame_of(ts=[5, 6, 7, 8]).write_parquet(tmp_path / "b.parquet")
    assert "all files of a feed need the same; say which with features" in refusal(ParquetFeed(path=tmp_path))
    assert sum(map(len, drain(ParquetFeed(path=tmp_path, features=())))) == 8
