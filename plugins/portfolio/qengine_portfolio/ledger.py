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
from qengine_core.plugin import BAR, QUOTE, TRADE, ConfigError, Rank
from qengine_portfolio import entries, tables
from qengine_portfolio.accounts import BookedAccount
from qengine_portfolio.books import Books
from qengine_portfolio.curve import equity_nb
from qengine_portfolio.native import live
from qengine_portfolio.view import Views

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_portfolio.settings import StandardLedger

__all__ = ["LedgerBook"]

_NO_EFFECTS = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0), np.empty(0))
_NEVER = int(np.iinfo(np.int64).max)


class LedgerBook(Participant):
    """Positions, cash and P&L of one run. Brokers book into ``books``, and see blocks through ``views``."""

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
        self.target_reserve = settings.target_reserve
        self.target_commission = settings.target_commission
        self.target_lot = settings.target_lot
        self.books = Books(run.instruments, [settings.cash], settings.currency)
        self.views = Views(run)
        self.accounts = [BookedAccount(self.books, n, run.clock) for n in range(len(self.books.accounts))]
        self.positions = [_Position(self.books, code) for code in range(len(run.instruments))]
        self._cash = live(self.books.cash)
        self._marks = live(self.books.marks)
        self._rows = 0
        self._curve = _Curve(settings, run, self.books, self.views)

    @property
    def currencies(self) -> Sequence[str]:
        """What the accounts may hold cash in, the ledger's own currency first."""
        return self.books.currencies

    @property
    def cash(self) -> float:
        """Settled money, in the ledger's currency."""
        return self._cash[0]

    @property
    def equity(self) -> float:
        """Cash plus every position at its last known price."""
        self._advance()
        return entries.equity(self.books.address, 0)

    def held(self) -> Sequence[int]:
        count = int(self.books.accounts["held_count"][0])
        return self.books.held[:count].tolist()

    def mark(self, code: int) -> float:
        self._advance()
        return self._marks[code]

    def short_value(self) -> float:
        self._advance()
        return entries.short_value(self.books.address, 0)

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in (BAR, TRADE, QUOTE)

    def end_segment(self, segment: Segment) -> None:
        self._advance()
        self._rows += segment.stop - segment.start
        self._curve.extend(segment)

    def on_stop(self) -> None:
        if self._rows:
            self._curve.finish(self._clock.now, self.equity, self.cash, self.short_value())

    def tables(self) -> Mapping[str, Any]:
        run = self._run
        names = [instrument.name for instrument in run.instruments]
        return {
            "equity": self._curve.table,
            "positions": lambda: tables.positions(self.books, names),
            "trades": lambda: tables.trades(self.books, names),
            "cashflows": lambda: tables.cashflows(self.books, names),
            "prices": lambda: tables.prices(run, self._rows),
        }

    def counts(self) -> Mapping[str, Any]:
        return {
            "final_equity": self.equity,
            "initial_cash": self.initial_cash,
            "cashflows": self.books.flows.totals(),
        }

    def _advance(self) -> None:
        """Bring the marks up to the row the clock stands on."""
        clock = self._clock
        entries.mark_up_to(self.books.address, self.views.of(clock.block).address, clock.position.row)


class _Position:
    """What is held of one instrument, as it is whenever it is read."""

    __slots__ = ("_average", "_place", "_quantity", "_realised")

    def __init__(self, books: Books, place: int) -> None:
        self._place = place
        self._quantity = live(books.positions["quantity"])
        self._average = live(books.positions["average_price"])
        self._realised = live(books.positions["realised_pnl"])

    @property
    def quantity(self) -> float:
        return self._quantity[self._place]

    @property
    def average_price(self) -> float:
        return self._average[self._place]

    @property
    def realised_pnl(self) -> float:
        return self._realised[self._place]


