"""What scenarios share: costs, quiet bars around one hundred, and why a peer is left out."""

from __future__ import annotations

from benchmarks.parity.bars import path

__all__ = [
    "AROUND",
    "FIRST",
    "NO_BRACKET",
    "NO_CAP",
    "NO_EXPIRY",
    "NO_RESTING",
    "NO_TRAIL",
    "ONE",
    "ONE_PLACE",
    "PERCENT",
    "PERCENT_ONLY",
    "PER_SHARE",
    "SLIP",
]

PERCENT = {"kind": "percent", "rate": 0.001}
PER_SHARE = {"kind": "per-share", "rate": 0.005, "minimum": 1.0}
SLIP = {"kind": "percent", "rate": 0.0005}

ONE = {"backtesting": "It trades one instrument."}
NO_RESTING = {"vectorbt": "It keeps no resting orders: an order is filled on its bar, or not at all."}
NO_BRACKET = {"zipline": "It has no orders that depend on one another."}
NO_TRAIL = {"zipline": "It has no trailing stops."}
ONE_PLACE = {"vectorbt": "It takes one order for a bar and instrument."}
NO_CAP = {"backtesting": "It knows no cap on volume."}
NO_EXPIRY = {
    "backtesting": "Its orders never expire.",
    "vectorbt": NO_RESTING["vectorbt"],
}
PERCENT_ONLY = {
    "vectorbt": "Its slippage is a percentage.",
    "backtesting": "Its spread is a percentage.",
}
FIRST = {"backtesting": "Its strategies are first asked on the second bar."}

AROUND = path(
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
