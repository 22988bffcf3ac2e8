"""Key figures of a run, from its equity curve, round trips and fills. It knows no run, file or chart.

Figures of returns are computed on daily returns: the equity's last value of each UTC day,
the first measured against the initial equity. A stamp of midnight is the close of the day before, so that
daily bars stamped at the end of their day stay on it. Drawdowns are measured on every row of the equity curve, so
that an intraday low counts. What cannot be computed is None, never NaN or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from qengine_core.engine import Result

__all__ = [
    "METRICS",
    "compute_metrics",
    "daily_equity",
    "daily_returns",
    "drawdowns",
    "initial_equity",
    "metrics_of",
    "periods_in_a_year",
]

Floats = npt.NDArray[np.float64]

_DAY_NS = 86_400_000_000_000
_BUSINESS_DAYS, _SIX_DAY_WEEKS, _CALENDAR_DAYS = 252.0, 313.0, 365.0


def compute_metrics(
    equity_frame: pl.DataFrame,
    trades_frame: pl.DataFrame,
    fills_frame: pl.DataFrame,
    *,
    initial: float,
    periods_per_year: float | None = None,
    risk_free: float = 0.0,
) -> dict[str, Any]:
    """The key figures of a run as plain JSON values: numbers, ISO 8601 texts in UTC, or None.

    The frames are the tables ``equity``, ``trades`` and ``fills``; ``initial`` is the cash at the start, in
    account currency. ``periods_per_year`` annualises daily figures; left out, it follows the calendar of
    the data (see ``periods_in_a_year``). ``risk_free`` is an annual rate as a fraction. Returns, drawdowns,
    rates and shares are fractions; money is in account currency; durations are in days of 24 hours.
    """
    ts = equity_frame["ts"].to_physical().to_numpy()
    equity = equity_frame["equity"].to_numpy()
    days, closes = daily_equity(ts, equity)
    per_year = float(periods_per_year) if periods_per_year is not None else periods_in_a_year(days)
    figures = {
        "initial_equity": float(initial),
        "final_equity": float(equity[-1]) if len(equity) else None,
        "periods_per_year": per_year,
        "risk_free": float(risk_free),
        **_of_returns(days, closes, float(initial), per_year, risk_free),
        **_of_drawdowns(ts, equity, float(initial)),
        **_of_trades(trades_frame),
        **_of_fills(fills_frame, equity, len(days) / per_year),
        "exposure": _exposure(equity_frame, ts),
    }
    cagr, depth = figures["cagr"], figures["max_drawdown"]
    figures["calmar"] = cagr / -depth if cagr is not None and depth else None
    return {name: _plain(figures[name]) for name in METRICS}


def metrics_of(result: Result) -> dict[str, Any]:
    """``compute_metrics`` of a run's result; a table that nobody provided counts as empty."""
    from qengine_reporting.schema import empty, validated

    frames = [
        validated(name, result[name]) if name in list(result) else empty(name) for name in ("equity", "trades", "fills")
    ]
    return compute_metrics(*frames, initial=initial_equity(result, frames[0]))


def initial_equity(result: Result, equity: pl.DataFrame) -> float:
    """The cash that the run started with, or the first known equity where nobody says."""
    cash = result.counts.get("initial_cash")
    if isinstance(cash, (int, float)):
        return float(cash)
    ledger = (*result.components.get("ledger", ()), None)[0]
    cash = getattr(ledger, "cash", None)
    if isinstance(cash, (int, float)):
        return float(cash)
    return float(equity["equity"][0]) if len(equity) else math.nan


def daily_equity(ts: npt.NDArray[np.int64], equity: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """The last value of each UTC day that has one: days since 1970, and the values."""
    days = (ts - 1) // _DAY_NS
    last = np.flatnonzero(np.append(days[1:] != days[:-1], True)) if len(days) else np.empty(0, np.int64)
    return days[last], equity[last]


def daily_returns(closes: Floats, initial: float) -> Floats:
    """Simple returns, one per day, the first against ``initial``. NaN after an equity of zero or less."""
    before = np.concatenate(([initial], closes[:-1])) if len(closes) else closes
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, closes / before - 1.0, np.nan)


def periods_in_a_year(days: npt.NDArray[np.int64]) -> float:
    """How many values of this spacing make a year: 252 for business days, 365 where weekends occur.

    Six days a week, as of currencies that open on Sunday evening, make 313. Sparser data, by the median gap
    between their days: 52 for weekly, 12 for monthly, 4 for quarterly, 1 for yearly.
    """
    if len(days) < 2:
        return _BUSINESS_DAYS
    gap = float(np.median(np.diff(days)))
    for shortest_gap, per_year in ((300, 1.0), (80, 4.0), (25, 12.0), (5, 52.0)):
        if gap >= shortest_gap:
            return per_year
    weekdays = set(((days + 3) % 7).tolist())  # 1 January 1970 was a Thursday; Monday is 0
    if {5, 6} <= weekdays:
        return _CALENDAR_DAYS
    return _SIX_DAY_WEEKS if len(weekdays) == 6 else _BUSINESS_DAYS


