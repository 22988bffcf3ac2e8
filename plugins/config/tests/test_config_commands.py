"""``qengine run`` and ``qengine replay`` as a user meets them: in a process of their own, with the real plugins."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qengine_core.cli import main
from qengine_core.plugin import RunError

pytest.importorskip("qengine_broker_sim", reason="a run needs the broker")
pytest.importorskip("qengine_portfolio", reason="a run needs the ledger")
pytest.importorskip("qengine_reporting", reason="a run folder needs the reporting")
pytest.importorskip("qengine_strategy", reason="a run needs the strategy base class")

PARTS = '''
"""A feed of a few bars, and strategies that misbehave as told."""

from __future__ import annotations

import time

import numpy as np

from qengine_core.blocks import Block, StreamInfo
from qengine_core.plugin import BAR, Instrument, component, param
from qengine_strategy import Strategy

DAY = 86_400_000_000_000
COLUMNS = ("open", "high", "low", "close", "volume")


@component
class Waves:
    """Prices that go up and down."""

    rows: int = param(default=60, help="bars", ge=0)
    per_block: int = param(default=10, help="bars in a block", ge=1)

    def open(self):
        return Source(self)


class Source:
    def __init__(self, settings):
        self.settings = settings
        description = {"sha256": f"{settings.rows:064x}"}
        instruments = (Instrument(name="WAVE"),)
        self.info = StreamInfo(
            kind=BAR, columns=COLUMNS, instruments=instruments, rows=settings.rows, description=description
        )

    def blocks(self, stream, codes):
        for start in range(0, self.settings.rows, self.settings.per_block):
            row = np.arange(start, min(start + self.settings.per_block, self.settings.rows))
            price = 100 + 10 * np.sin(row / 9)
            columns = dict(zip(COLUMNS, (price, price + 1, price - 1, price, price * 1000)))
            codes_ = np.full(len(row), codes["WAVE"], np.int32)
            yield Block(stream, (row + 12000) * DAY, codes_, columns)


class Flip(Strategy):
    """Buys and sells in turns."""

    quantity: float = param(default=10.0, help="units bought and sold", gt=0)
    every: int = param(default=5, help="bars between two orders", ge=1)
    talk: bool = param(default=False, help="print to stdout")
    fail_at: int = param(default=-1, help="bar at which it raises")
    wait_at: int = param(default=-1, help="bar at which it waits to be interrupted")

    def on_start(self, ctx):
        self.bars = 0
        if self.talk:
            print("hello from the strategy")

    def on_bar(self, ctx, bar):
        self.bars += 1
        if self.bars == self.fail_at:
            raise ZeroDivisionError("no luck")
        if self.bars == self.wait_at:
            print("waiting", flush=True)
            time.sleep(60)
        if self.bars % self.every == 1:
            side = ctx.buy if self.bars % (2 * self.every) == 1 else ctx.sell
            side(bar.instrument, self.quantity)
'''

RUN = """\
seed = 3

[feed]
use = "parts.py:Waves"

[strategy]
use = "parts.py:Flip"

[commission]
use = "per-share"
rate = 0.01

[report]
use = "none"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a run file and the code it names; commands run in it."""
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "waves.toml").write_text(RUN)
    return tmp_path


COMMAND = [sys.executable, "-m", "qengine_core"]
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("QENGINE_", "COLUMNS"))}


def in_a_process(place: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as the shell starts it."""
    line, environment = [*COMMAND, *arguments], {**ENVIRONMENT, **variables}
    return subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False)


