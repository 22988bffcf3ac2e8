"""Calendars against what happened: holidays, half days and changes of the clock, as the exchanges announced them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from qengine_calendars import Exchange, Fx, UtcDays

NEW_YORK, LONDON, TOKYO, CHICAGO = map(ZoneInfo, ("America/New_York", "Europe/London", "Asia/Tokyo", "America/Chicago"))


def ns(moment):
    return int(moment.timestamp()) * 1_000_000_000


def between(calendar, first, last, zone):
    """Sessions by date, as (open, close) in local time."""
    begin, end = (dt.datetime.combine(dt.date.fromisoformat(day), dt.time(12), zone) for day in (first, last))
    opens, closes, dates = calendar.sessions(ns(begin), ns(end))
    return {
        date.isoformat(): tuple(dt.datetime.fromtimestamp(int(ts) / 1e9, zone).strftime("%a %H:%M") for ts in edges)
        for date, *edges in zip(dates.tolist(), opens, closes, strict=True)
    }


def hours(calendar, date, zone):
    found = between(calendar, date, date, zone).get(date)
    return found and " ".join(each.split()[1] for each in found)


@pytest.mark.parametrize("name", ["NYSE", "XNYS", "XNAS", "ARCX"])
@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2020-11-25", "09:30 16:00"),
        ("2020-11-26", None),  # Thanksgiving
        ("2020-11-27", "09:30 13:00"),
        ("2018-12-05", None),  # mourning for George H. W. Bush
        ("2025-01-09", None),  # for Jimmy Carter
        ("2012-10-29", None),  # Hurricane Sandy
        ("2012-10-30", None),
        ("2001-09-10", "09:30 16:00"),
        ("2001-09-11", None),
        ("2001-09-14", None),
        ("2001-09-17", "09:33 16:00"),  # after two minutes of silence
        ("1996-01-08", "11:00 14:00"),  # a blizzard
        ("2021-06-18", "09:30 16:00"),
        ("2022-06-20", None),  # Juneteenth, observed from 2022
        ("2021-12-31", "09:30 16:00"),  # a Friday before a New Year on Saturday is no holiday
        ("2024-07-03", "09:30 13:00"),
        ("2024-12-24", "09:30 13:00"),
    ],
)
def test_new_york(name, date, expected):
    assert hours(Exchange(name=name), date, NEW_YORK) == expected


@pytest.mark.parametrize(("year", "count"), [(2001, 248), (2012, 250), (2019, 252), (2020, 253), (2022, 251)])
def test_new_york_has_as_many_trading_days_as_the_year_had(year, count):
    assert len(between(Exchange(name="NYSE"), f"{year}-01-01", f"{year}-12-31", NEW_YORK)) == count


@pytest.mark.parametrize(
    ("date", "hour"), [("2021-03-12", 14), ("2021-03-15", 13), ("2021-11-05", 13), ("2021-11-08", 14)]
)
def test_new_york_opens_an_hour_earlier_in_utc_while_it_has_summer_time(date, hour):
    opening = dt.datetime.fromisoformat(f"{date}T{hour}:30:00+00:00")
    (opened,), _, _ = Exchange(name="NYSE").sessions(ns(opening), ns(opening))
    assert opened == ns(opening)


def test_extended_hours_of_new_york_end_at_five_on_a_half_day():
    calendar = Exchange(name="NYSE", extended=True)
    assert hours(calendar, "2020-11-25", NEW_YORK) == "04:00 20:00"
    assert hours(calendar, "2020-11-27", NEW_YORK) == "04:00 17:00"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2020-12-23", "08:00 16:30"),
        ("2020-12-24", "08:00 12:30"),
        ("2020-12-28", None),  # Boxing Day fell on a Saturday
        ("2011-04-29", None),  # a royal wedding
        ("2022-09-19", None),  # a royal funeral
        ("2021-03-26", "08:00 16:30"),
        ("2021-03-29", "08:00 16:30"),  # summer time began on the 28th
    ],
)
def test_london(date, expected):
    assert hours(Exchange(name="LSE"), date, LONDON) == expected


def test_tokyo_rested_ten_days_when_the_emperor_changed_and_closes_later_since_2024():
    spring = between(Exchange(name="XTKS"), "2019-04-26", "2019-05-07", TOKYO)
    assert spring == {"2019-04-26": ("Fri 09:00", "Fri 15:00"), "2019-05-07": ("Tue 09:00", "Tue 15:00")}
    assert hours(Exchange(name="XTKS"), "2024-11-05", TOKYO) == "09:00 15:30"


def test_equity_futures_begin_the_evening_before_and_end_early_on_thanksgiving():
    assert between(Exchange(name="CME_Equity"), "2020-11-23", "2020-11-27", CHICAGO) == {
        "2020-11-23": ("Sun 17:00", "Mon 16:00"),
        "2020-11-24": ("Mon 17:00", "Tue 16:00"),
        "2020-11-25": ("Tue 17:00", "Wed 16:00"),
        "2020-11-26": ("Wed 17:00", "Thu 12:00"),
        "2020-11-27": ("Thu 17:00", "Fri 12:00"),
    }


def test_foreign_exchange_is_a_week_from_sunday_to_friday_at_five_in_new_york():
    assert between(Fx(), "2021-03-12", "2021-03-16", NEW_YORK) == {  # the clock changed on the 14th
        "2021-03-12": ("Thu 17:00", "Fri 17:00"),
        "2021-03-15": ("Sun 17:00", "Mon 17:00"),
        "2021-03-16": ("Mon 17:00", "Tue 17:00"),
    }
    assert hours(Fx(), "2021-03-12", dt.UTC) == "22:00 22:00"
    assert hours(Fx(), "2021-03-15", dt.UTC) == "21:00 21:00"
    assert len(between(Fx(), "2021-01-04", "2021-12-31", NEW_YORK)) == 5 * 52


@pytest.mark.parametrize("hour", [0, 8, 23])
def test_days_in_utc_follow_one_another_and_have_the_date_they_begin_on(hour):
    found = between(UtcDays(hour=hour), "2024-02-27", "2024-03-02", dt.UTC)
    begins = f"{hour:02}:00"
    assert found["2024-02-29"] == (f"Thu {begins}", f"Fri {begins}")
    assert len(found) == 5
