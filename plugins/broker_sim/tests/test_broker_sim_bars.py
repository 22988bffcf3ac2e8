"""Bars that say when they opened, and finer bars beside them: what fills an order, and which bar it waits for."""

from __future__ import annotations

import pytest
from markets import bars, ends_of, fills_of, run
from qengine_broker_sim import SimulatedBroker
from qengine_orders import Bracket, Limit
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, drive

from qengine_core.engine import Engine
from qengine_core.plugin import ConfigError

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FREE = {"buying_power": "off", "short_selling": True}


class Timed(Strategy):
    """Does ``at[ts]`` by timers."""

    at: dict

    def on_start(self, ctx):
        for ts in self.at:
            ctx.set_timer(str(ts), at=ts)

    def on_timer(self, ctx, name):
        self.at[int(name)](ctx)

    def on_bar(self, ctx, bar):
        pass


def timed(rows, at, interval=0, **policies):
    results = [
        drive(Timed(at=at), rows, interval=interval, broker=SimulatedBroker(**FREE | policies), wake=wake)
        for wake in ("interest", "every-row")
    ]
    assert fills_of(results[0]) == fills_of(results[1])
    assert results[0].counts == results[1].counts
    return results[0]


HOURLY = bars(*[(100 + n, 102 + n, 98 + n, 101 + n) for n in range(5)], step=HOUR)


# In the middle of a bar -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "filled", "price"),
    [(HOUR, 2 * HOUR, 101), (HOUR + 1, 3 * HOUR, 102), (HOUR + 30 * MINUTE, 3 * HOUR, 102), (2 * HOUR, 3 * HOUR, 102)],
)
def test_an_order_in_the_middle_of_a_bar_waits_for_the_next(sent, filled, price):
    """The open of the bar under way is in the past; what else the bar did, nobody knows the time of."""
    result = timed(HOURLY, {sent: lambda ctx: ctx.buy("X", 1)}, interval=HOUR)
    assert fills_of(result) == [(filled, "buy", 1, price)]


def test_an_order_in_the_middle_of_a_bar_may_be_let_have_it():
    at = {HOUR + 30 * MINUTE: lambda ctx: ctx.buy("X", 1)}
    assert fills_of(timed(HOURLY, at, interval=HOUR, mid_bar="same-bar")) == [(2 * HOUR, "buy", 1, 101)]


def test_bars_that_do_not_say_when_they_opened_are_taken_to_open_after_any_order():
    at = {HOUR + 30 * MINUTE: lambda ctx: ctx.buy("X", 1)}
    assert fills_of(timed(HOURLY, at)) == [(2 * HOUR, "buy", 1, 101)]


def test_a_bar_may_say_itself_when_it_opened():
    rows = [{**row, "open_ts": row["ts"] - 20 * MINUTE} for row in HOURLY]
    result = timed(rows, {HOUR + 30 * MINUTE: lambda ctx: ctx.buy("X", 1)})
    assert fills_of(result) == [(2 * HOUR, "buy", 1, 101)]
    later = timed(rows, {HOUR + 45 * MINUTE: lambda ctx: ctx.buy("X", 1)})
    assert fills_of(later) == [(3 * HOUR, "buy", 1, 102)]


def test_limits_stops_and_immediate_orders_wait_for_the_next_bar_too():
    at = {
        HOUR + MINUTE: lambda ctx: ctx.buy("X", 1, limit=99.5),
        HOUR + 2 * MINUTE: lambda ctx: ctx.buy("X", 2, limit=100.5, time_in_force="ioc"),
    }
    rows = bars((100, 102, 98, 101), (101, 103, 99, 102), (102, 104, 100, 103), (103, 103, 99, 100), step=HOUR)
    result = timed(rows, at, interval=HOUR)
    assert fills_of(result) == [(3 * HOUR, "buy", 2, 100.5), (4 * HOUR, "buy", 1, 99.5)]


def test_latency_may_carry_an_order_into_a_bar():
    script = {1: [lambda ctx: ctx.buy("X", 1)]}
    slow = run(HOURLY, script, interval=HOUR, entry_latency=1.0)
    assert fills_of(slow) == [(3 * HOUR, "buy", 1, 102)]
    quick = run(HOURLY, script, interval=HOUR)
    assert fills_of(quick) == [(2 * HOUR, "buy", 1, 101)]