class Qengine:
    """The same command called in this process, which spares the seconds of importing."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        monkeypatch.chdir(place)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.capsys.readouterr()
        status = main(arguments)
        out, err = self.capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)


@pytest.fixture
def qengine(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Qengine:
    return Qengine(place, monkeypatch, capsys)


def test_a_run_prints_a_table_and_leaves_a_folder_that_replays_identically(place: Path) -> None:
    done = in_a_process(place, "run", "waves.toml")
    assert (done.returncode, done.stderr) == (0, "")
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if "  " in line)
    assert shown["Strategy"].strip() == "parts.py:Flip"
    assert shown["Instruments"].strip() == "WAVE"
    assert shown["Period"].strip() == "2002-11-09 to 2003-01-07"
    assert shown["Orders"].strip() == "12"
    assert shown["Fills"].strip() == "12"
    assert shown["Commission"].strip() == "1.20"
    for label in ("Speed", "Final", "Return", "CAGR", "Sharpe", "Max", "Round", "Win"):
        assert label in shown
    assert "Run folder: runs/waves-001" in done.stdout
    manifest = json.loads((place / "runs/waves-001/manifest.json").read_text())
    assert manifest["config"]["strategy"][0]["use"] == f"{place}/parts.py:Flip"

    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    again = in_a_process(elsewhere, "replay", "../runs/waves-001")
    assert again.returncode == 0, again.stderr
    assert "identical  fills.parquet" in again.stdout
    assert f"All {len(manifest['outputs'])} outputs are identical." in again.stdout
    assert list(elsewhere.iterdir()) == []


def test_json_is_all_there_is_on_stdout(qengine: Qengine, place: Path) -> None:
    done = qengine("run", "waves.toml", "--json", "--set", "strategy.talk=true", "--seed", "7", "--out", "here")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["out"] == "here/waves-001"
    assert summary["report"] is None
    assert summary["rows"] == 60
    assert summary["counts"]["fills"] == 12
    assert summary["metrics"]["total_commission"] == pytest.approx(1.2)
    assert summary["start"] == "2002-11-09T00:00:00Z"
    assert summary["rows_per_second"] == pytest.approx(60 / summary["seconds"])
    assert "hello from the strategy" in done.stderr
    assert json.loads((place / "here/waves-001/manifest.json").read_text())["seed"] == 7


def test_overrides_reach_the_run_and_the_file_stays_first_in_line(place: Path) -> None:
    done = in_a_process(place, "run", "waves.toml", "--json", "--set", "feed.rows=20", QENGINE_SET_strategy__every="2")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["counts"]["orders"]) == (20, 10)


def test_a_replay_of_something_that_changed_says_what(qengine: Qengine, place: Path) -> None:
    assert qengine("run", "waves.toml").returncode == 0
    parts = place / "parts.py"
    parts.write_text(parts.read_text().replace("100 + 10 *", "100 + 11.5 *"))  # of another length: Python caches
    done = qengine("replay", "runs/waves-001", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["identical"] is False
    assert "row 0, column price" in found["outputs"]["fills.parquet"]
    assert found["changes"] == [
        "Nothing that is recorded has changed: a file of your own code has, or the run is not deterministic."
    ]

    manifest_path = place / "runs/waves-001/manifest.json"
    manifest = json.loads(manifest_path.read_text())
    manifest["plugins"]["qengine-costs"] = "0.0.9"
    manifest["data"][0]["sha256"] = "0"
    manifest["python"] = "3.0"
    manifest_path.write_text(json.dumps(manifest))
    done = qengine("replay", "runs/waves-001")
    assert done.returncode == 1
    assert "different  fills.parquet: row 0, column price" in done.stdout
    assert "! qengine-costs was 0.0.9 and is " in done.stdout
    assert "! python was 3.0 and is 3." in done.stdout
    assert "! The data of feed 0 has changed: sha256." in done.stdout
    assert "outputs differ." in done.stdout


def test_an_output_that_was_tampered_with_does_not_pass(qengine: Qengine, place: Path) -> None:
    assert qengine("run", "waves.toml").returncode == 0
    metrics = place / "runs/waves-001/metrics.json"
    metrics.write_text(metrics.read_text() + " ")
    done = qengine("replay", "runs/waves-001")
    assert done.returncode == 1
    assert "different  metrics.json: changed in runs/waves-001 since its manifest was written" in done.stdout
    assert "identical  fills.parquet" in done.stdout


def test_without_reporting_a_run_says_so_and_shows_what_it_can(qengine: Qengine, place: Path) -> None:
    done = qengine("run", "waves.toml", "--set", 'plugins.block=["qengine-reporting"]', "--set", "report=[]")
    assert done.returncode == 0, done.stderr
    assert "! qengine-reporting is not installed or not allowed" in done.stdout
    assert "Final equity" in done.stdout
    assert "Fills" in done.stdout
    assert "Run folder" not in done.stdout


def test_warnings_say_what_to_know_before_trusting_the_figures(qengine: Qengine, place: Path) -> None:
    silent = qengine("run", "waves.toml", "--set", "feed.rows=0")
    assert "! The feed had no rows: nothing was traded." in silent.stdout
    rejected = qengine("run", "waves.toml", "--set", "ledger.cash=1", "--set", "strategy.every=30")
    assert "rejected." in rejected.stdout
    assert "Rejected" in rejected.stdout
    late = qengine("run", "waves.toml", "--set", "feed.rows=1")
    assert "! 1 order was still open when the data ended." in late.stdout


MISTAKES = [
    (["nowhere.toml"], "There is no run file nowhere.toml; its folder has broken.toml, misspelt.toml, waves.toml."),
    (["broken.toml"], "broken.toml, line 2, column 8: not valid TOML: Invalid value."),
    (["misspelt.toml"], "misspelt.toml, line 2: there is no setting 'strateg' (did you mean 'strategy'? known: "),
    (["waves.toml", "--set", "strategy.evry=1"], "--set strategy.evry=1: [strategy] "),
    (["waves.toml", "--set", "strategy.every=0"], "--set strategy.every=0: [strategy] "),
    (["waves.toml", "--set", "commission.use=per-shar"], "--set commission.use=per-shar: There is no commission named"),
    (["waves.toml", "--set", "feed=csvv"], "--set feed=csvv: There is no feed named 'csvv' (did you mean 'csv'? "),
    (["waves.toml", "--set", "strategy"], "--set strategy: a setting is written KEY=VALUE, as in strategy.fast=20."),
    (["waves.toml", "--seed", "-1"], "--set seed=-1: seed must be a whole number >= 0, not -1."),
    (["waves.toml", "--out", "waves.toml"], "Results cannot go to waves.toml: File exists. Choose another folder"),
    (
        ["waves.toml", "--set", 'plugins.require=["acme-costs>=0.1"]'],
        "This run needs acme-costs>=0.1, which is not installed: pip install 'acme-costs>=0.1'",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_is_one_sentence_and_status_one(place: Path, arguments: list[str], sentence: str) -> None:
    (place / "broken.toml").write_text("seed = 3\nfast = = 1\n")
    (place / "misspelt.toml").write_text("seed = 3\n[strateg]\nuse = 'x'\n")
    done = in_a_process(place, "run", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"qengine: {sentence}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (place / "runs").exists() or not list((place / "runs").iterdir())


def test_a_strategy_that_raises_is_named_and_the_run_marked_failed(qengine: Qengine, place: Path) -> None:
    done = qengine("run", "waves.toml", "--set", "strategy.fail_at=3")
    assert done.returncode == 1
    assert "raised ZeroDivisionError at 2002-11-11" in done.stderr
    assert "no luck" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (place / "runs").iterdir()] == ["waves-001.failed"]
    assert "waves-001.failed" in done.stderr
    with pytest.raises(RunError) as caught:
        qengine("run", "waves.toml", "--set", "strategy.fail_at=3", "--traceback")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "is a failed run" in qengine("replay", "runs/waves-001.failed").stderr


def test_ctrl_c_is_one_sentence_and_130(place: Path) -> None:
    line = [*COMMAND, "run", "waves.toml", "--set", "strategy.wait_at=5"]
    with subprocess.Popen(
        line, cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("qengine: interrupted.")
    assert errors.count("\n") == 1
    assert [path.name for path in (place / "runs").iterdir()] == ["waves-001.failed"]


@pytest.mark.parametrize(("options", "expected"), [((), True), (("--no-progress",), False)])
def test_a_terminal_sees_a_progress_bar_unless_it_is_not_wanted(
    place: Path, options: tuple[str, ...], expected: bool
) -> None:
    line = [*COMMAND, "run", "waves.toml", *options]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        line, cwd=place, env={**ENVIRONMENT, "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        seen = _all_of(ours)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert (b"60 of 60 rows" in seen) is expected


def _all_of(descriptor: int) -> bytes:
    found = b""
    try:
        while chunk := os.read(descriptor, 4096):
            found += chunk
    except OSError:  # how Linux says that the other end has closed
        pass
    os.close(descriptor)
    return found


def test_a_folder_that_cannot_be_composed_again_says_why(qengine: Qengine, place: Path) -> None:
    assert qengine("run", "waves.toml").returncode == 0
    (place / "parts.py").rename(place / "other.py")
    done = qengine("replay", "runs/waves-001")
    assert done.returncode == 1
    assert done.stderr.startswith("qengine: runs/waves-001/manifest.json cannot be composed again: There is no file ")


def test_a_yaml_run_on_the_synthetic_feed_writes_its_report_and_replays(
    qengine: Qengine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("qengine_feeds", reason="the synthetic feed is in qengine-feeds")
    (place / "run.yaml").write_text(
        "seed: 1\nfeed: {use: synthetic, rows: 30, seed: 4}\nstrategy: {use: 'parts.py:Flip'}\nrun: {name: made}\n"
    )
    done = qengine("run", "run.yaml", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)["report"]
    assert report == "runs/made-001/report.html"
    assert (place / report).stat().st_size > 1000
    replayed = qengine("replay", "runs/made-001", "--json")
    assert json.loads(replayed.stdout)["outputs"]["report.html"] == "identical"
    assert replayed.returncode == 0

    monkeypatch.setenv("QENGINE_BLOCK_PLUGINS", "qengine-reporting")
    blind = qengine("replay", "runs/made-001")
    assert blind.returncode == 1
    assert blind.stderr.startswith("qengine: The replay wrote nothing to compare: ")
