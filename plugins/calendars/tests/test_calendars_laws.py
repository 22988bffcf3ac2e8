"""Every calendar obeys the laws of its kind, and the plugin those of plugins."""

from __future__ import annotations

import numpy as np
import pandas_market_calendars
import pytest
from qengine_calendars import Exchange, Fx, UtcDays

from qengine_core.plugin import ConfigError, Instrument
from qengine_core.testing import CalendarLaws, PluginLaws


class TestUtcDays(CalendarLaws):
    model = UtcDays()


class TestDaysFromEight(CalendarLaws):
    model = UtcDays(hour=8)


class TestFx(CalendarLaws):
    model = Fx()


class TestNyse(CalendarLaws):
    model = Exchange(name="XNYS")


class TestNyseExtended(CalendarLaws):
    model = Exchange(name="NYSE", extended=True, instruments=("A*",))


class TestFutures(CalendarLaws):
    model = Exchange(name="CME_Equity")


class TestTokyo(CalendarLaws):
    model = Exchange(name="XTKS")


class TestPlugin(PluginLaws):
    hook_module = "qengine_calendars.plugin"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(pandas_market_calendars.get_calendar_names()))
def test_every_exchange_that_is_listed_follows_the_laws_or_is_refused(name):
    if name in {"ASEX", "XBEL", "XBSE", "XCYS", "XSGO"}:  # as of version 5.5
        with pytest.raises(ConfigError, match="whose hours pandas_market_calendars can say"):
            Exchange(name=name)
        return
    calendar = Exchange(name=name)
    first, last = (int(np.datetime64(day, "ns").astype(np.int64)) for day in ("2001-01-01", "2026-06-30"))
    opens, closes, dates = calendar.sessions(first, last)
    assert len(opens) > 3_000  # IEX began in 2013
    assert np.all(opens < closes)
    assert np.all(closes[:-1] <= opens[1:])
    assert np.all(dates[:-1] < dates[1:])


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"name": "nyze"}, r"not 'nyze' \(did you mean .*'NYSE'"),
        ({"name": "New York"}, "name must be an exchange that .* lists, not 'New York'"),
        ({"name": "LSE", "extended": True}, "extended must be left out for LSE: nothing is known"),
        ({"name": "XSGO"}, "for 'XSGO' it raises ValueError"),
    ],
)
def test_an_exchange_that_cannot_be_is_refused_when_made(parameters, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Exchange(**parameters)


def test_a_calendar_covers_the_names_and_patterns_it_lists():
    calendar = Fx(instruments=("EURUSD", "*.FX"))
    assert [calendar.covers(Instrument(name=name)) for name in ("EURUSD", "JPY.FX", "eurusd", "AAPL")] == [
        True,
        True,
        False,
        False,
    ]
    assert UtcDays().covers(Instrument(name="anything"))
