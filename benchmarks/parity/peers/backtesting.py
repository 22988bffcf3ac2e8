"""Runs scenarios in backtesting.py, through Backtest and Strategy; it trades one instrument."""

from __future__ import annotations

import math
import warnings
from typing import Any

from backtesting import Backtest, Strategy

from benchmarks.parity.peers.case import Case, Journal, serve


def run(case: Case, journal: Journal) -> None:
    """One Backtest a case, with the intents of each bar sent from ``next``."""
    (instrument,) = case.document["instruments"]
    columns = {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}
    table = case.table(instrument).rename(columns=columns)
    table.index = case.local_times[table.index]
    cash: dict[int, float] = {0: case.document["cash"]}
    backtest = Backtest(table, Replay, **account(case.document))
    with journal.timed("simulation"):
        statistics = backtest.run(case=case, journal=journal, instrument=instrument, cash_at=cash)
    for bar, equity in enumerate(statistics["_equity_curve"]["Equity"]):
        # A ruined account stops being asked: the library sets cash and equity to nothing from there on.
        journal.state(bar, cash.get(bar, 0.0), equity)


def account(document: dict[str, Any]) -> dict[str, Any]:
    """Cash, commission, spread and margin, each by the Backtest's own argument."""
    commission, slippage = document["commission"], document["slippage"]
    rate, minimum = commission.get("rate", 0.0), commission.get("minimum", 0.0)

    def per_share(size: float, _price: float) -> float:
        return max(minimum, abs(size) * rate)

    return {
        "cash": document["cash"],
        "commission": per_share if commission["kind"] == "per-share" else rate,
        "spread": slippage["rate"] if slippage["kind"] == "percent" else 0.0,
        "margin": 1 / document["account"].get("leverage", 1.0),
    }


class Replay(Strategy):
    """Sends each bar's intents; what the broker did is observed from outside (see ``Queue``)."""

    case: Any = None
    journal: Any = None
    instrument: Any = None
    cash_at: Any = None

    def init(self) -> None:
        broker = self._broker
        self.queue = broker.orders = Queue(self.journal)
        self.trailing: dict[str, dict[str, Any]] = {}
        opens, closes, process = broker._open_trade, broker._close_trade, broker._process_orders

        def open_trade(price: float, size: float, *rest: Any) -> None:
            self._fill(size, price, broker._commission(size, price))
            opens(price, size, *rest)

        def close_trade(trade: Any, price: float, bar: int) -> None:
            self._fill(-trade.size, price, broker._commission(trade.size, price))
            closes(trade, price, bar)

        def process_orders() -> None:
            process()
            self.queue.order = None

        broker._open_trade, broker._close_trade, broker._process_orders = open_trade, close_trade, process_orders

    def next(self) -> None:
        bar = len(self.data) - 1
        self.cash_at[bar] = self._broker._cash
        self._trail()
        for intent in self.case.intents.get(bar, []):
            getattr(self, "_" + intent["action"].replace("-", "_"))(intent)

    def _order(self, intent: dict[str, Any]) -> None:
        terms = {"sl": intent.get("stop_loss"), "tp": intent.get("take_profit"), "tag": intent["id"]}
        send = self.buy if intent["quantity"] > 0 else self.sell
        send(size=abs(intent["quantity"]), limit=intent.get("limit"), stop=intent.get("stop"), **terms)
        if "trail_amount" in intent or "trail_percent" in intent:
            self.trailing[intent["id"]] = intent

    _bracket = _order

    def _cancel(self, intent: dict[str, Any]) -> None:
        for order in self.orders:
            if order.tag == intent["order"] and not order.is_contingent:
                order.cancel()
                self.journal.status(intent["order"], "cancelled")

    def _target_percent(self, intent: dict[str, Any]) -> None:
        """A part of the equity from nothing, or all of the position away: more this library does not know."""
        if intent["percent"]:
            self.buy(size=intent["percent"], tag=intent["id"])
        else:
            for trade in self.trades:
                self.queue.closing[id(trade)] = intent["id"]
                trade.close()

    def _trail(self) -> None:
        """The documented way: a trade's ``sl`` may be written on every bar."""
        for trade in self.trades:
            if (terms := self.trailing.get(trade.tag)) is None:
                continue
            close = self.data.Close[-1]
            distance = terms.get("trail_amount", close * terms.get("trail_percent", 0.0))
            if trade.is_long:
                trade.sl = max(trade.sl or -math.inf, close - distance)
            else:
                trade.sl = min(trade.sl or math.inf, close + distance)

    def _fill(self, size: float, price: float, commission: float) -> None:
        self.queue.filled = True
        self.journal.fill(self.queue.name(), self.instrument, len(self.data) - 1, size, price, commission)


class Queue(list):
    """The broker's list of orders, which tells whose turn it is.

    The library records trades and not fills, and so cannot say which order closed a trade. Its broker asks of every
    order, before it works on it, whether it is still in this list: that question is noted, and changes nothing.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal
        self.order: Any = None
        self.filled = False
        self.closing: dict[int, str] = {}

    def __contains__(self, order: object) -> bool:
        if order is not self.order:
            self.order, self.filled = order, False
        return super().__contains__(order)

    def insert(self, place: Any, order: Any) -> None:
        super().insert(place, order)
        if order.parent_trade is None:
            self.journal.status(order.tag, "open")

    def remove(self, order: Any) -> None:
        """What leaves in its own turn is filled or refused; what leaves in another's turn was withdrawn."""
        super().remove(order)
        if order is self.order:
            reason = "" if self.filled and not self._is_short_of(order) else "insufficient margin"
            self.journal.status(self.name(), "rejected" if reason else "filled", reason)

    def name(self) -> str:
        """The intent whose turn it is, with the part of a bracket that an exit plays."""
        order = self.order
        if order is None:
            return "liquidation"
        trade = order.parent_trade
        if trade is None:
            return order.tag
        # An order that ``trade.close`` made has the tag of the trade's entry, so it is known by the trade.
        if order is trade._sl_order or order is trade._tp_order:
            return f"{order.tag}.{'stop' if order is trade._sl_order else 'target'}"
        return self.closing[id(trade)]

    def _is_short_of(self, order: Any) -> bool:
        """Whether fills of this turn fall short of what was ordered: the closing part went through, the other not."""
        done = sum(fill[3] for fill in self.journal.fills if fill[0] == order.tag)
        return order.parent_trade is None and abs(order.size) >= 1 and done != order.size


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(["backtesting", "numpy", "pandas"], run)
