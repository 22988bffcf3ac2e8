"""The calendars as components; what computes their sessions is imported when they are asked for."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from qengine_core.plugin import Instrument, component, param

if TYPE_CHECKING:
    from qengine_calendars.days import Columns

__all__ = ["Exchange", "Fx", "UtcDays"]


@component
class _Calendar:
    """What all calendars have in common: the instruments they are for."""

    instruments: tuple[str, ...] = param(
        default=(), help="Names or patterns such as *.L of what trades in these sessions; empty: everything."
    )

    def covers(self, instrument: Instrument) -> bool:
        """Whether the name is listed or matches a pattern."""
        return not self.instruments or any(fnmatch.fnmatchcase(instrument.name, each) for each in self.instruments)


@component
class UtcDays(_Calendar):
    """Every day is a session, weekends too, from an hour of the day in UTC to the same hour of the next.

    A session has the date on which it begins.
    """

    hour: int = param(default=0, help="Hour at which a session ends and the next begins.", unit="h, UTC", ge=0, le=23)

    def sessions(self, first_ts: int, last_ts: int) -> Columns:
        """Opens, closes and dates of the days that touch the range."""
        from qengine_calendars.days import utc_days

        return utc_days(first_ts, last_ts, self.hour)


@component
class Fx(_Calendar):
    """Foreign exchange: a session from 17:00 to 17:00 in New York for each day from Monday to Friday.

    A session has the date on which it ends, as trade dates do. Holidays are no exception: the interbank
    market keeps no common ones, and closes for Christmas and New Year as each dealer sees fit.
    """

    def sessions(self, first_ts: int, last_ts: int) -> Columns:
        """Opens, closes and dates of the sessions that touch the range."""
        from qengine_calendars.days import fx_days

        return fx_days(first_ts, last_ts)


@component
class Exchange(_Calendar):
    """The sessions of an exchange, with its holidays and early closes, from pandas_market_calendars.

    A lunch break belongs to its session. Of US stock exchanges all have the hours of NYSE, by MIC too.
    Raises ConfigError when made, for a name that pandas_market_calendars does not know.
    """

    name: str = param(help="Its name in pandas_market_calendars, or its MIC: NYSE, XNAS, LSE, XTKS, CME_Equity ...")
    extended: bool = param(default=False, help="Whether sessions include trading before and after regular hours.")

    def __attrs_post_init__(self) -> None:
        from qengine_calendars.exchanges import check

        check(self.name, self.extended)

    def sessions(self, first_ts: int, last_ts: int) -> Columns:
        """Opens, closes and dates of the sessions that touch the range."""
        from qengine_calendars.exchanges import exchange_sessions

        return exchange_sessions(first_ts, last_ts, self.name, self.extended)
