"""Seeded runs of orders: cases that nobody thought of."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.parity.bars import Rows, walk
from benchmarks.parity.scenario import Intent, Scenario, bracket, order
from benchmarks.parity.scenarios.terms import NO_BRACKET, NO_RESTING, ONE, PER_SHARE, PERCENT, SLIP

__all__ = ["BRACKETS", "ORDERS"]


def _random() -> list[Scenario]:
    seeds = {"limits": 101, "stops": 102, "stop-limits": 103, "mixed": 104, "tight-cash": 105}
    made = []
    for kind, seed in seeds.items():
        bars = walk(seed, 44)
        kinds = ["market", "limit", "stop", "stop-limit"] if kind in ("mixed", "tight-cash") else [kind[:-1]]
        made.append(
            Scenario(
                f"random-{kind}",
                f"a seeded run of orders ({', '.join(kinds)}) with prices on the grid of the bars",
                {"A": bars},
                _orders(seed, {"A": bars}, 40, kinds),
                cash=15_000.0 if kind == "tight-cash" else 1_000_000.0,
                commission=PER_SHARE if seed % 2 else PERCENT,
                slippage=SLIP if seed % 3 == 0 else {"kind": "none"},
                without=NO_RESTING,
            )
        )
    panel = {name: walk(200 + number, 44) for number, name in enumerate("ABCDE")}
    for kind, cash in (("market", 1_000_000.0), ("market-tight-cash", 30_000.0)):
        made.append(
            Scenario(
                f"random-{kind}",
                "a seeded run of market orders in five instruments",
                panel,
                _orders(7, panel, 90, ["market"]),
                cash=cash,
                commission=PERCENT,
                slippage=SLIP,
                without=ONE,
            )
        )
    return made


def _orders(seed: int, bars: dict[str, Rows], count: int, kinds: Sequence[str]) -> list[Intent]:
    """At most one order a bar and instrument, prices within three dollars of the bar's close."""
    chance = random.Random(seed)
    last = min(map(len, bars.values())) - 1
    places = chance.sample([(bar, name) for bar in range(1, last) for name in bars], count)
    return [_random_order(chance, bar, name, bars[name], chance.choice(kinds)) for bar, name in sorted(places)]


def _random_order(chance: random.Random, bar: int, name: str, bars: Rows, kind: str) -> Intent:
    row = bars[bar]
    assert row is not None
    quantity = chance.choice([-1, 1]) * chance.randint(1, 12) * 10
    prices = {word: row[3] + chance.randint(-12, 12) / 4 for word in kind.split("-") if word != "market"}
    return order(bar, name, quantity, **prices)


def _random_brackets() -> list[Scenario]:
    made = []
    for seed, overlapping in ((301, False), (302, False), (303, True)):
        bars, chance = walk(seed, 44, step=1.0), random.Random(seed)
        intents = [_random_bracket(chance, bar, bars) for bar in range(1, 42, 2 if overlapping else 10)]
        made.append(
            Scenario(
                f"random-brackets-{seed}",
                "a seeded run of brackets" + (" that overlap" if overlapping else ", one after the other"),
                {"A": bars},
                intents,
                cash=1_000_000.0,
                commission=PERCENT,
                without=NO_BRACKET
                | ({"vectorbt": "It keeps one stop for an instrument's whole position."} if overlapping else {}),
            )
        )
    return made


def _random_bracket(chance: random.Random, bar: int, bars: Rows) -> Intent:
    """Stop and target at least a dollar and a half from the close, so that the next open is seldom beyond them."""
    row = bars[bar]
    assert row is not None
    side = chance.choice([-1, 1])
    stop, target = (chance.randint(6, 12) / 4 for _ in range(2))
    prices = {"stop_loss": row[3] - side * stop, "take_profit": row[3] + side * target}
    return bracket(bar, "A", side * chance.randint(1, 12) * 10, **prices)


ORDERS = _random()
BRACKETS = _random_brackets()
