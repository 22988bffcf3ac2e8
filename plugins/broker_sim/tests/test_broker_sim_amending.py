"""Orders are changed, and replaced, in place: when that takes effect, what it costs in rank, and why it is refused."""

from __future__ import annotations

import math

import pytest
from markets import OnBars, bars, ends_of, fills_of, quotes, run
from qengine_broker_sim import SimulatedBroker
from qengine_orders import Bracket, Limit, OneUpdatesOther, PostOnly, Stop, StopLimit, TrailingStop, TrailingStopLimit
from qengine_strategy.testing import drive

from qengine_core.plugin import ConfigError, Instrument, OrderState

FIRST = (100, 101, 99, 100)
FLAT = (100, 101, 99, 100)


def amends(place=0, answers=None, **changes):
    """Changes the open order that stands at a place among them; keeps the answer."""

    def do(ctx):
        answer = ctx.amend(ctx.open_orders()[place], **changes)
        if answers is not None:
            answers.append(answer)

    return do


def buys(quantity, make=None, **options):
    return lambda ctx: ctx.buy("X", quantity, make, **options)


def sells(quantity, make=None, **options):
    return lambda ctx: ctx.sell("X", quantity, make, **options)


def test_an_amended_price_holds_from_the_next_row_on():
    rows = bars(FIRST, FLAT, (100, 101, 97, 98), (98, 99, 94, 95))
    result = run(rows, {1: [buys(10, limit=90)], 3: [amends(limit=95)]})
    assert fills_of(result) == [(4, "buy", 10, 95)]
    assert result.orders["limit_price"].to_list() == [95.0]
    assert result.orders["submitted_ts"].cast(int).to_list() == [1]
    through = run(rows, {1: [buys(10, limit=90)], 3: [amends(limit=99)]})
    assert fills_of(through) == [(4, "buy", 10, 98)]


def test_a_row_of_the_same_time_does_not_fill_an_amended_order():
    """What is decided on a row acts on later ones, for changes as for orders."""
    rows = [{"ts": ts, "price": price, "size": 10.0} for ts, price in ((1, 100.0), (2, 100.0), (2, 100.0), (3, 101.0))]
    moved = run(rows, {1: [buys(5, limit=90)], 2: [amends(limit=105)]}, kind="trade")
    assert fills_of(moved) == [(3, "buy", 5, 101)]


RANKED = bars(FIRST, FLAT, (98, 99, 97, 98, 100))


@pytest.mark.parametrize(
    ("change", "fills"),
    [
        ({"quantity": 4}, [("buy", 4), ("buy", 2)]),  # smaller: it is still first
        ({"quantity": 8}, [("buy", 6)]),  # larger: all goes to the other
        ({"limit": 98.5}, [("buy", 6)]),  # another price
        ({"limit": 98}, [("buy", 6)]),  # the same price is no change
    ],
)
def test_an_order_keeps_its_place_only_if_it_asks_for_less(change, fills):
    result = run(
        RANKED,
        {1: [buys(6, limit=98, tag="a"), buys(6, limit=98, tag="b")], 2: [amends(**change)]},
        participation_limit=0.06,
    )
    assert [fill[1:3] for fill in fills_of(result)] == fills
    tags = result.fills.join(result.orders.select("order_id", "tag"), on="order_id")["tag"].to_list()
    kept = change in ({"quantity": 4}, {"limit": 98})
    assert tags[0] == ("a" if kept else "b")


def test_an_order_cannot_shrink_below_what_it_has_filled():
    rows = bars(FIRST, (100, 101, 97, 99, 40), FLAT, (97, 98, 96, 97, 1000))
    answers = []
    script = {
        1: [buys(10, limit=98)],
        2: [amends(answers=answers, quantity=4), amends(answers=answers, quantity=3), amends(quantity=5)],
    }
    result = run(rows, script, participation_limit=0.1)
    assert fills_of(result) == [(2, "buy", 4, 98), (4, "buy", 1, 97)]
    assert ends_of(result) == [("filled", 5.0, "")]
    assert set(answers) == {"already-filled"}
    assert result.counts["refused_amendments"] == {"already-filled": 2}


