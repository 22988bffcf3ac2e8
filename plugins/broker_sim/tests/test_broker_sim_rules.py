"""The rules of execution by name: each test's name is the rule, and its rows are the smallest that show it."""

from __future__ import annotations

import math

import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_broker_sim.states import TRANSITIONS
from qengine_costs import FixedBps, MakerTaker, PerShare, VolumeShare
from qengine_orders import Bracket, Limit, MarketOnOpen, OneCancelsOther
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, drive

from qengine_core.engine import Engine
from qengine_core.plugin import (
    Instrument,
    Leg,
    OrderState,
    TimeInForce,
    component,
)


class Script(Strategy):
    """Does ``script[n]`` at its n-th bar: each entry is a function of the context."""

    script: dict

    def on_start(self, ctx):
        self.bars = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        for do in self.script.get(self.bars, ()):
            do(ctx)


def bar(ts, opening, high=None, low=None, close=None, volume=1000.0, instrument="X"):
    close = opening if close is None else close
    return {
        "ts": ts,
        "instrument": instrument,
        "open": opening,
        "high": max(opening, close) if high is None else high,
        "low": min(opening, close) if low is None else low,
        "close": close,
        "volume": volume,
    }


def run(rows, script, **settings_):
    broker = {key: settings_.pop(key) for key in list(settings_) if key in SimulatedBroker.__annotations__}
    return drive(
        Script(script={n: do if isinstance(do, list) else [do] for n, do in script.items()}),
        rows,
        broker=SimulatedBroker(**broker),
        **settings_,
    )


def buy(quantity, name="X", **options):
    return lambda ctx: ctx.buy(name, quantity, **options)


def sell(quantity, name="X", **options):
    return lambda ctx: ctx.sell(name, quantity, **options)


def prices(result):
    return result.fills["price"].to_list()


def stamps(result):
    return [int(ts) for ts in result.fills["ts"].cast(int)]


def only_order(result):
    assert result.orders.height == 1
    return result.orders.row(0, named=True)


FLAT = [bar(1, 10.0), bar(2, 10.0), bar(3, 10.0), bar(4, 10.0)]


# When ---------------------------------------------------------------------------------------------------


def test_a_market_order_fills_at_the_next_open():
    result = run([bar(1, 10.0), bar(2, 11.0, high=14.0, low=9.0, close=13.0)], {1: buy(1)})
    assert prices(result) == [11.0]
    assert stamps(result) == [2]


def test_an_order_waits_for_a_row_of_its_own_instrument():
    rows = [bar(1, 10.0), bar(1, 50.0, instrument="Y"), bar(2, 10.0), bar(5, 51.0, instrument="Y")]
    result = run(rows, {1: buy(1, "Y")})
    assert stamps(result) == [5]
    assert prices(result) == [51.0]


def test_a_row_of_the_same_instant_never_fills_an_order_of_that_instant():
    """Y's bar of time 1 comes after X's in the file, but it is not later."""
    rows = [bar(1, 10.0), bar(1, 50.0, instrument="Y"), bar(2, 10.0), bar(2, 60.0, instrument="Y")]
    result = run(rows, {1: buy(1, "Y")})
    assert prices(result) == [60.0]


def test_a_row_without_volume_fills_nothing():
    rows = [bar(1, 10.0), bar(2, 11.0, volume=0.0), bar(3, 12.0)]
    assert prices(run(rows, {1: buy(1)})) == [12.0]
    assert prices(run(rows, {1: buy(1, limit=20.0)})) == [12.0]
    assert prices(run(rows, {1: buy(1)}, fill_on_zero_volume=True)) == [11.0]


def test_an_order_of_the_last_row_expires_with_the_reason_end_of_data():
    result = run(FLAT, {4: buy(1)})
    order = only_order(result)
    assert (order["state"], order["reason"], order["filled"]) == ("expired", "end-of-data", 0.0)
    assert result.counts["unfilled_at_end"] == 1
    assert result.counts["expirations"] == {"end-of-data": 1}


LATE = [None, OneCancelsOther(orders=(Limit(price=1.0), Limit(price=2.0))), Bracket(stop_loss=1.0, take_profit=99.0)]


