"""Losses halt a run at the very row on which too much is lost, and nobody is woken for the rows before."""

from __future__ import annotations

import datetime as dt
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_costs import FixedBps, PerTrade
from qengine_risk import KillSwitch, MaxDailyLoss, MaxDrawdown, StopLoss
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError

PLUGINS = Plugins.discover()
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a failing world is small already; shrinking takes minutes


class Script(Strategy):
    """Does ``script[n]`` at its n-th bar."""

    script: dict
    seconds: float = 0.0

    def on_start(self, ctx):
        self.bars = 0
        if self.seconds:
            ctx.set_timer("kill", at=ctx.now + 1 + int(self.seconds * 1e9))

    def on_bar(self, ctx, bar):
        self.bars += 1
        for do in self.script.get(self.bars, ()):
            do(ctx)

    def on_timer(self, ctx, name):
        ctx.kill("timer")


class Once(Strategy):
    """Buys before the first bar, and asks for nothing after it."""

    def on_start(self, ctx):
        ctx.buy("X", 100)


def buy(quantity, name="X", **options):
    return lambda ctx: ctx.buy(name, quantity, **options)


def sell(quantity, name="X", **options):
    return lambda ctx: ctx.sell(name, quantity, **options)


def run(script, risk, rows, seconds=0.0, **engine):
    script = {n: do if isinstance(do, list) else [do] for n, do in script.items()}
    engine.setdefault("broker", SimulatedBroker(buying_power="off", short_selling=True))
    return drive(Script(script=script, seconds=seconds), rows, cash=1_000.0, risk=risk, **engine)


def ends(result):
    return list(result.orders.select("state", "reason").iter_rows())


def held(result):
    """Signed quantity by instrument at the end, from the fills."""
    signed = pl.when(pl.col("side") == "buy").then("quantity").otherwise(-pl.col("quantity"))
    return dict(result.fills.group_by("instrument").agg(signed.sum()).sort("instrument").iter_rows())


FILLED = ("filled", "")


def refused(reason):
    return ("rejected", f"risk:{reason}")


def halted(result):
    return [(entry["rule"], entry["time"]) for entry in result.counts["halts"]]


def day(number):
    return f"{np.datetime64(START.replace(tzinfo=None) + dt.timedelta(days=number), 'us')}Z"


# 100 bought at 10: equity is 1,000, then 1,200 at its highest, then 1,000 and 900.
SLIDE = bars([10.0, 10.0, 12.0, 11.0, 10.0, 9.0, 9.0, 20.0, 20.0], start=START)


def test_a_drawdown_halts_at_the_row_on_which_it_is_reached():
    script = {1: buy(100), 5: buy(1), 6: buy(1), 8: [buy(1), sell(40)]}
    result = run(script, MaxDrawdown(fraction=0.25), SLIDE)
    # 1,200 less a quarter is 900, which is what there is at the sixth bar (day 5). The halt is for good.
    assert halted(result) == [("max-drawdown", day(5))]
    assert ends(result) == [FILLED, FILLED, refused("max-drawdown"), refused("max-drawdown"), FILLED]


def test_a_drawdown_in_money_counts_from_the_highest_equity():
    assert halted(run({1: buy(100)}, MaxDrawdown(amount=200.0), SLIDE)) == [("max-drawdown", day(4))]
    assert halted(run({1: buy(100)}, MaxDrawdown(amount=300.5), SLIDE)) == []


def test_nobody_is_woken_for_the_rows_before_the_halt():
    prices = [10.0, 10.0, *(10.0 + n % 7 for n in range(5_000)), 4.0, 4.0, 4.0]
    rule = MaxDrawdown(fraction=0.7, action="flatten")
    broker = SimulatedBroker(buying_power="off")
    result = drive(Once(), bars(prices, start=START, step=HOUR), cash=1_000.0, risk=rule, broker=broker)
    assert len(result.counts["halts"]) == 1
    assert result.fills.height == 2
    assert result.wakes < 12  # of 5,005 rows
    assert result.orders["reason"].to_list() == ["", ""]


def test_a_halt_may_cancel_what_would_open_and_keep_exits():
    script = {1: buy(100), 3: [buy(5, limit=1.0), sell(100, limit=50.0), sell(150, limit=60.0)]}
    result = run(script, MaxDrawdown(amount=200.0, action="cancel"), SLIDE)
    gone = ("cancelled", "risk:max-drawdown")
    assert ends(result) == [FILLED, gone, ("expired", "end-of-data"), gone]


