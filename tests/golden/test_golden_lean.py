"""LEAN's published regression results, on its own data: equity at the end, orders, fees and fills."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from published import NEW_YORK, fills_of, final, golden, in_new_york, lean_bars, lean_dividends, lean_quotes
from qengine_calendars import Exchange
from qengine_costs import Delistings, Dividends, Splits
from qengine_feeds import FrameFeed
from qengine_orders import Limit, LimitIfTouched, Stop, StopLimit, TrailingStop
from qengine_reporting.metrics import metrics_of
from qengine_strategy import Strategy
from talipp.indicators import EMA

from qengine_core import Engine

CENT = 0.005  # what a figure of two decimals may be off


def run(frame, strategy, *others, instrument="SPY", **more):
    """Under the profile; what other feeds say of an instant comes before its bars."""
    return Engine(
        profile="lean",
        feed=[*others, FrameFeed(frame=frame, instrument=instrument, lot_size=1.0)],
        strategy=strategy,
        ledger={"cash": 100_000.0},
        calendar=Exchange(name="NYSE"),
        **more,
    ).run()


def holds(result, expected, fees):
    assert final(result) == pytest.approx(expected["end_equity"], abs=CENT)
    assert result.counts["orders"] == expected["orders"]
    assert result.fills["commission"].sum() == pytest.approx(fees)
    figures, published = metrics_of(result), expected["lean_statistics"]
    ours = {
        "Total Orders": str(result.counts["orders"]),
        "Net Profit": f"{100 * figures['total_return']:.3f}%",
        "Drawdown": f"{100 * round(-figures['max_drawdown'], 3):.3f}%",
        "Win Rate": f"{100 * (figures['win_rate'] or 0.0):.0f}%",
    }
    assert ours == {name: published[name] for name in ours}


class AllIn(Strategy):
    """Put all of the account, or this fraction, into the instrument after the first bar."""

    fraction: float = 1.0

    def on_start(self, ctx):
        self.is_done = False

    def on_bar(self, ctx, bar):
        if not self.is_done:
            self.is_done = True
            ctx.order_target_percent(bar.instrument, self.fraction)


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

    def on_signal(self, ctx, signal):
        ctx.close(signal.instrument)


def test_a_position_is_sold_at_the_open_of_the_day_on_which_its_delisting_is_announced():
    expected = golden("lean-delisting")
    bars = lean_bars("daily", "aaa", start="2007-05-15", end="2007-05-25", raw=True)
    announced = pl.DataFrame({"ts": [in_new_york("2007-05-18")], "instrument": ["AAA.1"], "delisting": [1.0]})
    result = run(bars, UntilDelisted(), FrameFeed(frame=announced, kind="signal", lot_size=1.0), instrument="AAA.1")
    holds(result, expected, expected["fees"])
    published = [(f"{fill['date']} 16:00:00", fill["qty"], fill["price"]) for fill in expected["fills"]]
    assert fills_of(result) == [(*fill, pytest.approx(price)) for *fill, price in published]


class AfterTheEnd(Strategy):
    """Holds AAA.1 until it is gone, and wants more of it a day later."""

    def on_bar(self, ctx, bar):
        if bar.instrument == "AAA.1" and not ctx.portfolio.positions:
            ctx.buy("AAA.1", 10)
        elif ctx.now > in_new_york("2007-05-21"):
            ctx.buy("AAA.1", 1)


def test_what_is_delisted_is_traded_no_more_and_its_position_closed_the_same_session(tmp_path):
    (tmp_path / "gone.csv").write_text("instrument,date\nAAA.1,2007-05-18\n")
    bars = lean_bars("daily", "aaa", start="2007-05-15", end="2007-05-18", raw=True)
    spy = FrameFeed(frame=lean_bars("daily", "spy", start="2007-05-15", end="2007-05-25"), instrument="SPY")
    gone = Delistings(path=tmp_path / "gone.csv")
    result = run(bars, AfterTheEnd(), spy, instrument="AAA.1", financing=gone)
    last = fills_of(result)[-1]
    assert last == ("2007-05-18 16:00:00", -10, pytest.approx(bars["close"][-1]))
    later = result.orders.filter(pl.col("submitted_ts").dt.date() > dt.date(2007, 5, 18))
    assert set(later["reason"]) == {"delisted"}


class OneShare(Strategy):
    """Buys a share at the first bar."""

    def on_bar(self, ctx, bar):
        if not ctx.portfolio.positions:
            ctx.buy("AAPL", 1)


FACTOR = 0.1428572  # of the factor file, which rounds a seventh up


@pytest.mark.parametrize(("ratio", "equity"), [(1 / FACTOR, "end_equity"), (7.0, "alternative_with_exact_ratio_7")])
def test_a_split_leaves_whole_shares_and_pays_for_the_rest(tmp_path, ratio, equity):
    expected = golden("lean-split-cash-in-lieu")
    (tmp_path / "splits.csv").write_text(f"instrument,ex_date,ratio\nAAPL,2014-06-09,{ratio!r}\n")
    days = ("20140605", "20140606", "20140609")
    quotes = FrameFeed(frame=lean_quotes("aapl", *days, raw=True), instrument="AAPL", kind="quote", lot_size=1.0)
    bars, splits = lean_bars("minute", "aapl", *days, raw=True), Splits(path=tmp_path / "splits.csv")
    result = run(bars, OneShare(), quotes, instrument="AAPL", financing=splits)
    assert final(result) == pytest.approx(expected[equity], abs=CENT)
    assert result.counts["orders"] == expected["orders"]
    assert result.fills["commission"].sum() == expected["fees"]
    if ratio != 7:
        assert result.positions["quantity"][-1] == expected["shares_after"]
        assert result.cashflows["amount"].to_list() == [pytest.approx(expected["cash_in_lieu"])]


class RestingOrders(Strategy):
    """Five orders that nothing fills, sent at the first bar; what became of them after the split."""

    def on_start(self, ctx):
        self.sent = []

    def on_bar(self, ctx, bar):
        if not self.sent:
            types = [
                LimitIfTouched(price=10.0, limit=10.0),
                Limit(price=5.0),
                StopLimit(price=15.0, limit=15.0),
                TrailingStop(amount=60.0),
                TrailingStop(fraction=0.1),
            ]
            self.sent = [ctx.buy("AAPL", 10, types[0]), ctx.buy("AAPL", 10, types[1])]
            self.sent += [ctx.sell("AAPL", 10, type) for type in types[2:]]


def test_open_orders_are_split(tmp_path):
    """LEAN rounds prices to the nearest cent, and those below a dollar to four decimals; here they lie on no grid."""
    expected = golden("lean-open-orders-on-split")
    (tmp_path / "splits.csv").write_text(f"instrument,ex_date,ratio\nAAPL,2014-06-09,{1 / FACTOR!r}\n")
    bars = lean_bars("hour", "aapl", start="2014-06-05", end="2014-06-10", raw=True)
    broker = {"short_selling": True, "buying_power": "off"}
    splits = Splits(path=tmp_path / "splits.csv")
    result = run(bars, RestingOrders(), instrument="AAPL", financing=splits, broker=broker)
    assert result.orders["quantity"].to_list() == [expected["quantity_after_split"]] * 5
    prices = result.orders.select("trigger_price", "limit_price").rows()
    published = [(each["trigger"], each["limit"]) for each in [expected["limit_if_touched"]]]
    assert prices[0] == tuple(pytest.approx(price, abs=CENT) for price in published[0])
    assert prices[1][1] == pytest.approx(expected["limit"]["limit"], abs=5e-5)
    assert prices[2] == (pytest.approx(expected["stop_limit"]["stop"], abs=CENT),) * 2


def test_a_market_order_fills_at_once_at_the_ask():
    expected = golden("lean-market-order-minute")
    days = [f"201310{day:02}" for day in range(7, 12)]
    quotes = FrameFeed(frame=lean_quotes("spy", *days), instrument="SPY", kind="quote", lot_size=1.0)
    result = run(lean_bars("minute", "spy", *days), AllIn(), quotes)
    holds(result, expected, expected["fees"])
    [fill] = expected["fills"]
    assert fills_of(result) == [(f"{fill['time']}:00", fill["qty"], pytest.approx(fill["price_adjusted"], abs=1e-9))]


class TrendWithStopLimits(Strategy):
    """When the trend turns up, buy beyond a stop far above; when it turns down after that, sell below one."""

    def on_start(self, ctx):
        self.fast, self.slow = EMA(30), EMA(60)
        self.entry = self.exit = None

    def on_bar(self, ctx, bar):
        self.fast.add(bar.close)
        self.slow.add(bar.close)
        if self.slow[-1] is None:
            return
        border = self.slow[-1] * 1.001
        if self.entry is None and self.fast[-1] > border:
            self.entry = ctx.buy("SPY", 100, StopLimit(price=bar.high * 1.10, limit=bar.high * 1.11))
        elif self.exit is None and ctx.portfolio.positions and self.fast[-1] < border:
            self.exit = ctx.sell("SPY", 100, StopLimit(price=bar.low * 0.99, limit=bar.low * 0.98))


def test_stop_limits_are_judged_by_the_close_and_fill_at_the_worst_price():
    expected = golden("lean-stop-limit-daily")
    result = run(lean_bars("daily", "spy", start="2013-01-01", end="2017-01-01"), TrendWithStopLimits())
    holds(result, expected, expected["fees"])
    for order, row in zip(result.orders.iter_rows(named=True), expected["orders_detail"], strict=True):
        assert (order["side"], order["quantity"]) == (row["side"], row["qty"])
        assert order["submitted_ts"].timestamp() * 1e9 == in_new_york(f"{row['placed']}T16:00")
        assert order["closed_ts"].timestamp() * 1e9 == in_new_york(f"{row['filled']}T16:00")
        assert order["trigger_price"] == pytest.approx(row["stop"], abs=1e-9)
        assert order["limit_price"] == pytest.approx(row["limit"], abs=1e-9)
        assert order["average_price"] == pytest.approx(row["price"], abs=1e-9)


def test_dividends_of_eight_years_are_credited_on_their_ex_dates(tmp_path):
    expected = golden("lean-dividends-raw")
    bars = lean_bars("daily", "spy", start="1998-01-01", end="2005-12-31", raw=True)
    dividends = lean_dividends("spy", "SPY", bars["ts"].dt.date().to_list())
    dividends.write_csv(tmp_path / "dividends.csv")
    result = run(bars, AllIn(fraction=0.5), financing=Dividends(path=tmp_path / "dividends.csv"))
    holds(result, expected, expected["fees"])
    assert result.positions["quantity"].to_list() == [expected["shares"]]
    assert [
        (str(ts.date()), amount / expected["shares"]) for ts, amount in result.cashflows["ts", "amount"].rows()
    ] == [(row["ex_date"], pytest.approx(row["amount"])) for row in expected["dividends"]]
    assert result.cashflows["amount"].sum() == pytest.approx(expected["total_dividends"])