@pytest.mark.parametrize("order_type", LATE)
def test_an_order_sent_in_answer_to_the_end_of_data_still_ends(order_type):
    class Stubborn(Strategy):
        def on_bar(self, ctx, bar):
            ctx.buy("X", 1, limit=1.0)

        def on_order(self, ctx, update):
            if update.state is OrderState.EXPIRED:
                ctx.buy("X", 1, order_type)

    result = drive(Stubborn(), FLAT[:1])
    assert set(result.orders["state"]) == {"expired"}
    assert result.counts["expirations"] == {"end-of-data": 1 + (1 if order_type is None else len(order_type.legs()))}


def test_an_order_sent_in_on_stop_ends_unfilled():
    class Late(Strategy):
        def on_bar(self, ctx, bar):
            pass

        def on_stop(self, ctx):
            ctx.buy("X", 1)

    assert only_order(drive(Late(), FLAT))["reason"] == "end-of-data"


def test_an_order_sent_in_on_start_fills_on_the_first_row():
    class Early(Strategy):
        def on_start(self, ctx):
            ctx.buy("X", 1)

        def on_bar(self, ctx, bar):
            pass

    result = drive(Early(), [bar(1000, 9.0), bar(2000, 10.0)])
    assert prices(result) == [9.0]
    assert only_order(result)["submitted_ts"] < result.fills["ts"][0]


def test_an_order_sent_in_on_fill_does_not_fill_on_the_row_that_caused_it():
    class Chain(Strategy):
        def on_start(self, ctx):
            ctx.buy("X", 1)

        def on_bar(self, ctx, bar):
            pass

        def on_fill(self, ctx, fill):
            if fill.order.id < 3:
                ctx.buy("X", 1)

    result = drive(Chain(), FLAT)
    assert stamps(result) == [1, 2, 3]


# Prices -------------------------------------------------------------------------------------------------


def test_a_touch_fills_a_limit_and_is_counted_as_ambiguous():
    result = run([bar(1, 10.0), bar(2, 10.0, low=9.0, high=10.0)], {1: buy(1, limit=9.0)})
    assert prices(result) == [9.0]
    assert result.counts["ambiguous_bars"] == 1
    missed = run([bar(1, 10.0), bar(2, 10.0, low=9.01, high=10.0)], {1: buy(1, limit=9.0)})
    assert prices(missed) == []
    assert missed.counts["ambiguous_bars"] == 0


def test_a_favourable_gap_improves_a_limit():
    rows = [bar(1, 10.0), bar(2, 8.0, high=12.0, low=7.0), bar(3, 13.0, high=14.0, low=9.0)]
    result = run(rows, {1: buy(1, limit=9.0), 2: sell(1, limit=11.0)})
    assert prices(result) == [8.0, 13.0]


@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_a_limit_that_waited_for_its_price_adds_liquidity(wake):
    """Whether the row that its price comes on is its first or not; one that finds its price at the open takes."""
    costs = MakerTaker(per="notional", maker=0.0001, taker=0.01)

    def commission(*rows):
        result = run([bar(1, 10.0), *rows], {1: buy(1, limit=9.0)}, commission=costs, wake=wake)
        return result.fills["commission"].to_list()

    assert commission(bar(2, 10.0, low=8.0)) == [pytest.approx(0.0009)]
    assert commission(bar(2, 10.0), bar(3, 10.0, low=8.0)) == [pytest.approx(0.0009)]
    assert commission(bar(2, 10.0), bar(3, 8.0)) == [pytest.approx(0.08)]


def test_slippage_never_crosses_a_limit_and_stays_in_the_range():
    rows = [bar(1, 10.0), bar(2, 10.0, high=10.02, low=9.9)]
    assert prices(run(rows, {1: buy(1)}, slippage=FixedBps(bps=100.0))) == [10.02]
    assert prices(run(rows, {1: buy(1)}, slippage=FixedBps(bps=100.0), clip_to_range=False)) == [pytest.approx(10.1)]
    capped = run(rows, {1: buy(1, limit=10.01)}, slippage=FixedBps(bps=100.0), clip_to_range=False)
    assert prices(capped) == [10.01]


def test_the_slippage_column_is_the_money_conceded():
    instrument = Instrument(name="X", multiplier=5.0)
    rows = [bar(1, 100.0), bar(2, 100.0, high=110.0, low=90.0), bar(3, 100.0, high=110.0, low=90.0)]
    result = run(rows, {1: buy(3), 2: sell(3)}, slippage=FixedBps(bps=100.0), instruments=[instrument])
    assert prices(result) == [101.0, 99.0]
    assert result.fills["slippage"].to_list() == [15.0, 15.0]