def test_an_order_for_the_close_takes_it_whenever_it_came_before():
    at = {HOUR + 30 * MINUTE: lambda ctx: ctx.buy("X", 1)}
    assert fills_of(timed(HOURLY, at, interval=HOUR, fill_timing="next-close")) == [(2 * HOUR, "buy", 1, 102)]


def test_what_is_sent_at_the_start_comes_before_the_first_bar():
    result = run(HOURLY, {0: [lambda ctx: ctx.buy("X", 1)]}, interval=HOUR)
    assert fills_of(result) == [(HOUR, "buy", 1, 100)]


def test_a_change_in_the_middle_of_a_bar_waits_for_the_next_too():
    at = {
        HOUR: lambda ctx: ctx.buy("X", 1, limit=90),
        HOUR + 30 * MINUTE: lambda ctx: ctx.amend(ctx.open_orders()[0], limit=100.5),
    }
    assert fills_of(timed(HOURLY, at, interval=HOUR)) == [(3 * HOUR, "buy", 1, 100.5)]


@pytest.mark.parametrize(("hour", "filled"), [(-2, 2), (9, 3)])
def test_a_bar_of_a_day_opens_with_its_session(hour, filled):
    """Days that close at 16:00 and whose sessions are those of UTC: at 22:00 the next has not begun, at 9:00 it has."""
    rows = [{**row, "ts": row["ts"] - 8 * HOUR} for row in bars(*[(100 + n, 110, 90, 100) for n in range(4)], step=DAY)]
    result = timed(rows, {DAY + hour * HOUR: lambda ctx: ctx.buy("X", 1)}, interval=DAY)
    assert fills_of(result) == [(filled * DAY - 8 * HOUR, "buy", 1, 99 + filled)]


# Finer bars -----------------------------------------------------------------------------------------------


class OnDays(Strategy):
    """Sees all bars and does ``script[n]`` at the n-th that is of a day."""

    script: dict

    def on_start(self, ctx):
        self.days = 0

    def on_bar(self, ctx, bar):
        if bar.ts % DAY == 0 and bar.volume > 500:
            self.days += 1
            for do in self.script.get(self.days, ()):
                do(ctx)


def hours_of(day, *rows):
    """Bars of an hour in a day: (open, high, low, close), from its first hour on."""
    return [{**row, "ts": row["ts"] + day * DAY, "volume": 100.0} for row in bars(*rows, step=HOUR)]


DAYS = bars((100, 101, 99, 100), (100, 111, 94, 105), (105, 111, 94, 105), step=DAY)


def beside(fine, script, feeds=None, **policies):
    """A run on bars of days with finer ones beside them, alike whichever is named first, and however it is woken."""
    day = ListFeed(rows=DAYS, interval=DAY)
    hour = ListFeed(**{"rows": fine, "interval": HOUR, **(feeds or {})})
    results = [
        Engine(feed=order, strategy=OnDays(script=script), broker=SimulatedBroker(**FREE | policies), wake=wake).run()
        for order in ([day, hour], [hour, day])
        for wake in ("interest", "every-row")
    ]
    for other in results[1:]:
        assert fills_of(other) == fills_of(results[0])
        assert ends_of(other) == ends_of(results[0])
        assert other.counts["ambiguous_bars"] == results[0].counts["ambiguous_bars"]
    return results[0]


BRACKET = {1: [lambda ctx: ctx.buy("X", 10, Bracket(take_profit=110, stop_loss=95))]}


def test_finer_bars_decide_what_a_bar_does_not_tell():
    """The day touches both exits, and on its own would be ambiguous; its hours say that the high came first."""
    fine = hours_of(1, (101, 104, 100, 103), (103, 111, 102, 108), (108, 109, 94, 105))
    result = beside(fine, BRACKET, intrabar_path="drill-down")
    assert fills_of(result) == [(DAY + HOUR, "buy", 10, 101), (DAY + 2 * HOUR, "sell", 10, 110)]
    assert result.counts["ambiguous_bars"] == 0
    alone = run(DAYS, BRACKET, interval=DAY)
    assert fills_of(alone)[-1] == (2 * DAY, "sell", 10, 95)
    assert alone.counts["ambiguous_bars"] == 1


