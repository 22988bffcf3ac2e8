"""When a day begins for an instrument, as corporate actions have it: just before the first fill of its session."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from qengine_core.plugin import BAR, QUOTE, TRADE, Session
from qengine_core.sessions import Sessions

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["Openings", "session_on"]

_DAY = 86_400_000_000_000


class Openings:
    """The very open, or a nanosecond later where bars fill: one stamped with it belongs to the session before."""

    def __init__(self, run: Run) -> None:
        self._run = run
        finer = {i.name for s in run.streams if s.kind in (TRADE, QUOTE) for i in s.instruments}
        bars = {i.name for s in run.streams if s.kind == BAR for i in s.instruments}
        self._late = [int(i.name in bars and i.name not in finer) for i in run.instruments]

    def of(self, code: int, day: int) -> int:
        """Just before the first fill of the first session on or after a day, counted from 1970 (ns UTC)."""
        return session_on(self._run.sessions(code), _date(day)).open_ts + self._late[code]

    def to_come(self, code: int, day: int) -> int | None:
        """The same, if it is still to come."""
        if self.is_long_over(day):
            return None
        ts = self.of(code, day)
        return ts if ts > self._run.clock.now else None

    def is_long_over(self, day: int) -> bool:
        """Whether a day is past whatever its session, and perhaps before the calendar begins."""
        return (day + 4) * _DAY < self._run.clock.now

    def close_of(self, code: int, day: int) -> int:
        """The close of that session (ns UTC)."""
        return session_on(self._run.sessions(code), _date(day)).close_ts


def _date(day: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=day)


def session_on(sessions: Sessions, date: dt.date) -> Session:
    """The session of a date, or the first one after it. Raises ConfigError where the calendar ends before."""
    midnight = (date - dt.date(1970, 1, 1)).days * _DAY
    session = sessions.next_open(midnight - 2 * _DAY)  # that of a Monday may open on Sunday
    while session.date < date:
        session = sessions.next_open(session.open_ts + 1)
    return session
