"""Resting limits in the exchange's queue: where they join, what moves them up, and what fills them.

The hand-computed sequences follow the formulas of hftbacktest's queue models, as ``standing.py`` cites them.
"""

from __future__ import annotations

import collections
import json
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numba import njit
from qengine_broker_sim import SimulatedBroker
from qengine_broker_sim.layout import LOG, POWER, RISK_AVERSE
from qengine_broker_sim.standing import ahead_after
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed

from qengine_core.engine import Engine
from qengine_core.plugin import ConfigError

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
MODELS = ("risk-averse", "power", "log")


class AtTimes(Strategy):
    """Does ``script[ts]`` when the clock gets there; before rows of that time, as a timer would."""

    script: dict

    def on_start(self, ctx):
        self.sent = []
        self.seen = 0
        for ts in sorted(self.script):
            ctx.set_timer("act", at=ts)

    def on_timer(self, ctx, name):
        for do in self.script[ctx.now]:
            order = do(self, ctx)
            if order is not None:
                self.sent.append(order)

    def on_fill(self, ctx, fill):
        self.seen += 1


def quote(ts, bid_size, bid=99.0, ask=100.0, ask_size=10.0, **further):
    return {"ts": ts, "bid": bid, "bid_size": bid_size, "ask": ask, "ask_size": ask_size} | further


def trade(ts, size, price=99.0, **further):
    return {"ts": ts, "price": price, "size": size} | further


def run(quotes, trades, script, size=1000, wake="interest", bars=(), **policies):
    feeds = [ListFeed(rows=quotes, kind="quote", block_rows=size), ListFeed(rows=trades, kind="trade", block_rows=size)]
    if bars:
        feeds.append(ListFeed(rows=bars, kind="bar"))
    broker = SimulatedBroker(**{"queue_model": "risk-averse", "buying_power": "off", "short_selling": True} | policies)
    script = {ts: do if isinstance(do, list) else [do] for ts, do in script.items()}
    return Engine(feed=feeds, strategy=AtTimes(script=script), broker=broker, wake=wake).run()


def buy(quantity, limit=99.0, **options):
    return lambda self, ctx: ctx.buy("X", quantity, limit=limit, **options)


def sell(quantity, limit=100.0, **options):
    return lambda self, ctx: ctx.sell("X", quantity, limit=limit, **options)


def amend(which, **changes):
    def do(self, ctx):
        if self.sent and self.sent[which].is_open:
            ctx._broker.amend(self.sent[which], **changes)

    return do


def fills(result):
    ns = result.fills["ts"].cast(pl.Int64)
    return list(zip(ns, result.fills["quantity"], result.fills["price"], strict=True))


def test_a_limit_joins_behind_what_is_displayed_and_fills_when_prints_have_eaten_that():
    trades = [trade(3, 6.0), trade(4, 6.0), trade(5, 5.0)]
    assert fills(run([quote(1, 10.0)], trades, {2: buy(3)})) == [(4, 2.0, 99.0), (5, 1.0, 99.0)]
    sells = [trade(3, 6.0, 100.0), trade(4, 6.0, 100.0), trade(5, 5.0, 100.0)]
    assert fills(run([quote(1, 10.0)], sells, {2: sell(3)})) == [(4, 2.0, 100.0), (5, 1.0, 100.0)]


@pytest.mark.parametrize("model", MODELS)
def test_a_print_is_not_counted_again_when_the_display_shows_it(model):
    quotes = [quote(1, 10.0), quote(4, 6.0)]
    trades = [trade(3, 4.0), trade(5, 6.0), trade(6, 1.0)]
    assert fills(run(quotes, trades, {2: buy(3)}, queue_model=model)) == [(6, 1.0, 99.0)]


def test_risk_averse_takes_cancellations_to_be_behind_as_long_as_that_can_be():
    quotes = [quote(1, 10.0), quote(3, 30.0), quote(4, 12.0)]
    assert fills(run(quotes, [trade(5, 10.0)], {2: buy(3)})) == []
    assert fills(run([*quotes, quote(5, 4.0)], [trade(6, 5.0)], {2: buy(3)})) == [(6, 1.0, 99.0)]


@pytest.mark.parametrize(
    ("model", "exponent", "ahead"),
    [
        ("power", 1.0, 10 - (1 - 0.75) * 8),
        ("power", 2.0, 10 - (1 - 0.9) * 8),
        ("log", 1.0, 10 - (1 - math.log(31) / (math.log(31) + math.log(11))) * 8),
    ],
)
def test_cancellations_are_apportioned_by_the_probability_of_the_model(model, exponent, ahead):
    """Ten ahead and thirty behind, of which eight are cancelled."""
    quotes = [quote(1, 10.0), quote(3, 40.0), quote(4, 32.0)]
    result = run(quotes, [trade(5, 11.0)], {2: buy(20)}, queue_model=model, queue_exponent=exponent)
    assert fills(result) == [(5, pytest.approx(11 - ahead), 99.0)]


