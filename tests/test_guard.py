"""The kernel's hot loop keeps its budget of instructions, and what has grown is named."""

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
