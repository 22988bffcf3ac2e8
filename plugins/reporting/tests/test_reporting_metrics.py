"""Key figures against two libraries, by hand, and at the edges."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import empyrical
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_reporting import compute_metrics
from qengine_reporting.metrics import METRICS, daily_equity, daily_returns, drawdowns, periods_in_a_year
from qengine_reporting.schema import empty

DAY = 86_400_000_000_000
START = int(np.datetime64("2020-01-01T21:00", "ns").astype(np.int64))
CLOSE = pytest.approx


def equity_frame(values, ts=None, held=0.0):
    ts = [START + i * DAY for i in range(len(values))] if ts is None else ts
    return pl.DataFrame(
        {"ts": ts, "equity": values, "cash": values, "long_value": held, "short_value": 0.0},
        schema_overrides={"equity": pl.Float64, "cash": pl.Float64, "long_value": pl.Float64},
    ).with_columns(pl.col("ts").cast(pl.Datetime("ns", "UTC")))


def metrics(values, ts=None, initial=100.0, **settings_):
    frame = equity_frame(values, ts)
    return compute_metrics(frame, empty("trades"), empty("fills"), initial=initial, **settings_)


@pytest.fixture(scope="module")
def figures(tables):
    return compute_metrics(tables["equity"], tables["trades"], tables["fills"], initial=100_000.0)


@pytest.fixture(scope="module")
def returns(tables):
    """The run's daily returns made by pandas, as the libraries take them."""
    frame = tables["equity"]
    series = pd.Series(frame["equity"].to_numpy(), index=pd.DatetimeIndex(frame["ts"].to_numpy(), tz="UTC"))
    before = series.shift(1).fillna(100_000.0)
    return series / before - 1


def test_figures_agree_with_empyrical(figures, returns):
    assert figures["total_return"] == CLOSE(empyrical.cum_returns_final(returns))
    assert figures["cagr"] == CLOSE(empyrical.annual_return(returns))
    assert figures["volatility"] == CLOSE(empyrical.annual_volatility(returns))
    assert figures["sharpe"] == CLOSE(empyrical.sharpe_ratio(returns))
    assert figures["sortino"] == CLOSE(empyrical.sortino_ratio(returns))
    assert figures["calmar"] == CLOSE(empyrical.calmar_ratio(returns))
    assert figures["max_drawdown"] == CLOSE(empyrical.max_drawdown(returns))
    assert figures["var_95"] == CLOSE(empyrical.value_at_risk(returns))
    assert figures["cvar_95"] == CLOSE(empyrical.conditional_value_at_risk(returns))


def test_figures_agree_with_quantstats(figures, returns):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = pytest.importorskip("quantstats.stats", reason="quantstats is not installed")
        naive = returns.tz_localize(None)
        assert figures["total_return"] == CLOSE(stats.comp(naive))
        assert figures["volatility"] == CLOSE(stats.volatility(naive, prepare_returns=False))
        assert figures["sharpe"] == CLOSE(stats.sharpe(naive))
        assert figures["sortino"] == CLOSE(stats.sortino(naive))
        assert figures["max_drawdown"] == CLOSE(stats.max_drawdown(naive))
        assert figures["skew"] == CLOSE(stats.skew(naive, prepare_returns=False))
        assert figures["kurtosis"] == CLOSE(stats.kurtosis(naive, prepare_returns=False))
        assert figures["best_day"] == CLOSE(stats.best(naive, compounded=False))
        assert figures["worst_day"] == CLOSE(stats.worst(naive, compounded=False))
        details = stats.drawdown_details(stats.to_drawdown_series(naive))
        assert figures["max_drawdown"] == CLOSE(details["max drawdown"].min() / 100)


