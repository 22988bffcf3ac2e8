"""Runs the workloads on bars in vectorbt: orders as arrays, and for W3 a compiled callback a bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import vectorbt as vbt
from numba import njit
from vectorbt.portfolio.enums import NoOrder, SizeType

from benchmarks.compare.peers.rules import HISTORY, RULES, SHARES, decision_days
from benchmarks.compare.peers.task import Outcome, Task, serve

_CASH = 1_000_000.0


def crossover(task: Task) -> Any:
    """W1: averages, crossings, and an order at the open of the bar after each."""
    close = task.table["close"]
    fast, slow = (vbt.MA.run(close, window, short_name=str(window)).ma.to_numpy() for window in (10, 30))
    above = fast > slow
    above[:30] = False  # the strategy decides from the 31st bar on
    size = np.zeros(len(close))
    size[1:] = SHARES * np.diff(above.astype(float))
    return orders(task, size, fees=0.001)


def alternator(task: Task) -> Any:
    """W5: a unit bought and sold in turn."""
    return orders(task, np.where(np.arange(len(task.table["ts"])) % 2 == 0, 1.0, -1.0))


def orders(task: Task, size: np.ndarray, **terms: Any) -> Any:
    """What each bar decides is filled at the open of the next."""
    shifted = np.concatenate(([np.nan], size[:-1]))
    shifted[shifted == 0] = np.nan
    table = task.table
    return vbt.Portfolio.from_orders(
        table["close"], shifted, price=table["open"], init_cash=_CASH, engine=task.lane, **terms
    )


def watcher(task: Task) -> Any:
    """W3: a compiled function reads the close."""
    return vbt.Portfolio.from_order_func(task.table["close"], look_nb, init_cash=_CASH)


@njit
def look_nb(context: Any) -> Any:
    """Reads the close and orders nothing."""
    if not context.close[context.i, context.col] > 0:
        raise ValueError  # so that the compiler must read it
    return NoOrder


def rebalance(task: Task, **terms: Any) -> Any:
    """W2 and W6: parts of equity, valued at the closes they are decided on and filled at the next opens."""
    panel = task.panel
    closes, rule, history = panel.columns["close"], RULES[task.workload], HISTORY[task.workload]
    size = np.full(closes.shape, np.nan)
    for day in np.flatnonzero(decision_days(task.workload, panel.ts)[:-1]):
        weights = rule(closes[day + 1 - history : day + 1])
        size[day + 1] = 0.0
        size[day + 1, list(weights)] = list(weights.values())
    return vbt.Portfolio.from_orders(
        closes,
        size,
        size_type=SizeType.TargetPercent,
        price=panel.columns["open"],
        val_price=np.vstack((closes[:1], closes[:-1])),
        call_seq="auto",
        cash_sharing=True,
        group_by=True,
        init_cash=_CASH,
        engine=task.lane,
        **terms,
    )


def runner(simulate: Callable[[Task], Any]) -> Callable[[Task], Outcome]:
    """A run after one on a few rows, which compiles; the signals count, and so does the value at the end."""

    def run(task: Task) -> Outcome:
        outcome(simulate, task.warming())
        return outcome(simulate, task)

    return run


def outcome(simulate: Callable[[Task], Any], task: Task) -> Outcome:
    rows = len(task.table["ts"])
    if task.workload in RULES:
        _ = task.panel
    began = time.perf_counter()
    portfolio = simulate(task)
    final, fills = float(np.sum(portfolio.final_value())), len(portfolio.orders.values)
    seconds = time.perf_counter() - began
    return Outcome(seconds, rows, fills, fills, final)


if __name__ == "__main__":
    serve(
        ["vectorbt", "vectorbt-rust", "numba", "numpy", "pandas"],
        {
            "W1": runner(crossover),
            "W2": runner(rebalance),
            "W3": runner(watcher),
            "W5": runner(alternator),
            "W6": runner(lambda task: rebalance(task, fees=0.0005)),
        },
    )
