"""Orders that fill at once at the last known price, and stop-limits that are judged by the close."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_orders import Bracket, OneTriggersOther, Stop, StopLimit, TrailingStopLimit
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed

from qengine_core.engine import Engine
from qengine_core.plugin import Instrument

HOUR = 3_600_000_000_000
DAY = 24 * HOUR


class Script(Strategy):
    """Does ``script[n]`` at its n-th bar, and ``timed`` at a time."""

    script: dict
    timed: dict = {}

    def on_start(self, ctx):
        self.bars = 0
        for ts in self.timed:
            ctx.set_timer(str(ts), at=ts)

    def on_bar(self, ctx, bar):
        self.bars += 1
        if self.bars in self.script:
            self.script[self.bars](ctx)

    def on_timer(self, ctx, name):
        self.timed[int(name)](ctx)


def bar(ts, opening, high=None, low=None, close=None, volume=1000.0, instrument="X"):
    close = opening if close is None else close
    high = max(opening, close) if high is None else high
    low = min(opening, close) if low is None else low
    prices = {"open": opening, "high": high, "low": low, "close": close}
    return {"ts": ts, "instrument": instrument, **prices, "volume": volume}


def quote(ts, bid, ask, instrument="X"):
    return {"ts": ts, "instrument": instrument, "bid": bid, "ask": ask, "bid_size": 100.0, "ask_size": 100.0}


def run(rows, script, quotes=(), names=("X",), calendar=None, timed=(), wake="interest", **rules):
    instruments = tuple(Instrument(name=name) for name in names)
    feeds = [ListFeed(rows=list(quotes), kind="quote", instruments=instruments)] if quotes else []
    return Engine(
        feed=[*feeds, ListFeed(rows=rows, instruments=instruments)],
        strategy=Script(script=script, timed=dict(timed)),
        broker=SimulatedBroker(**rules),
        calendar=calendar,
        wake=wake,
    ).run()


def fills(result):
    return [(int(ts), price) for ts, price in zip(result.fills["ts"].cast(int), result.fills["price"], strict=True)]


def buy(quantity, type=None, name="X", **options):
    return lambda ctx: ctx.buy(name, quantity, type, **options)


def sell(quantity, type=None, name="X", **options):
    return lambda ctx: ctx.sell(name, quantity, type, **options)


def at_once(*args, **options):
    return run(*args, fill_timing="at-once", **options)


def test_under_at_once_a_market_order_fills_as_it_arrives_at_the_last_price():
    rows = [bar(HOUR, 10.0, close=11.0), bar(2 * HOUR, 12.0)]
    assert fills(at_once(rows, {1: buy(1)})) == [(HOUR, 11.0)]
    middle = HOUR + HOUR // 2
    assert fills(at_once(rows, {}, timed={middle: buy(1)})) == [(middle, 11.0)]


def test_under_at_once_the_other_side_of_the_last_quote_is_the_price():
    rows = [bar(HOUR, 10.0), bar(2 * HOUR, 10.0)]
    quotes = [quote(HOUR, 9.0, 12.0), quote(2 * HOUR, 9.5, 11.5)]
    result = at_once(rows, {1: buy(2), 2: sell(1)}, quotes)
    assert fills(result) == [(HOUR, 12.0), (2 * HOUR, 9.5)]
    assert result.equity["cash"].to_list() == [100_000 - 24.0, 100_000 - 14.5]


def test_under_at_once_an_order_at_a_closed_market_waits_for_the_opening():
    """In New York the session of 2 January 2024 is over at 16:00, and the next one opens at 9:30."""
    closes = 1_704_229_200_000_000_000  # 2024-01-02T21:00Z
    rows = [bar(closes - HOUR, 10.0, close=11.0), bar(closes, 12.0, close=13.0), bar(closes + 18 * HOUR, 14.0)]
    calendar = {"use": "exchange", "name": "NYSE"}
    assert fills(at_once(rows, {1: buy(1), 2: buy(1)}, calendar=calendar)) == [
        (closes - HOUR, 11.0),
        (closes + 18 * HOUR, 14.0),
    ]


def test_under_at_once_limits_and_stops_wait_for_the_next_row():
    rows = [bar(HOUR, 10.0), bar(2 * HOUR, 8.0, close=9.0), bar(3 * HOUR, 12.0)]
    assert fills(at_once(rows, {1: buy(1, limit=10.5)})) == [(2 * HOUR, 8.0)]
    assert fills(at_once(rows, {1: buy(1, Stop(price=10.0))})) == [(3 * HOUR, 12.0)]
    assert fills(at_once(rows, {2: buy(1, time_in_force="at-open")})) == []  # of the next day


def test_under_at_once_an_instrument_is_filled_on_its_own_last_row():
    rows = [bar(HOUR, 10.0), bar(HOUR, 50.0, instrument="Y"), bar(2 * HOUR, 11.0), bar(3 * HOUR, 12.0)]
    assert fills(at_once(rows, {4: buy(1, name="Y")}, names=("X", "Y"))) == [(3 * HOUR, 50.0)]
    unseen = [bar(HOUR, 10.0), bar(2 * HOUR, 50.0, close=51.0, instrument="Y")]
    assert fills(at_once(unseen, {1: buy(1, name="Y")}, names=("X", "Y"))) == [(2 * HOUR, 50.0)]


def test_under_at_once_the_volume_cap_is_shared_and_what_is_left_waits():
    rows = [bar(HOUR, 10.0, volume=10.0), bar(2 * HOUR, 12.0, volume=100.0)]

    def twice(ctx):
        ctx.buy("X", 3)
        ctx.buy("X", 4)

    result = at_once(rows, {1: twice}, participation_limit=0.5)
    assert fills(result) == [(HOUR, 10.0), (HOUR, 10.0), (2 * HOUR, 12.0)]
    assert result.fills["quantity"].to_list() == [3.0, 2.0, 2.0]
    assert fills(at_once([bar(HOUR, 10.0, volume=0.0), bar(2 * HOUR, 12.0)], {1: buy(1)})) == [(2 * HOUR, 12.0)]


@pytest.mark.parametrize("timing", ["same-close", "at-once"])
def test_exits_of_an_entry_that_fills_at_once_act_from_the_next_row(timing):
    rows = [bar(HOUR, 10.0, 20.0, 5.0, close=10.0), bar(2 * HOUR, 10.0, 13.0, 9.5)]
    result = run(rows, {1: buy(2, Bracket(take_profit=12.0, stop_loss=8.0))}, fill_timing=timing)
    assert fills(result) == [(HOUR, 10.0), (2 * HOUR, 12.0)]
    assert result.orders["reason"].to_list() == ["", "", "one-cancels-other"]


@pytest.mark.parametrize("size", [1, 100])
def test_what_fills_at_a_timer_counts_from_the_next_row_on(size):
    """Wherever blocks end: the bar of the timer's very time was marked before it."""
    rows = [bar(n * HOUR, 10.0, close=10.0 + n) for n in range(1, 4)]
    result = Engine(
        feed=ListFeed(rows=rows, instruments=(Instrument(name="X"),), block_rows=size),
        strategy=Script(script={}, timed={HOUR: buy(1)}),
        broker=SimulatedBroker(fill_timing="at-once"),
    ).run()
    assert fills(result) == [(HOUR, 11.0)]
    assert result.equity["cash"].to_list() == [100_000.0, 99_989.0, 99_989.0]


