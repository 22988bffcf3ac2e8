"""The accounts while a run is under way: applies fills at once, and prices only when somebody asks.

Between fills nothing here runs per row. Marks are advanced in compiled code up to the clock when they
are read, and the equity curves of a segment are computed in one compiled pass each when the loop leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Segment, StreamInfo
from qengine_core.participant import Participant
from qengine_core.plugin import BAR, QUOTE, TRADE, PositionView, Rank
from qengine_portfolio import tables
from qengine_portfolio.account import Account, Marks, Together
from qengine_portfolio.basis import CostBasis
from qengine_portfolio.books import Books
from qengine_portfolio.curve import equity_nb
from qengine_portfolio.setup import books_of, seats_of
from qengine_portfolio.splits import IS_SPLIT, split_positions
from qengine_portfolio.view import MarketView, Views

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_portfolio.settings import StandardLedger

__all__ = ["LedgerBook"]

_NO_EFFECTS = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32), np.empty(0))
# Rows of several instruments from which on sampling them in a thread saves more than handing them over takes.
_WORTH_A_THREAD = 10_000
_NEVER = int(np.iinfo(np.int64).max)


class LedgerBook(Participant):
    """Positions, cash and P&L of one run. Brokers book into ``books``, and see blocks through ``views``.

    As a view it is all accounts together.
    """

    rank = Rank.ACCOUNTING

    def __init__(self, settings: StandardLedger, run: Run) -> None:
        self._run = run
        self.target_reserve = settings.target_reserve
        self.target_commission = settings.target_commission
        self.target_lot = settings.target_lot
        self.books = books_of(settings, run)
        self.views = Views(run)
        self._seats = seats_of(settings, run)
        self._basis = CostBasis(self.books, settings.lots)
        marks = Marks(self.books, self.views, run.clock)
        is_plain = settings.lots == "average" and len(self.books.currencies) == 1
        basis = None if is_plain else self._basis  # then the broker's own books say it all
        self.accounts = [Account(self.books, number, marks, basis) for number in range(len(self.books.names))]
        self._all = self.accounts[0] if len(self.accounts) == 1 else Together(self.accounts)
        self._marks = marks
        self._initial = self.books.cash[:: len(self.books.currencies)].tolist()
        self._rows = 0
        # Curves are sampled in a thread of their own beside the next rows, which a compiled walk lets run.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="qengine-curve")
        self._curves = [
            _Curve(settings, run, self.books, self.views, number, self._beside) for number in range(len(self.accounts))
        ]

    # Views ------------------------------------------------------------------------------------------

    @property
    def currencies(self) -> Sequence[str]:
        return self.books.currencies

    def account_of(self, strategy: int) -> int:
        return self._seats[strategy]

    @property
    def positions(self) -> Sequence[PositionView]:
        return self._all.positions

    @property
    def cash(self) -> float:
        return self._all.cash

    @property
    def equity(self) -> float:
        return self._all.equity

    def held(self) -> Sequence[int]:
        return self._all.held()

    def mark(self, code: int) -> float:
        return self._all.mark(code)

    def unit_value(self, code: int) -> float:
        return self._all.unit_value(code)

    def short_value(self) -> float:
        return self._all.short_value()

    def balance(self, currency: str) -> float:
        return self._all.balance(currency)

    def fx_rate(self, currency: str) -> float:
        return self._all.fx_rate(currency)

    def split(self, code: int, ratio: float) -> None:
        """Turn each unit held of an instrument into ``ratio`` units, and pay for what is no whole lot."""
        self._marks.advance()
        instrument = self._run.instruments[code]
        for account, left in split_positions(self.books, code, ratio, self._run.clock.now):
            amount = left * self.books.marks[code] * instrument.multiplier
            self.accounts[account].pay("cash-in-lieu", float(amount), instrument.currency, code)

    # Rows and results -------------------------------------------------------------------------------

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in (BAR, TRADE, QUOTE)

    def end_segment(self, segment: Segment) -> None:
        self._marks.advance()
        self._rows += segment.stop - segment.start
        for curve in self._curves:
            curve.extend(segment)

    def on_stop(self) -> None:
        if self._rows:
            for curve, account in zip(self._curves, self.accounts, strict=True):
                curve.finish(self._run.clock.now, account)
        self._beside.shutdown()

    def tables(self) -> Mapping[str, Any]:
        run, books, basis, curves = self._run, self.books, self._basis, self._curves
        names = [instrument.name for instrument in run.instruments]
        made: dict[str, Any] = {
            "equity": lambda: tables.equity([curve.samples() for curve in curves]),
            "positions": lambda: tables.positions(books, names, basis),
            "trades": lambda: tables.trades(books, names, basis),
            "cashflows": lambda: tables.cashflows(books, names),
            "prices": lambda: tables.prices(run, self._rows),
        }
        if len(books.names) > 1:
            made["equity_by_account"] = lambda: tables.equity_by_account(
                [curve.samples() for curve in curves], books.names
            )
        if len(books.currencies) > 1:
            made["balances"] = lambda: tables.balances(
                [curve.samples() for curve in curves], books.names, books.currencies
            )
        return made

    def counts(self) -> Mapping[str, Any]:
        counts: dict[str, Any] = {
            "final_equity": self.equity,
            "initial_cash": sum(self._initial),
            "cashflows": self.books.flows.totals(),
        }
        if len(self.accounts) > 1:
            counts["accounts"] = {
                account.name: {"final_equity": account.equity, "initial_cash": cash}
                for account, cash in zip(self.accounts, self._initial, strict=True)
            }
        return counts


@attrs.frozen(kw_only=True)
class _Stretch:
    """Rows of a block, and the numbers of the fills and cash flows since the stretch before."""

    stream: int
    view: MarketView
    ts: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    rows: slice
    fills: slice
    flows: slice


class _Curve:
    """Collects what a segment brought to an account, fills and cash flows, and turns it, with prices, into samples.

    Of one instrument's bars every row is a sample: that takes more memory than the rows themselves, and is put off
    until somebody asks. Of many instruments, or of ticks, there are far fewer samples than rows.
    """

    def __init__(
        self, settings: StandardLedger, run: Run, books: Books, views: Views, number: int, beside: ThreadPoolExecutor
    ) -> None:
        count, currencies = len(run.instruments), len(books.currencies)
        self._number = number
        self._books, self._views = books, views
        self._stream_kinds = [stream.kind for stream in run.streams]
        self._kinds = {BAR} if any(s.kind == BAR for s in run.streams) else {TRADE, QUOTE}
        self._interval = 0 if BAR in self._kinds else int(settings.tick_interval * 1e9)
        self._cash = books.cash[number * currencies : (number + 1) * currencies].copy()
        self._quantities = np.zeros(count)
        self._marks = np.full(count, np.nan)
        self._multipliers = np.array([instrument.multiplier for instrument in run.instruments])
        native = books.instruments["currency"][:count].astype(np.int32)
        self._converts = currencies > 1 and bool(books.head["converts"][0])
        self._paid_in = np.zeros_like(native) if self._converts else native
        self._several = (
            np.ascontiguousarray(books.pairs["code"]),
            books.pairs["inverse"].astype(np.bool_),
            books.rates.copy(),
            native,
            self._multipliers.copy(),
        )
        self._width = 4 + (2 * currencies if currencies > 1 else 0)
        self._held = np.zeros(count + 1, dtype=np.int32)
        self._held_count = np.zeros(1, dtype=np.int64)
        self._next_ts = np.full(2, np.iinfo(np.int64).min)  # when the next sample is due, when the last was taken
        self._booked = 0  # fills that are in the curve already
        self._flowed = 0  # cash flows that are
        self._chunks: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
        only_bars = all(kind == BAR for kind in self._stream_kinds)
        self._is_put_off = count == 1 and only_bars and currencies == 1
        self._put_off: list[_Stretch] = []
        self._beside = beside
        self._under_way: Future[None] | None = None
        self._last: tuple[int, list[float]] | None = None

    def extend(self, segment: Segment) -> None:
        """Sample the account over a segment, with the fills that happened since the one before."""
        block, books = segment.block, self._books
        if self._stream_kinds[block.stream] not in (BAR, TRADE, QUOTE):
            return
        stretch = _Stretch(
            stream=block.stream,
            view=self._views.of(block),
            ts=block.ts,
            codes=block.instrument,
            rows=slice(segment.start, segment.stop),
            fills=slice(self._booked, books.fill_count),
            flows=slice(self._flowed, books.flows.count),
        )
        self._booked, self._flowed = books.fill_count, books.flows.count
        if self._is_put_off:
            self._put_off.append(stretch)
            return
        self._catch_up()
        fills, flows = self._happened(stretch)
        if len(self._marks) == 1 or segment.stop - segment.start < _WORTH_A_THREAD:
            self._sample(stretch, fills, flows)
        else:
            self._under_way = self._beside.submit(self._sample, stretch, fills, flows)

    def _catch_up(self) -> None:
        """Wait for the stretch that is being sampled: of each account one is held beside the block under way."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None

    def _happened(self, stretch: _Stretch) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The records of the fills and cash flows of a stretch, which do not change any more."""
        return self._books.fills[stretch.fills], self._books.flows.records[stretch.flows]

    def _sample(self, stretch: _Stretch, happened: npt.NDArray[Any], flows: npt.NDArray[Any]) -> None:
        """Walk a stretch of rows, with what happened to the account on them."""
        ts, rows = stretch.ts, stretch.rows
        fills = self._effects(stretch, happened, flows)
        due = self._next_ts[0]
        if self._stream_kinds[stretch.stream] not in self._kinds:
            self._next_ts[0] = _NEVER  # its prices count, but only rows of an instant already sampled are sampled
        size = self._samples(ts, rows.start, rows.stop)
        out_ts, out = np.empty(size, np.int64), np.empty((size, self._width))
        written = equity_nb(
            ts,
            stretch.codes,
            stretch.view.mark,
            rows.start,
            rows.stop,
            self._interval,
            self._next_ts,
            fills,
            self._quantities,
            self._marks,
            self._multipliers,
            self._held,
            self._held_count,
            self._cash,
            self._several,
            out_ts,
            out,
        )
        if self._next_ts[0] == _NEVER:
            self._next_ts[0] = due
        if written:
            self._chunks.append((out_ts, out) if written == size else (out_ts[:written].copy(), out[:written].copy()))

    def _effects(self, stretch: _Stretch, fills: npt.NDArray[Any], flows: Any) -> tuple[npt.NDArray[Any], ...]:
        """On which row each fill happened, and what it changed: of what, how much, and cash in which currency.

        A fill that happened off the stretch's block is due before its first row. A split changes no cash: in place of
        it stands the ratio, and in place of the currency -1.
        """
        if len(self._books.names) > 1:
            fills = fills[fills["account"] == self._number]
        if not len(fills):
            return self._with_flows(stretch, flows, *_NO_EFFECTS) if len(flows) else _NO_EFFECTS
        codes = fills["code"].astype(np.int32)
        quantities = fills["side"] * fills["quantity"]
        cash = -fills["price"] * quantities * self._multipliers[codes] - fills["commission"]
        if self._converts:
            cash = cash * fills["fx_rate"]
        rows = np.where(fills["block"] == stretch.view.number, fills["row"], -1)
        currencies = self._paid_in[codes]
        is_split = fills["order"] == IS_SPLIT
        if is_split.any():
            ts = stretch.ts[stretch.rows]
            rows = np.where(is_split, stretch.rows.start + np.searchsorted(ts, fills["ts"]), rows)
            rows = np.maximum.accumulate(rows)
            currencies, cash = np.where(is_split, np.int32(-1), currencies), np.where(is_split, fills["slippage"], cash)
        effects = rows, codes, quantities, currencies, cash
        return self._with_flows(stretch, flows, *effects) if len(flows) else effects

    def _with_flows(self, stretch: _Stretch, flows: Any, rows: Any, *effects: Any) -> tuple[Any, ...]:
        """Fills, and the cash flows of a stretch among them, each from the first row at or after its time.

        A flow is a fill of no quantity.
        """
        flows = flows[flows["account"] == self._number]
        ts = stretch.ts[stretch.rows]
        rows = np.concatenate([rows, stretch.rows.start + np.searchsorted(ts, flows["ts"])])
        order = np.argsort(rows, kind="stable")
        nothing, currencies = np.zeros(len(flows)), flows["currency"].astype(np.int32)
        added = (nothing.astype(np.int32), nothing, currencies, flows["amount"])
        both = (np.concatenate([given, more])[order] for given, more in zip(effects, added, strict=True))
        return (rows[order], *both)

    def _samples(self, ts: Any, start: int, stop: int) -> int:
        """An upper bound for the number of samples in a stretch of rows."""
        if self._interval == 0 or start == stop:
            return stop - start
        span = int(ts[stop - 1]) - int(ts[start])
        return min(stop - start, span // self._interval + 3)

    def finish(self, now: int, account: Account) -> None:
        """Add the very last state, which the sampling may have missed; the table keeps one row an instant."""
        self._catch_up()
        equity, cash, short = account.equity, account.cash, account.short_value()
        last = [equity, cash, equity - cash + short, short]
        if self._width > 4:
            for currency in self._books.currencies:
                last += [account.balance(currency), account.fx_rate(currency)]
        self._last = now, last

    def samples(self) -> tables.Samples:
        """Everything that was sampled; of an instant that comes more than once, the last counts."""
        for stretch in self._put_off:
            self._sample(stretch, *self._happened(stretch))
        self._put_off.clear()
        if self._last is not None:
            now, last = self._last
            self._chunks.append((np.array([now], dtype=np.int64), np.array([last])))
            self._last = None
        if not self._chunks:
            return np.empty(0, np.int64), np.empty((0, self._width))
        return np.concatenate([ts for ts, _ in self._chunks]), np.concatenate([values for _, values in self._chunks])
