"""``qengine warmup``: every entry point is made, by processes of its own."""

from __future__ import annotations

import subprocess
import sys

from qengine_broker_sim import entries
from qengine_broker_sim.warmup import _LONGEST


def test_the_command_compiles_and_says_so():
    command = [sys.executable, "-m", "qengine_core", "warmup", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert (done.returncode, done.stdout, done.stderr) == (0, "The simulated broker is compiled.\n", "")


def test_what_it_asks_for_first_exists_and_everything_is_asked_for():
    names = entries.everything()
    assert set(_LONGEST) <= set(names)
    for make in names.values():
        assert make()
