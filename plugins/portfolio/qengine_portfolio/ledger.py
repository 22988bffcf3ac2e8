"""The account while a run is under way: applies fills at once, and prices only when somebody asks.

Between fills nothing here runs per row. Marks are advanced in compiled code up to the clock when they
are read, and the equity curve of a segment is computed in one compiled pass when the loop leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.participant import Participant
from qengine_core.plugin import BAR, QUOTE, TRADE, ConfigError, Fill, Rank
from qengine_portfolio import tables
from qengine_portfolio.curve import advance_marks_nb, equity_nb
from qengine_portfolio.position import Position

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_portfolio.settings import StandardLedger

__all__ = ["LedgerBook"]


_NEVER = int(np.iinfo(np.int64).max)


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
        self.positions = [Position() for _ in range(count)]
        self._held: list[int] | None = []
        self._marks = np.full(count, np.nan)
        self._marked_block: Block | None = None
        self._marked_row = 0
        self._marked_prices: npt.NDArray[np.float64] | None = None
        self._rows = 0
        self._fills: list[Fill] = []
        self._fill_blocks: list[Block] = []  # where the clock stood at the fills since the last segment ended
        self._fill_rows: list[int] = []
        self._curve = _Curve(self, settings, run)
        run.agenda.on(Fill, self.apply, self.rank)

    @property
    def cash(self) -> float:
        """Settled money, in the ledger's currency."""
        return self._cash

    @property
    def equity(self) -> float:
        """Cash plus every position at its last known price."""
        total, held = self._cash, self.held()
        if held:
            self._advance()
            for code in held:
                total += self.positions[code].quantity * float(self._marks[code]) * self._multiplier[code]
        return total

    def held(self) -> Sequence[int]:
        if self._held is None:
            self._held = [code for code, position in enumerate(self.positions) if position.quantity]
        return self._held

    def mark(self, code: int) -> float:
        self._advance()
        return float(self._marks[code])

    def short_value(self) -> float:
        self._advance()
        total = 0.0
        for code in self.held():
            quantity = self.positions[code].quantity
            if quantity < 0:
                total -= quantity * float(self._marks[code]) * self._multiplier[code]
        return total

    def apply(self, fill: Fill) -> None:
        """Book one fill: cash and position now; every table is derived from the fills afterwards."""
        code = fill.code
        multiplier = self._multiplier[code]
        self._cash -= fill.side * fill.quantity * fill.price * multiplier + fill.commission
        position = self.positions[code]
        was_flat = position.quantity == 0.0
        position.apply(fill, multiplier)
        if was_flat != (position.quantity == 0.0):
            self._held = None  # listing the held again takes a walk over every instrument
        if math.isnan(self._marks[code]):  # filled before its first close is seen: the fill is what is known
            self._marks[code] = fill.price
        clock = self._clock
        self._fills.append(fill)
        self._fill_blocks.append(clock.block)
        self._fill_rows.append(clock.position.row)

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in (BAR, TRADE, QUOTE)

    def end_segment(self, segment: Segment) -> None:
        self._advance()
        self._rows += segment.stop - segment.start
        self._curve.extend(segment, self._fills, self._fill_blocks, self._fill_rows)
        self._fill_blocks, self._fill_rows = [], []

    def on_stop(self) -> None:
        if self._rows:
            self._curve.finish()

    def tables(self) -> Mapping[str, Any]:
        run = self._run
        names = [instrument.name for instrument in run.instruments]
        return {
            "equity": self._curve.table,
            "positions": lambda: tables.positions(self._fills, names, self._multiplier),
            "trades": lambda: tables.trades(self._fills, names, self._multiplier),
            "prices": lambda: tables.prices(run, self._rows),
        }

    def counts(self) -> Mapping[str, Any]:
        return {"final_equity": self.equity, "initial_cash": self.initial_cash}

    def _advance(self) -> None:
        """Bring the marks up to the row the clock stands on."""
        clock = self._clock
        block, visible = clock.block, clock.position.row + 1
        if block is not self._marked_block:
            # Streams take turns, so a block may be left and come back to.
            if self._marked_block is not None:
                self._marked_block.cache[self] = self._marked_row
            self._marked_block, self._marked_row = block, block.cache.get(self, 0)
            self._marked_prices = mark_prices(block, self._run) if len(block) else None
        prices = self._marked_prices
        if visible <= self._marked_row or prices is None:
            return
        if len(self._marks) == 1:
            self._marks[0] = prices[visible - 1]
        else:
            advance_marks_nb(block.instrument, prices, self._marked_row, visible, self._marks)
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
        self._next_ts = np.full(2, np.iinfo(np.int64).min)  # when the next sample is due, when the last was taken
        self._carried = 0  # fills that happened while segments without prices went by
        self._chunks: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []

    def extend(self, segment: Segment, fills: list[Fill], blocks: list[Block], rows: list[int]) -> None:
        """Sample the account over a segment; the last ``len(rows)`` of ``fills`` happened since the one before."""
        block = segment.block
        prices = mark_prices(block, self._run)
        if prices is None:
            self._carried += len(rows)
            return
        count = len(rows) + self._carried
        recent = fills[len(fills) - count :]
        # A fill that happened off this block is due before the segment's first row.
        at = [row if owner is block else -1 for owner, row in zip(blocks, rows, strict=True)]
        fill_rows = np.array([-1] * self._carried + at, dtype=np.int64)
        self._carried = 0
        codes = np.array([fill.code for fill in recent], dtype=np.int32)
        quantities = np.array([fill.side * fill.quantity for fill in recent], dtype=np.float64)
        values = np.array([fill.price for fill in recent], dtype=np.float64) * quantities * self._multipliers[codes]
        cash = -values - np.array([fill.commission for fill in recent], dtype=np.float64)
        due = self._next_ts[0]
        if self._run.streams[block.stream].kind not in self._kinds:
            self._next_ts[0] = _NEVER  # its prices count, but only rows of an instant already sampled are sampled
        size = self._samples(block, segment.start, segment.stop)
        out_ts, out = np.empty(size, np.int64), np.empty((size, 4))
        written = equity_nb(
            block.ts,
            block.instrument,
            prices,
            segment.start,
            segment.stop,
            self._interval,
            self._next_ts,
            fill_rows,
            codes,
            quantities,
            cash,
            self._quantities,
            self._marks,
            self._multipliers,
            self._held,
            self._held_count,
            self._cash,
            out_ts,
            out,
        )
        if self._next_ts[0] == _NEVER:
            self._next_ts[0] = due
        if written:
            self._chunks.append((out_ts[:written].copy(), out[:written].copy()))

    def _samples(self, block: Block, start: int, stop: int) -> int:
        """An upper bound for the number of samples in a stretch of rows."""
        if self._interval == 0 or start == stop:
            return stop - start
        span = int(block.ts[stop - 1]) - int(block.ts[start])
        return min(stop - start, span // self._interval + 3)

    def finish(self) -> None:
        """Add the very last state, which the sampling may have missed; the table keeps one row an instant."""
        ledger, now = self._ledger, self._run.clock.now
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
