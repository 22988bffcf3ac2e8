"""Runs the workloads on bars in zipline-reloaded, through a data bundle of its own and run_algorithm."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from zipline import run_algorithm
from zipline.api import get_datetime, order, set_commission, set_slippage, symbol
from zipline.data import bundles
from zipline.finance import commission, slippage
from zipline.utils.calendar_utils import get_calendar

from benchmarks.compare.peers import rules
from benchmarks.compare.peers.task import Outcome, Task, serve

# Minutes are those of whole days. Days are laid upon an exchange's sessions one by one: at the end of a day without a
# break zipline would take prices from the next one.
_CALENDARS = {True: "XNYS", False: "24/7"}
_COLUMNS = ("open", "high", "low", "close", "volume")


class NextOpen(slippage.SlippageModel):
    """All of an order at the open of the bar that fills it, which is the one after the decision."""

    def process_order(self, data: Any, placed: Any) -> tuple[float, float]:
        return data.current(placed.asset, "open"), placed.amount


class Timed:
    """A strategy as ``run_algorithm`` takes it; knows when its first bar came and its newest."""

    rate = 0.0

    def __init__(self, task: Task) -> None:
        self.task = task
        self.sent, self.began = 0, 0.0

    def initialize(self, context: Any) -> None:
        set_slippage(us_equities=NextOpen())
        set_commission(us_equities=commission.PerDollar(cost=self.rate) if self.rate else commission.NoCommission())
        self.assets = [symbol(name) for name in names_of(self.task)]
        self.last_time = pd.Timestamp(int(self.task.table["ts"][-1]), tz="UTC")

    def handle_data(self, context: Any, data: Any) -> None:
        self.ended = time.perf_counter()
        if not self.began:
            self.began = self.ended
        self.decide(context, data)

    def order(self, asset: Any, quantity: float) -> None:
        if order(asset, quantity) is not None:
            self.sent += 1


class Minutes(Timed):
    """The first minute of the calendar's first day has no bar, and neither have those after the last row."""

    def decide(self, context: Any, data: Any) -> None:
        close = data.current(self.assets[0], "close")
        if close == close and get_datetime() <= self.last_time:
            self.see(close)


class Crossover(Minutes):
    """W1."""

    rate = 0.001

    def initialize(self, context: Any) -> None:
        self.averages = rules.Averages()
        super().initialize(context)

    def see(self, close: float) -> None:
        if way := self.averages.update(close):
            self.order(self.assets[0], way * rules.SHARES)


class Watcher(Minutes):
    """W3."""

    def see(self, close: float) -> None:
        self.last = close


class Alternator(Minutes):
    """W5."""

    buys = False

    def see(self, close: float) -> None:
        self.buys = not self.buys
        self.order(self.assets[0], 1 if self.buys else -1)


class Rebalancer(Timed):
    """W2 and W6; zipline cuts quantities to whole shares."""

    def initialize(self, context: Any) -> None:
        workload, panel = self.task.workload, self.task.panel
        self.rule, self.history = rules.RULES[workload], rules.HISTORY[workload]
        self.decides = rules.decision_days(workload, panel.ts).tolist()
        self.closes: deque[np.ndarray] = deque(maxlen=self.history)
        self.day = -1
        super().initialize(context)
        self.column = {asset: column for column, asset in enumerate(self.assets)}

    def decide(self, context: Any, data: Any) -> None:
        self.day += 1
        self.closes.append(data.current(self.assets, "close").to_numpy())
        if not self.decides[self.day]:
            return
        closes, portfolio = np.array(self.closes), context.portfolio
        held = {self.column[asset]: position.amount for asset, position in portfolio.positions.items()}
        for column, quantity in rules.orders(self.rule(closes), held, closes[-1], portfolio.portfolio_value):
            self.order(self.assets[column], quantity)


class LongShort(Rebalancer):
    """W6."""

    rate = 0.0005


