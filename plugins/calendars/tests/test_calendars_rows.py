"""Rows find the session they are of, however daily data is stamped, in the table of the README and in real runs."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from qengine_calendars import Exchange, Fx, UtcDays
from qengine_feeds import ParquetFeed
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive

from qengine_core.engine import Engine
from qengine_core.errors import ConfigError
from qengine_core.manager import Plugins
from qengine_core.plugin import BAR, TRADE
from qengine_core.sessions import Sessions

ROOT = Path(__file__).parents[3]
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
STOCKS = ROOT / "examples" / "data" / "stocks.parquet"
NYSE = Sessions(Exchange(name="NYSE"))
EXTENDED = Sessions(Exchange(name="NYSE", extended=True))


def at(text, zone="America/New_York"):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("sessions", "time", "zone", "kind", "date"),
    [
        # A day's bar: at the close, at the usual close of a half day, at midnights.
        (NYSE, "2020-11-25T16:00", "America/New_York", BAR, "2020-11-25"),
        (NYSE, "2020-11-27T16:00", "America/New_York", BAR, "2020-11-27"),
        (NYSE, "2020-11-26T00:00", "UTC", BAR, "2020-11-25"),
        (NYSE, "2020-06-09T00:00", "UTC", BAR, "2020-06-08"),
        (NYSE, "2020-11-28T00:00", "UTC", BAR, "2020-11-27"),
        (NYSE, "2020-11-28T00:00", "America/New_York", BAR, "2020-11-27"),
        (EXTENDED, "2020-11-26T00:00", "UTC", BAR, "2020-11-25"),
        (EXTENDED, "2020-11-26T00:00", "America/New_York", BAR, "2020-11-25"),
        # During the session, at its edges.
        (NYSE, "2020-11-25T09:31", "America/New_York", BAR, "2020-11-25"),
        (NYSE, "2020-11-25T09:30", "America/New_York", TRADE, "2020-11-25"),
        (NYSE, "2020-11-25T09:30", "America/New_York", BAR, "2020-11-24"),
        (NYSE, "2020-11-25T16:00", "America/New_York", TRADE, "2020-11-25"),
        # Before and after hours.
        (NYSE, "2020-11-25T18:30", "America/New_York", TRADE, "2020-11-25"),
        (EXTENDED, "2020-11-25T18:30", "America/New_York", TRADE, "2020-11-25"),
        (NYSE, "2020-11-25T08:00", "America/New_York", TRADE, "2020-11-24"),
        (EXTENDED, "2020-11-25T08:00", "America/New_York", TRADE, "2020-11-25"),
        # Elsewhere: midnight in the exchange's own zone, and where UTC will do or will not.
        (Sessions(Exchange(name="LSE")), "2020-06-09T00:00", "UTC", BAR, "2020-06-08"),
        (Sessions(Exchange(name="XTKS")), "2020-06-09T00:00", "UTC", BAR, "2020-06-08"),
        (Sessions(Exchange(name="XTKS")), "2020-06-09T00:00", "Asia/Tokyo", BAR, "2020-06-08"),
        (Sessions(Exchange(name="ASX")), "2020-12-09T00:00", "Australia/Sydney", BAR, "2020-12-08"),
        (Sessions(Exchange(name="ASX")), "2020-12-09T00:00", "UTC", BAR, "2020-12-09"),
        (Sessions(Exchange(name="CME_Equity")), "2020-12-08T16:00", "America/Chicago", BAR, "2020-12-08"),
        (Sessions(Exchange(name="CME_Equity")), "2020-12-09T00:00", "UTC", BAR, "2020-12-09"),
        # Around the clock.
        (Sessions(UtcDays()), "2020-12-09T00:00", "UTC", BAR, "2020-12-08"),
        (Sessions(UtcDays()), "2020-12-09T00:00", "UTC", TRADE, "2020-12-09"),
        (Sessions(Fx()), "2020-12-08T17:00", "America/New_York", BAR, "2020-12-08"),
        (Sessions(Fx()), "2020-12-08T17:00", "America/New_York", TRADE, "2020-12-09"),
    ],
)
def test_a_row_is_of_the_session_that_the_manual_says(sessions, time, zone, kind, date):
    assert sessions.of_row(at(time, zone), kind).date.isoformat() == date


@pytest.mark.parametrize(
    ("sent", "date"),
    [
        ("2020-11-25T08:00", "2020-11-25"),
        ("2020-11-25T12:00", "2020-11-25"),
        ("2020-11-25T15:59:59", "2020-11-25"),
        ("2020-11-25T16:00", "2020-11-27"),  # Thanksgiving lies between
        ("2020-11-27T12:59", "2020-11-27"),
        ("2020-11-27T13:00", "2020-11-30"),
        ("2020-11-28T00:00", "2020-11-30"),
    ],
)
def test_an_order_of_the_day_is_for_the_session_under_way_or_to_come(sent, date):
    assert NYSE.for_order(at(sent)).date.isoformat() == date


class Diary(Strategy):
    """Notes the session of each bar."""

    def on_start(self, ctx):
        self.session = None
        self.seen = []
        SEEN.append(self.seen)

    def on_session_open(self, ctx, session):
        assert self.session is None
        self.session = session

    def on_bar(self, ctx, bar):
        self.seen.append((bar.instrument, self.session.date))

    def on_session_close(self, ctx, session):
        assert session is self.session
        assert ctx.now >= session.close_ts
        self.session = None


SEEN = []


@pytest.mark.parametrize("wake", ["interest", "every-row"])
@pytest.mark.parametrize(
    "stamps",
    [
        {},
        {"time_zone": "America/New_York"},
        {"time_zone": "America/New_York", "session_close": "16:00"},
        {"time_zone": "America/New_York", "session_close": "17:30"},
    ],
)
def test_every_bar_of_fourteen_years_of_stocks_is_of_the_session_of_its_date(stamps, wake):
    """Real daily data: each of its dates is a session of NYSE, on half days and over changes of the clock too."""
    SEEN.clear()
    feed = ParquetFeed(path=STOCKS, stamp="date", **stamps)
    Engine(feed=feed, strategy=Diary(), calendar={"use": "exchange", "name": "NYSE"}, wake=wake).run()
    written = pl.read_parquet(STOCKS)
    dates = written["ts" if "ts" in written.columns else "date"].cast(pl.Date)
    assert len(SEEN[0]) == len(written) > 10_000
    assert sorted(SEEN[0]) == sorted(zip(written["instrument"].to_list(), dates.to_list(), strict=True))


def test_rows_of_two_markets_open_sessions_of_their_own():
    log = []

    class Two(Strategy):
        def on_session_open(self, ctx, session):
            log.append(("open", *session.instruments, session.date.day, ctx.time.strftime("%d %H:%M")))

        def on_session_close(self, ctx, session):
            log.append(("close", *session.instruments, session.date.day, ctx.time.strftime("%d %H:%M")))

    start, step = dt.datetime(2020, 11, 26, 12, tzinfo=dt.UTC), dt.timedelta(hours=6)
    rows = bars(range(10, 18), "VOD.L", start=start, step=step) + bars(range(10, 18), "AAPL", start=start, step=step)
    calendars = [{"use": "exchange", "name": "LSE", "instruments": ["*.L"]}, {"use": "exchange", "name": "NYSE"}]
    drive(Two(), rows, calendar=calendars)
    assert log == [
        ("open", "VOD.L", 26, "26 12:00"),
        ("open", "AAPL", 25, "26 12:00"),  # Thanksgiving: nothing has opened since the day before
        ("close", "AAPL", 25, "26 12:00"),
        ("close", "VOD.L", 26, "26 16:30"),
        ("open", "VOD.L", 27, "27 12:00"),
        ("close", "VOD.L", 27, "27 16:30"),
        ("open", "AAPL", 27, "27 18:00"),
        ("close", "AAPL", 27, "27 18:00"),
    ]


def test_a_mistake_in_a_calendar_says_where():
    with pytest.raises(ConfigError, match=r"^\[calendar\] exchange: name must be .* \(did you mean .*'NYSE'") as caught:
        drive(Diary(), bars([1.0]), calendar={"use": "exchange", "name": "NYS"})
    assert caught.value.key == ("calendar", 0, "name")
    listed = [{"use": "utc-days", "instruments": ["Y"]}]
    with pytest.raises(ConfigError, match="No calendar covers X"):
        drive(Diary(), bars([1.0]), calendar=listed)


def test_the_readme_runs_and_its_tables_make_calendars():
    one, several = (tomllib.loads(block)["calendar"] for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
    for table in (one, *several):
        values = dict(table)
        component = Plugins.discover().find("calendar", values.pop("use")).spec.component
        opens, _, _ = component(**values).sessions(0, 10**18)
        assert len(opens) > 1_000
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {"np": np}
    exec(example, names)
    assert str(names["ordered"].date) == "2020-11-30"
