"""Turns a table's stamps into int64 nanoseconds UTC: units, zones, dates, open stamps. It knows no prices."""

from __future__ import annotations

import re
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from qengine_core.plugin import ConfigError
from qengine_feeds.components import TableFeed

__all__ = ["BadStamp", "Stamps", "as_numpy", "instant_ns", "interval_ns", "readable"]

Int64s = npt.NDArray[np.int64]

_DAY_NS = 86_400_000_000_000
_UNITS = {"s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000, "d": _DAY_NS, "w": 7 * _DAY_NS}
_PER_UNIT = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_YEAR_1990, _YEAR_2100 = 631_152_000, 4_102_444_800


class BadStamp(Exception):  # noqa: N818 - caught inside the plugin, never shown
    """A stamp that cannot be read: the row within the batch, what it holds, what is wrong with it."""

    def __init__(self, row: int, value: object, sentence: str) -> None:
        super().__init__(row, value, sentence)
        self.row, self.value, self.sentence = row, value, sentence


@attrs.frozen(kw_only=True)
class Stamps:
    """How one feed's stamps become instants. ``convert`` takes an Arrow array to int64 nanoseconds UTC."""

    kind: str
    time_zone: str
    stamp: str | None
    interval: str | None
    session_close: str | None
    unit: str | None
    format: str | None

    @classmethod
    def of(cls, feed: TableFeed) -> Stamps:
        """Check what the feed says about its stamps. Raises ConfigError."""
        _check_zone(feed.time_zone)
        if feed.interval is not None:
            interval_ns(feed.interval, "interval")
        if feed.session_close is not None:
            _time_of_day(feed.session_close)
        if feed.stamp == "open" and feed.interval is None:
            raise ConfigError('stamp = "open" needs interval, the length of a bar, as in interval = "1m".')
        if feed.stamp in ("open", "date") and feed.kind != "bar":
            raise ConfigError(f'stamp = "{feed.stamp}" is for bars, not for kind = "{feed.kind}": leave stamp out.')
        return cls(
            kind=feed.kind,
            time_zone=feed.time_zone,
            stamp=feed.stamp,
            interval=feed.interval,
            session_close=feed.session_close,
            unit=feed.ts_unit,
            format=feed.ts_format,
        )

    def convert(self, array: pa.Array, at_start: bool = False) -> Int64s:
        """Instants of an array of whole numbers, text, dates or timestamps. Raises BadStamp, ConfigError.

        ``at_start`` says that the array begins its table: what stamps seem to mean is judged there, once.
        """
        if array.null_count:
            row = int(np.flatnonzero(as_numpy(array.is_null()))[0])
            raise BadStamp(row, None, "the stamp is missing; every row needs one")
        kind = array.type
        if pa.types.is_dictionary(kind):
            return self.convert(array.cast(kind.value_type), at_start)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._opened(self._numbers(array, at_start))
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return self.convert(self._parsed(array), at_start)
        if pa.types.is_date(kind):
            if self.stamp not in (None, "date"):
                raise ConfigError(
                    f'stamp = "{self.stamp}" cannot hold for a column of dates: a date has no time. Leave stamp out, '
                    "and say session_close if the bar is known before midnight."
                )
            return self._known_on(array.cast(pa.date32()))
        if pa.types.is_timestamp(kind):
            return self._timestamps(array, at_start)
        raise BadStamp(0, array[0].as_py(), f"a stamp must be a timestamp, date, text or whole number, not {kind}")

    def describe(self) -> dict[str, Any]:
        """What the manifest says about stamps."""
        said = {"time_zone": self.time_zone, "stamp": self.stamp or "close"}
        optional = {"interval": self.interval, "session_close": self.session_close, "ts_unit": self.unit}
        return said | {name: value for name, value in optional.items() if value is not None}

    def _numbers(self, array: pa.Array, at_start: bool) -> Int64s:
        values = as_numpy(array)
        if pa.types.is_floating(array.type):
            whole = values.astype(np.int64)
            if not np.array_equal(whole, values):
                row = int(np.flatnonzero(whole != values)[0])
                raise BadStamp(row, values[row].item(), "a number used as stamp must be whole")
            values = whole
        if self.unit is None and at_start and len(values):
            _refuse_other_unit(int(values[0]))
        factor = _PER_UNIT[self.unit or "ns"]
        instants: Int64s = values.astype(np.int64, copy=False)
        return instants * factor if factor != 1 else instants

    def _parsed(self, array: pa.Array) -> pa.Array:
        """Text as dates, timestamps or numbers, by its format or as ISO 8601."""
        first = array[0].as_py() if len(array) else ""
        if self.format is None and re.fullmatch(r"-?\d+", first):
            if len(first) == 8 and self.unit is None:
                raise BadStamp(0, first, 'a stamp of eight digits may be a date: say ts_format = "%Y%m%d", or ts_unit')
            return _strictly(array, pa.int64(), "a whole number")
        if self.format is not None:
            return self._by_format(array)
        if re.fullmatch(r"\d{4}-\d\d-\d\d", first):
            return _strictly(array, pa.date32(), "an ISO date")
        zone = "UTC" if re.search(r"(Z|[+-]\d\d:?\d\d)$", first) else None
        return _strictly(array, pa.timestamp("ns", zone), "an ISO time")

    def _by_format(self, array: pa.Array) -> pa.Array:
        assert self.format is not None
        texts = pl.Series(array.to_pylist(), dtype=pl.String)
        timed = re.search(r"%[HIMSTRcXsf]", self.format) is not None
        parsed = (
            texts.str.to_datetime(self.format, time_unit="ns", strict=False)
            if timed
            else texts.str.to_date(self.format, strict=False)
        )
        wrong = parsed.is_null().arg_true()
        if len(wrong):
            raise BadStamp(wrong[0], texts[wrong[0]], f"the text does not have the format {self.format!r} (ts_format)")
        return parsed.to_arrow()

    def _timestamps(self, array: pa.Array, at_start: bool) -> Int64s:
        zone = array.type.tz
        instants = as_numpy(array.cast(pa.timestamp("ns", zone)).view(pa.int64()))
        if self.kind == "bar" and self.stamp is None and at_start:
            self._refuse_midnights(instants if zone is None or self.time_zone == "UTC" else self._wall(instants))
        if self.stamp == "date":
            walls = instants if zone is None else self._wall(instants)
            return self._known_on(pa.array(walls // _DAY_NS, pa.int64()).cast(pa.int32()).view(pa.date32()))
        if self._in_days():  # days are counted on the wall: they have 23 to 25 hours
            walls = instants if zone is None else self._wall(instants)
            return self._localised(walls + interval_ns(self.interval or "", "interval"))
        return self._opened(instants if zone is not None else self._localised(instants))

    def _refuse_midnights(self, walls: Int64s) -> None:
        """Bars of days stamped at midnight are the commonest look-ahead there is; nobody should get it silently."""
        if len(walls) < 2 or walls[0] % _DAY_NS or walls[0] == walls[-1]:
            return
        if not np.any(walls % _DAY_NS):
            raise BadStamp(
                0,
                readable(int(walls[0])),
                "every stamp is a midnight, which may be the date of a day's bar or the moment it closed; "
                'say stamp = "date" (known at session_close, or when that day ends) or stamp = "close"',
            )

    def _in_days(self) -> bool:
        return self.stamp == "open" and interval_ns(self.interval or "", "interval") % _DAY_NS == 0

    def _opened(self, instants: Int64s) -> Int64s:
        return instants + interval_ns(self.interval or "", "interval") if self.stamp == "open" else instants

    def _known_on(self, dates: pa.Array) -> Int64s:
        """A day's bar is known at its session's close, else when its day has ended."""
        days = as_numpy(dates.view(pa.int32())).astype(np.int64)
        after = _time_of_day(self.session_close) if self.session_close is not None else _DAY_NS
        return self._localised(days * _DAY_NS + after)

    def _localised(self, walls: Int64s) -> Int64s:
        """Wall-clock nanoseconds of the feed's zone as instants; an ambiguous or skipped one is refused."""
        if self.time_zone == "UTC":
            return walls
        naive = pl.Series(walls).cast(pl.Datetime("ns"))
        zoned = naive.dt.replace_time_zone(self.time_zone, ambiguous="null", non_existent="null")
        wrong = zoned.is_null().arg_true()
        if len(wrong):
            row = int(wrong[0])
            twice = naive[row : row + 1].dt.replace_time_zone(self.time_zone, ambiguous="earliest", non_existent="null")
            what = "happens twice" if twice[0] is not None else "does not exist"
            raise BadStamp(
                row,
                readable(int(walls[row])),
                f"this local time {what} in {self.time_zone}, where the clock changes; give such stamps in UTC",
            )
        instants: Int64s = zoned.to_physical().to_numpy()
        return instants

    def _wall(self, instants: Int64s) -> Int64s:
        if self.time_zone == "UTC":
            return instants
        zoned = pl.Series(instants).cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(self.time_zone)
        walls: Int64s = zoned.dt.replace_time_zone(None).to_physical().to_numpy()
        return walls


def as_numpy(array: pa.Array) -> npt.NDArray[Any]:
    """Numbers, or truth values, as numpy: zero-copy where it can be; nulls of numbers become NaN.

    Arrow's own way imports pandas first, which takes a short run a tenth of its time.
    """
    return pl.Series(array).to_numpy()


def interval_ns(text: str, name: str) -> int:
    """Nanoseconds of ``1s``, ``5m``, ``1h``, ``1d``, ``1w``. Raises ConfigError."""
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", text)
    if match is None:
        raise ConfigError(f'{name} must be a number with a unit, as in "30s", "1m", "4h", "1d" or "1w", not {text!r}.')
    return int(match[1]) * _UNITS[match[2]]


def instant_ns(text: str, name: str) -> int:
    """Nanoseconds since the epoch of an ISO date or time; UTC unless it says otherwise. Raises ConfigError."""
    from datetime import UTC, datetime

    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f'{name} must be an ISO date or time, as in "2020-01-31" or "2020-01-31T14:30", not {text!r}.'
        ) from None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    elapsed = when - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1_000


def readable(ts: int) -> str:
    """An instant as ISO text, to the microsecond at most."""
    text = str(np.datetime64(ts, "ns").astype("datetime64[us]"))
    return text.removesuffix(".000000")


def _time_of_day(text: str) -> int:
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", text)
    if match is None:
        raise ConfigError(f'session_close must be a local time as in "16:00", not {text!r}.')
    return (int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)) * 1_000_000_000


def _check_zone(name: str) -> None:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f'time_zone must be a name from the IANA database, as in "America/New_York" or "UTC", not {name!r}.'
        ) from None


def _refuse_other_unit(first: int) -> None:
    """Milliseconds read as nanoseconds would all lie in January 1970; that is a mistake, not data."""
    for unit in ("s", "ms", "us"):
        scale = 1_000_000_000 // _PER_UNIT[unit]
        if _YEAR_1990 * scale <= first <= _YEAR_2100 * scale:
            raise BadStamp(
                0, first, f'whole-number stamps are nanoseconds, but this looks like ts_unit = "{unit}"; say ts_unit'
            )


def _strictly(array: pa.Array, kind: pa.DataType, what: str) -> pa.Array:
    """The text cast to a type, or the first row that does not take it."""
    try:
        return array.cast(kind)
    except pa.ArrowInvalid:
        pass
    good, bad = 0, len(array)  # the first ``good`` rows cast, the first ``bad`` do not
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            array.slice(0, middle).cast(kind)
            good = middle
        except pa.ArrowInvalid:
            bad = middle
    raise BadStamp(good, array[good].as_py(), f"the text is not {what} as the first row is; mend it or say ts_format")
