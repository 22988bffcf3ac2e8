"""A session lasts until the next one opens, whatever was asked before, and however far a run gets."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qengine_core.errors import ConfigError
from qengine_core.plugin import BAR, QUOTE, TRADE, Instrument
from qengine_core.run import Run
from qengine_core.sessions import Sessions

DAY = 86_400_000_000_000
HOUR = DAY // 24


class Listed:
    """A calendar of the given sessions, (open, close) in hours; it notes what it is asked."""

    def __init__(self, hours: list[tuple[int, int]], names: str = "") -> None:
        self.hours = hours
        self.names = names
        self.asked: list[tuple[int, int]] = []

    def __repr__(self) -> str:
        return f"Listed({len(self.hours)})"

    def covers(self, instrument: Instrument) -> bool:
        return not self.names or instrument.name in self.names

    def sessions(self, first_ts: int, last_ts: int) -> Any:
        self.asked.append((first_ts, last_ts))
        some = [(o, c, i) for i, (o, c) in enumerate(self.hours) if c * HOUR >= first_ts and o * HOUR <= last_ts]
        opens, closes, dates = np.array(some, dtype=np.int64).reshape(-1, 3).T
        return opens * HOUR, closes * HOUR, dates.astype("datetime64[D]")


@st.composite
def markets(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Sessions of an hour to a year, with breaks of nothing to ten years."""
    span, pause = st.sampled_from([1, 6, 24, 24 * 365]), st.sampled_from([0, 1, 18, 66, 24 * 300, 24 * 3650])
    edges = [draw(st.integers(-10_000, 10_000))]
    for _ in range(draw(st.integers(1, 12))):
        edges += [edges[-1] + draw(span), 0]
        edges[-1] = edges[-2] + draw(pause)
    return list(zip(edges[::2], edges[1::2], strict=False))


def moments(hours: list[tuple[int, int]]) -> list[int]:
    """Every edge, a nanosecond to either side, and some between."""
    edges = sorted({edge * HOUR for session in hours for edge in session})
    return sorted({edge + shift for edge in edges for shift in (-1, 0, 1, HOUR // 2)})


@given(markets(), st.randoms(use_true_random=False))
def test_a_row_belongs_to_the_session_that_opened_last(hours: list[tuple[int, int]], order: Any) -> None:
    """Against a walk over the list, with questions in any order."""
    asked = [ts for ts in moments(hours) if ts > hours[0][0] * HOUR]
    order.shuffle(asked)
    sessions = Sessions(Listed(hours), ("X",))
    opens = [open_ * HOUR for open_, _ in hours]
    for ts in asked:
        for kind, before in ((BAR, ts), (TRADE, ts + 1), (QUOTE, ts + 1)):
            index = max(i for i, open_ts in enumerate(opens) if open_ts < before)
            found = sessions.of_row(ts, kind)
            assert found.date == dt.date(1970, 1, 1) + dt.timedelta(days=index)
            assert (found.open_ts, found.close_ts) == tuple(edge * HOUR for edge in hours[index])
            assert found.until_ts == (opens[index + 1] if index + 1 < len(opens) else np.iinfo(np.int64).max)
            assert found.instruments == ("X",)


@given(markets(), st.randoms(use_true_random=False))
def test_an_order_can_trade_in_the_first_session_that_closes_after_it(hours: Any, order: Any) -> None:
    asked = [ts for ts in moments(hours) if ts < hours[-1][1] * HOUR]
    order.shuffle(asked)
    sessions = Sessions(Listed(hours))
    for ts in asked:
        assert sessions.for_order(ts).close_ts == min(c * HOUR for _, c in hours if c * HOUR > ts)
        later = [o * HOUR for o, _ in hours if o * HOUR >= ts]
        if later:
            assert sessions.next_open(ts).open_ts == min(later)
        else:
            with pytest.raises(ConfigError, match="no session after"):
                sessions.next_open(ts)


@given(markets(), st.sampled_from([BAR, TRADE]))
def test_columns_of_rows_are_answered_as_single_rows_are(hours: list[tuple[int, int]], kind: str) -> None:
    ts = np.array([ts for ts in moments(hours) if ts > hours[0][0] * HOUR])
    opens, closes = Sessions(Listed(hours)).of_rows(ts, kind)
    single = [Sessions(Listed(hours)).of_row(int(each), kind) for each in ts]
    assert opens.tolist() == [session.open_ts for session in single]
    assert closes.tolist() == [session.close_ts for session in single]
    assert [len(column) for column in Sessions(Listed(hours)).of_rows(ts[:0])] == [0, 0]


def test_the_sessions_of_a_row_follow_one_another_without_a_gap() -> None:
    hours = [(9 + 24 * day, 16 + 24 * day) for day in range(30) if day % 7 < 5]
    sessions = Sessions(Listed(hours))
    found = [sessions.of_row(open_ * HOUR + 1) for open_, _ in hours]
    assert all(before.until_ts == after.open_ts for before, after in pairwise(found))


def test_a_long_run_asks_a_calendar_few_times() -> None:
    calendar = Listed([(24 * day, 24 * day + 8) for day in range(365 * 40)])
    sessions = Sessions(calendar)
    for day in range(365 * 35):
        sessions.of_row(day * DAY + HOUR)
        sessions.for_order(day * DAY + HOUR)
    assert len(calendar.asked) < 12


def test_a_calendar_that_does_not_cover_the_data_is_named() -> None:
    sessions = Sessions(Listed([(24, 30), (48, 54)]))
    with pytest.raises(ConfigError, match=r"calendar Listed\(2\) has no session before 1970-01-02T00:00:00Z"):
        sessions.of_row(DAY)
    with pytest.raises(ConfigError, match="no session before"):
        sessions.of_rows(np.array([DAY, 3 * DAY]))
    with pytest.raises(ConfigError, match=r"has no session after 1970-01-03T06:00:00Z: use one that covers the data"):
        sessions.for_order(2 * DAY + 6 * HOUR)
    assert sessions.of_row(1000 * DAY).open_ts == 2 * DAY
    with pytest.raises(ConfigError, match="no session"):
        Sessions(Listed([])).of_row(0)


def run_of(names: str, *calendars: Listed) -> Run:
    none: Any = SimpleNamespace()
    instruments = tuple(Instrument(name=name) for name in names)
    return Run(
        clock=none,
        agenda=none,
        random=none,
        instruments=instruments,
        streams=(),
        components={"calendar": calendars},
    )


def test_an_instrument_has_the_first_calendar_that_covers_it() -> None:
    first, second, rest = Listed([(0, 1)], "B"), Listed([(0, 2)], "BD"), Listed([(0, 3)])
    run = run_of("ABCD", first, second, rest)
    found = [run.sessions(code) for code in range(4)]
    assert [each.calendar for each in found] == [rest, first, rest, second]
    assert found[0] is found[2] is run.sessions(0)
    assert [each.instruments for each in found] == [("A", "C"), ("B",), ("A", "C"), ("D",)]


def test_an_instrument_that_no_calendar_covers_is_named() -> None:
    with pytest.raises(ConfigError, match="No calendar covers C: name it in one of them"):
        run_of("ABC", Listed([(0, 1)], "AB")).sessions(0)
