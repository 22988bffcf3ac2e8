"""Puts orders to the risk rules of a run before they arrive. It knows no rule, and is made only where there is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qengine_broker_sim import entries
from qengine_broker_sim.orders import OrderTable
from qengine_core.plugin import NAN, OrderRequest
from qengine_core.run import Run

__all__ = ["RiskDesk"]

_SLACK = 1 + 1e-9


class RiskDesk:
    """What stands between the strategy and the market in one run."""

    def __init__(self, run: Run, table: OrderTable, books: Any, sim: int, in_flight: Iterable[int]) -> None:
        self._clock, self._ledger, self._instruments = run.clock, run.ledger, run.instruments
        self._checks = tuple(rule.check for rule in run.risk)
        self._has_position_rules = "position_rule" in run.built
        self._table, self._books, self._sim, self._in_flight = table, books, sim, in_flight

    def refusal(self, index: int, quantity: float = NAN, limit: float = NAN, trigger: float = NAN) -> str:
        """Why an order must not be sent, or an open one not be changed so; nothing if it may.

        The rules are asked in the order of the run, and those after the first that refuses are not.
        """
        if not self._checks:
            return ""
        request = self._request(index, quantity, limit, trigger)
        for check in self._checks:
            answer = check(request)
            if answer:
                return f"risk:{answer}"
        return ""

    def only_closes(self, index: int) -> bool:
        """Whether a run with position rules should keep an order from opening anything: it was sent to close."""
        if not self._has_position_rules:
            return False
        if self._is_child(index):
            return self._leaves_its_parent(index)
        return self._is_exit(index, self._field("quantity", index), self._leaving(index))

    def _request(self, index: int, quantity: float, limit: float, trigger: float) -> OrderRequest:
        field, code, side = self._field, self._field("code", index), self._field("side", index)
        wanted = (field("quantity", index) if quantity != quantity else quantity) - field("filled", index)
        own = field("linked", index) and self._opens(index)
        working = self._working(index, True) - (field("quantity", index) - field("filled", index) if own else 0.0)
        if self._is_child(index):
            is_exit = self._leaves_its_parent(index)
        else:
            is_exit = self._reduces(index) or self._is_exit(index, wanted, self._working(index, False))
        return OrderRequest(
            ts=self._clock.now,
            code=code,
            instrument=self._instruments[code],
            side=side,
            quantity=wanted,
            limit=field("limit", index) if limit != limit else limit,
            trigger=self._trigger(index) if trigger != trigger else trigger,
            type=self._table.types[field("type", index)],
            tag=self._table.tags[field("tag", index)],
            mark=self._ledger.mark(code),
            unit_value=self._unit_value(code),
            position=self._held(index),
            working=working,
            is_exit=is_exit,
            waits=self._is_child(index),
            account=field("account", index),
        )

    def _field(self, name: str, index: int) -> Any:
        return self._table.fields[name][index]

    def _trigger(self, index: int) -> float:
        """A trailing order has no price of its own yet."""
        trail, trigger = self._field("trail", index), self._field("trigger", index)
        return NAN if trail == trail else float(trigger)

    def _unit_value(self, code: int) -> float:
        instrument = self._books.instruments[code]
        return float(instrument["multiplier"] * self._books.rates[instrument["currency"]])

    def _held(self, index: int) -> float:
        place = self._field("account", index) * len(self._instruments) + self._field("code", index)
        return float(self._books.positions["quantity"][place])

    def _is_exit(self, index: int, quantity: float, leaving: float) -> bool:
        """Whether a position is held that ``quantity`` more can only reduce, while so much of it is leaving already."""
        held = self._held(index)
        opposes = held * self._field("side", index) < 0
        return opposes and quantity + leaving <= abs(held) * _SLACK

    def _working(self, index: int, counts_triggers: bool) -> float:
        """What other open orders of an order's side may still trade, orders on their way included."""
        field = self._field
        account, code, side = field("account", index), field("code", index), field("side", index)
        total: float = entries.working(self._sim, account, code, side, int(counts_triggers))
        for other in self._in_flight:
            same = (field("account", other), field("code", other), field("side", other)) == (account, code, side)
            waits = self._field("trigger", other) == self._field("trigger", other)
            if same and self._opens(other) and (counts_triggers or not waits):
                total += field("quantity", other)
        return total

    def _leaving(self, index: int) -> float:
        """What other orders of an order's side are about to trade, but for those of position rules."""
        field = self._field
        account, code, side = field("account", index), field("code", index), field("side", index)
        return float(entries.closing(self._sim, account, code, side))

    def _is_child(self, index: int) -> bool:
        return bool(self._field("parent", index) >= 0)

    def _leaves_its_parent(self, index: int) -> bool:
        return bool(self._field("side", self._field("parent", index)) != self._field("side", index))

    def _reduces(self, index: int) -> bool:
        return bool(self._table.reducing[self._field("form", index)])

    def _opens(self, index: int) -> bool:
        """As in the compiled core: no child, no second of a group, not only there to reduce."""
        is_alternative = self._field("group", index) not in (-1, index)
        return not (self._is_child(index) or is_alternative or self._reduces(index))
