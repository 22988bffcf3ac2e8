"""A broker that watches margin accounts: where equity falls below the maintenance margin, it closes positions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from qengine_broker_sim import entries
from qengine_broker_sim.broker import MatchingBroker
from qengine_broker_sim.layout import CANCELLED
from qengine_broker_sim.orders import SimulatedOrder
from qengine_core.blocks import Block, Segment
from qengine_core.plugin import BUY, SELL, Leg, MarginCall, TimeInForce

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker
    from qengine_core.run import Run

__all__ = ["MarginBroker", "to_close"]

TAG = "margin-call"
_EXIT = Leg(reduce_only=True)
_MARKET = 0  # the number of the name of that type


class MarginBroker(MatchingBroker):
    """Matches orders, and looks at every account at the end of each instant: after fills, at the last prices."""

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        super().__init__(settings, run)
        self._rule = settings.liquidation
        self._calls: list[MarginCall] = []
        # By account: the orders that a margin call has sent. While one is open there is no other call.
        self._exits: list[list[int]] = [[] for _ in self._books.accounts]
        self._calm: tuple[Block | None, int, int, int] = (None, 0, 0, 0)  # up to which row, after how many changes

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        found = super().next_row(segment, start, stop)
        block = segment.block
        fills, flows = self._fill_count[0], self._books.flows.count
        calm_block, until, *seen = self._calm
        since = max(start, until) if calm_block is block and seen == [fills, flows] else start
        if since < found:
            view = self._see(block)
            row = found
            for account in range(len(self._exits)):
                if not self._is_exiting(account):
                    row = entries.breach(self._sim, view, account, since, row)
            if row < found:
                return row
            self._calm = (block, found, fills, flows)
        return found

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        if super().next_row(segment, start, start + 1) == start:
            super().on_rows(segment, start, stop)
        ts = segment.block.ts
        if start + 1 == len(ts) or ts[start + 1] != ts[start]:
            for account in range(len(self._exits)):
                if not self._is_exiting(account):
                    self._look_at(account, segment.block, start)
        return start + 1

    def _is_exiting(self, account: int) -> bool:
        """Whether orders of a margin call are still under way."""
        orders = self._exits[account]
        if orders and any(self._is_open(index) for index in orders):
            return True
        if orders:
            orders.clear()
            self._calm = (None, 0, 0, 0)
        return False

    def _is_open(self, index: int) -> bool:
        return bool(self._table.fields["state"][index] < 4)

    def _look_at(self, account: int, block: Block, row: int) -> None:
        excess = entries.excess(self._sim, self._see(block), row, account)
        if not excess < 0.0:
            return
        held = self._run.ledger.accounts[account].held()
        margins = {code: entries.margin(self._sim, account, code) for code in held}
        required = math.fsum(margins.values())
        self._announce_call(MarginCall(self._clock.now, account, required + excess, required))
        self._calm = (None, 0, 0, 0)
        for code, share in to_close(self._rule, margins, -excess).items():
            self._exit(account, code, share)

    def _announce_call(self, call: MarginCall) -> None:
        self._calls.append(call)
        if self._agenda.listens(MarginCall):
            self._post(call)

    def _exit(self, account: int, code: int, share: float) -> None:
        """Cancel an instrument's orders, and close a share of its position at market, in whole lots."""
        owners = self._table.fields["account"]
        for order in self.open_orders(code, of_rules=True):
            assert isinstance(order, SimulatedOrder)
            if order.is_open and owners[order.place] == account:
                self._end(order.place, CANCELLED, TAG)
        held = self._run.ledger.accounts[account].quantity(code)
        lot, quantity = self._instruments[code].lot_size, abs(held) * share
        if lot > 0:
            quantity = min(abs(held), math.ceil(quantity / lot - 1e-9) * lot)
        draft = self._draft
        before = draft.copy()
        try:
            draft["tag"], draft["account"] = self._table.tags.number(TAG), account
            side = SELL if held > 0 else BUY
            self._exits[account].append(self._send_leg(code, side, quantity, _EXIT, TimeInForce.GTC, _MARKET, True))
        finally:
            draft[:] = before

    def tables(self) -> Mapping[str, Any]:
        return {**super().tables(), "margin_calls": lambda: _table(self._calls)}

    def counts(self) -> Mapping[str, Any]:
        return {**super().counts(), "margin_calls": len(self._calls)}


def to_close(rule: str, margins: Mapping[int, float], missing: float) -> dict[int, float]:
    """By instrument: the share of its position to close, so that ``missing`` of the margin is no longer tied up."""
    total = math.fsum(margins.values())
    if rule == "all" or missing >= total:
        return dict.fromkeys(margins, 1.0)
    if rule == "proportional":
        return dict.fromkeys(margins, missing / total)
    shares: dict[int, float] = {}
    for code in sorted(margins, key=lambda code: (-margins[code], code)):
        if missing <= 0:
            break
        shares[code] = min(1.0, missing / margins[code]) if margins[code] > 0 else 1.0
        missing -= margins[code]
    return shares


def _table(calls: Sequence[MarginCall]) -> pl.DataFrame:
    """One row per margin call: when, of which account, its equity, and the margin that its positions needed."""
    columns = list(zip(*calls, strict=True)) or [(), (), (), ()]
    return pl.DataFrame(
        {
            "ts": pl.Series(np.array(columns[0], np.int64)).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"),
            "account": pl.Series(columns[1], dtype=pl.Int64),
            "equity": pl.Series(columns[2], dtype=pl.Float64),
            "required": pl.Series(columns[3], dtype=pl.Float64),
        }
    )
