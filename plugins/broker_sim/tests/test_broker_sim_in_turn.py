"""Policies of simulators that keep one queue of orders, by name; every number is worked out by hand."""

from __future__ import annotations

import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_costs import FixedBps, PerShare
from qengine_orders import Bracket, Limit, OneCancelsOther, OneUpdatesOther, Stop, StopLimit
from qengine_strategy import Strategy
from qengine_strategy.testing import drive

from qengine_core.plugin import ConfigError

IN_TURN = {"matching_order": "in-turn"}
TRADES = IN_TURN | {"netting": "trades", "short_selling": True, "admission": "at-fill"}


class Script(Strategy):
    """Does ``script[ts]`` on the bars of that time: functions of the context."""

    script: dict

    def on_slice(self, ctx, bars):
        for do in self.script.get(ctx.now, ()):
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


def run(rows, script, cash=100_000.0, commission="none", slippage="none", wake="interest", **broker):
    script = {ts: does if isinstance(does, list) else [does] for ts, does in script.items()}
    return drive(
        Script(script=script),
        rows,
        cash=cash,
        broker=SimulatedBroker(**broker),
        commission=commission,
        slippage=slippage,
        wake=wake,
    )


def buy(quantity, type=None, name="X", **options):
    return lambda ctx: ctx.buy(name, quantity, type, **options)


def sell(quantity, type=None, name="X", **options):
    return lambda ctx: ctx.sell(name, quantity, type, **options)


def fills(result):
    """Time, signed quantity and price of each fill, in order."""
    return [
        (ts, quantity if side == "buy" else -quantity, price)
        for ts, side, quantity, price in result.fills.select(
            result.fills["ts"].cast(int), "side", "quantity", "price"
        ).iter_rows()
    ]


def states(result):
    return list(zip(result.orders["state"], result.orders["reason"], strict=True))


FLAT = [bar(ts, 10.0) for ts in range(1, 6)]
BOTH = [row for ts in range(1, 6) for row in (bar(ts, 10.0), bar(ts, 10.0, instrument="Y"))]


# Whose turn it is ------------------------------------------------------------------------------------------


def test_in_turn_orders_are_filled_as_they_were_accepted_over_all_instruments():
    """The account holds 100 X and no cash: a purchase that was sent before the sale comes too early."""
    script = {1: buy(100), 3: [buy(50, name="Y"), sell(100)]}
    rules = {"admission": "at-fill", "buying_power": "proceeds"}
    early = run(BOTH, script, cash=1000.0, **rules, **IN_TURN)
    assert fills(early) == [(2, 100.0, 10.0), (4, -100.0, 10.0)]
    assert states(early)[1] == ("cancelled", "insufficient-cash")
    first = run(BOTH, script, cash=1000.0, **rules)
    assert fills(first) == [(2, 100.0, 10.0), (4, -100.0, 10.0), (4, 50.0, 10.0)]


def test_in_turn_the_stop_comes_before_the_other_exits_of_its_entry():
    """The bar opens beyond the target and falls through the stop: on any path the target comes first."""
    rows = [bar(1, 10.0), bar(2, 10.0), bar(3, 13.0, high=14.0, low=8.0, close=8.5)]
    script = {1: buy(5, Bracket(take_profit=12.0, stop_loss=9.0))}
    assert fills(run(rows, script, **IN_TURN)) == [(2, 5.0, 10.0), (3, -5.0, 9.0)]
    assert fills(run(rows, script)) == [(2, 5.0, 10.0), (3, -5.0, 13.0)]


UP = bar(2, 10.0, high=12.0, low=9.5, close=11.5)  # through a stop at 11 on the way
BACK = bar(2, 10.8, high=12.0, low=10.0, close=10.2)  # through it, and back down


