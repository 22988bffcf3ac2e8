"""Runs scenarios in zipline-reloaded, through a data bundle of its own and run_algorithm."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd
from zipline import run_algorithm
from zipline.api import (
    cancel_order,
    order,
    order_target_percent,
    set_cancel_policy,
    set_commission,
    set_slippage,
    symbol,
)
from zipline.data import bundles
from zipline.finance import cancel_policy, commission, slippage
from zipline.finance.order import ORDER_STATUS
from zipline.utils.calendar_utils import get_calendar

from benchmarks.parity.peers.case import Case, Journal, serve

_CALENDAR = "XNYS"
_STATUS = {
    ORDER_STATUS.OPEN: "open",
    ORDER_STATUS.FILLED: "filled",
    ORDER_STATUS.CANCELLED: "cancelled",
    ORDER_STATUS.REJECTED: "rejected",
    ORDER_STATUS.HELD: "open",
}


def run(case: Case, journal: Journal) -> None:
    """One bundle and one algorithm a case; the bundle lives as long as the run."""
    with tempfile.TemporaryDirectory() as root:
        environ = {"ZIPLINE_ROOT": root}
        name = "parity"
        _register(name, case)
        bundles.ingest(name, environ=environ, show_progress=False)
        replay = Replay(case, journal)
        days = _sessions(case)
        with journal.timed("simulation"):
            performance = run_algorithm(
                start=days[0],
                end=days[-1],
                initialize=replay.initialize,
                handle_data=replay.handle_data,
                capital_base=case.document["cash"],
                data_frequency="daily" if case.daily else "minute",
                bundle=name,
                environ=environ,
                default_extension=False,
                benchmark_returns=pd.Series(0.0, index=days),
            )
        bundles.unregister(name)
    record(case, replay, performance, journal)


class Replay:
    """Sends each bar's intents from ``handle_data``."""

    def __init__(self, case: Case, journal: Journal) -> None:
        self.case, self.journal = case, journal
        times = _sessions(case).tz_localize("UTC") if case.daily else case.times
        self.bar_of = {time: bar for bar, time in enumerate(times)}
        self.assets: dict[str, Any] = {}
        self.ids: dict[str, str] = {}
        self.placed: dict[str, Any] = {}

    def initialize(self, context: Any) -> None:
        document = self.case.document
        set_commission(us_equities=_commission(document["commission"]))
        set_slippage(us_equities=_slippage(document["slippage"], document["participation"]))
        if any(intent.get("tif") == "day" for intent in document["intents"]):
            set_cancel_policy(cancel_policy.EODCancel(warn_on_cancel=False))

    def handle_data(self, context: Any, data: Any) -> None:
        for intent in self.case.intents.get(self.bar(data.current_dt), []):
            if intent["action"] == "cancel":
                cancel_order(self.ids[intent["order"]])
                continue
            asset = self.asset(intent["instrument"])
            if intent["action"] == "target-percent":
                placed = order_target_percent(asset, intent["percent"])
            else:
                prices = {"limit_price": intent.get("limit"), "stop_price": intent.get("stop")}
                placed = order(asset, intent["quantity"], **prices)
            if placed is None:
                self.journal.status(intent["id"], "not-needed")
            else:
                self.ids[intent["id"]] = placed
                self.placed[intent["id"]] = context.blotter.orders[placed]

    def asset(self, name: str) -> Any:
        if name not in self.assets:
            self.assets[name] = symbol(name)
        return self.assets[name]

    def bar(self, time: pd.Timestamp) -> int:
        return self.bar_of[time.normalize() if self.case.daily else time]


