"""Position rules: exits that rest on the market, follow the position, and never open one."""

from __future__ import annotations

import io

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_orders import Bracket
from qengine_risk import ExitRule, StopLoss, TakeProfit, TimeExit, TrailingStop
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, drive

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError, Instrument, Leg, component, param

PLUGINS = Plugins.discover()
SECOND = 1_000_000_000
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a failing world is small already; shrinking takes minutes


class Script(Strategy):
    """Does ``script[n]`` at its n-th bar."""

    script: dict

    def on_start(self, ctx):
        self.bars = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        for do in self.script.get(self.bars, ()):
            do(ctx)


class Sliced(Strategy):
    """The same, a call per timestamp."""

    script: dict

    def on_start(self, ctx):
        self.bars = 0

    def on_slice(self, ctx, bars):
        self.bars += 1
        for do in self.script.get(self.bars, ()):
            do(ctx)


def bar(ts, opening, high=None, low=None, close=None, volume=1_000.0, instrument="X"):
    close = opening if close is None else close
    high = max(opening, close) if high is None else high
    low = min(opening, close) if low is None else low
    values = {"open": float(opening), "high": float(high), "low": float(low), "close": float(close)}
    return {"ts": ts * SECOND, "instrument": instrument, "volume": volume, **values}


def flat(*prices, instrument="X"):
    return [bar(ts, price, instrument=instrument) for ts, price in enumerate(prices, 1)]


def buy(quantity, name="X", type=None, **options):
    return lambda ctx: ctx.buy(name, quantity, type, **options)


def sell(quantity, name="X", type=None, **options):
    return lambda ctx: ctx.sell(name, quantity, type, **options)


def run(script, rules, rows, lane=Script, cash=1e6, **engine):
    script = {n: do if isinstance(do, list) else [do] for n, do in script.items()}
    broker = {"short_selling": True, **engine.pop("broker", {})}
    strategy = lane(script=script)
    return drive(strategy, rows, cash=cash, position_rule=rules, broker=SimulatedBroker(**broker), **engine)