def drawdowns(equity: Floats, initial: float) -> Floats:
    """How far each value lies below the highest so far, ``initial`` included, as a fraction <= 0."""
    peak = np.maximum.accumulate(np.maximum(equity, initial)) if len(equity) else equity
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(peak > 0, equity / peak - 1.0, 0.0)


def _of_returns(
    days: npt.NDArray[np.int64], closes: Floats, initial: float, per_year: float, risk_free: float
) -> dict[str, Any]:
    returns = daily_returns(closes, initial)
    figures: dict[str, Any] = dict.fromkeys(
        ("cagr", "volatility", "sharpe", "sortino", "best_day", "worst_day", "var_95", "cvar_95", "skew", "kurtosis")
    )
    figures["total_return"] = closes[-1] / initial - 1.0 if len(closes) and initial > 0 else None
    figures["days"] = len(days)
    figures["best_day_date"] = figures["worst_day_date"] = None
    if len(returns) < 2 or not np.isfinite(returns).all() or (closes <= 0).any():
        return figures  # one day says nothing, and ruin leaves no return to speak of
    best, worst = int(returns.argmax()), int(returns.argmin())
    figures |= {"best_day": returns[best], "worst_day": returns[worst]}
    figures |= {"best_day_date": _date(days[best]), "worst_day_date": _date(days[worst])}
    with np.errstate(all="ignore"):  # what overflows or divides by zero is not finite, and so becomes None
        return figures | _ratios(returns, per_year, risk_free)


def _ratios(returns: Floats, per_year: float, risk_free: float) -> dict[str, Any]:
    """Definitions as empyrical-reloaded and pandas have them, and the tests compare to both.

    They are written out because importing those costs a second at every run, for eight short formulas.
    """
    figures: dict[str, Any] = {
        "cagr": np.prod(1.0 + returns) ** (per_year / len(returns)) - 1.0,
        "volatility": returns.std(ddof=1) * np.sqrt(per_year),
        "var_95": np.percentile(returns, 5),
        "cvar_95": np.sort(returns)[: int((len(returns) - 1) * 0.05) + 1].mean(),
    }
    # Equal returns leave a spread of rounding errors; dividing by it would give Sharpe ratios of 1e16.
    if returns.std() > 1e-12 * max(1e-12, float(np.abs(returns).max())):
        excess = returns - ((1.0 + risk_free) ** (1.0 / per_year) - 1.0)
        downside = np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2))
        series = pl.Series(returns)
        figures["sharpe"] = excess.mean() / excess.std(ddof=1) * np.sqrt(per_year)
        figures["sortino"] = excess.mean() / downside * np.sqrt(per_year)
        figures["skew"] = series.skew(bias=False)
        figures["kurtosis"] = series.kurtosis(bias=False)
    return figures


def _of_drawdowns(ts: npt.NDArray[np.int64], equity: Floats, initial: float) -> dict[str, Any]:
    """The deepest and the longest drawdown. Both last from the peak to the recovery, or to the end without one."""
    figures: dict[str, Any] = dict.fromkeys(
        (
            "max_drawdown",
            "max_drawdown_start",
            "max_drawdown_trough",
            "max_drawdown_end",
            "max_drawdown_days",
            "longest_drawdown_days",
        )
    )
    if not len(equity) or not initial > 0:
        return figures
    below = drawdowns(equity, initial)
    figures["max_drawdown"] = below.min()
    spells = _spells(below < 0)
    if not len(spells):
        return figures
    starts = ts[np.maximum(spells[:, 0] - 1, 0)]
    recovered = spells[:, 1] < len(ts)
    lasted = ts[np.minimum(spells[:, 1], len(ts) - 1)] - starts
    trough = int(below.argmin())
    deepest = int(np.searchsorted(spells[:, 0], trough, side="right")) - 1
    return {
        "max_drawdown": below[trough],
        "max_drawdown_start": _moment(starts[deepest]),
        "max_drawdown_trough": _moment(ts[trough]),
        "max_drawdown_end": _moment(ts[spells[deepest, 1]]) if recovered[deepest] else None,
        "max_drawdown_days": lasted[deepest] / _DAY_NS,
        "longest_drawdown_days": lasted.max() / _DAY_NS,
    }


