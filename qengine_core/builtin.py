"""What the kernel itself announces, through the same hooks as every plugin: the reference runner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from qengine_core.hookspecs import implements
from qengine_core.params import component
from qengine_core.roles import RunnerSpec

if TYPE_CHECKING:
    from qengine_core.blocks import Segment
    from qengine_core.loop import Loop

__all__ = ["PythonRunner"]


@component
class PythonRunner:
    """The reference runner: the loop in plain Python."""

    def run(self, loop: Loop, timeline: Iterable[Segment]) -> None:
        """Walk the whole timeline."""
        loop.run(timeline)


@implements.runners
def runners() -> Iterable[RunnerSpec]:
    """Announce the reference runner."""
    yield RunnerSpec(name="python", summary="The reference loop in plain Python.", component=PythonRunner)
