"""``qengine warmup``: every part that a plugin announces is compiled, by processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_command_has_all_plugins_compile_and_says_so():
    command = [sys.executable, "-m", "qengine_core", "warmup", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert (done.returncode, done.stderr) == (0, "")
    said, names = done.stdout.strip().split(": ")
    assert said == "Compiled"
    assert {"compiled-lane", "feeds", "ledger", "simulated-broker"} <= set(names.rstrip(".").split(", "))


@pytest.mark.slow
def test_a_run_after_it_compiles_nothing(tmp_path):
    """What the first run of a new installation still waits for is what the user wrote himself."""
    places = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "qengine_core"]
    subprocess.run([*command, "warmup"], check=True, capture_output=True, timeout=500, env=places)
    kept = compiled_in(tmp_path / "cache")
    assert len(kept) > 20
    run = Path(__file__).parents[3] / "examples" / "sma_crossover" / "run.toml"
    subprocess.run([*command, "run", str(run), "--out", str(tmp_path / "out")], check=True, env=places)
    assert compiled_in(tmp_path / "cache") - kept == set()


def compiled_in(folder):
    return {path.name for path in folder.rglob("*.nbi")}