def _spells(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Each maximal run of True as [start, stop)."""
    edges = np.diff(np.concatenate(([0], inside.view(np.int8), [0])))
    return np.column_stack((np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)))


def _of_trades(trades: pl.DataFrame) -> dict[str, Any]:
    pnl = trades["pnl"].to_numpy()
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    holding = trades["duration_ns"].to_numpy()
    return {
        "round_trips": len(pnl),
        "win_rate": len(wins) / len(pnl) if len(pnl) else None,
        "profit_factor": wins.sum() / -losses.sum() if len(losses) else None,
        "expectancy": pnl.mean() if len(pnl) else None,
        "average_win": wins.mean() if len(wins) else None,
        "average_loss": losses.mean() if len(losses) else None,
        "largest_win": wins.max() if len(wins) else None,
        "largest_loss": losses.min() if len(losses) else None,
        "average_holding_days": holding.mean() / _DAY_NS if len(holding) else None,
    }


def _of_fills(fills: pl.DataFrame, equity: Floats, years: float) -> dict[str, Any]:
    """Turnover is the money traded, both ways, over the mean equity."""
    traded = float((fills["quantity"] * fills["price"] * fills["multiplier"] * fills["fx_rate"]).sum())
    mean_equity = float(equity.mean()) if len(equity) else math.nan
    turnover = traded / mean_equity if mean_equity > 0 else None
    return {
        "fills": len(fills),
        "traded_value": traded,
        "turnover": turnover,
        "annual_turnover": turnover / years if turnover is not None and years > 0 else None,
        "total_commission": float((fills["commission"] * fills["fx_rate"]).sum()),
        "total_slippage": float((fills["slippage"] * fills["fx_rate"]).sum()),
    }


def _exposure(equity: pl.DataFrame, ts: npt.NDArray[np.int64]) -> float | None:
    """Share of time with a position; what a row says holds until the next row."""
    if len(ts) < 2:
        return None
    held = ((equity["long_value"] + equity["short_value"]) > 0).to_numpy()
    lasted = np.diff(ts)
    return float(lasted[held[:-1]].sum() / lasted.sum())


def _plain(value: Any) -> Any:
    """As a JSON value: whole numbers, finite floats, text; anything else is None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value) if math.isfinite(value) else None


def _moment(ts: np.int64) -> str:
    return f"{np.datetime64(int(ts), 'ns').astype('datetime64[us]').item().isoformat()}Z"


def _date(day: np.int64) -> str:
    return str(np.datetime64(int(day), "D"))


# Every figure in the order of metrics.json, with its unit and meaning: for the README and the report.
METRICS: Mapping[str, tuple[str, str]] = {
    "initial_equity": ("money", "Cash at the start."),
    "final_equity": ("money", "Equity at the end."),
    "total_return": ("fraction", "Final over initial equity, less one."),
    "cagr": ("fraction", "Compound growth of a year."),
    "volatility": ("fraction", "Standard deviation of daily returns, annualised."),
    "sharpe": ("ratio", "Mean daily return above the risk-free rate over its standard deviation, annualised."),
    "sortino": ("ratio", "Like Sharpe, over the deviation of returns below the risk-free rate only."),
    "calmar": ("ratio", "CAGR over the depth of the deepest drawdown."),
    "max_drawdown": ("fraction", "Deepest fall below the highest equity so far, <= 0."),
    "max_drawdown_start": ("moment", "Peak before the deepest drawdown."),
    "max_drawdown_trough": ("moment", "Lowest point of the deepest drawdown."),
    "max_drawdown_end": ("moment", "Recovery from the deepest drawdown; null: not recovered."),
    "max_drawdown_days": ("days", "From its peak to its recovery, or to the end."),
    "longest_drawdown_days": ("days", "The longest time from a peak to a recovery, or to the end."),
    "days": ("count", "UTC days with an equity."),
    "best_day": ("fraction", "Highest daily return."),
    "best_day_date": ("date", "Day of the highest daily return."),
    "worst_day": ("fraction", "Lowest daily return."),
    "worst_day_date": ("date", "Day of the lowest daily return."),
    "var_95": ("fraction", "Value at risk: the 5 % quantile of daily returns."),
    "cvar_95": ("fraction", "Mean of the daily returns at or below that quantile."),
    "skew": ("ratio", "Skewness of daily returns, unbiased."),
    "kurtosis": ("ratio", "Excess kurtosis of daily returns, unbiased."),
    "round_trips": ("count", "Closing executions: rows of trades.parquet."),
    "win_rate": ("fraction", "Share of round trips with a profit after commission."),
    "profit_factor": ("ratio", "Sum of profits over sum of losses; null without a loss."),
    "expectancy": ("money", "Mean profit of a round trip, after commission."),
    "average_win": ("money", "Mean profit of the round trips with a profit."),
    "average_loss": ("money", "Mean loss of the round trips with a loss, negative."),
    "largest_win": ("money", "Largest profit of a round trip."),
    "largest_loss": ("money", "Largest loss of a round trip, negative."),
    "average_holding_days": ("days", "Mean time from the entry to the exit of a round trip."),
    "exposure": ("fraction", "Share of time with a position."),
    "fills": ("count", "Executions."),
    "traded_value": ("money", "Sum of quantity x price x multiplier over all executions."),
    "turnover": ("ratio", "Traded value over mean equity, for the whole run."),
    "annual_turnover": ("ratio", "Turnover of a year."),
    "total_commission": ("money", "Sum of commissions."),
    "total_slippage": ("money", "Sum of price concessions, as money; already part of the fills' prices."),
    "periods_per_year": ("count", "Daily values taken for a year when annualising."),
    "risk_free": ("fraction", "Annual risk-free rate that was assumed."),
}


def as_markdown() -> str:
    """The figures for people: what the README and the manual show."""
    rows = [f"| `{name}` | {unit} | {meaning} |" for name, (unit, meaning) in METRICS.items()]
    return "| figure | unit | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
