"""Stop-limit orders and trailing stops, bar by bar."""

from __future__ import annotations

from benchmarks.parity.bars import Rows, path
from benchmarks.parity.scenario import Intent, Scenario, bracket, cancel, order
from benchmarks.parity.scenarios.terms import NO_RESTING, NO_TRAIL, ONE, PER_SHARE, PERCENT

__all__ = ["STOP_LIMITS", "TRAILING"]

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

_RISING = path(
    """
    100 100.5 99.5 100
    100 100.5 99.5 100
    100 103 99.5 102.5      # opens below the stop at 101, closes above it
    102.5 103 101 101.5
    101.5 102 99 99.5
    99.5 100 99 99.5
    """
)
_FALLING_BACK = path(
    """
    100 100.5 99.5 100
    100 100.5 99.5 100
    100 103 98.5 99         # up through the stop, and back below everything
    99 100 98 99.5
    99.5 101 99 100.5
    100.5 101 100 100.5
    """
)
_GAP = path(
    """
    100 100.5 99.5 100
    100 100.5 99.5 100
    104 105 103 104         # opens beyond stop and limit
    104 104 101.5 102       # comes back to the limit
    102 103 101 102
    102 103 101 102
    """
)
_TERMS = {
    "limit-above-stop": (101.0, 102.0),
    "limit-at-stop": (101.0, 101.0),
    "limit-below-stop": (101.0, 99.25),
    "limit-far": (101.0, 103.5),
}
_PATHS = {"rising": _RISING, "falling-back": _FALLING_BACK, "gap": _GAP}


def _stop_limits() -> list[Scenario]:
    """All terms at once, each on an instrument of its own; then one after the other on one instrument."""
    return [_side_by_side(name, bars) for name, bars in _PATHS.items()] + [
        _in_turn(label, number, stop, limit) for number, (label, (stop, limit)) in enumerate(_TERMS.items())
    ]


def _side_by_side(name: str, bars: Rows) -> Scenario:
    mirrored = [None if row is None else _mirror(row) for row in bars]
    prices = list(enumerate(_TERMS.values()))
    buys = [order(1, f"B{n}", 100, stop=stop, limit=limit) for n, (stop, limit) in prices]
    sells = [order(1, f"S{n}", -100, stop=200 - stop, limit=200 - limit) for n, (stop, limit) in prices]
    return Scenario(
        f"stop-limit-{name}",
        f"stop-limit orders, limit above, at and below the stop, in a bar that is {name}",
        {f"B{n}": bars for n in range(4)} | {f"S{n}": mirrored for n in range(4)},
        [*buys, *sells],
        commission=PERCENT,
        without={**NO_RESTING, **ONE},
    )


def _in_turn(label: str, number: int, stop: float, limit: float) -> Scenario:
    terms = {"stop": stop, "limit": limit}
    return Scenario(
        f"stop-limit-{label}",
        "one stop-limit order after the other on one instrument",
        {"A": [*_RISING, *_FALLING_BACK, *_GAP]},
        [
            order(1, "A", 100, **terms),
            order(5, "A", -100),
            cancel(5, "i1"),
            order(7, "A", 100, **terms),
            order(11, "A", -100),
            cancel(11, "i4"),
            order(13, "A", 100 + number, **terms),
        ],
        commission=PERCENT,
        without=NO_RESTING,
    )


def _mirror(row: tuple[float, float, float, float, float]) -> tuple[float, float, float, float, float]:
    """The bar seen in a mirror that stands at 100."""
    opening, high, low, close, volume = row
    return 200 - opening, 200 - low, 200 - high, 200 - close, volume


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
    standing = {"backtesting": attached, "vectorbt": attached, **NO_TRAIL}
    return [
        Scenario("trailing-amount", "a trailing stop order, two dollars behind", {"A": _TREND}, pair(trail_amount=2.0),
                 commission=PERCENT, without=standing),
        Scenario("trailing-percent", "a trailing stop order, two percent behind", {"A": _TREND},
                 pair(trail_percent=0.02), commission=PERCENT, without=standing),
        Scenario("entry-trailing-amount", "entries with a trailing stop two dollars behind", {"A": _TREND},
                 held(trail_amount=2.0), commission=PER_SHARE,
                 without={**NO_TRAIL, "vectorbt": "Its stops are percentages."}),
        Scenario("entry-trailing-percent", "entries with a trailing stop two percent behind", {"A": _TREND},
                 held(trail_percent=0.02), commission=PER_SHARE, without=NO_TRAIL),
    ]  # fmt: skip


STOP_LIMITS = _stop_limits()
TRAILING = _trailing()