def test_limits_are_rounded_to_a_tick_towards_the_safe_side():
    instrument = Instrument(name="X", tick_size=0.5)
    rows = [bar(1, 10.0), bar(2, 10.0, high=20.0, low=1.0), bar(3, 10.0, high=20.0, low=1.0)]
    result = run(rows, {1: buy(1, limit=9.7), 2: sell(1, limit=10.2)}, instruments=[instrument])
    assert prices(result) == [9.5, 10.5]
    assert result.orders["limit_price"].to_list() == [9.5, 10.5]


def quote(ts, bid, ask, bid_size=100.0, ask_size=100.0, instrument="X"):
    values = {"bid": bid, "ask": ask, "bid_size": bid_size, "ask_size": ask_size}
    return {"ts": ts, "instrument": instrument, **values}


class Quoted(Strategy):
    """Sends one order at the first quote."""

    quantity: float
    limit: float | None = None

    def on_start(self, ctx):
        self.done = False

    def on_quote(self, ctx, quote):
        if not self.done:
            ctx.order("X", self.quantity, limit=self.limit)
            self.done = True


def test_quotes_fill_a_buyer_at_the_ask_and_a_seller_at_the_bid():
    rows = [quote(1, 9.0, 11.0), quote(2, 9.5, 10.5), quote(3, 9.0, 9.25)]
    assert prices(drive(Quoted(quantity=1), rows, kind="quote")) == [10.5]
    short = SimulatedBroker(short_selling=True)
    assert prices(drive(Quoted(quantity=-1), rows, kind="quote", broker=short)) == [9.5]
    assert prices(drive(Quoted(quantity=1, limit=9.5), rows, kind="quote")) == [9.25]


def test_the_finest_data_of_an_instrument_fills_it():
    """X has bars and quotes: only quotes fill it. Y has bars alone, and they do."""
    both = [Instrument(name="X"), Instrument(name="Y")]
    rows = [bar(1, 10.0), bar(1, 50.0, instrument="Y"), bar(3, 20.0), bar(3, 60.0, instrument="Y")]
    feeds = [
        ListFeed(rows=rows, instruments=both),
        ListFeed(rows=[quote(2, 11.0, 12.0)], kind="quote", instruments=both[:1]),
    ]
    result = Engine(feed=feeds, strategy=Script(script={1: [buy(1, "X"), buy(1, "Y")]})).run()
    assert dict(zip(result.fills["instrument"], prices(result), strict=True)) == {"X": 12.0, "Y": 60.0}


def test_prints_fill_at_their_price():
    class Taker(Strategy):
        def on_trade(self, ctx, trade):
            if not ctx.portfolio.positions:
                ctx.buy("X", 5)

    rows = [{"ts": ts, "price": price, "size": 3.0} for ts, price in ((1, 10.0), (2, 10.5), (3, 11.0))]
    result = drive(Taker(), rows, kind="trade", broker=SimulatedBroker(participation_limit=1.0))
    assert prices(result)[:2] == [10.5, 11.0]
    assert result.fills["quantity"].to_list()[:2] == [3.0, 2.0]


# Quantities ---------------------------------------------------------------------------------------------


def test_the_volume_cap_is_shared_and_the_remainder_stays_open():
    rows = [bar(1, 10.0), *(bar(ts, 10.0, volume=100.0) for ts in (2, 3, 4))]
    result = run(rows, {1: [buy(8), buy(8)]}, participation_limit=0.1)
    assert result.fills.select("order_id", "quantity").rows() == [(1, 8.0), (2, 2.0), (2, 6.0)]
    assert stamps(result) == [2, 2, 3]


def test_impact_counts_what_the_row_has_given_already():
    """Two orders of one row pay more than one order of the same row each: the second sees the first."""
    rows = [bar(1, 10.0), bar(2, 10.0, high=99.0, low=1.0, volume=100.0)]
    first, second = prices(run(rows, {1: [buy(5), buy(5)]}, slippage=VolumeShare(price_impact=1.0)))
    assert 10.0 < first < second


