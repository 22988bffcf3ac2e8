"""Seeded market data of the benchmarks, as Polars frames. It knows no engine."""

from __future__ import annotations

import numpy as np
import polars as pl

__all__ = ["minute_bars", "panel", "ticks"]

_MINUTE = 60_000_000_000
_DAY = 86_400_000_000_000
_START = 1_577_836_800_000_000_000  # 2020-01-01 UTC


def minute_bars(rows: int) -> pl.DataFrame:
    """One instrument's random walk in one-minute bars."""
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 5e-4, rows)))
    opening = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, 1e-5, rows))
    high = np.maximum(opening, close) * (1 + np.abs(rng.normal(0, 1e-4, rows)))
    low = np.minimum(opening, close) * (1 - np.abs(rng.normal(0, 1e-4, rows)))
    ts = _START + _MINUTE * np.arange(1, rows + 1, dtype=np.int64)
    volume = rng.integers(1_000, 50_000, rows).astype(np.float64)
    return pl.DataFrame(
        {"ts": ts, "open": opening, "high": high, "low": low, "close": close, "volume": volume}
    ).with_columns(_utc())


def panel(instruments: int, days: int) -> pl.DataFrame:
    """Daily bars of many instruments, in order of time and then name."""
    rng = np.random.default_rng(11)
    moves = rng.normal(3e-4, 0.015, (days, instruments)) + rng.normal(0, 2e-4, instruments)
    close = 50 * np.exp(np.cumsum(moves, axis=0))
    opening = np.vstack((np.full((1, instruments), 50.0), close[:-1])) * np.exp(
        rng.normal(0, 2e-3, (days, instruments))
    )
    ts = np.repeat(_START + 21 * 60 * _MINUTE + _DAY * np.arange(days, dtype=np.int64), instruments)
    names = [f"S{index:04d}" for index in range(instruments)]
    return pl.DataFrame(
        {
            "ts": ts,
            "instrument": pl.Series(names * days, dtype=pl.Enum(names)),
            "open": opening.ravel(),
            "high": (np.maximum(opening, close) * 1.002).ravel(),
            "low": (np.minimum(opening, close) * 0.998).ravel(),
            "close": close.ravel(),
            "volume": np.full(days * instruments, 1e6),
        }
    ).with_columns(_utc())


def ticks(rows: int) -> pl.DataFrame:
    """One instrument's prints: a random walk on a one-cent grid, about ten a second."""
    rng = np.random.default_rng(13)
    steps = rng.choice(np.array([-1, 0, 0, 0, 1]), rows)
    price = np.round(100 + 0.01 * np.cumsum(steps), 2)
    ts = _START + np.cumsum(rng.integers(1, 200_000_000, rows))
    return pl.DataFrame(
        {"ts": ts, "price": np.maximum(price, 1.0), "size": rng.integers(1, 500, rows).astype(np.float64)}
    ).with_columns(_utc())


def _utc() -> pl.Expr:
    return pl.col("ts").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
