"""Who takes part, in which sizes, and what must be known to read the figures. It runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["OUR_COUNTS", "OUR_NOTES", "PEERS", "Contestant"]


@dataclass(frozen=True)
class Contestant:
    """A peer: how many rows it takes of each workload it can do, and why it does not do the others.

    ``counts`` says what its seconds are; ``notes`` say by workload what its own semantics make different. ``script``
    is the module in ``peers``, and ``lane`` what it is told to compute with where it has a choice.
    """

    name: str
    script: str
    counts: str
    rows: Mapping[str, int]
    without: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)
    lane: str = ""


OUR_COUNTS = "the engine's loop, with reading and checking of the frame; in W7 and W8 all of `Engine.run`"
OUR_NOTES = {
    "W2": "Nothing is traded in the first 253 days, so that the shorter the slice, the less there is to do per row.",
    "W6": 'QEngine\'s broker is told `buying_power = "proceeds"` and `admission = "in-sequence"`, as the peers do it; '
    "by default it holds the proceeds of short sales as collateral, and refuses 2 % of these orders.",
}
_ONE_INSTRUMENT = "it trades one instrument"
_BARS = "it knows bars, and no prints"
_THOUSANDTHS = (
    "zipline stores prices as thousandths; it is given a slippage model that fills at the open of the next bar, where "
    "it would fill at its close."
)
_DAYS_250, _DAYS_1000 = 250, 1_000  # rows of a day

_VECTORBT = {"W1": 1_000_000, "W2": 2_520 * _DAYS_250, "W5": 100_000, "W6": 2_520 * _DAYS_1000}
_VECTORISED = (
    "signals, simulation and the final value, over whole arrays, no Python callback; an order is laid on the row after "
    "the one it is decided on, at that row's open; warmed up"
)

PEERS = {
    peer.name: peer
    for peer in (
        Contestant(
            "vectorbt",
            script="vectorbt",
            lane="numba",
            counts=f"{_VECTORISED}. In W3 a function compiled with numba is called on every bar",
            rows=_VECTORBT | {"W3": 1_000_000},
            without={"W4": "it has no resting orders"},
        ),
        Contestant(
            "vectorbt-rust",
            script="vectorbt",
            lane="rust",
            counts=f"as vectorbt, with its engine in Rust: {_VECTORISED}",
            rows=_VECTORBT,
            without={"W3": "its engine in Rust calls nobody back", "W4": "it has no resting orders"},
        ),
        Contestant(
            "backtesting",
            script="backtesting",
            counts="the loop with a Python callback a bar, without the statistics after it",
            rows={"W1": 500_000, "W3": 500_000, "W5": 100_000},
            without={"W2": _ONE_INSTRUMENT, "W4": _BARS, "W6": _ONE_INSTRUMENT},
            notes={"W5": "backtesting.py calls the strategy from the second bar on, so it sends one order less."},
        ),
        Contestant(
            "backtrader",
            script="backtrader",
            counts="the loop with a Python callback a bar, after the feeds were loaded",
            rows={
                "W1": 150_000,
                "W2": 756 * _DAYS_250,
                "W3": 200_000,
                "W4": 150_000,
                "W5": 30_000,
                "W6": 100 * _DAYS_1000,
            },
            without={},
            notes={"W4": "To backtrader a print is a bar with one price."},
        ),
        Contestant(
            "bt",
            script="bt",
            counts="the loop with a Python callback a row, without the statistics after it",
            rows={
                "W1": 200_000,
                "W2": 2_520 * _DAYS_250,
                "W3": 150_000,
                "W5": 100_000,
                "W6": 150 * _DAYS_1000,
            },
            without={"W4": "it has no resting orders"},
            notes=dict.fromkeys(
                ("W1", "W2", "W5", "W6"),
                "bt fills at the one price that it knows of a row; it is given opens, and decides from the closes "
                "before.",
            ),
        ),
        Contestant(
            "zipline",
            script="zipline",
            counts="from the first to the last Python callback, one a minute of its sessions or one a day, "
            "with the data in a bundle on disk",
            rows={
                "W1": 70 * 1_440 - 1,
                "W2": 504 * _DAYS_250,
                "W3": 70 * 1_440 - 1,
                "W5": 30 * 1_440 - 1,
                "W6": 60 * _DAYS_1000,
            },
            without={"W4": _BARS},
            notes=dict.fromkeys(("W1", "W5"), _THOUSANDTHS)
            | dict.fromkeys(("W2", "W6"), f"{_THOUSANDTHS} It cuts quantities to whole shares."),
        ),
        Contestant(
            "hftbacktest",
            script="hftbacktest",
            counts="the loop with a callback compiled with numba a print; warmed up",
            rows={"W4": 10_000_000, "W8": 20 * 500_000},
            without=dict.fromkeys(("W1", "W2", "W3", "W5", "W6", "W7"), "it replays prints and books, and no bars"),
            notes={
                "W8": "hftbacktest's own form are arrays in memory, so reading and conversion are in its process time "
                "alone."
            },
        ),
        Contestant(
            "nautilus_trader",
            script="nautilus_trader",
            counts="from the strategy's start to its stop, a Python callback a bar or print",
            rows={
                "W1": 40_000,
                "W2": 504 * _DAYS_250,
                "W3": 200_000,
                "W4": 500_000,
                "W5": 10_000,
                "W6": 45 * _DAYS_1000,
            },
            without={},
            notes=dict.fromkeys(
                ("W1", "W2", "W5", "W6"),
                "nautilus_trader fills a market order at once, at the close that it is decided on, those of the last "
                "bar, too; it keeps six digits of quantities and prices, and books whole cents.",
            ),
        ),
        Contestant(
            "ml4t-backtest",
            script="ml4t_backtest",
            counts="from the strategy's start to its end, a Python callback a timestamp",
            rows={
                "W1": 70_000,
                "W2": 2_520 * _DAYS_250,
                "W3": 100_000,
                "W4": 70_000,
                "W5": 30_000,
                "W6": 100 * _DAYS_1000,
            },
            without={},
            notes={"W4": "To ml4t-backtest a print is a bar with one price."},
        ),
    )
}