def test_a_halt_may_leave_every_position_at_the_next_open():
    rows = [*SLIDE, *bars([5.0] * 9, "Y", start=START)]
    script = {2: [buy(100), sell(10, "Y"), buy(5, limit=1.0)]}
    result = run(script, MaxDrawdown(amount=200.0, action="flatten"), rows)
    assert ends(result)[2] == ("cancelled", "risk:max-drawdown")
    exits = result.orders.filter(pl.col("type") == "exit")
    assert exits.select("instrument", "side", "quantity", "state", "tag").rows() == [
        ("X", "sell", 100.0, "filled", "risk:max-drawdown"),
        ("Y", "buy", 10.0, "filled", "risk:max-drawdown"),
    ]
    assert held(result) == {"X": 0.0, "Y": 0.0}


def test_a_position_that_the_strategy_is_leaving_already_is_not_left_twice():
    result = run({1: buy(100), 5: sell(100)}, MaxDrawdown(amount=200.0, action="flatten"), SLIDE)
    assert ends(result) == [FILLED, ("cancelled", "risk:max-drawdown"), FILLED]
    assert held(result) == {"X": 0.0}


def test_a_daily_loss_halts_for_the_rest_of_the_session():
    """Four bars a session: of 1,000, 100 may be lost a day."""
    closes = [10.0, 10.0, 9.5, 9.0, 9.0, 8.5, 8.1, 8.0]
    rows = bars(closes, start=START + 6 * HOUR, step=6 * HOUR)  # the fourth bar, at 00:00, ends the first day
    script = {1: buy(100), 3: buy(1), 4: buy(1), 5: buy(1), 6: buy(1), 7: buy(1), 8: buy(1)}
    result = run(script, MaxDailyLoss(amount=100.0), rows)
    first, second = START + 24 * HOUR, START + 48 * HOUR
    times = [time for _, time in halted(result)]
    assert times == [f"{np.datetime64(when.replace(tzinfo=None), 'us')}Z" for when in (first, second)]
    rejected = [number for number, (state, _) in enumerate(ends(result)) if state == "rejected"]
    assert rejected == [2, 6]  # those of the bars at which it was reached; the day after, all pass again


def test_a_daily_loss_counts_from_the_equity_at_the_end_of_the_session_before():
    closes = [10.0, 10.0, 20.0, 20.0, 18.5, 18.0]
    result = run({1: buy(100)}, MaxDailyLoss(fraction=0.1), bars(closes, start=START))
    assert halted(result) == []  # 2,000, 1,850, 1,800: less than a tenth a day
    lost = run({1: buy(100)}, MaxDailyLoss(fraction=0.07), bars(closes, start=START))
    assert halted(lost) == [("max-daily-loss", day(4))]


def test_an_order_sent_after_the_loss_but_before_the_row_is_judged_is_refused():
    """The strategy acts on the row before the account is judged at its end, and is refused all the same."""
    result = run({1: buy(100), 5: buy(1)}, MaxDrawdown(amount=200.0), SLIDE)
    assert ends(result)[1] == refused("max-drawdown")
    assert halted(result) == [("max-drawdown", day(4))]


def test_the_strategy_trips_the_kill_switch_and_only_exits_pass():
    kill = [lambda ctx: ctx.kill("enough"), lambda ctx: ctx.kill("again"), buy(1), sell(30)]
    result = run({1: buy(100), 4: kill, 6: buy(1)}, KillSwitch(action="halt"), SLIDE)
    assert ends(result) == [FILLED, refused("kill-switch: enough"), FILLED, refused("kill-switch: enough")]
    assert result.counts["halts"] == [
        {"rule": "kill-switch", "time": day(3), "reason": "enough", "action": "halt"},
    ]


def test_the_kill_switch_flattens_and_cancels_unless_told_otherwise():
    script = {1: [buy(100), buy(1, limit=1.0)], 4: lambda ctx: ctx.kill()}
    result = run(script, KillSwitch(), SLIDE)
    assert ends(result) == [FILLED, ("cancelled", "risk:kill-switch"), FILLED]
    assert held(result) == {"X": 0.0}


def test_a_timer_and_a_time_may_trip_it():
    timed = run({1: buy(100), 4: buy(1)}, KillSwitch(), SLIDE, seconds=86_400 * 2.5)
    assert ends(timed) == [FILLED, FILLED, refused("kill-switch: timer")]
    assert halted(timed) == [("kill-switch", "2024-01-03T12:00:00.000000Z")]
    at = run({1: buy(100), 4: buy(1)}, KillSwitch(at="2024-01-03T12:00Z", action="halt"), SLIDE)
    assert ends(at) == [FILLED, refused("kill-switch: time")]
    assert halted(at) == [("kill-switch", "2024-01-03T12:00:00.000000Z")]


def test_without_a_kill_switch_the_strategy_is_told_to_add_one():
    with pytest.raises(ConfigError, match="add the risk rule 'kill-switch'"):
        run({1: lambda ctx: ctx.kill()}, None, SLIDE)


@pytest.mark.parametrize("at", ["tomorrow", "2024-01-03T12:00"])
def test_a_time_that_cannot_be_read_is_refused(at):
    with pytest.raises(ConfigError, match="a time with its zone"):
        KillSwitch(at=at)


