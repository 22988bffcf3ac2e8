"""Policies of simulators that know closing prices alone, by name; every number is worked out by hand."""

from __future__ import annotations

import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_costs import FixedBps, Percent, PerShare
from qengine_orders import Bracket, Limit, Stop, StopLimit
from qengine_strategy import Strategy
from qengine_strategy.testing import drive

from qengine_core.plugin import ConfigError

CLOSE = {"fill_timing": "same-close"}
PAID = CLOSE | {"buying_power": "purchases", "admission": "at-fill", "short_selling": True, "shortfall": "reduce"}
LOCKED = PAID | {"buying_power": "purchases-locked"}
DAY = 86_400_000_000_000


class Script(Strategy):
    """Does ``script[ts]`` on the bars of that time: functions of the context."""

    script: dict

    def on_slice(self, ctx, bars):
        for do in self.script.get(ctx.now, ()):
            do(ctx)


def bar(ts, close, volume=1000.0, instrument="X", **prices):
    flat = dict.fromkeys(("open", "high", "low", "close"), close)
    return {"ts": ts, "instrument": instrument, **flat, "volume": volume, **prices}


def run(rows, script, cash=100_000.0, commission="none", slippage="none", wake="interest", **broker):
    script = {ts: does if isinstance(does, list) else [does] for ts, does in script.items()}
    costs = {"commission": commission, "slippage": slippage}
    return drive(Script(script=script), rows, cash=cash, broker=SimulatedBroker(**broker), wake=wake, **costs)


def order(quantity, type=None, name="X", **options):
    return lambda ctx: ctx.order(name, quantity, type, **options)


def fills(result):
    """Time, instrument, signed quantity and price of each fill, in order."""
    table = result.fills.select(result.fills["ts"].cast(int), "instrument", "side", "quantity", "price")
    return [(ts, name, size if side == "buy" else -size, price) for ts, name, side, size, price in table.iter_rows()]


def states(result):
    return list(zip(result.orders["state"], result.orders["reason"], strict=True))


# Limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matching_order", ["exits-first", "in-turn"])
@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_a_limit_once_reached_stays_reached_where_that_is_the_rule(wake, matching_order):
    rows = [bar(1, 10.0), bar(2, 9.0, 100.0), bar(3, 11.0, 100.0), bar(4, 9.5, 100.0)]
    rules = {"fill_timing": "next-close", "participation_limit": 0.1, "matching_order": matching_order, "wake": wake}
    script = {1: order(20, Limit(9.5))}
    assert fills(run(rows, script, limit_memory=True, **rules)) == [(2, "X", 10.0, 9.0), (3, "X", 10.0, 11.0)]
    assert fills(run(rows, script, **rules)) == [(2, "X", 10.0, 9.0), (4, "X", 10.0, 9.5)]


def test_a_stop_limit_under_next_close_is_judged_by_the_close_alone_in_turn_too():
    rows = [bar(1, 10.0), bar(2, 10.0, high=12.0), bar(3, 11.2, low=9.0), bar(4, 11.0)]
    script = {1: [order(5, StopLimit(11.0, 11.5)), order(7, StopLimit(11.0, 11.1))]}
    result = run(rows, script, fill_timing="next-close", matching_order="in-turn")
    assert fills(result) == [(3, "X", 5.0, 11.2), (4, "X", 7.0, 11.0)]


def test_slippage_may_carry_a_fill_beyond_its_limit_where_that_is_the_rule():
    rows, script = [bar(1, 10.0), bar(2, 9.5)], {1: order(10, Limit(9.5))}
    rules = {"slippage": FixedBps(bps=100.0), "clip_to_range": False}
    assert fills(run(rows, script, **rules)) == [(2, "X", 10.0, 9.5)]
    assert fills(run(rows, script, limit_bounds_slippage=False, **rules)) == [(2, "X", 10.0, pytest.approx(9.595))]


# Grids -----------------------------------------------------------------------------------------------------


