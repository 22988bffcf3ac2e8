"""Runs the workloads in backtrader, through Cerebro, a Strategy and the simulated broker as it is."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from benchmarks.compare.peers import rules
from benchmarks.compare.peers.task import Outcome, Task, serve


class Timed(bt.Strategy):
    """Counts orders and fills, and the time from the loop's start, when feeds are loaded, to its end."""

    params = (("task", None),)

    def __init__(self) -> None:
        self.sent = self.filled = 0

    def start(self) -> None:
        self.began = time.perf_counter()

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self.began

    def notify_order(self, order: bt.Order) -> None:
        self.filled += order.status == bt.Order.Completed


class Crossover(Timed):
    """W1."""

    def start(self) -> None:
        self.averages, self.close = rules.Averages(), self.data.close
        super().start()

    def next(self) -> None:
        if way := self.averages.update(self.close[0]):
            self.sent += 1
            (self.buy if way > 0 else self.sell)(size=rules.SHARES)


class Watcher(Timed):
    """W3."""

    def next(self) -> None:
        self.last = self.data.close[0]


class Alternator(Timed):
    """W5."""

    buys = False

    def next(self) -> None:
        self.buys = not self.buys
        self.sent += 1
        (self.buy if self.buys else self.sell)(size=1)


class Quoter(Timed):
    """W4: a print is a bar with one price."""

    resting: Any = None
    seen = 0

    def next(self) -> None:
        self.seen += 1
        if self.seen % 1_000:
            return
        if self.resting is not None and self.resting.alive():
            self.cancel(self.resting)
        price = self.data.close[0]
        self.sent += 1
        if self.position.size > 0:
            self.resting = self.sell(size=1, exectype=bt.Order.Limit, price=round(price + 0.05, 2))
        else:
            self.resting = self.buy(size=1, exectype=bt.Order.Limit, price=round(price - 0.05, 2))


class Rebalancer(Timed):
    """W2 and W6: quantities are parts of a share, sales are sent first."""

    def start(self) -> None:
        task = self.p.task
        self.rule, self.history = rules.RULES[task.workload], rules.HISTORY[task.workload]
        self.decides = rules.decision_days(task.workload, task.panel.ts).tolist()
        self.closes: deque[list[float]] = deque(maxlen=self.history)
        super().start()

    def next(self) -> None:
        self.closes.append([data.close[0] for data in self.datas])
        if not self.decides[len(self) - 1]:
            return
        closes = np.array(self.closes)
        held = {column: self.getposition(data).size for column, data in enumerate(self.datas)}
        for column, quantity in rules.orders(self.rule(closes), held, closes[-1], self.broker.getvalue()):
            self.sent += 1
            data = self.datas[column]
            if quantity > 0:
                self.buy(data=data, size=quantity)
            else:
                self.sell(data=data, size=-quantity)


def run(task: Task, strategy: type[Timed], commission: float = 0.0) -> Outcome:
    """One Cerebro without observers; the feeds are loaded before the loop, as is its default."""
    cerebro = bt.Cerebro(stdstats=False)
    for frame in frames(task):
        minutes = {} if task.workload in rules.RULES else {"timeframe": bt.TimeFrame.Minutes}
        cerebro.adddata(bt.feeds.PandasData(dataname=frame, openinterest=None, **minutes))
    cerebro.addstrategy(strategy, task=task)
    cerebro.broker.setcash(1_000_000.0)
    cerebro.broker.setcommission(commission=commission)
    (ran,) = cerebro.run()
    return Outcome(ran.seconds, len(task.table["ts"]), ran.sent, ran.filled, float(cerebro.broker.getvalue()))


def frames(task: Task) -> list[pd.DataFrame]:
    """One frame an instrument."""
    table, columns = task.bars, ("open", "high", "low", "close", "volume")
    if task.workload in rules.RULES:
        panel, index = task.panel, pd.DatetimeIndex(task.panel.ts.astype("datetime64[ns]"))
        return [
            pd.DataFrame({name: panel.columns[name][:, column] for name in columns}, index=index)
            for column in range(len(panel.names))
        ]
    index = pd.DatetimeIndex(table["ts"].astype("datetime64[ns]"))
    return [pd.DataFrame({name: table[name] for name in columns}, index=index)]


if __name__ == "__main__":
    serve(
        ["backtrader", "numpy", "pandas"],
        {
            "W1": lambda task: run(task, Crossover, commission=0.001),
            "W2": lambda task: run(task, Rebalancer),
            "W3": lambda task: run(task, Watcher),
            "W4": lambda task: run(task, Quoter),
            "W5": lambda task: run(task, Alternator),
            "W6": lambda task: run(task, Rebalancer, commission=0.0005),
        },
    )
