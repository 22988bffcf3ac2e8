"""What the market allows: volume, missing bars, expiry, the first and the last bar."""

from __future__ import annotations

from benchmarks.parity.bars import Rows, flat, path, walk
from benchmarks.parity.scenario import Scenario, bracket, cancel, order, target_percent
from benchmarks.parity.scenarios.terms import (
    AROUND,
    FIRST,
    NO_BRACKET,
    NO_CAP,
    NO_EXPIRY,
    NO_RESTING,
    ONE,
    ONE_PLACE,
    PER_SHARE,
    PERCENT,
    SLIP,
)

__all__ = ["EDGES", "EXPIRY", "LIQUIDITY", "MISSING"]


def _session(price: float) -> Rows:
    """One session of minutes, with a dip at the hundredth minute and a fall in the last one."""
    rows: Rows = [(price, price + 0.25, price - 0.25, price, 5_000.0)] * 390
    rows[100] = (price, price, price - 1.5, price - 1.25, 5_000.0)
    rows[389] = (price, price, price - 1, price - 1, 5_000.0)
    return rows


_THIN = [(*row[:4], 1_000.0 + 10 * bar) for bar, row in enumerate(walk(14, 20)) if row is not None]
LIQUIDITY = [
    Scenario(
        "partial-fills",
        "an order of several bars' volume, with a minimum commission for each order",
        {"A": list(_THIN)},
        [order(1, "A", 350), order(10, "A", -275)],
        commission=PER_SHARE,
        participation=0.1,
        without=NO_CAP,
    ),
    Scenario(
        "partial-fills-percent",
        "the same with slippage and a commission in percent",
        {"A": list(_THIN)},
        [order(1, "A", 350), order(10, "A", -275)],
        commission=PERCENT,
        slippage=SLIP,
        participation=0.1,
        without=NO_CAP,
    ),
    Scenario(
        "volume-shared",
        "two orders that want the volume of one bar, and a limit that leaves some of it",
        {"A": list(_THIN)},
        [
            order(1, "A", 150),
            order(1, "A", 120),
            order(8, "A", -200, limit=50.0),
            order(8, "A", -70),
            order(14, "A", 400),
            cancel(15, "i5"),
        ],
        commission=PER_SHARE,
        participation=0.1,
        without={**NO_CAP, **ONE_PLACE},
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
        commission=PERCENT,
        participation=0.1,
        without={**NO_CAP, **NO_RESTING},
    ),
    Scenario(
        "volume-none",
        "a market order whose next bar has no volume",
        {"A": [*flat(2), *flat(2, 101.0, volume=0.0), *flat(4, 102.0)]},
        [order(1, "A", 100), order(5, "A", -100)],
        commission=PERCENT,
    ),
    Scenario(
        "partial-bracket",
        "a bracket whose entry takes several bars",
        {"A": [*flat(6, volume=1_000.0), *path("99 99.5 96 96.5 1000\n97 98 96 97 1000"), *flat(4)]},
        [bracket(1, "A", 250, stop_loss=97.0, take_profit=104.0)],
        commission=PERCENT,
        participation=0.1,
        without={**NO_CAP, **NO_BRACKET, "vectorbt": "What a bar does not fill is dropped."},
    ),
]

_GAPPY = path(
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
_FULL = walk(15, 12)
MISSING = [
    Scenario(
        "missing-bars-market",
        "market orders on an instrument that has no next bar, and on the bar that it lacks",
        {"A": _FULL, "B": _GAPPY},
        [
            order(1, "A", 100),
            order(2, "B", 200),
            order(5, "B", -50),
            order(6, "B", -50),
            order(9, "A", -100),
        ],
        commission=PERCENT,
        without=ONE,
    ),
    Scenario(
        "missing-bars-resting",
        "limit and stop orders on an instrument that has no next bar, within the range of its last one",
        {"A": _FULL, "B": _GAPPY},
        [
            order(2, "B", 100, limit=49.0),
            order(2, "B", 80, stop=50.75),
            order(5, "B", -60, limit=50.75),
            order(7, "A", 10),
        ],
        commission=PERCENT,
        without={**ONE, **NO_RESTING},
    ),
    Scenario(
        "missing-bars-valuation",
        "a target for an instrument that has no bar now, valued by its last price",
        {"A": _FULL, "B": _GAPPY},
        [
            *target_percent(1, {"A": 0.4, "B": 0.4}),
            *target_percent(6, {"A": 0.2, "B": 0.5}),
            *target_percent(9, {"A": 0.5, "B": 0.2}),
        ],
        commission=PERCENT,
        without=ONE,
    ),
]

_MINUTES: Rows = [row for session in range(2) for row in _session(100.0 + session)]
EXPIRY = [
    Scenario(
        "day-orders",
        "orders of the day on daily bars, sent when their day is over",
        {"A": AROUND},
        [
            order(1, "A", 100, limit=99.0, tif="day"),
            order(3, "A", -100, limit=101.0, tif="day"),
            order(5, "A", 100, tif="day"),
            order(8, "A", -40, stop=98.75, tif="day"),
            order(8, "A", -30, stop=98.75, tif="day"),
        ],
        commission=PERCENT,
        without=NO_EXPIRY,
    ),
    Scenario(
        "day-orders-minute",
        "orders of the day on minute bars: one filled, one expired at the close, one of the next day",
        {"A": _MINUTES},
        [
            order(10, "A", 100, limit=99.0, tif="day"),
            order(20, "A", 100, limit=97.0, tif="day"),
            order(200, "A", -50, stop=98.0, tif="day"),
            order(389, "A", 20, tif="day"),
            order(400, "A", 30, limit=100.25, tif="day"),
            order(500, "A", -30, limit=104.0, tif="day"),
        ],
        commission=PERCENT,
        frequency="minute",
        without=NO_EXPIRY,
    ),
    Scenario(
        "good-till-date",
        "orders that are good until a bar, which may still fill them, and not after it",
        {"A": AROUND},
        [
            order(1, "A", 100, limit=98.75, tif="gtd", expires=2),
            order(2, "A", 50, stop=101.25, tif="gtd", expires=3),
            order(2, "A", 60, stop=101.25, tif="gtd", expires=4),
            order(8, "A", -30, stop=98.75, tif="gtd", expires=9),
            order(9, "A", 30, limit=97.0, tif="gtd", expires=12),
        ],
        commission=PERCENT,
        without={**NO_EXPIRY, "zipline": "Its orders never expire on a date."},
    ),
]

bars = walk(16, 8)
EDGES = [
    Scenario(
        "last-bar-order",
        "a market order and a limit order on the last bar",
        {"A": bars, "B": walk(17, 8)},
        [order(6, "A", 100), order(7, "B", 100)],
        commission=PERCENT,
        without=ONE,
    ),
    Scenario("last-bar-order-single", "the same with one instrument", {"A": bars},
             [order(1, "A", 50), order(6, "A", 100), order(7, "A", -40)], commission=PERCENT),
    Scenario("first-bar-order", "an order on the very first bar", {"A": bars},
             [order(0, "A", 100), order(4, "A", -100)], commission=PERCENT, without=FIRST),
    Scenario(
        "fractional-quantity",
        "a part of a share",
        {"A": bars},
        [order(1, "A", 10.75), order(3, "A", 0.5), order(5, "A", -4.99995)],
        commission=PERCENT,
        without={"backtesting": "It refuses parts of a share."},
    ),
]  # fmt: skip
