"""Stamps become the instant at which a row is known, or a sentence says why they cannot."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from qengine_feeds import FrameFeed

from qengine_core.plugin import ConfigError, DataError


def bars(stamps):
    n = len(stamps)
    return pl.DataFrame({"date": stamps, "open": [1.0] * n, "high": [2.0] * n, "low": [0.5] * n, "close": [1.5] * n})


def instants(stamps, **settings):
    source = FrameFeed(frame=bars(stamps), instrument="X", **settings).open()
    ts = np.concatenate([block.ts for block in source.blocks(0, {"X": 0})])
    return [str(t).removesuffix(".000000000") for t in ts.astype("datetime64[ns]")]


def times(*texts):
    return [datetime.fromisoformat(text) for text in texts]


def test_a_date_is_known_when_it_ends_or_when_its_session_closes():
    days = [date(2024, 3, 8), date(2024, 3, 11)]
    assert instants(days) == ["2024-03-09T00:00:00", "2024-03-12T00:00:00"]
    new_york = instants(days, time_zone="America/New_York", session_close="16:00")
    assert new_york == ["2024-03-08T21:00:00", "2024-03-11T20:00:00"]  # the clock changed in between
    assert instants(days, time_zone="America/New_York") == ["2024-03-09T05:00:00", "2024-03-12T04:00:00"]


def test_naive_stamps_are_local_to_the_time_zone_and_aware_ones_keep_their_own():
    winter_summer = times("2024-01-02T09:30", "2024-07-02T09:30")
    assert instants(winter_summer) == ["2024-01-02T09:30:00", "2024-07-02T09:30:00"]
    assert instants(winter_summer, time_zone="America/New_York") == ["2024-01-02T14:30:00", "2024-07-02T13:30:00"]
    aware = [when.replace(tzinfo=UTC) for when in winter_summer]
    assert instants(aware, time_zone="America/New_York") == ["2024-01-02T09:30:00", "2024-07-02T09:30:00"]


@pytest.mark.parametrize(
    ("second", "what"), [("2024-11-03T01:30", "happens twice"), ("2024-03-10T02:30", "does not exist")]
)
def test_a_local_time_that_happens_twice_or_never_is_refused_by_row(second, what):
    first = "2024-01-05T10:00"
    with pytest.raises(DataError, match=rf"row 2, column date: .*this local time {what} in America/New_York"):
        instants(times(first, second), time_zone="America/New_York")


def test_open_stamps_move_to_the_close_and_days_are_counted_on_the_wall():
    assert instants(times("2024-01-02T09:30", "2024-01-02T09:31"), stamp="open", interval="1m") == [
        "2024-01-02T09:31:00",
        "2024-01-02T09:32:00",
    ]
    midnight = times("2024-03-10T00:00", "2024-03-11T00:00")
    days = instants(midnight, stamp="open", interval="1d", time_zone="America/New_York")
    assert days == ["2024-03-11T04:00:00", "2024-03-12T04:00:00"]  # the first of them had 23 hours
    aware = [when.replace(tzinfo=UTC) for when in times("2024-03-10T05:00", "2024-03-11T04:00")]
    assert instants(aware, stamp="open", interval="1d", time_zone="America/New_York") == days
    assert instants(aware, stamp="open", interval="1h") == ["2024-03-10T06:00:00", "2024-03-11T05:00:00"]
    assert instants([0, 60], stamp="open", interval="1m", ts_unit="s")[0] == "1970-01-01T00:01:00"


def test_midnights_are_refused_until_somebody_says_what_they_mean():
    midnights = times("2024-01-02T00:00", "2024-01-03T00:00")
    with pytest.raises(DataError, match=r'every stamp is a midnight.*say stamp = "date"'):
        instants(midnights)
    assert instants(midnights, stamp="close")[0] == "2024-01-02T00:00:00"
    assert instants(midnights, stamp="date")[0] == "2024-01-03T00:00:00"
    aware = [when.replace(tzinfo=UTC) for when in midnights]
    closes = instants(aware, stamp="date", session_close="16:00")
    assert closes == ["2024-01-02T16:00:00", "2024-01-03T16:00:00"]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)])
def test_whole_numbers_have_a_unit_and_a_wrong_one_is_noticed(unit, factor):
    seconds = 1_700_000_000
    assert instants([seconds * factor], ts_unit=unit) == ["2023-11-14T22:13:20"]
    assert instants([float(seconds * factor)], ts_unit=unit) == ["2023-11-14T22:13:20"]
    if unit == "ns":
        assert instants([seconds * factor]) == ["2023-11-14T22:13:20"]
    else:
        with pytest.raises(DataError, match=f'looks like ts_unit = "{unit}"; say ts_unit'):
            instants([seconds * factor])


def test_text_is_read_as_iso_or_by_its_format():
    assert instants(["2024-01-02", "2024-01-03"])[0] == "2024-01-03T00:00:00"
    assert instants(["2024-01-02 10:00:00", "2024-01-02T10:00:00.25"])[1].startswith("2024-01-02T10:00:00.25")
    assert instants(["2024-01-02T10:00:00+02:00"]) == ["2024-01-02T08:00:00"]
    assert instants(["02/01/2024 10:00"], ts_format="%d/%m/%Y %H:%M") == ["2024-01-02T10:00:00"]
    assert instants(["Jan 2 2024"], ts_format="%b %d %Y") == ["2024-01-03T00:00:00"]
    assert instants(["1700000000"], ts_unit="s") == ["2023-11-14T22:13:20"]


@pytest.mark.parametrize(
    ("stamps", "settings", "sentence"),
    [
        (
            ["2024-01-02", "2024-13-02", "2024-01-04"],
            {},
            "row 2, column date: '2024-13-02': the text is not an ISO date",
        ),
        (["2024-01-02 10:00", "noon"], {}, "row 2, column date: 'noon': the text is not an ISO time"),
        (["1700000000", "x"], {"ts_unit": "s"}, "row 2, column date: 'x': the text is not a whole number"),
        (
            ["1/2/2024", "2024"],
            {"ts_format": "%m/%d/%Y"},
            "row 2, column date: '2024': the text does not have the format",
        ),
        (["20240102"], {}, 'say ts_format = "%Y%m%d"'),
        ([1.5], {}, "row 1, column date: 1.5: a number used as stamp must be whole"),
        ([True], {}, "a stamp must be a timestamp, date, text or whole number, not bool"),
        ([*times("2024-01-02T10:00"), None], {}, "row 2, column date: None: the stamp is missing"),
    ],
)
def test_a_stamp_that_cannot_be_read_is_named(stamps, settings, sentence):
    with pytest.raises(DataError) as caught:
        instants(stamps, **settings)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone must be a name from the IANA database"),
        ({"stamp": "open"}, 'stamp = "open" needs interval'),
        ({"stamp": "open", "interval": "soon"}, "interval must be a number with a unit"),
        ({"stamp": "open", "interval": "1d"}, "a date has no time"),
        ({"session_close": "25:00"}, "session_close must be a local time"),
        ({"start": "yesterday"}, "start must be an ISO date or time"),
        ({"end": "2024-02-30"}, "end must be an ISO date or time"),
        ({"kind": "signal", "stamp": "date"}, "is for bars"),
    ],
)
def test_settings_of_stamps_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ConfigError) as caught:
        instants([date(2024, 1, 2)], **settings)
    assert sentence in str(caught.value)


def test_start_and_end_let_through_what_lies_between_them():
    stamps = times("2024-01-02T10:00", "2024-01-02T11:00", "2024-01-02T12:00")
    assert instants(stamps, start="2024-01-02T11:00", end="2024-01-02T12:00") == ["2024-01-02T11:00:00"]
    assert instants(stamps, start="2024-01-02T13:00+02:00")[0] == "2024-01-02T11:00:00"
