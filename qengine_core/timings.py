"""Says what the wall time of a run went on: seconds by part, each without the parts it called. It decides nothing.

One stopwatch is always running, for one part; calling a function of another part, or returning, hands it on. So
the parts add up to the whole, and none is negative.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import ParamSpec, TypeVar

import attrs

from qengine_core.wall import reading

__all__ = ["Spent", "Timings"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_REST = "rest"
_ITSELF = "profiling itself"
_TRIALS, _CALLS = 5, 400


@attrs.frozen
class Spent:
    """What one part took: seconds of its own, their share of all, and how often it was called."""

    part: str
    seconds: float
    share: float
    calls: int


class _Part:
    """A running total. ``later`` is the part that answers for what this one arranges to be called later."""

    __slots__ = ("calls", "label", "later", "others", "seconds")

    def __init__(self, label: str, later: _Part | None = None) -> None:
        self.label = label
        self.later = later if later is not None else self
        self.seconds = 0.0
        self.calls = 0
        self.others = 0  # calls of other parts made from here


class _Waited(Iterator[T]):
    """An iterator whose steps are timed; closing it closes what it goes through, if that can be closed."""

    def __init__(self, items: Iterator[T], step: Callable[[], T]) -> None:
        self._items = items
        self._step = step

    def __next__(self) -> T:
        return self._step()

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


class Timings:
    """Times whatever is called through it, from when it is made until it is read.

    Handing the stopwatch on costs a fraction of a microsecond, which is measured when this is made, taken off both
    parts and shown as a part of its own. Made for one thread: what others do meanwhile is not seen.
    """

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], _Part] = {}
        self._under_way = self._part(_REST)
        self._since = reading()
        self._cost_inside, self._cost_outside = self._calibrate()
        self._under_way.seconds, self._under_way.others, self._since = 0.0, 0, reading()

    # Timing -----------------------------------------------------------------------------------------

    def wrap(self, label: str, function: Callable[P, R], later: str = "") -> Callable[P, R]:
        """The function, timed as a part of that name; what it arranges is counted as ``later`` when it happens."""
        return self._timed(self._part(label, later), function)

    def inherit(self, function: Callable[P, R]) -> Callable[P, R]:
        """A function to be called later, timed as whoever hands it over now."""
        return self._timed(self._under_way.later, function)

    def each(self, label: str, items: Iterable[T]) -> Iterator[T]:
        """The items, the wait for each of them timed."""
        waited = iter(items)
        return _Waited(waited, self.wrap(label, waited.__next__))

    @contextlib.contextmanager
    def within(self, label: str, later: str = "") -> Iterator[None]:
        """Time a block of code."""
        before = self._enter(self._part(label, later))
        try:
            yield
        finally:
            self._leave(before)

    def _timed(self, part: _Part, function: Callable[P, R]) -> Callable[P, R]:
        # As _enter and _leave do, but written out: this is called for every row that somebody is woken for.
        def timed(*arguments: P.args, **options: P.kwargs) -> R:
            now, before = reading(), self._under_way
            before.seconds += now - self._since
            before.others += 1
            part.calls += 1
            self._under_way, self._since = part, now
            try:
                return function(*arguments, **options)
            finally:
                now = reading()
                part.seconds += now - self._since
                self._under_way, self._since = before, now

        return timed

    def _enter(self, part: _Part) -> _Part:
        before = self._under_way
        before.others += 1
        part.calls += 1
        self._hand_to(part)
        return before

    def _leave(self, before: _Part) -> None:
        self._hand_to(before)

    def _hand_to(self, part: _Part) -> None:
        now = reading()
        self._under_way.seconds += now - self._since
        self._under_way, self._since = part, now

    def _part(self, label: str, later: str = "") -> _Part:
        key = (label, later)
        if key not in self._parts:
            self._parts[key] = _Part(label, self._part(later) if later else None)
        return self._parts[key]

    # Reading ----------------------------------------------------------------------------------------

    @property
    def spent(self) -> list[Spent]:
        """What each part has taken until now, the longest first; the seconds add up to all the time there was."""
        self._hand_to(self._under_way)
        whole = sum(part.seconds for part in self._parts.values())
        net: dict[str, float] = {}
        calls: dict[str, int] = {}
        for part in self._parts.values():
            own = part.seconds - part.calls * self._cost_inside - part.others * self._cost_outside
            net[part.label] = net.get(part.label, 0.0) + max(0.0, own)
            calls[part.label] = calls.get(part.label, 0) + part.calls
        net[_ITSELF] = max(0.0, whole - sum(net.values()))
        calls[_ITSELF] = sum(calls.values())
        ordered = sorted(net, key=lambda label: -net[label])
        return [Spent(label, net[label], net[label] / whole if whole else 0.0, calls[label]) for label in ordered]

    def _calibrate(self) -> tuple[float, float]:
        """What handing the stopwatch on costs the part that is called, and the one that calls."""
        inside, outside = [], []
        for _ in range(_TRIALS):
            caller, called = _Part("caller"), _Part("called")
            step = self._timed(called, _nothing)
            before = self._enter(caller)
            for _ in range(_CALLS):
                step(None, 0, 0)
            self._leave(before)
            began = reading()
            for _ in range(_CALLS):
                _nothing(None, 0, 0)
            inside.append((called.seconds - (reading() - began)) / _CALLS)
            outside.append(caller.seconds / _CALLS)
        return max(0.0, min(inside)), min(outside)


def _nothing(_segment: object, _start: int, _stop: int) -> None:
    """As little as can be called."""
