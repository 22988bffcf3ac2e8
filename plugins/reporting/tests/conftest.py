"""Simulated runs for the tests of reporting: real account arithmetic over seeded prices, no engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import polars as pl
import pytest

from qengine_core.blocks import StreamInfo
from qengine_core.engine import Result
from qengine_core.plugin import BAR, Instrument

DAY = 86_400_000_000_000
TS = pl.Datetime("ns", "UTC")


@attrs.frozen
class Cash:
    """Stands where the ledger's settings stand in a composition."""

    cash: float = 100_000.0
    currency: str = "USD"


@attrs.frozen
class Crossing:
    """Stands where the strategy's settings stand."""

    fast: int = 20
    slow: int = 100


def simulate(
    days: int = 1500, instruments: tuple[str, ...] = ("AAPL", "IBM", "MSFT"), seed: int = 7, cash: float = 100_000.0
) -> dict[str, Any]:
    """Tables of a run that goes long above a moving average and short well below it, on business days."""
    rng = np.random.default_rng(seed)
    calendar = np.busday_offset("2015-01-02", np.arange(days), roll="forward").astype("datetime64[ns]").astype(np.int64)
    ts = calendar + 21 * 3_600_000_000_000
    prices = {
        name: 100 * np.exp(np.cumsum(rng.normal(0.0004, 0.014, days))) * (i + 1) for i, name in enumerate(instruments)
    }
    held, average, paid = (dict.fromkeys(instruments, 0.0) for _ in range(3))
    entered, realised = (dict.fromkeys(instruments, 0) for _ in range(2))
    orders, fills, trades, positions, equity = ([] for _ in range(5))
    money = cash
    for day in range(days):
        for name in instruments:
            price = float(prices[name][day])
            mean = prices[name][max(0, day - 60) : day + 1].mean()
            aim = float(np.sign(int(price > mean) - int(price < 0.93 * mean))) if day > 60 else 0.0
            if day % 5 or np.sign(held[name]) == aim:
                continue
            for quantity in [q for q in (-held[name], aim * (cash // (len(instruments) * price))) if q]:
                side = "buy" if quantity > 0 else "sell"
                slip = 0.0005 * price
                got = price + np.sign(quantity) * slip
                fee = max(1.0, 0.005 * abs(quantity))
                order_id = len(orders) + 1
                orders.append((order_id, name, side, abs(quantity), "market", None, None, "gtc", "cross", None,
                               ts[day - 1], ts[day - 1], ts[day], "filled", abs(quantity), got, fee, ""))  # fmt: skip
                fills.append((ts[day], order_id, name, side, abs(quantity), got, fee, slip * abs(quantity), "USD", 1.0))
                money -= quantity * got + fee
                if held[name]:
                    closed, direction = abs(quantity), "long" if held[name] > 0 else "short"
                    gross = -quantity * (got - average[name])
                    commission = fee + paid[name]
                    net = gross - commission
                    done = (entered[name], ts[day], average[name], got, net, gross, commission)
                    trades.append(
                        (name, direction, closed, *done, net / (average[name] * closed), int(ts[day] - entered[name]))
                    )
                    realised[name] += gross
                    held[name], average[name] = 0.0, 0.0
                else:
                    held[name], average[name], paid[name], entered[name] = quantity, got, fee, int(ts[day])
                positions.append((ts[day], name, held[name], average[name], got, held[name] * got,
                                  float(realised[name]), held[name] * (got - average[name])))  # fmt: skip
        values = [held[name] * float(prices[name][day]) for name in instruments]
        long, short = sum(v for v in values if v > 0), -sum(v for v in values if v < 0)
        equity.append((ts[day], money + long - short, money, long, short))
    rows = {"orders": orders, "fills": fills, "trades": trades, "positions": positions, "equity": equity}
    rows["cashflows"] = [(ts[day], "interest", None, "USD", 1.5, "main") for day in range(20, days, 20)]
    rows["equity_by_account"] = [(at, "main", *values) for at, *values in equity]
    rows["balances"] = [(at, "main", "USD", cash_held, 1.0) for at, _, cash_held, *_ in equity]
    tables = {name: frame(name, table) for name, table in rows.items()}
    tables["prices"] = pl.DataFrame(
        {
            "ts": np.repeat(ts, len(instruments)),
            "instrument": list(instruments) * days,
            "close": np.column_stack([prices[name] for name in instruments]).ravel(),
        }
    ).with_columns(pl.col("ts").cast(TS))
    return tables


def frame(name: str, rows: list[Any]) -> pl.DataFrame:
    """Rows as the documented table, from plain values with int64 timestamps."""
    from qengine_reporting.schema import SCHEMAS

    # What one account in one currency has at the end of each row need not be written out.
    ends = {"orders": ("main",), "fills": (1.0, "main"), "trades": (1.0, "main"), "positions": ("main",)}
    width = len(SCHEMAS[name].columns)
    rows = [(*row, *ends.get(name, ())[len(row) - width :]) if len(row) < width else row for row in rows]
    types = {"timestamp": pl.Int64, "int64": pl.Int64, "float64": pl.Float64, "text": pl.String}
    columns = SCHEMAS[name].columns
    table = pl.DataFrame(rows, schema={c.name: types[c.type] for c in columns}, orient="row", strict=False)
    return table.with_columns(pl.col(c.name).cast(TS) for c in columns if c.type == "timestamp")


def result_of(tables: dict[str, Any], **changes: Any) -> Result:
    names = ("AAPL", "IBM", "MSFT")
    instruments = tuple(Instrument(name=name) for name in names)
    ts = tables["equity"]["ts"].to_physical()
    rows = 3 * len(ts)
    stream = StreamInfo(
        kind=BAR,
        columns=("open", "high", "low", "close", "volume"),
        instruments=instruments,
        rows=rows,
        description={
            "feed": "parquet",
            "path": "examples/data/stocks.parquet",
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "adjustment": "back-adjusted by adj_close",
        },
    )
    config = {
        "seed": 0,
        "wake": "interest",
        "feed": [{"use": "parquet", "path": "examples/data/stocks.parquet", "adjust": True}],
        "strategy": [{"use": "moving-average-cross", "fast": 20, "slow": 100, "weights": [0.5, 0.3, 0.2]}],
        "ledger": {"use": "standard", "cash": 100_000.0, "currency": "USD"},
        "broker": {"use": "simulated", "intrabar_path": "worst-case"},
        "commission": {"use": "per-share", "rate": 0.005, "minimum": 1.0},
        "slippage": {"use": "percent", "rate": 0.0005},
        "report": [],
        "runner": {"use": "python"},
    }
    given: dict[str, Any] = {
        "config": config,
        "plugins": {"qengine-feeds": "0.1.0", "qengine-broker-sim": "0.1.0"},
        "streams": (stream,),
        "instruments": instruments,
        "counts": {
            "orders": len(tables["orders"]),
            "fills": len(tables["fills"]),
            "rejections": {},
            "ambiguous_bars": 0,
        },
        "rows": rows,
        "wakes": 2 * rows,
        "seconds": 0.25,
        "start_ts": int(ts[0]) if len(ts) else 0,
        "end_ts": int(ts[-1]) if len(ts) else 0,
        "components": {"ledger": (Cash(),), "strategy": (Crossing(),), "report": ()},
    }
    result = Result(**{**given, **changes})
    for name, table in tables.items():
        result.provide(name, table)
    return result


@pytest.fixture(scope="session")
def tables() -> dict[str, Any]:
    return simulate()


@pytest.fixture
def make_result() -> Callable[..., Result]:
    return result_of


@pytest.fixture
def result(tables: dict[str, Any]) -> Result:
    return result_of(tables)


@pytest.fixture
def make_frame() -> Callable[..., pl.DataFrame]:
    return frame


@pytest.fixture(scope="session")
def make_tables() -> Callable[..., dict[str, Any]]:
    return simulate