def test_a_print_beyond_the_limit_fills_all_of_it_at_the_limit():
    assert fills(run([quote(1, 10.0)], [trade(3, 0.5, 98.5)], {2: buy(3)})) == [(3, 3.0, 99.0)]
    assert fills(run([quote(1, 10.0)], [trade(3, 0.5, 99.5)], {2: buy(3)})) == []


def test_an_opposite_quote_that_reaches_the_limit_fills_all_of_it_at_the_limit():
    crossed = quote(3, 10.0, bid=98.0, ask=98.5)
    assert fills(run([quote(1, 10.0), crossed], [trade(9, 1.0, 97.0)], {2: buy(3)})) == [(3, 3.0, 99.0)]


def test_where_books_are_walked_the_opposite_quote_fills_no_more_than_it_displays():
    crossed = quote(3, 10.0, bid=98.0, ask=98.5, ask_size=2.0)
    result = run([quote(1, 10.0), crossed], [trade(9, 1.0, 99.5)], {2: buy(3)}, depth="walk")
    assert fills(result) == [(3, 2.0, 99.0)]


def test_a_limit_that_crosses_the_market_takes_before_it_stands_in_line():
    quotes = [quote(1, 10.0), quote(3, 10.0, ask_size=2.0), quote(4, 5.0, bid=100.0, ask=101.0)]
    trades = [trade(5, 4.0, 100.0), trade(6, 2.0, 100.0)]
    result = run(quotes, trades, {2: buy(3, 100.0)}, depth="walk")
    assert fills(result) == [(3, 2.0, 100.0), (6, 1.0, 100.0)]


def test_prints_neither_fill_nor_count_against_orders_that_do_not_stand_in_line():
    at_market = run([quote(1, 10.0), quote(4, 10.0)], [trade(3, 99.0, 99.0)], {2: lambda self, ctx: ctx.buy("X", 1)})
    assert fills(at_market) == [(4, 1.0, 100.0)]
    crossing = run([quote(1, 10.0), quote(4, 10.0)], [trade(3, 99.0, 99.0)], {2: buy(1, 100.5)})
    assert fills(crossing) == [(4, 1.0, 100.0)]
    once = run([quote(1, 10.0), quote(4, 10.0)], [trade(3, 99.0, 98.0)], {2: buy(1, time_in_force="ioc")})
    assert fills(once) == []


def test_a_price_that_nobody_displays_is_the_front_of_its_queue():
    result = run([quote(1, 10.0)], [trade(3, 1.0, 99.5)], {2: buy(3, 99.5)})
    assert fills(result) == [(3, 1.0, 99.5)]


def test_a_price_beyond_the_displayed_book_joins_behind_all_that_shows_when_it_comes_into_sight():
    quotes = [quote(1, 10.0), quote(4, 7.0, bid=98.0, ask=98.5)]
    trades = [trade(3, 50.0, 98.0), trade(5, 7.0, 98.0), trade(6, 1.0, 98.0)]
    assert fills(run(quotes, trades, {2: buy(3, 98.0)})) == [(6, 1.0, 98.0)]


def test_further_levels_tell_what_stands_ahead_at_prices_behind_the_best():
    deep = quote(1, 10.0, bid_2=98.0, bid_size_2=5.0, ask_2=101.0, ask_size_2=5.0)
    trades = [trade(3, 5.0, 98.0), trade(4, 2.0, 98.0)]
    assert fills(run([deep], trades, {2: buy(3, 98.0)})) == [(4, 2.0, 98.0)]


def test_orders_of_ours_at_one_price_do_not_fill_from_the_same_print_twice():
    trades = [trade(4, 12.0), trade(5, 4.0)]
    result = run([quote(1, 10.0)], trades, {2: buy(3), 3: buy(4)})
    assert fills(result) == [(4, 2.0, 99.0), (5, 1.0, 99.0), (5, 3.0, 99.0)]


def test_a_print_that_says_who_took_moves_only_the_side_it_was_taken_from():
    trades = [trade(3, 20.0, aggressor=1.0), trade(4, 11.0, aggressor=-1.0)]
    assert fills(run([quote(1, 10.0)], trades, {2: buy(3)})) == [(4, 1.0, 99.0)]


