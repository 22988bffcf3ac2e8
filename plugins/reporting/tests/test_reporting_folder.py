"""The life of a run folder: whole under its final name, marked failed, or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import polars as pl
import pytest
import qengine_reporting.plugin
from qengine_reporting import NoReport, compare_runs, load_run, write_run
from qengine_reporting.folder import PartialFolder
from qengine_reporting.schema import SCHEMAS

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError, DataError, PluginError, RunContext, RunFailed, RunFinished

HERE = Path(__file__).parent


@pytest.fixture
def bare(tables, make_result):
    """Makes results without the HTML page, which other tests look at."""

    def make(**changes):
        result = make_result(tables, **changes)
        if "components" not in changes:
            result.components["report"] = (NoReport(),)
        return result

    return make


@attrs.frozen
class Broken:
    """A report that begins well."""

    error: BaseException = attrs.field(factory=lambda: ValueError("no such\n colour"))

    def write(self, result, folder):
        (folder / "pictures").mkdir()
        (folder / "pictures" / "half.svg").write_text("<svg")
        raise self.error


def test_a_run_folder_holds_tables_metrics_report_and_manifest(result, tables, tmp_path):
    folder = write_run(result, tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    expected = {f"{name}.parquet" for name in [*SCHEMAS, "prices"]} | {"metrics.json", "report.html"}
    assert set(manifest["outputs"]) == expected
    assert {path.name for path in folder.iterdir()} == expected | {"manifest.json"}
    for name, sha256 in manifest["outputs"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    for name in SCHEMAS:
        assert pl.read_parquet(folder / f"{name}.parquet").equals(tables[name])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_manifest_says_how_the_run_was_composed(result, tmp_path):
    manifest = json.loads((write_run(result, tmp_path / "run") / "manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["config"] == result.config
    assert manifest["seed"] == 0
    assert manifest["start"] == "2015-01-02T21:00:00Z"
    assert manifest["data"][0]["sha256"].startswith("9f86d081")
    assert manifest["data"][0]["instruments"] == ["AAPL", "IBM", "MSFT"]
    assert manifest["counts"]["rows"] == 4500
    assert manifest["plugins"]["qengine-reporting"]
    assert manifest["wall"]["rows_per_second"] == 18_000.0
    assert manifest["wall"]["created"].endswith("Z")


def test_the_same_run_gives_the_same_bytes_whatever_the_hash_seed(tmp_path):
    program = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(HERE)!r})
        import conftest
        from qengine_reporting import write_run
        write_run(conftest.result_of(conftest.simulate(days=300)), sys.argv[1])
        """
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / seed)], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert compare_runs(tmp_path / "1", tmp_path / "2") == []
    one, two = (json.loads((tmp_path / seed / "manifest.json").read_text()) for seed in ("1", "2"))
    assert {**one, "wall": None} == {**two, "wall": None}


def test_a_name_that_is_taken_is_refused_before_anything_is_written(bare, tmp_path):
    write_run(bare(), tmp_path / "run")
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    with pytest.raises(ConfigError, match=r"run exists already: choose another folder"):
        write_run(bare(), tmp_path / "run")
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_place_that_cannot_hold_a_folder_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"The results cannot go to .*Choose another folder\.$"):
        PartialFolder.begin(tmp_path / "file" / "run")


