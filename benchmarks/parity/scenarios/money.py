"""What the account allows: cash, short sales, leverage, and targets as a part of the account."""

from __future__ import annotations

from benchmarks.parity.bars import flat, path, walk
from benchmarks.parity.scenario import Scenario, order, target_percent
from benchmarks.parity.scenarios.terms import AROUND, NO_RESTING, ONE, ONE_PLACE, PER_SHARE, PERCENT, SLIP

__all__ = ["CASH", "SHORTS", "TARGETS"]


_JUMP = path("100 100.5 99.5 100\n100 100.5 99.5 100\n104 106 103 105\n105 106 104 105\n105 106 104 105")
CASH = [
    Scenario(
        "insufficient-cash",
        "an order far beyond the cash, and a smaller one after it",
        {"A": walk(7, 14)},
        [order(1, "A", 1_500), order(4, "A", 500), order(7, "A", 700), order(10, "A", -300)],
        commission=PERCENT,
    ),
    Scenario(
        "insufficient-cash-at-open",
        "an order that the close can pay and the next open cannot",
        {"A": _JUMP},
        [order(1, "A", 980), order(3, "A", 100)],
        commission=PERCENT,
    ),
    Scenario(
        "insufficient-cash-for-commission",
        "an order that the cash pays to the cent, but for the commission",
        {"A": flat(8)},
        [order(1, "A", 1_000), order(3, "A", 999), order(5, "A", -400)],
        commission=PERCENT,
    ),
    Scenario(
        "insufficient-cash-in-a-batch",
        "purchases of one bar that only together are too much, the largest first",
        {name: flat(8) for name in "ABCD"},
        [
            order(1, "A", 1_200),
            order(1, "B", 300),
            order(1, "C", 500),
            order(3, "D", 600),
            order(3, "C", 300),
            order(5, "C", -200),
            order(5, "A", 100),
        ],
        commission=PER_SHARE,
        without=ONE,
    ),
    Scenario(
        "insufficient-cash-in-a-queue",
        "purchases of one instrument on one bar that only together are too much, and a sale after them",
        {"A": flat(8)},
        [order(1, "A", 600), order(1, "A", 600), order(1, "A", 300), order(1, "A", -200), order(4, "A", 250)],
        commission=PER_SHARE,
        without=ONE_PLACE,
    ),
    Scenario(
        "reserved-by-open-orders",
        "limit purchases that rest, which together are more than the cash",
        {"A": AROUND},
        [
            order(1, "A", 700, limit=97.0),
            order(2, "A", 700, limit=99.25),
            order(3, "A", 600),
            order(9, "A", 200, limit=98.75),
        ],
        commission=PERCENT,
        without=NO_RESTING,
    ),
    Scenario(
        "leverage",
        "twice the cash bought on margin, more refused, and the way down",
        {"A": walk(8, 16, step=2.0)},
        [order(1, "A", 1_500), order(4, "A", 500), order(8, "A", -900), order(12, "A", 100)],
        commission=PERCENT,
        account={"leverage": 2.0},
        without={
            "zipline": "It sets no limit to what is bought.",
            "vectorbt": "It knows no leverage.",
        },
    ),
    Scenario(
        "rotation",
        "exits and entries of several instruments on one bar, entries listed first, with little cash",
        {name: walk(20 + number, 16) for number, name in enumerate("ABCD")},
        [
            order(1, "A", 450),
            order(1, "B", 450),
            order(5, "C", 450),
            order(5, "A", -450),
            order(9, "D", 400),
            order(9, "B", -450),
            order(12, "A", 100),
            order(12, "C", -450),
        ],
        commission=PERCENT,
        slippage=SLIP,
        without=ONE,
    ),
    Scenario(
        "rotation-exits-first",
        "the same, with sales processed before purchases",
        {name: walk(20 + number, 16) for number, name in enumerate("ABCD")},
        [
            order(1, "A", 450),
            order(1, "B", 450),
            order(5, "C", 450),
            order(5, "A", -450),
            order(9, "D", 400),
            order(9, "B", -450),
        ],
        commission=PERCENT,
        slippage=SLIP,
        account={"exits_first": True},
        without={
            **ONE,
            "backtrader": "It processes orders as they were sent.",
            "zipline": "It processes orders as they were sent.",
        },
    ),
]

_RUIN = path(
    """
    100 101 99 100
    100 101 99 100
    100 101 99 100
    130 140 129 138
    170 190 165 185
    185 230 180 220
    220 225 210 215
    """
)
_OTHER = {
    "backtrader": "It always hands out the proceeds.",
    "zipline": "It always hands out the proceeds.",
    "backtesting": "It deals in margin, and not in proceeds.",
}
_SALES = [order(1, "A", -1_500), order(4, "A", 500), order(8, "A", 1_000)]
SHORTS = [
    Scenario(
        "short-beyond-cash",
        "a short sale worth more than the account",
        {"A": walk(9, 12)},
        _SALES,
        commission=PERCENT,
    ),
    Scenario(
        "short-proceeds-spent",
        "a purchase paid by the proceeds of a short sale",
        {"A": walk(10, 12), "B": walk(11, 12)},
        [order(1, "A", -800), order(3, "B", 1_500), order(7, "B", -1_500), order(8, "A", 800)],
        commission=PERCENT,
        without=ONE,
    ),
    Scenario(
        "short-proceeds-locked",
        "the same where proceeds are locked",
        {"A": walk(10, 12), "B": walk(11, 12)},
        [order(1, "A", -800), order(3, "B", 1_500), order(7, "B", -1_500), order(8, "A", 800)],
        commission=PERCENT,
        account={"lock_short_proceeds": True},
        without=_OTHER,
    ),
    Scenario(
        "ruin",
        "a short position whose loss is more than the account, and an order after it",
        {"A": _RUIN},
        [order(1, "A", -900), order(5, "A", 100)],
        commission=PER_SHARE,
    ),
]

names = ["A", "B", "C"]
plan = [(1, (0.4, 0.3, 0.2)), (6, (0.2, 0.5, 0.2)), (11, (0.0, 0.6, 0.35)), (16, (0.3, 0.0, -0.2)), (21, (0, 0, 0))]
intents = [intent for bar, parts in plan for intent in target_percent(bar, dict(zip(names, parts, strict=True)))]
bars = {name: walk(30 + number, 26) for number, name in enumerate(names)}
TARGETS = [
    Scenario(
        "target-percent",
        "a part of the account from nothing, and nothing again",
        {"A": walk(12, 16)},
        [*target_percent(1, {"A": 0.6}), *target_percent(8, {"A": 0.0})],
        commission=PERCENT,
        slippage=SLIP,
    ),
    Scenario(
        "target-percent-rebalance",
        "three instruments brought to parts of the account five times, a short one among them",
        bars,
        intents,
        commission=PERCENT,
        slippage=SLIP,
        without=ONE,
    ),
    Scenario(
        "target-percent-whole-shares",
        "the same with a commission per share and whole shares",
        bars,
        [dict(intent) for intent in intents],
        commission=PERCENT,
        account={"whole_shares": True, "exits_first": True},
        without={
            **ONE,
            "backtrader": "Whole shares are its only way, and it processes orders as they were sent.",
            "zipline": "Whole shares are its only way, and it processes orders as they were sent.",
        },
    ),
    Scenario(
        "target-percent-all",
        "all of the account in one instrument, without room for costs",
        {"A": walk(13, 12)},
        [*target_percent(1, {"A": 1.0}), *target_percent(8, {"A": 0.0})],
        commission=PERCENT,
        without={"backtesting": "A part of one means one share."},
    ),
]
