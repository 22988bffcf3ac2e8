"""The kernel's loop keeps its budget of instructions, and nobody is woken in vain: counts, where seconds would lie."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.guard.budget import budget, excesses
from benchmarks.guard.counting import count
from benchmarks.guard.paths import PATHS

needs_a_budget = pytest.mark.skipif(budget() is None, reason="no budget is stored for this version of Python")


@pytest.mark.slow
@needs_a_budget
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind, which counts instructions")
def test_every_path_through_the_loop_keeps_its_budget() -> None:
    stored = budget()
    assert stored is not None
    found = excesses(count(), stored)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", PATHS)
def test_a_path_does_its_work(name: str) -> None:
    """Each of them asserts what was seen; here without valgrind, so that an empty one is found anywhere."""
    path, units = PATHS[name]
    path(units)


@needs_a_budget
@pytest.mark.parametrize("name", [name for name in PATHS if name != "yardstick"])
def test_a_path_that_has_grown_is_named(name: str) -> None:
    stored = budget()
    assert stored is not None
    within = {path: value * 1.04 for path, value in stored["paths"].items()}
    assert excesses(within, stored) == []
    (sentence,) = excesses({**within, name: stored["paths"][name] * 1.25}, stored)
    assert f"path {name!r} takes 25.0% more instructions" in sentence
    assert "python -m benchmarks guard --store" in sentence


@needs_a_budget
def test_another_build_of_the_same_version_is_given_more_room() -> None:
    stored = budget()
    assert stored is not None
    other, grown = {**stored, "build": "another"}, {path: value * 1.15 for path, value in stored["paths"].items()}
    assert excesses(grown, other) == []
    assert excesses({path: value * 1.25 for path, value in stored["paths"].items()}, other)


def test_nobody_is_woken_for_rows_that_concern_nobody() -> None:
    """Of a strategy that moves an order every 1,000 prints, calls of each part follow its orders and not the prints."""
    pytest.importorskip("qengine_broker_sim", reason="a run needs the broker")
    from benchmarks.growth import CASES
    from qengine_core import Timings

    rows = 400_000
    timings = Timings()
    result = CASES["ticks"].run(rows, timings)
    orders, fills = result.counts["orders"], result.counts["fills"]
    calls = {part.part: part.calls for part in timings.spent}
    assert orders == rows // 1_000
    assert calls["strategy"] <= orders + 10
    assert calls["orders"] <= 2 * orders + 10  # each is sent, and cancelled unless it has filled
    assert fills <= calls["matching"] <= fills + orders // 4
    assert calls["scan"] <= 5 * orders + 10 * rows // 65_536 + 10
