"""Sessions of exchanges, as pandas_market_calendars knows them; the one place that imports it."""

from __future__ import annotations

import difflib
import functools
import warnings

import numpy as np
import pandas as pd
import pandas_market_calendars as markets

from qengine_calendars.days import DAY, Columns, touching
from qengine_core.plugin import ConfigError

__all__ = ["check", "exchange_sessions"]

# US stock exchanges keep the hours of NYSE. pandas_market_calendars has them with every early close there has been
# (1996-01-08, say) and with extended hours; what it takes over from exchange_calendars as XNYS has neither.
_SAME_HOURS = {"ARCX": "NYSE", "XASE": "NYSE", "XNAS": "NYSE", "XNYS": "NYSE"}

# A session may open a day before its date in local time, and local time may be a day off UTC.
_MARGIN = 3 * DAY


def check(name: str, extended: bool) -> None:
    """Raises ConfigError for an exchange that is not known, or of which no extended hours are."""
    known = sorted({*markets.get_calendar_names(), *_SAME_HOURS})
    if name not in known:
        by_folded = {each.casefold(): each for each in known}
        close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)
        guess = f" (did you mean {' or '.join(repr(by_folded[each]) for each in close)}?)" if close else ""
        raise ConfigError(
            f"name must be an exchange that pandas_market_calendars.get_calendar_names() lists, not {name!r}{guess}."
        )
    if extended and not {"pre", "post"} <= set(_market(name).regular_market_times):
        raise ConfigError(f"extended must be left out for {name}: nothing is known of its extended hours.")
    try:
        exchange_sessions(0, 7 * DAY, name, extended)
    except Exception as error:
        raise ConfigError(
            f"name must be an exchange whose hours pandas_market_calendars can say; for {name!r} it raises "
            f"{type(error).__name__}: {error}."
        ) from error


def exchange_sessions(first_ts: int, last_ts: int, name: str, extended: bool) -> Columns:
    """The sessions that touch the range; extended ones last from the first trading before hours to the last after."""
    begin, end = ("pre", "post") if extended else ("market_open", "market_close")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pandas, about what the library itself does
        table = _market(name).schedule(
            pd.Timestamp(first_ts - _MARGIN), pd.Timestamp(last_ts + _MARGIN), start=begin, end=end
        )
    if table.empty:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, np.empty(0, "datetime64[D]")
    opens, closes = (pd.DatetimeIndex(table[column]).as_unit("ns").asi8 for column in (begin, end))
    return touching(first_ts, last_ts, (opens, closes, table.index.to_numpy().astype("datetime64[D]")))


@functools.cache
def _market(name: str) -> markets.MarketCalendar:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of breaks that an exchange has given up; none are read here
        return markets.get_calendar(_SAME_HOURS.get(name, name))
