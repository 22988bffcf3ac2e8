"""Reads the next batches in a thread while the present one is worked on; it knows no data."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ReadAhead"]

_Item = TypeVar("_Item")


class ReadAhead:
    """One thread for one pass over a feed, and what it has read that nobody has taken yet.

    The thread runs nothing but the iterators it is given, one step at a time, in the order in which steps were
    asked for. So what an iterator raises is raised where its item would have been taken, and an iterator needs
    no locks. ``close`` waits for the step that is under way, and ends the thread.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="qengine-feed")

    def __call__(self, items: Iterator[_Item], depth: int) -> Iterator[_Item]:
        """The same items. Up to ``depth`` of them are read ahead, beginning now."""
        steps: deque[Future[_Item | None]] = deque(self._thread.submit(next, items, None) for _ in range(depth))
        return self._taken(items, steps)

    def close(self) -> None:
        """End the thread; what it has read ahead is dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _taken(self, items: Iterator[_Item], steps: deque[Future[_Item | None]]) -> Iterator[_Item]:
        while (item := steps.popleft().result()) is not None:
            steps.append(self._thread.submit(next, items, None))
            yield item
