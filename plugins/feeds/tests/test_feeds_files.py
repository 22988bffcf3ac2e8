"""Files, frames and folders as they come: columns found, features passed on, real data read, memory bounded."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from qengine_feeds import Adjust, CsvFeed, FrameFeed, ParquetFeed, SyntheticFeed
from qengine_feeds.components import HeldFrame
from qengine_feeds.plugin import feeds

from qengine_core.engine import Engine  # noqa: F401 - importing it must not need a data library
from qengine_core.params import structure, unstructure
from qengine_core.plugin import DataError, FeedSpec, Phase

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
STOCKS = ROOT / "examples" / "data" / "stocks.parquet"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not on this machine")


def table(feed):
    """All rows of a feed as a Polars frame, and what it said before."""
    source = feed.open()
    names = [instrument.name for instrument in source.info.instruments]
    parts = [
        pl.DataFrame({"ts": b.ts, "instrument": [names[c] for c in b.instrument], **b.columns})
        for b in source.blocks(0, {name: code for code, name in enumerate(names)})
    ]
    return pl.concat(parts), source.info


def bars(n=3, **columns):
    values = {"ts": list(range(1, n + 1)), "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5}
    return pl.DataFrame(
        {name: value if isinstance(value, list) else [value] * n for name, value in (values | columns).items()}
    )


def test_columns_are_found_by_usual_names_whatever_their_case_or_by_mapping():
    frame = bars(vol=7).rename({"ts": "Timestamp", "open": "OPEN", "close": "Close"}).with_columns(Ticker=pl.lit("X"))
    rows, info = table(FrameFeed(frame=frame))
    assert info.columns == ("open", "high", "low", "close", "volume")
    assert rows["volume"].dtype == pl.Float64
    odd = bars().rename({"ts": "when", "open": "o", "close": "last"}).with_columns(what=pl.lit(7), x=pl.lit(3))
    mapping = {"ts": "when", "open": "o", "close": "last", "instrument": "what", "signal": "x"}
    rows, info = table(FrameFeed(frame=odd, columns=mapping))
    assert info.columns == ("open", "high", "low", "close", "signal")
    assert rows["instrument"].to_list() == ["7"] * 3
    assert rows["signal"].to_list() == [3] * 3


def test_features_keep_their_types_and_missing_numbers_become_nan():
    frame = bars(holed=[1, None, 3], flag=[True, False, True], small=[1, 2, 3], word=["a", None, "a"]).with_columns(
        pl.col("small").cast(pl.Int8),
        category=pl.Series(["u", "v", "u"], dtype=pl.Categorical),
        money=pl.Series(["1.5", "2", "3"]).cast(pl.Decimal(10, 2)),
        day=pl.date(2020, 1, 1),
    )
    source = FrameFeed(frame=frame, instrument="X").open()
    (block,) = source.blocks(0, {"X": 0})
    columns = block.columns
    assert columns["holed"].dtype == np.float64
    assert np.isnan(columns["holed"][1])
    assert columns["flag"].dtype == bool
    assert columns["small"].dtype == np.int8
    assert columns["word"].tolist() == ["a", None, "a"]
    assert columns["category"].tolist() == ["u", "v", "u"]
    assert columns["money"].tolist() == [1.5, 2.0, 3.0]
    assert columns["day"].dtype.kind == "M"
    _rows, info = table(FrameFeed(frame=frame, instrument="X", features=("small",)))
    assert info.columns == ("open", "high", "low", "close", "small")


@pytest.mark.parametrize("kind", ["polars", "arrow", "stream", "pandas", "indexed"])
def test_any_arrow_frame_will_do(kind):
    frame = bars().with_columns(symbol=pl.lit("X"))
    pandas = pytest.importorskip("pandas")
    listed = frame.to_dict(as_series=False)
    made = {
        "polars": lambda: frame,
        "arrow": lambda: frame.to_arrow(),
        "stream": lambda: HeldFrame(frame),
        "pandas": lambda: pandas.DataFrame(listed),
        "indexed": lambda: pandas.DataFrame(listed, index=pandas.to_datetime(listed.pop("ts"), utc=True)),
    }[kind]()
    rows, info = table(FrameFeed(frame=made))
    assert rows["close"].to_list() == [1.5] * 3
    assert rows["ts"].to_list() == [1, 2, 3]
    assert info.rows == 3


def test_a_frame_is_never_written_into_settings_and_its_hash_follows_its_values():
    feed = FrameFeed(frame=bars(x=["a", None, "b"]), instrument="X", adjust=Adjust(factor="close"))
    assert unstructure(feed)["frame"] == "<polars frame in memory>"
    said = dict(feed.open().info.description)
    json.dumps(said)
    assert said["files"][0]["rows"] == 3
    assert said["adjusted"] == {"close": None, "factor": "close", "volume": False}
    other = FrameFeed(frame=bars(x=["a", None, "c"]), instrument="X").open().info.description["files"][0]["sha256"]
    cut = pl.concat([bars(x=["a", None, "b"])[:1], bars(x=["a", None, "b"])[1:]], rechunk=False)
    assert said["files"][0]["sha256"] != other
    sliced = FrameFeed(frame=cut.select(pl.all().exclude("x")), instrument="X").open().info.description
    whole = FrameFeed(frame=bars(), instrument="X").open().info.description
    assert sliced["files"][0]["sha256"] == whole["files"][0]["sha256"]


def test_settings_make_the_same_feed_again():
    feed = ParquetFeed(
        path=STOCKS, adjust=Adjust(close="adj_close"), instruments=("AAPL", "IBM"), columns={"ts": "date"},
        details={"IBM": {"currency": "EUR", "multiplier": 2.0}}, start="2010-01-01",
    )  # fmt: skip
    again = structure(ParquetFeed, json.loads(json.dumps(unstructure(feed))), "[feed]")
    rows, info = table(again)
    assert rows.equals(table(feed)[0])
    assert [(i.name, i.currency, i.multiplier) for i in info.instruments] == [("AAPL", "USD", 1.0), ("IBM", "EUR", 2.0)]
    assert info.rows is None
    synthetic = SyntheticFeed(rows=5)
    assert structure(SyntheticFeed, unstructure(synthetic), "[feed]") == synthetic


def test_adjusting_keeps_returns_bars_and_the_raw_close():
    frame = bars(open=[10.0, 5.0, 5.0], high=[11.0, 6.0, 6.0], low=[9.0, 4.0, 4.0], close=[10.0, 5.0, 5.5],
                 volume=[1.0, 2.0, 2.0], adj=[5.0, 5.0, 5.5])  # fmt: skip
    rows, _ = table(FrameFeed(frame=frame, instrument="X", adjust=Adjust(close="adj", volume=True)))
    assert rows["close"].to_list() == [5.0, 5.0, 5.5]
    assert rows["high"].to_list() == [5.5, 6.0, 6.0]
    assert rows["volume"].to_list() == [2.0, 2.0, 2.0]
    assert rows["raw_close"].to_list() == [10.0, 5.0, 5.5]
    factor = frame.with_columns(f=pl.Series([0.5, 1.0, 1.0])).drop("adj")
    rows, info = table(FrameFeed(frame=factor, instrument="X", adjust=Adjust(factor="f")))
    assert rows["open"].to_list() == [5.0, 5.0, 5.0]
    assert rows["volume"].to_list() == [1.0, 2.0, 2.0]
    assert info.columns == ("open", "high", "low", "close", "volume", "f", "raw_close")


def test_the_example_prices_stream_and_adjust():
    rows, info = table(ParquetFeed(path=STOCKS, time_zone="America/New_York", session_close="16:00"))
    assert [i.name for i in info.instruments] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert info.rows == len(rows) == 12_154
    assert str(rows["ts"].cast(pl.Datetime("ns"))[0]) == "2000-03-01 21:00:00"
    adjusted, _ = table(ParquetFeed(path=STOCKS, adjust=Adjust(close="adj_close")))
    assert np.allclose(adjusted["close"], adjusted["adj_close"], rtol=1e-12)
    assert adjusted["raw_close"].to_list() == rows["close"].to_list()
    split = adjusted.filter(pl.col("instrument") == "AAPL").with_columns(r=pl.col("close").pct_change())
    raw = rows.filter(pl.col("instrument") == "AAPL").with_columns(r=pl.col("close").pct_change())
    assert raw["r"].to_list()[1252:1262] != split["r"].to_list()[1252:1262]
    assert split["r"].min() == pytest.approx(-0.5187, abs=1e-3)  # 2000-09-29, which is real


def test_hive_folders_give_the_instrument_from_their_names(tmp_path):
    for name in ("B", "A%2FC"):
        for year in (2020, 2021):
            folder = tmp_path / f"symbol={name}" / f"year={year}"
            folder.mkdir(parents=True)
            bars(ts=[*[year, year + 1, year + 2][:2], year * 10]).write_parquet(folder / "0.parquet")
    (tmp_path / "_metadata.parquet").write_bytes(b"not data")
    feed = ParquetFeed(path=tmp_path, kind="signal")
    rows, info = table(feed)
    assert [i.name for i in info.instruments] == ["A/C", "B"]
    assert info.columns == ("open", "high", "low", "close")
    assert info.phase is Phase.SIGNAL
    assert rows["ts"].to_list() == sorted(rows["ts"].to_list())
    rows, info = table(ParquetFeed(path=tmp_path, kind="signal", features=("year",), instruments=("B",)))
    assert set(rows["year"].to_list()) == {"2020", "2021"}
    assert set(rows["instrument"].to_list()) == {"B"}


def test_names_come_from_the_footer_where_it_tells_them(tmp_path):
    for name in ("A", "B"):
        bars().with_columns(symbol=pl.lit(name)).write_parquet(tmp_path / f"{name}.parquet")
    assert [i.name for i in ParquetFeed(path=tmp_path).open().info.instruments] == ["A", "B"]


def test_a_file_that_changes_after_opening_gives_no_hash(tmp_path):
    bars().write_parquet(tmp_path / "a.parquet")
    info = ParquetFeed(path=tmp_path / "a.parquet").open().info
    bars(4).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet has changed since it was opened"):
        dict(info.description)


def test_csv_plain_gzipped_and_without_a_header(tmp_path):
    text = "date;open;high;low;close;vol;note\n2020-01-01;1;2;0.5;1.5;10;a\n2020-01-02;1;2;0.5;1.5;;b\n"
    (tmp_path / "one.csv").write_text(text)
    with pytest.raises(DataError, match="row 2, column volume, instrument one"):
        table(CsvFeed(path=tmp_path / "one.csv", delimiter=";"))
    with gzip.open(tmp_path / "two.csv.gz", "wt") as file:
        file.write(text.replace(";;", ";3;"))
    rows, info = table(CsvFeed(path=tmp_path / "two.csv.gz", delimiter=";"))
    assert [i.name for i in info.instruments] == ["two"]
    assert info.rows == 2
    assert rows["note"].to_list() == ["a", "b"]
    (tmp_path / "three.csv").write_text("1,1,2,0.5,1.5\n2,1,2,0.5,1.5\n")
    rows, _ = table(CsvFeed(path=tmp_path / "three.csv", header=("ts", "open", "high", "low", "close")))
    assert rows["ts"].to_list() == [1, 2]


@shared
@pytest.mark.parametrize(
    ("feed", "expected"),
    [
        (lambda: ParquetFeed(path=SHARED / "us-equities-daily/daily.parquet", stamp="date",
                             adjust=Adjust(close="adjusted_close")), (211_554, 40)),
        (lambda: ParquetFeed(path=SHARED / "zipline-bundle/daily.parquet", stamp="date"), (24_646, 9)),
        (lambda: ParquetFeed(path=SHARED / "lean-parquet/equity_minute_trades.parquet", stamp="open", interval="1m",
                             time_zone="America/New_York"), (21_258, None)),
        (lambda: ParquetFeed(path=SHARED / "lean-parquet/equity_ticks_trades_20131007.parquet", kind="trade",
                             time_zone="America/New_York", features=("exchange",)), (388_417, 4)),
        (lambda: ParquetFeed(path=SHARED / "crypto-bars/btc_perp_1m_2022-01.parquet"), (45_031, 1)),
        (lambda: ParquetFeed(path=SHARED / "crypto-bars/btcusdt-quotes.parquet", kind="quote"), (451, 1)),
        (lambda: CsvFeed(path=SHARED / "crypto-bars/ADABTC-1m-*.csv", ts_unit="ms", stamp="open", interval="1m",
                         instrument="ADABTC", header=("ts", "open", "high", "low", "close", "volume", "close_time",
                         "quote_volume", "trades", "taker_base", "taker_quote", "ignore")), (None, 1)),
        (lambda: CsvFeed(path=SHARED / "fx/usdjpy_ticks_truefx_2013.csv", kind="quote"), (1_000, 1)),
        (lambda: CsvFeed(path=SHARED / "backtesting-py/GOOG.csv"), (2_148, 1)),
        (lambda: CsvFeed(path=SHARED / "backtesting-py/EURUSD.csv"), (5_000, 1)),
        (lambda: CsvFeed(path=SHARED / "backtrader/2006-day-001.txt"), (255, 1)),
    ],
)  # fmt: skip
def test_real_data_is_read(feed, expected):
    rows, info = table(feed())
    count, instruments = expected
    assert count is None or len(rows) == info.rows == count
    assert instruments is None or len(info.instruments) == instruments
    assert rows["ts"].is_sorted()


def test_every_feed_is_announced_and_announcing_loads_no_data_library():
    assert {spec.name: spec.component for spec in feeds() if isinstance(spec, FeedSpec)} == {
        "parquet": ParquetFeed,
        "csv": CsvFeed,
        "frame": FrameFeed,
        "synthetic": SyntheticFeed,
    }
    code = "import sys, qengine_feeds.plugin; print(sorted({'numpy','polars','pyarrow','pandas'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() in ("[]", "['numpy']")  # the kernel itself may load numpy


_MEMORY = """
import resource, sys
from qengine_feeds import ParquetFeed
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def read(path):
    source = ParquetFeed(path=path).open()
    codes = {i.name: k for k, i in enumerate(source.info.instruments)}
    return sum(len(block) for block in source.blocks(0, codes))
read(sys.argv[1])
before = peak()
rows = read(sys.argv[2])
print(rows, peak() - before)
"""


def test_memory_does_not_grow_with_the_length_of_the_file(tmp_path):
    for name, count in (("short", 1_500_000), ("long", 8_000_000)):
        prices = np.linspace(1.0, 2.0, count)
        pl.DataFrame(
            {"ts": np.arange(count), "open": prices, "high": prices, "low": prices, "close": prices, "volume": prices}
        ).write_parquet(tmp_path / f"{name}.parquet", compression="lz4")
    run = subprocess.run(
        [sys.executable, "-c", _MEMORY, tmp_path / "short.parquet", tmp_path / "long.parquet"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, grown_mb = run.stdout.split()
    assert int(rows) == 8_000_000
    assert float(grown_mb) < 150  # the long file's columns alone are 384 MB
