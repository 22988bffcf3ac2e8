"""The large workload: 250 instruments, 5,040 days, every day brought to 25 long and 25 short by a random score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

__all__ = ["RECORD", "Workload", "outcome"]

RECORD = Path(__file__).with_name("workload.json")

_FIRST = np.datetime64("2000-01-03")
_SEED = 20_000
_SIDE = 25
_SHARES = 100.0


@dataclass(frozen=True)
class Workload:
    """Written as a case that every runner reads; its intents are a table, and the same for all of them.

    Scores are independent from day to day, so an instrument changes its state (long, short, flat) with probability
    0.34 a day, and each change is one market order of 100 or 200 shares. Orders follow from the scores alone, and not
    from what was filled.
    """

    instruments: int = 250
    days: int = 5_040
    cash: float = 1_000_000.0

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"workload-{self.instruments}x{self.days}"

    @property
    def names(self) -> list[str]:
        """The instruments, in the order of their columns."""
        return [f"S{number:03d}" for number in range(self.instruments)]

    def write(self, folder: Path) -> None:
        """Puts ``scenario.json``, ``bars.parquet`` and ``intents.parquet`` (bar, instrument, quantity) into it."""
        folder.mkdir(parents=True, exist_ok=True)
        chance = np.random.default_rng(_SEED)
        bars, intents = self._bars(chance), self._intents(chance)
        bars.write_parquet(folder / "bars.parquet")
        intents.write_parquet(folder / "intents.parquet")
        (folder / "scenario.json").write_text(json.dumps(self._document(bars)))

    def _document(self, bars: pl.DataFrame) -> dict[str, Any]:
        times = bars["ts"].unique(maintain_order=True).to_list()
        return {
            "name": self.name,
            "frequency": "daily",
            "times": [time.isoformat() for time in times],
            "instruments": self.names,
            "cash": self.cash,
            "commission": {"kind": "per-share", "rate": 0.005, "minimum": 1.0},
            "slippage": {"kind": "none"},
            "participation": None,
            "account": {},
            "intents": [],
            "digest": self.name,
        }

    def _bars(self, chance: np.random.Generator) -> pl.DataFrame:
        """Random walks with a small drift; prices are eighths, which every peer holds exactly."""
        shape = (self.days, self.instruments)
        close = 50 * np.exp(np.cumsum(chance.normal(1e-4, 0.015, shape), axis=0))
        opening = np.vstack((np.full((1, shape[1]), 50.0), close[:-1])) * np.exp(chance.normal(0, 0.004, shape))
        opening, close = _eighths(opening), _eighths(close)
        reach = 1 + np.abs(chance.normal(0, 0.004, shape))
        high, low = _eighths(np.maximum(opening, close) * reach), _eighths(np.minimum(opening, close) / reach)
        every = np.arange(_FIRST, _FIRST + np.timedelta64(self.days * 7 // 5 + 7, "D"))
        days = every[np.is_busday(every)][: self.days] + np.timedelta64(21, "h")
        closes = pl.Series(days.astype("datetime64[ns]")).dt.replace_time_zone("UTC")
        bar = np.repeat(np.arange(self.days), shape[1])
        prices = {"open": opening, "high": high, "low": low, "close": close, "volume": np.full(shape, 1e6)}
        return pl.DataFrame(
            {"instrument": self.names * self.days, "bar": bar, "ts": closes.gather(bar)}
            | {name: values.ravel() for name, values in prices.items()}
        )

    def _intents(self, chance: np.random.Generator) -> pl.DataFrame:
        """What turns each day's holding into the next, in order of day and instrument; the last day sends nothing."""
        rank = np.argsort(np.argsort(chance.random((self.days, self.instruments)), axis=1), axis=1)
        target = _SHARES * ((rank >= self.instruments - _SIDE).astype(float) - (rank < _SIDE))
        target[[0, -1]] = 0.0  # not every peer decides on the first bar, nor fills after the last
        change = np.diff(target, axis=0, prepend=0.0)
        change[-1] = 0.0
        bar, column = np.nonzero(change)
        names = np.array(self.names)[column]
        return pl.DataFrame({"bar": bar, "instrument": names, "quantity": change[bar, column]})


def outcome(folder: Path) -> dict[str, Any]:
    """What one side made of it: counts, sums over all fills, the account at the end, and the time it took."""
    about = json.loads((folder / "run.json").read_text())
    fills, account = pl.read_parquet(folder / "fills.parquet"), pl.read_parquet(folder / "account.parquet")
    statuses = pl.read_parquet(folder / "orders.parquet")["status"].value_counts(sort=True)
    return {
        "versions": about["versions"],
        "seconds": {phase: round(seconds, 2) for phase, seconds in about["seconds"].items()},
        "peak_rss_mb": round(about["peak_rss_mb"]),
        "orders": dict(statuses.iter_rows()),
        "fills": fills.height,
        "shares": fills["quantity"].abs().sum(),
        "notional": (fills["quantity"] * fills["price"]).sum(),
        "commission": fills["commission"].sum(),
        "cash": account["cash"][-1],
        "equity": account["equity"][-1],
        "lowest_equity": account["equity"].min(),
    }


def _eighths(price: np.ndarray) -> np.ndarray:
    return np.maximum(np.round(price * 8) / 8, 0.125)