@pytest.mark.parametrize(
    ("rule", "row", "limit", "expected"),
    [
        ("by-path", UP, 11.5, (3, 11.2)),
        ("close-back", UP, 11.5, (2, 11.0)),
        ("at-trigger", UP, 11.5, (2, 11.0)),
        ("by-path", BACK, 10.5, (3, 10.5)),
        ("close-back", BACK, 10.5, (2, 10.5)),
        ("at-trigger", BACK, 10.5, (3, 10.5)),
        ("close-back", UP, 10.5, (3, 10.5)),  # it closed above the limit
        ("by-path", bar(2, 11.25, high=12.0, low=11.0), 11.5, (2, 11.25)),  # it opened beyond the stop
        ("close-back", bar(2, 11.25, high=12.0, low=11.0), 11.5, (2, 11.25)),
        ("at-trigger", bar(2, 11.25, high=12.0, low=11.2), 11.5, (2, 11.0)),  # at a price that was not there
    ],
)
def test_in_turn_a_stop_limit_fills_on_its_trigger_bar_as_the_rule_says(rule, row, limit, expected):
    result = run(
        [bar(1, 10.0), row, bar(3, 11.2, high=11.3, low=10.4)],
        {1: buy(5, StopLimit(price=11.0, limit=limit))},
        stop_limit=rule,
        **IN_TURN,
    )
    assert fills(result) == [(expected[0], 5.0, expected[1])]


def test_in_turn_under_next_close_a_stop_limit_is_judged_at_the_close_alone():
    rules = {"fill_timing": "next-close", "stop_limit": "close-back", **IN_TURN}
    script = {1: buy(5, StopLimit(price=11.0, limit=11.5))}
    inside = bar(2, 10.0, high=12.0, close=10.5)
    assert fills(run([bar(1, 10.0), inside], script, **rules)) == []
    assert fills(run([bar(1, 10.0), inside, bar(3, 10.0, close=11.2)], script, **rules)) == [(3, 5.0, 11.2)]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_in_turn_a_stop_limit_to_sell_mirrors_one_to_buy(direction):
    """On a bar that closes where it opened only the sale counts as turned: that is the rule's one asymmetry."""
    row = bar(2, 10.0, high=12.0, low=8.0, close=10.0)
    does = buy(5, StopLimit(price=11.0, limit=10.5)) if direction == "up" else sell(5, StopLimit(price=9.0, limit=9.5))
    result = run([bar(1, 10.0), row], {1: does}, stop_limit="close-back", short_selling=True, **IN_TURN)
    assert fills(result) == ([] if direction == "up" else [(2, -5.0, 9.5)])


@pytest.mark.parametrize(("memory", "expected"), [(True, (3, 50.0, 10.2)), (False, (4, 50.0, 11.0))])
def test_what_a_partial_fill_leaves_of_a_stop_needs_its_trigger_again_without_memory(memory, expected):
    rows = [bar(1, 10.0), bar(2, 10.0, high=11.5), bar(3, 10.2, high=10.4), bar(4, 10.0, high=12.0)]
    script = {1: buy(150, Stop(price=11.0))}
    result = run(rows, script, participation_limit=0.1, trigger_memory=memory, **IN_TURN)
    assert fills(result) == [(2, 100.0, 11.0), expected]


def test_each_order_may_take_its_own_share_of_the_volume():
    script = {1: [buy(80), buy(80)]}
    assert fills(run(FLAT, script, participation_limit=0.1)) == [(2, 80.0, 10.0), (2, 20.0, 10.0), (3, 60.0, 10.0)]
    alone = run(FLAT, script, participation_limit=0.1, participation="each-order")
    assert fills(alone) == [(2, 80.0, 10.0), (2, 80.0, 10.0)]