def test_the_shortest_of_several_intervals_fills_whatever_the_policy_on_paths():
    fine = hours_of(1, (101, 104, 100, 103), (103, 111, 102, 108), (108, 109, 94, 105))
    result = beside(fine, BRACKET)
    assert fills_of(result) == [(DAY + HOUR, "buy", 10, 101), (DAY + 2 * HOUR, "sell", 10, 110)]


def test_a_bar_without_finer_ones_in_it_decides_itself_under_drill_down():
    """The finer feed begins a day late; without drilling down, nothing fills before."""
    fine = hours_of(2, (105, 106, 104, 105), (105, 111, 104, 108))
    script = {1: [lambda ctx: ctx.buy("X", 10, Limit(price=96))], 2: [lambda ctx: ctx.sell("X", 10, Limit(price=110))]}
    drilled = beside(fine, script, intrabar_path="drill-down")
    assert fills_of(drilled) == [(2 * DAY, "buy", 10, 96), (2 * DAY + 2 * HOUR, "sell", 10, 110)]
    finest = beside(fine, script)
    assert fills_of(finest) == [(2 * DAY + 2 * HOUR, "sell", 10, 110)]


def test_what_finer_bars_leave_open_is_not_filled_by_the_bar_that_holds_them():
    """The hours of a day never reached 96, whatever the day's low says."""
    fine = hours_of(1, (101, 104, 100, 103))
    script = {1: [lambda ctx: ctx.buy("X", 10, Limit(price=96))]}
    result = beside(fine, script, intrabar_path="drill-down")
    assert fills_of(result) == [(3 * DAY, "buy", 10, 96)]


def test_prints_decide_under_drill_down_where_there_are_some():
    fine = [{"ts": DAY + n * HOUR, "price": price, "size": 100.0} for n, price in ((1, 101.0), (2, 110.5), (3, 94.0))]
    result = beside(fine, BRACKET, feeds={"kind": "trade", "interval": 0}, intrabar_path="drill-down")
    assert fills_of(result) == [(DAY + HOUR, "buy", 10, 101), (DAY + 2 * HOUR, "sell", 10, 110.5)]


def test_inside_the_finest_bar_the_worst_case_holds_under_drill_down():
    fine = hours_of(1, (101, 104, 100, 103), (103, 111, 94, 108))
    result = beside(fine, BRACKET, intrabar_path="drill-down")
    assert fills_of(result)[-1] == (DAY + 2 * HOUR, "sell", 10, 95)
    assert result.counts["ambiguous_bars"] == 1


def test_drill_down_needs_bars_that_say_when_they_opened():
    feeds = [ListFeed(rows=DAYS), ListFeed(rows=hours_of(1, (101, 104, 100, 103)), interval=HOUR)]
    with pytest.raises(ConfigError, match="needs bars that say when they opened"):
        Engine(feed=feeds, strategy=OnDays(script={}), broker=SimulatedBroker(intrabar_path="drill-down")).run()


# What is counted ------------------------------------------------------------------------------------------


def test_ambiguous_bars_are_counted_by_instrument_and_once_each():
    rows = []
    for name, lows in (("A", (99, 95, 95)), ("B", (99, 95, 96)), ("C", (99, 99, 99))):
        rows += [
            {"ts": n + 1, "instrument": name, "open": 100, "high": 101, "low": low, "close": 100, "volume": 100.0}
            for n, low in enumerate(lows)
        ]

    class Twice(Strategy):
        """Two limits that the same bar touches, and one that a later one does."""

        def on_slice(self, ctx, bars):
            if ctx.now == 1:
                for name in "ABC":
                    ctx.buy(name, 1, limit=95)
                    ctx.buy(name, 1, limit=95)
            if ctx.now == 2:
                ctx.buy("A", 1, limit=95)

    result = drive(Twice(), rows)
    assert result.counts["ambiguous_bars"] == 3
    assert result.counts["ambiguous_by_instrument"] == {"A": 2, "B": 1}