def test_the_published_returns_of_empyrical_give_its_figures():
    path = Path(__file__).parents[4] / "shared" / "data" / "metrics" / "returns.csv"
    if not path.is_file():
        pytest.skip("the shared test data are not here")
    table = pd.read_csv(path, index_col=0, parse_dates=True)
    series = table.iloc[:, 0] / 100  # raw units are per cent
    equity = 100.0 * (1 + series).cumprod()
    ours = metrics(equity.to_list(), [int(t.value) for t in series.index])
    assert ours["sharpe"] == CLOSE(empyrical.sharpe_ratio(series))
    assert ours["cagr"] == CLOSE(empyrical.annual_return(series))
    assert ours["cvar_95"] == CLOSE(empyrical.conditional_value_at_risk(series))


def test_a_risk_free_rate_is_annual(returns, tables):
    ours = compute_metrics(tables["equity"], tables["trades"], tables["fills"], initial=100_000.0, risk_free=0.03)
    daily = 1.03 ** (1 / 252) - 1
    assert ours["sharpe"] == CLOSE(empyrical.sharpe_ratio(returns, risk_free=daily))
    assert ours["sortino"] == CLOSE(empyrical.sortino_ratio(returns, required_return=daily))


def test_round_trips_are_counted_by_hand(make_frame):
    def trade(pnl, days):
        stop = START + days * DAY
        return ("A", "long", 1.0, START, stop, 100.0, 100.0 + pnl, pnl, pnl, 0.0, pnl / 100, days * DAY)

    trades = make_frame("trades", [trade(30.0, 2), trade(-10.0, 4), trade(-5.0, 6), trade(0.0, 8)])
    ours = compute_metrics(equity_frame([100.0, 115.0]), trades, empty("fills"), initial=100.0)
    assert ours["round_trips"] == 4
    assert ours["win_rate"] == 0.25
    assert ours["profit_factor"] == 2.0
    assert ours["expectancy"] == 3.75
    assert (ours["average_win"], ours["average_loss"]) == (30.0, -7.5)
    assert (ours["largest_win"], ours["largest_loss"]) == (30.0, -10.0)
    assert ours["average_holding_days"] == 5.0


def test_costs_and_turnover_are_summed_by_hand(make_frame):
    fills = make_frame(
        "fills",
        [
            (START, 1, "A", "buy", 2.0, 50.0, 1.0, 0.5, "USD", 10.0),
            (START + DAY, 2, "A", "sell", 2.0, 60.0, 1.5, 0.25, "USD", 10.0),
        ],
    )
    ours = compute_metrics(equity_frame([1000.0, 1200.0]), empty("trades"), fills, initial=1000.0, periods_per_year=2)
    assert (ours["total_commission"], ours["total_slippage"]) == (2.5, 0.75)
    assert ours["traded_value"] == 2200.0
    assert ours["turnover"] == ours["annual_turnover"] == 2.0  # two days are the year that was asked for


def test_a_drawdown_lasts_from_its_peak_to_its_recovery():
    ours = metrics([100.0, 110.0, 99.0, 105.0, 110.0, 120.0, 119.0, 118.0, 117.0, 116.0])
    assert ours["max_drawdown"] == CLOSE(-0.1)
    assert ours["max_drawdown_start"] == "2020-01-02T21:00:00Z"
    assert ours["max_drawdown_trough"] == "2020-01-03T21:00:00Z"
    assert ours["max_drawdown_end"] == "2020-01-05T21:00:00Z"
    assert ours["max_drawdown_days"] == 3.0
    assert ours["longest_drawdown_days"] == 4.0


def test_a_drawdown_may_begin_at_once_and_never_end():
    ours = metrics([90.0, 80.0, 85.0])
    assert ours["max_drawdown"] == CLOSE(-0.2)
    assert ours["max_drawdown_start"] == "2020-01-01T21:00:00Z"
    assert ours["max_drawdown_end"] is None
    assert ours["max_drawdown_days"] == 2.0


def test_returns_are_of_days_but_an_intraday_low_is_a_drawdown():
    hour = DAY // 24
    ts = [START - 12 * hour, START - 6 * hour, START, START + DAY - hour, START + DAY]
    ours = metrics([100.0, 50.0, 110.0, 90.0, 121.0], ts)
    assert ours["days"] == 2
    assert ours["max_drawdown"] == CLOSE(-0.5)
    assert ours["best_day"] == CLOSE(0.1)
    assert ours["worst_day"] == CLOSE(0.1)


