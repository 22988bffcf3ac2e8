"""The one order of rows: by time, then instrument, then file; whatever the files, batches and blocks are."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_feeds import FrameFeed, ParquetFeed, SyntheticFeed
from qengine_feeds import source as source_module
from qengine_feeds.merging import Run, cut, merge, sort_by_time

from qengine_core.blocks import BLOCK_ROWS

MINUTE = 60_000_000_000


def drain(feed):
    """Everything a feed delivers: ts, names of instruments, columns, and the blocks' lengths."""
    source = feed.open()
    names = [instrument.name for instrument in source.info.instruments]
    # Codes as a run with other feeds might have them: not from 0, and not in the order of names.
    codes = {name: 3 + len(names) - rank for rank, name in enumerate(names)}
    back = {code: name for name, code in codes.items()}
    blocks = list(source.blocks(2, codes))
    columns = (
        {name: np.concatenate([b.columns[name] for b in blocks]) for name in source.info.columns} if blocks else {}
    )
    assert all(block.stream == 2 and block.instrument.dtype == np.int32 for block in blocks)
    assert all(list(block.columns) == list(source.info.columns) for block in blocks)
    assert all(column.flags.c_contiguous for block in blocks for column in block.columns.values())
    ts = np.concatenate([block.ts for block in blocks]) if blocks else np.array([], np.int64)
    instruments = [back[code] for block in blocks for code in block.instrument.tolist()]
    return ts, instruments, columns, [len(block) for block in blocks]


def trades(ts, names, first=0):
    price = 100.0 + first + np.arange(len(ts))
    return pl.DataFrame(
        {"ts": pl.Series(ts, dtype=pl.Int64), "instrument": names, "price": price, "size": np.ones(len(ts))},
        schema_overrides={"instrument": pl.String},
    )


def runs_of(ts, cuts):
    """The rows 0, 1, 2 … with these instants, in runs cut at these places."""
    edges = [0, *sorted({min(c, len(ts)) for c in cuts}), len(ts)]
    rows, ranks = np.arange(len(ts)), np.zeros(len(ts), np.int32)
    return [Run(ts[a:b], ranks[a:b], {"row": rows[a:b]}) for a, b in itertools.pairwise(edges)]


instants = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(lambda ts: np.sort(np.array(ts, np.int64)))
cuts = st.lists(st.integers(0, 60), max_size=6)


@given(ts=instants, cuts=cuts, rows=st.integers(1, 40))
def test_blocks_hold_every_row_once_split_no_instant_and_are_joined_where_they_are_short(ts, cuts, rows):
    pieces = list(cut(iter(runs_of(ts, cuts)), rows))
    assert np.concatenate([piece.columns["row"] for piece in pieces]).tolist() == list(range(len(ts)))
    for before, after in itertools.pairwise(pieces):
        assert before.ts[-1] < after.ts[0]
    assert all(len(piece) <= rows or piece.ts[0] == piece.ts[-1] for piece in pieces)
    for before, piece, following in zip(pieces, pieces[1:], pieces[2:], strict=False):
        next_instant = int(np.searchsorted(following.ts, following.ts[0], side="right"))
        assert 8 * max(len(before), len(piece)) >= rows or len(piece) + next_instant > rows


def test_short_runs_are_joined_and_long_ones_are_not_copied():
    ts = np.arange(500, dtype=np.int64)
    joined = [len(piece) for piece in cut(iter(runs_of(ts, range(10, 500, 10))), 400)]
    assert joined == [50] * 10
    long_and_short = [60, 70, 130, 140, 200, 210, 270]
    pieces = list(cut(iter(runs_of(ts, long_and_short)), 400))
    assert [len(piece) for piece in pieces] == [60, 10, 60, 10, 60, 10, 60, 230]
    assert all(np.shares_memory(piece.ts, ts) for piece in pieces)


