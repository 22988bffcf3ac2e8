"""What ``qengine warmup`` compiles of the compiled lane: all but strategies, which it does not know."""

from __future__ import annotations

from collections.abc import Sequence

from qengine_core.plugin import component

__all__ = ["LaneCode"]


@component
class LaneCode:
    """The walk over rows, and what strategies may ask."""

    def parts(self) -> Sequence[str]:
        return ["walk", "questions"]

    def compile(self, part: str) -> None:
        from qengine_broker_sim import progress

        from qengine_compiled.compiling import compile_questions, compile_walk

        progress.hush()  # whoever warms up knows what he waits for
        {"walk": compile_walk, "questions": compile_questions}[part]()