def test_an_order_is_tried_against_the_last_row_where_its_instrument_has_none():
    """Y has no row at 2 and 3; its row at 1 went down to 9. An order at market waits for a row all the same."""
    rows = [bar(ts, 10.0) for ts in (1, 2, 3)]
    rows.insert(1, bar(1, 10.0, low=9.0, instrument="Y"))
    rows.append(bar(4, 12.0, instrument="Y"))
    script = {1: [buy(5, name="Y", limit=9.5), buy(3, name="Y")]}
    waiting = run(rows, script, **IN_TURN)
    assert fills(waiting) == [(4, 3.0, 12.0)]
    for wake in ("interest", "every-row"):
        retried = run(rows, script, missing_rows="retry", wake=wake, **IN_TURN)
        assert fills(retried) == [(2, 5.0, 9.5), (4, 3.0, 12.0)]
        assert retried.equity["cash"][-1] == pytest.approx(100_000 - 5 * 9.5 - 3 * 12)


# Orders that belong together -------------------------------------------------------------------------------


def test_exits_act_in_full_from_the_instant_after_their_entry_is_complete():
    """Volume for 100 a bar: the entry takes bars 2 and 3; bar 3 reaches the stop, bar 4 fills 100 of it at the open."""
    rows = [bar(1, 10.0), bar(2, 10.0), bar(3, 10.0, low=8.0, close=8.5), bar(4, 8.5), bar(5, 8.5, high=12.0)]
    script = {1: buy(150, Bracket(stop_loss=9.0, take_profit=12.0))}
    rules = {"participation_limit": 0.1, "participation": "each-order"}
    whole = run(rows, script, exits_act="when-complete", **rules, **IN_TURN)
    assert fills(whole) == [(2, 100.0, 10.0), (3, 50.0, 10.0), (4, -100.0, 8.5), (5, -50.0, 8.5)]
    assert states(whole)[1:] in (
        [("cancelled", "one-cancels-other"), ("filled", "")],
        [("filled", ""), ("cancelled", "one-cancels-other")],
    )
    parts = run(rows, script, **rules, **IN_TURN)
    assert fills(parts)[:3] == [(2, 100.0, 10.0), (3, 50.0, 10.0), (3, -100.0, 9.0)]


@pytest.mark.parametrize("rule", ["as-filled", "when-complete"])
def test_orders_that_wait_for_nobody_step_back_fill_by_fill(rule):
    """Two fills of 100 take 200 of 300 off the sibling, whatever exits wait for."""
    pair = OneUpdatesOther(orders=(Limit(price=10.0), Limit(price=7.0)))
    result = run(FLAT[:3], {1: buy(300, pair)}, participation_limit=0.1, exits_act=rule, **IN_TURN)
    assert fills(result) == [(2, 100.0, 10.0), (3, 100.0, 10.0)]
    assert result.orders["quantity"].to_list() == [300.0, 100.0]


def test_an_order_that_is_cancelled_takes_those_that_were_sent_with_it():
    def cancel_first(ctx):
        ctx.cancel(ctx.open_orders()[0])

    pair = OneCancelsOther(orders=(Limit(price=8.0), Limit(price=7.0)))
    script = {1: buy(5, pair), 2: cancel_first}
    together = run(FLAT, script, groups_end="together")
    assert states(together) == [("cancelled", "requested"), ("cancelled", "one-cancels-other")]
    assert states(run(FLAT, script)) == [("cancelled", "requested"), ("expired", "end-of-data")]


@pytest.mark.parametrize(("start", "level"), [("fill", 11.0), ("sent", 9.0), ("entry-close", 10.5)])
def test_a_trail_starts_where_the_policy_says(start, level):
    """Sent at a close of 10, filled at 12, the entry's bar closed at 11.5; one behind, then a fall to 8."""
    rows = [bar(1, 10.0), bar(2, 12.0, close=11.5), bar(3, 11.4, low=8.0, close=8.2)]
    script = {1: buy(5, Bracket(trail=1.0, distance="amount"))}
    result = run(rows, script, trail_start=start, trail_mark="close", **IN_TURN)
    assert fills(result) == [(2, 5.0, 12.0), (3, -5.0, level)]


# Money -----------------------------------------------------------------------------------------------------


