"""Results of all sides in one compact JSON document, for comparisons that need none of them installed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.parity.runners import Runner, result_folder
from benchmarks.parity.scenario import Scenario

__all__ = ["EXPECTED", "collect", "load", "save"]

EXPECTED = Path(__file__).with_name("expected.json")


def load() -> dict[str, Any]:
    """What the peers did: ``{"peers": {peer: versions}, "scenarios": {name: {"digest", "results": {peer: ...}}}}``.

    A result is ``{"fills": [[intent, instrument, bar, quantity, price, commission], ...], "cash", "equity", "orders":
    {intent: status}}``, fills in the order in which the peer did them, or ``{"skipped": reason}``.
    """
    document: dict[str, Any] = json.loads(EXPECTED.read_text())
    return document


def collect(runners: Iterable[Runner], scenarios: Iterable[Scenario]) -> dict[str, Any]:
    """The document of ``load`` from the result folders; raises ValueError for one that is not of this scenario."""
    document: dict[str, Any] = {"peers": {}, "scenarios": {}}
    sides = list(runners)
    for scenario in scenarios:
        results = {}
        for runner in sides:
            if (reason := runner.skips(scenario)) is not None:
                results[runner.name] = {"skipped": reason}
                continue
            folder = result_folder(runner, scenario.name)
            about = json.loads((folder / "run.json").read_text())
            if about["digest"] != scenario.digest():
                raise ValueError(f"{folder} holds results of another state of {scenario.name}: run it again.")
            document["peers"][runner.name] = about["versions"]
            results[runner.name] = result(folder)
        document["scenarios"][scenario.name] = {"digest": scenario.digest(), "results": results}
    return document


def result(folder: Path) -> dict[str, Any]:
    """One side's result of one scenario, without the account bar by bar."""
    account, orders = pl.read_parquet(folder / "account.parquet"), pl.read_parquet(folder / "orders.parquet")
    return {
        "fills": [list(row) for row in pl.read_parquet(folder / "fills.parquet").iter_rows()],
        "cash": account["cash"][-1],
        "equity": account["equity"][-1],
        "orders": dict(orders.select("intent", "status").sort("intent").iter_rows()),
    }


def save(document: dict[str, Any]) -> None:
    """Writes the document with one line a result, so that a change of one is one line of a diff."""
    scenarios = []
    for name, entry in document["scenarios"].items():
        results = ",\n".join(f"   {json.dumps(peer)}: {json.dumps(one)}" for peer, one in entry["results"].items())
        digest = json.dumps(entry["digest"])
        scenarios.append(f'  {json.dumps(name)}: {{"digest": {digest}, "results": {{\n{results}}}}}')
    body = ",\n".join(scenarios)
    EXPECTED.write_text(f'{{"peers": {json.dumps(document["peers"])},\n "scenarios": {{\n{body}}}}}\n')
