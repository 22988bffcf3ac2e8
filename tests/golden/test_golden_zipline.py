"""Zipline's published example results, on its own bundle: every fill, and the account on every session."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from published import data, final, golden
from qengine_calendars import Exchange
from qengine_costs import PerShare, Splits, VolumeShare
from qengine_feeds import FrameFeed
from qengine_reporting.metrics import metrics_of
from qengine_strategy import Strategy

from qengine_core import Engine

# In the figures of the last row, as they are called here.
FIGURES = {
    "sharpe": "sharpe",
    "sortino": "sortino",
    "volatility": "algo_volatility",
    "max_drawdown": "max_drawdown",
    "total_return": "algorithm_period_return",
}


def sessions(start, end, *symbols):
    """Daily bars as they were traded, and split-adjusted volumes and prices beside them."""
    path = data("zipline-bundle/daily.parquet")
    rows = pl.read_parquet(path).filter(pl.col("symbol").is_in(symbols))
    dates = pl.col("date").cast(pl.Date)
    rows = rows.filter(dates.is_between(dt.date.fromisoformat(start), dt.date.fromisoformat(end)))
    return rows.with_columns(dates.cast(pl.String).alias("date")).sort("date", "symbol")


def run(frame, strategy, **more):
    """Under the profile, with the costs that the examples were published with."""
    return Engine(
        profile="zipline",
        feed=FrameFeed(
            frame=frame,
            columns={"ts": "date", "instrument": "symbol"},
            stamp="date",
            session_close="16:00",
            time_zone="America/New_York",
            lot_size=1.0,
        ),
        strategy=strategy,
        ledger={"cash": 10_000_000.0},
        broker={"participation_limit": 0.025},
        commission=PerShare(rate=0.0075, minimum=1.0),
        slippage=VolumeShare(price_impact=0.1),
        calendar=Exchange(name="NYSE"),
        **more,
    ).run()


def holds(result, expected):
    curve = result.equity.with_columns(pl.col("ts").dt.convert_time_zone("America/New_York").dt.date().cast(pl.String))
    values = dict(zip(curve["ts"], curve["equity"], strict=True))
    assert len(values) == expected["sessions"]
    published = expected["portfolio_value_by_session"]
    assert {date: values[date] for date in published} == pytest.approx(published, abs=1e-6)
    assert final(result) == pytest.approx(expected["final_portfolio_value"], abs=1e-6)
    assert result.equity["cash"][-1] == pytest.approx(expected["final_cash"], abs=1e-6)
    assert result.fills.height == expected["n_transactions"]
    figures = metrics_of(result)
    assert {ours: figures[ours] for ours in FIGURES} == pytest.approx(
        {ours: expected["last_row"][theirs] for ours, theirs in FIGURES.items()}, abs=1e-6
    )


class BuyAndHold(Strategy):
    """A hundred of each on the first session."""

    def on_start(self, ctx):
        self.bought = set()

    def on_bar(self, ctx, bar):
        if bar.instrument not in self.bought:
            self.bought.add(bar.instrument)
            ctx.buy(bar.instrument, 100)


def test_buying_once_and_holding_for_five_years():
    expected = golden("zipline-buy-and-hold")
    result = run(sessions("2008-01-02", "2012-12-31", "AAPL", "MSFT"), BuyAndHold())
    holds(result, expected)
    fills = {row["instrument"]: (row["quantity"], row["price"]) for row in result.fills.iter_rows(named=True)}
    assert fills == {
        row["symbol"]: (row["amount"], pytest.approx(row["price"], abs=1e-9)) for row in expected["transactions"]
    }


class BuyApple(Strategy):
    """Ten shares every session."""

    def on_bar(self, ctx, bar):
        ctx.buy("AAPL", 10)


def test_buying_every_session_through_a_split(tmp_path):
    """What was ordered on the evening before it is bought after it, seven times as much."""
    expected = golden("zipline-buyapple")
    (tmp_path / "splits.csv").write_text("instrument,ex_date,ratio\nAAPL,2014-06-09,7\n")
    splits = Splits(path=tmp_path / "splits.csv")
    result = run(sessions("2014-01-02", "2014-10-31", "AAPL"), BuyApple(), financing=splits)
    holds(result, expected)
    fills = result.fills.with_columns(pl.col("ts").dt.date().cast(pl.String).alias("date"))
    ours = {row["date"]: (row["quantity"], row["price"]) for row in fills.iter_rows(named=True)}
    for row in (each for each in expected["transactions"] if isinstance(each, dict)):  # one says how many it left out
        assert ours[row["date"]] == (row["amount"], pytest.approx(row["price"], abs=1e-6))
