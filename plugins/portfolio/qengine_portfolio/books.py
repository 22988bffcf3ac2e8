"""The accounts' memory: what is held, owed and reserved, in arrays that compiled code works on.

Positions lie by account and then by instrument code: ``account * instruments + code``; cash by account and
then by currency, of which the first is the ledger's own. Python reads through memoryviews, which follow every change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.plugin import Instrument
from qengine_portfolio.flows import Flows
from qengine_portfolio.native import address, live

__all__ = ["ACCOUNT", "FILL", "HEAD", "INSTRUMENT", "PAIR", "POSITION", "Books", "Pair"]

POSITION = np.dtype(
    [
        ("quantity", "f8"),  # signed
        ("average_price", "f8"),
        ("realised_pnl", "f8"),  # gross of commission
        ("selling", "f8"),  # what open sell orders would take away
        ("sellers", "i8"),  # how many of them there are
        ("unsettled", "f8"),  # what sales of it have brought and cannot be spent yet, in the ledger's currency
    ]
)

ACCOUNT = np.dtype(
    [
        ("reserved", "f8"),  # by open orders; less than nothing where they free more than they take
        ("reservations", "i8"),
        ("unsettled", "f8"),  # of all its positions
        ("held_count", "i8"),
        ("day", "i8"),  # the day (UTC, since 1970) of the last fill, and the calendar month that the next two are of
        ("month", "i8"),
        ("month_quantity", "f8"),
        ("month_notional", "f8"),
    ]
)

INSTRUMENT = np.dtype(
    [("multiplier", "f8"), ("lot_size", "f8"), ("tick_size", "f8"), ("currency", "i8")],
)

# Where a currency's rate comes from: the instrument whose price it is (-1: it does not change), or one over it.
PAIR = np.dtype([("code", "i8"), ("inverse", "i8")])

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
        ("fx_rate", "f8"),  # what a unit of the instrument's currency was worth in the ledger's
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
        *((name, "i8") for name in ("checks", "shorts", "settles", "fill_room")),
        ("pairs", "i8"),
        ("foreign", "i8"),  # how many currencies there are besides the ledger's
        ("converts", "i8"),  # whether what a fill pays or brings in one of them is exchanged at once
    ]
)

# Memory that nobody has written to is only an address range, while copying it to grow is dear.
_FIRST_FILLS = 1 << 20


@attrs.frozen
class Pair:
    """A currency's rate: ``rate`` for good, or the last price of the instrument ``code``, or one over that."""

    rate: float = 1.0
    code: int = -1
    inverse: bool = False


class Books:
    """The arrays of all accounts of a run, and where they are.

    ``accounts`` is the cash that each starts with, by name; ``pairs`` has every currency but the ledger's own.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        accounts: Mapping[str, float],
        currency: str,
        pairs: Mapping[str, Pair] | None = None,
    ) -> None:
        count, pairs = len(instruments), {currency: Pair()} | dict(pairs or {})
        self.names = tuple(accounts)
        self.currencies = tuple(pairs)
        self.head = np.zeros(1, HEAD)
        self.positions = np.zeros(max(1, len(accounts) * count), POSITION)
        self.accounts = np.zeros(len(accounts), ACCOUNT)
        self.accounts["day"] = np.iinfo(np.int64).min  # there was no fill
        self.instruments = np.zeros(max(1, count), INSTRUMENT)
        for code, instrument in enumerate(instruments):
            grid = (instrument.multiplier, instrument.lot_size, instrument.tick_size)
            self.instruments[code] = (*grid, self.currencies.index(instrument.currency))
        self.cash = np.zeros(len(accounts) * len(pairs))
        self.cash[:: len(pairs)] = list(accounts.values())
        self.pairs = np.array([(pair.code, pair.inverse) for pair in pairs.values()], PAIR)
        self.rates = np.array([pair.rate if pair.code < 0 else np.nan for pair in pairs.values()])
        self.marks = np.full(max(1, count), np.nan)
        self.held = np.zeros(len(accounts) * (count + 1), dtype=np.int64)
        self._fills = np.zeros(0, FILL)
        self.split_count = 0  # of the fills, those that are splits
        self._before_reading: Callable[[], None] | None = None
        self.flows = Flows()
        head = self.head[0]
        for name in ("positions", "accounts", "instruments", "cash", "rates", "marks", "held", "pairs"):
            head[name] = address(getattr(self, name))
        head["account_count"], head["instrument_count"], head["currency_count"] = len(accounts), count, len(pairs)
        head["foreign"] = len(pairs) - 1
        self.address = address(self.head)
        self._fill_count = live(self.head["fill_count"])
        self.room = 0
        self.make_room(_FIRST_FILLS)

    @property
    def fills(self) -> npt.NDArray[Any]:
        """One record per fill, and room for more."""
        if self._before_reading is not None:
            self._before_reading()
        return self._fills

    def before_reading(self, write: Callable[[], None]) -> None:
        """Have ``write`` called before somebody reads fills: a broker may write their records as late as that."""
        self._before_reading = write

    @property
    def fill_count(self) -> int:
        return self._fill_count[0]

    def make_room(self, fills: int) -> None:
        """See to it that so many more fills can be written."""
        wanted = self._fill_count[0] + fills
        if wanted > self.room:
            grown = np.empty(max(wanted, 2 * self.room), FILL)
            grown[: self.fill_count] = self.fills[: self.fill_count]
            self._fills, self.room = grown, len(grown)
            self.head["fills"], self.head["fill_room"] = address(grown), len(grown)