def test_quantities_are_rounded_down_to_lots():
    lots = [Instrument(name="X", lot_size=0.1)]
    result = run(FLAT, {1: buy(0.3), 2: buy(0.39)}, instruments=lots)
    assert result.fills["quantity"].to_list() == pytest.approx([0.3, 0.3])


def test_a_quantity_that_rounds_to_zero_is_rejected_with_a_reason():
    result = run(FLAT, {1: buy(0.7), 2: buy(0)}, instruments=[Instrument(name="X", lot_size=1.0)])
    assert result.orders["state"].to_list() == ["rejected", "rejected"]
    assert result.counts["rejections"] == {"zero-quantity": 2}


def test_the_volume_cap_gives_whole_lots_only():
    rows = [bar(1, 10.0), bar(2, 10.0, volume=15.0), bar(3, 10.0, volume=5.0), bar(4, 10.0, volume=100.0)]
    lots = [Instrument(name="X", lot_size=1.0)]
    result = run(rows, {1: buy(3)}, participation_limit=0.1, instruments=lots)
    assert list(zip(stamps(result), result.fills["quantity"], strict=True)) == [(2, 1.0), (4, 2.0)]


def test_sell_orders_of_very_different_size_settle():
    result = run(FLAT, {1: [sell(1e7), sell(0.005)]}, cash=1e9, short_selling=True)
    assert result.orders["state"].to_list() == ["filled"] * 2
    assert result.positions["quantity"][-1] == -10_000_000.005


# Time in force -------------------------------------------------------------------------------------------


def test_good_till_date_still_fills_on_a_row_at_its_very_time():
    rows = [bar(1, 10.0), bar(2, 10.0), bar(3, 8.0)]
    options = {"limit": 9.0, "time_in_force": "gtd"}
    assert stamps(run(rows, {1: buy(1, **options, expires=3)})) == [3]
    missed = run(rows, {1: buy(1, **options, expires=2)})
    assert prices(missed) == []
    order = only_order(missed)
    assert (order["state"], order["reason"]) == ("expired", "good-till-date")
    assert order["closed_ts"] == missed.equity["ts"][1]
    assert missed.counts["expirations"] == {"good-till-date": 1}


def test_good_till_date_expires_between_rows():
    rows = [bar(1, 10.0), bar(10, 8.0)]
    result = run(rows, {1: buy(1, limit=9.0, time_in_force="gtd", expires=5)})
    assert only_order(result)["reason"] == "good-till-date"
    assert int(result.orders["closed_ts"].cast(int)[0]) == 5


def test_immediate_or_cancel_takes_what_the_row_gives_and_ends():
    rows = [bar(1, 10.0), bar(2, 10.0, volume=50.0), bar(3, 10.0)]
    result = run(rows, {1: buy(8, time_in_force="ioc")}, participation_limit=0.1)
    order = only_order(result)
    assert (order["state"], order["reason"], order["filled"]) == ("cancelled", "ioc-remainder", 5.0)
    assert result.counts["cancellations"] == {"ioc-remainder": 1}


def test_immediate_or_cancel_ends_on_its_first_row_if_the_limit_is_missed():
    result = run([bar(1, 10.0), bar(2, 10.0), bar(3, 5.0)], {1: buy(1, limit=9.0, time_in_force="ioc")})
    assert only_order(result)["reason"] == "ioc-remainder"
    assert int(result.orders["closed_ts"].cast(int)[0]) == 2


def test_fill_or_kill_fills_all_or_nothing():
    rows = [bar(1, 10.0), bar(2, 10.0, volume=50.0), bar(3, 10.0)]
    killed = run(rows, {1: buy(8, time_in_force="fok")}, participation_limit=0.1)
    order = only_order(killed)
    assert (order["state"], order["reason"], order["filled"]) == ("cancelled", "fok-remainder", 0.0)
    assert only_order(run(rows, {1: buy(5, time_in_force="fok")}, participation_limit=0.1))["state"] == "filled"


def test_fill_or_kill_never_fills_in_part_when_cash_is_short():
    rows = [bar(1, 10.0), bar(2, 20.0)]
    result = run(rows, {1: buy(10, time_in_force="fok")}, cash=100.0, shortfall="reduce")
    order = only_order(result)
    assert (order["state"], order["filled"]) == ("cancelled", 0.0)


