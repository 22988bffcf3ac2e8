"""What is kept on disk is of use only to whoever loads the file as the same module."""

from __future__ import annotations

import subprocess
import sys

STRATEGY = """
from qengine_compiled import CompiledStrategy


class Once(CompiledStrategy):
    def on_bar(self, ctx, bar):
        if ctx.position(bar.code) == 0:
            ctx.buy(bar.code, 1)
"""
RUN = """
import importlib.util, sys
from qengine_strategy.testing import bars, drive

spec = importlib.util.spec_from_file_location(sys.argv[1], "once.py")
module = sys.modules[sys.argv[1]] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(drive(module.Once(), bars([1.0, 2.0, 3.0])).counts["fills"])
"""


def test_one_file_may_be_loaded_under_several_names(tmp_path):
    (tmp_path / "once.py").write_text(STRATEGY)
    (tmp_path / "run.py").write_text(RUN)
    for name in ("first_name", "other_name", "first_name"):
        command = [sys.executable, "run.py", name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
