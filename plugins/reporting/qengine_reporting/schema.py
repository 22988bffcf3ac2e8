"""The tables of a run folder: every column's name, type, unit and meaning. It knows no run and no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from qengine_core.plugin import PluginError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = ["SCHEMAS", "Column", "Table", "arrow_schema", "as_markdown", "validated"]

Type = Literal["timestamp", "int64", "float64", "text"]


@attrs.frozen
class Column:
    """One column: ``unit`` is empty for what has none; ``one_of`` lists the values a text may take."""

    name: str
    type: Type
    unit: str
    meaning: str
    nullable: bool = False
    one_of: tuple[str, ...] = ()


@attrs.frozen
class Table:
    """One table of a run folder, and the order its rows come in."""

    name: str
    meaning: str
    order: str
    columns: tuple[Column, ...]
    only_where: str = ""  # there is something to say; empty for a table that every run has


_TS = "ns since 1970, UTC"
_MONEY = "account currency"
_NATIVE = "instrument's currency"
_PRICE = "price of one unit"
_QUANTITY = "units of the instrument"
_SIDES = ("buy", "sell")
_STATES = (
    "new",
    "submitted",
    "accepted",
    "partially-filled",
    "filled",
    "cancelled",
    "rejected",
    "expired",
)  # qengine_core.plugin.OrderState, spelled out because this table is also documentation

_ACCOUNT = Column("account", "text", "", "Name of the account; main where there is one only.")

_ORDERS = Table(
    "orders",
    "One row per order that the strategy sent.",
    "by order_id",
    (
        Column("order_id", "int64", "", "Number of the order, rising in order of submission."),
        Column("instrument", "text", "", "Name of the instrument."),
        Column("side", "text", "", "Direction of the order.", one_of=_SIDES),
        Column("quantity", "float64", _QUANTITY, "What was ordered, positive."),
        Column("type", "text", "", "Order type: market, limit, stop, or the name of a recipe."),
        Column("limit_price", "float64", _PRICE, "Worst price accepted; null: none.", nullable=True),
        Column("trigger_price", "float64", _PRICE, "Price that activates the order; null: none.", nullable=True),
        Column(
            "time_in_force", "text", "", "How long the order may rest: gtc, day, gtd, ioc, fok, at-open or at-close."
        ),
        Column("tag", "text", "", "The strategy's own label; empty if it gave none."),
        Column(
            "parent_id",
            "int64",
            "",
            "The order whose fills activate it, as a bracket's entry; null: none.",
            nullable=True,
        ),
        Column("submitted_ts", "timestamp", _TS, "When the strategy sent it."),
        Column("accepted_ts", "timestamp", _TS, "When the broker took it; null: never.", nullable=True),
        Column("closed_ts", "timestamp", _TS, "When it reached its terminal state; null: still open.", nullable=True),
        Column("state", "text", "", "Where it stood at the end of the run.", one_of=_STATES),
        Column("filled", "float64", _QUANTITY, "What was executed, 0 to quantity."),
        Column("average_price", "float64", _PRICE, "Mean price of its fills; null: none.", nullable=True),
        Column("commission", "float64", _NATIVE, "What the broker charged for all its fills."),
        Column("reason", "text", "", "Why it was cancelled, rejected or expired; empty otherwise."),
        _ACCOUNT,
    ),
)

_FILLS = Table(
    "fills",
    "One row per execution.",
    "by execution",
    (
        Column("ts", "timestamp", _TS, "When it was executed."),
        Column("order_id", "int64", "", "The order that was filled: orders.order_id."),
        Column("instrument", "text", "", "Name of the instrument."),
        Column("side", "text", "", "Direction of the execution.", one_of=_SIDES),
        Column("quantity", "float64", _QUANTITY, "What was executed, positive."),
        Column("price", "float64", _PRICE, "Price paid or received, slippage included."),
        Column("commission", "float64", _NATIVE, "What this execution added to the order's commission."),
        Column("slippage", "float64", _NATIVE, "Price concession, as money: per unit x quantity x multiplier."),
        Column("currency", "text", "", "Currency that the instrument is priced in."),
        Column("multiplier", "float64", "units per contract", "Money value of one price point of one unit."),
        Column("fx_rate", "float64", _MONEY, "What a unit of the currency was worth when this was booked."),
        _ACCOUNT,
    ),
)

_TRADES = Table(
    "trades",
    "Round trips: one row per execution that closes a position, wholly or in part; by lots, one per lot closed.",
    "by exit",
    (
        Column("instrument", "text", "", "Name of the instrument."),
        Column("direction", "text", "", "Side of the position that was closed.", one_of=("long", "short")),
        Column("quantity", "float64", _QUANTITY, "What was closed, positive."),
        Column("entry_ts", "timestamp", _TS, "When the position was opened."),
        Column("exit_ts", "timestamp", _TS, "When this part of it was closed."),
        Column("entry_price", "float64", _PRICE, "Average price of the position; by lots, of the lot."),
        Column("exit_price", "float64", _PRICE, "Price of the closing execution."),
        Column("pnl", "float64", _MONEY, "Profit, net of commission: gross_pnl - commission."),
        Column("gross_pnl", "float64", _MONEY, "Profit before commission: exit less entry, each at its own FX rate."),
        Column("commission", "float64", _MONEY, "Share of the entry's commission, plus the exit's."),
        Column("return", "float64", "fraction", "pnl over what the entry cost.", nullable=True),
        Column("duration_ns", "int64", "ns", "exit_ts - entry_ts."),
        Column("fx_rate", "float64", _MONEY, "What a unit of the instrument's currency was worth at the exit."),
        _ACCOUNT,
    ),
)

_POSITIONS = Table(
    "positions",
    "One row per change of a position.",
    "by execution",
    (
        Column("ts", "timestamp", _TS, "When the position changed."),
        Column("instrument", "text", "", "Name of the instrument."),
        Column("quantity", "float64", _QUANTITY, "What is held afterwards: positive long, negative short."),
        Column("average_price", "float64", _PRICE, "Average cost of what is held, by lots of those left; 0 when flat."),
        Column("price", "float64", _PRICE, "Price of the execution that changed it."),
        Column("market_value", "float64", _MONEY, "quantity x price x multiplier x FX rate, signed."),
        Column("realised_pnl", "float64", _MONEY, "Profit of the instrument realised so far, before commission."),
        Column("unrealised_pnl", "float64", _MONEY, "Profit of what is held, at price."),
        _ACCOUNT,
    ),
)

_VALUES = (
    Column("equity", "float64", _MONEY, "Cash plus positions at the last known prices and FX rates."),
    Column("cash", "float64", _MONEY, "Cash held, in all currencies."),
    Column("long_value", "float64", _MONEY, "Market value of long positions, >= 0."),
    Column("short_value", "float64", _MONEY, "Market value of short positions as a positive number, >= 0."),
)
_VALUED = Column("ts", "timestamp", _TS, "When the account was valued.")

_EQUITY = Table(
    "equity",
    "The account at every distinct timestamp of market data; of several accounts, their sum.",
    "by ts",
    (_VALUED, *_VALUES),
)

_CASHFLOWS = Table(
    "cashflows",
    "Cash flows that are no fills: one row each.",
    "by ts",
    (
        Column("ts", "timestamp", _TS, "When it was booked; the account counts it from then on."),
        Column("kind", "text", "", "What it is: interest, dividend, borrow-fee, funding, or a plugin's own word."),
        Column("instrument", "text", "", "The instrument it is for; null: for none.", nullable=True),
        Column("currency", "text", "", "Currency of the amount."),
        Column("amount", "float64", "units of the currency", "What the account received; negative: what it paid."),
        _ACCOUNT,
    ),
)

_EQUITY_BY_ACCOUNT = Table(
    "equity_by_account",
    "The same for each account.",
    "by ts, then in the order of accounts",
    (_VALUED, attrs.evolve(_ACCOUNT, meaning="Name of the account."), *_VALUES),
    only_where="the ledger has several accounts",
)

_BALANCES = Table(
    "balances",
    "Cash by currency at every distinct timestamp of market data, and the FX rate it was valued at.",
    "by ts, then in the order of accounts and currencies",
    (
        _VALUED,
        _ACCOUNT,
        Column("currency", "text", "", "The currency; the account's own comes first."),
        Column("balance", "float64", "the currency", "Cash held in it; below zero: owed."),
        Column("fx_rate", "float64", _MONEY, "What a unit of it was worth; null: not known yet.", nullable=True),
    ),
    only_where="the ledger keeps several currencies",
)

_ALL = (_ORDERS, _FILLS, _TRADES, _POSITIONS, _EQUITY, _CASHFLOWS, _EQUITY_BY_ACCOUNT, _BALANCES)
SCHEMAS: Mapping[str, Table] = {table.name: table for table in _ALL}


def validated(name: str, table: Any) -> pl.DataFrame:
    """The table as a Polars frame with its documented columns first, checked; further columns may follow.

    ``table`` is anything with ``__arrow_c_stream__``. Raises PluginError naming table and column: a
    participant that hands over a wrong table is a plugin's fault, never the user's.
    """
    import polars as pl

    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    schema = SCHEMAS.get(name)
    if schema is None:
        return frame
    named = {column.name for column in schema.columns}
    checked = [_checked(schema.name, column, frame) for column in schema.columns]
    return pl.DataFrame([*checked, *(series for series in frame if series.name not in named)])


def _checked(table: str, column: Column, frame: pl.DataFrame) -> pl.Series:
    """One column as its documented type. Text may come dictionary-encoded, and all-null columns untyped."""
    import polars as pl

    where = f"Table {table!r}, column {column.name!r}"
    if column.name not in frame.columns:
        raise PluginError(f"{where} is missing: the plugin that provides the table must fill it ({column.meaning})")
    series = frame[column.name]
    expected = _polars_type(column.type)
    is_encoded_text = column.type == "text" and series.dtype in (pl.Categorical, pl.Enum)
    if series.dtype != expected and not is_encoded_text and series.dtype != pl.Null:
        raise PluginError(f"{where} is {series.dtype}, but must be {expected}.")
    series = series.cast(expected)
    if not column.nullable and series.null_count():
        raise PluginError(f"{where} is null in row {series.is_null().arg_max()}, but must always have a value.")
    if column.one_of and not (known := series.is_in(column.one_of)).all():
        wrong = series.filter(~known)[0]
        raise PluginError(f"{where} holds {wrong!r}, but must be one of {', '.join(column.one_of)}.")
    return series


def _polars_type(kind: Type) -> pl.DataType:
    import polars as pl

    return {
        "timestamp": pl.Datetime("ns", "UTC"),
        "int64": pl.Int64(),
        "float64": pl.Float64(),
        "text": pl.String(),
    }[kind]


def empty(name: str) -> pl.DataFrame:
    """The documented table without rows."""
    import polars as pl

    return pl.DataFrame(schema={column.name: _polars_type(column.type) for column in SCHEMAS[name].columns})


def arrow_schema(name: str) -> pa.Schema:
    """The table's Arrow schema, with ``unit`` and ``description`` as metadata of each field."""
    import pyarrow as pa

    types = {"timestamp": pa.timestamp("ns", "UTC"), "int64": pa.int64(), "float64": pa.float64(), "text": pa.string()}
    table = SCHEMAS[name]
    fields = [
        pa.field(
            column.name,
            types[column.type],
            nullable=column.nullable,
            metadata={"unit": column.unit, "description": column.meaning},
        )
        for column in table.columns
    ]
    return pa.schema(fields, metadata={"description": table.meaning, "order": table.order})


def as_markdown() -> str:
    """The tables for people: what the README and the manual show."""
    parts = []
    for table in SCHEMAS.values():
        rows = [
            f"| `{c.name}` | {c.type}{', null' if c.nullable else ''} | {c.unit} | {_described(c)} |"
            for c in table.columns
        ]
        only = f" Written only where {table.only_where}." if table.only_where else ""
        heading = f"### `{table.name}.parquet`\n\n{table.meaning} Rows come {table.order}.{only}\n\n"
        parts.append(heading + "| column | type | unit | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _described(column: Column) -> str:
    return f"{column.meaning} One of {', '.join(f'`{v}`' for v in column.one_of)}." if column.one_of else column.meaning
