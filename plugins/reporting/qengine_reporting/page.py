"""Puts the HTML report together: what the template shows, in the reader's words. It computes no figure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import attrs
import jinja2
import markupsafe
import numpy as np
import polars as pl

from qengine_reporting import charts, text
from qengine_reporting.manifest import described, plain
from qengine_reporting.metrics import METRICS, initial_equity
from qengine_reporting.notices import notices
from qengine_reporting.schema import SCHEMAS, empty, validated

if TYPE_CHECKING:
    from qengine_core.engine import Result
    from qengine_reporting.report import HtmlReport

__all__ = ["render"]

_TRADES_SHOWN = 8
_INSTRUMENTS_NAMED = 8
_GROUPS = {
    "Returns": ("total_return", "cagr", "volatility", "best_day", "worst_day", "final_equity"),
    "Risk": ("sharpe", "sortino", "calmar", "var_95", "cvar_95", "skew", "kurtosis"),
    "Drawdown": (
        "max_drawdown",
        "max_drawdown_start",
        "max_drawdown_trough",
        "max_drawdown_end",
        "max_drawdown_days",
        "longest_drawdown_days",
    ),
    "Activity and costs": (
        "fills",
        "traded_value",
        "turnover",
        "annual_turnover",
        "exposure",
        "total_commission",
        "total_slippage",
    ),
    "Round trips": (
        "round_trips",
        "win_rate",
        "profit_factor",
        "expectancy",
        "average_win",
        "average_loss",
        "largest_win",
        "largest_loss",
        "average_holding_days",
    ),
}
_NAMES = {"sha256": "SHA-256", "first_ts": "First row known"}
_LABELS = {
    "cagr": "CAGR",
    "var_95": "Value at risk, 95%",
    "cvar_95": "Expected shortfall, 95%",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "kurtosis": "Excess kurtosis",
    "exposure": "Time in the market",
    "fills": "Executions",
    "max_drawdown_days": "Max drawdown duration",
    "longest_drawdown_days": "Longest drawdown",
    "average_holding_days": "Average holding time",
    "expectancy": "Expectancy per round trip",
    "max_drawdown_end": "Max drawdown recovered",
}


def render(report: HtmlReport, result: Result) -> str:
    """The whole page as HTML text, the same for the same run."""
    import plotly.offline

    run = _Run.of(result)
    drawn = _charts(run, report)
    context = {
        "theme": report.theme,
        "head": _head(run, report),
        "cards": _cards(run),
        "notices": notices(run.facts, run.frames, run.metrics),
        "charts": {chart["id"]: chart for chart in (*drawn, *run.priced[:1])},
        "priced": [chart["instrument"] for chart in run.priced],
        "more_instruments": run.traded - len(run.priced),
        "groups": _groups(run),
        "round_trips": _round_trips(run.frames["trades"]),
        "settings": _settings(run.facts["config"]),
        "data": [_source(source) for source in run.facts["data"]],
        "facts": run.facts,
        "currency": run.currency,
        "figures": _script_json({"charts": drawn, "trades": run.priced}),
        "css": markupsafe.Markup(_asset("report.css")),  # noqa: S704  (our own file)
        "js": markupsafe.Markup(_asset("report.js")),  # noqa: S704  (our own file)
        "plotly": markupsafe.Markup(plotly.offline.get_plotlyjs()),  # noqa: S704  (Plotly's own bundle)
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_asset("report.html.j2")).render(context)


@attrs.define
class _Run:
    """What the page needs of a result."""

    facts: dict[str, Any]
    metrics: Mapping[str, Any]
    frames: dict[str, pl.DataFrame]
    initial: float
    currency: str
    priced: list[dict[str, Any]] = attrs.field(factory=list)
    traded: int = 0

    @classmethod
    def of(cls, result: Result) -> _Run:
        given = list(result)
        frames = {name: validated(name, result[name]) if name in given else empty(name) for name in SCHEMAS}
        if "prices" in given:
            frames["prices"] = validated("prices", result["prices"])
        ledger = (*result.components.get("ledger", ()), None)[0]
        return cls(
            facts=described(result),
            metrics=plain(result["metrics"]),
            frames=frames,
            initial=initial_equity(result, frames["equity"]),
            currency=str(getattr(ledger, "currency", "")),
        )


def _charts(run: _Run, report: HtmlReport) -> list[dict[str, Any]]:
    """Every chart that there is data for; those of single instruments go to ``run.priced``."""
    frame, fills = run.frames["equity"], run.frames["fills"]
    if frame.is_empty():
        return []
    ts, values = frame["ts"].to_physical().to_numpy(), frame["equity"].to_numpy()
    points = report.max_points
    made = [
        charts.equity(ts, values, run.initial, points, run.currency),
        charts.monthly(ts, values, run.initial),
        charts.yearly(ts, values, run.initial),
        charts.rolling_sharpe(ts, values, run.initial, run.metrics["periods_per_year"], points),
        charts.exposure(ts, frame, points),
        charts.costs(fills, points, run.currency),
    ]
    run.priced = _priced(run, report, (int(ts[0]), int(ts[-1])))
    drawn = [chart for chart in made if chart is not None]
    form = "%d %b %Y" if run.metrics["days"] == len(ts) else "%d %b %Y %H:%M"
    for chart in (*drawn, *run.priced):
        chart["layout"]["xaxis"]["hoverformat"] = form
    return drawn


def _priced(run: _Run, report: HtmlReport, span: tuple[int, int]) -> list[dict[str, Any]]:
    """Price charts of the most traded instruments, of those that there are prices for."""
    if "prices" not in run.frames:
        return []
    prices, fills = run.frames["prices"], run.frames["fills"]
    known = set(prices["instrument"].unique())
    counted = fills["instrument"].value_counts().sort(["count", "instrument"], descending=[True, False])
    names = [name for name in counted["instrument"] if name in known]
    run.traded = len(names)
    return [
        charts.trades_on_price(
            name,
            prices.filter(pl.col("instrument") == name),
            fills.filter(pl.col("instrument") == name),
            span,
            report.max_points,
        )
        for name in names[: report.max_instruments]
    ]


def _head(run: _Run, report: HtmlReport) -> dict[str, Any]:
    strategies = run.facts["config"].get("strategy") or []
    names = [str(strategy.get("use", "")).rpartition(":")[2].rpartition("/")[2] for strategy in strategies]
    parameters = [(key, _value(value)) for s in strategies for key, value in s.items() if key != "use"]
    instruments = sorted({name for source in run.facts["data"] for name in source["instruments"]})
    return {
        "title": report.title or _spoken(" + ".join(names)) or "Backtest",
        "parameters": parameters,
        "instruments": _listed(instruments),
        "start": text.moment(run.facts["start"])[:10],
        "end": text.moment(run.facts["end"])[:10],
        "days": run.metrics["days"],
        "final": text.money(run.metrics["final_equity"]),
        "initial": text.money(run.initial if np.isfinite(run.initial) else None),
        "change": text.percent(run.metrics["total_return"], sign=True),
        "tone": _tone(run.metrics["total_return"]),
    }


def _cards(run: _Run) -> list[dict[str, str]]:
    """The figures a reader looks for first, each with one line of context."""
    m = run.metrics
    cost = m["total_commission"] + m["total_slippage"]
    recovered = "" if m["max_drawdown_end"] or not m["max_drawdown"] else ", not recovered"
    rows = [
        ("CAGR", text.percent(m["cagr"], sign=True), _tone(m["cagr"]), f"volatility {text.percent(m['volatility'])}"),
        ("Sharpe ratio", text.number(m["sharpe"]), "", f"Sortino {text.number(m['sortino'])}"),
        (
            "Max drawdown",
            text.percent(m["max_drawdown"]),
            _tone(m["max_drawdown"]),
            f"{text.duration(m['max_drawdown_days'])}{recovered}" if m["max_drawdown"] else "never below its peak",
        ),
        ("Calmar ratio", text.number(m["calmar"]), "", "CAGR over max drawdown"),
        ("Win rate", text.percent(m["win_rate"]), "", f"of {text.number(m['round_trips'], 0)} round trips"),
        ("Profit factor", text.number(m["profit_factor"]), "", f"expectancy {text.money(m['expectancy'], sign=True)}"),
        ("Costs", text.money(cost), "", f"commission {text.money(m['total_commission'])}"),
        (
            "Time in the market",
            text.percent(m["exposure"]),
            "",
            f"turnover {text.number(m['annual_turnover'], 1)}\N{MULTIPLICATION SIGN} a year",
        ),
    ]
    return [{"label": label, "value": value, "tone": tone, "note": note} for label, value, tone, note in rows]


def _groups(run: _Run) -> dict[str, list[dict[str, str]]]:
    """The table of metrics: label, value and meaning, in groups."""
    groups = {}
    for group, names in _GROUPS.items():
        rows = []
        for name in names:
            unit, meaning = METRICS[name]
            label = _LABELS.get(name, name.replace("_", " ").capitalize())
            rows.append({"label": label, "value": text.figure(run.metrics[name], unit, run.currency), "help": meaning})
        groups[group] = rows
    return groups


def _round_trips(trades: pl.DataFrame) -> dict[str, list[dict[str, str]]]:
    """The best, the worst and the last round trips; each list only once where there are few."""
    numbered = trades.with_row_index("row")
    ranked = numbered.sort(["pnl", "row"], descending=[True, False])
    return {
        "Best": [_trade(row) for row in ranked.head(_TRADES_SHOWN).iter_rows(named=True)],
        "Worst": [_trade(row) for row in ranked.tail(_TRADES_SHOWN).reverse().iter_rows(named=True)],
        "Last": [_trade(row) for row in numbered.tail(_TRADES_SHOWN).reverse().iter_rows(named=True)],
    }


def _trade(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "instrument": row["instrument"],
        "direction": row["direction"],
        "quantity": text.quantity(row["quantity"]),
        "entry": text.moment(f"{row['entry_ts']:%Y-%m-%dT%H:%M:%S}")[:10],
        "exit": text.moment(f"{row['exit_ts']:%Y-%m-%dT%H:%M:%S}")[:10],
        "entry_price": f"{row['entry_price']:,.7g}",
        "exit_price": f"{row['exit_price']:,.7g}",
        "held": text.duration(row["duration_ns"] / 86_400e9),
        "pnl": text.money(row["pnl"], sign=True),
        "return": text.percent(row["return"], sign=True),
        "tone": _tone(row["pnl"]),
    }


def _settings(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The composition by kind: what is used, and its parameters."""
    blocks = []
    for kind, value in config.items():
        components = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, Mapping)]
        for entry in components:
            parameters = [(key, _value(item)) for key, item in entry.items() if key != "use"]
            blocks.append({"kind": kind, "use": entry.get("use", ""), "parameters": parameters})
    loose = [(key, _value(value)) for key, value in config.items() if not isinstance(value, (Mapping, list))]
    return [*blocks, {"kind": "run", "use": "", "parameters": loose}]


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    """One feed's facts: what every feed says first, then what this one adds."""
    rows = "not counted beforehand" if source["rows"] is None else f"{source['rows']:,}"
    first = [("Rows", rows), ("Instruments", _listed(source["instruments"])), ("Columns", ", ".join(source["columns"]))]
    known = {"kind", "columns", "instruments", "rows"}
    rest = [(_NAMES.get(k) or _spoken(k), _fact(k, v)) for k, v in source.items() if k not in known]
    return {"kind": source["kind"], "facts": [*first, *rest]}


def _fact(key: str, value: Any) -> str:
    if key.endswith("_ts") and isinstance(value, int):
        return f"{np.datetime64(value, 'ns').astype('datetime64[s]')}Z"
    return _value(value)


def _listed(names: list[str]) -> str:
    more = len(names) - _INSTRUMENTS_NAMED
    return ", ".join(names[:_INSTRUMENTS_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _spoken(name: str) -> str:
    """A name from a run file as a heading: ``moving-average-cross`` as "Moving average cross"."""
    words = re.sub(r"[-_]+", " ", name)
    return words[:1].upper() + words[1:]


def _tone(value: float | None) -> str:
    return "" if not value else "gain" if value > 0 else "loss"


def _script_json(value: Any) -> markupsafe.Markup:
    """JSON that cannot end the script element it stands in, whatever an instrument is called."""
    dumped = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return markupsafe.Markup(dumped.replace("<", "\\u003c"))  # noqa: S704  (escaped just now)


def _asset(name: str) -> str:
    return files("qengine_reporting").joinpath("assets", name).read_text(encoding="utf-8")