def test_fill_or_kill_never_fills_in_part_when_a_reversal_may_not_open():
    result = run(FLAT, {1: buy(5), 2: sell(8, time_in_force="fok")})
    assert result.orders["filled"].to_list() == [5.0, 0.0]


# Cancellation --------------------------------------------------------------------------------------------


def test_every_cancellation_is_counted_by_reason():
    result = run(FLAT, {1: buy(1, limit=1.0), 2: lambda ctx: ctx.cancel_all()})
    assert only_order(result)["reason"] == "requested"
    assert result.counts["cancellations"] == {"requested": 1}


def test_an_order_cancelled_in_the_callback_that_sent_it_never_fills():
    result = run(FLAT, {1: lambda ctx: ctx.cancel(ctx.buy("X", 1))})
    order = only_order(result)
    assert (order["state"], order["reason"]) == ("cancelled", "requested")


def test_cancelling_a_closed_order_changes_nothing():
    kept = []
    script = {1: lambda ctx: kept.append(ctx.buy("X", 1)), 3: lambda ctx: ctx.cancel(kept[0])}
    result = run(FLAT, script)
    assert only_order(result)["state"] == "filled"
    assert result.counts["cancellations"] == {}


# Money ---------------------------------------------------------------------------------------------------


def test_exits_come_before_entries_within_an_instant():
    """The sale of Y pays for X, although X's row comes first."""
    rows = [bar(ts, 10.0, instrument=name) for ts in (1, 2, 3) for name in ("X", "Y")]
    result = run(rows, {1: buy(10, "Y"), 4: [buy(10, "X"), sell(10, "Y")]}, cash=100.0)
    # The purchase is refused at submission, because the sale has not been sent yet ...
    assert result.orders["reason"].to_list() == ["", "insufficient-cash", ""]
    swapped = run(rows, {1: buy(10, "Y"), 4: [sell(10, "Y"), buy(10, "X")]}, cash=100.0)
    # ... and accepted on the strength of a sale that was; the fill of the sale precedes it.
    assert swapped.fills["instrument"].to_list() == ["Y", "Y", "X"]
    assert stamps(swapped) == [2, 3, 3]
    assert swapped.equity["cash"].min() >= 0


def test_open_orders_reserve_buying_power():
    result = run(FLAT, {1: [buy(6, limit=10.0), buy(6, limit=9.0)]}, cash=100.0)
    assert result.orders["reason"].to_list() == ["", "insufficient-cash"]
    freed = run(FLAT, {1: [buy(6, limit=9.0), lambda ctx: ctx.cancel_all(), buy(6, limit=10.0)]}, cash=100.0)
    assert freed.orders["reason"].to_list() == ["requested", ""]


def test_buying_power_is_checked_again_at_the_fill():
    rows = [bar(1, 10.0), bar(2, 20.0)]
    rejected = run(rows, {1: buy(10)}, cash=100.0)
    order = only_order(rejected)
    assert (order["state"], order["reason"], order["filled"]) == ("cancelled", "insufficient-cash", 0.0)
    assert rejected.counts["cancellations"] == {"insufficient-cash": 1}
    reduced = run(rows, {1: buy(10)}, cash=100.0, shortfall="reduce")
    assert only_order(reduced)["filled"] == 5.0
    unchecked = run(rows, {1: buy(10)}, cash=100.0, buying_power="off")
    assert only_order(unchecked)["filled"] == 10.0
    assert unchecked.equity["cash"][-1] == -100.0


def test_a_purchase_reduced_to_the_cash_leaves_room_for_its_commission():
    rows = [bar(1, 10.0), bar(2, 20.0)]
    result = run(rows, {1: buy(9)}, cash=100.0, shortfall="reduce", commission=PerShare(rate=0.5, minimum=5.0))
    assert 0 < only_order(result)["filled"] < 5.0
    assert result.equity["cash"][-1] >= 0


def test_short_selling_is_refused_unless_allowed():
    refused = run(FLAT, {1: sell(1)})
    assert only_order(refused)["reason"] == "short-selling-disabled"
    assert refused.counts["rejections"] == {"short-selling-disabled": 1}
    allowed = run(FLAT, {1: sell(1)}, short_selling=True)
    assert allowed.positions["quantity"].to_list() == [-1.0]


