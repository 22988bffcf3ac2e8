"""What the kernel itself announces, through the same hooks as every plugin: the reference runner."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.hookspecs import implements
from qengine_core.roles import RunnerSpec


@implements.runners
def runners() -> Iterable[RunnerSpec]:
    from qengine_core.engine import PythonRunner

    yield RunnerSpec(name="python", summary="The reference loop in plain Python.", component=PythonRunner)