@given(data=st.data(), count=st.integers(1, 5))
def test_the_merge_equals_a_stable_sort_of_everything(data, count):
    heads, everything = [], []
    for index in range(count):
        ts = data.draw(instants)
        runs = runs_of(ts, data.draw(cuts))
        for run in runs:
            run.columns["source"] = np.full(len(run), index)
        early = data.draw(st.integers(0, 3))  # a source may start later than it says, never earlier
        heads.append((int(ts[0]) - early, lambda _, runs=runs: iter(runs)))
        everything += [(int(t), index, row) for row, t in enumerate(ts)]
    merged = [
        (int(t), int(index), int(row))
        for run in merge(heads)
        for t, index, row in zip(run.ts, run.columns["source"], run.columns["row"], strict=True)
    ]
    assert merged == sorted(everything)


@given(count=st.integers(1, 5), ts=st.lists(st.integers(0, 9), min_size=1, max_size=8), odd=st.booleans())
def test_series_one_after_another_are_sorted_as_numpy_would_whether_they_share_their_instants_or_not(count, ts, odd):
    stamps = np.concatenate([np.sort(ts)] * count + [np.array([5])] * odd).astype(np.int64)
    run = Run(stamps, np.zeros(len(stamps), np.int32), {"row": np.arange(len(stamps))})
    done = sort_by_time(run)
    assert done.columns["row"].tolist() == np.argsort(stamps, kind="stable").tolist()
    assert done.ts.tolist() == np.sort(stamps).tolist()


def test_the_merge_opens_a_source_only_when_time_has_come_that_far():
    opened = []

    def source(index):
        def runs(_):
            opened.append(index)
            yield from runs_of(np.arange(index * 10, index * 10 + 10, dtype=np.int64), [5])

        return index * 10, runs

    merged = merge([source(2), source(0), source(1)])
    first = next(merged)
    assert first.ts[0] == 0
    assert opened == [0]
    assert np.concatenate([first.ts, *[run.ts for run in merged]]).tolist() == list(range(30))


@settings(max_examples=40, deadline=None)
@given(
    ts=st.lists(st.integers(0, 20), min_size=1, max_size=40),
    names=st.lists(st.sampled_from("ABC"), min_size=40, max_size=40),
    past=st.integers(0, 21),
)
def test_a_feed_is_the_reference_sort_reiterable_and_blind_to_the_future(ts, names, past):
    ts = sorted(ts)
    frame = trades(ts, names[: len(ts)])
    feed = FrameFeed(frame=frame, kind="trade")
    got_ts, got_names, columns, _ = drain(feed)
    expected = sorted(zip(ts, names, columns["price"].size * [0], range(len(ts)), strict=False), key=lambda r: r[:2])
    assert got_ts.tolist() == [row[0] for row in expected]
    assert got_names == [row[1] for row in expected]
    assert columns["price"].tolist() == [100.0 + row[3] for row in expected]
    again = drain(feed)
    assert again[0].tolist() == got_ts.tolist()
    assert again[2]["price"].tolist() == columns["price"].tolist()
    known = frame.filter(pl.col("ts") < past)
    if len(known):
        before = drain(FrameFeed(frame=known, kind="trade"))
        assert before[2]["price"].tolist() == columns["price"][: len(known)].tolist()