def test_in_sequence_a_refused_order_leaves_its_mark_on_those_after_it():
    """1,000 of cash: 600 pass, the next 600 do not, and 50 do not while the shadow stands at -200; a sale makes up."""
    script = {1: [buy(60), buy(60), buy(5), sell(30), buy(5)]}
    rules = {"buying_power": "proceeds", "short_selling": True, **IN_TURN}
    judged = run(FLAT, script, cash=1000.0, admission="in-sequence", **rules)
    refused = ("rejected", "insufficient-cash")
    assert states(judged) == [("filled", ""), refused, refused, ("filled", ""), ("filled", "")]
    asked = run(FLAT, script, cash=1000.0, admission="reserve", buying_power="cash", short_selling=True)
    assert states(asked)[2] == ("filled", "")


def test_in_sequence_an_order_is_judged_at_the_price_it_names_or_the_last():
    script = {1: [buy(60, limit=9.0), buy(60, Stop(price=8.0)), buy(60)]}  # 540 and 480, then 600 more at the close
    result = run(FLAT, script, cash=1100.0, admission="in-sequence", buying_power="proceeds", **IN_TURN)
    assert [state for state, _ in states(result)] == ["expired", "filled", "rejected"]


def test_at_the_fill_alone_open_orders_reserve_nothing():
    script = {1: [buy(80, limit=9.0), buy(80, limit=9.0)]}
    rows = [*FLAT[:2], bar(3, 10.0, low=8.0)]
    assert states(run(rows, script, cash=1000.0))[1] == ("rejected", "insufficient-cash")
    late = run(rows, script, cash=1000.0, admission="at-fill")
    assert states(late) == [("filled", ""), ("cancelled", "insufficient-cash")]


def test_proceeds_of_a_short_sale_buy_like_any_cash():
    """80 X sold short for 800 beside 100 of cash pay for 90 Y; under 'cash' they are collateral."""
    script = {1: sell(80), 2: buy(90, name="Y"), 3: buy(1, name="Y")}
    spent = run(BOTH, script, cash=100.0, buying_power="proceeds", short_selling=True, admission="at-fill")
    assert fills(spent) == [(2, -80.0, 10.0), (3, 90.0, 10.0)]
    assert run(BOTH, script, cash=100.0, short_selling=True).fills.height == 1  # ten of Y at most


def test_under_proceeds_buying_a_short_back_is_never_refused_and_cash_may_fall_below_zero():
    rows = [bar(1, 10.0), bar(2, 10.0), bar(3, 30.0), bar(4, 30.0)]
    script = {1: sell(80), 3: buy(80)}
    result = run(rows, script, cash=100.0, buying_power="proceeds", short_selling=True, admission="at-fill")
    assert fills(result) == [(2, -80.0, 10.0), (4, 80.0, 30.0)]
    assert result.equity["cash"][-1] == pytest.approx(100 + 800 - 2400)


def test_at_a_leverage_a_long_position_ties_up_its_value_divided_by_it():
    """1,000 at a leverage of 2 hold 150 at 10 and no 60 more. Sold at 12, the gain is the account's alone."""
    rows = [*FLAT[:2], bar(3, 10.0), bar(4, 12.0), bar(5, 12.0), bar(6, 12.0)]
    script = {1: buy(150), 2: buy(60), 3: sell(150), 4: buy(217), 5: buy(216)}  # 1,300 buy 2,600 worth: 216 at 12
    rules = {"buying_power": "proceeds", "leverage": 2.0, "admission": "at-fill"}
    result = run(rows, script, cash=1000.0, **rules)
    assert fills(result) == [(2, 150.0, 10.0), (4, -150.0, 12.0), (6, 216.0, 12.0)]
    judged = run(rows, script, cash=1000.0, **(rules | {"admission": "in-sequence"}))
    assert states(judged)[1] == ("rejected", "insufficient-cash")
    assert fills(judged)[:2] == fills(result)[:2]