def test_instruments_that_name_no_lot_have_the_brokers_within_its_tolerance():
    rows = [bar(1, 10.0), bar(2, 10.0)]
    script = {1: [order(10.75), order(-4.99995), order(0.5)]}
    result = run(rows, script, lot_size=1.0, lot_tolerance=1e-4, short_selling=True)
    assert [quantity for _, _, quantity, _ in fills(result)] == [10.0, -5.0]
    assert states(result)[2] == ("rejected", "zero-quantity")
    assert [q for _, _, q, _ in fills(run(rows, script, lot_size=1.0, short_selling=True))] == [10.0, -4.0]


def test_instruments_that_name_no_tick_have_the_brokers_within_its_tolerance():
    """A buy limit goes down to a tick unless it is nearly at the next one, a sell limit up; a stop the other way."""
    script = {1: [order(1, Limit(9.994)), order(1, Limit(9.9996)), order(-1, Limit(10.116)), order(1, Stop(11.001))]}
    result = run([bar(1, 10.0)], script, tick_size=0.01, tick_tolerance=0.05, short_selling=True)
    assert result.orders["limit_price"].drop_nulls().to_list() == pytest.approx([9.99, 10.0, 10.12])
    assert result.orders["trigger_price"].drop_nulls().to_list() == pytest.approx([11.01])


# One close for all -----------------------------------------------------------------------------------------

PAIR = [bar(ts, 10.0, instrument=name) for ts in (1, 2) for name in ("X", "Y")]


@pytest.mark.parametrize("wake", ["interest", "every-row"])
@pytest.mark.parametrize(("rule", "names"), [("as-sent", "YXY"), ("by-instrument", "XYY"), ("by-value", "YYX")])
def test_orders_of_one_close_fill_by_instrument_or_by_value(rule, names, wake):
    script = {1: [order(30, name="Y"), order(90), order(-20, name="Y")]}
    result = run(PAIR, script, close_order=rule, short_selling=True, wake=wake, **CLOSE)
    assert "".join(name for _, name, _, _ in fills(result)) == names
    assert {ts for ts, *_ in fills(result)} == {1}


def test_targets_of_one_close_are_worked_out_before_any_of_them_fills():
    """Half of 1,000 each, though the first fill pays a commission of a tenth."""
    script = {1: [lambda ctx: ctx.order_target_percent("X", 0.4), lambda ctx: ctx.order_target_percent("Y", 0.4)]}
    costs = {"commission": Percent(rate=0.1), "cash": 1000.0}
    together = run(PAIR, script, close_order="by-instrument", **costs, **CLOSE)
    assert [quantity for _, _, quantity, _ in fills(together)] == [40.0, 40.0]
    assert [quantity for _, _, quantity, _ in fills(run(PAIR, script, **costs, **CLOSE))] == [40.0, pytest.approx(38.4)]


def test_orders_of_the_last_close_fill_and_show_in_the_curve():
    result = run(PAIR, {2: order(10)}, close_order="by-instrument", commission=PerShare(rate=1.0), **CLOSE)
    assert fills(result) == [(2, "X", 10.0, 10.0)]
    assert result.equity["equity"][-1] == 99_990.0


@pytest.mark.parametrize("rule", ["as-sent", "by-instrument"])
def test_what_a_close_does_not_fill_of_a_market_order_is_cancelled_where_that_is_the_rule(rule):
    """Y has no bar at 2; of X there is volume for 10; a limit is not at market, and waits."""
    rows = [bar(1, 10.0), bar(1, 10.0, instrument="Y"), bar(2, 10.0, 100.0), bar(3, 10.0), bar(3, 10.0, instrument="Y")]
    script = {2: [order(5, name="Y"), order(15), order(5, Limit(9.0))]}
    rules = {"close_order": rule, "participation_limit": 0.1, **CLOSE}
    ended = run(rows, script, close_remainder="cancelled", **rules)
    assert fills(ended) == [(2, "X", 10.0, 10.0)]
    assert states(ended) == [("cancelled", "no-price"), ("cancelled", "close-remainder"), ("expired", "end-of-data")]
    assert len(fills(run(rows, script, **rules))) == 3