def test_quantities_and_prices_of_an_amendment_go_to_the_grid():
    rows = bars(FIRST, FLAT, FLAT)
    grid = (Instrument(name="X", lot_size=2.0, tick_size=0.5),)
    answers = []
    script = {1: [buys(10, limit=90)], 2: [amends(quantity=7.5, limit=91.3), amends(answers=answers, quantity=1.0)]}
    result = run(rows, script, instruments=grid)
    assert result.orders.select("quantity", "limit_price").rows() == [(6.0, 91.0)]
    assert set(answers) == {"zero-quantity"}


def test_a_stop_can_be_moved_until_it_is_set_off():
    rows = bars(FIRST, FLAT, (100, 104, 99, 103), (103, 106, 102, 104.5), (110, 112, 109, 111))
    order = StopLimit(price=105, limit=105.5)
    moved = run(rows, {1: [buys(10, order)], 2: [amends(trigger=103, limit=104)]})
    assert fills_of(moved) == [(3, "buy", 10, 103)]
    answers = []
    late = run(rows, {1: [buys(10, StopLimit(price=103.5, limit=90))], 3: [amends(answers=answers, trigger=108)]})
    assert answers[0] == "not-amendable"
    assert fills_of(late) == []


def test_a_trailing_stop_is_amended_by_its_distance():
    rows = bars(FIRST, (100, 110, 100, 108), (108, 109, 106, 107), (107, 108, 101, 102))
    wider = run(rows, {1: [sells(10, TrailingStop(amount=5))], 3: [amends(trail=8)]})
    assert fills_of(wider) == [(4, "sell", 10, 102)]
    closer = run(rows, {1: [sells(10, TrailingStop(fraction=0.1))], 2: [amends(trail=0.02)]})
    assert fills_of(closer) == [(3, "sell", 10, 107.8)]
    answers = []
    script = {
        1: [sells(10, TrailingStopLimit(amount=50, limit_offset=1))],
        2: [amends(answers=answers, trigger=101), amends(answers=answers, limit=100)],
    }
    run(rows, script)
    assert set(answers) == {"not-amendable"}


@pytest.mark.parametrize(
    ("sent", "change"),
    [
        (buys(10, limit=90), {"trigger": 95}),
        (buys(10, limit=90), {"trail": 5}),
        (buys(10, Stop(price=110)), {"limit": 95}),
        (buys(10, Stop(price=110)), {"trail": 5}),
    ],
)
def test_an_order_has_only_the_prices_of_its_type(sent, change):
    answers = []
    result = run(bars(FIRST, FLAT, FLAT), {1: [sent], 2: [amends(answers=answers, **change)]})
    assert set(answers) == {"not-amendable"}
    assert result.amendments["reason"].to_list() == ["not-amendable"]


def test_a_closed_order_is_not_amended():
    answers, sent = [], {}
    script = {
        1: [lambda ctx: sent.update(order=ctx.buy("X", 10))],
        2: [lambda ctx: answers.append(ctx.amend(sent["order"], quantity=20))],
    }
    result = run(bars(FIRST, FLAT, FLAT), script)
    assert set(answers) == {"order-closed"}
    assert ends_of(result) == [("filled", 10.0, "")]


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_a_quantity_that_cannot_be_meant_is_a_mistake(value):
    with pytest.raises(ConfigError, match="cannot be amended to quantity"):
        run(bars(FIRST, FLAT), {1: [buys(10, limit=90), amends(quantity=value)]})
    with pytest.raises(ConfigError, match="takes quantity, limit, trigger or trail"):
        run(bars(FIRST, FLAT), {1: [buys(10, limit=90), amends()]})


def test_an_amendment_takes_its_time_to_arrive():
    rows = bars(FIRST, FLAT, (100, 101, 94, 96), (96, 97, 90, 91), step=1000)
    heard = []

    class Hearing(OnBars):
        def on_order(self, ctx, update):
            if update.action:
                heard.append((ctx.now, update.ts, update.action, update.reason, update.state))

    script = {1: [buys(10, limit=92)], 2: [amends(limit=95)]}
    result = drive(Hearing(script=script), rows, broker=SimulatedBroker(entry_latency=0.0015))
    # Sent at 2000 and there at 3500: the bar of 3000 is still judged by 92, that of 4000 by 95.
    assert fills_of(result) == [(4000, "buy", 10, 95)]
    assert heard == [(3500, 3500, "amended", "", OrderState.ACCEPTED)]
    assert result.amendments.select(
        "order_id", "instrument", "limit_price", "old_limit_price", "quantity", "reason"
    ).rows() == [(1, "X", 95.0, 92.0, None, "")]
    assert [int(result.amendments[name].cast(int)[0]) for name in ("sent_ts", "ts")] == [2000, 3500]