def test_equity_backs_what_is_opened_with_the_closes_of_the_row_itself():
    """The bar closes at 20: after 60 bought at 10, 1,600 of equity carry 1,200 already, and 600 more are refused."""
    rows = [bar(1, 10.0), bar(2, 10.0, close=20.0)]
    script = {1: [buy(60), buy(60)]}
    rules = {"buying_power": "equity", "admission": "at-fill", **IN_TURN}
    result = run(rows, script, cash=1000.0, **rules)
    assert states(result) == [("filled", ""), ("cancelled", "insufficient-cash")]
    assert run(rows, script, cash=1000.0, leverage=2.0, **rules).fills.height == 2


def test_equity_backs_shorts_as_it_backs_longs():
    rules = {"buying_power": "equity", "admission": "at-fill", "short_selling": True, **IN_TURN}
    assert run(FLAT, {1: sell(100)}, cash=1000.0, **rules).fills.height == 1
    assert run(FLAT, {1: sell(101)}, cash=1000.0, **rules).fills.height == 0


def test_the_closing_and_the_opening_part_of_a_fill_pay_commission_each_by_itself():
    """100 long, 150 sold: 0.5 and 0.25 are less than the minimum of 1, once for each part, once for the order."""
    script = {1: buy(100), 2: sell(150)}
    fee = PerShare(rate=0.005, minimum=1.0)
    parts = run(FLAT, script, commission=fee, commission_unit="part", short_selling=True)
    assert parts.fills["commission"].to_list() == [1.0, 2.0]
    assert run(FLAT, script, commission=fee, short_selling=True).fills["commission"].to_list() == [1.0, 1.0]


def test_each_fill_of_an_order_pays_its_own_minimum_where_parts_do():
    fee = PerShare(rate=0.005, minimum=1.0)
    rules = {"participation_limit": 0.1, "commission_unit": "part"}
    assert run(FLAT, {1: buy(150)}, commission=fee, **rules).fills["commission"].to_list() == [1.0, 1.0]


# Positions made of trades ----------------------------------------------------------------------------------


def test_an_order_of_the_other_side_closes_trades_oldest_first_a_fill_for_each():
    script = {1: buy(10), 2: buy(20), 3: sell(15), 4: sell(30)}
    result = run([*FLAT, bar(6, 10.0)], script, **TRADES)
    assert fills(result)[2:] == [(4, -10.0, 10.0), (4, -5.0, 10.0), (5, -15.0, 10.0), (5, -15.0, 10.0)]
    assert result.positions["quantity"][-1] == -15.0


def test_a_spread_is_paid_on_opening_alone_whatever_the_limit():
    """10 bought at a limit of 9 with 1 %: 9.09; sold at 10 without."""
    rows = [bar(1, 10.0), bar(2, 10.0, low=8.0, close=10.0), bar(3, 10.0)]
    script = {1: buy(10, limit=9.0), 2: sell(10)}
    result = run(rows, script, slippage=FixedBps(bps=100.0), slippage_on="opening", **TRADES)
    assert fills(result) == [(2, 10.0, pytest.approx(9.09)), (3, -10.0, 10.0)]


def test_exits_close_what_is_left_of_their_own_trade():
    """Of two trades the older loses 10 of 12 to a sale: its stop closes 2, and the stop of the younger all 5."""
    rows = [*FLAT[:4], bar(5, 10.0, low=8.0)]
    script = {1: buy(12, Bracket(stop_loss=9.0)), 2: buy(5, Bracket(stop_loss=8.5)), 3: sell(10)}
    result = run(rows, script, **TRADES)
    assert sorted(fills(result)[3:]) == [(5, -5.0, 8.5), (5, -2.0, 9.0)]


