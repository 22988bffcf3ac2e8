"""The broker's compiled core in the hands of somebody who walks rows himself, in compiled code of his own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from qengine_portfolio.native import address, direct, live

from qengine_broker_sim import entries
from qengine_broker_sim.layout import RESERVES, SAY, SLIP
from qengine_broker_sim.orders import OrderTable
from qengine_core.blocks import Block

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker

__all__ = ["LentCore", "Slips", "not_lendable", "takes_slips"]

_ENTRIES = ("match_up_to", "submit", "cancel", "pending", "target", "rebalance")
# Where it is full, the records are written. It stays below what the C library hands back to the system at once
# (32 MB), so that another run in the same process finds it in place.
_SLIP_ROOM = 1 << 19
_TYPES = ("market", "limit", "stop", "stop-limit", "trailing-stop")


class LentCore:
    """What it takes to match rows without the broker: ``match_up_to`` matches all up to a row in one compiled call.

    Whoever borrows the core has the rows of some streams to himself: the broker does not look at them. He enters
    each block, and does what ``attend`` does where a call comes back before its end. ``resting`` says in its element
    0 how many orders rest: where there is none, nothing is to be matched.
    """

    def __init__(
        self,
        *,
        head: Any,
        books: Any,
        table: OrderTable,
        forms: tuple[int, ...],
        see: Callable[[Block], int],
        make_room: Callable[[int], None],
        announce: Callable[[], None],
        foresee_paths: Callable[[], None],
        forget: Callable[[], None],
        closed_out: Mapping[int, str],
        slips: Slips | None = None,
    ) -> None:
        self._head, self._books, self._table, self._forms, self._slips = head, books, table, forms, slips
        self._see, self._make_room, self._announce = see, make_room, announce
        self.foresee_paths, self.forget = foresee_paths, forget
        self.closed_out = closed_out  # instruments that are traded no more, which compiled code does not ask about
        self.sim = address(head)
        self.resting = live(head["resting"])
        self.match_up_to: Callable[[int, int, int, int], int] = entries.match_up_to
        self._kept: list[Any] = []

    def enter(self, block: Block) -> int:
        """A block, or a further part of one, is under way; return where its view is."""
        self._head["done"], self._head["is_trading"] = 0, True
        self.forget()
        return self._see(block)

    def attend(self) -> bool:
        """Do what ``match_up_to`` came back for; return whether there may be news for those who listen."""
        asked = int(self._head["asks"][0])
        if asked == SAY:
            self._announce()
            return True
        self._make_room(-min(0, asked))
        return False

    def pause_at_fills(self) -> None:
        """Let ``match_up_to`` come back after each match that fills something, asking to hear of it."""
        self._head["pauses"] = True

    def make_room(self, orders: int) -> None:
        """See to it that so many more orders can be sent, and fill, and that what is open can."""
        self._table.make_room(orders)
        self._make_room(orders)

    @property
    def order_room(self) -> int:
        """How many orders can be written down in all."""
        return self._table.room

    @property
    def keeps_slips(self) -> bool:
        """Whether ``submit`` may keep orders on slips."""
        return self._slips is not None

    def fields(self) -> Mapping[str, int]:
        """For compiled code, by name: addresses of the simulator's head, the books' and the entry points.

        From now on ``submit`` may keep orders on slips.
        ``forms`` are the numbers of the forms of GTC, IOC and FOK, and of the same with a trail that is a fraction;
        ``names`` those of the types market, limit, stop, stop-limit and trailing stop.
        """
        names = np.array([self._table.types.number(name) for name in _TYPES], np.int64)
        forms = np.array(self._forms, np.int64)
        self._kept.extend([names, forms])
        found = {name: entries.place_of(name) for name in _ENTRIES}
        if self._slips is not None:
            self._slips.use()
            self._books.before_reading(self._slips.write)
            found["submit"] = entries.place_of("slip")
        return found | {"sim": self.sim, "books": self._books.address, "names": address(names), "forms": address(forms)}


class Slips:
    """The memory for orders that compiled code keeps on slips (``slips``), and what writes their records."""

    def __init__(self, head: Any, blank: Any) -> None:
        self._head = head  # and not the books, which hold this: a run that is over is to be freed at once
        self._slips, self._records = np.empty(0, SLIP), np.repeat(blank, 2)
        self._kept: list[Any] = []
        self._write: Callable[[int, int], None] | None = None
        self._sim, self._count, self._open = address(head), live(head["slip_count"]), live(head["slip_open"])

    def use(self) -> None:
        """Let compiled code keep orders on slips."""
        head = self._head
        self._slips = np.empty(_SLIP_ROOM, SLIP)
        head["slips"], head["slip_room"] = address(self._slips), _SLIP_ROOM
        head["slip_records"] = address(self._records)
        head["submit"] = entries.place_of("submit")
        head["write_slips"], write = entries.address_for("write_slips")
        self._kept, self._write = [write], direct(write)

    def write(self) -> None:
        """Write the records of all orders on slips, and of their fills, before somebody reads them."""
        if self._write is not None and self._count[0] + self._open[0]:
            self._write(self._sim, 1)

    @property
    def numbers(self) -> range:
        """The orders that were filled and whose records are not written, by number."""
        first = int(self._head["slip_order"][0])
        return range(first, first + self._count[0])

    def let_rest(self) -> None:
        """Write the record of the order that is open on a slip, which rests in its queue from now on."""
        if self._write is not None and self._open[0]:
            self._write(self._sim, 0)


def takes_slips(settings: SimulatedBroker, head: Any, books: Any) -> bool:
    """Whether all there is to know of an order at market may be kept on a slip."""
    one = len(books.names) == 1 and len(books.currencies) == 1 and int(head["queue_count"][0]) == 1
    plain = settings.netting != "trades" and settings.matching_order == "exits-first"
    timed = settings.fill_timing in ("next-open", "next-close") and settings.participation_limit is None
    return one and plain and timed and int(head["admission"][0]) == RESERVES


def not_lendable(settings: SimulatedBroker) -> list[str]:
    """The settings under which more happens than the core does by itself."""
    latencies = ("entry_latency", "feed_latency", "response_latency", "latency")
    found = [f"the broker's {name}" for name in latencies if getattr(settings, name)]
    plain = {
        "fill_timing": ("next-open", "next-close", "same-close"),
        "close_order": ("as-sent",),
        "session_end": ("day-orders",),
        "settlement_sessions": (0,),
        "missing_rows": ("wait",),
        "cancel_on_arrival": (True,),
        "intrabar_path": (
            "worst-case",
            "open-high-low-close",
            "open-low-high-close",
            "nearest-extreme-first",
            "reject-ambiguous",
        ),
        "depth": ("top",),
        "queue_model": ("none",),
    }
    found += [
        f"the broker's {name} = {getattr(settings, name)!r}"
        for name, known in plain.items()
        if getattr(settings, name) not in known
    ]
    return found + ([f"the broker's liquidation = {settings.liquidation!r}"] if settings.watches_margin else [])
