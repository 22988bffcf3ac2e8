"""Margin accounts: what may be opened, and what is closed when too little is left."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_broker_sim.liquidation import to_close
from qengine_costs import FixedBps, PerShare
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, drive

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError, Instrument

PLUGINS = Plugins.discover()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


class Script(Strategy):
    """Does ``script[n]`` at its n-th bar, and writes down margin calls."""

    script: dict

    def on_start(self, ctx):
        self.bars, self.called = 0, []

    def on_bar(self, ctx, bar):
        self.bars += 1
        for name, quantity, options in self.script.get(self.bars, ()):
            ctx.order(name, quantity, **options)


class Listening(Script):
    def on_margin_call(self, ctx, call):
        HEARD.append((call, [order.tag for order in ctx.open_orders()]))


HEARD: list = []


def bar(ts, opening, close=None, instrument="X"):
    close = opening if close is None else close
    prices = {"open": opening, "high": max(opening, close), "low": min(opening, close), "close": close}
    return {"ts": ts, "instrument": instrument, **prices, "volume": 1e6}


def run(rows, script, *, strategy=Script, buying_power="reg-t", cash=1000.0, wake="interest", **options):
    broker = {name: options.pop(name) for name in list(options) if name in SimulatedBroker.__annotations__}
    broker = SimulatedBroker(buying_power=buying_power, short_selling=True, **broker)
    script = {n: [(name, quantity, {}) for name, quantity in orders] for n, orders in script.items()}
    return drive(strategy(script=script), rows, broker=broker, cash=cash, wake=wake, **options)


def flat(*prices):
    return [bar(ts, price) for ts, price in enumerate(prices, 1)]


def states(result):
    return result.orders.select("state", "reason").rows()


# Opening --------------------------------------------------------------------------------------------------


def test_reg_t_opens_twice_the_equity_and_refuses_more_as_insufficient_margin():
    assert states(run(flat(10, 10), {1: [("X", 200.0)]})) == [("filled", "")]
    assert states(run(flat(10, 10), {1: [("X", 201.0)]})) == [("rejected", "insufficient-margin")]
    assert states(run(flat(10, 10), {1: [("X", -200.0)]})) == [("filled", "")]
    assert states(run(flat(10, 10), {1: [("X", -201.0)]})) == [("rejected", "insufficient-margin")]


def test_percent_margin_opens_what_the_initial_margin_allows():
    tenth = {"buying_power": "percent-margin", "initial_margin": 0.1, "maintenance_margin": 0.05}
    assert states(run(flat(10, 10), {1: [("X", 1000.0)]}, **tenth)) == [("filled", "")]
    assert states(run(flat(10, 10), {1: [("X", 1001.0)]}, **tenth)) == [("rejected", "insufficient-margin")]


def test_the_proceeds_of_a_short_open_nothing_more():
    rows = [bar(ts, 10.0, instrument=name) for ts in (1, 2, 3, 4) for name in "XY"]
    result = run(rows, {1: [("X", -200.0)], 5: [("Y", 1.0)]})
    assert states(result) == [("filled", ""), ("rejected", "insufficient-margin")]


def test_open_orders_reserve_margin_and_orders_that_close_make_room():
    assert states(run(flat(10, 10), {1: [("X", 150.0), ("X", 51.0)]}))[1] == ("rejected", "insufficient-margin")
    rows = [bar(ts, 10.0, instrument=name) for ts in (1, 2, 3, 4) for name in "XY"]
    swapped = run(rows, {1: [("X", 200.0)], 4: [("X", -200.0), ("Y", 200.0)]})
    assert states(swapped) == [("filled", "")] * 3


def test_margin_is_checked_again_at_the_fill():
    rows = flat(10, 12, 12)
    assert states(run(rows, {1: [("X", 200.0)]})) == [("cancelled", "insufficient-margin")]
    reduced = run(rows, {1: [("X", 200.0)]}, shortfall="reduce", instruments=[Instrument(name="X", lot_size=1.0)])
    assert reduced.fills["quantity"].to_list() == [166.0]  # 1000 / (12 x 50 %)
    with_fee = run(flat(10, 10), {1: [("X", 200.0)]}, commission=PerShare(rate=0.01))
    assert states(with_fee) == [("cancelled", "insufficient-margin")]


def test_a_fully_margined_account_can_be_reversed():
    result = run(flat(10, 10, 10, 10), {1: [("X", 200.0)], 2: [("X", -400.0)]})
    assert result.fills["quantity"].to_list() == [200.0, 400.0]
    worse = run(flat(10, 10, 9, 9), {1: [("X", 200.0)], 2: [("X", -400.0)]})
    assert worse.fills["quantity"].to_list() == [200.0, 200.0]  # what closes fills, what opens lacks 200 of 900
    assert states(worse)[1] == ("cancelled", "insufficient-margin")


# Holding --------------------------------------------------------------------------------------------------

# 200 at 10 with 1000 of one's own: equity is 200 p - 1000, the margin 25 % of 200 p; they meet at 6.67.
FALL = [bar(1, 10.0), bar(2, 10.0), bar(3, 8.0), bar(4, 7.0), bar(5, 6.6), bar(6, 6.0), bar(7, 5.9), bar(8, 5.9)]


def test_a_breach_of_the_maintenance_margin_closes_what_is_needed_at_the_next_open():
    result = run(FALL, {1: [("X", 200.0)]})
    order = result.orders.row(1, named=True)
    # At 6.6: equity 320, margin 330; 10 of margin are 40 / 6.6 units.
    assert (order["tag"], order["side"], order["type"]) == ("margin-call", "sell", "market")
    assert order["quantity"] == pytest.approx(10 / (0.25 * 6.6))
    fill = result.fills.row(1, named=True)
    assert (fill["ts"].microsecond, fill["price"]) == (0, 6.0)
    call = result.margin_calls.row(0, named=True)
    assert (call["equity"], call["required"]) == (pytest.approx(320.0), pytest.approx(330.0))
    assert result.margin_calls["ts"].cast(int)[0] == 5
    assert result.counts["margin_calls"] == result.margin_calls.height
    # It fell further: at 6.0 less is left than the rest needs, and again at 5.9.
    assert result.margin_calls["ts"].cast(int).to_list() == [5, 6, 7]


def test_a_short_is_bought_back_when_it_has_risen():
    """Equity is 3000 - 200 p, the margin 30 % of 200 p; they meet at 11.54."""
    result = run(flat(10, 10, 11.5, 11.6, 11.6), {1: [("X", -200.0)]})
    assert result.margin_calls["ts"].cast(int).to_list() == [4]
    assert result.orders.row(1, named=True)["side"] == "buy"
    assert result.fills["quantity"].to_list() == [200.0, pytest.approx((696 - 680) / (0.3 * 11.6))]


def test_whole_lots_are_closed_and_liquidation_can_be_off():
    lots = [Instrument(name="X", lot_size=5.0)]
    assert run(FALL[:6], {1: [("X", 200.0)]}, instruments=lots).fills["quantity"].to_list() == [200.0, 10.0]
    off = run(FALL, {1: [("X", 200.0)]}, liquidation="off")
    assert off.fills.height == 1
    assert "margin_calls" not in off.counts


def test_liquidation_is_by_a_named_rule():
    margins = {0: 30.0, 1: 50.0, 2: 20.0}
    assert to_close("all", margins, 10.0) == {0: 1.0, 1: 1.0, 2: 1.0}
    assert to_close("proportional", margins, 10.0) == {0: 0.1, 1: 0.1, 2: 0.1}
    assert to_close("largest-first", margins, 10.0) == {1: 0.2}
    assert to_close("largest-first", margins, 65.0) == {1: 1.0, 0: 0.5}
    for rule in ("largest-first", "proportional"):
        assert to_close(rule, margins, 100.0) == {0: 1.0, 1: 1.0, 2: 1.0}


def test_all_positions_are_closed_and_their_orders_cancelled():
    rows = [bar(row["ts"], row["open"], instrument=name) for row in FALL for name in "XY"]
    script = {1: [("X", 100.0), ("Y", 100.0)]}
    result = run(rows, script, liquidation="all")
    assert result.fills["quantity"].to_list() == [100.0] * 4
    assert result.counts["margin_calls"] == 1

    class WithStop(Script):
        def on_bar(self, ctx, bar):
            super().on_bar(ctx, bar)
            if self.bars == 2:
                ctx.sell("X", 200.0, limit=20.0)

    closed = run(FALL, {1: [("X", 200.0)]}, strategy=WithStop, liquidation="all")
    assert closed.counts["cancellations"] == {"margin-call": 1}


def test_a_margin_call_is_heard_after_its_orders_are_sent():
    HEARD.clear()
    run(FALL[:6], {1: [("X", 200.0)]}, strategy=Listening)
    (call, tags), *_ = HEARD
    assert (call.ts, call.account, tags) == (5, 0, ["margin-call"])


def test_while_orders_of_a_call_are_open_there_is_no_other():
    rows = [*FALL[:5], bar(6, 6.0), bar(7, 5.0), bar(8, 4.0)]
    rows[5]["volume"] = rows[6]["volume"] = 0.0  # fills nothing
    assert run(rows, {1: [("X", 200.0)]}).margin_calls["ts"].cast(int).to_list()[:2] == [5, 8]


def test_a_cash_flow_can_cause_a_breach():
    """Interest on the debit eats up what the maintenance margin needs, although the price stands still."""
    day = 86_400_000_000_000
    rows = [bar(n * day + day // 2, 10.0) for n in range(1, 8)]
    result = run(rows, {1: [("X", 200.0)]}, financing={"use": "interest", "debit": 36.0})
    assert result.counts["margin_calls"] >= 1


def test_settings_that_contradict_one_another_are_refused():
    with pytest.raises(ConfigError, match="must not exceed initial_margin"):
        SimulatedBroker(buying_power="percent-margin", initial_margin=0.1)
    with pytest.raises(ConfigError, match="'at-once' has no liquidation yet"):
        SimulatedBroker(buying_power="reg-t", fill_timing="at-once")


@st.composite
def worlds(draw, timings=("next-open", "next-close", "same-close")):
    """Prices that wander widely, orders in all directions, and rules that leave little room."""
    names = "XYZ"[: draw(st.integers(1, 3))]
    price, rows, ts = st.sampled_from([5.0, 8.0, 9.0, 10.0, 11.0, 12.0, 16.0]), [], 0
    for _ in range(draw(st.integers(4, 14))):
        ts += draw(st.sampled_from([1, 2]))
        rows += [bar(ts, draw(price), draw(price), name) for name in names if draw(st.integers(0, 4))]
    order = st.tuples(st.sampled_from(names), st.sampled_from([-300.0, -90.0, -40.0, 40.0, 90.0, 300.0]))
    script = draw(st.dictionaries(st.integers(1, 12), st.lists(order, max_size=3), max_size=5))
    rules = {
        "buying_power": draw(st.sampled_from(["reg-t", "percent-margin"])),
        "initial_margin": draw(st.sampled_from([0.3, 0.5])),
        "maintenance_margin": draw(st.sampled_from([0.1, 0.3])),
        "liquidation": draw(st.sampled_from(["largest-first", "proportional", "all"])),
        "shortfall": draw(st.sampled_from(["reject", "reduce"])),
        "fill_timing": draw(st.sampled_from(timings)),
        "participation_limit": draw(st.sampled_from([None, 2e-5])),
    }
    lots = [Instrument(name=name, lot_size=draw(st.sampled_from([0.0, 10.0]))) for name in names]
    every = draw(st.sampled_from([1, 3]))
    return rows, script, rules, lots, draw(st.sampled_from([1, 3, 1000])), every


class Seldom(Script):
    """One that does not see every bar, so that breaches have to be found between those it sees."""

    every: int = 1

    def on_start(self, ctx):
        super().on_start(ctx)
        ctx.subscribe("bar", every=self.every)


def play(world, wake):
    rows, script, rules, lots, block_rows, every = world
    orders = {n: [(name, quantity, {}) for name, quantity in orders] for n, orders in script.items()}
    return Engine(
        feed=ListFeed(rows=rows, instruments=lots, block_rows=block_rows),
        strategy=Seldom(script=orders, every=every),
        ledger={"use": "standard", "cash": 1000.0},
        broker=SimulatedBroker(short_selling=True, **rules),
        slippage=FixedBps(bps=10.0),
        wake=wake,
        plugins=PLUGINS,
    ).run()


@settings(phases=PHASES, max_examples=100, deadline=None)
@given(worlds())
def test_margin_calls_are_the_same_however_the_run_is_woken(world):
    by_interest, naive = play(world, "interest"), play(world, "every-row")
    for table in ("orders", "fills", "equity", "margin_calls"):
        assert by_interest[table].equals(naive[table]), table


@settings(phases=PHASES, max_examples=100, deadline=None)
@given(worlds(timings=("next-open", "next-close")))  # else fills of an instant may come after the look at it
def test_no_instant_ends_below_the_maintenance_margin_without_a_call_or_its_orders(world):
    """A plain walk over the rows finds every breach that no call, and no order of one, stands for."""
    result = play(world, "interest")
    rows, _, rules, *_ = world
    long_rate, short_rate = (0.25, 0.3) if rules["buying_power"] == "reg-t" else (rules["maintenance_margin"],) * 2
    fills = list(result.fills.with_columns(ns=result.fills["ts"].cast(int)).iter_rows(named=True))
    called = set(result.margin_calls["ts"].cast(int))
    spans = [
        (row["submitted_ts"], row["closed_ts"])
        for row in result.orders.filter(tag="margin-call")
        .with_columns(submitted_ts=result.orders.filter(tag="margin-call")["submitted_ts"].cast(int))
        .with_columns(closed_ts=result.orders.filter(tag="margin-call")["closed_ts"].cast(int))
        .iter_rows(named=True)
    ]
    cash, held, marks, done = 1000.0, {}, {}, 0
    for ts in sorted({row["ts"] for row in rows}):
        while done < len(fills) and fills[done]["ns"] <= ts:
            fill = fills[done]
            signed = fill["quantity"] if fill["side"] == "buy" else -fill["quantity"]
            cash -= signed * fill["price"]
            held[fill["instrument"]] = held.get(fill["instrument"], 0.0) + signed
            done += 1
        marks |= {row["instrument"]: row["close"] for row in rows if row["ts"] == ts}
        values = [quantity * marks[name] for name, quantity in held.items() if abs(quantity) > 1e-9]
        equity = cash + sum(values)
        required = sum(abs(value) * (long_rate if value > 0 else short_rate) for value in values)
        stands = any(sent <= ts < ended or sent <= ts <= ended == result.end_ts for sent, ended in spans)
        if values and equity < required - 1e-6 and not stands:  # who owes and holds nothing has nothing to be closed
            assert ts in called
        if ts in called:
            assert equity < required + 1e-6
