"""What is to happen besides market data: scheduled events in a heap, immediate events in a FIFO."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from qengine_core.errors import RunError
from qengine_core.vocabulary import Phase

__all__ = ["Agenda", "Scheduled"]

Handler = Callable[[Any], None]


class Scheduled:
    """A call at a time. ``cancel()`` makes it a no-op; the heap forgets it when its time comes."""

    __slots__ = ("action", "phase", "ts")

    def __init__(self, ts: int, phase: Phase, action: Callable[[], None]) -> None:
        self.ts = ts
        self.phase = phase
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Agenda:
    """The run's other events, in the one total order (ts, phase, arrival).

    ``post`` is for what happens now: handlers of the event's type run, in rank order, before time moves.
    ``schedule`` is for what happens later. Both make a participant that is working through a run of rows
    stop after the row it is on, because ``pending`` is no longer empty.
    """

    __slots__ = ("_arrivals", "_handlers", "_heap", "_sorted", "next_key", "pending")

    def __init__(self) -> None:
        self.pending: deque[Any] = deque()
        self.next_key: tuple[int, int] | None = None
        self._heap: list[tuple[int, int, int, Scheduled]] = []
        self._arrivals = 0
        self._handlers: dict[type, tuple[Handler, ...]] = {}
        self._sorted: dict[type, list[tuple[int, int, Handler]]] = {}

    def on(self, event_type: type, handler: Handler, rank: int) -> None:
        """Call ``handler`` with each posted event of exactly this type, in rank order."""
        entries = self._sorted.setdefault(event_type, [])
        entries.append((rank, len(entries), handler))
        entries.sort(key=lambda entry: entry[:2])
        self._handlers[event_type] = tuple(handler for _, _, handler in entries)

    def listens(self, event_type: type) -> bool:
        """Whether posting this type would reach anyone: do not build what nobody reads."""
        return event_type in self._handlers

    def post(self, event: object) -> None:
        """Append to the FIFO that is drained before time moves on."""
        self.pending.append(event)

    def interrupt(self) -> None:
        """Make the loop ask every participant again: somebody's interest has changed."""
        self.pending.append(None)

    def drain(self) -> None:
        """Deliver immediate events, and those they cause, until none is left."""
        pending, handlers = self.pending, self._handlers
        while pending:
            event = pending.popleft()
            if event is not None:
                for handler in handlers.get(type(event), ()):
                    handler(event)

    def schedule(self, ts: int, phase: Phase, action: Callable[[], None], now: int) -> Scheduled:
        """Call ``action`` at ``ts``. Raises RunError if that lies in the past."""
        if ts < now:
            raise RunError(
                f"An event was scheduled at {ts} ns, before the clock's {now} ns: schedule it at or after ctx.now."
            )
        event = Scheduled(ts, phase, action)
        self._arrivals += 1
        heapq.heappush(self._heap, (ts, phase, self._arrivals, event))
        self.next_key = self._heap[0][:2]
        self.interrupt()
        return event

    def take(self) -> Iterable[Scheduled]:
        """Pop the events of the earliest (ts, phase), one by one, including those added meanwhile."""
        key = self.next_key
        while self._heap and self._heap[0][:2] == key:
            event = heapq.heappop(self._heap)[3]
            self.next_key = self._heap[0][:2] if self._heap else None
            if event.action is not None:
                yield event

    def clear(self) -> None:
        """Forget every event and every handler."""
        self.pending.clear()
        self._heap.clear()
        self._handlers.clear()
        self._sorted.clear()
        self.next_key = None
