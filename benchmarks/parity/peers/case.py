"""What goes into a peer's process and what comes out of it, the same for all of them. It knows no peer."""

from __future__ import annotations

import importlib.metadata
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["Case", "Journal", "Run", "serve"]

_FILLS = ["intent", "instrument", "bar", "quantity", "price", "commission"]
_ACCOUNT = ["bar", "cash", "equity"]
_ORDERS = ["intent", "status", "reason"]


@dataclass(frozen=True)
class Case:
    """One scenario as the peer finds it in a folder."""

    folder: Path

    @cached_property
    def document(self) -> dict[str, Any]:
        """The scenario without its bars."""
        return json.loads((self.folder / "scenario.json").read_text())

    @cached_property
    def bars(self) -> pd.DataFrame:
        """instrument, bar, ts, open, high, low, close, volume."""
        return pd.read_parquet(self.folder / "bars.parquet")

    @cached_property
    def times(self) -> pd.DatetimeIndex:
        """When each bar closed, UTC."""
        return pd.DatetimeIndex(pd.to_datetime(self.document["times"], utc=True, format="ISO8601"))

    @cached_property
    def local_times(self) -> pd.DatetimeIndex:
        """The same in New York and without a time zone; daily bars carry the date alone."""
        local = self.times.tz_convert("America/New_York").tz_localize(None)
        return local.normalize() if self.daily else local

    @property
    def daily(self) -> bool:
        """Daily bars, and not minutes."""
        return self.document["frequency"] == "daily"

    @cached_property
    def all_intents(self) -> list[dict[str, Any]]:
        """Every intent, in order; a large case has them in a table of market orders: bar, instrument, quantity."""
        table = self.folder / "intents.parquet"
        if not table.exists():
            return self.document["intents"]
        rows = pd.read_parquet(table).to_dict("records")
        return [{"id": f"i{number}", "action": "order", **row} for number, row in enumerate(rows, start=1)]

    @cached_property
    def intents(self) -> dict[int, list[dict[str, Any]]]:
        """Intents by the bar on which they are decided."""
        found: dict[int, list[dict[str, Any]]] = {}
        for intent in self.all_intents:
            found.setdefault(intent["bar"], []).append(intent)
        return found

    def table(self, instrument: str) -> pd.DataFrame:
        """One instrument's bars with the bar number as index."""
        rows = self.bars[self.bars["instrument"] == instrument]
        return rows.set_index("bar")[["open", "high", "low", "close", "volume"]]

    def wide(self, column: str) -> pd.DataFrame:
        """One column, bars by instruments; what does not exist is NaN."""
        wide = self.bars.pivot(index="bar", columns="instrument", values=column)
        return wide.reindex(index=range(len(self.times)), columns=self.document["instruments"])


@dataclass
class Journal:
    """What happened, in the order in which the peer did it."""

    fills: list[tuple[Any, ...]] = field(default_factory=list)
    account: list[tuple[Any, ...]] = field(default_factory=list)
    orders: dict[str, tuple[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def fill(self, intent: str, instrument: str, bar: int, quantity: float, price: float, commission: float) -> None:
        """One execution; ``quantity`` is below zero for a sale."""
        self.fills.append((intent, instrument, int(bar), float(quantity), float(price), float(commission)))

    def state(self, bar: int, cash: float, equity: float) -> None:
        """The account once the bar is done, with the fills of that bar."""
        self.account.append((int(bar), float(cash), float(equity)))

    def status(self, intent: str, status: str, reason: str = "") -> None:
        """How an order stands; the last word counts."""
        self.orders[intent] = (status, reason)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """How long a phase takes, in seconds of wall time."""
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start

    def write(self, folder: Path) -> None:
        """Three Parquet tables: fills, account, orders."""
        orders = [(intent, *said) for intent, said in self.orders.items()]
        tables = {"fills": (_FILLS, self.fills), "account": (_ACCOUNT, self.account), "orders": (_ORDERS, orders)}
        for name, (columns, rows) in tables.items():
            pd.DataFrame(rows, columns=columns).to_parquet(folder / f"{name}.parquet")


Run = Callable[[Case, Journal], None]


def serve(distributions: list[str], run: Run) -> None:
    """Runs the cases named on standard input, a JSON list of pairs of case folder and result folder.

    A case that raises leaves its traceback in ``error.txt``, and the process ends with status 1 after the others.
    """
    versions = {name: importlib.metadata.version(name) for name in distributions}
    failed = 0
    for case, result in json.load(sys.stdin):
        folder = Path(result)
        try:
            journal = Journal()
            with journal.timed("all"):
                run(Case(Path(case)), journal)
            journal.write(folder)
            about = {"digest": Case(Path(case)).document["digest"], "versions": versions, "seconds": journal.seconds}
            about["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            (folder / "run.json").write_text(json.dumps(about))
        except Exception:
            (folder / "error.txt").write_text(traceback.format_exc())
            failed = 1
    sys.exit(failed)