def test_an_amendment_that_comes_too_late_is_refused():
    rows = bars(FIRST, FLAT, (100, 101, 94, 96), (96, 97, 90, 91), step=1000)
    heard = []

    class Hearing(OnBars):
        def on_order(self, ctx, update):
            if update.action:
                heard.append((update.action, update.reason, update.state))

    script = {1: [buys(10, limit=95)], 2: [amends(limit=93)]}
    result = drive(Hearing(script=script), rows, broker=SimulatedBroker(entry_latency=0.0015))
    assert fills_of(result) == [(3000, "buy", 10, 95)]
    assert heard == [("amendment-refused", "order-closed", OrderState.FILLED)]


def test_an_amended_order_is_checked_against_the_account_and_left_as_it_was():
    rows = bars(FIRST, FLAT, (100, 101, 94, 96), (96, 97, 90, 91))
    answers = []
    changes = [amends(answers=answers, quantity=5000), amends(answers=answers, quantity=20)]
    script = {1: [buys(10, limit=95)], 2: changes}
    result = run(rows, script, buying_power="cash", short_selling=False)
    assert answers[:2] == ["insufficient-cash", ""]
    assert fills_of(result) == [(3, "buy", 20, 95)]


def test_what_an_order_reserves_follows_its_amendments():
    """950 of 1000 reserved: no other order fits, until the first one shrinks."""
    rows = bars(FIRST, FLAT, FLAT, FLAT)
    script = {
        1: [buys(10, limit=95)],
        2: [buys(5, limit=90), amends(quantity=5), buys(5, limit=90)],
        3: [amends(quantity=20), buys(1, limit=70), buys(1, limit=60)],
    }
    for wake in ("interest", "every-row"):
        result = drive(OnBars(script=script), rows, cash=1000.0, wake=wake)
        states = result.orders["state"].to_list()
        assert states == ["expired", "rejected", "expired", "expired", "rejected"]
        assert result.orders["quantity"].to_list()[0] == 5.0


def test_a_post_only_order_is_judged_anew_at_its_new_price():
    rows = quotes((98, 99), (98, 99), (98, 99), (98, 99))
    result = run(rows, {1: [buys(10, PostOnly(price=97))], 2: [amends(limit=99)]}, kind="quote")
    assert ends_of(result) == [("cancelled", 0.0, "post-only-would-take")]


# Orders tied to others ------------------------------------------------------------------------------------

BRACKET = Bracket(entry=Limit(price=100), take_profit=110, stop_loss=90)


def test_the_exits_of_a_bracket_can_be_moved_and_shrunk():
    rows = bars(FIRST, FLAT, FLAT, (100, 101, 94, 95), FLAT)
    script = {1: [buys(10, BRACKET)], 3: [amends(1, trigger=95, quantity=6)]}
    result = run(rows, script)
    assert fills_of(result) == [(2, "buy", 10, 100), (4, "sell", 6, 95)]
    assert result.orders["quantity"].to_list() == [10.0, 4.0, 6.0]


def test_an_exit_does_not_outgrow_its_entry():
    answers = []
    script = {1: [buys(10, BRACKET)], 3: [amends(1, answers, quantity=11), amends(1, answers, quantity=9)]}
    script[4] = [amends(1, answers, quantity=10)]
    run(bars(FIRST, FLAT, FLAT, FLAT, FLAT), script)
    assert answers[:3] == ["not-amendable", "", "not-amendable"]


def test_exits_follow_the_quantity_of_their_entry():
    rows = bars(FIRST, (105, 106, 104, 105), (100, 101, 99, 100), (108, 111, 107, 110))
    script = {1: [buys(10, BRACKET)], 2: [amends(0, quantity=16)]}
    grown = run(rows, script)
    assert fills_of(grown) == [(3, "buy", 16, 100), (4, "sell", 16, 110)]
    shrunk = run(rows, {1: [buys(10, BRACKET)], 2: [amends(0, quantity=3)]})
    assert fills_of(shrunk) == [(3, "buy", 3, 100), (4, "sell", 3, 110)]
    assert shrunk.orders["quantity"].to_list()[:2] == [3.0, 3.0]


