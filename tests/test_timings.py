"""Timings add up: a part is counted without the parts it calls, what happens later as whoever arranged for it."""

from __future__ import annotations

import itertools

import pytest

from qengine_core import timings as module
from qengine_core.agenda import Agenda
from qengine_core.timings import Timings
from qengine_core.vocabulary import Phase
from qengine_core.wall import reading


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "reading", clock)
    return clock


def spent(timings: Timings) -> dict[str, tuple[float, int]]:
    return {part.part: (part.seconds, part.calls) for part in timings.spent if part.seconds or part.calls}


def test_each_part_is_counted_without_those_that_it_calls(clock: Clock) -> None:
    timings = Timings()

    def inner() -> None:
        clock.now += 3

    timed_inner = timings.wrap("inner", inner)

    def outer() -> str:
        clock.now += 1
        timed_inner()
        timed_inner()
        clock.now += 1
        return "done"

    clock.now += 5
    assert timings.wrap("outer", outer)() == "done"
    with timings.within("block"):
        clock.now += 4
        timed_inner()
    found = spent(timings)
    assert found.pop("profiling itself") == (0.0, 5)
    assert found == {"rest": (5.0, 0), "outer": (2.0, 1), "inner": (9.0, 3), "block": (4.0, 1)}
    assert sum(part.share for part in timings.spent) == pytest.approx(1.0)
    assert [part.part for part in timings.spent][:2] == ["inner", "rest"]


def test_what_raises_hands_the_stopwatch_back(clock: Clock) -> None:
    timings = Timings()

    def fail() -> None:
        clock.now += 2
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        timings.wrap("failing", fail)()
    with pytest.raises(ZeroDivisionError), timings.within("block"):
        fail()
    clock.now += 1
    found = spent(timings)
    assert (found["failing"], found["block"], found["rest"]) == ((2.0, 1), (2.0, 1), (1.0, 0))


def test_waiting_for_an_item_is_timed_and_using_it_is_not(clock: Clock) -> None:
    timings = Timings()

    def items():
        for number in range(3):
            clock.now += 1
            yield number
        clock.now += 1

    for _ in timings.each("feed", items()):
        clock.now += 10
    found = spent(timings)
    assert (found["feed"], found["rest"]) == ((4.0, 4), (30.0, 0))


def test_whoever_stops_waiting_lets_the_source_end_what_it_has_begun() -> None:
    ended = []

    def items():
        try:
            yield from range(3)
        finally:
            ended.append(True)

    waited = Timings().each("feed", items())
    assert next(waited) == 0
    waited.close()
    assert ended == [True]
    Timings().each("feed", [1]).close()  # a list's iterator has nothing to close


def test_what_is_arranged_is_counted_as_whoever_arranged_for_it(clock: Clock) -> None:
    timings, agenda = Timings(), Agenda()

    def later() -> None:
        clock.now += 7

    with timings.within("setting up", later="strategy"):
        clock.now += 1
        agenda.schedule(10, Phase.TIMER, timings.inherit(later), now=0)
    with timings.within("loop"):
        for event in agenda.take():
            event.action()
    found = spent(timings)
    assert (found["setting up"], found["strategy"], found["loop"]) == ((1.0, 1), (7.0, 1), (0.0, 1))


def test_handing_the_stopwatch_on_is_taken_off_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock whose every reading costs a unit, a function that does nothing is left with next to nothing."""
    monkeypatch.setattr(module, "reading", itertools.count().__next__)
    timings = Timings()
    step = timings.wrap("nothing", lambda: None)
    for _ in range(20_000):
        step()
    seconds = {part.part: part.seconds for part in timings.spent}
    assert seconds["nothing"] < 0.01 * 20_000
    assert seconds["profiling itself"] == pytest.approx(2 * 20_000, rel=0.01)


def test_the_parts_add_up_to_all_the_time_there_was() -> None:
    """With the real clock, and none of them negative."""
    began = reading()
    timings = Timings()
    ready = reading()
    step = timings.wrap("nothing", lambda: None)
    for _ in range(20_000):
        step()
    done = reading()
    parts = timings.spent
    assert all(part.seconds >= 0 and part.share >= 0 for part in parts)
    assert 0.999 * (done - ready) < sum(part.seconds for part in parts) < 1.001 * (reading() - began)
