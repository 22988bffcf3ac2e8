"""The broker's compiled core in the hands of somebody who walks rows himself, in compiled code of his own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from qengine_portfolio.native import address, live

from qengine_broker_sim import entries
from qengine_broker_sim.layout import SAY
from qengine_broker_sim.orders import OrderTable
from qengine_core.blocks import Block

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker

__all__ = ["LentCore", "not_lendable"]

_ENTRIES = ("match_up_to", "submit", "cancel", "pending", "target", "rebalance")
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
    ) -> None:
        self._head, self._books, self._table, self._forms = head, books, table, forms
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

    def fields(self) -> Mapping[str, int]:
        """For compiled code, by name: addresses of the simulator's head, the books' and the entry points.

        ``forms`` are the numbers of the forms of GTC, IOC and FOK, and of the same with a trail that is a fraction;
        ``names`` those of the types market, limit, stop, stop-limit and trailing stop.
        """
        names = np.array([self._table.types.number(name) for name in _TYPES], np.int64)
        forms = np.array(self._forms, np.int64)
        self._kept.extend([names, forms])
        found = {name: entries.place_of(name) for name in _ENTRIES}
        return found | {"sim": self.sim, "books": self._books.address, "names": address(names), "forms": address(forms)}


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
