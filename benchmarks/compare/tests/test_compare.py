"""The comparison with QEngine alone, and what can be checked of the peers' scripts where none of them is installed."""

from __future__ import annotations

import argparse
import ast
import py_compile
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import data
from benchmarks.compare import table
from benchmarks.compare.command import add_arguments, compare
from benchmarks.compare.contestants import PEERS
from benchmarks.compare.files import SOURCES
from benchmarks.compare.ours import LANES
from benchmarks.compare.peers import rules
from benchmarks.compare.peers.task import Task
from benchmarks.compare.runner import ContestantFailedError, Measurement, measure
from benchmarks.parity.environments import OTHERS
from benchmarks.parity.environments import PEERS as ENVIRONMENTS
from benchmarks.workloads import WORKLOADS

FOLDER = Path(__file__).parents[1] / "peers"
SCRIPTS = {contestant.script for contestant in PEERS.values()}


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Two thousand minute bars in a file."""
    data.minute_bars(2_000).write_parquet(tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


def ours(file: Path, rows: int, workload: str = "W5", timeout: float = 120.0) -> Measurement:
    task = Task(workload, LANES[workload][0], str(file), rows, 500)
    return measure(sys.executable, "benchmarks.compare.ours", task, timeout, is_peer=False)


def test_a_process_says_what_it_did_and_what_it_took(bars: Path) -> None:
    run = ours(bars, 2_000)
    assert (run.rows, run.orders, run.fills) == (2_000, 2_000, 1_999)
    assert 0 < run.seconds < run.process_seconds
    assert run.peak_rss_mb > 50
    assert "qengine-core" in run.versions


def test_a_process_that_fails_is_reported_by_what_it_said_last(tmp_path: Path) -> None:
    with pytest.raises(ContestantFailedError, match="missing"):
        ours(tmp_path / "missing.parquet", 10)


def test_a_process_that_takes_too_long_is_given_up(bars: Path) -> None:
    with pytest.raises(ContestantFailedError, match=r"no result within 0 s"):
        ours(bars, 2_000, timeout=0.05)


def test_the_same_work_is_told_from_other_work(bars: Path) -> None:
    first, again, part = ours(bars, 2_000), ours(bars, 2_000), ours(bars, 1_000)
    assert table.same_work(table.Line("qengine", [first], first)) == "-"
    assert table.same_work(table.Line("other", [again], first)) == "yes"
    assert table.same_work(table.Line("other", [part], first)).startswith("**no**: fills -1,000, equity ")
    assert table.same_work(table.Line("other", [first, part], first)) == "**no: its own runs differ**"


def test_one_command_prints_a_table_for_each_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QENGINE_BENCH_CACHE", str(tmp_path))
    small = data.minute_bars
    monkeypatch.setattr(data, "minute_bars", lambda rows: small(10_000))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    out = tmp_path / "table.md"
    status = compare(parser.parse_args(["--quick", "--workload", "W1", "W5", "--out", str(out), "--peer"]))
    text = out.read_text()
    assert status == 0
    assert capsys.readouterr().out == text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {name}: {WORKLOADS[name].summary}" for name in ("W1", "W5")
    ]
    rows = [line for line in text.splitlines() if line.startswith("| qengine")]
    assert len(rows) == len(LANES["W1"]) + len(LANES["W5"])
    assert all(row.count("|") == len(table._COLUMNS) + 1 for row in rows)
    assert "| 5,000 |" in rows[0]
    assert "- Machine: " in text


def test_a_peer_that_cannot_be_installed_stands_in_the_table_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QENGINE_BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # no Python to be found
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert compare(parser.parse_args(["--quick", "--workload", "W5", "--peer", "bt"])) == 0
    text = capsys.readouterr().out
    assert "- bt: not installed: bt 1.4.1 needs one of Python 3.12, 3.13, 3.11" in text
    assert "| bt " not in text


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_a_peers_script_does_what_the_list_says_it_does(script: str, tmp_path: Path) -> None:
    """It compiles, imports nothing of QEngine, and serves the workloads that have rows in the list."""
    file = FOLDER / f"{script}.py"
    py_compile.compile(str(file), cfile=str(tmp_path / "compiled"), doraise=True)
    tree = ast.parse(file.read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    own = {name for name in imported if name and name.startswith(("qengine", "benchmarks"))}
    assert own <= {"benchmarks.compare.peers", "benchmarks.compare.peers.rules", "benchmarks.compare.peers.task"}
    (served,) = (
        node.args[1]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "serve"
    )
    assert isinstance(served, ast.Dict)
    listed = {name for one in PEERS.values() if one.script == script for name in one.rows}
    assert {key.value for key in served.keys if isinstance(key, ast.Constant)} == listed


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_peer_has_an_environment_and_a_size_or_a_reason_for_every_workload(name: str) -> None:
    contestant = PEERS[name]
    assert name in ENVIRONMENTS | OTHERS
    assert {"W1", "W2", "W3", "W4", "W5", "W6"} <= set(contestant.rows) | set(contestant.without)
    assert not set(contestant.rows) & set(contestant.without)
    assert set(contestant.notes) <= set(contestant.rows)
    for workload, rows in contestant.rows.items():
        source = SOURCES[workload]
        assert source.quick <= rows <= source.rows
        if workload in rules.RULES:  # whole days
            assert rows % len(data.panel(int(source.name.split("-")[1].split("x")[0]), 1)) == 0


def test_the_crossover_that_peers_call_sends_what_qengines_strategy_sends() -> None:
    frame = data.minute_bars(3_000)
    sent = WORKLOADS["W1"].engine(frame).run().orders
    averages = rules.Averages()
    ways = [averages.update(close) for close in frame["close"].to_list()]
    expected = frame.with_columns(way=pl.Series(ways)).filter(pl.col("way") != 0)
    assert expected["ts"].to_list() == sent["submitted_ts"].to_list()
    assert [{1: "buy", -1: "sell"}[way] for way in expected["way"]] == sent["side"].to_list()


def test_the_rebalancing_that_peers_call_sends_what_qengines_strategy_sends() -> None:
    """The first two rebalancings of W2: days, instruments and quantities, in the same order."""
    width, days = 250, 320
    frame = data.panel(width, days)
    result = WORKLOADS["W2"].engine(frame).run()
    closes = frame["close"].to_numpy().reshape(days, width)
    ts = frame["ts"].to_numpy().astype(np.int64)[::width]
    decided = np.flatnonzero(rules.decision_days("W2", ts))
    sent = result.orders
    assert sent["submitted_ts"].unique().sort().dt.epoch("ns").to_list() == ts[decided].tolist()
    names, cash, held = frame["instrument"][:width].to_list(), 1_000_000.0, dict[int, float]()
    opens = frame["open"].to_numpy().reshape(days, width)
    for day in decided:
        window = closes[day + 1 - rules.MOMENTUM_DAYS : day + 1]
        equity = cash + sum(quantity * window[-1, column] for column, quantity in held.items())
        orders = rules.orders(rules.momentum(window), held, window[-1], equity)
        theirs = sent.filter(pl.col("submitted_ts").dt.epoch("ns") == int(ts[day]))
        assert [names[column] for column, _ in orders] == theirs["instrument"].to_list()
        assert np.abs([quantity for _, quantity in orders]) == pytest.approx(theirs["quantity"].to_numpy(), rel=1e-9)
        for column, quantity in orders:
            held[column] = held.get(column, 0.0) + quantity
            cash -= quantity * opens[day + 1, column]


def test_prints_are_taken_by_who_moved_the_price() -> None:
    taken = rules.buyers(np.array([10.0, 10.0, 10.01, 10.01, 10.0, 10.0, 10.02]))
    assert taken.tolist() == [True, True, True, True, False, False, True]