def test_a_limit_on_losses_without_a_limit_is_refused():
    for make in (MaxDrawdown, MaxDailyLoss):
        with pytest.raises(ConfigError, match="needs fraction or amount"):
            make()


# Both ways of running -----------------------------------------------------------------------------------


class Random(Strategy):
    """Trades by a script of (bar number, instrument, signed quantity), and hears of nothing."""

    script: tuple
    every: int

    def on_start(self, ctx):
        self.calls = 0
        ctx.subscribe("bar", every=self.every)

    def on_bar(self, ctx, bar):
        for number, name, quantity in self.script:
            if number == self.calls:
                ctx.order(name, quantity)
        self.calls += 1


@st.composite
def worlds(draw):
    names, rows, ts = ("A", "B"), [], 0
    for _ in range(draw(st.integers(3, 25))):
        ts += draw(st.sampled_from([1, 3_600, 40_000])) * 1_000_000_000
        for name in names:
            if draw(st.integers(0, 3)):
                price = float(draw(st.integers(8, 12)))
                rows.append({"ts": ts, "instrument": name, "open": price, "high": price + 1, "low": price - 1})
                rows[-1] |= {"close": price + draw(st.sampled_from([-1.0, 0.0, 0.5])), "volume": 100.0}
    order = st.tuples(st.integers(0, 12), st.sampled_from(names), st.integers(-20, 20).filter(bool))
    rules = st.sampled_from(
        [
            MaxDrawdown(fraction=0.05, action="flatten"),
            MaxDrawdown(amount=20.0),
            MaxDailyLoss(amount=15.0, action="cancel"),
            MaxDailyLoss(fraction=0.03, action="flatten"),
            KillSwitch(at="1970-01-01T12:00Z"),
        ]
    )
    return {
        "rows": rows,
        "script": tuple(draw(st.lists(order, max_size=12))),
        "every": draw(st.integers(1, 4)),
        "block_rows": draw(st.integers(1, 9)),
        "risk": draw(st.lists(rules, min_size=1, max_size=3)),
        "timing": draw(st.sampled_from(["next-open", "same-close", "next-close"])),
        "rules": draw(st.sampled_from([(), (StopLoss(fraction=0.1),)])),
        "cap": draw(st.sampled_from([None, 0.1])),
    }


def journal(world, wake):
    broker = SimulatedBroker(
        buying_power="off", short_selling=True, fill_timing=world["timing"], participation_limit=world["cap"]
    )
    result = Engine(
        feed=ListFeed(rows=world["rows"], block_rows=world["block_rows"]),
        strategy=Random(script=world["script"], every=world["every"]),
        ledger={"use": "standard", "cash": 500.0},
        broker=broker,
        commission=PerTrade(amount=0.5),
        slippage=FixedBps(bps=10),
        risk=world["risk"],
        position_rule=list(world["rules"]),
        wake=wake,
        plugins=PLUGINS,
    ).run()
    out = io.BytesIO()
    for name in ("orders", "fills", "positions", "equity"):
        getattr(result, name).write_ipc(out)
    return out.getvalue(), result.counts["halts"]


@settings(max_examples=150, deadline=None, phases=PHASES)
@given(worlds().filter(lambda world: world["rows"]))
def test_halts_are_the_same_whoever_is_woken(world):
    assert journal(world, "interest") == journal(world, "every-row")


@settings(max_examples=100, deadline=None, phases=PHASES)
@given(worlds().filter(lambda world: world["rows"]))
def test_a_halt_comes_with_the_first_sample_of_equity_that_has_lost_too_much(world):
    """Held to the equity curve, which is computed elsewhere."""
    world = world | {"risk": [MaxDrawdown(amount=20.0)], "script": world["script"][:1], "timing": "next-open"}
    _, halts = journal(world, "interest")
    broker = SimulatedBroker(buying_power="off", short_selling=True, participation_limit=world["cap"])
    free = Engine(
        feed=ListFeed(rows=world["rows"], block_rows=world["block_rows"]),
        strategy=Random(script=world["script"], every=world["every"]),
        ledger={"use": "standard", "cash": 500.0},
        broker=broker,
        commission=PerTrade(amount=0.5),
        slippage=FixedBps(bps=10),
        position_rule=list(world["rules"]),
        plugins=PLUGINS,
    ).run()
    equity, ts = free.equity["equity"].to_numpy(), free.equity["ts"].cast(pl.Int64).to_list()
    highest = np.maximum(np.maximum.accumulate(equity), 500.0)
    lost = np.flatnonzero(equity <= highest - 20.0)
    expected = [f"{np.datetime64(ts[lost[0]], 'ns').astype('datetime64[us]')}Z"] if len(lost) else []
    assert [halt["time"] for halt in halts] == expected
