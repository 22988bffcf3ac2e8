"""The ledger's records as Polars frames. Times are UTC nanoseconds, money is in the ledger's currency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qengine_core.blocks import Block
from qengine_portfolio.books import Books
from qengine_portfolio.replay import STEP, TRIP, replay
from qengine_portfolio.view import Views

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["cashflows", "equity", "positions", "prices", "trades"]

TS = pl.Datetime("ns", "UTC")
_PRICE_ROWS = 200_000
_READABLE_ROWS = 2_000_000


def equity(chunks: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]) -> pl.DataFrame:
    """One row per sampled instant: ``ts, equity, cash, long_value, short_value`` (the latter >= 0)."""
    ts = np.concatenate([ts for ts, _ in chunks]) if chunks else np.empty(0, np.int64)
    values = np.concatenate([values for _, values in chunks]) if chunks else np.empty((0, 4))
    names = ("equity", "cash", "long_value", "short_value")
    columns = {name: np.ascontiguousarray(values[:, index]) for index, name in enumerate(names)}
    frame = pl.DataFrame({"ts": ts, **columns}).with_columns(_stamp("ts"))
    return frame.unique("ts", keep="last", maintain_order=True)


def positions(books: Books, names: Sequence[str]) -> pl.DataFrame:
    """One row per change of a position, in order of execution."""
    fills, steps, _ = _replayed(books)
    multiplier = books.instruments["multiplier"][fills["code"]]
    frame = pl.DataFrame(
        {name: np.ascontiguousarray(fills[name]) for name in ("ts", "code", "price")}
        | {name: np.ascontiguousarray(steps[name]) for name in ("quantity", "average_price", "realised_pnl")}
        | {"multiplier": multiplier}
    )
    size = pl.col("quantity") * pl.col("multiplier")
    return frame.select(
        _stamp("ts"),
        _named(names),
        "quantity",
        "average_price",
        "price",
        market_value=size * pl.col("price"),
        realised_pnl=pl.col("realised_pnl"),
        unrealised_pnl=size * (pl.col("price") - pl.col("average_price")),
    )


def trades(books: Books, names: Sequence[str]) -> pl.DataFrame:
    """One row per round trip, in order of exit; ``pnl`` is net of both sides' commission."""
    _, _, trips = _replayed(books)
    columns = {name: np.ascontiguousarray(trips[name]) for name in trips.dtype.names or ()}
    frame = pl.DataFrame(columns | {"multiplier": books.instruments["multiplier"][trips["code"]]})
    net = pl.col("gross_pnl") - pl.col("commission")
    return frame.select(
        _named(names),
        pl.when(pl.col("side") > 0).then(pl.lit("long")).otherwise(pl.lit("short")).alias("direction"),
        "quantity",
        _stamp("entry_ts"),
        _stamp("exit_ts"),
        "entry_price",
        "exit_price",
        net.alias("pnl"),
        "gross_pnl",
        "commission",
        (net / (pl.col("entry_price") * pl.col("quantity") * pl.col("multiplier"))).alias("return"),
        (pl.col("exit_ts") - pl.col("entry_ts")).alias("duration_ns"),
    )


def cashflows(books: Books, names: Sequence[str]) -> pl.DataFrame:
    """One row per cash flow that is no fill, in order of time; ``instrument`` is null where it is for none."""
    records = books.flows.records
    column = {name: pl.Series(np.ascontiguousarray(records[name])) for name in records.dtype.names or ()}
    code = column["code"]
    return pl.DataFrame(
        {
            "ts": column["ts"],
            "kind": _text(column["kind"], books.flows.kinds),
            "instrument": _text(code.set(code < 0, None), names),
            "currency": _text(column["currency"], books.currencies),
            "amount": column["amount"],
        }
    ).with_columns(_stamp("ts"))


def _replayed(books: Books) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """The fills, the position after each, and the round trips they made."""
    fills = books.fills[: books.fill_count]
    steps, trips = np.zeros(len(fills), STEP), np.zeros(len(fills), TRIP)
    multipliers = np.ascontiguousarray(books.instruments["multiplier"])
    count = replay(fills, multipliers, len(books.accounts), steps, trips)
    return fills, steps, trips[:count]


def prices(run: Run, rows: int) -> pl.DataFrame:
    """Prices for charts, ``ts, instrument, close``: a second pass over feeds, thinned to some 200,000 rows.

    Empty where the ``rows`` seen are more than are worth reading again.
    """
    names = [instrument.name for instrument in run.instruments]
    parts: list[pl.DataFrame] = []
    views = Views(run)
    if rows <= _READABLE_ROWS:
        keep = max(1, -(-rows // _PRICE_ROWS))
        for index, feed in enumerate(run.components["feed"]):
            parts += [_prices_of(views, block, keep) for block in feed.open().blocks(index, run.codes)]
    empty = pl.DataFrame(schema={"ts": pl.Int64, "code": pl.Int64, "close": pl.Float64})
    return pl.concat([empty, *parts]).select(_stamp("ts"), _named(names), "close")


def _prices_of(views: Views, block: Block, keep: int) -> pl.DataFrame:
    view = views.of(block)
    close = view.mark
    ts, code = block.ts[: len(close)], block.instrument[: len(close)].astype(np.int64)
    frame = pl.DataFrame({"ts": ts, "code": code, "close": close})
    # Whole instants are kept or dropped, so that no instrument is favoured.
    return frame if keep == 1 else frame.filter(pl.col("ts").rle_id() % keep == 0)


def _stamp(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


def _text(numbers: pl.Series, names: Sequence[str]) -> pl.Series:
    return pl.Series(list(names), dtype=pl.String).gather(numbers.cast(pl.UInt32))


def _named(names: Sequence[str]) -> pl.Expr:
    return pl.col("code").replace_strict(dict(enumerate(names)), return_dtype=pl.String).alias("instrument")