def test_a_new_price_or_more_loses_the_place_and_less_keeps_it():
    quotes, trades = [quote(1, 10.0), quote(4, 10.0)], [trade(3, 8.0), trade(6, 4.0)]

    def amended(*changes):
        return fills(run(quotes, trades, {2: buy(3), 5: [amend(0, **change) for change in changes]}))

    assert amended({"quantity": 2}) == [(6, 2.0, 99.0)]
    assert amended({"limit": 99.0}) == [(6, 2.0, 99.0)]
    assert amended({"quantity": 4}) == []
    assert amended({"limit": 98.0}, {"limit": 99.0}) == []


def test_an_order_joins_behind_the_quote_that_is_the_last_when_it_arrives():
    """Sent at 2, it arrives at 5: after the bid has grown to 30, whose block has ended by then or not."""
    quotes, trades = [quote(1, 10.0), quote(4, 30.0), quote(7, 30.0)], [trade(3, 10.0), trade(6, 20.0), trade(8, 12.0)]
    for size in (1, 2, 1000):
        result = run(quotes, trades, {2: buy(3)}, size=size, entry_latency=3e-6)
        assert fills(result) == [(8, 2.0, 99.0)], size


def test_a_limit_in_line_of_a_group_cancels_the_others_when_a_print_fills_it():
    from qengine_orders import Limit, OneCancelsOther

    def pair(self, ctx):
        group = OneCancelsOther(orders=(Limit(price=99.0), Limit(price=98.0)))
        ctx.buy("X", 3, type=group)

    result = run([quote(1, 10.0)], [trade(3, 13.0), trade(4, 1.0, 90.0)], {2: pair})
    assert fills(result) == [(3, 3.0, 99.0)]
    assert sorted(result.orders["state"]) == ["cancelled", "filled"]


def test_a_queue_model_without_quotes_and_trades_of_an_instrument_is_refused():
    feed = ListFeed(rows=[quote(1, 10.0)], kind="quote")
    broker = SimulatedBroker(queue_model="log")
    with pytest.raises(ConfigError, match="needs quotes and trades of X, which has no trades: add their feed"):
        Engine(feed=feed, strategy=AtTimes(script={}), broker=broker).run()
    bars = ListFeed(rows=[{"ts": 1, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}], kind="bar")
    with pytest.raises(ConfigError, match="this run has neither: add their feeds"):
        Engine(feed=bars, strategy=AtTimes(script={}), broker=broker).run()
    bare = [
        ListFeed(rows=[{"ts": 1, "bid": 1.0, "ask": 2.0}], kind="quote"),
        ListFeed(rows=[trade(1, 1.0)], kind="trade"),
    ]
    with pytest.raises(ConfigError, match="needs the sizes of quotes"):
        Engine(feed=bare, strategy=AtTimes(script={}), broker=broker).run()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs the market data in ../shared")
@pytest.mark.parametrize("model", MODELS)
def test_orders_in_line_fill_when_hftbacktest_fills_them(model):
    """86 orders in a minute of Bitcoin futures, at the best price and behind it, to the nanosecond.

    One differs: a seller's print far beyond a limit of ours to sell fills it here, as there was a buyer who paid
    that much; hftbacktest waits for the buyer's print, 700 ns later.
    """
    from qengine_feeds import FrameFeed
    from qengine_feeds.depth import read_binance

    golden = json.loads((Path(__file__).parent / "hftbacktest_fills.json").read_text())
    recording = read_binance(SHARED / "data" / golden["data"])
    start = golden["start_ts"]
    frames = {"quote": recording.quotes(100), "trade": recording.trades.filter(pl.col("ts") > start)}
    script = collections.defaultdict(list)
    for after, side, price in golden["orders"]:
        script[start + after].append((sell if side < 0 else buy)(golden["quantity"], price))
    result = Engine(
        feed=[FrameFeed(frame=frame, kind=kind, instrument="X") for kind, frame in frames.items()],
        strategy=AtTimes(script=script),
        broker=SimulatedBroker(queue_model=model, buying_power="off", short_selling=True),
    ).run()
    closed = result.orders["closed_ts"].cast(pl.Int64) - start
    states = result.orders["state"].to_list()
    ours = [ts if state == "filled" else None for ts, state in zip(closed, states, strict=True)]
    pairs = enumerate(zip(ours, golden["fills"][model], strict=True))
    assert {number: (here, there) for number, (here, there) in pairs if here != there} == {
        39: (golden["fills"][model][39] - 700, golden["fills"][model][39])
    }


# Whatever the market --------------------------------------------------------------------------------------

AMOUNTS = st.floats(0.0, 100.0).map(lambda x: round(x, 3))


@njit
def place_after(model, exponent, ahead, before, after, traded):
    return ahead_after(model, exponent, ahead, before, after, traded)  # which compiled code alone may call


