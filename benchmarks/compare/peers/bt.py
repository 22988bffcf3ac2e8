"""Runs the workloads on bars in bt, through Backtest, Strategy and an algo of its own.

bt knows one price a row and fills at it. So its prices are the opens, its algo decides from the closes of the row
before, and one row more at the end holds the last closes, at which the account is valued.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import bt
import numpy as np
import pandas as pd

from benchmarks.compare.peers import rules
from benchmarks.compare.peers.task import Outcome, Task, serve


class Timed(bt.Algo):
    """Decides from the row before; knows when the loop came to its first row and to its newest."""

    def __init__(self, closes: np.ndarray, task: Task) -> None:
        super().__init__()
        self.closes, self.task = closes, task
        self.row = -1
        self.sent = 0

    def __call__(self, target: Any) -> bool:
        self.ended = time.perf_counter()
        self.row += 1
        if self.row == 0:
            self.began = self.ended
        elif self.row < len(self.closes):
            self.decide(target, self.row - 1)
        return True

    def decide(self, target: Any, row: int) -> None:
        """Acts on the closes up to ``row``."""


class Crossover(Timed):
    """W1."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.averages, self.prices = rules.Averages(), self.closes[:, 0].tolist()

    def decide(self, target: Any, row: int) -> None:
        if way := self.averages.update(self.prices[row]):
            self.sent += 1
            target.transact(way * rules.SHARES, "X")


class Watcher(Timed):
    """W3: reads the price that bt knows."""

    def decide(self, target: Any, row: int) -> None:
        self.last = target.children["X"].price


class Alternator(Timed):
    """W5."""

    def decide(self, target: Any, row: int) -> None:
        self.sent += 1
        target.transact(1 if row % 2 == 0 else -1, "X")


class Rebalancer(Timed):
    """W2 and W6: quantities are parts of a share, sales go first."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        workload, panel = self.task.workload, self.task.panel
        self.rule, self.history, self.names = rules.RULES[workload], rules.HISTORY[workload], panel.names
        self.decides = rules.decision_days(workload, panel.ts).tolist()

    def decide(self, target: Any, row: int) -> None:
        if not self.decides[row]:
            return
        closes = self.closes[row + 1 - self.history : row + 1]
        positions = ((column, target.children.get(name)) for column, name in enumerate(self.names))
        held = {column: child.position for column, child in positions if child is not None and child.position}
        equity = target.capital + sum(quantity * closes[-1, column] for column, quantity in held.items())
        for column, quantity in rules.orders(self.rule(closes), held, closes[-1], equity):
            self.sent += 1
            target.transact(quantity, self.names[column])


def run(task: Task, algo: type[Timed], commission: float = 0.0) -> Outcome:
    """One Backtest; the loop is timed, and the statistics after it are not."""
    names, opens, closes, ts = prices(task)
    index = pd.DatetimeIndex(np.append(ts, ts[-1] + 1).astype("datetime64[ns]"))
    frame = pd.DataFrame(np.vstack((opens, closes[-1:])), index=index, columns=names)
    rule = algo(closes, task)
    strategy = bt.Strategy("S", [rule], children=[bt.Security("X")] if names == ["X"] else None)
    fee = (lambda quantity, price: abs(quantity) * price * commission) if commission else (lambda *_: 0.0)
    backtest = bt.Backtest(strategy, frame, initial_capital=1_000_000.0, commissions=fee, integer_positions=False)
    backtest.run()
    (ran,) = backtest.strategy.stack.algos
    fills = sum(int(np.count_nonzero(child.outlays)) for child in backtest.strategy.securities)
    final = float(backtest.strategy.value)
    return Outcome(ran.ended - ran.began, len(task.table["ts"]), ran.sent, fills, final)


def prices(task: Task) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Names, opens, closes and times, rows by instruments."""
    if task.workload in rules.RULES:
        panel = task.panel
        return panel.names, panel.columns["open"], panel.columns["close"], panel.ts
    table = task.table
    return ["X"], table["open"][:, None], table["close"][:, None], table["ts"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(
        ["bt", "numpy", "pandas"],
        {
            "W1": lambda task: run(task, Crossover, commission=0.001),
            "W2": lambda task: run(task, Rebalancer),
            "W3": lambda task: run(task, Watcher),
            "W5": lambda task: run(task, Alternator),
            "W6": lambda task: run(task, Rebalancer, commission=0.0005),
        },
    )
