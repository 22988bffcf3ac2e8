"""Key figures of a published vector of returns."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from published import golden
from qengine_reporting import compute_metrics
from qengine_reporting.schema import empty


def figures(returns):
    """Key figures of an account with these daily returns on business days."""
    days = np.busday_offset("2024-01-01", np.arange(len(returns)), roll="forward")
    curve = 100.0 * np.cumprod(1 + np.asarray(returns))
    frame = pl.DataFrame(
        {
            "ts": [dt.datetime.combine(day, dt.time(21), dt.UTC) for day in days.tolist()],
            "equity": curve,
            "cash": curve,
            "long_value": np.zeros(len(curve)),
            "short_value": np.zeros(len(curve)),
        },
        schema_overrides={"ts": pl.Datetime("ns", "UTC")},
    )
    return compute_metrics(frame, empty("trades"), empty("fills"), initial=100.0, periods_per_year=252)


def test_the_figures_of_a_vector_of_returns():
    """Its first value is missing: that is a day without return to what compounds, and no day to what averages."""
    published = golden("metrics-vector")
    expected = published["metrics"]
    known = [value / 100 for value in published["returns_percent"] if value is not None]
    whole, rest = figures([0.0, *known]), figures(known)
    assert whole["total_return"] == pytest.approx(expected["cum_returns_final"], abs=1e-5)  # given with five digits
    assert whole["max_drawdown"] == pytest.approx(expected["max_drawdown"], abs=1e-8)
    assert whole["cagr"] == pytest.approx(expected["annual_return"], abs=1e-8)
    assert whole["calmar"] == pytest.approx(expected["calmar_ratio"], abs=1e-8)
    assert rest["volatility"] == pytest.approx(expected["annual_volatility"], abs=1e-8)
    assert rest["sharpe"] == pytest.approx(expected["sharpe_ratio"], abs=1e-8)
    assert rest["sortino"] == pytest.approx(expected["sortino_ratio"], abs=1e-8)
