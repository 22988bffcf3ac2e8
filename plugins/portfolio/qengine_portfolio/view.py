"""One block of market data as compiled code sees it: columns by what they mean to an order and to a position."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block, StreamInfo
from qengine_core.plugin import BAR, QUOTE, TRADE
from qengine_core.run import Run
from qengine_portfolio.levels import levels_of
from qengine_portfolio.native import address

__all__ = ["BARS", "KINDS", "QUOTES", "TRADES", "VIEW", "MarketView", "Views", "grades_of"]

# The finest first: an instrument is matched on the finest data there is of it.
QUOTES, TRADES, BARS = 0, 1, 2
KINDS = {QUOTE: QUOTES, TRADE: TRADES, BAR: BARS}
_DAY = 86_400_000_000_000

# Addresses of columns (0: there is none) of ``rows`` rows. A buyer's prices are asks, a seller's are bids; bars
# and prints have one price for both. Sizes are what a buyer or a seller finds.
VIEW = np.dtype(
    [
        *((name, "i8") for name in ("ts", "codes", "mark", "buy_open", "sell_open", "buy_low", "buy_high", "sell_low")),
        *((name, "i8") for name in ("sell_high", "close", "buy_size", "sell_size", "spread", "volatility")),
        # The session of each row, and whether it is its instrument's first in it; there once somebody has asked.
        *((name, "i8") for name in ("session_open", "session_close", "is_opening")),
        ("opened", "i8"),  # when each bar opened, of bars that say so
        *((name, "i8") for name in ("rows", "kind", "grade", "number", "marked", "noted")),
        # Of quotes: addresses of ask, ask_size, bid and bid_size of each level, the best first. Of prints: who took.
        *((name, "i8") for name in ("depth", "levels", "aggressor")),
    ]
)


_VIEW_NAMES = VIEW.names or ()


class MarketView:
    """A record of where a block's columns are, and the columns themselves, so that they stay there."""

    __slots__ = ("_columns", "_record", "address", "mark", "number")

    def __init__(self, block: Block, kind: str, number: int, grade: int = BARS) -> None:
        self._columns = {"ts": block.ts, "codes": block.instrument, **_meanings(block, kind)}
        levels = 0
        if kind == QUOTE:
            self._columns["depth"] = levels_of(self._columns, block)
            levels = len(self._columns["depth"])
        different = {id(column): column for column in self._columns.values() if column is not None}
        places = {number: address(column) for number, column in different.items()}
        known = {name: places.get(id(column), 0) for name, column in self._columns.items()}
        known |= {"rows": len(block), "kind": KINDS[kind], "grade": grade, "number": number, "levels": levels}
        self._record = np.array([tuple(known.get(name, 0) for name in _VIEW_NAMES)], VIEW)
        self.address = address(self._record)
        self.mark: npt.NDArray[np.float64] = self._columns["mark"]
        self.number = number

    def add(self, **columns: npt.NDArray[Any]) -> None:
        """Let compiled code see further columns."""
        for name, column in columns.items():
            self._columns[name] = column
            self._record[name] = address(column)

    @property
    def has_sessions(self) -> bool:
        return "session_open" in self._columns


