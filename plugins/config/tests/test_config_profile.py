"""``qengine run --profile`` and ``Engine.run(timings=...)``: every part has its place, and no result changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qengine_core import Engine, Timings
from qengine_core.cli import main
from qengine_core.wall import reading

for needed in ("broker_sim", "calendars", "costs", "feeds", "orders", "portfolio", "reporting", "risk", "strategy"):
    pytest.importorskip(f"qengine_{needed}", reason="a run with all parts needs it")

STRATEGY = '''
"""Trades, cancels, and listens to everything."""

from __future__ import annotations

import datetime as dt

from qengine_strategy import Strategy


class Busy(Strategy):
    """Buys and sells in turns, and moves a limit order that is out of reach on every bar."""

    def on_start(self, ctx):
        self.bars, self.fills, self.timers, self.order = 0, 0, 0, None
        ctx.set_timer("noon", every=dt.timedelta(days=7))

    def on_bar(self, ctx, bar):
        self.bars += 1
        if self.order is not None:
            ctx.cancel(self.order)
        self.order = ctx.buy(bar.instrument, 1, limit=1.0)
        if self.bars % 10 == 1:
            ctx.buy(bar.instrument, 10)
        elif self.bars % 10 == 3:  # the same instrument
            ctx.sell(bar.instrument, 10)

    def on_fill(self, ctx, fill):
        self.fills += 1

    def on_timer(self, ctx, name):
        self.timers += 1
'''

RUN = """\
seed = 3
strategy = "busy.py:Busy"
position_rule = [{ use = "stop-loss", fraction = 0.2 }]
risk = [{ use = "long-only" }, { use = "max-position", quantity = 1000 }, { use = "max-drawdown", fraction = 0.9 }]

[feed]
use = "synthetic"
instruments = ["AAA", "BBB"]
rows = 400
interval = "1d"

[report]
use = "none"
"""

PARTS = {
    *("composing", "feed", "setting up", "loop", "scan", "strategy", "orders", "matching", "ledger", "risk"),
    *("position rule", "report", "progress", "profiling itself", "rest"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "busy.py").write_text(STRATEGY)
    (tmp_path / "busy.toml").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def composition() -> dict[str, Any]:
    import tomllib

    return tomllib.loads(Path("busy.toml").read_text())


def test_the_parts_add_up_to_the_time_there_was(place: Path) -> None:
    engine = Engine.from_config(composition())
    engine.run()
    timings, began = Timings(), reading()
    result = engine.run(timings=timings)
    parts, elapsed = timings.spent, reading() - began
    assert all(part.seconds >= 0 for part in parts)
    assert sum(part.seconds for part in parts) == pytest.approx(elapsed, rel=0.05, abs=0.002)
    assert sum(part.share for part in parts) == pytest.approx(1.0)
    found = {part.part: part for part in parts}
    assert set(found) == PARTS - {"composing", "progress"}
    assert result.counts["fills"] >= 159
    assert found["strategy"].calls >= 800 + 159  # bars and fills
    assert found["orders"].calls >= 2 * 799 + 160  # sent and cancelled
    assert found["risk"].calls >= 3 * (800 + 160)  # three rules an order
    assert found["matching"].calls >= 159
    assert found["position rule"].calls >= 159 + 799  # fills and ends of orders


def test_a_timed_run_gives_the_same_result_and_leaves_nothing_behind(place: Path) -> None:
    engine = Engine.from_config(composition())
    plain, timed, after = engine.run(), engine.run(timings=Timings()), engine.run()
    for result in (timed, after):
        assert result.counts == plain.counts
        assert (result.rows, result.wakes) == (plain.rows, plain.wakes)
        assert result.fills.equals(plain.fills)


def test_a_run_that_is_not_timed_wraps_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr(Timings, "_timed", refuse)
    monkeypatch.setattr(Timings, "_enter", refuse)
    assert main(["run", "busy.toml", "--no-progress"]) == 0


def test_the_command_shows_a_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "busy.toml", "--profile", "--no-progress"]) == 0
    _, title, table = capsys.readouterr().out.partition("Where the time went")
    assert title
    rows = [line.rsplit(maxsplit=3) for line in table.splitlines() if line.strip()]
    names = {row[0].strip() for row in rows}
    assert PARTS - {"progress"} <= names
    assert table.split()[-3] == "total"
    assert table.split()[-1] == "100.0%"


def test_the_command_says_the_same_in_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "busy.toml", "--json"]) == 0
    assert "profile" not in json.loads(capsys.readouterr().out)
    assert main(["run", "busy.toml", "--json", "--profile"]) == 0
    profile = json.loads(capsys.readouterr().out)["profile"]
    assert {part["part"] for part in profile} == PARTS - {"progress"}
    assert sum(part["share"] for part in profile) == pytest.approx(1.0)
    assert all(part["seconds"] >= 0 for part in profile)