@settings(phases=PHASES, max_examples=300, deadline=None)
@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.sampled_from([0.1, 1.0, 3.0]))
def test_a_place_in_the_queue_never_gets_worse(ahead, behind, after, traded, exponent):
    """And risk-averse is never ahead of the others."""
    before = ahead + behind + traded  # what was printed has moved the order up already
    places = [place_after(model, exponent, ahead, before, after, traded) for model in (RISK_AVERSE, POWER, LOG)]
    assert all(0.0 <= place <= min(ahead, after) for place in places)
    assert places[0] >= max(places[1:])


@st.composite
def ticks(draw):
    """Quotes and prints near 20, often at one time."""
    quotes, trades, ts = [], [], 1
    size = st.sampled_from([0.0, 1.0, 2.0, 5.0, 20.0])
    bid = st.sampled_from([19.5, 20.0, 20.0, 20.5])
    for _ in range(draw(st.integers(4, 14))):
        ts += draw(st.sampled_from([0, 1, 1, 2]))
        if draw(st.booleans()):
            best, depth = draw(bid), {}
            if draw(st.booleans()):
                depth = {"bid_2": best - 0.5, "bid_size_2": draw(size), "ask_2": best + 1.0, "ask_size_2": draw(size)}
            quotes.append(quote(ts, draw(size), bid=best, ask=best + 0.5, ask_size=draw(size), **depth))
        else:
            trades.append(trade(ts, draw(size), draw(bid)))
    return [quote(1, draw(size), bid=20.0, ask=20.5), *quotes], trades or [trade(1, 1.0)]


@st.composite
def scripts(draw):
    script = collections.defaultdict(list)
    for _ in range(draw(st.integers(1, 6))):
        quantity, limit = draw(st.sampled_from([1.0, 3.0, 30.0])), draw(st.sampled_from([19.5, 20.0, 20.5]))
        options = {"time_in_force": draw(st.sampled_from(["gtc", "gtc", "gtc", "ioc"]))}
        action = draw(st.sampled_from(["buy", "buy", "sell", "cancel", "amend", "market"]))
        ts = draw(st.integers(1, 12))
        if action == "buy":
            script[ts].append(buy(quantity, limit, **options))
        elif action == "sell":
            script[ts].append(sell(quantity, limit, **options))
        elif action == "market":
            script[ts].append(lambda self, ctx, q=quantity: ctx.sell("X", q))
        elif action == "cancel":
            script[ts].append(lambda self, ctx: ctx.cancel(self.sent[0]) if self.sent else None)
        else:
            script[ts].append(amend(-1, limit=limit))
    return dict(script)


@settings(phases=PHASES, max_examples=150, deadline=None)
@given(ticks(), scripts(), st.sampled_from(MODELS), st.sampled_from(["top", "walk"]), st.sampled_from([0.0, 2e-6]))
def test_queues_are_the_same_however_the_loop_runs_and_blocks_are_cut(market, script, model, depth, latency):
    rules = {"queue_model": model, "depth": depth, "entry_latency": latency}
    usual = run(*market, script, **rules)
    for other in (run(*market, script, wake="every-row", **rules), run(*market, script, size=1, **rules)):
        assert usual.fills.equals(other.fills)
        assert usual.orders.equals(other.orders)


@settings(phases=PHASES, max_examples=100, deadline=None)
@given(ticks(), scripts(), st.sampled_from(MODELS))
def test_orders_in_line_take_no_more_than_was_printed_at_their_price(market, script, model):
    result = run(*market, script, queue_model=model)
    printed, quoted = collections.Counter(), set()
    for row in market[1]:
        printed[row["ts"], row["price"]] += row["size"]
    for row in market[0]:
        quoted.add(row["ts"])
    through = {(ts, limit) for ts, price in printed for limit in (19.5, 20.0, 20.5) if limit != price}
    taken = collections.Counter()
    for ts, quantity, price in fills(result):
        if ts not in quoted and (ts, price) not in through:
            taken[ts, price] += quantity
    for key, quantity in taken.items():
        assert quantity <= printed[key] + 1e-9


@settings(phases=PHASES, max_examples=100, deadline=None)
@given(ticks(), st.sampled_from([19.5, 20.0, 20.5]), st.booleans(), st.sampled_from([0.5, 1.0, 3.0]))
def test_risk_averse_fills_no_earlier_than_the_other_models(market, limit, buys, exponent):
    script = {2: buy(5.0, limit) if buys else sell(5.0, limit)}
    averse = fills(run(*market, script))
    for model in ("power", "log"):
        other = fills(run(*market, script, queue_model=model, queue_exponent=exponent))
        for ts in range(1, 40):
            assert sum(f[1] for f in averse if f[0] <= ts) <= sum(f[1] for f in other if f[0] <= ts) + 1e-9