def test_exits_end_with_their_trade():
    script = {1: buy(12, Bracket(stop_loss=9.0, take_profit=12.0)), 2: sell(12)}
    assert states(run(FLAT, script, **TRADES))[1:3] == [("cancelled", "parent-closed")] * 2
    rows = [*FLAT[:3], bar(4, 10.0, low=8.0)]
    stopped = run(rows, {1: script[1]}, **TRADES)
    assert sorted(states(stopped)[1:]) == [("cancelled", "one-cancels-other"), ("filled", "")]


def test_an_entry_that_only_closed_leaves_no_exits_behind():
    script = {1: sell(10), 2: buy(6, Bracket(stop_loss=9.0))}
    result = run(FLAT, script, **TRADES)
    assert states(result)[2] == ("cancelled", "parent-closed")


@pytest.mark.parametrize(
    ("entry", "row", "expected"),
    [
        (None, bar(2, 10.0, high=12.0, low=8.0), [(2, 5.0, 10.0), (2, -5.0, 9.0)]),
        (None, bar(2, 10.0, high=12.0), [(2, 5.0, 10.0), (2, -5.0, 11.5)]),
        (Stop(price=10.5), bar(2, 10.0, high=12.0), [(2, 5.0, 10.5), (2, -5.0, 11.5)]),
        (Stop(price=10.5), bar(2, 10.0, high=12.0, low=8.0), [(2, 5.0, 10.5), (3, -5.0, 9.0)]),
        (Limit(price=9.5), bar(2, 10.0, high=12.0, low=9.5), [(2, 5.0, 9.5), (3, -5.0, 9.0)]),
    ],
)
def test_exits_act_on_the_row_of_a_market_entry_and_of_a_stop_whose_profit_alone_was_reached(entry, row, expected):
    rows = [bar(1, 10.0), row, bar(3, 10.0, low=8.0)]
    script = {1: buy(5, Bracket(entry=entry, stop_loss=9.0, take_profit=11.5))}
    assert fills(run(rows, script, **TRADES)) == expected


@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_an_entry_takes_its_share_of_a_row_once_though_its_exits_have_a_turn_there(wake):
    rows = [bar(ts, 10.0) for ts in (1, 2, 3, 4)]
    script = {1: buy(250, Bracket(stop_loss=9.0, take_profit=11.5))}
    result = run(rows, script, participation_limit=0.1, participation="each-order", wake=wake, **TRADES)
    assert fills(result) == [(2, 100.0, 10.0), (3, 100.0, 10.0), (4, 50.0, 10.0)]


# Time ------------------------------------------------------------------------------------------------------


def test_a_strict_day_order_is_over_with_its_session_though_no_row_has_tried_it():
    day = 86_400_000_000_000
    rows = [bar(day * n, 10.0) for n in (1, 2, 3)]  # stamped when their days are over
    script = {day: [buy(5, limit=11.0, time_in_force="day"), buy(3, time_in_force="day")]}
    strict = run(rows, script, day_orders="strict")
    assert states(strict) == [("expired", "end-of-session"), ("filled", "")]
    assert run(rows, script).fills.height == 2


def test_an_order_cannot_be_cancelled_at_the_time_of_its_arrival_where_that_is_so():
    def buy_and_cancel(ctx):
        ctx.cancel(ctx.buy("X", 5))

    assert run(FLAT, {1: buy_and_cancel}).fills.height == 0
    assert run(FLAT, {1: buy_and_cancel}, cancel_on_arrival=False).fills.height == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"netting": "trades"}, "netting = 'trades' needs matching_order = 'in-turn', not 'exits-first'"),
        ({"missing_rows": "retry"}, "needs matching_order = 'in-turn'"),
        ({"slippage_on": "opening"}, "needs netting = 'trades', not 'position'"),
        ({"admission": "in-sequence"}, "needs buying_power = 'proceeds', not 'cash'"),
    ],
)
def test_policies_that_need_another_say_so(settings, says):
    with pytest.raises(ConfigError, match=says):
        SimulatedBroker(**settings)