def test_exposure_is_time_with_a_position_and_not_rows():
    frame = equity_frame([100.0, 100.0, 100.0], [START, START + DAY, START + 4 * DAY])
    frame = frame.with_columns(pl.Series("short_value", [0.0, 50.0, 0.0]))
    assert compute_metrics(frame, empty("trades"), empty("fills"), initial=100.0)["exposure"] == 0.75


@pytest.mark.parametrize(
    ("step", "start", "per_year"),
    [(1, 0, 365.0), (7, 1, 52.0), (30, 1, 12.0), (91, 1, 4.0), (365, 1, 1.0)],
)
def test_periods_of_a_year_follow_the_spacing(step, start, per_year):
    assert periods_in_a_year(np.arange(start, start + 40 * step, step)) == per_year


def test_a_close_stamped_at_midnight_belongs_to_the_day_that_it_ends():
    days = np.busday_offset("2024-01-01", np.arange(260), roll="forward").astype(np.int64)
    ours = metrics([100.0 + i for i in range(260)], ((days + 1) * DAY).tolist())
    assert ours["days"] == 260
    assert ours["periods_per_year"] == 252.0
    assert ours["best_day_date"] == "2024-01-02"


def test_five_days_a_week_make_252_even_if_dates_are_stamped_at_their_beginning():
    days = np.busday_offset("2024-01-01", np.arange(260), roll="forward").astype(np.int64)
    assert metrics([100.0 + i for i in range(260)], (days * DAY).tolist())["periods_per_year"] == 252.0


def test_six_days_a_week_make_313():
    days = np.array([day for day in range(200) if (day + 3) % 7 != 5])
    assert periods_in_a_year(days) == 313.0


def test_business_days_make_252_and_one_value_too():
    days = np.busday_offset("2024-01-01", np.arange(30), roll="forward").astype(np.int64)
    assert periods_in_a_year(days) == 252.0
    assert periods_in_a_year(days[:1]) == 252.0


def test_degenerate_runs_give_null_and_not_nan():
    one = metrics([100.0])
    assert one["total_return"] == 0.0
    assert one["sharpe"] is one["cagr"] is one["exposure"] is one["win_rate"] is one["profit_factor"] is None
    none = metrics([])
    assert none["final_equity"] is none["max_drawdown"] is none["total_return"] is None
    flat = metrics([100.0] * 30)
    assert flat["volatility"] == 0.0
    assert flat["sharpe"] is flat["sortino"] is flat["calmar"] is flat["skew"] is None
    steady = metrics([100.0 * 1.001**i for i in range(60)], initial=100.0 / 1.001)
    assert steady["sharpe"] is None
    ruin = metrics([100.0, 50.0, 0.0, 0.0])
    assert ruin["total_return"] == ruin["max_drawdown"] == -1.0
    assert ruin["sharpe"] is ruin["cagr"] is ruin["volatility"] is None
    assert metrics([100.0, -50.0])["total_return"] == -1.5


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.floats(-1e9, 1e9).map(lambda v: round(v, 4)) | st.just(0.0), max_size=30),
    initial=st.floats(1.0, 1e9),
    gaps=st.integers(1, 10 * DAY),
)
def test_every_figure_is_a_json_value_of_any_curve(values, initial, gaps):
    ours = metrics(values, [START + i * gaps for i in range(len(values))], initial=initial)
    assert list(ours) == list(METRICS)
    json.dumps(ours, allow_nan=False)


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=50))
def test_daily_returns_compound_to_the_total_and_drawdowns_lie_between_minus_one_and_zero(values):
    curve = np.array(values)
    days, closes = daily_equity(START + DAY // 4 * np.arange(len(curve)), curve)
    assert (np.diff(days) > 0).all()
    assert math.prod(1 + daily_returns(closes, 100.0)) == CLOSE(values[-1] / 100.0)
    below = drawdowns(curve, 100.0)
    assert ((below <= 0) & (below > -1)).all()
