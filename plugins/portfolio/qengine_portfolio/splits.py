"""Splits of what is held: one record for each position among the fills, from which everything else follows."""

from __future__ import annotations

import math

import numpy as np

from qengine_portfolio.books import FILL, Books

__all__ = ["IS_SPLIT", "split_positions"]

IS_SPLIT = -1  # the order of a record that is no fill: ``price`` is the mark after it, ``slippage`` the ratio
_DUST = 1e-9


def split_positions(books: Books, code: int, ratio: float, ts: int) -> list[tuple[int, float]]:
    """Turn each unit held of an instrument into ``ratio``; return, by account, the part of a lot that is left over.

    Averages and the mark are divided by the ratio. What is left over is in new units, signed like the position.
    """
    count = int(books.head["instrument_count"][0])
    lot = float(books.instruments["lot_size"][code])
    books.marks[code] /= ratio
    books.make_room(len(books.names))
    left = []
    for account in range(len(books.names)):
        position = books.positions[account * count + code]
        before = float(position["quantity"])
        if before == 0.0:
            continue
        exact = before * ratio
        after = math.copysign(math.floor(abs(exact) / lot + _DUST) * lot, exact) if lot > 0 else exact
        _write(books, account, code, ts, after - before, ratio)
        position["quantity"], position["average_price"] = after, position["average_price"] / ratio
        cost = (exact - after) * position["average_price"] * books.instruments["multiplier"][code]
        position["realised_pnl"] -= cost  # of what is paid for in cash
        if after == 0.0:
            position["average_price"] = 0.0
            _strike_out(books, account, code)
        if abs(exact - after) > _DUST * abs(exact):
            left.append((account, exact - after))
    return left


def _write(books: Books, account: int, code: int, ts: int, change: float, ratio: float) -> None:
    number = books.fill_count
    books.head["fill_count"] = number + 1
    books.split_count += 1
    books.fills[number] = np.zeros((), FILL)
    record = books.fills[number]
    record["ts"], record["order"], record["block"], record["row"] = ts, IS_SPLIT, -1, -1
    record["code"], record["account"], record["side"] = code, account, 1 if change >= 0 else -1
    record["quantity"], record["price"], record["slippage"] = abs(change), books.marks[code], ratio
    record["fx_rate"] = books.rates[books.instruments["currency"][code]]


def _strike_out(books: Books, account: int, code: int) -> None:
    """Take a code off the ascending list of those with a position."""
    first = account * (int(books.head["instrument_count"][0]) + 1)
    count = int(books.accounts["held_count"][account])
    held = [other for other in books.held[first : first + count].tolist() if other != code]
    books.held[first : first + len(held)] = held
    books.accounts["held_count"][account] = len(held)
