"""Figures as a reader expects them: percentages, money, durations, dates. It knows no run."""

from __future__ import annotations

import datetime
import math
from typing import Any

__all__ = ["duration", "figure", "moment", "money", "number", "percent", "quantity"]

_NONE = "\N{EN DASH}"


def figure(value: Any, unit: str, currency: str) -> str:
    """A metric's value by the unit that METRICS gives it; what is not known is a dash."""
    if value is None:
        return _NONE
    if unit == "fraction":
        return percent(value)
    if unit == "money":
        return f"{money(value)} {currency}".rstrip()
    if unit == "days":
        return duration(value)
    if unit == "moment":
        return moment(value)
    return str(value) if unit == "date" else number(value, 0 if unit == "count" else 2)


def percent(value: float | None, sign: bool = False) -> str:
    """A fraction as per cent with two decimals."""
    return _NONE if value is None else f"{_number(100 * value, 2, sign)}%"


def money(value: float | None, sign: bool = False) -> str:
    """Whole units from a thousand upwards, else cents."""
    return _NONE if value is None else _number(value, 0 if abs(value) >= 1000 else 2, sign)


def number(value: float | None, decimals: int = 2, sign: bool = False) -> str:
    """With thousands separators and a true minus sign."""
    return _NONE if value is None else _number(value, decimals, sign)


def quantity(value: float) -> str:
    """No decimals for what is whole, else up to six digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def duration(days: float | None) -> str:
    """Days, hours, minutes or seconds: the largest of which there is one."""
    if days is None or not math.isfinite(days):
        return _NONE
    for length, unit in ((1.0, "day"), (1 / 24, "hour"), (1 / 1440, "minute")):
        if days >= length:
            count = days / length
            text = f"{count:,.0f}" if count >= 10 else f"{count:.1f}".removesuffix(".0")
            return f"{text} {unit}" if text == "1" else f"{text} {unit}s"
    return f"{days * 86_400:.3g} seconds"


def moment(iso: str | None) -> str:
    """An ISO 8601 moment to the minute, ``2020-02-12 21:00``; midnight as the day that it ends."""
    if iso is None:
        return _NONE
    date, _, time = iso.removesuffix("Z").partition("T")
    if time == "00:00:00":
        return str(datetime.date.fromisoformat(date) - datetime.timedelta(days=1))
    return f"{date} {time[:5]}"


def _number(value: float, decimals: int, sign: bool) -> str:
    if not math.isfinite(value):
        return _NONE
    value = round(value, decimals) + 0.0  # so that nothing reads "-0.00"
    return format(value, f"{'+' if sign else ''},.{decimals}f").replace("-", "\N{MINUS SIGN}")