def test_two_sales_of_one_position_do_not_sell_it_twice():
    result = run(FLAT, {1: buy(5), 2: [sell(5), sell(5)]})
    assert result.orders["reason"].to_list() == ["", "", "short-selling-disabled"]


def test_the_closing_leg_of_a_reversal_fills_even_when_the_opening_leg_cannot():
    result = run(FLAT, {1: buy(5), 2: sell(8)})
    reversal = result.orders.row(1, named=True)
    assert (reversal["filled"], reversal["state"], reversal["reason"]) == (5.0, "cancelled", "short-selling-disabled")
    assert result.positions["quantity"].to_list() == [5.0, 0.0]


def test_a_reversal_that_the_cash_covers_goes_through():
    result = run(FLAT, {1: buy(5), 2: sell(8)}, short_selling=True)
    assert result.positions["quantity"].to_list() == [5.0, -3.0]


def test_a_short_needs_its_value_again_in_cash():
    assert only_order(run(FLAT, {1: sell(10)}, cash=100.0, short_selling=True))["filled"] == 10.0
    refused = run(FLAT, {1: sell(10.5)}, cash=100.0, short_selling=True)
    assert only_order(refused)["reason"] == "insufficient-cash"


def test_the_minimum_commission_counts_once_per_order_not_per_partial_fill():
    rows = [bar(1, 10.0), *(bar(ts, 10.0, volume=100.0) for ts in (2, 3, 4))]
    result = run(rows, {1: buy(25)}, participation_limit=0.1, commission=PerShare(rate=0.1, minimum=2.0))
    assert result.fills["quantity"].to_list() == [10.0, 10.0, 5.0]
    assert result.fills["commission"].to_list() == pytest.approx([2.0, 0.0, 0.5])
    assert only_order(result)["commission"] == pytest.approx(2.5)


# Recipes and states --------------------------------------------------------------------------------------


@component
class Half:
    """A type of one leg that takes half of what is asked for."""

    def legs(self):
        return (Leg(ratio=0.5),)


def test_a_leg_of_part_of_the_quantity_fills_that_part():
    result = run([bar(1, 10.0), bar(2, 10.0)], {1: buy(8, type=Half())})
    assert only_order(result)["quantity"] == only_order(result)["filled"] == 4.0


def test_an_order_type_may_be_given_as_an_object():
    result = run([bar(1, 10.0), bar(2, 8.0)], {1: buy(1, type=Limit(price=9.0))})
    assert only_order(result)["type"] == "limit"
    assert prices(result) == [8.0]


def test_no_state_follows_a_terminal_one():
    assert all(not TRANSITIONS[state] for state in OrderState if state.is_terminal)


def test_an_order_is_a_view_that_follows_every_change():
    seen = []

    class Keeper(Strategy):
        def on_bar(self, ctx, event):
            if not seen:
                seen.append(ctx.buy("X", 3, limit=9.5, tag="first"))
                assert (seen[0].state, seen[0].is_open, seen[0].remaining) == (OrderState.ACCEPTED, True, 3.0)
                assert ctx.open_orders("X") == [seen[0]]
                assert hash(ctx.open_orders()[0]) == hash(seen[0])

    drive(Keeper(), [bar(1, 10.0), bar(2, 10.0), bar(3, 9.0)])
    order = seen[0]
    assert (order.id, order.instrument, order.side, order.type, order.tag) == (1, "X", 1, "limit", "first")
    assert (order.state, order.is_open, order.filled, order.average_price) == (OrderState.FILLED, False, 3.0, 9.0)
    assert (order.submitted_ts, order.accepted_ts, order.closed_ts, order.expires_ts) == (1, 1, 3, -1)
    assert (order.quantity, order.limit, order.commission, order.reason, order.code) == (3.0, 9.5, 0.0, "", 0)
    assert order.time_in_force is TimeInForce.GTC
    assert math.isnan(order.trigger)
    assert order != seen
    assert repr(order) == "<Order 1: buy 3 X limit limit 9.5, filled>"


# Policies ------------------------------------------------------------------------------------------------


def test_under_next_close_a_market_order_fills_at_the_next_close():
    rows = [bar(1, 10.0), bar(2, 11.0, 13.0, 9.0, close=12.0)]
    result = run(rows, {1: buy(1)}, fill_timing="next-close")
    assert (prices(result), stamps(result)) == ([12.0], [2])


