"""Seeded market data of the benchmarks: Polars frames, and files where a frame would be too large. It knows no engine.

``python -m benchmarks.data NAME`` writes the files of a name, so that whoever measures memory did not make them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.parity.environments import cache_folder

__all__ = ["FILES", "minute_bars", "on_disk", "panel", "ticks"]

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


def minute_panel(years: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """One-minute bars of 50 instruments, 390 of each on 252 days a year, a frame a month: 4.9 million rows a year."""
    rng, names = np.random.default_rng(17), [f"M{index:02d}" for index in range(50)]
    log_price, minutes = np.full(50, np.log(100.0)), np.arange(1, 391, dtype=np.int64) * _MINUTE
    for month in range(12 * years):
        opens = _START + _DAY * (month * 31 + np.arange(21, dtype=np.int64)) + 870 * _MINUTE  # 14:30 UTC
        ts = (opens[:, None] + minutes).ravel()
        close = np.exp(log_price + np.cumsum(rng.normal(0, 5e-4, (len(ts), 50)), axis=0))
        opening = np.vstack((np.exp(log_price)[None], close[:-1]))
        log_price = np.log(close[-1])
        frame = {
            "ts": np.repeat(ts, 50),
            "instrument": pl.Series(names, dtype=pl.Enum(names)).gather(np.tile(np.arange(50), len(ts))),
            "open": opening.ravel(),
            "high": (np.maximum(opening, close) * 1.0002).ravel(),
            "low": (np.minimum(opening, close) * 0.9998).ravel(),
            "close": close.ravel(),
            "volume": rng.integers(100, 50_000, 50 * len(ts)).astype(np.float64),
        }
        yield f"{month // 12:02d}-{month % 12:02d}", pl.DataFrame(frame).with_columns(_utc())


def year_of_ticks() -> Iterator[tuple[str, pl.DataFrame]]:
    """One instrument's prints, 500,000 on each of 252 days, thickest at open and close; a frame a day."""
    rng, price = np.random.default_rng(19), 10_000
    for day in range(252):
        opens = _START + _DAY * (day * 365 // 252) + 870 * _MINUTE
        when = np.sort((rng.beta(0.6, 0.6, 500_000) * 390 * _MINUTE).astype(np.int64))
        cents = np.maximum(price + np.cumsum(rng.choice(np.array([-1, 0, 0, 0, 0, 0, 1]), len(when))), 100)
        price = int(cents[-1])
        size = 100.0 * rng.geometric(0.4, len(when))
        frame = pl.DataFrame({"ts": opens + when, "price": np.round(cents / 100, 2), "size": size})
        yield f"{day:03d}", frame.with_columns(_utc())


def year_of_quotes() -> Iterator[tuple[str, pl.DataFrame]]:
    """The best bid and ask of one instrument, 500,000 changes a day; wider at open and close."""
    rng, price = np.random.default_rng(23), 10_000
    for day in range(252):
        opens = _START + _DAY * (day * 365 // 252) + 870 * _MINUTE
        place = np.sort(rng.beta(0.6, 0.6, 500_000))
        bid = np.maximum(price + np.cumsum(rng.choice(np.array([-1, 0, 0, 0, 0, 0, 1]), len(place))), 100)
        price = int(bid[-1])
        spread = 1 + (rng.random(len(place)) < 0.2) + (np.abs(place - 0.5) > 0.48)
        sizes = {f"{side}_size": 100.0 * rng.geometric(0.2, len(place)) for side in ("bid", "ask")}
        ts = opens + (place * 390 * _MINUTE).astype(np.int64)
        frame = pl.DataFrame(
            {"ts": ts, "bid": np.round(bid / 100, 2), "ask": np.round((bid + spread) / 100, 2), **sizes}
        )
        yield f"{day:03d}", frame.with_columns(_utc())


FILES = {
    "minutes-1": lambda: minute_panel(1),
    "minutes-3": lambda: minute_panel(3),
    "minutes-10": lambda: minute_panel(10),
    "ticks-year": year_of_ticks,
    "quotes-year": year_of_quotes,
}


def on_disk(name: str) -> Path:
    """The folder with the files of a name, written by another process where they are not there yet."""
    folder = cache_folder() / "data" / name
    if not folder.is_dir():
        subprocess.run([sys.executable, "-m", "benchmarks.data", name], check=True)
    return folder


def _write(name: str) -> None:
    folder = cache_folder() / "data" / name
    unfinished = folder.with_name(f".{name}")
    unfinished.mkdir(parents=True, exist_ok=True)
    for part, frame in FILES[name]():
        frame.write_parquet(unfinished / f"{part}.parquet", row_group_size=1 << 17, compression="lz4")
    unfinished.rename(folder)


def _utc() -> pl.Expr:
    return pl.col("ts").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


if __name__ == "__main__":
    _write(sys.argv[1])
