"""Books of several levels: what an order takes of each, what is gone afterwards, and touches by chance."""

from __future__ import annotations

import collections
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_costs import PerShare
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, drive

from qengine_core.engine import Engine
from qengine_core.plugin import Instrument

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


class OnQuotes(Strategy):
    """Does ``script[n]`` at its n-th quote."""

    script: dict

    def on_start(self, ctx):
        self.quotes = 0

    def on_quote(self, ctx, quote):
        self.quotes += 1
        for do in self.script.get(self.quotes, ()):
            do(ctx)


def book(ts, bids, asks, instrument="X"):
    """A row of quotes from (price, size) pairs, the best first."""
    row = {"ts": ts, "instrument": instrument}
    for side, levels in (("bid", bids), ("ask", asks)):
        for level, (price, size) in enumerate(levels, 1):
            suffix = "" if level == 1 else f"_{level}"
            row |= {f"{side}{suffix}": price, f"{side}_size{suffix}": size}
    return row


def run(rows, script, instruments=(), **policies):
    engine = {key: policies.pop(key) for key in list(policies) if key in ("commission", "wake", "cash", "seed")}
    broker = SimulatedBroker(**{"depth": "walk", "short_selling": True} | policies)
    return drive(OnQuotes(script=script), rows, kind="quote", broker=broker, instruments=instruments, **engine)


def buy(quantity, **options):
    return [lambda ctx: ctx.buy("X", quantity, **options)]


def sell(quantity, **options):
    return [lambda ctx: ctx.sell("X", quantity, **options)]


def fills(result):
    return list(zip(result.fills["quantity"], result.fills["price"], strict=True))


BIDS = [(99.0, 4.0), (98.0, 5.0), (97.0, 6.0)]
ASKS = [(100.0, 4.0), (101.0, 5.0), (102.0, 6.0)]
DEEP = [book(ts, BIDS, ASKS) for ts in (1, 2, 3, 4)]


def test_a_market_order_walks_the_book_level_by_level():
    result = run(DEEP[:2], {1: buy(11)})
    assert fills(result) == [(4.0, 100.0), (5.0, 101.0), (2.0, 102.0)]
    assert result.orders["average_price"][0] == pytest.approx((400 + 505 + 204) / 11)
    assert fills(run(DEEP[:2], {1: sell(11)})) == [(4.0, 99.0), (5.0, 98.0), (2.0, 97.0)]


def test_a_limit_walks_the_book_no_further_than_its_price():
    result = run(DEEP[:2], {1: buy(11, limit=101.0)})
    assert fills(result) == [(4.0, 100.0), (5.0, 101.0)]
    assert result.orders["filled"].to_list() == [9.0]
    assert fills(run(DEEP[:2], {1: buy(11, limit=101.0)}, limit_touch="penetrate")) == [(4.0, 100.0)]


def test_what_the_displayed_book_cannot_fill_waits():
    assert fills(run(DEEP[:2], {1: buy(100)})) == [(4.0, 100.0), (5.0, 101.0), (6.0, 102.0)]
    assert sum(quantity for quantity, _ in fills(run(DEEP, {1: buy(100)}))) == 45.0


def test_what_the_displayed_book_cannot_fill_takes_the_last_level_by_policy():
    result = run(DEEP[:2], {1: buy(100)}, depth_beyond="last-level", cash=1e6)
    assert fills(result) == [(4.0, 100.0), (5.0, 101.0), (6.0, 102.0), (85.0, 102.0)]
    limited = run(DEEP[:2], {1: buy(100, limit=101.5)}, depth_beyond="last-level")
    assert fills(limited) == [(4.0, 100.0), (5.0, 101.0)], "the book goes on beyond the limit: it does not end there"


def test_orders_of_a_row_share_what_its_book_displays():
    result = run(DEEP[:2], {1: [*buy(6), *buy(6), *sell(2)]})
    bought = [fill for fill in fills(result) if fill[1] > 99.5]
    assert bought == [(4.0, 100.0), (2.0, 101.0), (3.0, 101.0), (3.0, 102.0)]


def test_what_orders_took_is_there_again_on_the_next_row():
    assert fills(run(DEEP[:3], {1: buy(4), 2: buy(4)})) == [(4.0, 100.0), (4.0, 100.0)]