def test_under_next_close_a_limit_is_judged_at_the_close_alone():
    rows = [bar(1, 10.0), bar(2, 10.0, 11.0, 8.0, close=10.5), bar(3, 10.0, 10.0, 8.0, close=8.5)]
    result = run(rows, {1: buy(1, limit=9.0)}, fill_timing="next-close")
    assert (prices(result), stamps(result)) == ([8.5], [3])


def test_under_same_close_a_market_order_fills_at_the_close_it_was_sent_on():
    rows = [bar(1, 10.0, close=11.0), bar(2, 12.0)]
    result = run(rows, {1: buy(1)}, fill_timing="same-close")
    assert (prices(result), stamps(result)) == ([11.0], [1])


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("close_order", ["as-sent", "by-value"])
def test_under_same_close_an_order_sent_between_bars_waits_for_the_next(size, close_order):
    class Timed(Strategy):
        def on_start(self, ctx):
            ctx.set_timer("t", at=2)

        def on_bar(self, ctx, bar):
            pass

        def on_timer(self, ctx, name):
            ctx.buy("X", 1)

    rows = [bar(1, 10.0, close=11.0), bar(2, 12.0, close=13.0), bar(3, 14.0, close=15.0)]
    broker = SimulatedBroker(fill_timing="same-close", close_order=close_order)
    result = drive(Timed(), rows, broker=broker, block_rows=size)
    assert (prices(result), stamps(result)) == ([14.0], [3])


def test_under_same_close_the_volume_cap_is_shared_too():
    rows = [bar(1, 10.0, volume=10.0), bar(2, 12.0, volume=100.0)]
    result = run(rows, {1: [buy(3), buy(4)]}, fill_timing="same-close", participation_limit=0.5)
    assert result.fills["quantity"].to_list() == [3.0, 2.0, 2.0]
    assert prices(result) == [10.0, 10.0, 12.0]


def test_under_same_close_a_row_without_volume_fills_nothing():
    rows = [bar(1, 10.0, volume=0.0), bar(2, 12.0)]
    assert prices(run(rows, {1: buy(1)}, fill_timing="same-close")) == [12.0]


def test_a_limit_that_must_be_penetrated_is_not_filled_by_a_touch():
    rows = [bar(1, 10.0), bar(2, 10.0, 10.5, 9.0, close=10.0), bar(3, 10.0, 10.0, 8.5, close=9.5)]
    result = run(rows, {1: buy(1, limit=9.0)}, limit_touch="penetrate")
    assert (prices(result), stamps(result)) == ([9.0], [3])
    assert result.counts["ambiguous_bars"] == 0


MILLISECOND = 1_000_000


def test_an_order_fills_at_the_earliest_after_its_latency():
    rows = [bar(n * MILLISECOND, 10.0 + n) for n in range(1, 6)]
    result = run(rows, {1: buy(1)}, entry_latency=1.5, feed_latency=0.5)
    order = only_order(result)
    assert stamps(result) == [4 * MILLISECOND]  # it arrives at 3 ms, together with a row that it must not see
    assert nanoseconds(order["accepted_ts"]) == 3 * MILLISECOND


def nanoseconds(moment):
    return round(moment.timestamp() * 1e9)


def test_an_order_in_flight_is_open_and_can_be_cancelled_before_it_arrives():
    rows = [bar(n * MILLISECOND, 10.0) for n in range(1, 6)]
    seen = []

    def look(ctx):
        seen.append([order.state for order in ctx.open_orders("X")])

    script = {1: [buy(1), look], 2: [lambda ctx: ctx.cancel_all(), look], 5: [look]}
    result = run(rows, script, entry_latency=2.5)
    assert seen == [[OrderState.SUBMITTED], [OrderState.SUBMITTED], []]
    assert only_order(result)["state"] == "filled"  # the cancellation came too late


def test_an_order_still_in_flight_at_the_end_expires():
    result = run([bar(1, 10.0), bar(2, 10.0)], {2: buy(1)}, entry_latency=5.0)
    assert only_order(result)["reason"] == "end-of-data"


