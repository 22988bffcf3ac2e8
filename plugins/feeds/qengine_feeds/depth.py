"""Books of several levels out of what exchanges and vendors record; it matches nothing.

Real streams say what has changed: a snapshot of the book and then differences, or single orders. These
functions rebuild the book and return quotes with depth: a Polars frame with ``ts``, ``bid``, ``bid_size``,
``ask``, ``ask_size`` and, for the levels behind the best, ``bid_2``, ``bid_size_2``, ``ask_2`` and so on, as
``FrameFeed(frame=..., kind="quote")`` takes it or a Parquet file keeps it. A level that the book does not
have is null.
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import polars as pl

from qengine_core.plugin import ConfigError, DataError

__all__ = [
    "BinanceRecording",
    "level_names",
    "quotes_from_columns",
    "quotes_from_updates",
    "read_binance",
    "updates_from_orders",
]

UPDATES = {"ts": pl.Int64, "side": pl.String, "price": pl.Float64, "size": pl.Float64, "snapshot": pl.Boolean}


def level_names(levels: int) -> list[str]:
    """The columns of so many levels, in the order of a row: bid, bid_size, ask, ask_size, bid_2 ..."""
    suffixes = ["", *(f"_{level}" for level in range(2, levels + 1))]
    return [f"{name}{suffix}" for suffix in suffixes for name in ("bid", "bid_size", "ask", "ask_size")]


def quotes_from_updates(updates: pl.DataFrame, levels: int = 10) -> pl.DataFrame:
    """The book after each message of a stream of changes, as quotes with ``levels`` levels.

    ``updates`` has ``ts`` (int64 ns or a datetime), ``side`` ("bid" or "ask"), ``price``, ``size`` (what the
    level displays from now on; 0: the level is gone) and, if there are any, ``snapshot`` (true: the row is
    part of a whole book, which replaces the one before). Rows of one ``ts`` that follow one another are one
    message, and so are a snapshot and the changes that come with it. There is no row while a side is empty.
    Raises DataError for a side of another name.
    """
    _levels_or_refuse(levels)
    whole = updates["snapshot"].to_list() if "snapshot" in updates.columns else [False] * updates.height
    ts, sides, prices, sizes = (updates[name].to_list() for name in ("ts", "side", "price", "size"))
    stamps, rows = list[int](), list[list[float | None]]()
    for index, book in _books(ts, sides, prices, sizes, whole):
        if book["bid"].prices and book["ask"].prices:
            stamps.append(index)
            levels_of_both = zip(book["bid"].best(levels), book["ask"].best(levels), strict=True)
            rows.append([value for bid, ask in levels_of_both for value in (*bid, *ask)])
    schema = dict.fromkeys(level_names(levels), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row").insert_column(0, updates["ts"].gather(stamps))


def updates_from_orders(orders: pl.DataFrame) -> pl.DataFrame:
    """Changes of levels out of changes of single orders, as Databento's market-by-order schema has them.

    ``orders`` has ``ts_recv`` (or ``ts``), ``action`` (A adds, M modifies, C cancels, R clears the book; T and F
    tell of trades and change nothing by themselves), ``side`` (B or A), ``price``, ``size`` and ``order_id``.
    Raises DataError for a modified or cancelled order that was never added.
    """
    clock = "ts_recv" if "ts_recv" in orders.columns else "ts"
    known: dict[int, tuple[str, float, float]] = {}
    shown: dict[tuple[str, float], float] = {}
    found: list[tuple[int, str, float, float, bool]] = []

    def change(index: int, side: str, price: float, size: float) -> None:
        total = shown[side, price] = shown.get((side, price), 0.0) + size
        found.append((index, side, price, total, False))

    wanted = ("action", "side", "price", "size", "order_id")
    for index, (action, letter, price, size, name) in enumerate(orders.select(wanted).iter_rows()):
        if action == "R":
            known.clear()
            found += [(index, side, price, 0.0, False) for (side, price), total in shown.items() if total]
            shown.clear()
            continue
        if action in "MC":
            if name not in known:
                raise DataError(f"Row {index}: order {name} is changed, but was never added; begin with a snapshot.")
            side, before, held = known[name]
            gone = min(float(size), held) if action == "C" else held
            change(index, side, before, -gone)
            known[name] = (side, before, held - gone)
        if action in "AM":
            side = "bid" if letter == "B" else "ask"
            known[name] = (side, price, float(size))
            change(index, side, price, float(size))
    frame = pl.DataFrame(found, schema={**UPDATES, "ts": pl.Int64}, orient="row")
    return frame.with_columns(ts=orders[clock].gather(frame["ts"]))


def quotes_from_columns(
    frame: pl.DataFrame, *, bid: str, bid_size: str, ask: str, ask_size: str, levels: int, first: int = 0
) -> pl.DataFrame:
    """Rename a vendor's wide table: each pattern takes the number of a level, of which the best is ``first``.

    Databento's mbp-10: ``bid="bid_px_{:02d}"``, ``bid_size="bid_sz_{:02d}"`` and so on; Tardis's snapshots:
    ``bid="bids[{}].price"``, ``bid_size="bids[{}].amount"``. Other columns stay. Raises DataError for a column
    that is not there.
    """
    _levels_or_refuse(levels)
    patterns = (bid, bid_size, ask, ask_size)
    theirs = [pattern.format(level) for level in range(first, first + levels) for pattern in patterns]
    missing = [name for name in theirs if name not in frame.columns]
    if missing:
        raise DataError(f"There is no column {missing[0]}: the table has {', '.join(frame.columns[:8])} ...")
    return frame.rename(dict(zip(theirs, level_names(levels), strict=True)))


@attrs.frozen(kw_only=True)
class BinanceRecording:
    """What a recorded web socket of Binance holds; ``ts`` is int64 nanoseconds UTC, each frame in order of it.

    ``updates`` are the changes of the book from the snapshot on, with ``update_id``, the last that a message
    covers. ``trades`` have ``price``, ``size`` and ``aggressor`` (1: a buyer took, -1: a seller), ``tickers``
    the best quotes as the exchange sent them, with ``update_id``.
    """

    updates: pl.DataFrame
    trades: pl.DataFrame
    tickers: pl.DataFrame

    def quotes(self, levels: int = 10) -> pl.DataFrame:
        """The book after every message."""
        return quotes_from_updates(self.updates, levels)


def read_binance(path: str | Path) -> BinanceRecording:
    """Read a recording of Binance's spot or USD-M streams, plain or gzipped.

    A line is the time of receipt (ns UTC), a space and the message: one REST snapshot of the depth, and
    ``{"stream", "data"}`` of diff depth, book ticker and trades. ``ts`` is the time of receipt. As Binance says
    ("How to manage a local order book correctly"), differences that the snapshot has already are left out, and
    each must follow on the one before. Raises DataError where one is missing, or the snapshot is.
    """
    updates: list[tuple[Any, ...]] = []
    trades: list[tuple[int, float, float, float]] = []
    tickers: list[tuple[int, int, float, float, float, float]] = []
    waiting: list[tuple[int, dict[str, Any]]] = []
    last = -1

    def apply(ts: int, data: dict[str, Any]) -> None:
        nonlocal last
        if data["u"] <= last:
            return
        is_first = not updates or updates[-1][-1]
        follows = data["pu"] == last if "pu" in data else data["U"] == last + 1
        if not follows and not (is_first and data["U"] <= last + 1):
            raise DataError(
                f"{path}: the book's update after {last} is missing, the next is {data['U']} to {data['u']}."
            )
        last = data["u"]
        updates.extend((ts, side, *level, last, False) for side, level in _changes(data, "b", "a"))

    for ts, message in _messages(path):
        if "lastUpdateId" in message:
            last = message["lastUpdateId"]
            updates.extend((ts, side, *level, last, True) for side, level in _changes(message, "bids", "asks"))
            for _, before in waiting:  # known before, but of use only from now on
                apply(ts, before)
            waiting.clear()
        elif "depth" in message["stream"]:
            apply(ts, message["data"]) if updates else waiting.append((ts, message["data"]))
        elif "bookTicker" in message["stream"]:
            data = message["data"]
            tickers.append((ts, data["u"], *(float(data[key]) for key in ("b", "B", "a", "A"))))
        elif "trade" in message["stream"].lower():
            data = message["data"]
            trades.append((ts, float(data["p"]), float(data["q"]), -1.0 if data["m"] else 1.0))
    if not updates:
        raise DataError(f"{path} holds no snapshot of the depth, from which a book could be built.")
    named = ("ts", "side", "price", "size", "update_id", "snapshot")
    kinds = {**UPDATES, "update_id": pl.Int64}
    return BinanceRecording(
        updates=pl.DataFrame(updates, schema={name: kinds[name] for name in named}, orient="row"),
        trades=pl.DataFrame(trades, schema=["ts", "price", "size", "aggressor"], orient="row"),
        tickers=pl.DataFrame(tickers, schema=["ts", "update_id", *level_names(1)], orient="row"),
    )


def _messages(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    path = Path(path)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            ts, _, text = line.partition(" ")
            yield int(ts), json.loads(text)


def _changes(data: dict[str, Any], bids: str, asks: str) -> Iterator[tuple[str, tuple[float, float]]]:
    for side, key in (("bid", bids), ("ask", asks)):
        for price, size in data[key]:
            yield side, (float(price), float(size))


class _Side:
    """One side of a book: sizes by price, and the prices in order, the best first."""

    __slots__ = ("_sign", "prices", "sizes")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self.prices: list[float] = []  # of bids, negative
        self.sizes: dict[float, float] = {}

    def set(self, price: float, size: float) -> None:
        key = self._sign * price
        if size > 0:
            if key not in self.sizes:
                insort(self.prices, key)
            self.sizes[key] = size
        elif self.sizes.pop(key, None) is not None:
            del self.prices[bisect_left(self.prices, key)]

    def clear(self) -> None:
        self.prices.clear()
        self.sizes.clear()

    def best(self, levels: int) -> list[tuple[float | None, float | None]]:
        """Price and size of the best levels; None where there is none."""
        found: list[tuple[float | None, float | None]] = [
            (self._sign * key, self.sizes[key]) for key in self.prices[:levels]
        ]
        return found + [(None, None)] * (levels - len(found))


def _books(
    stamps: Sequence[Any], sides: Iterable[str], prices: Iterable[float], sizes: Iterable[float], whole: Sequence[bool]
) -> Iterator[tuple[int, dict[str, _Side]]]:
    """The book after each message, with the number of the message's last row; one object throughout."""
    book = {"bid": _Side(-1), "ask": _Side(1)}
    final, in_snapshot = len(stamps) - 1, False
    for index, (side, price, size) in enumerate(zip(sides, prices, sizes, strict=True)):
        if whole[index] and not (in_snapshot and stamps[index] == stamps[index - 1]):
            for each in book.values():
                each.clear()
        in_snapshot = whole[index]
        if side not in book:
            raise DataError(f"Row {index} of the updates: the side is {side!r}, but must be 'bid' or 'ask'.")
        book[side].set(price, size)
        if index == final or stamps[index + 1] != stamps[index] or (whole[index + 1] and not whole[index]):
            yield index, book


def _levels_or_refuse(levels: int) -> None:
    if levels < 1:
        raise ConfigError(f"levels must be 1 or more, not {levels}.")