@pytest.mark.parametrize("layout", ["by time", "by instrument", "a file each", "a year each"])
def test_every_layout_of_files_gives_the_same_stream(tmp_path, layout, monkeypatch):
    block_rows = 1 << 16
    monkeypatch.setattr(source_module, "_BATCH_ROWS", block_rows)
    monkeypatch.setattr(source_module, "BLOCK_ROWS", block_rows)
    days = 1_600_000_000_000_000_000 + np.arange(30_000, dtype=np.int64) * MINUTE
    frame = pl.concat(
        [
            trades(days + shift * (name == "C"), [name] * len(days), k * 1e5)
            for k, name in enumerate("CAB")
            for shift in [MINUTE // 2]
        ]
    )
    by_time = frame.sort("ts", "instrument")
    if layout == "by time":
        by_time.write_parquet(tmp_path / "all.parquet")
    elif layout == "by instrument":
        frame.write_parquet(tmp_path / "all.parquet")
    elif layout == "a file each":
        for (name,), part in frame.group_by("instrument"):
            part.drop("instrument").write_parquet(tmp_path / f"{name}.parquet")
    else:
        for year, start in enumerate(range(0, len(by_time), 20_000)):
            (tmp_path / f"year={year}").mkdir()
            by_time[start : start + 20_000].write_parquet(tmp_path / f"year={year}" / "part.parquet")
    ts, names, columns, lengths = drain(ParquetFeed(path=tmp_path, kind="trade"))
    assert ts.tolist() == by_time["ts"].to_list()
    assert names == by_time["instrument"].to_list()
    assert columns["price"].tolist() == by_time["price"].to_list()
    assert list(columns) == ["price", "size"]
    assert sum(lengths) == 90_000
    assert all(8 * max(pair) >= block_rows for pair in itertools.pairwise(lengths))


def test_a_block_of_one_sorted_series_is_a_view_of_the_frame():
    ts = np.arange(100, dtype=np.int64)
    frame = pl.DataFrame({"ts": ts, "price": np.arange(100) + 1.0, "size": np.ones(100)})
    block = next(FrameFeed(frame=frame, kind="trade", instrument="X").open().blocks(0, {"X": 0}))
    assert np.shares_memory(block.columns["price"], frame["price"].to_numpy())
    assert np.shares_memory(block.ts, frame["ts"].to_numpy())


@pytest.mark.parametrize("kind", ["bar", "trade", "quote"])
def test_synthetic_prices_pass_the_checks_and_come_out_the_same(kind):
    feed = SyntheticFeed(kind=kind, instruments=("B", "A"), rows=80_000, interval="1m", tick_size=0.01)
    ts, names, columns, lengths = drain(feed)
    assert names[:4] == ["A", "B", "A", "B"]
    assert len(ts) == feed.open().info.rows == 160_000
    assert max(lengths) <= BLOCK_ROWS
    assert all(np.array_equal(column, drain(feed)[2][name]) for name, column in columns.items())
    checked = FrameFeed(frame=pl.DataFrame({"ts": ts, "instrument": names, **columns}), kind=kind)
    assert drain(checked)[0].tolist() == ts.tolist()


def test_synthetic_rows_do_not_depend_on_how_many_follow_nor_on_other_instruments():
    short = drain(SyntheticFeed(instruments=("A",), rows=500))
    long = drain(SyntheticFeed(instruments=("A",), rows=140_000))
    pair = drain(SyntheticFeed(instruments=("A", "B"), rows=140_000))
    for name, column in short[2].items():
        assert column.tolist() == long[2][name][:500].tolist()
        assert pair[2][name][::2].tolist() == long[2][name].tolist()
    assert drain(SyntheticFeed(rows=10, seed=1))[2]["close"][0] != drain(SyntheticFeed(rows=10, seed=2))[2]["close"][0]


def test_synthetic_days_skip_weekends_and_returns_have_the_asked_size():
    ts, _, columns, _ = drain(SyntheticFeed(rows=20_000, volatility=0.3, drift=0.0, gap=0.0))
    assert np.isin((ts // 86_400_000_000_000 - 1 + 4) % 7, [0, 6]).sum() == 0  # 1970-01-01 was a Thursday
    yearly = np.diff(np.log(columns["close"])).std() * np.sqrt(365.25)
    assert yearly == pytest.approx(0.3, rel=0.02)
    gapped = drain(SyntheticFeed(rows=2_000, volatility=0.0, drift=0.0, gap=0.01))[2]
    assert np.log(gapped["open"][1:] / gapped["close"][:-1]).std() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(
    "kind", [pl.String, pl.Categorical, pl.Enum(["C", "A", "B", "unused"]), pl.Enum(["A", "B", "C"])]
)
@pytest.mark.parametrize("in_file", [False, True])
def test_instruments_mean_the_same_however_they_are_encoded(kind, in_file, tmp_path):
    names = ["C", "A", "B", "B", "A"] * 200
    frame = trades(list(range(1_000)), names).with_columns(pl.col("instrument").cast(kind))
    frame.write_parquet(tmp_path / "data.parquet", row_group_size=7)
    ts, instruments, columns, _ = drain(
        ParquetFeed(path=tmp_path, kind="trade") if in_file else FrameFeed(frame=frame, kind="trade")
    )
    assert instruments == names
    assert ts.tolist() == list(range(1_000))
    assert columns["price"].tolist() == frame["price"].to_list()