def fills(result):
    """Second, signed quantity and price of every fill."""
    rows = result.fills.select(pl.col("ts").cast(pl.Int64), "side", "quantity", "price").iter_rows()
    return [(ts // SECOND, quantity if side == "buy" else -quantity, price) for ts, side, quantity, price in rows]


def held(result):
    signed = pl.when(pl.col("side") == "buy").then("quantity").otherwise(-pl.col("quantity"))
    return dict(result.fills.group_by("instrument").agg(signed.sum()).sort("instrument").iter_rows())


def tags(result):
    return list(result.orders.select("tag", "state", "reason").iter_rows())


def test_a_stop_loss_leaves_at_its_price_or_at_the_open_of_a_gap():
    rows = [*flat(100, 100), bar(3, 99, low=94, close=96)]
    assert fills(run({1: buy(10)}, StopLoss(fraction=0.05), rows)) == [(2, 10, 100.0), (3, -10, 95.0)]
    gap = [*flat(100, 100), bar(3, 90, high=99, low=80)]
    assert fills(run({1: buy(10)}, StopLoss(amount=5.0), gap))[-1] == (3, -10, 90.0)
    short = [*flat(100, 100), bar(3, 101, high=106, close=104)]
    assert fills(run({1: sell(10)}, StopLoss(fraction=0.05), short))[-1] == (3, 10, 105.0)


def test_a_take_profit_leaves_at_its_price_or_better():
    rows = [*flat(100, 100), bar(3, 101, high=120)]
    assert fills(run({1: buy(10)}, TakeProfit(fraction=0.1), rows))[-1] == (3, -10, pytest.approx(110.0))
    gap = [*flat(100, 100), bar(3, 115, high=120)]
    assert fills(run({1: buy(10)}, TakeProfit(amount=10.0), gap))[-1] == (3, -10, 115.0)
    short = [*flat(100, 100), bar(3, 99, low=80)]
    assert fills(run({1: sell(10)}, TakeProfit(fraction=0.1), short))[-1] == (3, 10, 90.0)


def test_a_trailing_stop_follows_the_best_price_since_the_position_was_opened():
    rows = [*flat(100, 100), bar(3, 100, high=120, low=96, close=118), bar(4, 118, high=119, low=100)]
    assert fills(run({1: buy(10)}, TrailingStop(fraction=0.1), rows))[-1] == (4, -10, 108.0)
    # The bar of the fill closes below it: the trail begins at the fill, not at that close.
    rows = [bar(1, 100), bar(2, 100, low=93, close=93), bar(3, 93, low=89)]
    assert fills(run({1: buy(10)}, TrailingStop(amount=10.0), rows))[-1] == (3, -10, 90.0)
    short = [*flat(100, 100), bar(3, 100, high=101, low=80, close=81), bar(4, 81, high=95)]
    assert fills(run({1: sell(10)}, TrailingStop(amount=10.0), short))[-1] == (4, 10, 90.0)


def test_a_time_exit_holds_a_position_for_as_many_bars_as_it_says():
    rows = flat(*range(100, 110))
    assert fills(run({1: buy(10)}, TimeExit(bars=1), rows)) == [(2, 10, 101.0), (3, -10, 102.0)]
    assert fills(run({1: buy(10)}, TimeExit(bars=3), rows)) == [(2, 10, 101.0), (5, -10, 104.0)]
    # An addition does not prolong it, and leaves with the rest.
    assert fills(run({1: buy(10), 3: buy(5)}, TimeExit(bars=4), rows))[-1] == (6, -15, 105.0)


def test_a_time_exit_after_a_time_or_at_the_close_of_the_session():
    rows = flat(*range(100, 110))
    assert fills(run({1: buy(10)}, TimeExit(duration=3.5), rows)) == [(2, 10, 101.0), (6, -10, 105.0)]
    hours = [bar(3_600 * n, 100 + n) for n in range(1, 60)]  # days in UTC; bar 24 closes the first
    result = run({3: buy(10)}, TimeExit(at_session_close=True), hours)
    assert fills(result) == [(4 * 3_600, 10, 104.0), (24 * 3_600, -10, 124.0)]


def test_the_first_of_several_rules_wins_and_the_others_end_with_the_position():
    rules = [StopLoss(fraction=0.05), TakeProfit(fraction=0.1), TrailingStop(fraction=0.2), TimeExit(bars=20)]
    rows = [*flat(100, 100), bar(3, 101, high=111), *[bar(ts, 50) for ts in range(4, 40)]]
    result = run({1: buy(10)}, rules, rows)
    assert len(fills(result)) == 2
    gone = ("cancelled", "position-closed")
    assert tags(result)[1:] == [
        ("stop-loss", *gone),
        ("take-profit", "filled", ""),
        ("trailing-stop", *gone),
    ]


def test_both_in_one_bar_fill_one_by_the_path_policy():
    rules = [StopLoss(fraction=0.05), TakeProfit(fraction=0.05)]
    rows = [*flat(100, 100), bar(3, 100, high=110, low=90)]
    worst = run({1: buy(10)}, rules, rows)
    assert fills(worst)[-1] == (3, -10, 95.0)
    assert worst.counts["ambiguous_bars"] == 1
    upwards = run({1: buy(10)}, rules, rows, broker={"intrabar_path": "open-high-low-close"})
    assert fills(upwards)[-1] == (3, -10, 105.0)
    assert held(worst) == held(upwards) == {"X": 0.0}


def test_exits_follow_the_average_price_and_the_quantity():
    rows = [*flat(100, 100, 110, 110, 110), bar(6, 109, low=98, close=100)]
    result = run({1: buy(10), 2: buy(10)}, StopLoss(fraction=0.05), rows)  # average 105
    assert fills(result)[-1] == (6, -20, pytest.approx(99.75))
    partly = run({1: buy(10), 3: sell(4)}, StopLoss(amount=5.0), [*flat(100, 100, 110, 110, 110), bar(6, 109, low=90)])
    assert fills(partly)[-1] == (6, -6, 95.0)


def test_a_reversal_gets_exits_of_its_own():
    rows = [*flat(100, 100, 100, 100), bar(5, 100, high=107)]
    result = run({1: buy(10), 3: sell(25)}, StopLoss(fraction=0.05), rows)
    assert fills(result)[-1] == (5, 15, 105.0)
    assert tags(result)[1:] == [
        ("stop-loss", "cancelled", "position-closed"),
        ("", "filled", ""),
        ("stop-loss", "filled", ""),
    ]


def test_exits_fill_in_part_under_a_volume_cap_and_stay_for_the_rest():
    rows = [*flat(100, 100), bar(3, 99, low=94, volume=60.0), *[bar(ts, 90, volume=60.0) for ts in range(4, 9)]]
    rules = [StopLoss(fraction=0.05), TakeProfit(fraction=0.5)]
    result = run({1: buy(100)}, rules, rows, broker={"participation_limit": 0.5})
    assert fills(result) == [(2, 100, 100.0), (3, -30, 95.0), (4, -30, 90.0), (5, -30, 90.0), (6, -10, 90.0)]
    assert held(result) == {"X": 0.0}


def test_the_strategys_own_exit_and_a_rules_never_close_a_position_twice():
    """At the open of a gap the stop and the market order would both act: the strategy's comes first."""
    gap = [*flat(100, 100, 100), bar(4, 90, high=120, low=80)]
    closing = run({1: buy(10), 3: sell(10)}, StopLoss(fraction=0.05), gap)
    assert fills(closing) == [(2, 10, 100.0), (4, -10, 90.0)]
    reversing = run({1: buy(10), 3: sell(30)}, StopLoss(fraction=0.05), gap)
    assert held(reversing) == {"X": -20.0}
    # A limit that was sent to close what a stop has closed before, in the same bar or later, does nothing.
    script = {1: buy(10), 3: sell(10, limit=110.0)}
    limited = run(script, StopLoss(fraction=0.05), gap, broker={"intrabar_path": "open-low-high-close"})
    assert fills(limited) == [(2, 10, 100.0), (4, -10, 90.0)]
    assert tags(limited)[-1] == ("", "cancelled", "reduce-only")


def test_the_strategy_neither_sees_nor_cancels_the_exits_of_rules():
    seen = []
    script = {1: buy(10), 3: [lambda ctx: seen.append(ctx.open_orders()), lambda ctx: ctx.cancel_all()]}
    script[3].append(lambda ctx: seen.append(ctx.order_target("X", 10)))
    rows = [*flat(100, 100, 100), bar(4, 99, low=94)]
    assert fills(run(script, TakeProfit(fraction=0.5), rows)) == [(2, 10, 100.0)]
    assert fills(run(script, StopLoss(fraction=0.05), rows))[-1] == (4, -10, 95.0)
    assert seen == [[], None] * 2


def test_an_exit_that_the_broker_gives_up_is_put_back():
    rules = [StopLoss(fraction=0.05), TakeProfit(fraction=0.05)]
    rows = [*flat(100, 100), bar(3, 100, high=110, low=90), bar(4, 100), bar(5, 100, low=90)]
    result = run({1: buy(10)}, rules, rows, broker={"intrabar_path": "reject-ambiguous"})
    assert [reason for _, _, reason in tags(result)].count("ambiguous-bar") == 2
    assert fills(result)[-1] == (5, -10, 95.0)


def test_rules_are_for_the_instruments_they_name_and_positions_are_kept_apart():
    rows = [*flat(100, 100), bar(3, 99, low=80), *flat(50, 50, instrument="Y"), bar(3, 49, low=40, instrument="Y")]
    rules = [StopLoss(fraction=0.05, instruments=["Y"]), StopLoss(fraction=0.1, instruments=["X"])]
    script = {2: [buy(1), buy(2, "Y")]}
    rows = [dict(row, ts=row["ts"] + 10 * SECOND) for row in rows]
    rows = [bar(1, 100), bar(1, 50, instrument="Y"), *rows]
    for lane, at in ((Script, 2), (Sliced, 1)):
        result = run({at: script[2]}, rules, rows, lane=lane)
        assert sorted(fills(result)[2:]) == [(13, -2, 47.5), (13, -1, 90.0)]
        assert held(result) == {"X": 0.0, "Y": 0.0}


def test_a_strategy_brings_rules_of_its_own():
    class Careful(Script):
        stop: float = 0.05

        def position_rules(self):
            return [StopLoss(fraction=self.stop)]

    rows = [*flat(100, 100), bar(3, 99, low=90)]
    result = drive(Careful(script={1: [buy(10)]}, stop=0.02), rows)
    assert fills(result)[-1] == (3, -10, 98.0)


def test_rules_guard_what_a_bracket_opens_too():
    rows = [*flat(100, 100), bar(3, 99, low=90), bar(4, 130, high=140)]
    bracket = Bracket(take_profit=120.0, stop_loss=80.0)
    result = run({1: buy(10, type=bracket)}, StopLoss(fraction=0.05), rows)
    assert fills(result) == [(2, 10, 100.0), (3, -10, 95.0)]
    assert held(result) == {"X": 0.0}


def test_exits_are_rounded_to_the_grid():
    grid = Instrument(name="X", tick_size=0.5, lot_size=1.0)
    rows = [*flat(101, 101), bar(3, 100, low=90)]
    result = run({1: buy(3)}, StopLoss(fraction=0.05), rows, instruments=[grid])  # 95.95
    assert fills(result)[-1] == (3, -3, 95.5)


@component
class VolatilityStop(ExitRule):
    """A rule of somebody else's: a stop as far away as the price has roots."""

    roots: float = param(help="How many square roots of the price.", gt=0)

    def leg(self, position):
        """A stop."""
        return Leg(trigger=position.average_price - position.side * self.roots * position.average_price**0.5)


def test_a_rule_of_somebody_elses_is_a_class_with_one_method():
    rows = [*flat(100, 100), bar(3, 99, low=60)]
    result = run({1: buy(10)}, VolatilityStop(roots=3.0), rows)
    assert fills(result)[-1] == (3, -10, 70.0)
    assert tags(result)[-1] == ("exit", "filled", "")


@pytest.mark.parametrize(
    "make",
    [
        StopLoss,
        lambda: TakeProfit(fraction=0.1, amount=1.0),
        TrailingStop,
        TimeExit,
        lambda: TimeExit(bars=3, at_session_close=True),
    ],
)
def test_a_rule_takes_exactly_one_measure(make):
    with pytest.raises(ConfigError, match="exactly one of"):
        make()


def test_a_rule_that_counts_bars_needs_bars():
    prints = [{"ts": n * SECOND, "instrument": "X", "price": 10.0, "size": 5.0} for n in range(1, 9)]

    class OnTrades(Script):
        def on_trade(self, ctx, trade):
            Script.on_bar(self, ctx, trade)

    with pytest.raises(ConfigError, match="X has none: give it a duration"):
        drive(OnTrades(script={1: [buy(1)]}), prints, kind="trade", position_rule=TimeExit(bars=3))
    result = drive(OnTrades(script={1: [buy(1)]}), prints, kind="trade", position_rule=TimeExit(duration=2.5))
    assert fills(result) == [(2, 1, 10.0), (5, -1, 10.0)]


def test_latency_delays_exits_as_it_delays_orders():
    rows = [bar(n, 100) for n in range(1, 4)] + [bar(4, 99, low=90), bar(5, 97, low=90)]
    slow = {"entry_latency": 2_500.0}
    result = run({1: buy(10)}, StopLoss(fraction=0.02), rows, broker=slow)
    assert fills(result) == [(4, 10, 99.0)]  # bought at 3.5 s, guarded from 6.5 s on
    assert tags(result)[-1] == ("stop-loss", "expired", "end-of-data")


# Whatever the market and whatever the strategy -------------------------------------------------------------


class Random(Strategy):
    """Trades by a script of (call, instrument, action, quantity)."""

    script: tuple

    def on_start(self, ctx):
        self.calls = 0

    def on_bar(self, ctx, bar):
        for number, name, action, quantity in self.script:
            if number != self.calls:
                continue
            if action == "close":
                ctx.close(name)
            elif action == "limit" and ctx.portfolio.price(name) > 0:
                ctx.order(name, quantity, limit=ctx.portfolio.price(name))
            else:
                ctx.order(name, quantity)
        self.calls += 1


@st.composite
def worlds(draw):
    names, rows, ts = ("A", "B"), [], 0
    for _ in range(draw(st.integers(3, 25))):
        ts += draw(st.sampled_from([1, 5, 40_000]))
        for name in names:
            if draw(st.integers(0, 3)):
                low, high = sorted((draw(st.integers(16, 24)), draw(st.integers(16, 24))))
                inside = st.integers(low, high)
                rows.append(bar(ts, draw(inside), high, low, draw(inside), instrument=name, volume=100.0))
    action = st.sampled_from(["market", "market", "limit", "close"])
    order = st.tuples(st.integers(0, 20), st.sampled_from(names), action, st.integers(-20, 20).filter(bool))
    rules = st.sampled_from(
        [
            TakeProfit(amount=2.0),
            TrailingStop(fraction=0.15),
            TrailingStop(amount=3.0),
            TimeExit(bars=3),
            TimeExit(duration=12.0),
            TimeExit(at_session_close=True),
        ]
    )
    return {
        "rows": rows,
        "script": tuple(draw(st.lists(order, max_size=12))),
        "block_rows": draw(st.integers(1, 9)),
        "rules": [StopLoss(amount=2.0), *draw(st.lists(rules, max_size=3))],
        "cap": draw(st.sampled_from([None, 0.05, 0.1])),
        "path": draw(st.sampled_from(["worst-case", "open-high-low-close", "open-low-high-close"])),
    }


def live(world, wake="interest"):
    return Engine(
        feed=ListFeed(rows=world["rows"], block_rows=world["block_rows"]),
        strategy=Random(script=world["script"]),
        broker=SimulatedBroker(
            buying_power="off", short_selling=True, participation_limit=world["cap"], intrabar_path=world["path"]
        ),
        position_rule=world["rules"],
        wake=wake,
        plugins=PLUGINS,
    ).run()


some = worlds().filter(lambda world: world["rows"])


@settings(max_examples=150, deadline=None, phases=PHASES)
@given(some)
def test_position_rules_are_the_same_whoever_is_woken(world):
    journals = []
    for wake in ("interest", "every-row"):
        result, out = live(world, wake), io.BytesIO()
        for name in ("orders", "fills", "equity"):
            getattr(result, name).write_ipc(out)
        journals.append(out.getvalue())
    assert journals[0] == journals[1]


@settings(max_examples=150, deadline=None, phases=PHASES)
@given(some)
def test_exits_of_rules_never_open_a_position(world):
    result = live(world)
    of_rules = set(result.orders.filter(pl.col("tag") != "")["order_id"].to_list())
    position = {"A": 0.0, "B": 0.0}
    for order, name, side, quantity in result.fills.select("order_id", "instrument", "side", "quantity").iter_rows():
        before, signed = position[name], quantity if side == "buy" else -quantity
        position[name] = before + signed
        if order in of_rules:
            assert before * signed < 0
            assert abs(signed) <= abs(before) + 1e-9


@settings(max_examples=150, deadline=None, phases=PHASES)
@given(some)
def test_a_stopped_position_loses_no_more_than_its_limit_and_the_gap(world):
    """A stop fills at its price or at the open of the bar that gapped beyond, and no bar that touched the stop of a
    position leaves it as it was, as long as volume is no matter.
    """
    world = world | {"cap": None}
    result = live(world)
    rows = {(row["instrument"], row["ts"]): row for row in world["rows"]}
    stops = result.orders.filter((pl.col("tag") == "stop-loss") & (pl.col("state") == "filled"))
    found = result.fills.join(stops.select("order_id", "trigger_price"), on="order_id")
    for name, ts, side, price, stop in found.select(
        "instrument", pl.col("ts").cast(pl.Int64), "side", "price", "trigger_price"
    ).iter_rows():
        sign = 1 if side == "sell" else -1
        opening = rows[name, ts]["open"]
        assert price == (stop if (opening - stop) * sign > 0 else opening)
    positions, traded = walk(result), set(result.fills.select("instrument", pl.col("ts").cast(pl.Int64)).iter_rows())
    for row in world["rows"]:
        quantity, average = positions(row["instrument"], row["ts"] - 1)
        if quantity and (row["instrument"], row["ts"]) not in traded:
            sign = 1 if quantity > 0 else -1
            worst = row["low"] if sign > 0 else row["high"]
            assert (worst - (average - sign * 2.0)) * sign > 0, (row, quantity, average)


def walk(result):
    """Quantity and average price of an instrument after everything up to a time, at average cost."""
    history = {"A": [(0, 0.0, 0.0)], "B": [(0, 0.0, 0.0)]}
    columns = result.fills.select("instrument", pl.col("ts").cast(pl.Int64), "side", "quantity", "price")
    for name, ts, side, quantity, price in columns.iter_rows():
        _, before, average = history[name][-1]
        after = before + (quantity if side == "buy" else -quantity)
        if abs(after) < 1e-9:
            after = average = 0.0
        elif before * after <= 0:
            average = price
        elif abs(after) > abs(before):
            average = (average * abs(before) + price * quantity) / abs(after)
        history[name].append((ts, after, average))

    def at(name, ts):
        return next((q, a) for t, q, a in reversed(history[name]) if t <= ts)

    return at