def test_a_distance_is_not_amended_before_the_entry_has_filled():
    answers = []
    order = Bracket(entry=Limit(price=100), take_profit=0.1, distance="fraction")
    rows = bars((103, 104, 102, 103), (103, 104, 102, 103), (100, 101, 99, 100), (104, 106, 103, 105))
    script = {1: [buys(10, order)], 2: [amends(1, answers, limit=105)], 3: [amends(0, answers, limit=105)]}
    result = run(rows, script)
    assert answers[:2] == ["not-amendable", ""]
    assert fills_of(result) == [(3, "buy", 10, 100), (4, "sell", 10, 105)]


def test_a_member_of_a_group_can_be_amended_and_still_shares():
    order = OneUpdatesOther(orders=(Limit(price=95), Stop(price=105)))
    rows = bars(FIRST, FLAT, (100, 101, 95.5, 97, 40), (97, 106, 97, 105), FLAT)
    result = run(rows, {1: [buys(10, order)], 2: [amends(0, limit=96)]}, participation_limit=0.1)
    assert fills_of(result) == [(3, "buy", 4, 96), (4, "buy", 6, 105)]


# Replacing ------------------------------------------------------------------------------------------------


def replaces(type=None, **options):
    return lambda ctx: ctx.replace(ctx.open_orders()[0], type, **options)


def test_a_replacement_trades_what_remained():
    rows = bars(FIRST, (100, 101, 97, 99, 40), FLAT, (104, 106, 103, 105, 1000))
    result = run(rows, {1: [buys(10, limit=98)], 3: [replaces(Stop(price=105))]}, participation_limit=0.1)
    assert fills_of(result) == [(2, "buy", 4, 98), (4, "buy", 6, 105)]
    assert ends_of(result) == [("cancelled", 4.0, "replaced"), ("filled", 6.0, "")]
    assert result.orders["type"].to_list() == ["limit", "stop"]


def test_a_replacement_can_use_what_the_old_order_had_reserved():
    rows = bars(FIRST, FLAT, (100, 101, 94, 95), FLAT)
    script = {1: [buys(10, limit=90)], 2: [replaces(limit=95, quantity=10)]}
    result = drive(OnBars(script=script), rows, cash=1000.0)
    assert fills_of(result) == [(3, "buy", 10, 95)]


def test_what_the_old_order_fills_on_the_way_is_taken_off_its_replacement():
    rows = bars(FIRST, FLAT, (100, 101, 97, 99, 40), FLAT, (97, 98, 96, 97, 1000), step=1000)
    script = {1: [buys(10, limit=98)], 2: [replaces(limit=97)]}
    result = drive(OnBars(script=script), rows, broker=SimulatedBroker(entry_latency=0.0015, participation_limit=0.1))
    assert fills_of(result) == [(3000, "buy", 4, 98), (5000, "buy", 6, 97)]
    assert ends_of(result) == [("cancelled", 4.0, "replaced"), ("filled", 6.0, "")]


def test_the_replacement_of_an_order_that_has_filled_is_cancelled():
    rows = bars(FIRST, FLAT, (100, 101, 97, 99), (97, 98, 96, 97), step=1000)
    result = drive(
        OnBars(script={1: [buys(10, limit=98)], 2: [replaces(limit=97)]}),
        rows,
        broker=SimulatedBroker(entry_latency=0.0015),
    )
    assert ends_of(result) == [("filled", 10.0, ""), ("cancelled", 0.0, "replaced")]
    sent = {}
    script = {
        1: [lambda ctx: sent.update(order=ctx.buy("X", 10))],
        2: [lambda ctx: ctx.replace(sent["order"], quantity=5)],
    }
    late = run(rows, script)
    assert ends_of(late) == [("filled", 10.0, ""), ("cancelled", 0.0, "replaced")]


def test_an_order_tied_to_others_is_not_replaced():
    with pytest.raises(ConfigError, match="is tied to others"):
        run(bars(FIRST, FLAT), {1: [buys(10, BRACKET), replaces(limit=95)]})


def test_a_sale_is_amended_as_a_purchase_is():
    sold = run(bars(FIRST, FLAT, (100, 106, 99, 104)), {1: [sells(10, limit=110)], 2: [amends(limit=105)]})
    assert fills_of(sold) == [(3, "sell", 10, 105)]
