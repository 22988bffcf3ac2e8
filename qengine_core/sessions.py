"""The sessions of one calendar as a run comes to need them; it knows no calendar by name.

A session lasts until the next one opens. So a row that comes late (a bar stamped at the midnight after the
close, a print after hours) belongs to the session that has closed, and one that comes early to the session
before; a calendar that counts extended hours says so by its opens and closes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qengine_core.errors import ConfigError
from qengine_core.vocabulary import BAR, Session

if TYPE_CHECKING:
    from qengine_core.roles import Calendar

__all__ = ["Sessions"]

Int64s = npt.NDArray[np.int64]

_DAY = 86_400_000_000_000
_STEP = 400 * _DAY  # what is fetched at first, in either direction; after that, as much again as there is
_STEPS = 4  # how often the step is doubled in search of a session: sixteen years or more
_EARLIEST = -290 * 365 * _DAY  # int64 nanoseconds reach from 1677 to 2262
_LATEST = 291 * 365 * _DAY
_NEVER = np.iinfo(np.int64).max


class Sessions:
    """The sessions that ``instruments`` trade in. A calendar is asked in steps, so no run has to know its end.

    A bar at an instant has ended then, a print or a quote is of that very instant: at the moment of an
    open, a bar belongs to the session before, anything else to the one that opens.
    """

    def __init__(self, calendar: Calendar, instruments: tuple[str, ...] = ()) -> None:
        self.calendar = calendar
        self.instruments = instruments
        self._opens: Int64s = np.empty(0, np.int64)
        self._closes: Int64s = np.empty(0, np.int64)
        self._dates: npt.NDArray[np.datetime64] = np.empty(0, "datetime64[D]")
        self._asked = (_NEVER, -_NEVER)  # nothing yet
        self._recent: tuple[int, Session] | None = None

    def of_row(self, ts: int, kind: str = BAR) -> Session:
        """The session that a row of this kind belongs to. Raises ConfigError before the first one."""
        self._reach(ts, ts)
        return self._session(int(self._opened(ts, kind)) - 1, ts)

    def of_rows(self, ts: Int64s, kind: str = BAR) -> tuple[Int64s, Int64s]:
        """Open and close of the session that each row belongs to; a row is late where ``ts`` is after the close.

        Raises ConfigError before the first session.
        """
        if not len(ts):
            return ts, ts
        self._reach(int(ts.min()), int(ts.max()))
        index = np.asarray(self._opened(ts, kind)) - 1
        if index.min() < 0:
            raise self._nothing("before", int(ts.min()))
        return self._opens[index], self._closes[index]

    def for_order(self, ts: int) -> Session:
        """The session that an order sent now can trade in: the first that closes after ``ts``.

        It is under way or still to open. Raises ConfigError after the last one.
        """
        if self._recent is not None and self._recent[0] <= ts < self._recent[1].close_ts:
            return self._recent[1]
        self._reach(ts, ts)
        index = int(np.searchsorted(self._closes, ts, side="right"))
        session = self._session(index, ts)
        self._recent = (int(self._closes[index - 1]) if index else ts, session)
        return session

    def next_open(self, ts: int) -> Session:
        """The first session that opens at or after ``ts``. Raises ConfigError after the last one."""
        self._reach(ts, ts)
        return self._session(int(np.searchsorted(self._opens, ts, side="left")), ts)

    def _opened(self, ts: int | Int64s, kind: str) -> np.intp | npt.NDArray[np.intp]:
        """How many sessions have opened before a row."""
        return self._opens.searchsorted(ts, side="left" if kind == BAR else "right")

    def _session(self, index: int, ts: int) -> Session:
        if index < 0 or index >= len(self._opens):
            raise self._nothing("before" if index < 0 else "after", ts)
        until = int(self._opens[index + 1]) if index + 1 < len(self._opens) else _NEVER
        date = self._dates[index].item()
        return Session(date, int(self._opens[index]), int(self._closes[index]), until, self.instruments)

    def _nothing(self, where: str, ts: int) -> ConfigError:
        when = np.datetime64(ts, "ns").astype("datetime64[s]")
        return ConfigError(
            f"The calendar {self.calendar!r} has no session {where} {when}Z: use one that covers the data."
        )

    def _reach(self, first_ts: int, last_ts: int) -> None:
        """Hold at least one session that opens before ``first_ts``, and two that open after ``last_ts``.

        With two, the one after any session that is asked for is known too, and with it where that ends.
        """
        opens = self._opens
        if len(opens) > 1 and opens[0] < first_ts and opens[-2] > last_ts:
            return
        if self._asked[0] > self._asked[1]:
            self._fetch(first_ts - _STEP, last_ts + _STEP)
        step = self._asked[1] - self._asked[0]
        for number in range(_STEPS):
            if len(self._opens) and self._opens[0] < first_ts:
                break
            self._fetch(first_ts - (step << number), last_ts)
        for number in range(_STEPS):
            if len(self._opens) > 1 and self._opens[-2] > last_ts:
                break
            self._fetch(first_ts, last_ts + (step << number))

    def _fetch(self, first_ts: int, last_ts: int) -> None:
        """Ask for the whole range anew where it grows: a calendar takes as long for a decade as for a day."""
        grown = (max(min(self._asked[0], first_ts), _EARLIEST), min(max(self._asked[1], last_ts), _LATEST))
        if grown != self._asked:
            self._asked = grown
            self._opens, self._closes, self._dates = self.calendar.sessions(*grown)
