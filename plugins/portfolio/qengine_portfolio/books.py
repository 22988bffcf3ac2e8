"""The accounts' memory: what is held, owed and reserved, in arrays that compiled code works on.

Positions lie by account and then by instrument code: ``account * instruments + code``.Python reads
through memoryviews, which follow every change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qengine_core.plugin import Instrument
from qengine_portfolio.flows import Flows
from qengine_portfolio.native import address, live

__all__ = ["ACCOUNT", "FILL", "HEAD", "INSTRUMENT", "POSITION", "Books"]

POSITION = np.dtype(
    [
        ("quantity", "f8"),  # signed
        ("average_price", "f8"),
        ("realised_pnl", "f8"),  # gross of commission
        ("selling", "f8"),  # what open sell orders would take away
        ("sellers", "i8"),  # how many of them there are
    ]
)

ACCOUNT = np.dtype(
    [
        ("reserved", "f8"),  # by open orders; less than nothing where they free more than they take
        ("reservations", "i8"),
        ("held_count", "i8"),
        ("month", "i8"),  # the calendar month that the next two are of
        ("month_quantity", "f8"),
        ("month_notional", "f8"),
    ]
)

INSTRUMENT = np.dtype(
    [("multiplier", "f8"), ("lot_size", "f8"), ("tick_size", "f8"), ("currency", "i8")],
)

# One execution. ``row`` is the row of block number ``block`` that the clock stood on.
FILL = np.dtype(
    [
        ("ts", "i8"),
        ("order", "i8"),
        ("block", "i8"),
        ("row", "i8"),
        ("quantity", "f8"),
        ("price", "f8"),
        ("commission", "f8"),
        ("slippage", "f8"),  # per unit
        ("code", "i8"),
        ("account", "i8"),
        ("side", "i8"),
        ("maker", "i8"),
    ],
    align=True,
)

HEAD = np.dtype(
    [
        *((name, "i8") for name in ("positions", "accounts", "instruments", "cash", "rates", "marks", "held", "fills")),
        *((name, "i8") for name in ("account_count", "instrument_count", "currency_count", "fill_count")),
        *((name, "i8") for name in ("checks", "shorts")),
    ]
)

# Memory that nobody has written to is only an address range, while copying it to grow is dear.
_FIRST_FILLS = 1 << 18


class Books:
    """The arrays of all accounts of a run, and where they are."""

    def __init__(self, instruments: Sequence[Instrument], cash: Sequence[float], currency: str) -> None:
        count, accounts = len(instruments), len(cash)
        currencies = dict.fromkeys([currency, *(instrument.currency for instrument in instruments)])
        self.currencies = tuple(currencies)
        self.head = np.zeros(1, HEAD)
        self.positions = np.zeros(max(1, accounts * count), POSITION)
        self.accounts = np.zeros(accounts, ACCOUNT)
        self.instruments = np.zeros(max(1, count), INSTRUMENT)
        for code, instrument in enumerate(instruments):
            grid = (instrument.multiplier, instrument.lot_size, instrument.tick_size)
            self.instruments[code] = (*grid, self.currencies.index(instrument.currency))
        self.cash = np.zeros(accounts * len(currencies))
        self.cash[:: len(currencies)] = cash
        self.rates = np.ones(len(currencies))
        self.marks = np.full(max(1, count), np.nan)
        self.held = np.zeros(accounts * (count + 1), dtype=np.int64)
        self.fills = np.zeros(0, FILL)
        self.flows = Flows()
        head = self.head[0]
        for name in ("positions", "accounts", "instruments", "cash", "rates", "marks", "held"):
            head[name] = address(getattr(self, name))
        head["account_count"], head["instrument_count"], head["currency_count"] = accounts, count, len(currencies)
        self.address = address(self.head)
        self._fill_count = live(self.head["fill_count"])
        self.room = 0
        self.make_room(_FIRST_FILLS)

    @property
    def fill_count(self) -> int:
        return self._fill_count[0]

    def make_room(self, fills: int) -> None:
        """See to it that so many more fills can be written."""
        wanted = self._fill_count[0] + fills
        if wanted > self.room:
            grown = np.empty(max(wanted, 2 * self.room), FILL)
            grown[: self.fill_count] = self.fills[: self.fill_count]
            self.fills, self.room = grown, len(grown)
            self.head["fills"] = address(grown)
