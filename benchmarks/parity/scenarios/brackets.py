"""Entries that bring their exits along, and orders that cancel one another."""

from __future__ import annotations

from typing import Any

from benchmarks.parity.bars import flat, path
from benchmarks.parity.scenario import Intent, Scenario, bracket, cancel, order
from benchmarks.parity.scenarios.terms import AROUND, NO_BRACKET, NO_RESTING, PERCENT

__all__ = ["BRACKETS", "GROUPS", "MORE"]


def one(name: str, words: str, text: str, *intents: Intent, **more: Any) -> Scenario:
    return Scenario(name, words, {"A": path(text)}, list(intents), commission=PERCENT, without=NO_BRACKET, **more)


start = "100 100.5 99.5 100\n100 100.5 99.5 100\n100 100.5 99.5 100\n"
end = "\n100 100.5 99.5 100\n100 100.5 99.5 100"
stop, target = {"stop_loss": 97.0}, {"take_profit": 104.0}
BRACKETS = [
    one("stop-loss", "an entry with a stop loss alone, reached inside a bar",
        start + "99 99.5 98 98.5\n98.5 99 96.5 97.5" + end, bracket(1, "A", 100, **stop)),
    one("take-profit", "an entry with a take profit alone, reached inside a bar",
        start + "101 102 100.5 102\n102 104.5 101.5 103" + end, bracket(1, "A", 100, **target)),
    one("bracket-stop", "a bracket whose stop is reached, and that takes the target away",
        start + "99 99.5 98 98.5\n98.5 99 96.5 97.5\n98 105 97.5 104.5" + end,
        bracket(1, "A", 100, **stop, **target)),
    one("bracket-target", "a bracket whose target is reached, and that takes the stop away",
        start + "101 102 100.5 102\n102 104.5 101.5 103\n98 99 95 96" + end,
        bracket(1, "A", 100, **stop, **target)),
    one("bracket-exact-touch", "targets and stops exactly at the extreme of a bar",
        start + "101 104 100 102\n102 103 100 101\n101 101 97 98" + end,
        bracket(1, "A", 100, **target), bracket(4, "A", 80, **stop)),
    one("bracket-both-touched", "a bar that reaches stop and target, opening between them",
        start + "100 105 96 101" + end, bracket(1, "A", 100, **stop, **target)),
    one("bracket-both-touched-near-target", "a bar that reaches both, opening next to the target",
        start + "103.5 105 96 97.5" + end, bracket(1, "A", 100, **stop, **target)),
    one("bracket-gap-stop", "a bar that opens beyond the stop",
        start + "95 96 94 95.5" + end, bracket(1, "A", 100, **stop, **target)),
    one("bracket-gap-target", "a bar that opens beyond the target",
        start + "106 107 105 106" + end, bracket(1, "A", 100, **stop, **target)),
    one("bracket-gap-target-then-stop", "a bar that opens beyond the target and falls through the stop",
        start + "106 107 96 96.5" + end, bracket(1, "A", 100, **stop, **target)),
]  # fmt: skip

_QUIET = flat(3)
_SHORT = {"stop_loss": 103.0, "take_profit": 96.0}
_WIDE = {"stop_loss": 97.0, "take_profit": 104.0}
MORE = [
    Scenario(
        "bracket-short",
        "short brackets: target, stop, both, and a gap through the stop",
        {"A": [*_QUIET, *path("99 100 95.5 96.5\n98 98 97 97.5\n100 103.5 99 102\n101 102 99 100"), *flat(2),
               *path("100 104 95 98"), *flat(2), *path("105 106 104 105"), *flat(2)]},
        [bracket(bar, "A", -100, **_SHORT) for bar in (1, 4, 7, 10)],
        commission=PERCENT,
        without=NO_BRACKET,
    ),
    Scenario(
        "bracket-entry-bar",
        "the bar of the entry reaches the stop, the target, and both",
        {"A": [*flat(2), *path("100 100.5 96 98"), *flat(5), *path("100 105 99 103"), *flat(5),
               *path("100 105 96 102"), *flat(5)]},
        [bracket(1, "A", 100, **_WIDE), bracket(7, "A", 100, **_WIDE), bracket(13, "A", 100, **_WIDE)],
        commission=PERCENT,
        without=NO_BRACKET,
    ),
    Scenario(
        "bracket-limit-entry",
        "brackets entered by a limit, in quiet and in the bar that also reaches an exit",
        {"A": [*flat(2), *path("100 100.5 98.5 99.5\n99.5 105 99 104"), *flat(2), *path("100 100.5 96 97.5"),
               *path("97.5 99 96.5 98"), *flat(3)]},
        [bracket(1, "A", 100, limit=99.0, **_WIDE), bracket(5, "A", 80, limit=99.0, **_WIDE)],
        commission=PERCENT,
        without={**NO_BRACKET, **NO_RESTING},
    ),
    Scenario(
        "bracket-stop-entry",
        "brackets entered by a stop, in quiet and in the bar that also reaches the target",
        {"A": [*flat(2), *path("100 102 99.5 101.5\n101.5 102 96 97"), *flat(2), *path("100 105 99.5 104.5"),
               *path("104.5 106 103 105"), *flat(3)]},
        [bracket(1, "A", 100, stop=101.0, **_WIDE), bracket(5, "A", 80, stop=101.0, **_WIDE)],
        commission=PERCENT,
        without={**NO_BRACKET, **NO_RESTING},
    ),
    Scenario(
        "bracket-slippage",
        "exits of a bracket with slippage",
        {"A": [*_QUIET, *path("99 99.5 96 96.5"), *flat(3), *path("101 105 100 104"), *flat(3)]},
        [bracket(1, "A", 100, **_WIDE), bracket(5, "A", 100, **_WIDE)],
        slippage={"kind": "percent", "rate": 0.002},
        commission=PERCENT,
        without=NO_BRACKET,
    ),
    Scenario(
        "bracket-second-entry",
        "a second bracket while the first is open, and a market order that takes part of both away",
        {"A": [*flat(5), *path("99 99.5 98 98.5"), *flat(2), *path("99 100 96 96.5"), *flat(2)]},
        [
            bracket(1, "A", 100, **_WIDE),
            bracket(3, "A", 50, stop_loss=96.5, take_profit=105.0),
            order(5, "A", -120),
        ],
        commission=PERCENT,
        without={**NO_BRACKET, "vectorbt": "It keeps one stop for an instrument's whole position."},
    ),
]  # fmt: skip

_ONLY = {
    "zipline": "It has no orders that cancel one another.",
    "vectorbt": NO_RESTING["vectorbt"],
    "backtesting": "It has no orders that cancel one another, but for the exits of a trade.",
}
GROUPS = [
    Scenario(
        "one-cancels-other",
        "pairs of a limit and a stop: one reached, both reached, a group of three, one withdrawn",
        {"A": [*AROUND, *path("100 102.5 97.5 100"), *flat(4)]},
        [
            order(1, "A", 100),
            order(2, "A", -100, limit=101.25, oco="one"),
            order(2, "A", -100, stop=97.0, oco="one"),
            order(6, "A", 60, limit=97.0, oco="three"),
            order(6, "A", 50, stop=101.0, oco="three"),
            order(6, "A", 40, stop=101.25, oco="three"),
            order(14, "A", -50, limit=102.0, oco="both"),
            order(14, "A", -50, stop=98.0, oco="both"),
            order(17, "A", 10, limit=90.0, oco="withdrawn"),
            order(17, "A", 10, limit=91.0, oco="withdrawn"),
            cancel(18, "i9"),
        ],
        commission=PERCENT,
        without=_ONLY,
    ),
]