class Views:
    """The views of a run's blocks: one for each, made when it is first asked for."""

    def __init__(self, run: Run) -> None:
        self._kinds = [stream.kind for stream in run.streams]
        self._intervals = [stream.interval for stream in run.streams]
        self._grades = grades_of(run.streams)
        self._numbers = itertools.count()
        self._key = object()  # in the cache of blocks, which must not hold this
        self._block: Block | None = None
        self._view: MarketView | None = None
        self._before = MarketView(_NOTHING, BAR, -1)
        self._run = run
        self._last_open = np.full((len(run.streams), len(run.instruments)), -1)  # of their last rows' sessions

    def of(self, block: Block) -> MarketView:
        """The view of a block. One without market data, as before the first row, has no rows to see."""
        if block is self._block:
            return self._view  # type: ignore[return-value]
        view = block.cache.get(self._key)
        if view is None:
            kind = self._kinds[block.stream] if block.stream >= 0 else ""
            if kind in KINDS:
                view = MarketView(block, kind, next(self._numbers), self._grades[block.stream])
                if kind == BAR and (opened := self._opened(block)) is not None:
                    view.add(opened=opened)
            else:
                view = self._before
            block.cache[self._key] = view
        self._block, self._view = block, view
        return view

    def _opened(self, block: Block) -> npt.NDArray[np.int64] | None:
        """When the bars of a block opened: as they say themselves, else their interval before they closed.

        A bar of a day or longer opened no earlier than its session.
        """
        if "open_ts" in block.columns:
            return np.ascontiguousarray(block.columns["open_ts"], dtype=np.int64)
        interval = self._intervals[block.stream]
        if not interval:
            return None
        opened = block.ts - interval
        return np.maximum(opened, self._session_bounds(block)[0]) if interval >= _DAY else opened

    def _session_bounds(self, block: Block) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """When the session of each row opens and closes."""
        ts, codes, kind = block.ts, block.instrument, self._kinds[block.stream]
        opens, closes = np.empty_like(ts), np.empty_like(ts)
        by_calendar: dict[Any, list[int]] = {}
        for code in np.unique(codes).tolist():
            by_calendar.setdefault(self._run.sessions(code), []).append(code)
        for sessions, members in by_calendar.items():
            rows = np.isin(codes, members)
            opens[rows], closes[rows] = sessions.of_rows(ts[rows], kind)
        return opens, closes

    def add_sessions(self, block: Block) -> None:
        """Let compiled code see the sessions of a block's rows. The blocks of a stream are asked for in order.

        Each stream opens a session with the first row it has of it: blocks of several are cut anywhere.
        """
        view = self.of(block)
        if view.has_sessions or not len(block):
            return
        ts, codes = block.ts, block.instrument
        opens, closes = self._session_bounds(block)
        order = np.argsort(codes, kind="stable")
        ordered, owners = opens[order], codes[order]
        begins = np.concatenate(([True], owners[1:] != owners[:-1]))
        before = np.concatenate(([-1], ordered[:-1]))
        last_open = self._last_open[block.stream]
        before[begins] = last_open[owners[begins]]
        starts = np.empty(len(ts), np.int64)
        starts[order] = ordered != before
        last_open[owners] = ordered  # the last of each instrument stays
        view.add(session_open=opens, session_close=closes, is_opening=starts)


def _meanings(block: Block, kind: str) -> dict[str, Any]:
    columns = {name: _floats(block.columns[name]) for name in block.columns if name in _USED}  # others stay unread
    if kind == QUOTE:
        ask, bid = columns["ask"], columns["bid"]
        buyer = dict.fromkeys(("buy_open", "buy_low", "buy_high"), ask)
        seller = dict.fromkeys(("sell_open", "sell_low", "sell_high"), bid)
        middle = (bid + ask) / 2
        sizes = {"buy_size": columns.get("ask_size"), "sell_size": columns.get("bid_size")}
        return {**buyer, **seller, "mark": middle, "close": middle, **sizes}
    if kind == BAR:
        opens, lows, highs, closes = (columns[name] for name in ("open", "low", "high", "close"))
        size = columns.get("volume")
    else:
        opens = lows = highs = closes = columns["price"]
        size = columns.get("size")
    return {
        "aggressor": columns.get("aggressor"),
        "mark": closes,
        "close": closes,
        **dict.fromkeys(("buy_open", "sell_open"), opens),
        **dict.fromkeys(("buy_low", "sell_low"), lows),
        **dict.fromkeys(("buy_high", "sell_high"), highs),
        **dict.fromkeys(("buy_size", "sell_size"), size),
        "spread": columns.get("spread"),
        "volatility": columns.get("volatility"),
    }


def grades_of(streams: Sequence[StreamInfo]) -> list[int]:
    """How fine the market data of each stream is, the finest first: quotes, trades, bars by their interval.

    Bars of an unknown interval are the coarsest. Streams of one grade complete each other.
    """
    lengths = {stream.interval or np.inf for stream in streams if stream.kind == BAR}
    ranks = {length: BARS + rank for rank, length in enumerate(sorted(lengths))}
    return [ranks[s.interval or np.inf] if s.kind == BAR else KINDS.get(s.kind, -1) for s in streams]


_USED = {
    *("open", "high", "low", "close", "volume", "price", "size"),
    *("bid", "ask", "bid_size", "ask_size", "spread", "volatility", "aggressor"),
}

_NOTHING = Block(
    -1,
    np.empty(0, np.int64),
    np.empty(0, np.int32),
    {name: np.empty(0) for name in ("open", "high", "low", "close")},
)


def _floats(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.ascontiguousarray(values, dtype=np.float64)
