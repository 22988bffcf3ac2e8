"""The role everything on the timeline plays: say which row you must see next, and act on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from qengine_core.blocks import Segment, StreamInfo
from qengine_core.vocabulary import Rank

__all__ = ["Participant"]


class Participant:
    """Base class of brokers, ledgers, strategy drivers and recorders while a run is under way.

    The contract of ``next_row``: return the smallest row in ``[start, stop)`` that you must see, or
    ``stop`` if there is none. It must not change any result, may be asked again for the same rows, and
    may look at nothing after the row it answers with. Whoever scans should remember how far it is quiet.
    An interest that changes outside of ``on_rows`` is announced with ``agenda.interrupt()``.
    """

    rank: ClassVar[Rank] = Rank.RECORDING

    def follows(self, stream: StreamInfo) -> bool:
        """Whether this participant wants to be asked about rows of the stream at all."""
        return False

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        """The next row in ``[start, stop)`` that this participant must see, or ``stop``."""
        return stop

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        """Act on row ``start``, and on further wanted rows before ``stop`` as long as nothing is pending.

        Return the row after the last one handled. Nobody else wants a row in ``(start, stop)``; whoever
        handles several must move the clock's position along and stop once ``agenda.pending`` is non-empty.
        """
        return start + 1

    def end_segment(self, segment: Segment) -> None:
        """The loop leaves a segment of a followed stream; its rows are all in the past now."""

    def on_start(self) -> None:
        """The run begins; every other participant exists."""

    def on_stop(self) -> None:
        """The timeline has ended. Events posted here are still delivered."""

    def tables(self) -> Mapping[str, Any]:
        """Result tables by name: anything with ``__arrow_c_stream__``, or a callable that returns it."""
        return {}

    def counts(self) -> Mapping[str, Any]:
        """Figures for the manifest (plain JSON values)."""
        return {}
