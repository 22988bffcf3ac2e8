"""The broker's records as Polars frames. Times are UTC nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from qengine_core.plugin import BUY, Fill, Instrument, Order

__all__ = ["fills", "orders"]


def orders(found: Sequence[Order]) -> pl.DataFrame:
    """One row per order, by id. A price, time or average that does not exist is null."""
    frame = pl.DataFrame(
        {
            "order_id": pl.Series([o.id for o in found], dtype=pl.Int64),
            "instrument": pl.Series([o.instrument for o in found], dtype=pl.String),
            "side": pl.Series(["buy" if o.side == BUY else "sell" for o in found], dtype=pl.String),
            "quantity": pl.Series([o.quantity for o in found], dtype=pl.Float64),
            "type": pl.Series([o.type for o in found], dtype=pl.String),
            "limit_price": pl.Series([o.leg.limit for o in found], dtype=pl.Float64),
            "trigger_price": pl.Series([o.leg.trigger for o in found], dtype=pl.Float64),
            "time_in_force": pl.Series([o.time_in_force.value for o in found], dtype=pl.String),
            "tag": pl.Series([o.tag for o in found], dtype=pl.String),
            "submitted_ts": pl.Series([o.submitted_ts for o in found], dtype=pl.Int64),
            "accepted_ts": pl.Series([o.accepted_ts for o in found], dtype=pl.Int64),
            "closed_ts": pl.Series([o.closed_ts for o in found], dtype=pl.Int64),
            "state": pl.Series([o.state.value for o in found], dtype=pl.String),
            "filled": pl.Series([o.filled for o in found], dtype=pl.Float64),
            "average_price": pl.Series([o.average_price for o in found], dtype=pl.Float64),
            "commission": pl.Series([o.commission for o in found], dtype=pl.Float64),
            "reason": pl.Series([o.reason for o in found], dtype=pl.String),
        }
    )
    stamps = ("submitted_ts", "accepted_ts", "closed_ts")
    return frame.with_columns(
        pl.col("limit_price", "trigger_price").fill_nan(None),
        pl.when(pl.col("filled") > 0).then("average_price").alias("average_price"),
        *(_stamp(pl.when(pl.col(name) >= 0).then(pl.col(name))).alias(name) for name in stamps),
    )


def fills(found: Sequence[Fill], instruments: Sequence[Instrument]) -> pl.DataFrame:
    """One row per execution, in order. ``slippage`` is money: the concession times quantity and multiplier."""
    multipliers = [instruments[f.code].multiplier for f in found]
    slippage = [f.slippage * f.quantity * m for f, m in zip(found, multipliers, strict=True)]
    frame = pl.DataFrame(
        {
            "ts": pl.Series([f.ts for f in found], dtype=pl.Int64),
            "order_id": pl.Series([f.order.id for f in found], dtype=pl.Int64),
            "instrument": pl.Series([f.order.instrument for f in found], dtype=pl.String),
            "side": pl.Series(["buy" if f.side == BUY else "sell" for f in found], dtype=pl.String),
            "quantity": pl.Series([f.quantity for f in found], dtype=pl.Float64),
            "price": pl.Series([f.price for f in found], dtype=pl.Float64),
            "commission": pl.Series([f.commission for f in found], dtype=pl.Float64),
            "slippage": pl.Series(slippage, dtype=pl.Float64),
            "currency": pl.Series([instruments[f.code].currency for f in found], dtype=pl.String),
            "multiplier": pl.Series(multipliers, dtype=pl.Float64),
        }
    )
    return frame.with_columns(_stamp(pl.col("ts")))


def _stamp(values: pl.Expr) -> pl.Expr:
    return values.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
