"""Published results to hold the engine to: reads numbers and prices that lie beside the checkout, where they do."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"
NEW_YORK = ZoneInfo("America/New_York")

_OPENS, _CLOSES = dt.time(9, 30), dt.time(16)
_PERIODS = {"hour": dt.timedelta(hours=1), "minute": dt.timedelta(minutes=1), "second": dt.timedelta(seconds=1)}
_OHLC = ("open", "high", "low", "close")
_BAR = ("stamp", *_OHLC, "volume")
_QUOTE = (
    *("stamp", "bid_open", "bid_high", "bid_low", "bid", "bid_size"),
    *("ask_open", "ask_high", "ask_low", "ask", "ask_size"),
)


def golden(name):
    """What was published under a name, or the reason to skip."""
    path = SHARED / "golden" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the published results are not beside this checkout: there is no {path}")
    return json.loads(path.read_text(encoding="utf-8"))["expected"]


def data(name):
    """The path of a file of market data, or the reason to skip."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"the market data are not beside this checkout: there is no {path}")
    return path


# LEAN's own files of US equities: prices in 1/10000, stamped at the open, in New York's time ------------------


def lean_bars(period, symbol, *days, start="", end="", raw=False):
    """Bars of regular hours, stamped at their close: "minute" and "second" of ``days``, "daily" and "hour" from
    ``start`` to ``end``, both included. Unless ``raw`` they are adjusted by the factor file, as LEAN does.
    """
    rows = _lean_rows(period, symbol, days, "trade", _BAR)
    if start:
        rows = rows.filter(pl.col("date").is_between(dt.date.fromisoformat(start), dt.date.fromisoformat(end)))
    rows = rows.with_columns(pl.col(name) / 10_000 for name in _OHLC)
    rows = rows if raw else _adjusted(rows, symbol, _OHLC)
    return rows.select("ts", *_OHLC, "volume")


def lean_quotes(symbol, *days, raw=False):
    """The best bid and ask at the end of each minute, adjusted unless ``raw``."""
    rows = _lean_rows("minute", symbol, days, "quote", _QUOTE).drop_nulls(["bid", "ask"])
    rows = rows.with_columns(pl.col("bid", "ask") / 10_000)
    rows = rows if raw else _adjusted(rows, symbol, ("bid", "ask"))
    return rows.select("ts", "bid", "ask", "bid_size", "ask_size")


def lean_dividends(symbol, instrument, dates):
    """Dividends in cash as the factor file implies them, on the first of ``dates`` (sorted) after the row's."""
    factors = _factors(symbol)
    amount = (pl.col("close_before") * (1 - pl.col("price") / pl.col("price").shift(-1))).round(2)
    paid = factors.with_columns(amount=amount).filter(pl.col("amount") > 0, pl.col("until") >= dates[0])
    later = pl.Series([min((date for date in dates if date > until), default=None) for until in paid["until"]])
    return paid.select(instrument=pl.lit(instrument), ex_date=later, amount="amount").drop_nulls()


def _lean_rows(period, symbol, days, what, columns):
    folder = f"lean/equity/usa/{period}"
    names = [f"{folder}/{symbol}/{day}_{what}.zip" for day in days] or [f"{folder}/{symbol}.zip"]
    return pl.concat([_read(data(name), period, columns) for name in names])


def _read(path, period, columns):
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read(archive.namelist()[0]))
    counts = period in ("minute", "second")  # milliseconds since midnight
    schema = {"stamp": pl.Int64 if counts else pl.String} | dict.fromkeys(columns[1:], pl.Float64)
    rows = pl.read_csv(content, has_header=False, schema=schema)
    if counts:
        midnight = pl.lit(path.name[:8]).str.to_datetime("%Y%m%d")
        rows = rows.with_columns(opens=midnight + pl.duration(milliseconds="stamp"))
        rows = rows.filter(pl.col("opens").dt.time().is_between(_OPENS, _CLOSES, "left"))
        closes = pl.col("opens") + _PERIODS[period]
    else:
        rows = rows.with_columns(opens=pl.col("stamp").str.to_datetime("%Y%m%d %H:%M"))
        closes = pl.col("opens") + _PERIODS[period] if period == "hour" else pl.col("opens").dt.combine(_CLOSES)
    known = closes.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC").dt.cast_time_unit("ns")
    return rows.with_columns(date=pl.col("opens").dt.date(), ts=known)


def _adjusted(rows, symbol, prices):
    """Multiplied by the factors of the first row of the factor file that is not before the date."""
    factors = _factors(symbol).select("until", factor=pl.col("price") * pl.col("split"))
    rows = rows.sort("date", "ts").join_asof(factors, left_on="date", right_on="until", strategy="forward")
    return rows.with_columns(pl.col(name) * pl.col("factor") for name in prices)


def _factors(symbol):
    path = data(f"lean/equity/usa/factor_files/{symbol}.csv")
    table = pl.read_csv(path, has_header=False, new_columns=["until", "price", "split", "close_before"])
    return table.with_columns(pl.col("until").cast(pl.String).str.to_date("%Y%m%d")).sort("until")


# Times and results ---------------------------------------------------------------------------------------


def in_new_york(text):
    """A moment of New York's time as nanoseconds UTC."""
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 1_000_000_000


def fills_of(result, zone=NEW_YORK):
    """Time, signed quantity and price of every fill."""
    return [
        (row["ts"].astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"), _signed(row), row["price"])
        for row in result.fills.with_columns(pl.col("ts").dt.cast_time_unit("us")).iter_rows(named=True)
    ]


def _signed(row):
    return row["quantity"] if row["side"] == "buy" else -row["quantity"]


def final(result):
    """Equity at the end of a run."""
    return result.counts["final_equity"]