def record(case: Case, replay: Replay, performance: pd.DataFrame, journal: Journal) -> None:
    """Transactions as the performance table lists them; its orders carry the commission paid so far."""
    names = {theirs: ours for ours, theirs in replay.ids.items()}
    paid: dict[str, float] = {}
    for day in performance.itertuples():
        charged = {entry["id"]: entry["commission"] for entry in day.orders}
        for fill in day.transactions:
            number = fill["order_id"]
            # A row is a session. In minutes an order is filled at most once a bar, and here at most once a session.
            cost = charged[number] - paid.get(number, 0.0)
            paid[number] = charged[number]
            bar = replay.bar(fill["dt"])
            journal.fill(names[number], fill["sid"].symbol, bar, fill["amount"], fill["price"], cost)
        last = replay.bar(day.Index.normalize()) if case.daily else replay.bar(day.Index)
        journal.state(last, day.ending_cash, day.portfolio_value)
    for name, placed in replay.placed.items():
        state = "partly-filled" if placed.filled and placed.open else _STATUS[placed.status]
        journal.status(name, state, placed.reason or "")


def _commission(terms: dict[str, Any]) -> Any:
    if terms["kind"] == "percent":
        return commission.PerDollar(cost=terms["rate"])
    if terms["kind"] == "per-share":
        return commission.PerShare(cost=terms["rate"], min_trade_cost=terms["minimum"])
    return commission.NoCommission()


def _slippage(terms: dict[str, Any], participation: float | None) -> Any:
    """Without a cap on volume a limit far beyond any volume stands in for none."""
    if terms["kind"] == "fixed":
        return slippage.FixedSlippage(spread=2 * terms["amount"])
    if terms["kind"] == "percent" or participation is not None:
        points = 10_000 * terms.get("rate", 0.0)
        return slippage.FixedBasisPointsSlippage(basis_points=points, volume_limit=participation or 1e6)
    return slippage.NoSlippage()


def _register(name: str, case: Case) -> None:
    """A bundle whose ingest function writes the case's bars; zipline stores prices as thousandths."""
    days = _sessions(case)

    def ingest(
        _environ: Any,
        asset_db_writer: Any,
        minute_bar_writer: Any,
        daily_bar_writer: Any,
        adjustment_writer: Any,
        *_rest: Any,
    ) -> None:
        names = case.document["instruments"]
        frame = pd.DataFrame(
            {
                "symbol": names,
                "asset_name": names,
                "start_date": days[0],
                "end_date": days[-1],
                "auto_close_date": days[-1] + pd.Timedelta(days=30),
                "exchange": "NYSE",
            }
        )
        exchanges = pd.DataFrame([{"exchange": "NYSE", "canonical_name": "NYSE", "country_code": "US"}])
        asset_db_writer.write(equities=frame, exchanges=exchanges)
        if case.daily:
            daily_bar_writer.write(_tables(case, days))
        else:
            minute_bar_writer.write(_tables(case, case.times))
            daily_bar_writer.write(_daily(case, days))
        adjustment_writer.write()

    bundles.register(name, ingest, calendar_name=_CALENDAR, start_session=days[0], end_session=days[-1])


def _tables(case: Case, index: pd.DatetimeIndex) -> Iterator[tuple[int, pd.DataFrame]]:
    """Every instrument over every time; a bar that does not exist has no volume, which zipline takes for no trade."""
    for number, name in enumerate(case.document["instruments"]):
        table = case.table(name).reindex(range(len(index))).fillna(0.0)
        table.index = index
        yield number, table


def _daily(case: Case, days: pd.DatetimeIndex) -> Iterator[tuple[int, pd.DataFrame]]:
    """Sessions of minute bars; zipline wants them beside the minutes."""
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    for number, table in _tables(case, case.times):
        daily = table.groupby(table.index.normalize().tz_localize(None)).agg(how)
        yield number, daily.reindex(days)


def _sessions(case: Case) -> pd.DatetimeIndex:
    """As many sessions as the case has days, from its first day on: zipline trades on an exchange's sessions alone, so
    a long case, whose days are all weekdays, is laid upon them bar by bar.
    """
    days = case.local_times.normalize().unique()
    return pd.DatetimeIndex(get_calendar(_CALENDAR).sessions_window(days[0], len(days)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    serve(["zipline-reloaded", "numpy", "pandas"], run)
