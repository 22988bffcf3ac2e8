"""The broker's records as Polars frames. Times are UTC nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from qengine_broker_sim.layout import STATES, TIMES_IN_FORCE
from qengine_broker_sim.orders import OrderTable
from qengine_core.plugin import Instrument

__all__ = ["amendments", "fills", "orders"]

_STAMPS = ("submitted_ts", "accepted_ts", "closed_ts")


def orders(table: OrderTable, count: int, accounts: Sequence[str]) -> pl.DataFrame:
    """One row per order, by id. A price, time or average that does not exist is null."""
    records = table.records[:count]
    column = {name: pl.Series(name, np.ascontiguousarray(records[name])) for name in records.dtype.names or ()}
    times_in_force = [TIMES_IN_FORCE[number] for number in table.times_in_force]
    frame = pl.DataFrame(
        {
            "order_id": pl.Series(np.arange(1, count + 1, dtype=np.int64)),
            "instrument": _named(column["code"], table.names),
            "side": _named((column["side"] < 0).cast(pl.Int64), ["buy", "sell"]),
            "quantity": column["quantity"],
            "type": _named(column["type"], table.types),
            "limit_price": column["limit"],
            "trigger_price": column["trigger"],
            "time_in_force": _named(column["form"], times_in_force),
            "tag": _named(column["tag"], table.tags),
            "parent_id": column["parent"].cast(pl.Int64) + 1,
            **{name: column[name] for name in _STAMPS},
            "state": _named(column["state"], STATES),
            "filled": column["filled"],
            "average_price": column["average_price"],
            "commission": column["commission"],
            "reason": _named(column["reason"], table.reasons),
            "account": _named(column["account"], accounts),
        }
    )
    return frame.with_columns(
        pl.col("limit_price", "trigger_price").fill_nan(None),
        pl.when(pl.col("filled") > 0).then("average_price").alias("average_price"),
        pl.when(pl.col("parent_id") > 0).then("parent_id").alias("parent_id"),
        *(_stamp(pl.when(pl.col(name) >= 0).then(pl.col(name))).alias(name) for name in _STAMPS),
    )


def fills(books: Any, instruments: Sequence[Instrument]) -> pl.DataFrame:
    """One row per execution, in order. ``slippage`` is money: the concession times quantity and multiplier."""
    records = books.fills[: books.fill_count]
    records = records[records["order"] >= 0]  # a split is none
    column = {name: pl.Series(name, np.ascontiguousarray(records[name])) for name in records.dtype.names or ()}
    multiplier = pl.Series(books.instruments["multiplier"][records["code"]])
    frame = pl.DataFrame(
        {
            "ts": column["ts"],
            "order_id": column["order"] + 1,
            "instrument": _named(column["code"], [instrument.name for instrument in instruments]),
            "side": _named((column["side"] < 0).cast(pl.Int64), ["buy", "sell"]),
            "quantity": column["quantity"],
            "price": column["price"],
            "commission": column["commission"],
            "slippage": column["slippage"] * column["quantity"] * multiplier,
            "currency": _named(column["code"], [instrument.currency for instrument in instruments]),
            "multiplier": multiplier,
            "fx_rate": column["fx_rate"],
            "account": _named(column["account"], books.names),
        }
    )
    return frame.with_columns(_stamp(pl.col("ts")))


def amendments(rows: Sequence[tuple[Any, ...]], table: OrderTable) -> pl.DataFrame:
    """One row per request to change an order, in order of their arrival; what was to stay is null.

    ``sent_ts`` is when it was sent, ``ts`` when it arrived, ``reason`` why it was refused (empty: it was not).
    ``limit_price`` and the like are what was asked for, ``old_limit_price`` and the like what the order had.
    """
    asked = ("quantity", "limit_price", "trigger_price", "trail")
    names = ("sent_ts", "ts", "order", *asked, "old_quantity", "old_limit_price", "old_trigger_price", "reason")
    integers = dict.fromkeys(("sent_ts", "ts", "order"), pl.Int64)
    schema = {name: pl.String if name == "reason" else integers.get(name, pl.Float64) for name in names}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    codes = pl.Series("code", [table.fields["code"][row[2]] for row in rows], dtype=pl.Int64)
    return frame.select(
        *(_stamp(pl.col(name)).alias(name) for name in ("sent_ts", "ts")),
        (pl.col("order") + 1).alias("order_id"),
        _named(codes, table.names).alias("instrument"),
        *(pl.col(name).fill_nan(None) for name in names[3:-1]),
        "reason",
    )


def _named(numbers: pl.Series, names: Sequence[str]) -> pl.Series:
    return pl.Series(list(names), dtype=pl.String).gather(numbers.cast(pl.UInt32))


def _stamp(values: pl.Expr) -> pl.Expr:
    return values.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
