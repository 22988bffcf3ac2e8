"""Books rebuilt from snapshots, differences and single orders, and held to what exchanges say of them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from qengine_feeds import FrameFeed
from qengine_feeds.depth import quotes_from_columns, quotes_from_updates, read_binance, updates_from_orders

from qengine_core.plugin import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the market data in ../shared")
UPDATES = ["ts", "side", "price", "size", "snapshot"]


def updates(*rows):
    return pl.DataFrame(rows, schema=UPDATES, orient="row")


def line(ts, message):
    return f"{ts} {json.dumps(message)}\n"


def depth(first, last, bids=(), asks=(), **further):
    return {"stream": "x@depth", "data": {"U": first, "u": last, "b": list(bids), "a": list(asks)} | further}


SNAPSHOT = {"lastUpdateId": 10, "bids": [["99", "1"], ["98", "2"]], "asks": [["100", "3"], ["101", "4"]]}


def test_a_book_follows_its_snapshot_and_differences():
    frame = quotes_from_updates(
        updates(
            (1, "bid", 99.0, 1.0, True),
            (1, "bid", 98.0, 2.0, True),
            (1, "ask", 100.0, 3.0, True),
            (2, "bid", 99.0, 0.0, False),
            (2, "ask", 99.5, 5.0, False),
            (3, "bid", 97.0, 9.0, True),
            (3, "ask", 98.0, 9.0, True),
        ),
        levels=2,
    )
    assert frame.columns == ["ts", "bid", "bid_size", "ask", "ask_size", "bid_2", "bid_size_2", "ask_2", "ask_size_2"]
    assert frame.rows() == [
        (1, 99.0, 1.0, 100.0, 3.0, 98.0, 2.0, None, None),
        (2, 98.0, 2.0, 99.5, 5.0, None, None, 100.0, 3.0),
        (3, 97.0, 9.0, 98.0, 9.0, None, None, None, None),
    ]


def test_a_side_of_another_name_and_no_level_are_refused():
    with pytest.raises(DataError, match="Row 0 of the updates: the side is 'buy', but must be 'bid' or 'ask'"):
        quotes_from_updates(updates((1, "buy", 99.0, 1.0, False)))
    with pytest.raises(ConfigError, match="levels must be 1 or more, not 0"):
        quotes_from_updates(updates((1, "bid", 99.0, 1.0, False)), levels=0)


def test_single_orders_add_up_to_levels():
    orders = pl.DataFrame(
        [
            (1, "A", "B", 99.0, 5, 1),
            (1, "A", "B", 99.0, 2, 2),
            (1, "A", "A", 100.0, 4, 3),
            (2, "C", "B", 99.0, 3, 1),
            (3, "M", "B", 98.0, 6, 2),
            (4, "T", "A", 99.0, 1, 9),
            (5, "R", "N", 0.0, 0, 0),
            (5, "A", "B", 97.0, 1, 4),
            (5, "A", "A", 97.5, 1, 5),
        ],
        schema=["ts", "action", "side", "price", "size", "order_id"],
        orient="row",
    )
    frame = quotes_from_updates(updates_from_orders(orders), levels=2)
    assert frame.select("ts", "bid", "bid_size", "ask", "ask_size", "bid_2", "bid_size_2").rows() == [
        (1, 99.0, 7.0, 100.0, 4.0, None, None),
        (2, 99.0, 4.0, 100.0, 4.0, None, None),
        (3, 99.0, 2.0, 100.0, 4.0, 98.0, 6.0),
        (5, 97.0, 1.0, 97.5, 1.0, None, None),
    ]
    with pytest.raises(DataError, match="order 7 is changed, but was never added"):
        updates_from_orders(orders.head(1).with_columns(action=pl.lit("C"), order_id=pl.lit(7)))


def test_a_recording_starts_at_its_snapshot_and_must_have_no_gap(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [
        line(1, depth(8, 9, bids=[["99", "7"]])),
        line(2, depth(10, 11, bids=[["99", "5"]])),
        line(3, SNAPSHOT),
        line(4, {"stream": "x@trade", "data": {"p": "99", "q": "0.5", "m": True}}),
        line(5, depth(12, 13, asks=[["100", "0"]])),
    ]
    path.write_text("".join(lines))
    recording = read_binance(path)
    assert recording.quotes(1).rows() == [(3, 99.0, 5.0, 100.0, 3.0), (5, 99.0, 5.0, 101.0, 4.0)]
    assert recording.trades.rows() == [(4, 99.0, 0.5, -1.0)]
    path.write_text("".join([*lines, line(6, depth(15, 16))]))
    with pytest.raises(DataError, match="the book's update after 13 is missing, the next is 15 to 16"):
        read_binance(path)
    path.write_text(lines[0])
    with pytest.raises(DataError, match="holds no snapshot of the depth"):
        read_binance(path)


@needs_shared
@pytest.mark.slow
def test_a_book_rebuilt_from_binance_equals_the_best_quotes_that_it_sent():
    """The exchange's two feeds agree: golden/l2-book-spot.json."""
    golden = json.loads((SHARED / "golden" / "l2-book-spot.json").read_text())
    expected = golden["expected"]
    recording = read_binance(SHARED / "data" / golden["data"][0])
    changes = recording.updates
    assert changes.filter("snapshot")["update_id"].unique().to_list() == [expected["snapshot_lastUpdateId"]]
    assert (recording.trades.height, round(recording.trades["size"].sum(), 5)) == (
        expected["trades"],
        expected["traded_volume"],
    )
    began = changes.filter("snapshot")["ts"].item(0)
    diffs = changes.filter(pl.col("ts") > began).group_by("update_id", maintain_order=True).agg(pl.col("ts").last())
    assert diffs.height == expected["diffs_applied"]
    narrow = recording.quotes(1).filter(pl.col("ts") > began)
    assert narrow["ts"].to_list() == diffs["ts"].to_list()
    best = narrow.with_columns(diffs["update_id"])
    tickers = recording.tickers.sort("update_id").select("update_id", "bid", "bid_size", "ask", "ask_size")
    both = best.join_asof(tickers, on="update_id", suffix="_sent")
    equal = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_sent") for name in ("bid", "bid_size", "ask", "ask_size"))
    assert both.filter(equal).height == expected["bbo_equal"] == expected["compared"]
    wide = recording.quotes(2500).filter(pl.col("ts") > began)  # more levels than either side ever has
    counted = wide.select(
        "bid",
        "bid_size",
        "ask",
        "ask_size",
        bids=pl.sum_horizontal(
            pl.col(n).is_not_null() for n in wide.columns if n.startswith("bid") and "size" not in n
        ),
        asks=pl.sum_horizontal(
            pl.col(n).is_not_null() for n in wide.columns if n.startswith("ask") and "size" not in n
        ),
    )
    rows = [list(row) for row in counted.insert_column(0, diffs["update_id"]).iter_rows()]
    assert rows[0] == expected["first"]
    assert rows[-1] == expected["last"]
    assert rows[::500] == expected["every_500th"]


