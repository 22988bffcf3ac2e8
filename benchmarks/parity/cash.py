"""What two peers call cash, worked out from our fills: a comparison of accounts needs one meaning of the word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

__all__ = ["in_words_of"]

Fill = tuple[str, str, int, float, float]


def in_words_of(peer: str, leverage: float, fills: pl.DataFrame, account: pl.DataFrame) -> pl.DataFrame:
    """The account with cash as the peer means it, at every bar.

    backtesting.py keeps realised cash: what open trades were bought for is still in it. backtrader lends all but
    ``1 / leverage`` of what long positions were bought for. Elsewhere cash is the sum of what was paid.
    """
    if peer == "backtesting":
        entered, share = _trades, 1.0
    elif peer == "backtrader" and leverage != 1.0:
        entered, share = _longs, 1.0 - 1.0 / leverage
    else:
        return account
    rows = fills.select("intent", "instrument", "bar", "quantity", "price").iter_rows()
    tied = dict(_by_bar(rows, entered))
    added = pl.DataFrame({"bar": list(tied), "tied": [value * share for value in tied.values()]})
    joined = account.join(added.cast({"bar": pl.Int64}), on="bar", how="left", maintain_order="left")
    tied_up = pl.col("tied").fill_null(strategy="forward").fill_null(0.0)
    return joined.with_columns(cash=pl.col("cash") + tied_up).drop("tied")


def _by_bar(fills: Iterable[Fill], entered: Callable[[list[list[Any]], Fill], None]) -> Iterable[tuple[int, float]]:
    """After each bar with fills: what open positions were entered for, shorts as negative numbers."""
    open_ones: dict[str, list[list[Any]]] = {}
    for fill in fills:
        entered(open_ones.setdefault(fill[1], []), fill)
        yield fill[2], sum(quantity * price for trades in open_ones.values() for _, quantity, price in trades)


def _trades(trades: list[list[Any]], fill: Fill) -> None:
    """An exit closes the trade of its entry, any other order the oldest of the other side; the rest opens one."""
    intent, left = fill[0], fill[3]
    entry, _, is_exit = intent.partition(".")
    for trade in list(trades):
        if trade[1] * left < 0 and (not is_exit or trade[0] == entry):
            closed = min(abs(trade[1]), abs(left)) * (1 if left > 0 else -1)
            trade[1] += closed
            left -= closed
            if not trade[1]:
                trades.remove(trade)
    if left:
        trades.append([entry, left, fill[4]])


def _longs(trades: list[list[Any]], fill: Fill) -> None:
    """One position at its average price while it is long; a short one counts for nothing."""
    _, held, average = trades[0] if trades else ("", 0.0, 0.0)
    bought, price = fill[3], fill[4]
    left = held + bought
    if left > 0 and bought > 0:
        average = (max(held, 0.0) * average + min(bought, left) * price) / left
    trades[:] = [["", left, average if left > 0 else 0.0]]
