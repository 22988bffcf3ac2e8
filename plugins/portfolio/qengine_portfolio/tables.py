"""The ledger's records as Polars frames. Times are UTC nanoseconds, money is in the ledger's currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qengine_core.blocks import Block
from qengine_portfolio.books import Books
from qengine_portfolio.view import Views

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_portfolio.basis import CostBasis

__all__ = ["Samples", "balances", "cashflows", "equity", "equity_by_account", "positions", "prices", "trades"]

# Of one account: instants, and rows of equity, cash, long and short value, then balance and rate of each currency.
Samples = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

TS = pl.Datetime("ns", "UTC")
_ACCOUNT = ("equity", "cash", "long_value", "short_value")
_PRICE_ROWS = 200_000
_READABLE_ROWS = 2_000_000


def equity(samples: Sequence[Samples]) -> pl.DataFrame:
    """One row per sampled instant: ``ts, equity, cash, long_value, short_value`` (the latter >= 0), of all accounts.

    Each account was sampled at the same instants.
    """
    ts = samples[0][0]
    values = sum((values[:, :4] for _, values in samples[1:]), start=samples[0][1][:, :4])
    return _last_of_each_instant({"ts": ts, **_account(values)})


def equity_by_account(samples: Sequence[Samples], names: Sequence[str]) -> pl.DataFrame:
    """The same by account: instants in order, and accounts in order within each."""
    frames = [
        _last_of_each_instant({"ts": ts, **_account(values)}).with_columns(account=pl.lit(name))
        for name, (ts, values) in zip(names, samples, strict=True)
    ]
    return pl.concat(frames).sort("ts", maintain_order=True).select("ts", "account", *_ACCOUNT)


def balances(samples: Sequence[Samples], names: Sequence[str], currencies: Sequence[str]) -> pl.DataFrame:
    """One row per sampled instant, account and currency: ``balance`` in the currency, and its ``fx_rate``."""
    frames = []
    for name, (ts, values) in zip(names, samples, strict=True):
        for number, currency in enumerate(currencies):
            balance, rate = np.ascontiguousarray(values[:, 4 + 2 * number : 6 + 2 * number].T)
            frame = _last_of_each_instant({"ts": ts, "balance": balance, "fx_rate": rate})
            frames.append(frame.with_columns(account=pl.lit(name), currency=pl.lit(currency)))
    frame = pl.concat(frames).sort("ts", maintain_order=True)
    return frame.select("ts", "account", "currency", "balance", pl.col("fx_rate").fill_nan(None))


def _account(values: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.ascontiguousarray(values[:, index]) for index, name in enumerate(_ACCOUNT)}


def _last_of_each_instant(columns: Mapping[str, npt.NDArray[Any]]) -> pl.DataFrame:
    return pl.DataFrame(columns).with_columns(_stamp("ts")).unique("ts", keep="last", maintain_order=True)


def positions(books: Books, names: Sequence[str], basis: CostBasis) -> pl.DataFrame:
    """One row per change of a position, in order of execution. Prices are the instrument's, money is the ledger's."""
    fills, steps, _ = basis.whole()
    multiplier = books.instruments["multiplier"][fills["code"]]
    frame = pl.DataFrame(
        {name: np.ascontiguousarray(fills[name]) for name in ("ts", "code", "price", "fx_rate", "account")}
        | {name: np.ascontiguousarray(steps[name]) for name in steps.dtype.names or ()}
        | {"multiplier": multiplier}
    )
    size, value = pl.col("quantity") * pl.col("multiplier"), pl.col("price") * pl.col("fx_rate")
    return frame.select(
        _stamp("ts"),
        _named(names),
        "quantity",
        "average_price",
        "price",
        market_value=size * value,
        realised_pnl=pl.col("realised_pnl"),
        unrealised_pnl=size * (value - pl.col("average_value")),
        account=_named(books.names, "account"),
    )


def trades(books: Books, names: Sequence[str], basis: CostBasis) -> pl.DataFrame:
    """One row per round trip, in order of exit; ``pnl`` is net of both sides' commission. Money is the ledger's."""
    _, _, trips = basis.whole()
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
        (net / (pl.col("entry_value") * pl.col("quantity") * pl.col("multiplier"))).alias("return"),
        (pl.col("exit_ts") - pl.col("entry_ts")).alias("duration_ns"),
        "fx_rate",
        _named(books.names, "account"),
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
            "account": _text(column["account"], books.names),
        }
    ).with_columns(_stamp("ts"))


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


def _named(names: Sequence[str], column: str = "code") -> pl.Expr:
    named = pl.col(column).replace_strict(dict(enumerate(names)), return_dtype=pl.String)
    return named.alias("instrument" if column == "code" else column)
