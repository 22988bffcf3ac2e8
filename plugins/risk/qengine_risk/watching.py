"""Watches what the accounts are worth during one run, and halts when too much of it is lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qengine_portfolio.native import address
from qengine_portfolio.view import KINDS

from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.plugin import ConfigError, Fill, OrderRequest
from qengine_risk import scan
from qengine_risk.switch import Halt

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["LossWatch"]

_LONG_AGO = np.iinfo(np.int64).min


class LossWatch(Halt):
    """Halts once equity is so far below its highest, or below what it was when the session began."""

    def __init__(
        self, name: str, fraction: float | None, amount: float | None, action: str, run: Run, *, by_session: bool
    ) -> None:
        super().__init__(name, action, run)
        ledger: Any = run.ledger
        if not hasattr(ledger, "books"):
            raise ConfigError(
                f"The risk rule {name!r} watches accounts in compiled code, and {type(ledger).__name__} keeps no books "
                "for that: choose the ledger 'standard'."
            )
        self._by_session = by_session
        self._books, self._views = ledger.books, ledger.views
        self._kinds = [stream.kind for stream in run.streams]
        self._watch = np.zeros(1, scan.WATCH)
        self._marks, self._rates = self._books.marks.copy(), self._books.rates.copy()
        self._ahead = self._books.head.copy()
        self._ahead["marks"], self._ahead["rates"] = address(self._marks), address(self._rates)
        self._past = np.zeros(0, scan.PAST)
        self._block: Block | None = None
        state = self._watch[0]
        state["kind"] = scan.SESSION if by_session else scan.DRAWDOWN
        state["fraction"] = math.nan if fraction is None else fraction
        state["amount"] = math.nan if amount is None else amount
        state["ahead"] = address(self._ahead)
        state["number"] = state["found"] = -1
        state["halted"], state["settled_session"] = _LONG_AGO, _LONG_AGO + 1
        self._address = address(self._watch)
        run.agenda.on(Fill, _heed, self.rank)  # so that rows are looked at again after one

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in KINDS

    def on_start(self) -> None:
        self._watch["settled_reference"] = self._watch["settled_equity"] = self._run.ledger.equity

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        block = segment.block
        view = self._views.of(block)
        if block is not self._block:
            self._enter(block)
        return int(scan.look(self._address, self._books.address, view.address, start, stop))

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        scan.settle(self._address, start + 1)
        self._lost()
        return start + 1

    def end_segment(self, segment: Segment) -> None:
        if segment.block is self._block:
            scan.settle(self._address, segment.stop)

    def _enter(self, block: Block) -> None:
        """Make room for what is to be kept by row, and have the sessions ready."""
        self._block = block
        if len(block) > len(self._past):
            self._past = np.zeros(len(block), scan.PAST)
        state = self._watch[0]
        state["past"], state["number"] = address(self._past), -1
        if self._by_session:
            self._views.add_sessions(block)

    # Between rows -----------------------------------------------------------------------------------

    def _halts(self, request: OrderRequest) -> bool:
        """Whether the account has lost too much by now: an order may be sent before the row is judged."""
        reference, equity, session = self._past_before_now()
        if self._by_session:
            kind = self._kinds[self._run.clock.block.stream] if self._run.clock.block.stream >= 0 else "bar"
            today = self._run.sessions(request.code).of_row(request.ts, kind).open_ts
            if today > session:
                reference, session = equity, today
        state = self._watch[0]
        if state["halted"] >= session:
            return True
        now = self._run.ledger.equity
        if now <= reference - state["amount"] or now <= reference - abs(reference) * state["fraction"]:
            self._lost(session)
            return True
        return False

    def _past_before_now(self) -> tuple[float, float, int]:
        """What was true after the last row that has been dealt with; it is settled now."""
        state, clock = self._watch[0], self._run.clock
        block, row = clock.block, clock.position.row
        if block is self._block and row >= 0:
            is_over = clock.now > block.ts[row]  # a timer after it; else the row is under way
            scan.settle(self._address, max(row + is_over, int(state["begin"])))
        settled = (state["settled_reference"], state["settled_equity"], state["settled_session"])
        return float(settled[0]), float(settled[1]), int(settled[2])

    def _lost(self, session: int | None = None) -> None:
        """Halt: for the session under way, or for good."""
        state = self._watch[0]
        under_way = int(state["settled_session"]) if session is None else session
        state["halted"] = under_way if self._by_session else np.iinfo(np.int64).max
        state["found"], state["number"] = -1, -1  # look again: from now on nothing is found for this session
        self.trip()


def _heed(_fill: Fill) -> None:
    """That somebody listens is enough: after an event everybody is asked again."""
