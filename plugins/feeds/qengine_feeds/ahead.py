"""Reads the next batches in a thread while the present one is worked on; it knows no data."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ReadAhead"]

_Item = TypeVar("_Item")


class ReadAhead:
    """One thread for one pass over a feed, and what it has read that nobody has taken yet.

    The thread takes one step at a time, in the order in which steps were asked for, so readers need no locks, and
    what a step raises is raised where its item would have been taken. ``close`` waits for the step that is under
    way, and ends the thread.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="qengine-feed")

    def items(self, next_step: Callable[[], Callable[[], _Item | None]], depth: int) -> Iterator[_Item]:
        """What a series of steps return, until one returns None. The first ``depth`` of them are queued now.

        ``next_step`` is called by whoever takes the items, and makes the step that is queued: so what a step knows
        of the run does not depend on how far the thread has come.
        """
        queued: deque[Future[_Item | None]] = deque(self._thread.submit(next_step()) for _ in range(depth))
        return self._taken(next_step, queued)

    def result_of(self, function: Callable[[], _Item]) -> Callable[[], _Item]:
        """What a function returns, once the thread has come to it; it is queued now."""
        return self._thread.submit(function).result

    def close(self) -> None:
        """End the thread; what it has read ahead is dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _taken(
        self, next_step: Callable[[], Callable[[], _Item | None]], queued: deque[Future[_Item | None]]
    ) -> Iterator[_Item]:
        while (item := queued.popleft().result()) is not None:
            queued.append(self._thread.submit(next_step()))
            yield item