# Stop-limits by the close ----------------------------------------------------------------------------------


def by_close(*args, **options):
    return run(*args, stop_limit="by-close", short_selling=True, **options)


def test_a_stop_limit_by_close_needs_prices_beyond_its_stop_and_a_close_within_its_limit():
    entry = buy(1, StopLimit(price=11.0, limit=12.0))
    touched = [bar(1, 10.0), bar(2, 10.0, 11.0)]
    assert fills(by_close(touched, {1: entry})) == []
    beyond = [bar(1, 10.0), bar(2, 10.0, 14.0, close=10.5)]
    assert fills(by_close(beyond, {1: entry})) == [(2, 12.0)]
    at_the_limit = [bar(1, 10.0), bar(2, 10.0, 14.0, close=12.0), bar(3, 13.0, 13.0, 11.5, close=11.8)]
    assert fills(by_close(at_the_limit, {1: entry})) == [(3, 12.0)]


def test_a_stop_limit_by_close_fills_at_the_worst_price_within_its_limit():
    rows = [bar(1, 10.0), bar(2, 10.0, 11.5, 8.5, close=10.0)]
    assert fills(by_close(rows, {1: buy(1, StopLimit(price=11.0, limit=12.0))})) == [(2, 11.5)]
    assert fills(by_close(rows, {1: sell(1, StopLimit(price=9.0, limit=8.0))})) == [(2, 8.5)]
    assert fills(by_close(rows, {1: sell(1, TrailingStopLimit(amount=1.0, limit_offset=0.25))})) == [(2, 8.75)]


def test_a_stop_limit_by_close_that_another_order_sends_waits_for_the_next_row():
    rows = [bar(1, 10.0), bar(2, 10.0, 12.0, 8.0, close=10.0), bar(3, 10.0, 10.5, 8.6, close=10.0)]
    pair = OneTriggersOther(first=Stop(price=10.5), then=StopLimit(price=9.0, limit=8.5))
    assert fills(by_close(rows, {1: buy(1, pair)})) == [(2, 10.5), (3, 8.6)]


PRICE = st.integers(16, 24).map(lambda n: n / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PRICE, PRICE, PRICE, PRICE), min_size=2, max_size=8), st.sampled_from([1, -1]), PRICE, PRICE)
def test_stop_limits_by_close_are_what_walking_the_bars_gives(candles, side, stop, limit):
    rows = [bar(n, a, max(a, b, c), min(a, b, d), close=b) for n, (a, b, c, d) in enumerate(candles, 1)]
    order = (buy if side > 0 else sell)(1, StopLimit(price=stop, limit=limit))
    expected, is_set_off = [], False
    for row in rows[1:]:
        worst = row["high"] if side > 0 else row["low"]
        is_set_off = is_set_off or side * (worst - stop) > 0
        if is_set_off and side * (limit - row["close"]) > 0:
            expected = [(row["ts"], min(worst, limit) if side > 0 else max(worst, limit))]
            break
    for wake in ("interest", "every-row"):
        assert fills(by_close(rows, {1: order}, wake=wake)) == expected