def test_a_strategy_hears_of_fills_after_the_response_latency():
    heard = []

    class Hearing(Script):
        def on_fill(self, ctx, fill):
            heard.append((ctx.now, fill.ts))

    rows = [bar(n * MILLISECOND, 10.0) for n in range(1, 7)]
    drive(Hearing(script={1: [buy(1)]}), rows, broker=SimulatedBroker(response_latency=2.5))
    assert heard == [(int(4.5 * MILLISECOND), 2 * MILLISECOND)]


# Sessions ------------------------------------------------------------------------------------------------


HOUR = 3_600_000_000_000
DAY = 24 * HOUR


def hourly(days=3, hours=(10, 16, 21)):
    """Bars at 10:00, 16:00 and 21:00 of days whose sessions end at midnight UTC, and one at that midnight."""
    stamps = [day * DAY + hour * HOUR for day in range(days) for hour in (*hours, 24)]
    return [bar(ts, 10.0 + n, close=10.5 + n) for n, ts in enumerate(stamps)]


def test_a_day_order_expires_when_its_session_closes():
    result = run(hourly(), {2: buy(1, limit=1.0, time_in_force="day")})
    order = only_order(result)
    assert (order["state"], order["reason"]) == ("expired", "end-of-session")
    assert nanoseconds(order["closed_ts"]) == DAY


def test_a_row_at_the_very_close_still_fills_a_day_order():
    result = run(hourly(), {3: buy(1, time_in_force="day")})
    assert stamps(result) == [DAY]


def test_a_day_order_is_not_expired_before_a_row_has_tried_it():
    """Daily bars that are stamped after the close: the order of one is tried by the next."""
    rows = [bar(n * DAY + 2 * HOUR, 10.0) for n in range(1, 4)]
    result = run(rows, {1: buy(1, limit=5.0, time_in_force="day"), 3: buy(1, time_in_force="day")})
    first = result.orders.row(0, named=True)
    assert first["reason"] == "end-of-session"
    assert nanoseconds(first["closed_ts"]) >= 2 * DAY


def test_an_order_at_the_open_fills_only_on_the_row_that_opens_a_session():
    result = run(hourly(), {2: buy(1, time_in_force="at-open")})
    assert stamps(result) == [DAY + 10 * HOUR]
    assert prices(result) == [14.0]


@pytest.mark.parametrize("size", [1, 100])
def test_each_feed_opens_a_session_with_its_own_first_row(size):
    """Whichever block it comes in, and though another feed of the same instrument has nothing to trade with there."""
    first = ListFeed(rows=[bar(DAY + HOUR, 10.0, volume=0.0)])
    second = ListFeed(rows=[bar(HOUR, 11.0), bar(DAY + HOUR, 12.0)], block_rows=size)
    script = Script(script={1: [buy(1, time_in_force="at-open")]})
    result = Engine(feed=[first, second], strategy=script, ledger={"use": "standard"}, broker=SimulatedBroker()).run()
    assert prices(result) == [12.0]


def test_an_order_type_with_a_time_in_force_of_its_own_keeps_it():
    result = run(hourly(), {2: buy(1, type=MarketOnOpen(), time_in_force="gtd", expires=3 * DAY)})
    assert result.orders["time_in_force"].to_list() == ["at-open"]
    assert stamps(result) == [DAY + 10 * HOUR]


def test_an_order_at_the_close_fills_only_at_the_close_of_the_row_that_closes_one():
    result = run(hourly(), {2: buy(1, time_in_force="at-close")})
    assert stamps(result) == [DAY]
    assert prices(result) == [13.5]


def test_an_order_that_comes_after_the_cut_off_waits_for_the_next_session():
    late = run(hourly(), {3: buy(1, time_in_force="at-close")}, close_cutoff=200.0)
    assert stamps(late) == [2 * DAY]
    in_time = run(hourly(), {3: buy(1, time_in_force="at-close")}, close_cutoff=100.0)
    assert stamps(in_time) == [DAY]


def test_a_limit_at_the_open_or_close_is_judged_there_alone_and_then_ends():
    rows = hourly()
    rows[3] |= {"low": 1.0}
    rows[4] |= {"low": 1.0}
    result = run(rows, {1: [buy(1, limit=5.0, time_in_force="at-close"), buy(1, limit=5.0, time_in_force="at-open")]})
    assert result.fills.height == 0
    assert result.orders["reason"].to_list() == ["at-close-remainder", "at-open-remainder"]
