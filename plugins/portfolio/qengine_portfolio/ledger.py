"""The account while a run is under way: applies fills at once, and prices only when somebody asks.

Between fills nothing here runs per row. Marks are advanced in compiled code up to the clock when they
are read, and the equity curve of a segment is computed in one compiled pass when the loop leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.participant import Participant
from qengine_core.plugin import BAR, QUOTE, TRADE, ConfigError, Fill, Rank
from qengine_portfolio import tables
from qengine_portfolio.curve import advance_marks_nb, equity_nb
from qengine_portfolio.position import ClosedTrade, Position, PositionChange

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_portfolio.settings import StandardLedger

__all__ = ["LedgerBook"]


class LedgerBook(Participant):
    """Positions, cash and P&L of one run."""

    rank = Rank.ACCOUNTING

    def __init__(self, settings: StandardLedger, run: Run) -> None:
        for instrument in run.instruments:
            if instrument.currency != settings.currency:
                raise ConfigError(
                    f"{instrument.name} is quoted in {instrument.currency}, but the ledger keeps {settings.currency} "
                    "only: set the feed's currency or the ledger's."
                )
        self._run = run
        self._clock = run.clock
        self.initial_cash = settings.cash
        self._cash = settings.cash
        count = len(run.instruments)
        self._multipliers = np.array([i.multiplier for i in run.instruments], dtype=np.float64)
        self._multiplier = [i.multiplier for i in run.instruments]
        self._positions: dict[int, Position] = {}
        self._flat = Position()
        self._held: list[int] | None = []
        self._marks = np.full(count, np.nan)
        self._readable_marks = self._marks.view()
        self._readable_marks.flags.writeable = False
        self._marked_block: Block | None = None
        self._marked_row = 0
        self._changes: list[PositionChange] = []
        self._closed: list[ClosedTrade] = []
        self._curve = _Curve(self, settings, run)
        run.agenda.on(Fill, self.apply, self.rank)

    @property
    def cash(self) -> float:
        """Settled money, in the ledger's currency."""
        return self._cash

    @property
    def equity(self) -> float:
        """Cash plus every position at its last known price."""
        total = self._cash
        if self._positions:
            self._advance()
            for code in self.held():
                total += self._positions[code].quantity * float(self._marks[code]) * self._multiplier[code]
        return total

    def position(self, code: int) -> Position:
        return self._positions.get(code, self._flat)

    def held(self) -> Sequence[int]:
        if self._held is None:
            self._held = sorted(code for code, position in self._positions.items() if position.quantity)
        return self._held

    def mark(self, code: int) -> float:
        self._advance()
        return self._marks.item(code)

    def marks(self) -> npt.NDArray[np.float64]:
        self._advance()
        return self._readable_marks

    def short_value(self) -> float:
        self._advance()
        total = 0.0
        for code in self.held():
            quantity = self._positions[code].quantity
            if quantity < 0:
                total -= quantity * float(self._marks[code]) * self._multiplier[code]
        return total

    def apply(self, fill: Fill) -> None:
        """Book one fill: cash, position, realised P&L, and the records of both."""
        code, multiplier = fill.code, self._multiplier[fill.code]
        position = self._positions.get(code)
        if position is None:
            position = self._positions[code] = Position()
        signed = fill.side * fill.quantity
        change = -signed * fill.price * multiplier - fill.commission
        self._cash += change
        was = position.quantity
        closed = position.apply(fill, multiplier)
        if closed is not None:
            self._closed.append(closed)
        if (was == 0.0) != (position.quantity == 0.0):
            self._held = None
        self._changes.append(
            PositionChange(fill.ts, code, position.quantity, position.average_price, fill.price, position.realised_pnl)
        )
        self._curve.note(code, signed, change)

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in (BAR, TRADE, QUOTE)

    def end_segment(self, segment: Segment) -> None:
        self._advance()
        self._curve.extend(segment)

    def on_stop(self) -> None:
        self._curve.finish()

    def tables(self) -> Mapping[str, Any]:
        run = self._run
        names = [instrument.name for instrument in run.instruments]
        return {
            "equity": self._curve.table,
            "positions": lambda: tables.positions(self._changes, names, self._multiplier),
            "trades": lambda: tables.trades(self._closed, names, self._multiplier),
            "prices": lambda: tables.prices(run),
        }

    def counts(self) -> Mapping[str, Any]:
        return {"trades": len(self._closed), "final_equity": self.equity, "initial_cash": self.initial_cash}

    def _advance(self) -> None:
        """Bring the marks up to the row the clock stands on."""
        block, visible = self._clock.block, self._clock.position.row + 1
        if block is not self._marked_block:
            # Streams take turns, so a block may be left and come back to.
            if self._marked_block is not None:
                self._marked_block.cache[self] = self._marked_row
            self._marked_block, self._marked_row = block, block.cache.get(self, 0)
        start = self._marked_row
        if visible <= start:
            return
        prices = mark_prices(block, self._run)
        if prices is not None and len(self._marks) == 1:
            self._marks[0] = prices[visible - 1]
        elif prices is not None:
            advance_marks_nb(block.instrument, prices, start, visible, self._marks)
        self._marked_row = visible


