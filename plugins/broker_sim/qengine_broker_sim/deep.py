"""The simulated broker where books are walked or limits stand in queues: it sees to the memory that this takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qengine_portfolio.levels import count_levels
from qengine_portfolio.native import address
from qengine_portfolio.view import KINDS, QUOTES, TRADES, VIEW

from qengine_broker_sim import entries
from qengine_broker_sim.broker import MatchingBroker
from qengine_core.blocks import Segment
from qengine_core.plugin import QUOTE, TRADE, ConfigError

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker
    from qengine_core.run import Run

__all__ = ["DeepBroker"]

# Policies of the settings by number, in the order of layout's constants.
_MODELS = ("none", "risk-averse", "power", "log")
_BEYOND = ("rest", "last-level")
_GONE = 3  # price, size, what is gone


class DeepBroker(MatchingBroker):
    """Adds the book of each instrument: what our orders took of it, and what it displayed last."""

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        super().__init__(settings, run)
        head, count = self._head[0], max(1, len(run.instruments))
        self._levels = max((count_levels(s.columns) for s in run.streams if s.kind == QUOTE), default=1)
        self._gone = np.full((count, 2, self._levels, _GONE), np.nan)
        head["levels"], head["gone"] = self._levels, address(self._gone)
        self._slots = self._slot_tokens = np.zeros(0)
        self._make_slots(16)
        head["walks"], head["beyond"] = settings.depth == "walk", _BEYOND.index(settings.depth_beyond)
        if settings.depth == "walk":
            head["walk"], kept = entries.address_for("walk")
            self._keep.append(kept)
        head["remembers"] = settings.depth_memory == "level"
        self._notes = settings.queue_model != "none"
        if self._notes:
            self._keep.append(self._stand_in_queues(settings, run))

    def _stand_in_queues(self, settings: SimulatedBroker, run: Run) -> list[object]:
        """Let prints reach the orders of instruments that have both; return what must stay where it is."""
        head, count = self._head[0], max(1, len(run.instruments))
        head["queue_model"] = _MODELS.index(settings.queue_model)
        head["queue_exponent"] = settings.queue_exponent
        self._queues["also"] = _second_kinds(settings, run)
        columns = np.full((4 * self._levels, count), np.nan)
        table = np.array([address(column) for column in columns])
        book = np.zeros(1, VIEW)
        book["rows"], book["kind"], book["depth"], book["levels"] = count, QUOTES, address(table), self._levels
        head["book"] = address(book)
        return [columns, table, book]

    def _make_slots(self, rows: int) -> None:
        """A book for each of so many rows of one instant, to say what our orders took of it."""
        self._slots = np.zeros((rows, 2, self._levels, _GONE))
        self._slot_tokens = np.full(rows, -1, np.int64)
        self._head["slots"], self._head["slot_tokens"] = address(self._slots), address(self._slot_tokens)

    def end_segment(self, segment: Segment) -> None:
        """Its quotes are in the past: an order that arrives from now on joins behind what they display."""
        if self._notes and self._run.streams[segment.block.stream].kind == QUOTE:
            entries.note_book(self._sim, self._see(segment.block), segment.start, segment.stop)

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        """Match an instant, of which every row and every level of the book may fill part of an order."""
        ts, end = segment.block.ts, start + 1
        while end < len(ts) and ts[end] == ts[start]:
            end += 1
        if end - start > len(self._slots):
            self._make_slots(2 * (end - start))
        self._fills_per_order = (end - start) * (self._levels + 1)
        self._make_room()
        return super().on_rows(segment, start, stop)


def _second_kinds(settings: SimulatedBroker, run: Run) -> list[int]:
    """By instrument: what moves its orders on in the queue besides quotes, which is prints, or -1 for bars alone."""
    policy, seen = f"queue_model = {settings.queue_model!r}", {i.name: list[str]() for i in run.instruments}
    for stream in run.streams:
        for instrument in stream.instruments if stream.kind in KINDS else ():
            seen[instrument.name].append(stream.kind)
        if stream.kind == QUOTE and not {"bid_size", "ask_size"} <= set(stream.columns):
            raise ConfigError(f"{policy} needs the sizes of quotes: give the feed of quotes bid_size and ask_size.")
    for name, kinds in seen.items():
        for kind, other in ((QUOTE, TRADE), (TRADE, QUOTE)):
            if kind in kinds and other not in kinds:
                raise ConfigError(f"{policy} needs quotes and trades of {name}, which has no {other}s: add their feed.")
            if kinds.count(kind) > 1:
                raise ConfigError(f"{policy} needs one feed of {kind}s of {name}, but there are several: leave one.")
    if not any(QUOTE in kinds for kinds in seen.values()):
        raise ConfigError(f"{policy} needs quotes and trades, and this run has neither: add their feeds.")
    return [TRADES if QUOTE in kinds else -1 for kinds in seen.values()]
