"""Sessions of the New York Stock Exchange over 26 years."""

from __future__ import annotations

import datetime as dt

import numpy as np
from published import NEW_YORK, golden, in_new_york
from qengine_calendars import Exchange


def test_the_sessions_of_new_york():
    expected = golden("calendar-nyse")
    opens, closes, days = Exchange(name="NYSE").sessions(in_new_york("2000-01-01"), in_new_york("2026-01-01") - 1)
    dates = [day.isoformat() for day in days.tolist()]
    assert len(dates) == expected["sessions_2000_2025"]
    per_year = {year: sum(date.startswith(year) for date in dates) for year in expected["sessions_per_year"]}
    assert per_year == expected["sessions_per_year"]
    weekdays = np.arange("2000-01-01", "2026-01-01", dtype="datetime64[D]")
    weekdays = weekdays[np.is_busday(weekdays)].astype(str).tolist()
    assert sorted(set(weekdays) - set(dates)) == expected["weekday_closures"]
    assert set(expected["special_closures"]) <= set(expected["weekday_closures"])
    local = [dt.datetime.fromtimestamp(ts // 10**9, NEW_YORK).time() for ts in closes.tolist()]
    early = {date: time for date, time in zip(dates, local, strict=True) if time < dt.time(16)}
    assert early.pop("2005-06-01") == dt.time(15, 56)  # a breakdown, which the published list leaves out
    assert early == dict.fromkeys(expected["early_closes"], dt.time(13))
    for date, moments in expected["utc_open_close_samples"].items():
        place = dates.index(date)
        ours = [dt.datetime.fromtimestamp(int(edge[place]) // 10**9, dt.UTC) for edge in (opens, closes)]
        assert [str(moment) for moment in ours] == moments