@needs_shared
def test_a_recording_of_futures_has_no_gap_and_is_read_as_quotes_with_depth():
    recording = read_binance(SHARED / "data" / "crypto-l2" / "binance_usdm_btcusdt_20240808_first150s.jsonl.gz")
    frame = recording.quotes(5)
    best = frame.join_asof(recording.tickers, on="ts", suffix="_sent")
    assert frame.height > 1000
    assert best.filter(pl.col("bid") >= pl.col("ask")).height == 0
    source = FrameFeed(frame=frame, kind="quote", instrument="BTCUSDT").open()
    assert {"bid_5", "bid_size_5", "ask_5", "ask_size_5"} <= set(source.info.columns)
    block = next(iter(source.blocks(0, {"BTCUSDT": 0})))
    assert (block.columns["bid"] > block.columns["bid_2"]).all()
    assert (block.columns["ask_4"] < block.columns["ask_5"]).all()


@needs_shared
def test_orders_of_es_add_up_to_a_book_whose_levels_are_a_tick_apart():
    orders = pl.read_parquet(SHARED / "data" / "futures-databento" / "esh4-glbx-mdp3-20231224.mbo.parquet")
    last = quotes_from_updates(updates_from_orders(orders), levels=10).tail(1)
    row = last.row(0, named=True)
    assert 0 < row["ask"] - row["bid"] <= 1.0
    assert all(row[f"bid_{n}"] % 0.25 == 0 and row[f"bid_{n}"] > row[f"bid_{n + 1}"] for n in range(2, 10))
    resting = orders.filter(side="B", price=row["bid"])["size"].sum()
    assert row["bid_size"] == resting


@needs_shared
def test_wide_tables_of_vendors_are_renamed():
    table = pl.read_csv(SHARED / "data" / "crypto-l2" / "binance-futures_book_snapshot_5_BTCUSDT.csv")
    patterns = {"bid": "bids[{}].price", "bid_size": "bids[{}].amount"}
    patterns |= {"ask": "asks[{}].price", "ask_size": "asks[{}].amount"}
    frame = quotes_from_columns(table, **patterns, levels=5)
    assert frame.select("bid", "ask", "bid_2", "ask_size_5").row(0) == (11657.07, 11657.08, 11656.97, 0.918)
    with pytest.raises(DataError, match=r"There is no column bids\[5\]\.price"):
        quotes_from_columns(table, **patterns, levels=6)
