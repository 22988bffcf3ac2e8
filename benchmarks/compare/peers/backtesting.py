"""Runs the one-instrument workloads in backtesting.py, through Backtest and Strategy."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pandas as pd
from backtesting import Backtest, Strategy

from benchmarks.compare.peers.rules import SHARES, Averages
from benchmarks.compare.peers.task import Outcome, Task, serve


class Crossover(Strategy):
    """W1; the library asks from the second bar on, so the first close is caught up with."""

    def init(self) -> None:
        self.sent = 0
        self.averages = Averages()
        self.averages.update(float(self.data.Close[0]))

    def next(self) -> None:
        if way := self.averages.update(float(self.data.Close[-1])):
            self.sent += 1
            (self.buy if way > 0 else self.sell)(size=SHARES)


class Watcher(Strategy):
    """W3."""

    def init(self) -> None:
        self.sent, self.last = 0, 0.0

    def next(self) -> None:
        self.last = self.data.Close[-1]


class Alternator(Strategy):
    """W5."""

    def init(self) -> None:
        self.sent, self.buys = 0, False

    def next(self) -> None:
        self.buys = not self.buys
        self.sent += 1
        (self.buy if self.buys else self.sell)(size=1)


def runner(strategy: type[Strategy], commission: float = 0.0) -> Any:
    """A run of one strategy; what is timed is ``Backtest.run``, which ends with the library's statistics."""

    def run(task: Task) -> Outcome:
        names = {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}
        table = task.table
        columns = {theirs: table[ours] for ours, theirs in names.items()}
        frame = pd.DataFrame(columns, index=pd.DatetimeIndex(table["ts"].astype("datetime64[ns]")))
        backtest = Backtest(frame, strategy, cash=1_000_000, commission=commission)
        began = time.perf_counter()
        statistics = backtest.run()
        seconds = time.perf_counter() - began
        ran = statistics["_strategy"]
        fills = 2 * len(ran.closed_trades) + len(ran.trades)
        return Outcome(seconds, len(frame), ran.sent, fills, float(statistics["Equity Final [$]"]))

    return run


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(
        ["backtesting", "numpy", "pandas"],
        {"W1": runner(Crossover, commission=0.001), "W3": runner(Watcher), "W5": runner(Alternator)},
    )
