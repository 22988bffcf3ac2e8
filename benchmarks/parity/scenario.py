"""A scenario: bars, intents by bar index and account rules, as plain data. It knows no peer's order of doing things."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.parity.bars import Rows, closing_times, minute_times

__all__ = ["Intent", "Scenario", "bracket", "cancel", "order", "target_percent"]

Intent = dict[str, Any]
_FREE: Mapping[str, Any] = {"kind": "none"}


@dataclass(frozen=True)
class Scenario:
    """What every side is given, and for which peers it makes no sense.

    Intents are decided on bar ``bar`` (counted from 0 over the times of all instruments) once that bar is known.
    ``commission`` is one of ``{"kind": "none"}``, ``{"kind": "percent", "rate"}`` (of the notional) and
    ``{"kind": "per-share", "rate", "minimum"}`` (per order); ``slippage`` one of ``none``, ``{"kind": "percent",
    "rate"}`` and ``{"kind": "fixed", "amount"}`` (per share). ``participation`` caps what a bar fills at that part of
    its volume. ``account`` may set ``leverage``, ``whole_shares``, ``lock_short_proceeds`` and ``exits_first``.
    """

    name: str
    exercises: str
    bars: Mapping[str, Rows]
    intents: list[Intent]
    cash: float = 100_000.0
    commission: Mapping[str, Any] = field(default_factory=lambda: _FREE)
    slippage: Mapping[str, Any] = field(default_factory=lambda: _FREE)
    participation: float | None = None
    account: Mapping[str, Any] = field(default_factory=dict)
    frequency: str = "daily"
    without: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Numbers the intents, and refuses a scenario that could not happen."""
        for number, intent in enumerate(self.intents, start=1):
            intent.setdefault("id", f"i{number}")
        _check(self)

    @property
    def count(self) -> int:
        """How many bars the longest instrument has."""
        return max(map(len, self.bars.values()))

    @property
    def times(self) -> list[datetime]:
        """When each bar closed, in UTC."""
        return closing_times(self.count) if self.frequency == "daily" else minute_times(self.count // 390)

    def document(self) -> dict[str, Any]:
        """Everything but the bars, as JSON can hold it."""
        return {
            "name": self.name,
            "exercises": self.exercises,
            "frequency": self.frequency,
            "times": [time.isoformat() for time in self.times],
            "instruments": list(self.bars),
            "cash": self.cash,
            "commission": dict(self.commission),
            "slippage": dict(self.slippage),
            "participation": self.participation,
            "account": dict(self.account),
            "intents": self.intents,
        }

    def frame(self) -> pl.DataFrame:
        """The bars in order of time and then instrument: instrument, bar, ts (UTC), open, high, low, close, volume."""
        times = self.times
        rows = [
            (name, bar, times[bar], *row)
            for bar in range(self.count)
            for name, rows in self.bars.items()
            if bar < len(rows) and (row := rows[bar]) is not None
        ]
        prices = dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64())
        schema: dict[str, pl.DataType] = {
            "instrument": pl.String(),
            "bar": pl.Int64(),
            "ts": pl.Datetime("ns", "UTC"),
            **prices,
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    def digest(self) -> str:
        """Changes when the bars or what is asked of the peers change, and not with the words that describe it."""
        asked = {key: value for key, value in self.document().items() if key != "exercises"}
        text = json.dumps([asked, self.bars], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Puts ``scenario.json`` and ``bars.parquet`` into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scenario.json").write_text(json.dumps(self.document() | {"digest": self.digest()}, indent=1))
        self.frame().write_parquet(folder / "bars.parquet")


def order(bar: int, instrument: str, quantity: float, **terms: Any) -> Intent:
    """Buy (or, below zero, sell) with terms ``limit``, ``stop``, ``trail_amount``, ``trail_percent``, ``tif``
    (``day``, or ``gtd`` until the bar ``expires``) and ``oco`` (the group's name).
    """
    return {"action": "order", "bar": bar, "instrument": instrument, "quantity": quantity, **terms}


def bracket(bar: int, instrument: str, quantity: float, **terms: Any) -> Intent:
    """An entry with exits ``stop_loss`` (or ``trail_amount``, ``trail_percent``) and ``take_profit``."""
    return {"action": "bracket", "bar": bar, "instrument": instrument, "quantity": quantity, **terms}


def cancel(bar: int, intent: str) -> Intent:
    """Withdraw what is left of an order."""
    return {"action": "cancel", "bar": bar, "order": intent}


def target_percent(bar: int, targets: Mapping[str, float]) -> list[Intent]:
    """Bring each instrument to its part of the account's value, in the order given."""
    return [
        {"action": "target-percent", "bar": bar, "instrument": name, "percent": part} for name, part in targets.items()
    ]


_TERMS = {
    "order": {"quantity", "instrument", "limit", "stop", "trail_amount", "trail_percent", "tif", "expires", "oco"},
    "bracket": {"quantity", "instrument", "limit", "stop", "stop_loss", "take_profit", "trail_amount", "trail_percent"},
    "cancel": {"order"},
    "target-percent": {"instrument", "percent"},
}


def _check(scenario: Scenario) -> None:
    known: set[str] = set()
    for intent in scenario.intents:
        wrong = intent.keys() - _TERMS[intent["action"]] - {"action", "bar", "id"}
        if wrong or not 0 <= intent["bar"] < scenario.count:
            raise ValueError(f"{scenario.name}: an intent has terms {sorted(wrong)} or a bar out of range: {intent}")
        if intent.get("instrument", next(iter(scenario.bars))) not in scenario.bars:
            raise ValueError(f"{scenario.name}: an intent names an instrument that has no bars: {intent}")
        if intent["action"] == "cancel" and intent["order"] not in known:
            raise ValueError(f"{scenario.name}: an intent cancels an order that is not there yet: {intent}")
        known.add(intent["id"])
    if _bars(scenario.intents) != sorted(_bars(scenario.intents)):
        raise ValueError(f"{scenario.name}: intents must stand in order of their bars.")


def _bars(intents: Iterable[Intent]) -> list[int]:
    return [intent["bar"] for intent in intents]
