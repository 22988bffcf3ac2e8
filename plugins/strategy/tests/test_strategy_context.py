"""What a strategy does through its context: orders towards targets, timers, chance, and mistakes in one sentence."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.plugin import ConfigError, Instrument, RunError

DAY = 86_400_000_000_000
FIRST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Script(Strategy):
    """Does ``script[n]`` at its n-th bar: each entry is a function of the context."""

    script: dict

    def on_start(self, ctx):
        self.bars = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        if self.bars in self.script:
            self.script[self.bars](ctx)


def run(script, closes=(10, 10, 10, 10, 10), rows=None, **options):
    return drive(Script(script=script), bars(closes) if rows is None else rows, **options)


def two(closes):
    rows = [*bars(closes), *bars([2 * close for close in closes], "Y")]
    return sorted(rows, key=lambda row: row["ts"])


def held(result):
    last = result.positions.group_by("instrument", maintain_order=True).last()
    return {name: quantity for name, quantity in last.select("instrument", "quantity").iter_rows() if quantity}


# Orders --------------------------------------------------------------------------------------------------


def test_order_is_signed():
    result = run({1: lambda ctx: ctx.order("X", 3), 2: lambda ctx: ctx.order("X", -1)})
    assert result.orders.select("side", "quantity").rows() == [("buy", 3.0), ("sell", 1.0)]


def test_an_order_keeps_its_tag():
    result = run({1: lambda ctx: ctx.buy("X", 1, tag="why")})
    assert result.orders["tag"].to_list() == ["why"]


def test_order_target_trades_what_is_missing():
    result = run({1: lambda ctx: ctx.order_target("X", 7), 3: lambda ctx: ctx.order_target("X", 2)})
    assert result.fills.select("side", "quantity").rows() == [("buy", 7.0), ("sell", 5.0)]


def test_order_target_counts_open_orders():
    def twice(ctx):
        assert ctx.order_target("X", 7) is not None
        assert ctx.order_target("X", 7) is None

    assert held(run({1: twice})) == {"X": 7.0}


def test_order_target_does_not_count_orders_being_cancelled():
    def again(ctx):
        ctx.cancel_all("X")
        ctx.order_target("X", 7)

    assert held(run({1: lambda ctx: ctx.buy("X", 4, limit=1.0), 2: again})) == {"X": 7.0}
    assert held(run({1: lambda ctx: (ctx.buy("X", 4), ctx.cancel_all(), ctx.order_target("X", 7))})) == {"X": 7.0}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.floats(-50, 50)), min_size=1, max_size=6),
    st.sampled_from([0.0, 1.0, 0.25]),
)
def test_the_last_target_is_what_is_held(targets, lot):
    """Whatever the targets before it were, and however many came at one bar."""
    script = {}
    for at, quantity in targets:
        script.setdefault(at, []).append(quantity)
    last = script[max(script)][-1]

    class Targets(Strategy):
        def on_start(self, ctx):
            self.bars = 0

        def on_bar(self, ctx, bar):
            self.bars += 1
            for quantity in script.get(self.bars, ()):
                ctx.order_target("X", quantity)

    free = SimulatedBroker(buying_power="off", short_selling=True)
    lots = [Instrument(name="X", lot_size=lot)]
    result = drive(Targets(), bars([10] * 12), broker=free, instruments=lots)
    assert held(result).get("X", 0.0) == pytest.approx(last, abs=max(lot, 1e-7))


def test_order_target_percent_uses_equity_the_last_price_and_the_multiplier():
    instruments = [Instrument(name="X", multiplier=5.0)]
    result = run({1: lambda ctx: ctx.order_target_percent("X", 0.5)}, cash=1_000.0, instruments=instruments)
    assert held(result) == {"X": pytest.approx(10.0)}


@pytest.mark.parametrize(
    "send", [lambda ctx: ctx.order_target_percent("X", 0.5), lambda ctx: ctx.rebalance({"X": 0.5})]
)
def test_a_target_in_percent_leaves_the_reserve_and_its_commission(send):
    def quantity(**rules):
        ledger = {"cash": 1_000.0, **rules}
        result = Engine(
            feed=ListFeed(rows=bars([10, 10]), instruments=[Instrument(name="X")]),
            strategy=Script(script={1: send}),
            ledger=ledger,
            commission={"use": "per-trade", "amount": 8.0},
        ).run()
        return held(result)["X"]

    assert quantity() == pytest.approx(50.0)
    assert quantity(target_reserve=0.1) == pytest.approx(45.0)
    assert quantity(target_reserve=0.1, target_commission=True) == pytest.approx((900 - 8) * 0.5 / 10)


def test_a_target_in_money_is_rounded_to_its_own_lots():
    """A third of 1,000 at 10 is 33.3; an order for 0.5 stays what it is, and nothing is all of it."""

    def quantities(**rules):
        steps = [
            lambda ctx: ctx.order_target_percent("X", 1 / 3),
            lambda ctx: ctx.buy("X", 0.5),
            lambda ctx: ctx.order_target_value("X", 0.0),
        ]
        result = Engine(
            feed=ListFeed(rows=bars([10] * 4), instruments=[Instrument(name="X")]),
            strategy=Script(script=dict(enumerate(steps, start=1))),
            ledger={"cash": 1_000.0, **rules},
        ).run()
        return result.orders["quantity"].to_list()

    assert quantities(target_lot=1.0) == [33.0, 0.5, 33.5]
    assert quantities() == [pytest.approx(33.333333333), 0.5, pytest.approx(33.833333333)]


def test_order_target_value_rounds_to_lots_towards_zero():
    instruments = [Instrument(name="X", lot_size=1.0)]
    result = run({1: lambda ctx: ctx.order_target_value("X", 99.0)}, instruments=instruments)
    assert held(result) == {"X": 9.0}


def test_rebalance_sells_before_it_buys_and_closes_what_is_not_named():
    script = {1: lambda ctx: ctx.rebalance({"X": 0.9}), 5: lambda ctx: ctx.rebalance({"Y": 0.9})}
    result = run(script, rows=two([10.0] * 5), cash=1_000.0)
    assert result.fills.select("instrument", "side").rows() == [("X", "buy"), ("X", "sell"), ("Y", "buy")]
    assert held(result) == {"Y": 45.0}
    assert set(result.orders["state"]) == {"filled"}


def test_rebalance_to_the_weights_held_sends_nothing():
    sent = []
    script = {n: lambda ctx: sent.append(len(ctx.rebalance({"X": 0.5, "Y": 0.25}))) for n in (2, 6)}
    run(script, rows=two([10.0] * 5))
    assert sent == [2, 0]


def test_close_cancels_and_flattens():
    def close(ctx):
        ctx.close("X")
        assert ctx.close("Y") is None

    script = {1: lambda ctx: (ctx.buy("X", 5), ctx.sell("X", 2, limit=99.0)), 5: close}
    result = run(script, rows=two([10.0] * 5), broker=SimulatedBroker(short_selling=True))
    assert held(result) == {}
    assert result.orders["state"].to_list() == ["filled", "cancelled", "filled"]


def test_cancel_all_takes_one_instrument_or_all():
    def send(ctx):
        ctx.buy("X", 1, limit=1.0)
        ctx.buy("Y", 1, limit=1.0)

    only = run({1: send, 2: lambda ctx: ctx.cancel_all("Y")}, rows=two([10.0] * 4))
    assert only.orders["reason"].to_list() == ["end-of-data", "requested"]
    both = run({1: send, 2: lambda ctx: ctx.cancel_all()}, rows=two([10.0] * 4))
    assert both.orders["reason"].to_list() == ["requested", "requested"]


def test_open_orders_are_those_that_can_still_fill():
    seen = []

    def look(ctx):
        seen.append([order.id for order in ctx.open_orders()])

    def send(ctx):
        orders = [ctx.buy("X", 1, limit=1.0), ctx.buy("X", 1), ctx.buy("X", 1, limit=2.0)]
        look(ctx)
        ctx.cancel(orders[2])
        look(ctx)

    run({1: send, 2: look})
    assert seen == [[1, 2, 3], [1, 2], [1]]


# The account ---------------------------------------------------------------------------------------------


def test_the_portfolio_is_up_to_date_whenever_it_is_read():
    seen = []

    class Reader(Strategy):
        def on_bar(self, ctx, bar):
            account = ctx.portfolio
            seen.append(
                (
                    account.cash,
                    account.equity,
                    account.positions,
                    account.position("X"),
                    account.average_price("X"),
                    account.price("X"),
                    account.value("X"),
                )
            )
            if len(seen) == 1:
                ctx.buy("X", 2)

        def on_fill(self, ctx, fill):
            seen.append(("fill", ctx.portfolio.cash, ctx.portfolio.position("X"), fill.price))

    rows = [(DAY, 10.0, 10.0, 10.0, 10.0), (2 * DAY, 20.0, 30.0, 20.0, 30.0)]
    drive(Reader(), rows, cash=100.0)
    assert seen == [
        (100.0, 100.0, {}, 0.0, 0.0, 10.0, 0.0),
        ("fill", 60.0, 2.0, 20.0),
        (60.0, 120.0, {"X": 2.0}, 2.0, 20.0, 30.0, 60.0),
    ]


def test_on_order_tells_every_step_of_an_order():
    steps = []

    class Listener(Script):
        def on_order(self, ctx, update):
            steps.append((update.order.id, update.state.value, update.reason))

    script = {1: lambda ctx: ctx.buy("X", 1), 2: lambda ctx: ctx.buy("X", 1e9)}
    drive(Listener(script=script), bars([10] * 4))
    assert steps == [
        (1, "submitted", ""),
        (1, "accepted", ""),
        (1, "filled", ""),
        (2, "submitted", ""),
        (2, "rejected", "insufficient-cash"),
    ]


def test_on_fill_tells_of_partial_fills():
    filled = []

    class Listener(Script):
        def on_fill(self, ctx, fill):
            filled.append((fill.quantity, fill.order.filled, fill.order.state.value))

    rows = [row | {"volume": 10.0} for row in bars([10] * 4)]
    drive(Listener(script={1: lambda ctx: ctx.buy("X", 15)}), rows, broker=SimulatedBroker(participation_limit=1.0))
    assert filled == [(10.0, 10.0, "partially-filled"), (5.0, 15.0, "filled")]


# Timers --------------------------------------------------------------------------------------------------


def rings(setting, closes=(1, 2, 3, 4), step=dt.timedelta(days=1)):
    log = []

    class Timed(Strategy):
        def on_start(self, ctx):
            setting(self, ctx)

        def on_bar(self, ctx, bar):
            log.append(("bar", ctx.time))

        def on_timer(self, ctx, name):
            log.append((name, ctx.time))
            if name == "stop":
                self.timer.cancel()

    drive(Timed(), bars(closes, step=step))
    return [(name, time - FIRST) for name, time in log]


def only_timers(log):
    return [(name, at) for name, at in log if name != "bar"]


HOURS = [dt.timedelta(hours=n) for n in range(100)]


def test_a_timer_rings_once_between_rows():
    log = rings(lambda self, ctx: ctx.set_timer("t", at=FIRST + HOURS[30]))
    assert log == [("bar", HOURS[0]), ("bar", HOURS[24]), ("t", HOURS[30]), ("bar", HOURS[48]), ("bar", HOURS[72])]


def test_a_timer_at_the_time_of_a_row_rings_after_it():
    log = rings(lambda self, ctx: ctx.set_timer("t", at=FIRST + HOURS[24]))
    assert log[1:3] == [("bar", HOURS[24]), ("t", HOURS[24])]


def test_a_timer_after_the_last_row_does_not_ring():
    assert only_timers(rings(lambda self, ctx: ctx.set_timer("t", at=FIRST + HOURS[73]))) == []
    assert only_timers(rings(lambda self, ctx: ctx.set_timer("t", at=FIRST + HOURS[72]))) == [("t", HOURS[72])]


def test_a_repeating_timer_rings_until_the_data_ends():
    log = rings(lambda self, ctx: ctx.set_timer("t", at=FIRST + HOURS[10], every=HOURS[20]))
    assert only_timers(log) == [("t", HOURS[n]) for n in (10, 30, 50, 70)]


def test_a_repeating_timer_set_in_on_start_begins_with_the_data():
    times = [at for _, at in only_timers(rings(lambda self, ctx: ctx.set_timer("t", every=HOURS[24])))]
    assert len(times) == 3
    assert all(abs(at - HOURS[24 * (n + 1)]) <= dt.timedelta(microseconds=1) for n, at in enumerate(times))


def test_a_cancelled_timer_rings_no_more():
    def setting(self, ctx):
        self.timer = ctx.set_timer("t", at=FIRST + HOURS[10], every=HOURS[10])
        ctx.set_timer("stop", at=FIRST + HOURS[35])

    assert only_timers(rings(setting)) == [*(("t", HOURS[n]) for n in (10, 20, 30)), ("stop", HOURS[35])]


def test_an_order_sent_by_a_timer_fills_on_the_next_row():
    class Timed(Strategy):
        def on_start(self, ctx):
            ctx.set_timer("t", at=FIRST + HOURS[30])

        def on_timer(self, ctx, name):
            ctx.buy("X", 1)

    for wake in ("interest", "every-row"):
        result = drive(Timed(), bars((1, 2, 3, 4)), wake=wake)
        assert [int(ts) for ts in result.fills["ts"].cast(int)] == [bars((1, 2, 3))[-1]["ts"]]


def test_impossible_timers_are_refused():
    with pytest.raises(ConfigError, match="needs at=, every= or both"):
        rings(lambda self, ctx: ctx.set_timer("t"))
    with pytest.raises(ConfigError, match="period must be positive"):
        rings(lambda self, ctx: ctx.set_timer("t", every=dt.timedelta(0)))
    with pytest.raises(ConfigError, match="has no time zone"):
        rings(lambda self, ctx: ctx.set_timer("t", at=dt.datetime(2020, 1, 2)))  # noqa: DTZ001
    with pytest.raises(RunError, match=r"schedule it at or after ctx\.now"):
        rings(lambda self, ctx: ctx.set_timer("t", at=5))


# Mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        (lambda ctx: ctx.buy("Xy", 1), "no instrument 'Xy' .*did you mean 'X'"),
        (lambda ctx: ctx.portfolio.price("Y"), "no instrument 'Y'"),
        (lambda ctx: ctx.subscribe(instruments=["Z"]), "no instrument 'Z'"),
        (lambda ctx: ctx.buy("X", -1), "quantity must be >= 0"),
        (lambda ctx: ctx.buy("X", float("nan")), "quantity must be >= 0"),
        (lambda ctx: ctx.buy("X", float("inf")), "quantity must be >= 0"),
        (lambda ctx: ctx.order_target("X", float("nan")), "must be a finite number"),
        (lambda ctx: ctx.order_target_percent("X", float("inf")), "must be a finite number"),
        (lambda ctx: ctx.rebalance({"X": float("nan")}), "must be a finite number"),
        (lambda ctx: ctx.order_target_value("Late", 1.0), "Late has no price yet"),
        (lambda ctx: ctx.buy("X", 1, limit=-1.0), "price must be > 0"),
        (lambda ctx: ctx.buy("X", 1, time_in_force="dya"), "no time in force 'dya'"),
        (lambda ctx: ctx.buy("X", 1, time_in_force="gtd"), "go together"),
        (lambda ctx: ctx.buy("X", 1, expires=5), "go together"),
    ],
)
def test_a_mistake_in_an_order_is_one_sentence(do, sentence):
    instruments = [Instrument(name="X", lot_size=1.0), Instrument(name="Late")]
    with pytest.raises(ConfigError, match=sentence) as caught:
        run({2: do}, instruments=instruments)
    assert "\n" not in str(caught.value)
    assert caught.value.__notes__ == ["Strategy Script, on_bar of X"]


RAISING = {
    "on_start": "2019-12-31T23:59:59",
    "on_bar": "2020-01-01T00:00:00",
    "on_order": "2020-01-01T00:00:00",
    "on_session_open": "2020-01-01T00:00:00",
    "on_timer": "2020-01-01T01:00:00",
    "on_fill": "2020-01-02T00:00:00",
    "on_stop": "2020-01-03T00:00:00",
}


@pytest.mark.parametrize(("method", "time"), RAISING.items())
def test_what_a_strategy_raises_names_strategy_callback_and_time_and_keeps_its_cause(method, time):
    class Broken(Strategy):
        def on_start(self, ctx):
            ctx.set_timer("t", at=FIRST + HOURS[1])

        def on_bar(self, ctx, bar):
            ctx.buy("X", 1)

    def fail(self, *arguments):
        raise ZeroDivisionError("nothing to divide by")

    setattr(Broken, method, fail)
    about = " of X" if method == "on_bar" else ""
    sentence = rf"^Strategy Broken, {method}{about} raised ZeroDivisionError at {time}.*Z: nothing to divide by$"
    with pytest.raises(RunError, match=sentence) as caught:
        drive(Broken(), bars([1, 2, 3]))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# Copies and chance ---------------------------------------------------------------------------------------


def test_every_run_works_on_a_copy_of_its_own():
    class Grows(Strategy):
        sizes: list

        def on_bar(self, ctx, bar):
            self.sizes.append(self.sizes[-1] + 1)
            ctx.buy("X", self.sizes[-1])

    given_ = Grows(sizes=[0])
    first, again = (drive(given_, bars([10] * 4)) for _ in range(2))
    assert first.orders.equals(again.orders)
    assert given_.sizes == [0]


def test_a_strategy_may_have_a_constructor_of_its_own():
    class Plain(Strategy):
        def __init__(self, size):
            self.size = size

        def on_bar(self, ctx, bar):
            ctx.buy("X", self.size)

    assert drive(Plain(3), bars([10, 10])).fills["quantity"].to_list() == [3.0]


def test_chance_comes_from_the_run():
    drawn = []

    class Chancy(Strategy):
        def on_bar(self, ctx, bar):
            assert ctx.rng() is ctx.rng()
            drawn.append((ctx.rng().random(), ctx.rng("other").random()))

    def draws(seed):
        drawn.clear()
        drive(Chancy(), bars([1, 2, 3]), seed=seed)
        return list(drawn)

    assert draws(7) == draws(7)
    assert draws(7) != draws(8)
    assert len(np.unique(np.array(draws(7)))) == 6


def test_two_strategies_share_one_account():
    class Buyer(Strategy):
        size: float

        def on_bar(self, ctx, bar):
            if not ctx.portfolio.positions:
                ctx.buy("X", self.size)

    result = Engine(feed=ListFeed(rows=bars([10, 10, 10])), strategy=[Buyer(size=1), Buyer(size=2)]).run()
    assert held(result) == {"X": 3.0}