class _Curve:
    """Collects what a segment brought, fills and cash flows, and turns it, with its prices, into samples."""

    def __init__(self, settings: StandardLedger, run: Run, books: Books, views: Views) -> None:
        count = len(run.instruments)
        self._books, self._views = books, views
        self._stream_kinds = [stream.kind for stream in run.streams]
        self._kinds = {BAR} if any(s.kind == BAR for s in run.streams) else {TRADE, QUOTE}
        self._interval = 0 if BAR in self._kinds else int(settings.tick_interval * 1e9)
        self._cash = np.array([settings.cash])
        self._quantities = np.zeros(count)
        self._marks = np.full(count, np.nan)
        self._multipliers = np.array([instrument.multiplier for instrument in run.instruments])
        self._held = np.zeros(count + 1, dtype=np.int32)
        self._held_count = np.zeros(1, dtype=np.int64)
        self._next_ts = np.full(2, np.iinfo(np.int64).min)  # when the next sample is due, when the last was taken
        self._booked = 0  # fills that are in the curve already
        self._flowed = 0  # cash flows that are
        self._chunks: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []

    def extend(self, segment: Segment) -> None:
        """Sample the account over a segment, with the fills that happened since the one before."""
        block, books = segment.block, self._books
        if self._stream_kinds[block.stream] not in (BAR, TRADE, QUOTE):
            return
        view = self._views.of(block)
        recent = books.fills[self._booked : books.fill_count]
        self._booked = books.fill_count
        # A fill that happened off this block is due before the segment's first row.
        fill_rows, codes, quantities, cash = self._effects(recent, view.number) if len(recent) else _NO_EFFECTS
        if books.flows.count > self._flowed:
            fill_rows, codes, quantities, cash = self._with_flows(segment, fill_rows, codes, quantities, cash)
        due = self._next_ts[0]
        if self._stream_kinds[block.stream] not in self._kinds:
            self._next_ts[0] = _NEVER  # its prices count, but only rows of an instant already sampled are sampled
        size = self._samples(block, segment.start, segment.stop)
        out_ts, out = np.empty(size, np.int64), np.empty((size, 4))
        written = equity_nb(
            block.ts,
            block.instrument,
            view.mark,
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

    def _effects(self, fills: npt.NDArray[Any], block: int) -> tuple[npt.NDArray[Any], ...]:
        """On which row each fill happened, and what it changed: of what, how much, and cash."""
        codes = fills["code"].astype(np.int32)
        quantities = fills["side"] * fills["quantity"]
        cash = -fills["price"] * quantities * self._multipliers[codes] - fills["commission"]
        return np.where(fills["block"] == block, fills["row"], -1), codes, quantities, cash

    def _with_flows(self, segment: Segment, rows: Any, codes: Any, quantities: Any, cash: Any) -> tuple[Any, ...]:
        """Fills, and the cash flows since the segment before among them, each from the first row at or after its time.

        A flow is a fill of no quantity.
        """
        flows = self._books.flows.records[self._flowed :]
        self._flowed = self._books.flows.count
        ts = segment.block.ts[segment.start : segment.stop]
        rows = np.concatenate([rows, segment.start + np.searchsorted(ts, flows["ts"])])
        order = np.argsort(rows, kind="stable")
        nothing = np.zeros(len(flows))
        return (
            rows[order],
            np.concatenate([codes, nothing.astype(np.int32)])[order],
            np.concatenate([quantities, nothing])[order],
            np.concatenate([cash, flows["amount"]])[order],
        )

    def _samples(self, block: Block, start: int, stop: int) -> int:
        """An upper bound for the number of samples in a stretch of rows."""
        if self._interval == 0 or start == stop:
            return stop - start
        span = int(block.ts[stop - 1]) - int(block.ts[start])
        return min(stop - start, span // self._interval + 3)

    def finish(self, now: int, equity: float, cash: float, short: float) -> None:
        """Add the very last state, which the sampling may have missed; the table keeps one row an instant."""
        last = np.array([[equity, cash, equity - cash + short, short]])
        self._chunks.append((np.array([now], dtype=np.int64), last))

    def table(self) -> Any:
        return tables.equity(self._chunks)
