"""A strategy for real runs in tests: buys and sells in turn, and fails when told to."""

from __future__ import annotations

from typing import Any

from qengine_core.participant import Participant
from qengine_core.plugin import BUY, SELL, Rank, component, param


class _Driver(Participant):
    rank = Rank.DECISION

    def __init__(self, settings: Alternating, run: Any) -> None:
        self.settings, self.run, self.seen = settings, run, 0
        self.held: set[int] = set()

    def follows(self, stream: Any) -> bool:
        return True

    def next_row(self, segment: Any, start: int, stop: int) -> int:
        return start

    def on_rows(self, segment: Any, start: int, stop: int) -> int:
        self.seen += 1
        if self.seen == self.settings.fail_after:
            raise ValueError("asked to fail")
        code = int(segment.block.instrument[start])
        if self.seen % self.settings.every == 0:
            self.run.broker.submit(code, SELL if code in self.held else BUY, 10.0)
            self.held ^= {code}
        return start + 1


@component
class Alternating:
    """Buys when flat, sells when not, every so many rows."""

    every: int = param(default=7, help="Rows between orders.", unit="rows", ge=1)
    fail_after: int = param(default=-1, help="Row at which to raise.", unit="rows")

    def build(self, run: Any) -> Participant:
        return _Driver(self, run)
