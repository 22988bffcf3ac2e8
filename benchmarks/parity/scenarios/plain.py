"""Market, limit and stop orders on one instrument, and what they cost."""

from __future__ import annotations

from benchmarks.parity.bars import path, walk
from benchmarks.parity.scenario import Scenario, cancel, order
from benchmarks.parity.scenarios.terms import (
    AROUND,
    FIRST,
    NO_RESTING,
    ONE_PLACE,
    PER_SHARE,
    PERCENT,
    PERCENT_ONLY,
    SLIP,
)

__all__ = ["COSTS", "LIMITS_AND_STOPS", "MARKET"]


MARKET = [
    Scenario(
        "long-only",
        "buying in two steps and selling in two steps",
        {"A": walk(1, 20)},
        [order(1, "A", 100), order(4, "A", 50), order(8, "A", -60), order(13, "A", -90)],
        commission=PER_SHARE,
        slippage=SLIP,
    ),
    Scenario(
        "long-short",
        "a long position, then a short one, each opened from nothing",
        {"A": walk(2, 24)},
        [order(1, "A", 100), order(6, "A", -100), order(8, "A", -80), order(14, "A", 80)],
        commission=PERCENT,
        slippage=SLIP,
    ),
    Scenario(
        "reversal",
        "orders that close a position and open the opposite one, with a minimum commission",
        {"A": walk(3, 20)},
        [order(1, "A", 100), order(5, "A", -250), order(10, "A", 300), order(15, "A", -150)],
        commission=PER_SHARE,
    ),
    Scenario(
        "several-orders-a-bar",
        "three orders for one instrument on one bar, two of which take each other away",
        {"A": walk(4, 12)},
        [order(2, "A", 100), order(2, "A", -40), order(2, "A", 30), order(7, "A", -90)],
        commission=PER_SHARE,
        slippage=SLIP,
        without=ONE_PLACE,
    ),
]

_CLOSING_HIGH = path(
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
_SIZES = [order(1 + 2 * step, "A", size) for step, size in enumerate([50, 199, 200, 201, 350, -1_000])]
COSTS = [
    Scenario(
        "commission-minimum",
        "a commission per share with a minimum, below, at and above it",
        {"A": walk(5, 16)},
        _SIZES,
        cash=500_000.0,
        commission=PER_SHARE,
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
        {"A": _CLOSING_HIGH},
        [order(1, "A", 100), order(3, "A", -100)],
        slippage={"kind": "percent", "rate": 0.01},
    ),
    Scenario(
        "slippage-fixed",
        "slippage of a fixed amount a share, once inside the bar's range and once outside it",
        {"A": _CLOSING_HIGH},
        [order(0, "A", 100), order(1, "A", 100), order(3, "A", -200)],
        slippage={"kind": "fixed", "amount": 0.25},
        commission=PERCENT,
        without=PERCENT_ONLY,
    ),
    Scenario(
        "slippage-on-resting-orders",
        "slippage of limit and stop orders, at the open and inside the bar",
        {"A": AROUND},
        [
            order(1, "A", 100, limit=99.0),
            order(3, "A", -100, limit=101.0),
            order(6, "A", 100, stop=101.0),
            order(8, "A", -100, stop=99.0),
            order(11, "A", 50, limit=103.0),
            order(13, "A", -50, limit=97.0),
        ],
        slippage={"kind": "percent", "rate": 0.002},
        without=NO_RESTING,
    ),
]

_GAPS = path(
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
LIMITS_AND_STOPS = [
    Scenario(
        "limit-orders",
        "limits inside the bar, exactly at its extreme, marketable when sent, and never reached",
        {"A": AROUND},
        [
            order(1, "A", 100, limit=98.5),  # the exact low of the next bar
            order(3, "A", -100, limit=101.5),  # the exact high of the next bar
            order(5, "A", 60, limit=102.0),  # above the market: marketable
            order(6, "A", -60, limit=98.0),
            order(7, "A", 40, limit=90.0),  # never
            order(8, "A", 30, limit=98.75),  # waits
        ],
        commission=PERCENT,
        without=NO_RESTING,
    ),
    Scenario(
        "limit-favourable-gap",
        "limits that the market gaps through to the order's advantage",
        {"A": _GAPS},
        [order(1, "A", 100, limit=98.0), order(3, "A", -100, limit=99.0), order(7, "A", 50, limit=105.0)],
        commission=PER_SHARE,
        without=NO_RESTING,
    ),
    Scenario(
        "stop-orders",
        "stops inside the bar, exactly at its extreme, already through when sent, and never reached",
        {"A": AROUND},
        [
            order(1, "A", 100, stop=100.5),  # the exact high of the next bar
            order(3, "A", -100, stop=99.75),  # the exact low of the next bar
            order(5, "A", 60, stop=99.0),  # below the market: through when sent
            order(6, "A", 40, stop=101.25),
            order(8, "A", -100, stop=99.0),
            order(9, "A", 70, stop=120.0),  # never
        ],
        commission=PERCENT,
        without=NO_RESTING,
    ),
    Scenario(
        "stop-gap",
        "stops that the market gaps through to the order's disadvantage",
        {"A": _GAPS},
        [
            order(0, "A", 100),
            order(1, "A", -100, stop=98.0),
            order(3, "A", 80, stop=99.0),
            order(7, "A", -80, stop=105.0),
        ],
        commission=PER_SHARE,
        without={**NO_RESTING, **FIRST},
    ),
    Scenario(
        "cancelled-orders",
        "orders withdrawn before they are reached, and on the very bar that fills them",
        {"A": AROUND},
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
        commission=PERCENT,
        without=NO_RESTING,
    ),
]
