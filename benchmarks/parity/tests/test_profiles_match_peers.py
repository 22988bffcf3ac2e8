"""Under its profile, QEngine does in every scenario what the peer did: every fill, the money, and how orders ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.parity import comparing, results
from benchmarks.parity.comparing import differences, known_cause
from benchmarks.parity.ours import OURS, Case
from benchmarks.parity.scenarios import SCENARIOS

EXPECTED = results.load()["scenarios"]
BOTH = [(name, peer) for peer in OURS for name, entry in EXPECTED.items() if "skipped" not in entry["results"][peer]]


@pytest.mark.parametrize(("scenario", "peer"), BOTH)
def test_a_profile_does_what_its_peer_did(scenario: str, peer: str, tmp_path: Path) -> None:
    """A difference that is known must still be there, or it is no longer known for one."""
    found = differences(ours(scenario, peer, tmp_path), EXPECTED[scenario]["results"][peer])
    assert bool(found) == (known_cause(scenario, peer) is not None), "\n".join(found)


def ours(scenario: str, peer: str, folder: Path) -> dict[str, object]:
    result = folder / "result"
    result.mkdir()
    SCENARIOS[scenario].write(folder / "case")
    OURS[peer].one(Case(folder / "case"), result)
    return results.result(result)


def test_a_known_difference_is_of_a_scenario_that_the_peer_runs() -> None:
    for peer, causes in comparing.known().items():
        assert {(name, peer) for name in causes} <= set(BOTH)


FILL = ["i1", "A", 3, 10.0, 99.5, 1.0]
ONE = {"fills": [FILL], "cash": 10.0, "equity": 20.0, "orders": {"i1": "filled"}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fills": [[*FILL[:2], 4, *FILL[3:]]]}, "i1 A bar 3: ours nothing, theirs +10 at 99.5, 1"),
        ({"fills": [["i1", "A", 3, 10.00000002, 99.5, 1.0]]}, "i1 A bar 3: ours +10.00000002 at 99.5"),
        ({"fills": [["i1", "A", 3, 10.0, 99.50000002, 1.0]]}, "i1 A bar 3: ours +10 at 99.50000002"),
        ({"fills": [["i1", "A", 3, 10.0, 99.5, 1.006]]}, "i1 A bar 3: ours +10 at 99.5, 1.006"),
        ({"fills": [FILL, FILL]}, "i1 A bar 3: ours +10 at 99.5, 1 and +10 at 99.5, 1, theirs +10 at 99.5, 1"),
        ({"fills": [["i1", "B", *FILL[2:]]]}, "i1 A bar 3: ours nothing"),
        ({"cash": 10.006}, "cash at the end: ours 10.006000, theirs 10.000000"),
        ({"equity": 19.99}, "equity at the end: ours 19.990000, theirs 20.000000"),
        ({"orders": {"i1": "cancelled"}}, "i1 ended cancelled, theirs filled"),
        ({"orders": {}}, "i1 ended not sent, theirs filled"),
    ],
)
def test_the_comparison_sees_every_difference(change: dict[str, object], said: str) -> None:
    assert differences(ONE, ONE) == []
    assert differences({**ONE, **change}, ONE)[0].startswith(said)


def test_fills_of_one_bar_may_come_in_any_order() -> None:
    other = ["i2", "A", 3, -4.0, 99.5, 1.0]
    assert differences({**ONE, "fills": [other, FILL]}, {**ONE, "fills": [FILL, other]}) == []
