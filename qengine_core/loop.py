"""The loop: moves one clock along the timeline and wakes who asked. It knows no prices, no orders, no money.

Read it top-down. ``run`` walks segments; ``_walk`` goes straight to the next row that somebody wants;
``_deliver`` hands one row to everyone who wants it, in rank order; ``_keep_appointments`` runs what was
scheduled. The naive mode delivers every row one at a time, and must never give a different result.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

from qengine_core.agenda import Agenda
from qengine_core.blocks import Segment, StreamInfo
from qengine_core.clock import Position, SimulatedClock
from qengine_core.participant import Participant

__all__ = ["Loop"]

# How far ahead others are asked to look while one participant works through a run of rows. It starts
# small after anything happened (compiled, so many rows are scanned in the time of one call), and grows
# while nothing does.
_NEAR_ROWS = 1024
_FAR_ROWS = 1 << 20

# Called with the rows done, the time reached, and the rows there are in all (None if a feed cannot say).
Progress = Callable[[int, int, int | None], None]


class Loop:
    """The reference runner, in plain Python."""

    def __init__(
        self,
        *,
        clock: SimulatedClock,
        agenda: Agenda,
        participants: Sequence[Participant],
        streams: Sequence[StreamInfo],
        every_row: bool = False,
        progress: Progress | None = None,
    ) -> None:
        ranked = sorted(participants, key=lambda participant: participant.rank)
        following = [[p for p in ranked if p.follows(stream)] for stream in streams]
        self._followers = [tuple(p for p in those if _overrides(p, "next_row")) for those in following]
        self._closers = [tuple(p for p in those if _overrides(p, "end_segment")) for those in following]
        self._phases = [stream.phase for stream in streams]
        self._clock = clock
        self._agenda = agenda
        self._pending = agenda.pending
        self._position = Position()
        self._advance = Loop._step if every_row else Loop._walk
        self._progress = progress
        totals = [stream.rows for stream in streams]
        self._total = None if None in totals else sum(rows or 0 for rows in totals)
        self._look_ahead = _NEAR_ROWS
        self.rows = 0
        self.wakes = 0
        self.first_ts = 0
        self.last_ts = 0

    def run(self, timeline: Iterable[Segment]) -> None:
        """Walk the whole timeline, then whatever is scheduled up to its last instant."""
        self._agenda.drain()
        for segment in timeline:
            if not self.rows:
                self.first_ts = int(segment.block.ts[segment.start])
            self._run_segment(segment)
            self._close(segment)
            self.last_ts = int(segment.block.ts[segment.stop - 1])
            self.rows += segment.stop - segment.start
            if self._progress is not None:
                self._progress(self.rows, self.last_ts, self._total)
        while self.rows and (due := self._agenda.next_key) is not None and due[0] <= self.last_ts:
            self._keep_appointments()

    def _run_segment(self, segment: Segment) -> None:
        """Alternate between stretches of rows and the appointments that fall between them."""
        agenda, advance, row = self._agenda, self._advance, segment.start
        while row < segment.stop:
            stop = self._rows_before_appointment(segment, row)
            if stop == row:
                self._position.row = row - 1
                self._clock.stand_on(segment.block, self._position)
                self._keep_appointments()
            due = agenda.next_key
            while row < stop and agenda.next_key == due:
                row = advance(self, segment, row, stop)

    def _walk(self, segment: Segment, row: int, stop: int) -> int:
        """Go to the next row that anybody wants, hand over, and return the row to go on from.

        Participants are asked from the last rank to the first: a strategy knows its next row at once,
        and thereby bounds how far the broker has to scan for a price. Whoever turns out to be the only
        one with an interest in a run of rows works through that run by itself.
        """
        followers = self._followers[segment.block.stream]
        near = row + self._look_ahead
        first = second = stop  # second: nobody else wants a row before it
        runner = index = len(followers)
        while index:
            index -= 1
            limit = first + 1 if first >= near else near
            if limit > second:
                limit = second
            wanted = followers[index].next_row(segment, row, limit)
            if wanted >= limit:
                second = limit
            elif wanted < first:
                first, second, runner = wanted, first, index
            elif wanted == first:
                second, runner = first + 1, index
            else:
                second = wanted
        if runner == len(followers):
            self._look_ahead = min(self._look_ahead * 4, _FAR_ROWS)
            return second
        return self._hand_over(segment, first, second, runner)

    def _hand_over(self, segment: Segment, first: int, second: int, runner: int) -> int:
        """Let the first-ranked interested participant act, and then whoever acts after it on the same row."""
        self._position.row = first
        self._clock.stand_on(segment.block, self._position)
        followers = self._followers[segment.block.stream]
        row = followers[runner].on_rows(segment, first, second)
        self.wakes += 1
        if self._pending:
            self._look_ahead = _NEAR_ROWS
            self._agenda.drain()
        elif second > first + 1:
            self._look_ahead = min(self._look_ahead * 4, _FAR_ROWS)
            return row
        runner += 1
        if runner < len(followers):
            self._deliver(segment, row - 1, runner)
        return row

    def _step(self, segment: Segment, row: int, stop: int) -> int:
        """The naive mode: every row, everyone asked."""
        self._deliver(segment, row, 0, stands=False)
        return row + 1

    def _deliver(self, segment: Segment, row: int, rank: int, stands: bool = True) -> None:
        """Offer one row to the participants from ``rank`` on, draining immediate events after each.

        If the clock ``stands`` on the block already, it may be on the cursor of somebody who walked up to this row.
        """
        block, position, clock = segment.block, self._position, self._clock
        followers = self._followers[block.stream]
        for participant in followers[rank:] if rank else followers:
            if participant.next_row(segment, row, row + 1) == row:
                position.row = row
                if clock.position is not position or not stands:
                    clock.stand_on(block, position)
                participant.on_rows(segment, row, row + 1)
                self.wakes += 1
                if self._pending:
                    self._agenda.drain()

    def _rows_before_appointment(self, segment: Segment, row: int) -> int:
        """The row up to which nothing scheduled is due: ``row`` itself if something is due now."""
        due = self._agenda.next_key
        if due is None:
            return segment.stop
        due_ts, due_phase = due
        place = bisect_left if due_phase < self._phases[segment.block.stream] else bisect_right
        return place(segment.block.times, due_ts, row, segment.stop)

    def _keep_appointments(self) -> None:
        """Run everything scheduled for the earliest (ts, phase)."""
        due = self._agenda.next_key
        assert due is not None
        # Even if everything was cancelled: the position may be before its block's first row, which is no time.
        self._clock.stand_at(due[0])
        for event in self._agenda.take():
            assert event.action is not None
            event.action()
            self._agenda.drain()

    def _close(self, segment: Segment) -> None:
        """Tell those who keep running state that the segment is over."""
        closers = self._closers[segment.block.stream]
        if closers:
            self._position.row = segment.stop - 1
            self._clock.stand_on(segment.block, self._position)
            for participant in closers:
                participant.end_segment(segment)


def _overrides(participant: Participant, method: str) -> bool:
    """Whether a participant does more than the base class, which wants nothing: nobody else is called."""
    return getattr(type(participant), method) is not getattr(Participant, method)
