"""LEAN's published regression results, on its own data: equity at the end, orders, fees and fills."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from published import NEW_YORK, affordable, fills_of, final, golden, in_new_york, lean_bars
from qengine_broker_sim import SimulatedBroker
from qengine_calendars import Exchange
from qengine_costs import PerShare
from qengine_feeds import FrameFeed
from qengine_orders import Stop
from qengine_portfolio import StandardLedger
from qengine_strategy import Strategy

from qengine_core import Engine

CENT = 0.005  # what a figure of two decimals may be off


def fee(quantity):
    return max(1.0, 0.005 * quantity)


def run(frame, strategy, *more, instrument="SPY", **rules):
    return Engine(
        feed=[FrameFeed(frame=frame, instrument=instrument, lot_size=1.0), *more],
        strategy=strategy,
        ledger=StandardLedger(cash=100_000.0),
        broker=SimulatedBroker(short_selling=True, limit_touch="penetrate", close_cutoff=15.5, **rules),
        commission=PerShare(rate=0.005, minimum=1.0, maximum_fraction=0.005),
        calendar=Exchange(name="NYSE"),
    ).run()


def holds(result, expected, fees):
    assert final(result) == pytest.approx(expected["end_equity"], abs=CENT)
    assert result.counts["orders"] == expected["orders"]
    assert result.fills["commission"].sum() == pytest.approx(fees)


class AllIn(Strategy):
    """Put all of the account into the instrument at the first bar."""

    def on_bar(self, ctx, bar):
        if not ctx.portfolio.positions and not ctx.open_orders():
            money = 0.9975 * ctx.portfolio.equity  # a quarter of a percent stays in cash
            ctx.buy(bar.instrument, affordable(money, bar.close, fee))


def test_an_order_after_the_close_of_a_day_fills_at_the_next_open():
    expected = golden("lean-daily-market-on-open")
    result = run(lean_bars("daily", "spy", start="2013-10-08", end="2013-10-17"), AllIn())
    holds(result, expected, expected["fees"])
    [fill] = expected["fills"]
    assert fills_of(result) == [("2013-10-09 16:00:00", fill["qty"], pytest.approx(fill["price_adjusted"], abs=1e-9))]


class AtTheOpen(Strategy):
    """At midnight, an order at the open and one at market."""

    def on_start(self, ctx):
        ctx.set_timer("midnight", at=in_new_york("2021-03-02"))

    def on_timer(self, ctx, name):
        ctx.buy("SPY", 1, time_in_force="at-open")
        ctx.buy("SPY", 1)


class AtTheClose(Strategy):
    """At noon, an order at the close."""

    def on_start(self, ctx):
        ctx.set_timer("noon", at=in_new_york("2021-03-02T12:00"))

    def on_timer(self, ctx, name):
        ctx.buy("SPY", 1, time_in_force="at-close")


@pytest.mark.parametrize(
    ("name", "strategy", "when"), [("run_A", AtTheOpen, "2021-03-02 10:00"), ("run_B", AtTheClose, "2021-03-02 16:00")]
)
def test_orders_at_the_open_and_at_the_close(name, strategy, when):
    expected = golden("lean-market-on-open-and-close")[name]
    result = run(lean_bars("hour", "spy", start="2021-03-01", end="2021-03-03"), strategy())
    holds(result, expected, float(expected["orders"]))
    price = pytest.approx(expected["fill_price_adjusted"], abs=1e-9)
    assert fills_of(result) == [(f"{when}:00", 1, price)] * expected["orders"]


class Hourly(Strategy):
    """Every full hour a limit order at the last price: bought on the first two days, sold on the others."""

    def on_start(self, ctx):
        ctx.set_timer("hour", at=in_new_york("2013-10-07T10:00"), every=dt.timedelta(hours=1))

    def on_timer(self, ctx, name):
        hour, day = (int(text) for text in ctx.time.astimezone(NEW_YORK).strftime("%H %d").split())
        if 10 <= hour <= 16:
            ctx.order("SPY", 10 if day < 9 else -10, limit=ctx.portfolio.price("SPY"))


def test_limit_orders_fill_when_seconds_go_beyond_their_limit():
    expected = golden("lean-limit-second")
    result = run(lean_bars("second", "spy", *(f"201310{day:02}" for day in range(7, 12))), Hourly())
    holds(result, expected, expected["fees"])
    assert result.positions["quantity"][-1] == expected["final_position"]
    for order, row in zip(result.orders.iter_rows(named=True), expected["fills"], strict=True):
        assert order["limit_price"] == pytest.approx(row["limit"], abs=1e-9)
        assert order["submitted_ts"].timestamp() * 1e9 == in_new_york(row["submitted"])
        if row["filled"] is None:
            assert (order["state"], order["reason"]) == ("expired", "end-of-data")
        else:
            assert order["closed_ts"].timestamp() * 1e9 == in_new_york(row["filled"])
            assert order["average_price"] == pytest.approx(row["price"], abs=1e-9)


class StopBelow(Strategy):
    """At noon, a buy stop that the market is beyond already."""

    def on_start(self, ctx):
        ctx.set_timer("noon", at=in_new_york("2021-03-01T12:00"))

    def on_timer(self, ctx, name):
        ctx.buy("SPY", 1, Stop(price=ctx.portfolio.price("SPY") - 2))


def test_a_stop_that_the_market_is_beyond_fills_at_the_next_open():
    expected = golden("lean-stop-market-hour")
    result = run(lean_bars("hour", "spy", start="2021-03-01", end="2021-03-03"), StopBelow())
    holds(result, expected, expected["fees"])
    [fill] = expected["fills"]
    assert fills_of(result) == [("2021-03-01 13:00:00", 1, pytest.approx(fill["price_adjusted"], abs=1e-9))]


class UntilDelisted(AllIn):
    """Sell out when the delisting is announced, on the morning of the last day."""

    has_left = False

    def on_bar(self, ctx, bar):
        if not self.has_left:
            super().on_bar(ctx, bar)

    def on_signal(self, ctx, signal):
        self.has_left = True
        ctx.close(signal.instrument)


def test_a_position_is_sold_at_the_open_of_the_day_on_which_its_delisting_is_announced():
    expected = golden("lean-delisting")
    bars = lean_bars("daily", "aaa", start="2007-05-15", end="2007-05-25", raw=True)
    announced = pl.DataFrame({"ts": [in_new_york("2007-05-18")], "instrument": ["AAA.1"], "delisting": [1.0]})
    result = run(bars, UntilDelisted(), FrameFeed(frame=announced, kind="signal", lot_size=1.0), instrument="AAA.1")
    holds(result, expected, expected["fees"])
    published = [(f"{fill['date']} 16:00:00", fill["qty"], fill["price"]) for fill in expected["fills"]]
    assert fills_of(result) == [(*fill, pytest.approx(price)) for *fill, price in published]