# Money -----------------------------------------------------------------------------------------------------


def test_under_purchases_a_purchase_takes_what_the_cash_pays_with_its_commission():
    """1,010 pays for 100 at 10 with one percent; then nothing is left, and the next purchase is refused."""
    result = run([bar(1, 10.0), bar(2, 10.0)], {1: order(200), 2: order(1)}, 1010.0, Percent(rate=0.01), **PAID)
    assert fills(result) == [(1, "X", pytest.approx(100.0, abs=1e-9), 10.0)]
    assert states(result) == [("cancelled", "insufficient-cash")] * 2
    assert result.equity["cash"][-1] == pytest.approx(0.0, abs=1e-9)


def test_under_purchases_a_short_is_not_checked_its_proceeds_are_cash_and_covering_is_paid():
    """A short of 2,000 on 1,000; its proceeds buy 250 Y; at 20 the 400 left covers 20 of 200."""
    rows = [bar(ts, price, instrument=name) for ts, price in ((1, 10.0), (2, 20.0)) for name in ("X", "Y")]
    script = {1: [order(-200), order(260, name="Y")], 2: order(200)}
    result = run(rows, script, 1000.0, **PAID)
    assert fills(result) == [(1, "X", -200.0, 10.0), (1, "Y", 260.0, 10.0), (2, "X", 20.0, 20.0)]


def test_under_purchases_a_sale_that_cannot_pay_its_commission_is_refused():
    result = run([bar(1, 10.0)], {1: order(-1)}, commission=PerShare(rate=1.0, minimum=11.0), **PAID)
    assert states(result) == [("cancelled", "insufficient-cash")]


def test_locked_proceeds_and_as_much_again_are_no_cash():
    """Of 1,000, a short of 40 at 10 locks 400 and 400 of proceeds: 600 is free, for 60 and no more."""
    script = {1: [order(-40), order(100, name="Y")]}
    assert fills(run(PAIR, script, 1000.0, **LOCKED)) == [(1, "X", -40.0, 10.0), (1, "Y", 60.0, 10.0)]
    assert fills(run(PAIR, {1: order(-150)}, 1000.0, **LOCKED)) == [(1, "X", -100.0, 10.0)]


def test_locked_proceeds_are_set_free_by_what_they_cover():
    """A short of 50 at 10 covers itself at 12 for 600, out of 500 free and 1,000 that it had locked."""
    rows = [bar(1, 10.0), bar(2, 12.0), bar(3, 12.0)]
    result = run(rows, {1: order(-50), 2: order(50)}, 1000.0, **LOCKED)
    assert fills(result) == [(1, "X", -50.0, 10.0), (2, "X", 50.0, 12.0)]
    # Purchases of Y leave 50 free, or 10: each unit covered at 25 takes as much, and sets 20 free.
    rows = [bar(ts, price, instrument=name) for ts, price in ((1, 10.0), (2, 25.0)) for name in ("X", "Y")]
    script = {1: [order(-10), order(85, name="Y")], 2: order(10)}
    assert fills(run(rows, script, 1000.0, **LOCKED))[2] == (2, "X", 10.0, 25.0)
    script = {1: [order(-10), order(89, name="Y")], 2: order(10)}
    assert fills(run(rows, script, 1000.0, **LOCKED))[2] == (2, "X", pytest.approx(2.0), 25.0)


def test_a_commission_by_request_is_of_all_that_was_asked_for_at_the_first_fill():
    rows = [bar(1, 10.0), bar(2, 10.0, 100.0), bar(3, 10.0, 100.0)]
    rules = {"participation_limit": 0.1, "commission": PerShare(rate=1.0)}
    assert run(rows, {1: order(20)}, commission_unit="request", **rules).fills["commission"].to_list() == [20.0, 0.0]
    assert run(rows, {1: order(20)}, **rules).fills["commission"].to_list() == [10.0, 10.0]


