"""Runs the workloads on prints in hftbacktest, with a strategy compiled by numba.

hftbacktest wants to know who took a print; here a print below the one before was a seller, one above a buyer, and one
at the same price whoever it was before. Orders have no latency and no one queues before them.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.order import GTC, LIMIT
from hftbacktest.types import BUY_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT, event_dtype
from numba import njit

from benchmarks.compare.peers.rules import buyers
from benchmarks.compare.peers.task import Outcome, Task, serve

_CASH = 1_000_000.0
_EVERY = 1_000


@njit
def quote_nb(hbt: Any) -> tuple[int, int, float]:
    """Moves the order every 1,000 prints; says how many prints it saw, how many orders it sent and the last price."""
    sent = seen = 0
    while hbt.wait_next_feed(False, 1_000_000_000_000_000) == 2:
        seen += 1
        if seen % _EVERY == 0:
            trades = hbt.last_trades(0)
            price = trades[len(trades) - 1].px
            hbt.clear_last_trades(0)
            hbt.clear_inactive_orders(0)
            if sent and sent in hbt.orders(0):
                hbt.cancel(0, sent, False)
            sent += 1
            if hbt.position(0) > 0:
                hbt.submit_sell_order(0, sent, round((price + 0.05) * 100) / 100, 1.0, GTC, LIMIT, False)
            else:
                hbt.submit_buy_order(0, sent, round((price - 0.05) * 100) / 100, 1.0, GTC, LIMIT, False)
    trades = hbt.last_trades(0)
    return seen, sent, trades[len(trades) - 1].px


def run(task: Task) -> Outcome:
    """Compiles on a few prints, then runs; reading and conversion to the library's events are not counted."""
    simulate(events(task.warming()))
    rows = events(task)
    seconds, seen, sent, price, fills, position, balance = simulate(rows)
    return Outcome(seconds, seen, sent, fills, _CASH + balance + position * price)


def simulate(rows: np.ndarray) -> tuple[float, int, int, float, int, float, float]:
    """Seconds, prints, orders, last price, fills, position and balance."""
    asset = (
        BacktestAsset()
        .data(rows)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(0.01)
        .lot_size(1.0)
        .last_trades_capacity(_EVERY)
    )
    hbt = HashMapMarketDepthBacktest([asset])
    began = time.perf_counter()
    seen, sent, price = quote_nb(hbt)
    seconds = time.perf_counter() - began
    state = hbt.state_values(0)
    result = seconds, seen, sent, price, int(state.num_trades), float(state.position), float(state.balance)
    hbt.close()
    return result


def events(task: Task) -> np.ndarray:
    """Prints in the library's own form, and one more at the end that reaches the strategy alone: it ends the loop."""
    table = task.table
    rows = np.zeros(len(table["ts"]) + 1, event_dtype)
    prints = rows[:-1]
    prints["ev"] = np.uint64(TRADE_EVENT | EXCH_EVENT | LOCAL_EVENT) | np.where(
        buyers(table["price"]), np.uint64(BUY_EVENT), np.uint64(SELL_EVENT)
    )
    prints["exch_ts"] = prints["local_ts"] = table["ts"]
    prints["px"], prints["qty"] = table["price"], table["size"]
    rows[-1] = rows[-2]
    rows[-1]["ev"] &= ~np.uint64(EXCH_EVENT)
    rows[-1]["exch_ts"] = rows[-1]["local_ts"] = rows[-2]["local_ts"] + 1
    return rows


if __name__ == "__main__":
    serve(["hftbacktest", "numba", "numpy"], {"W4": run, "W8": run})
