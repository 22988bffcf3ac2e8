"""Run folders are read back as written, and two are compared byte by byte."""

from __future__ import annotations

import json
import shutil

import polars as pl
import pytest
from qengine_reporting import NoReport, compare_runs, load_run, write_run
from qengine_reporting.folder import PartialFolder

from qengine_core.plugin import DataError


@pytest.fixture
def folder(result, tmp_path):
    result.components["report"] = (NoReport(),)
    return write_run(result, tmp_path / "run")


def rewritten(folder, name, change, keep_hash=False):
    """A copy of the folder whose table is another one, listed by its own hash as a run would."""
    from qengine_reporting.manifest import hashes
    from qengine_reporting.parquet import write_table

    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    write_table(name, change(pl.read_parquet(copy / f"{name}.parquet")), copy / f"{name}.parquet")
    if not keep_hash:
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps({**manifest, "outputs": hashes(copy)}))
    return copy


def test_tables_are_read_by_name_when_asked_for(folder, tables):
    run = load_run(folder)
    assert list(run) == sorted([*tables, "metrics"])
    assert len(run) == len(tables) + 1
    assert run.fills.equals(tables["fills"])
    assert run["equity"].equals(tables["equity"])
    assert run.scan("trades").select(pl.len()).collect().item() == len(tables["trades"])
    assert run.metrics["round_trips"] == len(tables["trades"])
    assert "fills" not in repr(run)


def test_an_unknown_table_is_answered_with_the_known(folder):
    run = load_run(folder)
    with pytest.raises(AttributeError, match=r"has no table 'fils' \(did you mean 'fills'\?"):
        run.fils  # noqa: B018
    with pytest.raises(KeyError):
        run["fils"]


def test_what_is_not_a_whole_run_folder_is_refused_by_name(folder, tmp_path):
    with pytest.raises(DataError, match=r"nowhere is not a run folder: it has no manifest\.json"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file: name the run folder"):
        load_run(folder / "metrics.json")
    failed = PartialFolder.begin(tmp_path / "bad").fail(DataError("x"))
    with pytest.raises(DataError, match=r"is a failed run: its error\.log says why"):
        load_run(failed)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        load_run(folder)
    (folder / "manifest.json").write_text('{"schema_version": 99}')
    with pytest.raises(DataError, match="has schema_version 99"):
        load_run(folder)


def test_a_copy_is_the_same(folder):
    shutil.copytree(folder, folder.with_name("copy"))
    assert compare_runs(folder, folder.with_name("copy")) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.with_columns(price=pl.col("price") + (pl.int_range(pl.len()) >= 7)), "row 7, column price: "),
        (lambda t: t.head(5), "192 rows against 5"),
        (lambda t: t.with_columns(venue=pl.lit("X")), "the columns differ"),
    ],
)
def test_a_table_that_differs_is_named_with_its_first_difference(change, what, folder):
    (difference,) = compare_runs(load_run(folder), rewritten(folder, "fills", change))
    assert difference.output == "fills.parquet"
    assert difference.what.startswith(what)
    assert str(difference).startswith(f"fills.parquet: {what}")


def test_a_file_that_was_changed_or_removed_after_its_run_is_found(folder):
    copy = rewritten(folder, "fills", lambda t: t.head(5), keep_hash=True)
    (copy / "metrics.json").unlink()
    found = {difference.output: difference.what for difference in compare_runs(folder, copy)}
    assert found == {
        "fills.parquet": f"changed in {copy} since its manifest was written",
        "metrics.json": f"missing in {copy}",
    }


def test_an_output_of_one_run_only_is_named(folder, result, tmp_path):
    other = write_run(result, tmp_path / "other")
    assert compare_runs(folder, other) == []
    manifest = json.loads((other / "manifest.json").read_text())
    del manifest["outputs"]["prices.parquet"]
    (other / "manifest.json").write_text(json.dumps(manifest))
    assert [str(d) for d in compare_runs(folder, other)] == [f"prices.parquet: only in {folder}"]


def test_other_bytes_are_said_to_be_other_bytes(folder, result, tables, tmp_path):
    result.provide("metrics", {"total_return": 1.0})
    other = write_run(result, tmp_path / "other")
    assert [str(d) for d in compare_runs(folder, other)] == ["metrics.json: the bytes differ"]
