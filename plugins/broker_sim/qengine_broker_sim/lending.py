"""The broker's compiled core in the hands of somebody who walks rows himself, in compiled code of his own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from qengine_portfolio.native import address

from qengine_broker_sim import entries
from qengine_broker_sim.orders import OrderTable
from qengine_core.blocks import Block

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker

__all__ = ["LentCore", "not_lendable"]

_ENTRIES = ("search", "submit", "cancel", "pending", "target", "rebalance")
_TYPES = ("market", "limit", "stop", "stop-limit", "trailing-stop")


@attrs.frozen(kw_only=True)
class LentCore:
    """What it takes to match rows, and to send orders, without the broker.

    Whoever borrows the core has the rows of the streams that he named to himself: the broker does not look at them.
    He makes room before he walks, and says so when he has walked.
    """

    sim: int
    books: Any
    table: OrderTable
    match: str  # the entry point that matches an instant
    forms: tuple[int, ...]
    see: Callable[[Block], int]
    make_room_for_fills: Callable[[int], None]
    announce: Callable[[], None]
    foresee_paths: Callable[[], None]
    was_used: Callable[[], None]
    _kept: list[Any] = attrs.field(factory=list, repr=False)

    def fields(self) -> Mapping[str, int]:
        """Addresses by name: the simulator's head, the books', the entry points; the numbers of order forms and types.

        ``forms`` are those of GTC, IOC and FOK, and of the same with a trail that is a fraction; ``names`` the types
        market, limit, stop, stop-limit and trailing stop.
        """
        names = np.array([self.table.types.number(name) for name in _TYPES], np.int64)
        forms = np.array(self.forms, np.int64)
        self._kept.extend([names, forms])
        found = {name: entries.place_of(name) for name in _ENTRIES} | {"match": entries.place_of(self.match)}
        return found | {"sim": self.sim, "books": self.books.address, "names": address(names), "forms": address(forms)}

    @property
    def order_room(self) -> int:
        """How many orders can be written down in all."""
        return self.table.room

    def make_room(self, orders: int) -> None:
        """See to it that so many more orders can be sent, and fill, and that what is open can."""
        self.table.make_room(orders)
        self.make_room_for_fills(orders)


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
        "intrabar_path": ("worst-case", "open-high-low-close", "open-low-high-close", "nearest-extreme-first", "reject-ambiguous"),
        "depth": ("top",),
        "queue_model": ("none",),
    }
    found += [f"the broker's {name} = {getattr(settings, name)!r}" for name, known in plain.items() if getattr(settings, name) not in known]
    return found + ([f"the broker's liquidation = {settings.liquidation!r}"] if settings.watches_margin else [])