def test_what_orders_took_stays_gone_until_the_level_changes_by_policy():
    changed = book(4, BIDS, [(100.0, 3.0), *ASKS[1:]])
    result = run([*DEEP[:3], changed], {1: buy(4), 2: buy(4), 3: buy(4)}, depth_memory="level")
    assert fills(result) == [(4.0, 100.0), (4.0, 101.0), (3.0, 100.0), (1.0, 101.0)]


def test_the_best_price_fills_all_of_an_order_unless_books_are_walked():
    assert fills(run(DEEP[:2], {1: buy(100)}, depth="top")) == [(100.0, 100.0)]


def test_a_book_of_one_level_gives_no_more_than_it_displays_and_all_of_it_where_it_has_no_sizes():
    rows = [book(ts, BIDS[:1], ASKS[:1]) for ts in (1, 2, 3)]
    assert fills(run(rows, {1: buy(7)})) == [(4.0, 100.0), (3.0, 100.0)]
    bare = [{"ts": ts, "bid": 99.0, "ask": 100.0} for ts in (1, 2)]
    assert fills(run(bare, {1: buy(7)})) == [(7.0, 100.0)]


def test_fill_or_kill_looks_at_all_levels_and_at_the_cash_before_it_takes_one():
    assert fills(run(DEEP[:2], {1: buy(15, time_in_force="fok")})) == [(4.0, 100.0), (5.0, 101.0), (6.0, 102.0)]
    killed = run(DEEP[:3], {1: buy(16, time_in_force="fok")})
    assert (fills(killed), killed.orders["reason"].to_list()) == ([], ["fok-remainder"])
    limited = run(DEEP[:2], {1: buy(10, time_in_force="fok", limit=101.0)})
    assert fills(limited) == []
    poor = run(DEEP[:2], {1: buy(9, time_in_force="fok", limit=101.0)}, cash=908.0)
    assert fills(poor) == []


def test_immediate_or_cancel_takes_what_all_levels_give():
    result = run(DEEP[:3], {1: buy(100, time_in_force="ioc")})
    assert sum(quantity for quantity, _ in fills(result)) == 15.0
    assert result.orders["reason"].to_list() == ["ioc-remainder"]


def test_the_volume_cap_holds_on_every_level():
    result = run(DEEP[:2], {1: [*buy(4), *buy(4)]}, participation_limit=0.5)
    assert fills(result) == [(2.0, 100.0), (2.0, 101.0), (0.5, 101.0), (3.0, 102.0)]


def test_a_minimum_commission_counts_once_for_all_levels():
    result = run(DEEP[:2], {1: buy(9)}, commission=PerShare(rate=0.01, minimum=5.0))
    assert result.fills["commission"].to_list() == [5.0, 0.0]


def test_levels_are_taken_in_whole_lots():
    rows = [book(ts, BIDS, [(100.0, 1.5), (101.0, 2.7), (102.0, 9.0)]) for ts in (1, 2)]
    lots = (Instrument(name="X", lot_size=1.0),)
    assert fills(run(rows, {1: buy(5)}, instruments=lots)) == [(1.0, 100.0), (2.0, 101.0), (2.0, 102.0)]


# By chance ------------------------------------------------------------------------------------------------


def touched(count, seed=0, wake="interest", **policies):
    """``count`` buy limits at the ask, each with one quote to fill it, and further quotes away from it."""
    rows, script = [], {}
    for n in range(count):
        rows += [{"ts": 10 * n + k, "bid": 99.0, "ask": ask} for k, ask in ((1, 101.0), (2, 100.0), (3, 101.0))]
        script[3 * n + 1] = buy(1, limit=100.0, time_in_force="gtd", expires=10 * n + 5)
    return run(rows, script, depth="top", limit_touch="probability", seed=seed, wake=wake, **policies)


def test_a_touch_fills_a_limit_with_the_probability_that_the_policy_says():
    assert touched(50, touch_probability=1.0).fills.height == 50
    assert touched(50, touch_probability=0.0).fills.height == 0
    filled = touched(1000, touch_probability=0.3).fills.height
    assert abs(filled - 300) < 4 * (1000 * 0.3 * 0.7) ** 0.5
    beyond = run([{"ts": ts, "bid": 98.0, "ask": 99.0} for ts in (1, 2)], {1: buy(1, limit=100.0)}, depth="top")
    assert fills(beyond) == [(1.0, 99.0)]


def test_chance_is_the_same_for_the_same_seed_however_the_loop_runs():
    one, same, naive = touched(60), touched(60), touched(60, wake="every-row")
    assert one.fills.equals(same.fills)
    assert one.fills.equals(naive.fills)
    assert not one.fills.equals(touched(60, seed=1).fills)