# Exits -----------------------------------------------------------------------------------------------------


def test_exits_pay_no_slippage_where_that_is_the_rule():
    rows = [bar(1, 10.0), bar(2, 10.0), bar(3, 9.0, high=10.0, open=10.0, low=8.0)]
    script = {1: order(5, Bracket(stop_loss=9.0))}
    rules = {"slippage": FixedBps(bps=100.0), "clip_to_range": False}
    assert [price for *_, price in fills(run(rows, script, **rules))] == pytest.approx([10.1, 8.91])
    assert [price for *_, price in fills(run(rows, script, slippage_on_exits=False, **rules))] == pytest.approx(
        [10.1, 9.0]
    )


def test_distances_and_trails_of_exits_start_at_the_close_where_that_is_the_rule():
    rows = [bar(1, 10.0), bar(2, 8.0, open=10.0, high=10.0)]
    rules = {"slippage": FixedBps(bps=100.0), "slippage_on_exits": False, "clip_to_range": False, **CLOSE}
    stop = {1: order(5, Bracket(stop_loss=0.1, distance="fraction"))}
    trail = {1: order(5, Bracket(trail=0.1, distance="fraction"))}
    assert fills(run(rows, stop, distance_from="close", **rules))[1][3] == pytest.approx(9.0)
    assert fills(run(rows, stop, **rules))[1][3] == pytest.approx(9.09)
    assert fills(run(rows, trail, trail_start="entry-close", **rules))[1][3] == pytest.approx(9.0)
    assert fills(run(rows, trail, **rules))[1][3] == pytest.approx(9.09)


# Sessions and targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_every_open_order_ends_with_its_session_where_that_is_the_rule(wake):
    """Sessions are days in UTC; an order that is sent at the very close is cancelled with the others."""
    rows = [bar(moment, 10.0) for moment in (DAY // 2, DAY, 3 * DAY // 2, 2 * DAY)]
    script = {DAY // 2: order(1, Limit(5.0)), DAY: order(1), 3 * DAY // 2: order(1, Limit(6.0))}
    result = run(rows, script, session_end="cancel-all", wake=wake)
    assert states(result) == [("cancelled", "end-of-session")] * 3
    assert result.orders["closed_ts"].cast(int).to_list() == [DAY, DAY, 2 * DAY]


@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_the_first_of_several_orders_ends_with_its_session_where_that_is_the_rule(wake):
    """At each close one order goes while there are two of an instrument; the last one stays."""
    rows = [bar(day * DAY, 10.0) for day in range(1, 6)]
    script = {DAY: [order(1, Limit(5.0)), order(1, Limit(6.0)), order(1, Limit(7.0))]}
    result = run(rows, script, session_end="cancel-first-of-several", wake=wake)
    assert result.orders["closed_ts"].cast(int).to_list() == [DAY, 2 * DAY, 5 * DAY]
    assert [reason for _, reason in states(result)] == ["end-of-session", "end-of-session", "end-of-data"]


def test_a_target_takes_no_account_of_open_orders_where_that_is_the_rule():
    script = {1: [order(10), lambda ctx: ctx.order_target("X", 15)]}
    rows = [bar(1, 10.0), bar(2, 10.0)]
    assert [quantity for _, _, quantity, _ in fills(run(rows, script))] == [10.0, 5.0]
    result = run(rows, script, targets_count_open_orders=False)
    assert [quantity for _, _, quantity, _ in fills(result)] == [10.0, 15.0]


@pytest.mark.parametrize(
    "settings",
    [
        {"close_order": "by-value"},
        {"close_remainder": "cancelled"},
        {"buying_power": "purchases"},
        {"buying_power": "purchases-locked"},
    ],
)
def test_policies_of_closes_that_need_another_say_so(settings):
    with pytest.raises(ConfigError, match=r"needs (fill_timing|admission) = "):
        SimulatedBroker(**settings)
