"""Runs the workloads in nautilus_trader, through BacktestEngine and a Strategy in Python."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import BacktestEngineConfig, LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, AssetClass, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import Cfd
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

from benchmarks.compare.peers import rules
from benchmarks.compare.peers.task import Outcome, Task, serve

_VENUE = Venue("SIM")
_DIGITS = 6


class Timed(Strategy):
    """Counts orders and fills, and the time from its start to its stop, which is the engine's loop."""

    def __init__(self, task: Task, instruments: list[Cfd], bars: list[BarType]) -> None:
        super().__init__()
        self.task, self.instruments, self.bars = task, instruments, bars
        self.sent = self.filled = 0
        self.ids = [instrument.id for instrument in instruments]

    def on_start(self) -> None:
        for bar_type in self.bars:
            self.subscribe_bars(bar_type)
        self.began = time.perf_counter()

    def on_stop(self) -> None:
        self.seconds = time.perf_counter() - self.began

    def on_order_filled(self, event: Any) -> None:
        self.filled += 1

    def market(self, column: int, quantity: float) -> None:
        """A market order for a signed quantity."""
        side = OrderSide.BUY if quantity > 0 else OrderSide.SELL
        self.sent += 1
        self.submit_order(self.order_factory.market(self.ids[column], side, Quantity(abs(quantity), _DIGITS)))


class Crossover(Timed):
    """W1."""

    def on_start(self) -> None:
        self.averages = rules.Averages()
        super().on_start()

    def on_bar(self, bar: Bar) -> None:
        if way := self.averages.update(bar.close.as_double()):
            self.market(0, way * rules.SHARES)


class Watcher(Timed):
    """W3."""

    def on_bar(self, bar: Bar) -> None:
        self.last = bar.close.as_double()


class Alternator(Timed):
    """W5."""

    buys = False

    def on_bar(self, bar: Bar) -> None:
        self.buys = not self.buys
        self.market(0, 1 if self.buys else -1)


class Quoter(Timed):
    """W4."""

    def on_start(self) -> None:
        self.seen, self.resting = 0, None
        self.subscribe_trade_ticks(self.ids[0])
        super().on_start()

    def on_trade_tick(self, tick: TradeTick) -> None:
        self.seen += 1
        if self.seen % 1_000:
            return
        if self.resting is not None and self.resting.is_open:
            self.cancel_order(self.resting)
        is_long = self.portfolio.is_net_long(self.ids[0])
        limit = round(tick.price.as_double() + (0.05 if is_long else -0.05), 2)
        side = OrderSide.SELL if is_long else OrderSide.BUY
        self.resting = self.order_factory.limit(self.ids[0], side, Quantity(1, _DIGITS), Price(limit, _DIGITS))
        self.sent += 1
        self.submit_order(self.resting)


class Rebalancer(Timed):
    """W2 and W6: decides when the last instrument's bar of a day is in."""

    def on_start(self) -> None:
        task = self.task
        self.rule, self.history = rules.RULES[task.workload], rules.HISTORY[task.workload]
        self.decides = rules.decision_days(task.workload, task.panel.ts).tolist()
        self.closes = np.empty((len(self.decides), len(self.ids)))
        self.column = {bar_type: column for column, bar_type in enumerate(self.bars)}
        self.day = self.seen = 0
        self.account = self.cache.account_for_venue(_VENUE)
        super().on_start()

    def on_bar(self, bar: Bar) -> None:
        self.closes[self.day, self.column[bar.bar_type]] = bar.close.as_double()
        self.seen += 1
        if self.seen == len(self.ids):
            day, self.day, self.seen = self.day, self.day + 1, 0
            if self.decides[day]:
                self.rebalance(self.closes[day + 1 - self.history : day + 1])

    def rebalance(self, closes: np.ndarray) -> None:
        held = {}
        equity = self.account.balance_total(USD).as_double()
        column = {identifier: column for column, identifier in enumerate(self.ids)}
        for position in self.cache.positions_open():
            place = column[position.instrument_id]
            held[place] = position.signed_qty
            equity += position.signed_qty * (closes[-1, place] - position.avg_px_open)
        for place, quantity in rules.orders(self.rule(closes), held, closes[-1], equity):
            self.market(place, quantity)


