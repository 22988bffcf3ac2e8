"""A strategy is woken for what it overrides, narrowed by what it subscribes to, and for nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_strategy import Bar, Context, Slice, Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.plugin import ConfigError, Fill, Instrument, QEngineError

DAY = 86_400_000_000_000
HOUR = DAY // 24


def two(count, **options):
    """Bars of X and Y at the same times."""
    rows = bars(range(10, 10 + count), "X", **options) + bars(range(50, 50 + count), "Y", **options)
    return sorted(rows, key=lambda row: row["ts"])


def listener(method, start=None):
    """A strategy class that overrides one market data callback and notes what it is given."""
    seen = []

    class Listener(Strategy):
        def on_start(self, ctx):
            if start is not None:
                start(ctx)

    def note(self, ctx, event):
        assert ctx.now == event.ts
        seen.append((event.ts, None if method == "on_slice" else event.instrument))

    setattr(Listener, method, note)
    return Listener(), seen


def subscribed(rows, method="on_bar", **options):
    strategy, seen = listener(method, lambda ctx: ctx.subscribe(**options))
    block_rows = options.pop("block_rows", 65_536)
    drive(strategy, rows, block_rows=block_rows)
    return seen


@pytest.mark.parametrize(
    ("method", "kind"),
    [("on_bar", "bar"), ("on_slice", "bar"), ("on_trade", "trade"), ("on_quote", "quote"), ("on_signal", "signal")],
)
def test_overriding_a_callback_is_asking_for_its_events(method, kind):
    feeds = [
        ListFeed(rows=[{"ts": 1, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}]),
        ListFeed(rows=[{"ts": 2, "price": 1.0, "size": 1.0}], kind="trade"),
        ListFeed(rows=[{"ts": 3, "bid": 1.0, "ask": 2.0}], kind="quote"),
        ListFeed(rows=[{"ts": 4, "score": 0.5}], kind="signal"),
    ]
    strategy, seen = listener(method)
    result = Engine(feed=feeds, strategy=strategy).run()
    assert [ts for ts, _ in seen] == [{"bar": 1, "trade": 2, "quote": 3, "signal": 4}[kind]]
    assert result.wakes == 1


def test_a_strategy_that_overrides_nothing_is_never_woken():
    class Idle(Strategy):
        pass

    assert drive(Idle(), bars(range(1, 100))).wakes == 0


def test_subscribe_to_instruments():
    rows = two(3)
    assert {name for _, name in subscribed(rows, instruments=["Y"])} == {"Y"}
    assert len(subscribed(rows, instruments=["Y"])) == 3
    assert subscribed(rows, instruments=["X", "Y"]) == subscribed(rows)
    assert subscribed(rows, instruments=[]) == []


def test_subscribe_to_instruments_on_the_slice_lane_is_for_timestamps_that_have_them():
    rows = [*bars([1.0, 2.0, 3.0, 4.0]), *bars([5.0], "Y", start=dt.datetime(2020, 1, 3, tzinfo=dt.UTC))]
    stamps = [ts for ts, _ in subscribed(rows, "on_slice", instruments=["Y"])]
    assert stamps == [rows[2]["ts"]]


@pytest.mark.parametrize("block_rows", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_every_nth_row_across_block_borders(block_rows, every):
    rows = bars(range(10, 30))
    strategy, seen = listener("on_bar", lambda ctx: ctx.subscribe(every=every))
    drive(strategy, rows, block_rows=block_rows)
    assert [ts for ts, _ in seen] == [row["ts"] for row in rows[every - 1 :: every]]


@pytest.mark.parametrize("method", ["on_bar", "on_slice"])
@pytest.mark.parametrize("block_rows", [1, 3, 100])
def test_every_nth_counts_timestamps_on_the_slice_lane_and_rows_on_the_event_lane(method, block_rows):
    strategy, seen = listener(method, lambda ctx: ctx.subscribe(every=2))
    rows = two(7)
    drive(strategy, rows, block_rows=block_rows)
    if method == "on_bar":
        assert seen == [(row["ts"], row["instrument"]) for row in rows[1::2]]
    else:
        assert [ts for ts, _ in seen] == sorted({row["ts"] for row in rows})[1::2]


PERIODS = {
    "day": lambda time: time.date(),
    "week": lambda time: time.isocalendar()[:2],
    "month": lambda time: (time.year, time.month),
    "year": lambda time: time.year,
    "5m": lambda time: int(time.timestamp()) // 300,
    "2h": lambda time: int(time.timestamp()) // 7_200,
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(PERIODS)),
    st.lists(st.integers(1, 40_000), min_size=1, max_size=40),
    st.sampled_from([1, 3, 1000]),
)
def test_every_period_is_its_first_row(every, minutes, block_rows):
    """Against a walk over the rows in Python, with calendars of the standard library."""
    times = [dt.datetime(2019, 12, 28, tzinfo=dt.UTC) + dt.timedelta(minutes=int(m)) for m in np.cumsum(minutes)]
    rows = [{"ts": time, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0} for time in times]
    strategy, seen = listener("on_bar", lambda ctx: ctx.subscribe(every=every))
    drive(strategy, rows, block_rows=block_rows)
    expected, last = [], None
    for time in times:
        if PERIODS[every](time) != last:
            expected.append(time)
            last = PERIODS[every](time)
    assert [ts for ts, _ in seen] == [int(time.timestamp()) * 1_000_000_000 for time in expected]


@pytest.mark.parametrize("every", [3, "day"])
def test_streams_that_take_turns_are_counted_apart_and_once(every):
    """Two bar feeds whose rows interleave, so that each block is left and come back to again and again."""
    feeds = [
        ListFeed(rows=bars(range(10, 22), name, start=2_000 * DAY + shift, step=dt.timedelta(hours=6)))
        for name, shift in (("X", 0), ("Y", HOUR))
    ]
    strategy, seen = listener("on_bar", lambda ctx: ctx.subscribe(every=every))
    Engine(feed=feeds, strategy=strategy).run()
    for name in ("X", "Y"):
        alone, expected = listener("on_bar", lambda ctx: ctx.subscribe(every=every))
        Engine(feed=feeds["XY".index(name)], strategy=alone).run()
        assert [row for row in seen if row[1] == name] == expected
        assert expected


@pytest.mark.parametrize("block_rows", [1, 2, 5, 100])
def test_a_subscription_in_mid_run_counts_from_there_whatever_the_blocks(block_rows):
    seen = []

    class Late(Strategy):
        def on_bar(self, ctx, bar):
            seen.append(int(bar.close))
            if bar.close == 13:
                ctx.subscribe(every=3)

    drive(Late(), bars(range(10, 26)), block_rows=block_rows)
    assert seen == [10, 11, 12, 13, 16, 19, 22, 25]


def test_a_subscription_to_what_is_not_overridden_is_refused():
    strategy, _ = listener("on_bar", lambda ctx: ctx.subscribe("trade"))
    with pytest.raises(ConfigError, match="subscribes to 'trade' without listening: override on_trade"):
        drive(strategy, bars([1.0]))
    strategy, _ = listener("on_bar", lambda ctx: ctx.subscribe("brs"))
    with pytest.raises(ConfigError, match="did you mean 'bar'"):
        drive(strategy, bars([1.0]))


@pytest.mark.parametrize("every", [0, -1, True, "fortnight", "0m", "5x", 1.5])
def test_an_impossible_period_is_refused(every):
    with pytest.raises(ConfigError, match="every must be"):
        subscribed(bars([1.0]), every=every)


def test_on_bar_and_on_slice_together_are_refused():
    class Both(Strategy):
        def on_bar(self, ctx, bar):
            pass

        def on_slice(self, ctx, bars):
            pass

    with pytest.raises(ConfigError, match="overrides both on_bar and on_slice: choose one"):
        drive(Both(), bars([1.0]))


# Sessions ------------------------------------------------------------------------------------------------


def sessions_of(rows, subscribe=None, lanes=True, **engine):
    log = []

    class Sessions(Strategy):
        def on_start(self, ctx):
            if subscribe:
                ctx.subscribe(**subscribe)

        def on_session_open(self, ctx, session):
            log.append(("open", session.date, ctx.now))
            ctx.buy("X", 1)

        def on_session_close(self, ctx, session):
            log.append(("close", session.date, ctx.now))

    if lanes:
        Sessions.on_bar = lambda self, ctx, bar: log.append(("bar", None, ctx.now))
    result = drive(Sessions(), rows, **engine)
    return log, result


@pytest.mark.parametrize("lanes", [True, False])
@pytest.mark.parametrize("hours", [6, 9, 24, 100])
def test_sessions_open_with_their_first_row_and_close_at_their_close(lanes, hours):
    """A bar at midnight has ended then: it belongs to the day before, whose close comes after it."""
    rows = bars(range(10, 17), step=dt.timedelta(hours=hours))
    times = [row["ts"] for row in rows]
    expected, last = [], None
    for ts in times:
        day = (ts - 1) // DAY
        if day != last:
            closes = min((day + 1) * DAY, times[-1])
            expected += [("open", day, ts, 0), ("close", day, closes, 3 if closes % DAY == 0 else 4)]
            last = day
        if lanes:
            expected.append(("bar", None, ts, 2))
    log, _ = sessions_of(rows, lanes=lanes)
    assert [(what, date and (date - dt.date(1970, 1, 1)).days, ts) for what, date, ts in log] == [
        entry[:3] for entry in sorted(expected, key=lambda entry: (entry[2], entry[3]))
    ]


@pytest.mark.parametrize("block_rows", [1, 4, 100])
@pytest.mark.parametrize("subscribe", [None, {"every": 5}, {"every": "month"}])
def test_sessions_do_not_depend_on_what_is_subscribed_to_or_on_the_way_of_running(subscribe, block_rows):
    rows = bars(range(10, 60), step=dt.timedelta(hours=5))
    log, lazy = sessions_of(rows, subscribe, block_rows=block_rows)
    naive_log, naive = sessions_of(rows, subscribe, block_rows=block_rows, wake="every-row")
    assert log == naive_log
    assert lazy.orders.equals(naive.orders)
    assert lazy.fills.equals(naive.fills)
    opened = [day for what, day, _ in log if what == "open"]
    assert len(opened) == len({(row["ts"] - 1) // DAY for row in rows})


def test_the_clock_stands_on_the_row_that_opens_a_session_even_if_that_row_is_not_subscribed():
    rows = bars(range(10, 16), step=dt.timedelta(hours=12))
    _, result = sessions_of(rows, {"every": 6})
    opening = [rows[0], *rows[1::2]]  # the first stands at midnight
    assert [int(ts) for ts in result.orders["accepted_ts"].cast(int)] == [row["ts"] for row in opening]
    assert result.orders["submitted_ts"].to_list() == result.orders["accepted_ts"].to_list()


# Slices --------------------------------------------------------------------------------------------------


@st.composite
def panels(draw):
    """Rows of up to three instruments, any of which may be missing at any time, and the matrix of closes."""
    count, names = draw(st.integers(1, 12)), "ABC"[: draw(st.integers(1, 3))]
    matrix = np.array(
        [[draw(st.one_of(st.none(), st.integers(1, 99))) for _ in names] for _ in range(count)], dtype=float
    )
    matrix[np.isnan(matrix).all(axis=1), 0] = 7.0
    rows = [
        {"ts": ts * DAY, "instrument": name, **dict.fromkeys(("open", "high", "low", "close"), matrix[ts, code])}
        for ts in range(count)
        for code, name in enumerate(names)
        if not np.isnan(matrix[ts, code])
    ]
    return [Instrument(name=name) for name in names], rows, matrix


@settings(max_examples=80, deadline=None)
@given(panels(), st.integers(1, 6), st.sampled_from([1, 2, 4, 1000]), st.sampled_from([None, 2, 5]))
def test_slices_and_history_are_the_panel_with_gaps_as_nan(panel, history, block_rows, every):
    instruments, rows, matrix = panel
    seen = []

    class Looker(Strategy):
        def on_start(self, ctx):
            ctx.subscribe(history=history, every=every)

        def on_slice(self, ctx, bars):
            index = ctx.now // DAY
            np.testing.assert_array_equal(bars.close, matrix[index])
            past = bars.history("close", history)
            np.testing.assert_array_equal(past, matrix[max(0, index + 1 - history) : index + 1])
            for values in (bars.close, past, bars["open"]):
                with pytest.raises(ValueError, match="read-only"):
                    values[...] = 0.0
            assert bars.instruments == ctx.instruments
            seen.append(index)

    drive(Looker(), rows, instruments=instruments, block_rows=block_rows)
    assert seen == list(range(len(matrix)))[every - 1 if every else 0 :: every or 1]


def test_history_of_two_bar_streams_is_kept_apart():
    class Looker(Strategy):
        def on_start(self, ctx):
            ctx.subscribe(history=3)

        def on_slice(self, ctx, bars):
            past = bars.history("close", 3)
            lane = int(np.flatnonzero(~np.isnan(bars.close))[0])
            assert np.isnan(past[:, 1 - lane]).all()
            found.append(past[:, lane].tolist())

    found = []
    feeds = [
        ListFeed(rows=bars([1.0, 2.0, 3.0], "X"), block_rows=2),
        ListFeed(rows=bars([5.0, 6.0, 7.0], "Y"), block_rows=1),
    ]
    Engine(feed=feeds, strategy=Looker()).run()
    assert found[-2:] == [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]


def test_more_history_than_was_subscribed_is_refused():
    class Greedy(Strategy):
        def on_slice(self, ctx, bars):
            bars.history("close", 2)

    with pytest.raises(ConfigError, match=r"call ctx.subscribe\(history=2\) in on_start"):
        drive(Greedy(), bars([1.0, 2.0]))


def test_a_kept_slice_keeps_its_values():
    kept = []

    class Keeper(Strategy):
        def on_slice(self, ctx, bars):
            kept.append(bars)

    rows = two(5)
    drive(Keeper(), rows, block_rows=3)
    assert [slice_.close.tolist() for slice_ in kept] == [[10.0 + n, 50.0 + n] for n in range(5)]
    assert [slice_.ts for slice_ in kept] == sorted({row["ts"] for row in rows})
    assert kept[0].time == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert [kept[1].open.tolist(), kept[1].high.tolist(), kept[1].low.tolist()] == [[10, 50], [11, 51], [10, 50]]
    assert kept[1].volume.tolist() == [1e6, 1e6]


# Events --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_rows", [1, 3, 1000])
@pytest.mark.parametrize("every", [None, 2, 9])
@pytest.mark.parametrize("orders", [False, True])
def test_kept_events_never_change(block_rows, every, orders):
    """Every bar of the run is kept, while orders, fills and block borders come between."""
    kept = []

    class Keeper(Strategy):
        def on_start(self, ctx):
            ctx.subscribe(every=every)

        def on_bar(self, ctx, bar):
            kept.append((bar, bar.close))
            if orders:
                ctx.buy("X", 1)

    rows = two(20)
    drive(Keeper(), rows, block_rows=block_rows)
    expected = rows[(every or 1) - 1 :: every or 1]
    for (bar, close), row in zip(kept, expected, strict=True):
        read = (bar.ts, bar.instrument, bar.open, bar.high, bar.low, bar.close, bar.volume)
        assert read == tuple(row[name] for name in ("ts", "instrument", "open", "high", "low", "close", "volume"))
        assert close == row["close"]
        assert bar["close"] == row["close"]


def test_events_that_are_not_kept_share_one_object():
    """The cursor is reused, or a run of millions of rows would make millions of objects."""
    found = set()

    class Watcher(Strategy):
        def on_bar(self, ctx, bar):
            found.add(id(bar))

    drive(Watcher(), bars(range(1, 300)))
    assert len(found) == 1


def test_every_event_names_its_columns():
    notes = []

    class Reader(Strategy):
        def on_trade(self, ctx, trade):
            notes.append((trade.price, trade.size, trade["flag"], "flag" in trade, "other" in trade, trade.instrument))

        def on_quote(self, ctx, quote):
            notes.append((quote.bid, quote.ask, quote.bid_size, quote.ask_size))

        def on_signal(self, ctx, signal):
            notes.append((signal["score"], signal.time, repr(signal)))

    feeds = [
        ListFeed(rows=[{"ts": 1, "price": 2.0, "size": 3.0, "flag": 4.0}], kind="trade"),
        ListFeed(rows=[{"ts": 2, "bid": 1.0, "ask": 2.0, "bid_size": 3.0, "ask_size": 4.0}], kind="quote"),
        ListFeed(rows=[{"ts": 3_000, "score": 0.5}], kind="signal"),
    ]
    Engine(feed=feeds, strategy=Reader()).run()
    epoch = dt.datetime(1970, 1, 1, microsecond=3, tzinfo=dt.UTC)
    assert notes == [
        (2.0, 3.0, 4.0, True, False, "X"),
        (1.0, 2.0, 3.0, 4.0),
        (0.5, epoch, "Signal(X 1970-01-01T00:00:00.000003+00:00, score=0.5)"),
    ]


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    class Wrong(Strategy):
        def on_bar(self, ctx, bar):
            bar["clse"]

    with pytest.raises(Exception, match=r"no column 'clse' .*did you mean 'close'"):
        drive(Wrong(), bars([1.0]))

    class WrongSlice(Strategy):
        def on_slice(self, ctx, bars):
            bars["clse"]

    with pytest.raises(ConfigError, match=r"no column 'clse' .*did you mean 'close'"):
        drive(WrongSlice(), bars([1.0]))


def test_features_are_read_as_columns_of_the_event():
    frame = pl.DataFrame({"close": [1.0, 2.0, 4.0]}).with_columns(mean=pl.col("close").rolling_mean(2))
    rows = [row | {"mean": mean} for row, mean in zip(bars([1, 2, 4]), frame["mean"].fill_null(np.nan), strict=True)]
    read = []

    class Reader(Strategy):
        def on_bar(self, ctx, bar):
            read.append(bar["mean"])

    drive(Reader(), rows)
    np.testing.assert_array_equal(read, [np.nan, 1.5, 3.0])


# Crossing a price ---------------------------------------------------------------------------------------------------


class Waiting(Strategy):
    """Notes the rows that reach a level, and waits for the next one, a step further on."""

    step: float = 1.0

    def on_start(self, ctx: Context) -> None:
        ctx.subscribe("bar", crossing=True)
        self.seen: list[tuple[int, str, float]] = []
        self.bids = ctx.watch("A", above=102.0, below=98.0)
        self.never = ctx.watch("B", above=100.5)
        self.never.cancel()
        NOTES["seen"] = self.seen

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        self.seen.append((bar.ts, bar.instrument, bar.close))
        assert not self.bids.is_waiting
        self.bids = ctx.watch("A", above=bar.close + self.step, below=bar.close - self.step)
        if len(self.seen) % 2:
            ctx.buy("A", 1, limit=bar.close - 0.5)

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        ctx.sell("A", fill.quantity, limit=fill.price + 0.5) if fill.side > 0 else None


NOTES: dict[str, Any] = {}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), block_rows=st.sampled_from([3, 50, 10_000]), step=st.sampled_from([0.3, 1.0, 5.0])
)
def test_a_watched_price_wakes_with_the_row_that_reaches_it(seed: int, block_rows: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    closes = (100 + np.cumsum(rng.normal(0, 0.5, 200))).round(2).tolist()
    rows = bars(closes, "A") + bars([100.0 + number / 1000 for number in range(200)], "B")
    rows.sort(key=lambda row: (row["ts"], row["instrument"]))
    expected, above, below = [], 102.0, 98.0
    for row in rows:
        if row["instrument"] == "A" and (row["high"] >= above or row["low"] <= below):
            expected.append((row["ts"], "A", row["close"]))
            above, below = row["close"] + step, row["close"] - step
    tables = []
    for wake in ("interest", "every-row"):
        result = drive(Waiting(step=step), rows, wake=wake, block_rows=block_rows)
        assert NOTES["seen"] == expected
        tables.append((result.orders, result.fills))
    assert all(ours.equals(theirs) for ours, theirs in zip(*tables, strict=True))


@pytest.mark.parametrize("levels", [{}, {"above": float("nan")}])
def test_a_watch_needs_a_price(levels: dict[str, float]) -> None:
    class Wrong(Strategy):
        def on_start(self, ctx: Context) -> None:
            ctx.watch("X", **levels)

        def on_bar(self, ctx: Context, bar: Bar) -> None: ...

    with pytest.raises(QEngineError, match="needs above= or below="):
        drive(Wrong(), bars([1.0]))


def test_crossing_goes_with_single_rows() -> None:
    class Wrong(Strategy):
        def on_start(self, ctx: Context) -> None:
            ctx.subscribe("bar", crossing=True)

        def on_slice(self, ctx: Context, bars: Slice) -> None: ...

    with pytest.raises(QEngineError, match="crossing goes with"):
        drive(Wrong(), bars([1.0]))
