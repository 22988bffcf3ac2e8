"""Runs scenarios in backtrader, through Cerebro, a Strategy and the simulated broker as it is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import backtrader as bt
import pandas as pd

from benchmarks.parity.peers.case import Case, Journal, serve

_STATUS = {
    bt.Order.Created: "open",
    bt.Order.Submitted: "open",
    bt.Order.Accepted: "open",
    bt.Order.Partial: "partly-filled",
    bt.Order.Completed: "filled",
    bt.Order.Canceled: "cancelled",
    bt.Order.Expired: "expired",
    bt.Order.Margin: "rejected",
    bt.Order.Rejected: "rejected",
}


def run(case: Case, journal: Journal) -> None:
    """One Cerebro a case; the instruments are data feeds in the scenario's order."""
    cerebro = bt.Cerebro(stdstats=False)
    for name in case.document["instruments"]:
        cerebro.adddata(_feed(case, name), name=name)
    cerebro.addstrategy(Replay, case=case, journal=journal)
    set_account(cerebro.broker, case.document)
    with journal.timed("simulation"):
        cerebro.run()


def set_account(broker: bt.brokers.BackBroker, document: dict[str, Any]) -> None:
    """Cash, commission, slippage, leverage and liquidity, each by the broker's own setting."""
    broker.setcash(document["cash"])
    commission, slippage = document["commission"], document["slippage"]
    leverage = document["account"].get("leverage", 1.0)
    if commission["kind"] == "per-share":
        scheme = PerShare(commission=commission["rate"], minimum=commission["minimum"], leverage=leverage)
        broker.addcommissioninfo(scheme)
    else:
        broker.setcommission(commission=commission.get("rate", 0.0), leverage=leverage)
    if slippage["kind"] == "percent":
        broker.set_slippage_perc(slippage["rate"])
    elif slippage["kind"] == "fixed":
        broker.set_slippage_fixed(slippage["amount"])
    if document["participation"] is not None:
        broker.set_filler(bt.fillers.FixedBarPerc(perc=100 * document["participation"]))


class PerShare(bt.CommInfoBase):
    """The documented way to a commission of one's own: override what one operation costs."""

    params = (("stocklike", True), ("commtype", bt.CommInfoBase.COMM_FIXED), ("minimum", 0.0))

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        return max(self.p.minimum, abs(size) * self.p.commission)


class Replay(bt.Strategy):
    """Sends each bar's intents and writes down what the broker notifies."""

    params = (("case", None), ("journal", None))

    def __init__(self) -> None:
        self.bar_of = {time: bar for bar, time in enumerate(self.p.case.local_times)}
        self.clock, self.now = 0.0, 0
        self.orders: dict[str, bt.Order] = {}
        self.groups: dict[str, bt.Order] = {}

    def prenext(self) -> None:
        """An instrument that starts late must not silence the others."""
        self.next()

    def next(self) -> None:
        bar = self._bar()
        self.p.journal.state(bar, self.broker.getcash(), self.broker.getvalue())
        for intent in self.p.case.intents.get(bar, []):
            getattr(self, "_" + intent["action"].replace("-", "_"))(intent)

    def notify_order(self, order: bt.Order) -> None:
        name = order.info.intent
        for part in order.executed.iterpending():
            commission = part.closedcomm + part.openedcomm
            self.p.journal.fill(name, order.data._name, self._bar(), part.size, part.price, commission)
        self.p.journal.status(name, _STATUS[order.status], order.getstatusname())

    def _bar(self) -> int:
        """A strategy's own clock is the newest time of its feeds, also while it is notified."""
        number = self.lines.datetime[0]
        if number != self.clock:
            self.clock, self.now = number, self.bar_of[pd.Timestamp(bt.num2date(number)).round("s")]
        return self.now

    def _order(self, intent: dict[str, Any]) -> None:
        group = intent.get("oco")
        order = self._send(intent)(**_terms(intent), **self._common(intent), oco=self.groups.get(group))
        self.orders[intent["id"]] = order
        self.p.journal.status(intent["id"], "open")
        if group is not None:
            self.groups.setdefault(group, order)

    def _bracket(self, intent: dict[str, Any]) -> None:
        name = intent["id"]
        send = self.buy_bracket if intent["quantity"] > 0 else self.sell_bracket
        stop, target = _trailing(intent), intent.get("take_profit")
        orders = send(
            **_terms(intent),
            **self._common(intent, "oargs"),
            stopprice=intent.get("stop_loss"),
            stopexec=bt.Order.StopTrail if stop else bt.Order.Stop if "stop_loss" in intent else None,
            stopargs={**stop, "intent": f"{name}.stop"},
            limitprice=target,
            limitexec=None if target is None else bt.Order.Limit,
            limitargs={"intent": f"{name}.target"},
        )
        self.orders[name] = orders[0]
        for order in orders:
            if order is not None:
                self.p.journal.status(order.info.intent, "open")

    def _cancel(self, intent: dict[str, Any]) -> None:
        self.cancel(self.orders[intent["order"]])

    def _target_percent(self, intent: dict[str, Any]) -> None:
        data = self.getdatabyname(intent["instrument"])
        order = self.order_target_percent(data=data, target=intent["percent"], intent=intent["id"])
        self.p.journal.status(intent["id"], "not-needed" if order is None else "open")

    def _send(self, intent: dict[str, Any]) -> Any:
        return self.buy if intent["quantity"] > 0 else self.sell

    def _common(self, intent: dict[str, Any], names: str | None = None) -> dict[str, Any]:
        """Instrument, size and validity; the intent's name goes to the entry alone where there are several orders."""
        common = {"data": self.getdatabyname(intent["instrument"]), "size": abs(intent["quantity"])}
        if intent.get("tif") == "day":
            common["valid"] = dt.timedelta()
        elif intent.get("tif") == "gtd":
            common["valid"] = self.p.case.local_times[intent["expires"]].to_pydatetime()
        return common | ({"intent": intent["id"]} if names is None else {names: {"intent": intent["id"]}})


def _terms(intent: dict[str, Any]) -> dict[str, Any]:
    """The execution type and its prices."""
    limit, stop = intent.get("limit"), intent.get("stop")
    if intent["action"] == "order" and (trailing := _trailing(intent)):
        return {"exectype": bt.Order.StopTrail, **trailing}
    if stop is not None and limit is not None:
        return {"exectype": bt.Order.StopLimit, "price": stop, "plimit": limit}
    if stop is not None:
        return {"exectype": bt.Order.Stop, "price": stop}
    if limit is not None:
        return {"exectype": bt.Order.Limit, "price": limit}
    return {"exectype": bt.Order.Market}


def _trailing(intent: dict[str, Any]) -> dict[str, Any]:
    names = {"trail_amount": "trailamount", "trail_percent": "trailpercent"}
    return {theirs: intent[ours] for ours, theirs in names.items() if ours in intent}


def _feed(case: Case, name: str) -> bt.feeds.PandasData:
    table = case.table(name)
    table.index = case.local_times[table.index]
    minutes = {} if case.daily else {"timeframe": bt.TimeFrame.Minutes, "sessionend": dt.time(16, 0)}
    return bt.feeds.PandasData(dataname=table, openinterest=None, **minutes)


if __name__ == "__main__":
    serve(["backtrader", "numpy", "pandas"], run)
