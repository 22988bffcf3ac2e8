"""The table of all orders of a run, and one order of it as everybody else sees it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qengine_portfolio.native import address, live

from qengine_broker_sim.layout import FILLED, ORDER, REASONS, STATES, TIMES_IN_FORCE
from qengine_core.plugin import OrderState, TimeInForce

__all__ = ["OrderTable", "SimulatedOrder"]

_FILLED = int(FILLED)
# Memory that nobody has written to is only an address range, while copying it to grow is dear.
_FIRST_ORDERS = 1 << 18
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

    def __init__(self, head: Any, names: list[str]) -> None:
        self._head = head
        self.names = names
        self.types = Interned(["market", "limit"])
        self.tags = Interned([""])
        self.reasons = Interned(REASONS)
        self.times_in_force = [0]  # by form
        self.records = np.zeros(0, ORDER)
        self.room = 0
        self.fields: dict[str, Any] = {}
        self.grow()

    def grow(self) -> None:
        """Make room for twice as many."""
        grown = np.empty(max(_FIRST_ORDERS, 2 * self.room), ORDER)  # every record is written whole
        grown[: self.room] = self.records
        self.records, self.room = grown, len(grown)
        self._head["orders"] = address(grown)
        self.fields.update({name: live(grown[name]) for name in ORDER.names or ()})


class SimulatedOrder:
    """One order: where it lies in the table. See ``qengine_core.plugin.Order``."""

    __slots__ = ("_index", "_table")

    def __init__(self, table: OrderTable, index: int) -> None:
        self._table = table
        self._index = index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SimulatedOrder):
            return NotImplemented
        return self._index == other._index and self._table is other._table

    def __hash__(self) -> int:
        return self._index

    def __repr__(self) -> str:
        side = "buy" if self.side > 0 else "sell"
        prices = [("limit", self.limit), ("trigger", self.trigger)]
        at = "".join(f" {name} {price:g}" for name, price in prices if not math.isnan(price))
        return f"<Order {self.id}: {side} {self.quantity:g} {self.instrument} {self.type}{at}, {self.state.value}>"

    @property
    def index(self) -> int:
        """Where it lies in the table."""
        return self._index

    @property
    def id(self) -> int:
        return self._index + 1

    @property
    def code(self) -> int:
        return self._table.fields["code"][self._index]

    @property
    def instrument(self) -> str:
        return self._table.names[self._table.fields["code"][self._index]]

    @property
    def side(self) -> int:
        return self._table.fields["side"][self._index]

    @property
    def type(self) -> str:
        return self._table.types[self._table.fields["type"][self._index]]

    @property
    def time_in_force(self) -> TimeInForce:
        return _TIMES_IN_FORCE[self._table.times_in_force[self._table.fields["form"][self._index]]]

    @property
    def tag(self) -> str:
        return self._table.tags[self._table.fields["tag"][self._index]]

    @property
    def quantity(self) -> float:
        return self._table.fields["quantity"][self._index]

    @property
    def filled(self) -> float:
        return self._table.fields["filled"][self._index]

    @property
    def remaining(self) -> float:
        return self.quantity - self.filled

    @property
    def limit(self) -> float:
        return self._table.fields["limit"][self._index]

    @property
    def trigger(self) -> float:
        return self._table.fields["trigger"][self._index]

    @property
    def average_price(self) -> float:
        return self._table.fields["average_price"][self._index]

    @property
    def commission(self) -> float:
        return self._table.fields["commission"][self._index]

    @property
    def submitted_ts(self) -> int:
        return self._table.fields["submitted_ts"][self._index]

    @property
    def accepted_ts(self) -> int:
        return self._table.fields["accepted_ts"][self._index]

    @property
    def closed_ts(self) -> int:
        return self._table.fields["closed_ts"][self._index]

    @property
    def expires_ts(self) -> int:
        return self._table.fields["expires_ts"][self._index]

    @property
    def state(self) -> OrderState:
        return _STATES[self._table.fields["state"][self._index]]

    @property
    def reason(self) -> str:
        return self._table.reasons[self._table.fields["reason"][self._index]]

    @property
    def is_open(self) -> bool:
        return self._table.fields["state"][self._index] < _FILLED
