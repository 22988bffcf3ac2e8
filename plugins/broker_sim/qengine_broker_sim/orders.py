"""The table of all orders of a run, and one order of it as everybody else sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from qengine_portfolio.native import address, live

from qengine_broker_sim.layout import FILLED, ORDER, REASONS, STATES, TIMES_IN_FORCE, TRADE
from qengine_core.plugin import Order, OrderState, TimeInForce

__all__ = ["OrderTable", "SentOrders", "SimulatedOrder"]

_FILLED = int(FILLED)
# Memory that nobody has written to is only an address range, while copying it to grow is dear.
_FIRST_ORDERS = 1 << 20
_STATES = tuple(OrderState(name) for name in STATES)
_TIMES_IN_FORCE = tuple(TimeInForce(name) for name in TIMES_IN_FORCE)


class Interned(list[Any]):
    """Values by number, each once."""

    def __init__(self, values: Any = ()) -> None:
        super().__init__(values)
        self._numbers = {value: number for number, value in enumerate(self)}

    def number(self, value: Any) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self)
            self.append(value)
        return found


class OrderTable:
    """Orders as records, grown by doubling; ``fields`` are views by name that follow every change."""

    def __init__(self, head: Any, names: list[str], with_trades: bool = False) -> None:
        self._head = head
        self._trades = np.zeros(0, TRADE) if with_trades else None
        self.names = names
        self.types = Interned(["market", "limit"])
        self.tags = Interned([""])
        self.reasons = Interned(REASONS)
        self.times_in_force = [0]  # by form
        self.reducing = [False]  # by form: whether it can only reduce a position
        self.yielding = [False]  # by form: whether it is of a rule, and comes after all others
        self.records = np.zeros(0, ORDER)
        self.room = 0
        self.fields: dict[str, Any] = {}
        self.grow()

    def make_room(self, orders: int) -> None:
        """See to it that so many more can be written."""
        while int(self._head["order_count"][0]) + orders > self.room:
            self.grow()

    def grow(self) -> None:
        """Make room for twice as many."""
        grown = np.empty(max(_FIRST_ORDERS, 2 * self.room), ORDER)  # every record is written whole
        grown[: self.room] = self.records
        self.records, self.room = grown, len(grown)
        self._found = np.empty(self.room, np.int64)
        self._head["orders"], self._head["found"] = address(grown), address(self._found)
        if self._trades is not None:
            trades = np.zeros(self.room, TRADE)
            trades[: len(self._trades)] = self._trades
            self._trades = trades
            self._head["trades"] = address(trades)
        self.fields.update({name: live(grown[name]) for name in ORDER.names or ()})


class SentOrders(Sequence[Order]):
    """Orders that were sent together, in order. Each is made when it is asked for."""

    __slots__ = ("_indices", "_table")

    def __init__(self, table: OrderTable, indices: npt.NDArray[np.int64]) -> None:
        self._table, self._indices = table, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return SentOrders(self._table, self._indices[at])
        return SimulatedOrder((self._table, int(self._indices[at])))

    def __repr__(self) -> str:
        return repr(list(self))


class SimulatedOrder(tuple[OrderTable, int]):
    """One order: the table and where it lies in it. See ``qengine_core.plugin.Order``.

    A tuple, because nothing of two fields is made faster, and one is made for every order sent.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SimulatedOrder):
            return NotImplemented
        return self[1] == other[1] and self[0] is other[0]

    def __hash__(self) -> int:
        return self[1]

    def __repr__(self) -> str:
        side = "buy" if self.side > 0 else "sell"
        prices = [("limit", self.limit), ("trigger", self.trigger)]
        at = "".join(f" {name} {price:g}" for name, price in prices if not math.isnan(price))
        return f"<Order {self.id}: {side} {self.quantity:g} {self.instrument} {self.type}{at}, {self.state.value}>"

    @property
    def place(self) -> int:
        """Where it lies in the table."""
        return self[1]

    @property
    def id(self) -> int:
        return self[1] + 1

    @property
    def code(self) -> int:
        return self[0].fields["code"][self[1]]

    @property
    def instrument(self) -> str:
        return self[0].names[self[0].fields["code"][self[1]]]

    @property
    def account(self) -> int:
        return self[0].fields["account"][self[1]]

    @property
    def side(self) -> int:
        return self[0].fields["side"][self[1]]

    @property
    def type(self) -> str:
        return self[0].types[self[0].fields["type"][self[1]]]

    @property
    def time_in_force(self) -> TimeInForce:
        return _TIMES_IN_FORCE[self[0].times_in_force[self[0].fields["form"][self[1]]]]

    @property
    def tag(self) -> str:
        return self[0].tags[self[0].fields["tag"][self[1]]]

    @property
    def quantity(self) -> float:
        return self[0].fields["quantity"][self[1]]

    @property
    def filled(self) -> float:
        return self[0].fields["filled"][self[1]]

    @property
    def remaining(self) -> float:
        return self.quantity - self.filled

    @property
    def limit(self) -> float:
        return self[0].fields["limit"][self[1]]

    @property
    def trigger(self) -> float:
        return self[0].fields["trigger"][self[1]]

    @property
    def average_price(self) -> float:
        return self[0].fields["average_price"][self[1]]

    @property
    def commission(self) -> float:
        return self[0].fields["commission"][self[1]]

    @property
    def submitted_ts(self) -> int:
        return self[0].fields["submitted_ts"][self[1]]

    @property
    def accepted_ts(self) -> int:
        return self[0].fields["accepted_ts"][self[1]]

    @property
    def closed_ts(self) -> int:
        return self[0].fields["closed_ts"][self[1]]

    @property
    def expires_ts(self) -> int:
        return self[0].fields["expires_ts"][self[1]]

    @property
    def state(self) -> OrderState:
        return _STATES[self[0].fields["state"][self[1]]]

    @property
    def reason(self) -> str:
        return self[0].reasons[self[0].fields["reason"][self[1]]]

    @property
    def is_open(self) -> bool:
        return self[0].fields["state"][self[1]] < _FILLED