def test_a_failing_report_is_flagged_and_loses_nothing_else(bare, tmp_path):
    result = bare()
    result.components["report"] = (Broken(), NoReport())
    folder = write_run(result, tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["flags"] == result.flags == ["report Broken: ValueError: no such colour"]
    assert not (folder / "pictures").exists()
    assert "orders.parquet" in manifest["outputs"]


def test_an_interrupted_report_fails_the_run(bare, tmp_path):
    result = bare()
    result.components["report"] = (Broken(KeyboardInterrupt()),)
    with pytest.raises(KeyboardInterrupt):
        write_run(result, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run.failed"]
    assert [path.name for path in (tmp_path / "run.failed").iterdir()] == ["error.log"]
    assert (tmp_path / "run.failed" / "error.log").read_text().startswith("Interrupted by the user.\n\nTraceback")


def test_a_table_that_breaks_its_schema_fails_the_run(bare, tables, tmp_path):
    result = bare()
    result.provide("fills", tables["fills"].drop("price"))
    with pytest.raises(PluginError, match="'price' is missing") as caught:
        write_run(result, tmp_path / "run")
    assert caught.value.__notes__ == [f"The log of the failed run is {tmp_path / 'run.failed' / 'error.log'}."]
    log = (tmp_path / "run.failed" / "error.log").read_text()
    assert log.startswith("Table 'fills', column 'price' is missing")


def test_a_table_that_nobody_provides_is_flagged(bare, tables, tmp_path):
    result = bare()
    del result._tables["positions"]
    result.provide("a b", tables["fills"])
    with pytest.raises(PluginError, match="Table 'a b' cannot be a file"):
        write_run(result, tmp_path / "run")
    del result._tables["a b"]
    folder = write_run(result, tmp_path / "run")
    assert not (folder / "positions.parquet").exists()
    assert "positions.parquet is not written" in json.loads((folder / "manifest.json").read_text())["flags"][0]


def test_a_later_failure_takes_the_place_of_an_earlier_but_never_of_other_files(tmp_path):
    for number in range(2):
        PartialFolder.begin(tmp_path / "run").fail(DataError(f"failure {number}"))
    assert [path.name for path in tmp_path.iterdir()] == ["run.failed"]
    assert "failure 1" in (tmp_path / "run.failed" / "error.log").read_text()
    (tmp_path / "run.failed" / "mine.txt").write_text("keep")
    assert PartialFolder.begin(tmp_path / "run").fail(ValueError("x")).name == "run.failed-2"
    assert (tmp_path / "run.failed" / "mine.txt").read_text() == "keep"


def test_two_runs_to_one_name_get_two_partial_folders_and_the_second_to_end_fails(bare, tmp_path):
    first, second = (PartialFolder.begin(tmp_path / "run") for _ in range(2))
    assert first.path != second.path
    first.complete(bare())
    with pytest.raises(Exception, match="something else has taken that name"):
        second.complete(bare())


FULL = textwrap.dedent(
    f"""
    import resource, signal, sys
    sys.path.insert(0, {str(HERE)!r})
    import conftest
    from qengine_reporting import NoReport, write_run
    result = conftest.result_of(conftest.simulate(days=300))
    result.components["report"] = (NoReport(),)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if sys.argv[2] == "middle":
        def metrics():  # the tables are written by now
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            return {{"filler": "x" * 5000}}
        result.provide("metrics", metrics)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write_run(result, sys.argv[1])
    except Exception as error:
        print(type(error).__name__, error)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
@pytest.mark.parametrize(
    ("when", "sentence", "left"),
    [
        ("start", "ConfigError The results cannot go to", []),
        ("middle", "RunError The results could not be written to", ["run.failed"]),
    ],
)
def test_a_disk_that_takes_no_more_is_one_sentence_and_nothing_looks_whole(when, sentence, left, tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path / "run"), when]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(sentence)
    assert "File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == left
    assert not list(tmp_path.rglob("*.parquet"))


def test_hooks_follow_a_run_from_start_to_finish(bare, tmp_path):
    state: dict[str, object] = {}
    context = {"out": str(tmp_path / "run"), "config": {"seed": 0}, "state": state}
    qengine_reporting.plugin.run_started(RunContext(**context))
    assert [path.name.startswith(".run.partial-") for path in tmp_path.iterdir()] == [True]
    result = bare()
    qengine_reporting.plugin.run_finished(RunFinished(**context, result=result))
    assert load_run(tmp_path / "run").metrics == result.metrics
    # Another plugin's hook fails after ours: a folder of a failed run must not look whole.
    qengine_reporting.plugin.run_failed(RunFailed(**context, error=DataError("late")))
    assert [path.name for path in tmp_path.iterdir()] == ["run.failed"]
    assert '"seed": 0' in (tmp_path / "run.failed" / "error.log").read_text()


def test_without_a_place_hooks_give_metrics_and_write_nothing(bare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    context = {"out": None, "config": {}, "state": {}}
    result = bare()
    qengine_reporting.plugin.run_started(RunContext(**context))
    qengine_reporting.plugin.run_finished(RunFinished(**context, result=result))
    qengine_reporting.plugin.run_failed(RunFailed(**context, error=DataError("x")))
    assert result.metrics["round_trips"] == 95
    assert not list(tmp_path.iterdir())


def test_a_composition_names_its_reports():
    plugins = Plugins()
    plugins.add(qengine_reporting.plugin, "qengine-reporting")
    assert [entry.spec.name for entry in plugins.all("report")] == ["html", "none"]
    assert plugins.find("report", "html").spec.component().max_points == 2000


def test_the_hook_module_is_light():
    program = (
        "import sys, qengine_reporting, qengine_reporting.plugin; "
        "print([m for m in ('numpy', 'polars', 'pyarrow', 'plotly', 'pandas', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def engine():
    """A real composition of the standard plugins on synthetic prices."""
    pytest.importorskip("qengine_feeds", reason="the feeds are not installed")
    return Engine(
        feed={"use": "synthetic"},
        strategy={"use": f"{HERE / 'reporting_strategy.py'}:Alternating"},
        commission={"use": "per-share", "rate": 0.005},
    )


def test_a_real_run_leaves_a_whole_folder_and_the_same_again(engine, tmp_path):
    for name in ("a", "b"):
        result = engine.run(out=str(tmp_path / name))
    assert compare_runs(tmp_path / "a", tmp_path / "b") == []
    run = load_run(tmp_path / "a")
    assert run.manifest["flags"] == []
    assert len(run.fills) == run.manifest["counts"]["fills"] > 0
    assert run.metrics == result.metrics
    assert run.metrics["total_commission"] == pytest.approx(run.fills["commission"].sum())


def test_a_real_run_that_fails_leaves_its_log_alone(engine, tmp_path):
    failing = Engine.from_config(
        {**engine.config, "strategy": [{**engine.config["strategy"][0], "fail_after": 5}], "report": []}
    )
    with pytest.raises(Exception, match="asked to fail"):
        failing.run(out=str(tmp_path / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["run.failed"]
    assert "asked to fail" in (tmp_path / "run.failed" / "error.log").read_text().splitlines()[0]
