"""Runs the workloads in ml4t-backtest, through DataFeed, Engine and a Strategy in Python."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import polars as pl
from ml4t.backtest import BacktestConfig, DataFeed, Engine, ExecutionMode, OrderStatus, OrderType, Strategy
from ml4t.backtest.config import CommissionType, FillOrdering, ShareType

from benchmarks.compare.peers import rules
from benchmarks.compare.peers.task import Outcome, Task, serve


class Timed(Strategy):
    """Counts orders, and the time from the loop's start to its end."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.sent = 0

    def on_start(self, broker: Any) -> None:
        self.began = time.perf_counter()

    def on_end(self, broker: Any) -> None:
        self.seconds = time.perf_counter() - self.began
        self.equity = float(broker.get_account_value())


class Crossover(Timed):
    """W1."""

    def on_start(self, broker: Any) -> None:
        self.averages = rules.Averages()
        super().on_start(broker)

    def on_data(self, timestamp: Any, data: dict[str, Any], context: dict[str, Any], broker: Any) -> None:
        if way := self.averages.update(data["X"]["close"]):
            self.sent += 1
            broker.submit_order("X", way * rules.SHARES)


class Watcher(Timed):
    """W3."""

    def on_data(self, timestamp: Any, data: dict[str, Any], context: dict[str, Any], broker: Any) -> None:
        self.last = data["X"]["close"]


class Alternator(Timed):
    """W5."""

    buys = False

    def on_data(self, timestamp: Any, data: dict[str, Any], context: dict[str, Any], broker: Any) -> None:
        self.buys = not self.buys
        self.sent += 1
        broker.submit_order("X", 1 if self.buys else -1)


class Quoter(Timed):
    """W4: a print is a bar with one price."""

    seen = 0
    resting: Any = None

    def on_data(self, timestamp: Any, data: dict[str, Any], context: dict[str, Any], broker: Any) -> None:
        self.seen += 1
        if self.seen % 1_000:
            return
        if self.resting is not None and self.resting.status is OrderStatus.PENDING:
            broker.cancel_order(self.resting.order_id)
        position = broker.get_position("X")
        way = -1 if position is not None and position.quantity > 0 else 1
        limit = round(data["X"]["close"] - 0.05 * way, 2)
        self.sent += 1
        self.resting = broker.submit_order("X", way, order_type=OrderType.LIMIT, limit_price=limit)


class Rebalancer(Timed):
    """W2 and W6: quantities are parts of a share, sales are sent first."""

    def on_start(self, broker: Any) -> None:
        workload, panel = self.task.workload, self.task.panel
        self.rule, self.history, self.names = rules.RULES[workload], rules.HISTORY[workload], panel.names
        self.column = {name: column for column, name in enumerate(self.names)}
        self.decides = rules.decision_days(workload, panel.ts).tolist()
        self.closes = np.empty((len(self.decides), len(self.names)))
        self.day = -1
        super().on_start(broker)

    def on_data(self, timestamp: Any, data: dict[str, Any], context: dict[str, Any], broker: Any) -> None:
        self.day += 1
        self.closes[self.day] = [data[name]["close"] for name in self.names]
        if not self.decides[self.day]:
            return
        closes = self.closes[self.day + 1 - self.history : self.day + 1]
        held = {self.column[name]: position.quantity for name, position in broker.get_positions().items()}
        weights = self.rule(closes)
        for column, quantity in rules.orders(weights, held, closes[-1], broker.get_account_value()):
            self.sent += 1
            broker.submit_order(self.names[column], quantity)


def run(task: Task, strategy: type[Timed], commission: float = 0.0) -> Outcome:
    """One engine that fills at the next open; accounts that sell short may use leverage, too."""
    is_panel = task.workload in rules.RULES
    config = BacktestConfig(
        initial_cash=1_000_000.0,
        execution_mode=ExecutionMode.NEXT_BAR,
        share_type=ShareType.FRACTIONAL,
        commission_type=CommissionType.PERCENTAGE if commission else CommissionType.NONE,
        commission_rate=commission,
        fill_ordering=FillOrdering.FIFO,
        allow_short_selling=task.workload in ("W5", "W6"),
        allow_leverage=task.workload == "W6",
    )
    feed = DataFeed(
        prices_df=prices(task), timestamp_col="ts", entity_col="symbol", close_col="close", price_col="close"
    )
    ran = strategy(task)
    result = Engine(feed, ran, config).run()
    rows = task.panel.columns["close"].size if is_panel else len(task.table["ts"])
    return Outcome(ran.seconds, rows, ran.sent, len(result.fills), ran.equity)


def prices(task: Task) -> pl.DataFrame:
    """A row an instrument and time."""
    table = task.bars
    names = ["X"] if task.workload not in rules.RULES else task.panel.names
    symbols = pl.Series("symbol", names * (len(table["ts"]) // len(names)))
    return pl.DataFrame(table).with_columns(symbols, pl.col("ts").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(
        ["ml4t-backtest", "numpy", "polars"],
        {
            "W1": lambda task: run(task, Crossover, commission=0.001),
            "W2": lambda task: run(task, Rebalancer),
            "W3": lambda task: run(task, Watcher),
            "W4": lambda task: run(task, Quoter),
            "W5": lambda task: run(task, Alternator),
            "W6": lambda task: run(task, Rebalancer, commission=0.0005),
        },
    )