def run(task: Task, strategy: type[Timed]) -> Outcome:
    """The bundle is the library's own form: it is written first, and read bar by bar during the run."""
    ran = strategy(task)
    is_daily = task.workload in rules.RULES
    calendar = get_calendar(_CALENDARS[is_daily])
    days = pd.DatetimeIndex(np.unique(task.table["ts"].astype("datetime64[ns]").astype("datetime64[D]")))
    if is_daily:
        days = pd.DatetimeIndex(calendar.sessions_window(calendar.date_to_session(days[0], "next"), len(days)))
    with tempfile.TemporaryDirectory() as root:
        environ = {"ZIPLINE_ROOT": root}
        bundles.register("compare", ingester(task, days), calendar.name, days[0], days[-1], minutes_per_day=1_440)
        bundles.ingest("compare", environ=environ, show_progress=False)
        performance = run_algorithm(
            start=days[0],
            end=days[-1],
            initialize=ran.initialize,
            handle_data=ran.handle_data,
            capital_base=1_000_000.0,
            data_frequency="daily" if is_daily else "minute",
            bundle="compare",
            environ=environ,
            trading_calendar=calendar,
            default_extension=False,
            benchmark_returns=pd.Series(0.0, index=days),
        )
    fills = sum(len(day) for day in performance["transactions"])
    final = float(performance["portfolio_value"].iloc[-1])
    return Outcome(ran.ended - ran.began, len(task.table["ts"]), ran.sent, fills, final)


def ingester(task: Task, days: pd.DatetimeIndex) -> Any:
    """A function that writes the task's bars into a bundle; zipline stores prices as thousandths."""

    def ingest(
        _environ: Any,
        asset_db_writer: Any,
        minute_bar_writer: Any,
        daily_bar_writer: Any,
        adjustment_writer: Any,
        *_rest: Any,
    ) -> None:
        names = names_of(task)
        about = {
            "symbol": names,
            "asset_name": names,
            "start_date": days[0],
            "end_date": days[-1],
            "auto_close_date": days[-1] + pd.Timedelta(days=30),
            "exchange": "NYSE",
        }
        exchanges = pd.DataFrame([{"exchange": "NYSE", "canonical_name": "X", "country_code": "US"}])
        asset_db_writer.write(equities=pd.DataFrame(about), exchanges=exchanges)
        if task.workload in rules.RULES:
            daily_bar_writer.write(tables(task, days))
        else:
            minute_bar_writer.write(tables(task, None))
            daily_bar_writer.write(sessions(task, days))
        adjustment_writer.write()

    return ingest


def names_of(task: Task) -> list[str]:
    return task.panel.names if task.workload in rules.RULES else ["X"]


def tables(task: Task, days: pd.DatetimeIndex | None) -> Iterator[tuple[int, pd.DataFrame]]:
    """A number and a frame for each instrument."""
    if days is not None:
        for number in range(len(task.panel.names)):
            yield number, pd.DataFrame({name: task.panel.columns[name][:, number] for name in _COLUMNS}, index=days)
        return
    index = pd.DatetimeIndex(task.table["ts"].astype("datetime64[ns]"), tz="UTC")
    yield 0, pd.DataFrame({name: task.table[name] for name in _COLUMNS}, index=index)


def sessions(task: Task, days: pd.DatetimeIndex) -> Iterator[tuple[int, pd.DataFrame]]:
    """Days of minute bars; zipline wants them beside the minutes."""
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    for number, table in tables(task, None):
        yield number, table.groupby(table.index.normalize().tz_localize(None)).agg(how).reindex(days)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    serve(
        ["zipline-reloaded", "numpy", "pandas"],
        {
            "W1": lambda task: run(task, Crossover),
            "W2": lambda task: run(task, Rebalancer),
            "W3": lambda task: run(task, Watcher),
            "W5": lambda task: run(task, Alternator),
            "W6": lambda task: run(task, LongShort),
        },
    )