def run(task: Task, strategy: type[Timed], commission: float = 0.0) -> Outcome:
    """One engine with a margin account, so that short sales need nothing else; logging is off."""
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True), run_analysis=False
        )
    )
    engine.add_venue(
        _VENUE,
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(1_000_000, USD)],
        base_currency=USD,
        default_leverage=Decimal(10),
    )
    names = task.panel.names if task.workload in rules.RULES else ["X"]
    instruments = [instrument_of(name, commission) for name in names]
    kinds = [] if task.workload == "W4" else [bar_type(instrument) for instrument in instruments]
    for instrument in instruments:
        engine.add_instrument(instrument)
    last = load(engine, task, instruments, kinds)
    ran = strategy(task, instruments, kinds)
    engine.add_strategy(ran)
    engine.run()
    balance = engine.cache.account_for_venue(_VENUE).balance_total(USD).as_double()
    open_positions = engine.cache.positions_open()
    gain = sum(p.signed_qty * (last[p.instrument_id] - p.avg_px_open) for p in open_positions)
    return Outcome(ran.seconds, len(task.table["ts"]), ran.sent, ran.filled, balance + gain)


def load(engine: Any, task: Task, instruments: list[Cfd], kinds: list[BarType]) -> dict[InstrumentId, float]:
    """Makes the engine's own objects of the data, and says each instrument's last price."""
    if task.workload == "W4":
        table, (instrument,) = task.table, instruments
        engine.add_data(prints(table, instrument.id))
        return {instrument.id: float(table["price"][-1])}
    last = {}
    names = ("open", "high", "low", "close", "volume")
    for column, (instrument, kind) in enumerate(zip(instruments, kinds, strict=True)):
        if task.workload in rules.RULES:
            ts, columns = task.panel.ts, {name: task.panel.columns[name][:, column] for name in names}
        else:
            ts, columns = task.table["ts"], {name: task.table[name] for name in names}
        engine.add_data(BarDataWrangler(kind, instrument).process(pd.DataFrame(columns, index=_times(ts))), sort=False)
        last[instrument.id] = float(columns["close"][-1])
    engine.sort_data()
    return last


def prints(table: dict[str, np.ndarray], identifier: InstrumentId) -> list[TradeTick]:
    """Prints as the library has them, with who took them: a buyer's print fills no order to buy."""
    sides = (AggressorSide.SELLER, AggressorSide.BUYER)
    columns = zip(
        table["price"].tolist(),
        table["size"].tolist(),
        rules.buyers(table["price"]).tolist(),
        table["ts"].tolist(),
        strict=True,
    )
    return [
        TradeTick(identifier, Price(price, _DIGITS), Quantity(size, _DIGITS), sides[bought], TradeId(str(ts)), ts, ts)
        for price, size, bought, ts in columns
    ]


def bar_type(instrument: Cfd) -> BarType:
    """External bars at the last price; that panels are daily makes no difference to the engine."""
    return BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")


def instrument_of(name: str, commission: float) -> Cfd:
    """An instrument that trades in parts of a unit, as the library's equities do not."""
    return Cfd(
        instrument_id=InstrumentId(Symbol(name), _VENUE),
        raw_symbol=Symbol(name),
        asset_class=AssetClass.EQUITY,
        quote_currency=USD,
        price_precision=_DIGITS,
        size_precision=_DIGITS,
        price_increment=Price(10**-_DIGITS, _DIGITS),
        size_increment=Quantity(10**-_DIGITS, _DIGITS),
        maker_fee=Decimal(str(commission)),
        taker_fee=Decimal(str(commission)),
        ts_event=0,
        ts_init=0,
    )


def _times(ts: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(ts.astype("datetime64[ns]"), tz="UTC")


if __name__ == "__main__":
    serve(
        ["nautilus_trader", "numpy", "pandas"],
        {
            "W1": lambda task: run(task, Crossover, commission=0.001),
            "W2": lambda task: run(task, Rebalancer),
            "W3": lambda task: run(task, Watcher),
            "W4": lambda task: run(task, Quoter),
            "W5": lambda task: run(task, Alternator),
            "W6": lambda task: run(task, Rebalancer, commission=0.0005),
        },
    )
