"""The scenarios, each made so that the case it is named after really occurs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.parity.bars import Rows, flat, path, walk
from benchmarks.parity.scenario import Intent, Scenario, bracket, cancel, order, target_percent

__all__ = ["SCENARIOS", "scenarios"]

_PERCENT = {"kind": "percent", "rate": 0.001}
_PER_SHARE = {"kind": "per-share", "rate": 0.005, "minimum": 1.0}
_SLIP = {"kind": "percent", "rate": 0.0005}

_ONE = {"backtesting": "It trades one instrument."}
_NO_RESTING = {"vectorbt": "It keeps no resting orders: an order is filled on its bar, or not at all."}
_NO_BRACKET = {"zipline": "It has no orders that depend on one another."}
_NO_TRAIL = {"zipline": "It has no trailing stops."}
_ONE_PLACE = {"vectorbt": "It takes one order for a bar and instrument."}
_NO_CAP = {"backtesting": "It knows no cap on volume."}
_NO_EXPIRY = {
    "backtesting": "Its orders never expire.",
    "vectorbt": _NO_RESTING["vectorbt"],
}
_PERCENT_ONLY = {
    "vectorbt": "Its slippage is a percentage.",
    "backtesting": "Its spread is a percentage.",
}


def scenarios() -> list[Scenario]:
    """All of them, in the order in which they are listed."""
    groups: list[Callable[[], list[Scenario]]] = [
        _market,
        _costs,
        _limits_and_stops,
        _stop_limits,
        _trailing,
        _brackets,
        _more_brackets,
        _groups,
        _cash,
        _shorts,
        _targets,
        _liquidity,
        _missing,
        _expiry,
        _edges,
        _random,
        _random_brackets,
    ]
    return [scenario for group in groups for scenario in group()]


def _market() -> list[Scenario]:
    return [
        Scenario(
            "long-only",
            "buying in two steps and selling in two steps",
            {"A": walk(1, 20)},
            [order(1, "A", 100), order(4, "A", 50), order(8, "A", -60), order(13, "A", -90)],
            commission=_PER_SHARE,
            slippage=_SLIP,
        ),
        Scenario(
            "long-short",
            "a long position, then a short one, each opened from nothing",
            {"A": walk(2, 24)},
            [order(1, "A", 100), order(6, "A", -100), order(8, "A", -80), order(14, "A", 80)],
            commission=_PERCENT,
            slippage=_SLIP,
        ),
        Scenario(
            "reversal",
            "orders that close a position and open the opposite one, with a minimum commission",
            {"A": walk(3, 20)},
            [order(1, "A", 100), order(5, "A", -250), order(10, "A", 300), order(15, "A", -150)],
            commission=_PER_SHARE,
        ),
        Scenario(
            "several-orders-a-bar",
            "three orders for one instrument on one bar, two of which take each other away",
            {"A": walk(4, 12)},
            [order(2, "A", 100), order(2, "A", -40), order(2, "A", 30), order(7, "A", -90)],
            commission=_PER_SHARE,
            slippage=_SLIP,
            without=_ONE_PLACE,
        ),
    ]


def _costs() -> list[Scenario]:
    closing_high = path(
        """
        100 101 99 100
        100 101 99 100
        100 100 99 99.5     # the open is the high: slippage upwards leaves the bar
        99.5 100.5 98 98
        98 99 98 99         # the open is the low: slippage downwards leaves the bar
        99 101 98 100
        100 102 99 101
        """
    )
    sizes = [order(1 + 2 * step, "A", size) for step, size in enumerate([50, 199, 200, 201, 350, -1_000])]
    return [
        Scenario(
            "commission-minimum",
            "a commission per share with a minimum, below, at and above it",
            {"A": walk(5, 16)},
            sizes,
            cash=500_000.0,
            commission=_PER_SHARE,
        ),
        Scenario(
            "commission-percent",
            "a commission in percent of the notional, for purchases, sales and short sales",
            {"A": walk(6, 16)},
            [order(1, "A", 120), order(4, "A", -200), order(8, "A", 80)],
            commission={"kind": "percent", "rate": 0.0025},
        ),
        Scenario(
            "slippage-percent",
            "slippage in percent that leaves the range of the bar",
            {"A": closing_high},
            [order(1, "A", 100), order(3, "A", -100)],
            slippage={"kind": "percent", "rate": 0.01},
        ),
        Scenario(
            "slippage-fixed",
            "slippage of a fixed amount a share, once inside the bar's range and once outside it",
            {"A": closing_high},
            [order(0, "A", 100), order(1, "A", 100), order(3, "A", -200)],
            slippage={"kind": "fixed", "amount": 0.25},
            commission=_PERCENT,
            without=_PERCENT_ONLY,
        ),
        Scenario(
            "slippage-on-resting-orders",
            "slippage of limit and stop orders, at the open and inside the bar",
            {"A": _AROUND},
            [
                order(1, "A", 100, limit=99.0),
                order(3, "A", -100, limit=101.0),
                order(6, "A", 100, stop=101.0),
                order(8, "A", -100, stop=99.0),
                order(11, "A", 50, limit=103.0),
                order(13, "A", -50, limit=97.0),
            ],
            slippage={"kind": "percent", "rate": 0.002},
            without=_NO_RESTING,
        ),
    ]


_AROUND = path(
    """
    100 101 99.5 100
    100 101 99.5 100
    100 100.5 98.5 99.5     # down through 99
    99.5 100.5 99 100
    100 101.5 99.75 101     # up through 101
    101 101 99.5 100
    100 100.5 99.5 100
    100 101.5 99.5 101.25   # up through 101 again
    101 101.5 100 100.5
    100.5 100.75 98.5 99    # down through 99
    99 100 98.75 99.5
    99.5 100.5 99 100
    100 101 99.5 100.5
    100.5 101 100 100.5
    100.5 101 99.75 100
    100 100.5 99.5 100
    """
)


def _limits_and_stops() -> list[Scenario]:
    gaps = path(
        """
        100 100.5 99.5 100
        100 100.5 99.5 100
        96 97 95 96.5           # gaps down five
        96.5 97 96 96.5
        101 102 100.5 101.5     # gaps up
        101.5 102 101 101.5
        107 108 106 107         # gaps up again
        107 107.5 106.5 107
        103 104 102 103         # gaps down
        103 103.5 102.5 103
        103 103.5 102.5 103
        """
    )
    return [
        Scenario(
            "limit-orders",
            "limits inside the bar, exactly at its extreme, marketable when sent, and never reached",
            {"A": _AROUND},
            [
                order(1, "A", 100, limit=98.5),  # the exact low of the next bar
                order(3, "A", -100, limit=101.5),  # the exact high of the next bar
                order(5, "A", 60, limit=102.0),  # above the market: marketable
                order(6, "A", -60, limit=98.0),
                order(7, "A", 40, limit=90.0),  # never
                order(8, "A", 30, limit=98.75),  # waits
            ],
            commission=_PERCENT,
            without=_NO_RESTING,
        ),
        Scenario(
            "limit-favourable-gap",
            "limits that the market gaps through to the order's advantage",
            {"A": gaps},
            [order(1, "A", 100, limit=98.0), order(3, "A", -100, limit=99.0), order(7, "A", 50, limit=105.0)],
            commission=_PER_SHARE,
            without=_NO_RESTING,
        ),
        Scenario(
            "stop-orders",
            "stops inside the bar, exactly at its extreme, already through when sent, and never reached",
            {"A": _AROUND},
            [
                order(1, "A", 100, stop=100.5),  # the exact high of the next bar
                order(3, "A", -100, stop=99.75),  # the exact low of the next bar
                order(5, "A", 60, stop=99.0),  # below the market: through when sent
                order(6, "A", 40, stop=101.25),
                order(8, "A", -100, stop=99.0),
                order(9, "A", 70, stop=120.0),  # never
            ],
            commission=_PERCENT,
            without=_NO_RESTING,
        ),
        Scenario(
            "stop-gap",
            "stops that the market gaps through to the order's disadvantage",
            {"A": gaps},
            [
                order(0, "A", 100),
                order(1, "A", -100, stop=98.0),
                order(3, "A", 80, stop=99.0),
                order(7, "A", -80, stop=105.0),
            ],
            commission=_PER_SHARE,
            without={**_NO_RESTING, **_FIRST},
        ),
        Scenario(
            "cancelled-orders",
            "orders withdrawn before they are reached, and on the very bar that fills them",
            {"A": _AROUND},
            [
                order(1, "A", 100, limit=97.0),
                order(1, "A", 50, limit=98.75),
                cancel(2, "i2"),  # filled on this bar already
                cancel(3, "i1"),
                order(5, "A", -50, stop=99.25),
                cancel(6, "i5"),
                order(8, "A", 20),
                cancel(8, "i7"),  # sent and withdrawn on one bar
                order(10, "A", -50),
            ],
            commission=_PERCENT,
            without=_NO_RESTING,
        ),
    ]


_FIRST = {"backtesting": "Its strategies are first asked on the second bar."}


def _stop_limits() -> list[Scenario]:
    rising = path(
        """
        100 100.5 99.5 100
        100 100.5 99.5 100
        100 103 99.5 102.5      # opens below the stop at 101, closes above it
        102.5 103 101 101.5
        101.5 102 99 99.5
        99.5 100 99 99.5
        """
    )
    falling_back = path(
        """
        100 100.5 99.5 100
        100 100.5 99.5 100
        100 103 98.5 99         # up through the stop, and back below everything
        99 100 98 99.5
        99.5 101 99 100.5
        100.5 101 100 100.5
        """
    )
    gap = path(
        """
        100 100.5 99.5 100
        100 100.5 99.5 100
        104 105 103 104         # opens beyond stop and limit
        104 104 101.5 102       # comes back to the limit
        102 103 101 102
        102 103 101 102
        """
    )
    terms = {
        "limit-above-stop": (101.0, 102.0),
        "limit-at-stop": (101.0, 101.0),
        "limit-below-stop": (101.0, 99.25),
        "limit-far": (101.0, 103.5),
    }
    paths = {"rising": rising, "falling-back": falling_back, "gap": gap}
    made = []
    for name, bars in paths.items():
        mirrored = [None if row is None else _mirror(row) for row in bars]
        buys = [order(1, f"B{n}", 100, stop=stop, limit=limit) for n, (stop, limit) in enumerate(terms.values())]
        sells = [
            order(1, f"S{n}", -100, stop=200 - stop, limit=200 - limit)
            for n, (stop, limit) in enumerate(terms.values())
        ]
        instruments: dict[str, Rows] = {f"B{n}": bars for n in range(4)} | {f"S{n}": mirrored for n in range(4)}
        made.append(
            Scenario(
                f"stop-limit-{name}",
                f"stop-limit orders, limit above, at and below the stop, in a bar that is {name}",
                instruments,
                [*buys, *sells],
                commission=_PERCENT,
                without={**_NO_RESTING, **_ONE},
            )
        )
    for number, (label, (stop, limit)) in enumerate(terms.items()):
        bars = [*rising, *falling_back, *gap]
        made.append(
            Scenario(
                f"stop-limit-{label}",
                "one stop-limit order after the other on one instrument",
                {"A": bars},
                [
                    order(1, "A", 100, stop=stop, limit=limit),
                    order(5, "A", -100),
                    cancel(5, "i1"),
                    order(7, "A", 100, stop=stop, limit=limit),
                    order(11, "A", -100),
                    cancel(11, "i4"),
                    order(13, "A", 100 + number, stop=stop, limit=limit),
                ],
                commission=_PERCENT,
                without=_NO_RESTING,
            )
        )
    return made


def _mirror(row: tuple[float, float, float, float, float]) -> tuple[float, float, float, float, float]:
    """The bar seen in a mirror that stands at 100."""
    opening, high, low, close, volume = row
    return 200 - opening, 200 - low, 200 - high, 200 - close, volume


_TREND = path(
    """
    100 100.5 99.5 100
    100 101 99.5 100.5
    100.5 102 100 101.5
    101.5 104 101 103.5
    103.5 104 102.5 103
    103 105.5 103 105
    105 106 102.75 103.5      # a deep low after a new high
    103.5 104 102.25 102.5
    102.5 103 99 99.5
    99.5 100 98 98.5
    98.5 99 97 97.5
    97.5 99 97 98.5
    98.5 100 98 99.5
    99.5 101.5 99 101
    101 103 100.5 102.5
    95 96 94 95               # a gap down
    95 96 94.5 95.5
    95.5 96 95 95.5
    """
)


def _trailing() -> list[Scenario]:
    def pair(**trail: float) -> list[Intent]:
        return [
            order(1, "A", 100),
            order(2, "A", -100, **trail),
            order(8, "A", -50),
            order(9, "A", 50, **trail),
            order(12, "A", 70),
            order(13, "A", -70, **trail),
        ]

    def held(**trail: float) -> list[Intent]:
        return [bracket(1, "A", 100, **trail), bracket(9, "A", -50, **trail), bracket(13, "A", 70, **trail)]

    attached = "Its trailing stop belongs to a trade and is no order of its own."
    standing = {"backtesting": attached, "vectorbt": attached, **_NO_TRAIL}
    return [
        Scenario("trailing-amount", "a trailing stop order, two dollars behind", {"A": _TREND}, pair(trail_amount=2.0),
                 commission=_PERCENT, without=standing),
        Scenario("trailing-percent", "a trailing stop order, two percent behind", {"A": _TREND},
                 pair(trail_percent=0.02), commission=_PERCENT, without=standing),
        Scenario("entry-trailing-amount", "entries with a trailing stop two dollars behind", {"A": _TREND},
                 held(trail_amount=2.0), commission=_PER_SHARE,
                 without={**_NO_TRAIL, "vectorbt": "Its stops are percentages."}),
        Scenario("entry-trailing-percent", "entries with a trailing stop two percent behind", {"A": _TREND},
                 held(trail_percent=0.02), commission=_PER_SHARE, without=_NO_TRAIL),
    ]  # fmt: skip


def _brackets() -> list[Scenario]:
    def one(name: str, words: str, text: str, *intents: Intent, **more: Any) -> Scenario:
        return Scenario(name, words, {"A": path(text)}, list(intents), commission=_PERCENT, without=_NO_BRACKET, **more)

    start = "100 100.5 99.5 100\n100 100.5 99.5 100\n100 100.5 99.5 100\n"
    end = "\n100 100.5 99.5 100\n100 100.5 99.5 100"
    stop, target = {"stop_loss": 97.0}, {"take_profit": 104.0}
    return [
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


def _more_brackets() -> list[Scenario]:
    quiet = flat(3)
    short = {"stop_loss": 103.0, "take_profit": 96.0}
    wide = {"stop_loss": 97.0, "take_profit": 104.0}
    return [
        Scenario(
            "bracket-short",
            "short brackets: target, stop, both, and a gap through the stop",
            {"A": [*quiet, *path("99 100 95.5 96.5\n98 98 97 97.5\n100 103.5 99 102\n101 102 99 100"), *flat(2),
                   *path("100 104 95 98"), *flat(2), *path("105 106 104 105"), *flat(2)]},
            [bracket(bar, "A", -100, **short) for bar in (1, 4, 7, 10)],
            commission=_PERCENT,
            without=_NO_BRACKET,
        ),
        Scenario(
            "bracket-entry-bar",
            "the bar of the entry reaches the stop, the target, and both",
            {"A": [*flat(2), *path("100 100.5 96 98"), *flat(5), *path("100 105 99 103"), *flat(5),
                   *path("100 105 96 102"), *flat(5)]},
            [bracket(1, "A", 100, **wide), bracket(7, "A", 100, **wide), bracket(13, "A", 100, **wide)],
            commission=_PERCENT,
            without=_NO_BRACKET,
        ),
        Scenario(
            "bracket-limit-entry",
            "brackets entered by a limit, in quiet and in the bar that also reaches an exit",
            {"A": [*flat(2), *path("100 100.5 98.5 99.5\n99.5 105 99 104"), *flat(2), *path("100 100.5 96 97.5"),
                   *path("97.5 99 96.5 98"), *flat(3)]},
            [bracket(1, "A", 100, limit=99.0, **wide), bracket(5, "A", 80, limit=99.0, **wide)],
            commission=_PERCENT,
            without={**_NO_BRACKET, **_NO_RESTING},
        ),
        Scenario(
            "bracket-stop-entry",
            "brackets entered by a stop, in quiet and in the bar that also reaches the target",
            {"A": [*flat(2), *path("100 102 99.5 101.5\n101.5 102 96 97"), *flat(2), *path("100 105 99.5 104.5"),
                   *path("104.5 106 103 105"), *flat(3)]},
            [bracket(1, "A", 100, stop=101.0, **wide), bracket(5, "A", 80, stop=101.0, **wide)],
            commission=_PERCENT,
            without={**_NO_BRACKET, **_NO_RESTING},
        ),
        Scenario(
            "bracket-slippage",
            "exits of a bracket with slippage",
            {"A": [*quiet, *path("99 99.5 96 96.5"), *flat(3), *path("101 105 100 104"), *flat(3)]},
            [bracket(1, "A", 100, **wide), bracket(5, "A", 100, **wide)],
            slippage={"kind": "percent", "rate": 0.002},
            commission=_PERCENT,
            without=_NO_BRACKET,
        ),
        Scenario(
            "bracket-second-entry",
            "a second bracket while the first is open, and a market order that takes part of both away",
            {"A": [*flat(5), *path("99 99.5 98 98.5"), *flat(2), *path("99 100 96 96.5"), *flat(2)]},
            [
                bracket(1, "A", 100, **wide),
                bracket(3, "A", 50, stop_loss=96.5, take_profit=105.0),
                order(5, "A", -120),
            ],
            commission=_PERCENT,
            without={**_NO_BRACKET, "vectorbt": "It keeps one stop for an instrument's whole position."},
        ),
    ]  # fmt: skip


def _groups() -> list[Scenario]:
    only = {
        "zipline": "It has no orders that cancel one another.",
        "vectorbt": _NO_RESTING["vectorbt"],
        "backtesting": "It has no orders that cancel one another, but for the exits of a trade.",
    }
    return [
        Scenario(
            "one-cancels-other",
            "pairs of a limit and a stop: one reached, both reached, a group of three, one withdrawn",
            {"A": [*_AROUND, *path("100 102.5 97.5 100"), *flat(4)]},
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
            commission=_PERCENT,
            without=only,
        ),
    ]


def _cash() -> list[Scenario]:
    jump = path("100 100.5 99.5 100\n100 100.5 99.5 100\n104 106 103 105\n105 106 104 105\n105 106 104 105")
    return [
        Scenario(
            "insufficient-cash",
            "an order far beyond the cash, and a smaller one after it",
            {"A": walk(7, 14)},
            [order(1, "A", 1_500), order(4, "A", 500), order(7, "A", 700), order(10, "A", -300)],
            commission=_PERCENT,
        ),
        Scenario(
            "insufficient-cash-at-open",
            "an order that the close can pay and the next open cannot",
            {"A": jump},
            [order(1, "A", 980), order(3, "A", 100)],
            commission=_PERCENT,
        ),
        Scenario(
            "insufficient-cash-for-commission",
            "an order that the cash pays to the cent, but for the commission",
            {"A": flat(8)},
            [order(1, "A", 1_000), order(3, "A", 999), order(5, "A", -400)],
            commission=_PERCENT,
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
            commission=_PER_SHARE,
            without=_ONE,
        ),
        Scenario(
            "insufficient-cash-in-a-queue",
            "purchases of one instrument on one bar that only together are too much, and a sale after them",
            {"A": flat(8)},
            [order(1, "A", 600), order(1, "A", 600), order(1, "A", 300), order(1, "A", -200), order(4, "A", 250)],
            commission=_PER_SHARE,
            without=_ONE_PLACE,
        ),
        Scenario(
            "reserved-by-open-orders",
            "limit purchases that rest, which together are more than the cash",
            {"A": _AROUND},
            [
                order(1, "A", 700, limit=97.0),
                order(2, "A", 700, limit=99.25),
                order(3, "A", 600),
                order(9, "A", 200, limit=98.75),
            ],
            commission=_PERCENT,
            without=_NO_RESTING,
        ),
        Scenario(
            "leverage",
            "twice the cash bought on margin, more refused, and the way down",
            {"A": walk(8, 16, step=2.0)},
            [order(1, "A", 1_500), order(4, "A", 500), order(8, "A", -900), order(12, "A", 100)],
            commission=_PERCENT,
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
            commission=_PERCENT,
            slippage=_SLIP,
            without=_ONE,
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
            commission=_PERCENT,
            slippage=_SLIP,
            account={"exits_first": True},
            without={
                **_ONE,
                "backtrader": "It processes orders as they were sent.",
                "zipline": "It processes orders as they were sent.",
            },
        ),
    ]


def _shorts() -> list[Scenario]:
    ruin = path(
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
    other = {
        "backtrader": "It always hands out the proceeds.",
        "zipline": "It always hands out the proceeds.",
        "backtesting": "It deals in margin, and not in proceeds.",
    }
    sales = [order(1, "A", -1_500), order(4, "A", 500), order(8, "A", 1_000)]
    return [
        Scenario(
            "short-beyond-cash",
            "a short sale worth more than the account",
            {"A": walk(9, 12)},
            sales,
            commission=_PERCENT,
        ),
        Scenario(
            "short-proceeds-spent",
            "a purchase paid by the proceeds of a short sale",
            {"A": walk(10, 12), "B": walk(11, 12)},
            [order(1, "A", -800), order(3, "B", 1_500), order(7, "B", -1_500), order(8, "A", 800)],
            commission=_PERCENT,
            without=_ONE,
        ),
        Scenario(
            "short-proceeds-locked",
            "the same where proceeds are locked",
            {"A": walk(10, 12), "B": walk(11, 12)},
            [order(1, "A", -800), order(3, "B", 1_500), order(7, "B", -1_500), order(8, "A", 800)],
            commission=_PERCENT,
            account={"lock_short_proceeds": True},
            without=other,
        ),
        Scenario(
            "ruin",
            "a short position whose loss is more than the account, and an order after it",
            {"A": ruin},
            [order(1, "A", -900), order(5, "A", 100)],
            commission=_PER_SHARE,
        ),
    ]


def _targets() -> list[Scenario]:
    names = ["A", "B", "C"]
    plan = [(1, (0.4, 0.3, 0.2)), (6, (0.2, 0.5, 0.2)), (11, (0.0, 0.6, 0.35)), (16, (0.3, 0.0, -0.2)), (21, (0, 0, 0))]
    intents = [intent for bar, parts in plan for intent in target_percent(bar, dict(zip(names, parts, strict=True)))]
    bars = {name: walk(30 + number, 26) for number, name in enumerate(names)}
    return [
        Scenario(
            "target-percent",
            "a part of the account from nothing, and nothing again",
            {"A": walk(12, 16)},
            [*target_percent(1, {"A": 0.6}), *target_percent(8, {"A": 0.0})],
            commission=_PERCENT,
            slippage=_SLIP,
        ),
        Scenario(
            "target-percent-rebalance",
            "three instruments brought to parts of the account five times, a short one among them",
            bars,
            intents,
            commission=_PERCENT,
            slippage=_SLIP,
            without=_ONE,
        ),
        Scenario(
            "target-percent-whole-shares",
            "the same with a commission per share and whole shares",
            bars,
            [dict(intent) for intent in intents],
            commission=_PERCENT,
            account={"whole_shares": True, "exits_first": True},
            without={
                **_ONE,
                "backtrader": "Whole shares are its only way, and it processes orders as they were sent.",
                "zipline": "Whole shares are its only way, and it processes orders as they were sent.",
            },
        ),
        Scenario(
            "target-percent-all",
            "all of the account in one instrument, without room for costs",
            {"A": walk(13, 12)},
            [*target_percent(1, {"A": 1.0}), *target_percent(8, {"A": 0.0})],
            commission=_PERCENT,
            without={"backtesting": "A part of one means one share."},
        ),
    ]


def _liquidity() -> list[Scenario]:
    thin = [(*row[:4], 1_000.0 + 10 * bar) for bar, row in enumerate(walk(14, 20)) if row is not None]
    return [
        Scenario(
            "partial-fills",
            "an order of several bars' volume, with a minimum commission for each order",
            {"A": list(thin)},
            [order(1, "A", 350), order(10, "A", -275)],
            commission=_PER_SHARE,
            participation=0.1,
            without=_NO_CAP,
        ),
        Scenario(
            "partial-fills-percent",
            "the same with slippage and a commission in percent",
            {"A": list(thin)},
            [order(1, "A", 350), order(10, "A", -275)],
            commission=_PERCENT,
            slippage=_SLIP,
            participation=0.1,
            without=_NO_CAP,
        ),
        Scenario(
            "volume-shared",
            "two orders that want the volume of one bar, and a limit that leaves some of it",
            {"A": list(thin)},
            [
                order(1, "A", 150),
                order(1, "A", 120),
                order(8, "A", -200, limit=50.0),
                order(8, "A", -70),
                order(14, "A", 400),
                cancel(15, "i5"),
            ],
            commission=_PER_SHARE,
            participation=0.1,
            without={**_NO_CAP, **_ONE_PLACE},
        ),
        Scenario(
            "partial-limit",
            "a limit order of several bars' volume, reached on the first of them alone",
            {
                "A": path(
                    """
                    100 101 99 100
                    100 101 99 100
                    99 99.5 97.5 98 1000
                    101 102 100 101 1000
                    102 103 101 102 1000
                    98 99 97 98.5 1000
                    99 100 98 99 1000
                    """
                )
            },
            [order(1, "A", 250, limit=98.5)],
            commission=_PERCENT,
            participation=0.1,
            without={**_NO_CAP, **_NO_RESTING},
        ),
        Scenario(
            "volume-none",
            "a market order whose next bar has no volume",
            {"A": [*flat(2), *flat(2, 101.0, volume=0.0), *flat(4, 102.0)]},
            [order(1, "A", 100), order(5, "A", -100)],
            commission=_PERCENT,
        ),
        Scenario(
            "partial-bracket",
            "a bracket whose entry takes several bars",
            {"A": [*flat(6, volume=1_000.0), *path("99 99.5 96 96.5 1000\n97 98 96 97 1000"), *flat(4)]},
            [bracket(1, "A", 250, stop_loss=97.0, take_profit=104.0)],
            commission=_PERCENT,
            participation=0.1,
            without={**_NO_CAP, **_NO_BRACKET, "vectorbt": "What a bar does not fill is dropped."},
        ),
    ]


def _missing() -> list[Scenario]:
    gappy = path(
        """
        50 50.5 49.5 50
        50 50.5 49.5 50
        50 51 48.5 50.5     # its range is known when the order after it is sent
        -
        50.5 51 50 50.5
        50.5 51 50 50.5
        -
        -
        52 53 51.5 52.5
        52.5 53 52 52.5
        52.5 53 52 52.5
        52.5 53 52 52.5
        """
    )
    full = walk(15, 12)
    return [
        Scenario(
            "missing-bars-market",
            "market orders on an instrument that has no next bar, and on the bar that it lacks",
            {"A": full, "B": gappy},
            [
                order(1, "A", 100),
                order(2, "B", 200),
                order(5, "B", -50),
                order(6, "B", -50),
                order(9, "A", -100),
            ],
            commission=_PERCENT,
            without=_ONE,
        ),
        Scenario(
            "missing-bars-resting",
            "limit and stop orders on an instrument that has no next bar, within the range of its last one",
            {"A": full, "B": gappy},
            [
                order(2, "B", 100, limit=49.0),
                order(2, "B", 80, stop=50.75),
                order(5, "B", -60, limit=50.75),
                order(7, "A", 10),
            ],
            commission=_PERCENT,
            without={**_ONE, **_NO_RESTING},
        ),
        Scenario(
            "missing-bars-valuation",
            "a target for an instrument that has no bar now, valued by its last price",
            {"A": full, "B": gappy},
            [
                *target_percent(1, {"A": 0.4, "B": 0.4}),
                *target_percent(6, {"A": 0.2, "B": 0.5}),
                *target_percent(9, {"A": 0.5, "B": 0.2}),
            ],
            commission=_PERCENT,
            without=_ONE,
        ),
    ]


def _expiry() -> list[Scenario]:
    minutes: Rows = [row for session in range(2) for row in _session(100.0 + session)]
    return [
        Scenario(
            "day-orders",
            "orders of the day on daily bars, sent when their day is over",
            {"A": _AROUND},
            [
                order(1, "A", 100, limit=99.0, tif="day"),
                order(3, "A", -100, limit=101.0, tif="day"),
                order(5, "A", 100, tif="day"),
                order(8, "A", -40, stop=98.75, tif="day"),
                order(8, "A", -30, stop=98.75, tif="day"),
            ],
            commission=_PERCENT,
            without=_NO_EXPIRY,
        ),
        Scenario(
            "day-orders-minute",
            "orders of the day on minute bars: one filled, one expired at the close, one of the next day",
            {"A": minutes},
            [
                order(10, "A", 100, limit=99.0, tif="day"),
                order(20, "A", 100, limit=97.0, tif="day"),
                order(200, "A", -50, stop=98.0, tif="day"),
                order(389, "A", 20, tif="day"),
                order(400, "A", 30, limit=100.25, tif="day"),
                order(500, "A", -30, limit=104.0, tif="day"),
            ],
            commission=_PERCENT,
            frequency="minute",
            without=_NO_EXPIRY,
        ),
        Scenario(
            "good-till-date",
            "orders that are good until a bar, which may still fill them, and not after it",
            {"A": _AROUND},
            [
                order(1, "A", 100, limit=98.75, tif="gtd", expires=2),
                order(2, "A", 50, stop=101.25, tif="gtd", expires=3),
                order(2, "A", 60, stop=101.25, tif="gtd", expires=4),
                order(8, "A", -30, stop=98.75, tif="gtd", expires=9),
                order(9, "A", 30, limit=97.0, tif="gtd", expires=12),
            ],
            commission=_PERCENT,
            without={**_NO_EXPIRY, "zipline": "Its orders never expire on a date."},
        ),
    ]


def _session(price: float) -> Rows:
    """One session of minutes, with a dip at the hundredth minute and a fall in the last one."""
    rows: Rows = [(price, price + 0.25, price - 0.25, price, 5_000.0)] * 390
    rows[100] = (price, price, price - 1.5, price - 1.25, 5_000.0)
    rows[389] = (price, price, price - 1, price - 1, 5_000.0)
    return rows


def _edges() -> list[Scenario]:
    bars = walk(16, 8)
    return [
        Scenario(
            "last-bar-order",
            "a market order and a limit order on the last bar",
            {"A": bars, "B": walk(17, 8)},
            [order(6, "A", 100), order(7, "B", 100)],
            commission=_PERCENT,
            without=_ONE,
        ),
        Scenario("last-bar-order-single", "the same with one instrument", {"A": bars},
                 [order(1, "A", 50), order(6, "A", 100), order(7, "A", -40)], commission=_PERCENT),
        Scenario("first-bar-order", "an order on the very first bar", {"A": bars},
                 [order(0, "A", 100), order(4, "A", -100)], commission=_PERCENT, without=_FIRST),
        Scenario(
            "fractional-quantity",
            "a part of a share",
            {"A": bars},
            [order(1, "A", 10.75), order(3, "A", 0.5), order(5, "A", -4.99995)],
            commission=_PERCENT,
            without={"backtesting": "It refuses parts of a share."},
        ),
    ]  # fmt: skip


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
                commission=_PER_SHARE if seed % 2 else _PERCENT,
                slippage=_SLIP if seed % 3 == 0 else {"kind": "none"},
                without=_NO_RESTING,
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
                commission=_PERCENT,
                slippage=_SLIP,
                without=_ONE,
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
                commission=_PERCENT,
                without=_NO_BRACKET
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


SCENARIOS = {scenario.name: scenario for scenario in scenarios()}
