"""The ledger's records as Polars frames. Times are UTC nanoseconds, money is in the ledger's currency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qengine_core.plugin import BAR, QUOTE, TRADE, Fill
from qengine_portfolio.position import ClosedTrade, Position, TracedPosition

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["equity", "positions", "prices", "trades"]

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


def positions(fills: Sequence[Fill], names: Sequence[str], multipliers: Sequence[float]) -> pl.DataFrame:
    """One row per change of a position, in order of execution."""
    frame = pl.DataFrame(
        [
            (fill.ts, fill.code, position.quantity, position.average_price, fill.price, position.realised_pnl)
            for fill, position, _ in _replay(fills, multipliers)
        ],
        schema={
            "ts": pl.Int64,
            "code": pl.Int64,
            "quantity": pl.Float64,
            "average_price": pl.Float64,
            "price": pl.Float64,
            "realised_pnl": pl.Float64,
        },
        orient="row",
    )
    multiplier = pl.col("code").replace_strict(dict(enumerate(multipliers)), return_dtype=pl.Float64)
    size = pl.col("quantity") * multiplier
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


def trades(fills: Sequence[Fill], names: Sequence[str], multipliers: Sequence[float]) -> pl.DataFrame:
    """One row per round trip, in order of exit; ``pnl`` is net of both sides' commission."""
    frame = pl.DataFrame(
        [closed for _, _, closed in _replay(fills, multipliers) if closed is not None],
        schema={
            "code": pl.Int64,
            "side": pl.Int64,
            "quantity": pl.Float64,
            "entry_ts": pl.Int64,
            "exit_ts": pl.Int64,
            "entry_price": pl.Float64,
            "exit_price": pl.Float64,
            "gross_pnl": pl.Float64,
            "commission": pl.Float64,
        },
        orient="row",
    )
    multiplier = pl.col("code").replace_strict(dict(enumerate(multipliers)), return_dtype=pl.Float64)
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
        (net / (pl.col("entry_price") * pl.col("quantity") * multiplier)).alias("return"),
        (pl.col("exit_ts") - pl.col("entry_ts")).alias("duration_ns"),
    )


def prices(run: Run, rows: int) -> pl.DataFrame:
    """Prices for charts, ``ts, instrument, close``: a second pass over feeds, thinned to some 200,000 rows.

    Empty where the ``rows`` seen are more than are worth reading again.
    """
    names = [instrument.name for instrument in run.instruments]
    parts: list[pl.DataFrame] = []
    if rows <= _READABLE_ROWS:
        keep = max(1, -(-rows // _PRICE_ROWS))
        for index, feed in enumerate(run.components["feed"]):
            parts += [_prices_of(run, block, keep) for block in feed.open().blocks(index, run.codes)]
    empty = pl.DataFrame(schema={"ts": pl.Int64, "code": pl.Int64, "close": pl.Float64})
    return pl.concat([empty, *parts]).select(_stamp("ts"), _named(names), "close")


def _prices_of(run: Run, block: Any, keep: int) -> pl.DataFrame:
    from qengine_portfolio.ledger import mark_prices

    found = mark_prices(block, run) if run.streams[block.stream].kind in (BAR, TRADE, QUOTE) else None
    close = np.empty(0) if found is None else found
    ts, code = block.ts[: len(close)], block.instrument[: len(close)].astype(np.int64)
    frame = pl.DataFrame({"ts": ts, "code": code, "close": close})
    # Whole instants are kept or dropped, so that no instrument is favoured.
    return frame if keep == 1 else frame.filter(pl.col("ts").rle_id() % keep == 0)


def _replay(fills: Sequence[Fill], multipliers: Sequence[float]) -> Iterator[tuple[Fill, Position, ClosedTrade | None]]:
    """Book the fills once more: each with the position it left and the round trip it closed."""
    positions = [TracedPosition() for _ in multipliers]
    for fill in fills:
        position = positions[fill.code]
        yield fill, position, position.trace(fill, multipliers[fill.code])


def _stamp(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


def _named(names: Sequence[str]) -> pl.Expr:
    return pl.col("code").replace_strict(dict(enumerate(names)), return_dtype=pl.String).alias("instrument")
