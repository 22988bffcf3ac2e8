"""The examples run as their READMEs say, leave a complete folder, and give the same bytes however they are run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("sma_crossover", "rsi", "momentum")
TABLES = ("equity", "fills", "orders", "positions", "trades")
# As their READMEs say: final equity, round trips, orders left open by the end of the data.
EXPECTED = {"sma_crossover": (250_630, 76, 0), "rsi": (96_012, 64, 0), "momentum": (514_471, 140, 3)}
SAID = {"sma_crossover": "about 250,600 USD in 76 round trips", "rsi": "loses 4 %", "momentum": "about 514,500 USD"}


def qengine(name, out, *options, hash_seed="0"):
    """Run an example in a process of its own and return the finished process and the run's folder."""
    command = [sys.executable, "-m", "qengine_core", "run", str(EXAMPLES / name / "run.toml"), "--out", str(out)]
    done = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        check=False,
    )
    folders = sorted(path.parent for path in Path(out).glob("*/manifest.json"))
    return done, folders[-1] if folders else None


@pytest.fixture(scope="module", params=NAMES)
def finished(request, tmp_path_factory):
    name = request.param
    return name, *qengine(name, tmp_path_factory.mktemp(name))


def test_an_example_ends_well_and_says_where_its_results_are(finished):
    _, done, folder = finished
    assert (done.returncode, done.stderr) == (0, "")
    assert str(folder) in done.stdout
    assert "Final equity" in done.stdout


def test_an_example_leaves_a_complete_folder(finished):
    _, _, folder = finished
    for table in TABLES:
        assert pl.read_parquet(folder / f"{table}.parquet").height > 0, table
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "stocks.parquet" in json.dumps(manifest)
    assert (folder / "report.html").stat().st_size > 10_000


def test_an_example_gives_the_figures_of_its_readme(finished):
    name, _, folder = finished
    equity, trips, left = EXPECTED[name]
    tables = {table: pl.read_parquet(folder / f"{table}.parquet") for table in TABLES}
    assert tables["equity"]["equity"][-1] == pytest.approx(equity, abs=1)
    assert tables["trades"].height == trips
    assert SAID[name] in (EXAMPLES / name / "README.md").read_text()
    orders = tables["orders"]
    assert orders.filter(pl.col("state") == "rejected").height == 0
    assert orders.filter(pl.col("reason") == "end-of-data").height == left
    assert orders.filter(pl.col("state") == "filled").height == orders.height - left
    assert orders.filter(pl.col("quantity") % 1 != 0).height == 0


def test_an_example_gives_the_same_bytes_with_other_hashes_and_under_the_naive_loop(finished, tmp_path):
    name, _, folder = finished
    done, other = qengine(name, tmp_path, "--set", "wake=every-row", hash_seed="4711")
    assert done.returncode == 0, done.stderr
    for table in TABLES:
        assert (folder / f"{table}.parquet").read_bytes() == (other / f"{table}.parquet").read_bytes(), table


def test_a_wrong_parameter_of_an_example_is_one_sentence(tmp_path):
    done, folder = qengine("sma_crossover", tmp_path, "--set", "strategy.fast=100")
    assert (done.returncode, folder) == (1, None)
    assert "fast (100) must be shorter than slow (100)" in done.stderr
    assert "Traceback" not in done.stderr