class _Curve:
    """Collects the fills of a segment and turns them, with its prices, into samples of the account."""

    def __init__(self, ledger: LedgerBook, settings: StandardLedger, run: Run) -> None:
        count = len(run.instruments)
        self._ledger = ledger
        self._run = run
        self._kinds = {BAR} if any(s.kind == BAR for s in run.streams) else {TRADE, QUOTE}
        self._interval = 0 if BAR in self._kinds else int(settings.tick_interval * 1e9)
        self._cash = np.array([settings.cash])
        self._quantities = np.zeros(count)
        self._marks = np.full(count, np.nan)
        self._multipliers = ledger._multipliers
        self._held = np.zeros(count + 1, dtype=np.int32)
        self._held_count = np.zeros(1, dtype=np.int64)
        self._next_ts = np.full(1, np.iinfo(np.int64).min)
        self._fills: list[tuple[Block, int, int, float, float]] = []
        self._chunks: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []

    def note(self, code: int, quantity: float, cash: float) -> None:
        clock = self._run.clock
        self._fills.append((clock.block, clock.position.row, code, quantity, cash))

    def extend(self, segment: Segment) -> None:
        block = segment.block
        prices = mark_prices(block, self._run)
        if prices is None:
            return
        fills, self._fills = self._fills, []
        rows = np.array([row if b is block else -1 for b, row, *_ in fills], dtype=np.int64)
        sampled = self._run.streams[block.stream].kind in self._kinds
        size = self._samples(block, segment) if sampled else 0
        if not sampled:  # its prices count, but its rows are not sampled
            self._next_ts, kept = np.full(1, np.iinfo(np.int64).max), self._next_ts
        out_ts, out = np.empty(size, np.int64), np.empty((size, 4))
        written = equity_nb(
            block.ts,
            block.instrument,
            prices,
            segment.start,
            segment.stop,
            self._interval,
            self._next_ts,
            rows,
            np.array([fill[2] for fill in fills], dtype=np.int32),
            np.array([fill[3] for fill in fills], dtype=np.float64),
            np.array([fill[4] for fill in fills], dtype=np.float64),
            self._quantities,
            self._marks,
            self._multipliers,
            self._held,
            self._held_count,
            self._cash,
            out_ts,
            out,
        )
        if not sampled:
            self._next_ts = kept
        self._chunks.append((out_ts[:written].copy(), out[:written].copy()))

    def _samples(self, block: Block, segment: Segment) -> int:
        """An upper bound for the number of samples in a segment."""
        if self._interval == 0:
            return segment.stop - segment.start
        span = int(block.ts[segment.stop - 1]) - int(block.ts[segment.start])
        return min(segment.stop - segment.start, span // self._interval + 2)

    def finish(self) -> None:
        """Add the very last state, if the sampling grid missed it."""
        ledger, now = self._ledger, self._run.clock.now
        if self._interval and any(len(ts) for ts, _ in self._chunks):
            equity, cash, short = ledger.equity, ledger.cash, ledger.short_value()
            last = np.array([[equity, cash, equity - cash + short, short]])
            self._chunks.append((np.array([now], dtype=np.int64), last))

    def table(self) -> Any:
        return tables.equity(self._chunks)


def mark_prices(block: Block, run: Run) -> npt.NDArray[np.float64] | None:
    """The prices that positions are marked at: closes, prints, or the middle of the quote."""
    kind = run.streams[block.stream].kind
    if kind == BAR:
        return block.columns["close"]
    if kind == TRADE:
        return block.columns["price"]
    if kind == QUOTE:
        middle = block.cache.get("middle")
        if middle is None:
            middle = block.cache["middle"] = (block.columns["bid"] + block.columns["ask"]) / 2
        return middle  # type: ignore[no-any-return]
    return None
