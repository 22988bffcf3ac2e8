"""The report's charts as plain Plotly figures: data and layout, no HTML. Colours are roles, written ``@role``.

The page replaces roles by the colours of its theme, so one figure serves light and dark. Times are
milliseconds since 1970, UTC, which is what Plotly's date axes take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qengine_reporting import text
from qengine_reporting.metrics import daily_equity, daily_returns, drawdowns
from qengine_reporting.thinning import thinned

__all__ = ["costs", "equity", "exposure", "monthly", "rolling_sharpe", "trades_on_price", "yearly"]

Chart = dict[str, Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FEWEST_ROLLING = 10


def equity(ts: Ints, values: Floats, initial: float, max_points: int, currency: str) -> Chart:
    """Equity over its drawdown, on one time axis, with the deepest drawdown shaded."""
    below = drawdowns(values, initial)
    keep = _kept(max_points, values, below)
    curve = _line(ts, values, keep, name="Equity", color="@accent", fmt=",.0f", unit=f" {currency}")
    under = _line(ts, 100 * below, keep, name="Drawdown", color="@loss", fmt=".2f", unit="%")
    under |= {"yaxis": "y2", "fill": "tozeroy", "fillcolor": "@loss-soft"}
    layout = {
        "xaxis": {"type": "date", "anchor": "y2"},
        "yaxis": {"domain": [0.34, 1], "tickformat": "~s" if values.max() >= 1e5 else ",.6~g"},
        "yaxis2": {"domain": [0, 0.26], "ticksuffix": "%", "nticks": 4},
        "shapes": [_level(initial), *_deepest(ts, below)],
        "hoversubplots": "axis",
        "showlegend": False,
        "annotations": [_caption("Underwater: below the highest equity so far", 0.27)],
    }
    return _chart("equity", [curve, under], layout, height=460)


def monthly(ts: Ints, values: Floats, initial: float) -> Chart | None:
    """Returns of calendar months as a heatmap of years by months; None for less than two months."""
    months, returns = _by_period(ts, values, initial, "M")
    if len(months) < 2:
        return None
    year, month = months // 12 + 1970, months % 12
    years = np.arange(year[0], year[-1] + 1)
    grid = np.full((len(years), 12), np.nan)
    grid[year - years[0], month] = 100 * returns
    reach = max(1.0, float(np.nanquantile(np.abs(grid), 0.95)))
    trace = {
        "type": "heatmap",
        "x": list(_MONTHS),
        "y": [str(y) for y in years],
        "z": [_numbers(row) for row in grid],
        "zmin": -reach,
        "zmax": reach,
        "colorscale": [[0, "@loss-strong"], [0.5, "@surface"], [1, "@gain-strong"]],
        "texttemplate": "%{z:.1f}",
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
        "hoverongaps": False,
        "hovertemplate": "%{x} %{y}: %{z:.2f}%<extra></extra>",
    }
    layout = {
        "xaxis": {"type": "category", "side": "top", "showgrid": False, "showline": False, "fixedrange": True},
        "yaxis": {
            "type": "category",
            "autorange": "reversed",
            "showgrid": False,
            "showline": False,
            "fixedrange": True,
        },
        "hovermode": "closest",
    }
    return _chart("monthly", [trace], layout, height=max(220, 60 + 30 * len(years)))


def yearly(ts: Ints, values: Floats, initial: float) -> Chart | None:
    """Returns of calendar years as bars; None for data within one year."""
    years, returns = _by_period(ts, values, initial, "Y")
    if len(years) < 2:
        return None
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [str(year + 1970) for year in years.tolist()],
        "x": _numbers(100 * returns),
        "text": [f"{text.number(100 * r, 1, sign=True)}%" if np.isfinite(r) else "" for r in returns],
        "textposition": "auto",
        "cliponaxis": False,
        "marker": {"color": ["@gain" if r >= 0 else "@loss" for r in returns]},
        "hovertemplate": "%{y}: %{x:.2f}%<extra></extra>",
    }
    layout = {
        "xaxis": {"ticksuffix": "%", "fixedrange": True, "nticks": 5},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False, "fixedrange": True},
        "bargap": 0.28,
        "hovermode": "closest",
    }
    return _chart("yearly", [trace], layout, height=max(220, 60 + 30 * len(years)))


def rolling_sharpe(ts: Ints, values: Floats, initial: float, per_year: float, max_points: int) -> Chart | None:
    """Annualised Sharpe ratio of a moving window of half a year, shorter for short data; None for too little."""
    days, closes = daily_equity(ts, values)
    returns = daily_returns(closes, initial)
    window = min(round(per_year / 2), len(returns) // 3)
    if window < _FEWEST_ROLLING:
        return None
    parts = np.lib.stride_tricks.sliding_window_view(returns, window)
    spread = parts.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 1e-12, parts.mean(axis=1) / spread * np.sqrt(per_year), np.nan)
    day_ns = (days[window - 1 :] + 1) * 86_400_000_000_000
    trace = _line(day_ns, ratio, _kept(max_points, ratio), name="Sharpe", color="@accent", fmt=".2f")
    layout = {"xaxis": {"type": "date"}, "shapes": [_level(0.0)], "showlegend": False}
    return _chart("rolling-sharpe", [trace], layout, height=280, window=window)


def exposure(ts: Ints, frame: pl.DataFrame, max_points: int) -> Chart:
    """Long, short (downwards) and gross value of positions as a share of equity."""
    worth = frame["equity"].to_numpy()
    worth = np.where(worth > 0, worth, np.nan)
    long, short = (100 * frame[name].to_numpy() / worth for name in ("long_value", "short_value"))
    keep = _kept(max_points, long, short, long + short)
    above = _line(ts, long, keep, name="Long", color="@gain", fmt=".1f", unit="%")
    under = _line(ts, -short, keep, name="Short", color="@loss", fmt=".1f", unit="%")
    gross = _line(ts, long + short, keep, name="Gross", color="@muted", fmt=".1f", unit="%")
    above |= {"fill": "tozeroy", "fillcolor": "@gain-soft"}
    under |= {"fill": "tozeroy", "fillcolor": "@loss-soft"}
    for trace in (above, under, gross):
        trace["line"] |= {"shape": "hv", "width": 1}
    gross["line"]["dash"] = "dot"
    layout = {"xaxis": {"type": "date"}, "yaxis": {"ticksuffix": "%"}, "showlegend": True}
    return _chart("exposure", [above, under, gross], layout, height=300)


def costs(fills: pl.DataFrame, max_points: int, currency: str) -> Chart | None:
    """Commission and slippage paid so far; None without fills."""
    if fills.is_empty():
        return None
    ts = fills["ts"].to_physical().to_numpy()
    rate = fills["fx_rate"].to_numpy()
    commission, slippage = (np.cumsum(fills[column].to_numpy() * rate) for column in ("commission", "slippage"))
    keep = _kept(max_points, commission, slippage)
    traces = [
        _line(ts, values, keep, name=name, color=color, fmt=",.2f", unit=f" {currency}")
        for values, name, color in ((commission, "Commission", "@accent"), (slippage, "Slippage", "@amber"))
    ]
    for trace in traces:
        trace["line"]["shape"] = "hv"
    layout = {"xaxis": {"type": "date"}, "yaxis": {"tickformat": "~s", "rangemode": "tozero"}, "showlegend": True}
    return _chart("costs", traces, layout, height=300)


def trades_on_price(
    instrument: str, prices: pl.DataFrame, fills: pl.DataFrame, span: Sequence[int], max_points: int
) -> Chart:
    """One instrument's price with its executions. ``span`` is the run's first and last time, int64 ns."""
    ts = prices["ts"].to_physical().to_numpy()
    closes = prices["close"].to_numpy()
    line = _line(ts, closes, _kept(max_points, closes), name="Price", color="@muted", fmt=",.7~g")
    line["line"]["width"] = 1.3
    del line["hovertemplate"]
    line["hoverinfo"] = "skip"  # or the price would hide the executions that lie on it
    markers = [
        _markers(fills.filter(pl.col("side") == side), max_points // 2, name, color, symbol)
        for side, name, color, symbol in (
            ("buy", "Buy", "@gain", "triangle-up"),
            ("sell", "Sell", "@loss", "triangle-down"),
        )
    ]
    layout = {
        "xaxis": {"type": "date", "range": [_ms(span[0]), _ms(span[1])]},
        "yaxis": {"tickformat": ",.6~g"},
        "showlegend": True,
        "hovermode": "closest",
    }
    return _chart("trades", [line, *markers], layout, height=400, instrument=instrument)


def _markers(fills: pl.DataFrame, max_points: int, name: str, color: str, symbol: str) -> dict[str, Any]:
    """Executions as markers; of too many, evenly spaced ones."""
    keep = np.unique(np.linspace(0, len(fills) - 1, min(len(fills), max_points)).astype(np.int64))
    shown = fills[keep]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [_ms(t) for t in shown["ts"].to_physical()],
        "y": _numbers(shown["price"].to_numpy()),
        "customdata": _numbers(shown["quantity"].to_numpy()),
        "marker": {"symbol": symbol, "size": 10, "color": color, "line": {"width": 1, "color": "@surface"}},
        "hovertemplate": f"{name} %{{customdata:,.6~g}} at %{{y:,.7~g}}<br>%{{x}}<extra></extra>",
    }


def _by_period(ts: Ints, values: Floats, initial: float, unit: str) -> tuple[Ints, Floats]:
    """Calendar periods since 1970 with an equity, and their returns; after ruin there are none (NaN).

    Midnight ends the period before, as it ends the day before in the metrics.
    """
    periods = (ts - 1).astype("datetime64[ns]").astype(f"datetime64[{unit}]").astype(np.int64)
    last = np.flatnonzero(np.append(periods[1:] != periods[:-1], True)) if len(periods) else periods
    return periods[last], daily_returns(values[last], initial)


def _kept(max_points: int, *series: Floats) -> Ints:
    """One choice of points for series that are read together: a pointer over one finds all of them."""
    if len(series[0]) <= max_points:
        return np.arange(len(series[0]))
    return np.unique(np.concatenate([thinned(values, max_points // len(series)) for values in series]))


def _line(ts: Ints, values: Floats, keep: Ints, *, name: str, color: str, fmt: str, unit: str = "") -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [_ms(t) for t in ts[keep].tolist()],
        "y": _numbers(values[keep]),
        "line": {"color": color, "width": 1.8},
        "hovertemplate": f"{name} %{{y:{fmt}}}{unit}<extra></extra>",
    }


def _deepest(ts: Ints, below: Floats) -> list[dict[str, Any]]:
    """The deepest drawdown, from its peak to its recovery, as a shaded band."""
    trough = int(below.argmin())
    if not below[trough] < 0:
        return []
    at_peak = np.flatnonzero(below[:trough] == 0)
    recovered = np.flatnonzero(below[trough:] == 0)
    start = ts[at_peak[-1]] if len(at_peak) else ts[0]
    stop = ts[trough + recovered[0]] if len(recovered) else ts[-1]
    place = {"xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0}}
    return [{"type": "rect", "x0": _ms(int(start)), "x1": _ms(int(stop)), "fillcolor": "@shade", **place}]


def _level(value: float) -> dict[str, Any]:
    """A dotted line across at a value worth comparing with."""
    line = {"color": "@muted", "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": value, "y1": value, "line": line}


def _caption(text: str, y: float) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": y, "xanchor": "left", "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"color": "@muted", "size": 12}, **place}


def _chart(name: str, data: list[dict[str, Any]], layout: dict[str, Any], *, height: int, **facts: Any) -> Chart:
    return {"id": f"chart-{name}", "data": data, "layout": {**layout, "height": height}, **facts}


def _ms(ts: int) -> float:
    """Whole milliseconds as an int, finer times as a float, so that the page holds no needless digits.

    Midnight is drawn a millisecond earlier, so that the close of a day is read as of that day.
    """
    if ts % 86_400_000_000_000 == 0:
        return ts // 1_000_000 - 1
    return ts // 1_000_000 if ts % 1_000_000 == 0 else ts / 1e6


def _numbers(values: Floats) -> list[float | None]:
    """Seven digits draw a chart; a page with seventeen is twice as long. Not finite: a gap."""
    return [float(f"{v:.7g}") if np.isfinite(v) else None for v in values.tolist()]
