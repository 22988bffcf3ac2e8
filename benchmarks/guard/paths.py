"""What is counted: the ways through the kernel's loop, and a yardstick. It imports the kernel alone, and no clock.

Run under valgrind by ``counting``, as a script. Each path is walked in two processes of its own, forked when everything
is imported, once a certain number of units long and once twice that, so all that is not the path itself is the same in
both. Prints a line for each process: path, units, process id.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator

import numpy as np

from qengine_core.agenda import Agenda
from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.clock import Position, SimulatedClock
from qengine_core.loop import Loop
from qengine_core.participant import Participant
from qengine_core.timeline import Timeline
from qengine_core.vocabulary import Phase, Rank

__all__ = ["PATHS"]

_STREAM = StreamInfo(kind="bar", columns=(), instruments=())
_ROWS = 4_000  # of a block
_EVERY = 10  # rows between two that somebody wants, or two appointments


class _Reader(Participant):
    """Wants every row and works through runs of them, as the driver of a strategy does."""

    rank = Rank.DECISION

    def __init__(self, clock: SimulatedClock, agenda: Agenda) -> None:
        self._clock, self._agenda, self._pending = clock, agenda, agenda.pending
        self.seen = 0

    def follows(self, stream: StreamInfo) -> bool:
        return True

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        return start

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        pending, cursor = self._pending, Position(start)
        self._clock.stand_on(segment.block, cursor)
        for cursor.row in range(start, stop):
            self.seen += 1
            if pending:
                return cursor.row + 1
        return stop


class _Visitor(_Reader):
    """Wants every tenth row."""

    rank = Rank.MATCHING

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        row = start + -start % _EVERY
        return row if row < stop else stop

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        self.seen += 1
        return start + 1


class _Poster(_Visitor):
    """Wants every tenth row, and posts an event on it."""

    rank = Rank.DECISION

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        self.seen += 1
        self._agenda.post(1)
        return start + 1


def _blocks(stream: int, rows: int, first: int, step: int) -> Iterator[Block]:
    codes = np.zeros(_ROWS, np.int32)
    for start in range(0, rows, _ROWS):
        length = min(_ROWS, rows - start)
        ts = first + step * np.arange(start, start + length, dtype=np.int64)
        yield Block(stream, ts, codes[:length], {})


def _walk(rows: int, *kinds: type[_Reader], streams: int = 1, appointments: bool = False, posts: bool = False) -> int:
    """Drive the loop over so many rows of each stream; return how many the last of the participants was shown."""
    clock, agenda = SimulatedClock(), Agenda()
    participants = [kind(clock, agenda) for kind in kinds]
    heard = []
    if posts:
        agenda.on(int, heard.append, Rank.RECORDING)
    if appointments:

        def keep() -> None:
            heard.append(1)
            agenda.schedule(clock.now + _EVERY * streams, Phase.TIMER, keep, clock.now)

        agenda.schedule(1, Phase.TIMER, keep, 0)
    blocks = [(Phase.MARKET_DATA, _blocks(stream, rows, 1 + stream, streams)) for stream in range(streams)]
    loop = Loop(clock=clock, agenda=agenda, participants=participants, streams=[_STREAM] * streams)
    loop.run(Timeline(blocks))
    assert loop.rows == rows * streams, "not all rows were walked"
    assert not (posts or appointments) or len(heard) == rows // _EVERY, "something was missed"
    return participants[-1].seen


def run_of_rows(units: int) -> None:
    """One participant works through every row by itself. A unit is a row."""
    assert _walk(units, _Reader) == units


def wake(units: int) -> None:
    """One participant wants a row now and then. A unit is a row that it is shown."""
    assert _walk(units * _EVERY, _Visitor) == units


def wakes_and_events(units: int) -> None:
    """Two participants want the same rows, and the second posts an event on each. A unit is a row shown to both."""
    assert _walk(units * _EVERY, _Visitor, _Poster, posts=True) == units


def segments(units: int) -> None:
    """Two streams take turns row by row. A unit is a segment."""
    assert _walk(units // 2, _Reader, streams=2) == units // 2 * 2


def appointments(units: int) -> None:
    """Something is scheduled before every tenth row, and for the next. A unit is an appointment."""
    assert _walk(units * _EVERY, _Reader, appointments=True) == units * _EVERY


def yardstick(units: int) -> None:
    """Ordinary Python: calls of a method, attributes, comparisons, items. A unit is one of each."""
    position, cells, total = _Cell(), [1, 2, 3, 4], 0
    for number in range(units):
        total += cells[number & 3]
        if position.step(number) > 0:
            total -= 1
    assert total > 0


class _Cell:
    def __init__(self) -> None:
        self.row = 0

    def step(self, number: int) -> int:
        before, self.row = self.row, number
        return before


# With how many units are counted: enough that a wake up more or less does not show.
PATHS: dict[str, tuple[Callable[[int], None], int]] = {
    "yardstick": (yardstick, 20_000),
    "run of rows": (run_of_rows, 40_000),
    "wake": (wake, 4_000),
    "wakes and events": (wakes_and_events, 4_000),
    "segments": (segments, 4_000),
    "appointments": (appointments, 2_000),
}


def main() -> None:
    """Walk every path in processes of its own."""
    gc.disable()
    for name, (path, units) in PATHS.items():
        for count in (units, 2 * units):
            process = os.fork()
            if not process:
                path(count)
                os._exit(0)
            if os.waitpid(process, 0)[1]:
                sys.exit(f"The path {name!r} was not walked to its end.")
            print(f"{name}\t{count}\t{process}", flush=True)


if __name__ == "__main__":
    main()
