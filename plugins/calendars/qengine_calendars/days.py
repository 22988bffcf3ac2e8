"""Sessions that a clock on the wall decides, whatever the season's holidays: days in UTC, and foreign exchange."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

__all__ = ["DAY", "Columns", "fx_days", "touching", "utc_days"]

Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.datetime64]]

DAY = 86_400_000_000_000
_NEW_YORK = ZoneInfo("America/New_York")
_MONDAY = np.datetime64("1970-01-05", "D")


def utc_days(first_ts: int, last_ts: int, hour: int) -> Columns:
    """Every day from ``hour`` to ``hour``, under the date of its beginning."""
    shift = hour * DAY // 24
    days = np.arange((first_ts - shift) // DAY - 1, (last_ts - shift) // DAY + 1, dtype=np.int64)
    opens = days * DAY + shift
    return touching(first_ts, last_ts, (opens, opens + DAY, days.astype("datetime64[D]")))


def fx_days(first_ts: int, last_ts: int) -> Columns:
    """Monday to Friday, each from 17:00 in New York on the day before, under the date of its end."""
    days = np.arange(first_ts // DAY - 1, last_ts // DAY + 3, dtype=np.int64).astype("datetime64[D]")
    dates = days[(days - _MONDAY).astype(np.int64) % 7 < 5]
    opens, closes = _at_five(dates - 1), _at_five(dates)
    return touching(first_ts, last_ts, (opens, closes, dates))


def touching(first_ts: int, last_ts: int, sessions: Columns) -> Columns:
    """Those of the sessions, which ascend, that have a moment in the range."""
    opens, closes, dates = sessions
    some = slice(int(np.searchsorted(closes, first_ts, "left")), int(np.searchsorted(opens, last_ts, "right")))
    return opens[some], closes[some], dates[some]


def _at_five(dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """17:00 in New York on each date; no clock there has ever been changed at that hour."""
    moments = [dt.datetime.combine(date, dt.time(17), _NEW_YORK) for date in dates.tolist()]
    return np.array([int(moment.timestamp()) for moment in moments], dtype=np.int64) * 1_000_000_000
