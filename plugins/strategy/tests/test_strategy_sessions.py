"""Sessions are announced as the calendars of a run have them, whatever is subscribed to and however it is driven."""

from __future__ import annotations

import gc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.plugin import component, param

HOUR = 3_600_000_000_000


@component
class Listed:
    """A calendar of the given sessions, (open, close) in hours."""

    hours: tuple[tuple[int, int], ...] = param(help="Opens and closes.")
    names: tuple[str, ...] = param(default=(), help="Whose they are.")

    def covers(self, instrument):
        return instrument.name in self.names

    def sessions(self, first_ts, last_ts):
        some = [(o, c, i) for i, (o, c) in enumerate(self.hours) if c * HOUR >= first_ts and o * HOUR <= last_ts]
        opens, closes, dates = np.array(some, dtype=np.int64).reshape(-1, 3).T
        return opens * HOUR, closes * HOUR, dates.astype("datetime64[D]")


@st.composite
def calendars(draw, *names):
    """Some sessions of hours, one after the other or with breaks, the first before any row."""
    edges = [-5, draw(st.integers(-4, 0))]
    for _ in range(draw(st.integers(1, 6))):
        edges.append(edges[-1] + draw(st.integers(0, 6)))
        edges.append(edges[-1] + draw(st.integers(1, 6)))
    return Listed(hours=tuple(zip(edges[::2], edges[1::2], strict=True)), names=names)


@st.composite
def feeds(draw):
    """Bars and prints of A, B and C at the same whole and half hours, so that they meet the edges of sessions."""
    made = []
    for kind, columns in (("bar", ("open", "high", "low", "close")), ("trade", ("price",))):
        times = draw(st.lists(st.integers(2, 60), min_size=1, max_size=15).map(sorted))
        names = draw(st.lists(st.sampled_from("ABC"), min_size=len(times), max_size=len(times)))
        rows = [
            {"ts": half * HOUR // 2, "instrument": name, **dict.fromkeys(columns, 10.0)}
            for half, name in zip(times, names, strict=True)
        ]
        made.append(ListFeed(rows=rows, kind=kind, block_rows=draw(st.sampled_from([1, 2, 100]))))
    return made if draw(st.booleans()) else made[::-1]


def heard(feeds, calendars, lanes, every, wake):
    log = []

    class Listener(Strategy):
        def on_start(self, ctx):
            for lane in lanes:
                ctx.subscribe(lane, every=every)

        def on_session_open(self, ctx, session):
            log.append(("open", *session.instruments, session.open_ts, ctx.now))
            ctx.buy(session.instruments[0], 1)

        def on_session_close(self, ctx, session):
            log.append(("close", *session.instruments, session.open_ts, ctx.now))

    for lane in lanes:
        setattr(Listener, f"on_{lane}", lambda self, ctx, event: log.append((event.instrument, ctx.now)))
    result = Engine(feed=feeds, strategy=Listener(), calendar=calendars, wake=wake).run()
    return log, result


def walked(feeds, calendars):
    """What should be announced, by walking all rows in order."""
    order = {id(feed): place for place, feed in enumerate(feeds)}
    rows = [(row["ts"], order[id(feed)], feed.kind, row["instrument"]) for feed in feeds for row in feed.rows]
    rows.sort(key=lambda row: row[:2])
    present = list(dict.fromkeys(row["instrument"] for feed in feeds for row in feed.rows))
    whose = {name: calendar for calendar in calendars for name in calendar.names}
    told = {calendar: tuple(name for name in present if whose[name] is calendar) for calendar in calendars}
    log, current, closing = [], {}, []

    def close(until):
        for entry in sorted(closing, key=lambda entry: entry[0]):
            if entry[0] < until:
                closing.remove(entry)
                log.append(("close", *told[entry[1]], entry[2], entry[0]))

    for ts, _, kind, name in rows:
        close(ts)
        calendar = whose[name]
        opened = [(o * HOUR, c * HOUR) for o, c in calendar.hours if o * HOUR < ts + (kind == "trade")]
        if current.get(calendar, (-(2**60),)) < opened[-1]:
            for entry in [entry for entry in closing if entry[1] is calendar]:
                closing.remove(entry)
                log.append(("close", *told[calendar], entry[2], ts))
            current[calendar] = opened[-1]
            closing.append((max(opened[-1][1], ts), calendar, opened[-1][0]))
            log.append(("open", *told[calendar], opened[-1][0], ts))
    last = rows[-1][0]
    close(last + 1)
    return log, {("close", *told[calendar], open_ts, last) for _, calendar, open_ts in closing}


@settings(max_examples=150, deadline=None)
@given(
    feeds(),
    calendars("A", "C"),
    calendars("B"),
    st.sampled_from([("bar", "trade"), ("bar",), ("trade",), ()]),
    st.sampled_from([None, 3]),
)
def test_sessions_of_several_calendars_are_those_of_a_walk_over_all_rows(feeds, first, second, lanes, every):
    log, lazy = heard(feeds, [first, second], lanes, every, "interest")
    naive_log, naive = heard(feeds, [first, second], lanes, every, "every-row")
    assert log == naive_log
    assert lazy.orders.equals(naive.orders)
    assert lazy.fills.equals(naive.fills)
    expected, at_the_end = walked(feeds, [first, second])
    announced = [entry for entry in log if entry[0] in ("open", "close")]
    assert announced[: len(expected)] == expected
    assert set(announced[len(expected) :]) == at_the_end


def test_a_strategy_that_hears_of_sessions_is_freed_with_its_result():
    class Listener(Strategy):
        def on_session_open(self, ctx, session):
            self.session = session

    gc.collect()
    gc.disable()
    try:
        result = drive(Listener(), bars([10.0, 11.0, 12.0]))
        assert result.rows == 3
        del result
        left = [o for o in gc.get_objects() if type(o).__name__ == "StrategyDriver"]
    finally:
        gc.enable()
    assert left == []
