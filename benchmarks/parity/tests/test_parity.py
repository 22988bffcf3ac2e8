"""What can be checked of the harness and of its record without any peer installed."""

from __future__ import annotations

import itertools
from pathlib import Path

import polars as pl
import pytest

from benchmarks.parity import results
from benchmarks.parity.bars import closing_times, minute_times, path
from benchmarks.parity.cash import in_words_of
from benchmarks.parity.environments import PEERS
from benchmarks.parity.scenario import Scenario, cancel, order
from benchmarks.parity.scenarios import SCENARIOS
from benchmarks.parity.workload import Workload

EXPECTED = results.load()
RUN = [
    (name, peer)
    for name, entry in EXPECTED["scenarios"].items()
    for peer, result in entry["results"].items()
    if "skipped" not in result
]


def test_the_record_is_of_the_scenarios_as_they_are() -> None:
    assert {name: scenario.digest() for name, scenario in SCENARIOS.items()} == {
        name: entry["digest"] for name, entry in EXPECTED["scenarios"].items()
    }


def test_the_record_covers_every_peer_or_says_why_not() -> None:
    for name, entry in EXPECTED["scenarios"].items():
        assert set(entry["results"]) == set(PEERS), name
        reasons = {peer: one["skipped"] for peer, one in entry["results"].items() if "skipped" in one}
        assert reasons == {peer: SCENARIOS[name].without[peer] for peer in reasons}


def test_the_record_is_of_the_pinned_versions() -> None:
    for name, peer in PEERS.items():
        assert EXPECTED["peers"][name][peer.distribution] == peer.version


@pytest.mark.parametrize(("name", "peer"), RUN)
def test_fills_account_for_the_money(name: str, peer: str) -> None:
    """Start minus payments minus commissions plus the positions' last value is the equity that the peer reports."""
    scenario, result = SCENARIOS[name], EXPECTED["scenarios"][name]["results"][peer]
    cash, positions = scenario.cash, dict.fromkeys(scenario.bars, 0.0)
    for _, instrument, _, quantity, price, commission in result["fills"]:
        cash -= quantity * price + commission
        positions[instrument] += quantity
    last = {key: [row for row in rows if row is not None][-1][3] for key, rows in scenario.bars.items()}
    equity = cash + sum(quantity * last[key] for key, quantity in positions.items())
    if (name, peer) == ("ruin", "backtesting"):
        assert equity < 0  # the library writes off what is below zero
        equity = 0.0
    assert result["equity"] == pytest.approx(equity, abs=1e-6)


@pytest.mark.parametrize(("name", "peer"), RUN)
def test_no_order_fills_before_it_was_sent_or_more_than_it_asked(name: str, peer: str) -> None:
    scenario, result = SCENARIOS[name], EXPECTED["scenarios"][name]["results"][peer]
    sent = {intent["id"]: intent for intent in scenario.intents}
    earliest = 0 if peer == "vectorbt" else 1
    for intent, fills in itertools.groupby(sorted(result["fills"]), key=lambda fill: fill[0]):
        parts = list(fills)
        if intent == "liquidation":
            continue
        asked = sent[intent.split(".")[0]]
        assert all(fill[2] >= asked["bar"] + earliest for fill in parts)
        if "quantity" in asked:
            filled, whole = sum(abs(fill[3]) for fill in parts), abs(asked["quantity"])
            rounding = 1e-4 if peer == "zipline" else 1e-9  # it takes what is next to a whole number for one
            assert filled <= whole + rounding


def test_every_case_that_the_scenarios_are_named_after_is_run_by_somebody() -> None:
    for name in SCENARIOS:
        assert any(one == name for one, _ in RUN), name


def test_daily_and_minute_times_are_in_step() -> None:
    assert minute_times(2)[389] == closing_times(2)[0]
    assert len(minute_times(2)) == 780
    assert closing_times(44)[-1].date().isoformat() == "2021-09-03"
    with pytest.raises(ValueError, match="44 sessions"):
        closing_times(45)


def test_bars_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="outside its range"):
        path("100 99 98 99")


@pytest.mark.parametrize(
    "intents",
    [
        [order(9, "A", 1)],
        [order(1, "B", 1)],
        [order(1, "A", 1, limt=2.0)],
        [cancel(1, "i7")],
        [order(2, "A", 1), order(1, "A", 1)],
    ],
)
def test_impossible_scenarios_are_refused(intents: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match="wrong: "):
        Scenario("wrong", "", {"A": path("100 101 99 100\n100 101 99 100\n100 101 99 100")}, intents)


def test_the_digest_changes_with_bars_and_intents_alone() -> None:
    bars = path("100 101 99 100\n100 101 99 100")
    one = Scenario("name", "words", {"A": bars}, [order(0, "A", 1)])
    assert one.digest() == Scenario("name", "other words", {"A": bars}, [order(0, "A", 1)]).digest()
    assert one.digest() != Scenario("name", "words", {"A": bars}, [order(0, "A", 2)]).digest()
    assert one.digest() != Scenario("name", "words", {"A": bars[:1]}, [order(0, "A", 1)]).digest()


def test_the_workload_trades_only_what_its_scores_say(tmp_path: Path) -> None:
    """Positions that the intents add up to are 25 long and 25 short on every day but the first and the last."""
    workload = Workload(instruments=60, days=40)
    folder = tmp_path / "case"
    workload.write(folder)
    bars, intents = pl.read_parquet(folder / "bars.parquet"), pl.read_parquet(folder / "intents.parquet")
    assert bars.height == 60 * 40
    assert bars.select(pl.col("low") <= pl.min_horizontal("open", "close")).to_series().all()
    held: dict[str, float] = {}
    for bar, rows in intents.group_by("bar", maintain_order=True):
        for _, instrument, quantity in rows.iter_rows():
            held[instrument] = held.get(instrument, 0.0) + quantity
        count = sorted(held.values())
        assert (count.count(100.0), count.count(-100.0)) == (25, 25), bar


FILLS = [("i1", 1, 10.0, 100.0), ("i2", 2, 10.0, 110.0), ("i2.stop", 4, -4.0, 90.0), ("i3", 5, -12.0, 120.0)]


@pytest.mark.parametrize(
    ("peer", "leverage", "cash"),
    [
        ("zipline", 1.0, [0.0] * 6),
        ("backtesting", 1.0, [0.0, 1000.0, 2100.0, 2100.0, 1660.0, 440.0]),
        ("backtrader", 1.0, [0.0] * 6),
        ("backtrader", 2.0, [0.0, 500.0, 1050.0, 1050.0, 840.0, 210.0]),
    ],
)
def test_cash_is_what_the_peer_calls_cash(peer: str, leverage: float, cash: list[float]) -> None:
    """What an account of no cash has more: an exit closes its own trade, a sale the oldest; half of a long is lent."""
    names = ["intent", "bar", "quantity", "price"]
    fills = pl.DataFrame(FILLS, schema=names, orient="row").with_columns(instrument=pl.lit("A"))
    account = pl.DataFrame({"bar": range(6), "cash": [0.0] * 6, "equity": [0.0] * 6})
    assert in_words_of(peer, leverage, fills, account)["cash"].to_list() == cash
