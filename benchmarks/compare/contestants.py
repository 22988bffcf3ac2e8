"""Who takes part, in which sizes, and what must be known to read the figures. It runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PEERS", "Contestant"]


@dataclass(frozen=True)
class Contestant:
    """A peer: how many rows it takes of each workload it can do, and why it does not do the others.

    ``counts`` says what its seconds are; ``notes`` say by workload what its own semantics make different.
    """

    name: str
    counts: str
    rows: Mapping[str, int]
    without: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The script in ``peers``."""
        return self.name.replace("-", "_")


_ONE_INSTRUMENT = "it trades one instrument"
_BARS = "it knows bars only"

PEERS = {
    peer.name: peer
    for peer in (
        Contestant(
            "backtesting",
            counts="`Backtest.run`, a Python callback a bar, with the statistics that the library ends with",
            rows={"W1": 1_000_000, "W3": 1_000_000, "W5": 100_000},
            without={"W2": _ONE_INSTRUMENT, "W4": _BARS, "W6": _ONE_INSTRUMENT},
        ),
    )
}