# Whatever the book ----------------------------------------------------------------------------------------


@st.composite
def books(draw):
    rows, ts, depth = [], 0, draw(st.integers(1, 4))
    for _ in range(draw(st.integers(3, 10))):
        ts += draw(st.sampled_from([0, 1, 1, 2]))
        middle = draw(st.integers(20, 24))
        size = st.sampled_from([0.0, 1.0, 3.5, 10.0])
        bids = [(middle - 0.5 * (n + 1), draw(size)) for n in range(depth)]
        asks = [(middle + 0.5 * n, draw(size)) for n in range(depth)]
        rows.append(book(ts or 1, bids, asks))
    return rows


ACTIONS = st.tuples(
    st.sampled_from(["buy", "sell"]),
    st.sampled_from([1.0, 4.0, 30.0]),
    st.sampled_from([None, 20.0, 22.5, 25.0]),
    st.sampled_from(["gtc", "gtc", "ioc", "fok"]),
)


def acting(actions):
    script = collections.defaultdict(list)
    for call, (side, quantity, limit, tif) in actions:
        options = {"time_in_force": tif} | ({} if limit is None else {"limit": limit})
        script[call].append(lambda ctx, s=side, q=quantity, o=options: getattr(ctx, s)("X", q, **o))
    return script


@settings(phases=PHASES, max_examples=80, deadline=None)
@given(
    books(),
    st.lists(st.tuples(st.integers(1, 8), ACTIONS), min_size=1, max_size=8),
    st.sampled_from(["row", "level"]),
    st.sampled_from([1, 3, 1000]),
)
def test_no_level_of_a_book_gives_more_than_it_displays(rows, actions, memory, size):
    def once(wake):
        feed = ListFeed(rows=rows, kind="quote", block_rows=size)
        broker = SimulatedBroker(depth="walk", depth_memory=memory, buying_power="off", short_selling=True)
        return Engine(feed=feed, strategy=OnQuotes(script=acting(actions)), broker=broker, wake=wake).run()

    result = once("interest")
    assert result.fills.equals(once("every-row").fills)
    displayed, taken = collections.Counter(), collections.Counter()
    for row in rows:
        for name, price in row.items():
            if name.startswith(("bid", "ask")) and "size" not in name:
                side = "sell" if name.startswith("bid") else "buy"
                displayed[row["ts"], side, price] += row[name[:3] + "_size" + name[3:]]
    numbered = result.fills.with_columns(ns=pl.col("ts").cast(pl.Int64))
    for fill in numbered.iter_rows(named=True):
        taken[fill["ns"], fill["side"], fill["price"]] += fill["quantity"]
    for key, quantity in taken.items():
        assert quantity <= displayed[key] + 1e-9, key
    for order in result.orders.iter_rows(named=True):
        if order["limit_price"] is not None:
            prices = numbered.filter(order_id=order["order_id"])["price"]
            assert (
                (prices <= order["limit_price"]) if order["side"] == "buy" else (prices >= order["limit_price"])
            ).all()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs the market data in ../shared")
def test_a_large_order_walks_a_real_book_as_adding_up_its_levels_says():
    """Twenty Bitcoin at market, against the book of the next message of a recording of Binance's futures."""
    from qengine_feeds import FrameFeed
    from qengine_feeds.depth import read_binance

    recording = read_binance(SHARED / "data" / "crypto-l2" / "binance_usdm_btcusdt_20240808_first150s.jsonl.gz")
    quotes = recording.quotes(200).head(50)
    feed = FrameFeed(frame=quotes, kind="quote", instrument="X")
    broker = SimulatedBroker(depth="walk", buying_power="off")
    result = Engine(feed=feed, strategy=OnQuotes(script={20: buy(20.0)}), broker=broker).run()
    expected, left = [], 20.0
    row = quotes.row(20, named=True)  # the one after the twentieth
    for level in range(1, 201):
        suffix = "" if level == 1 else f"_{level}"
        taken = min(left, row[f"ask_size{suffix}"])
        expected.append((pytest.approx(taken), row[f"ask{suffix}"]))
        left -= taken
        if left <= 1e-9:
            break
    assert left <= 1e-9
    assert len(expected) > 20
    assert fills(result) == expected
    assert set(result.fills["ts"].cast(pl.Int64)) == {row["ts"]}
