"""Runs the one-instrument workloads in backtesting.py, through Backtest and Strategy."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pandas as pd
from backtesting import Backtest, Strategy

from benchmarks.compare.peers.rules import SHARES, Averages
from benchmarks.compare.peers.task import Outcome, Task, serve


class Timed(Strategy):
    """Knows when the loop began and when it came to its newest bar; the statistics that follow are no part of it."""

    def init(self) -> None:
        self.sent = 0
        self.began = time.perf_counter()

    def next(self) -> None:
        self.ended = time.perf_counter()


class Crossover(Timed):
    """W1; the library asks from the second bar on, so the first close is caught up with."""

    def init(self) -> None:
        self.averages = Averages()
        self.averages.update(float(self.data.Close[0]))
        super().init()

    def next(self) -> None:
        self.ended = time.perf_counter()
        if way := self.averages.update(float(self.data.Close[-1])):
            self.sent += 1
            (self.buy if way > 0 else self.sell)(size=SHARES)


class Watcher(Timed):
    """W3."""

    def next(self) -> None:
        self.ended = time.perf_counter()
        self.last = self.data.Close[-1]


class Alternator(Timed):
    """W5."""

    buys = False

    def next(self) -> None:
        self.ended = time.perf_counter()
        self.buys = not self.buys
        self.sent += 1
        (self.buy if self.buys else self.sell)(size=1)


def runner(strategy: type[Timed], commission: float = 0.0) -> Any:
    """A run of one strategy."""

    def run(task: Task) -> Outcome:
        names = {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}
        table = task.table
        columns = {theirs: table[ours] for ours, theirs in names.items()}
        frame = pd.DataFrame(columns, index=pd.DatetimeIndex(table["ts"].astype("datetime64[ns]")))
        backtest = Backtest(frame, strategy, cash=1_000_000, commission=commission)
        statistics = backtest.run()
        ran = statistics["_strategy"]
        fills = 2 * len(ran.closed_trades) + len(ran.trades)
        return Outcome(ran.ended - ran.began, len(frame), ran.sent, fills, float(statistics["Equity Final [$]"]))

    return run


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(
        ["backtesting", "numpy", "pandas"],
        {"W1": runner(Crossover, commission=0.001), "W3": runner(Watcher), "W5": runner(Alternator)},
    )
