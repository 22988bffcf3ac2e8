"""Bars of the scenarios: hand-written paths and seeded walks on a coarse grid, so that ties and touches do occur."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

__all__ = ["Bar", "Rows", "closing_times", "flat", "minute_times", "path", "walk"]

Bar = tuple[float, float, float, float, float]
Rows = list[Bar | None]

# New York had no holiday between these days, so every weekday is a session of every peer's calendar; the market
# closes at 16:00 New York, which is 20:00 UTC all along.
_FIRST = date(2021, 7, 6)
_SESSIONS = 44
_VOLUME = 100_000.0


def closing_times(count: int) -> list[datetime]:
    """The first ``count`` sessions, each stamped at its close in UTC."""
    if count > _SESSIONS:
        raise ValueError(f"A scenario has {count} daily bars, and there are {_SESSIONS} sessions without a holiday.")
    days = (_FIRST + timedelta(days=offset) for offset in range(count * 2))
    weekdays = [day for day in days if day.weekday() < 5][:count]
    return [datetime(day.year, day.month, day.day, 20, tzinfo=UTC) for day in weekdays]


def minute_times(sessions: int) -> list[datetime]:
    """Every minute of the first sessions, stamped at its end: 09:31 to 16:00 New York, 390 a session."""
    return [close - timedelta(minutes=389 - minute) for close in closing_times(sessions) for minute in range(390)]


def path(text: str, volume: float = _VOLUME) -> Rows:
    """Bars from lines of ``open high low close [volume]``; a line with a dash alone is a bar that does not exist."""
    rows: Rows = []
    for line in text.strip().splitlines():
        words = line.split("#")[0].split()
        if words == ["-"]:
            rows.append(None)
            continue
        numbers = [float(word) for word in words]
        opening, high, low, close = numbers[:4]
        if not low <= min(opening, close) <= max(opening, close) <= high:
            raise ValueError(f"This is no bar, its open or close lies outside its range: {line.strip()}")
        rows.append((opening, high, low, close, numbers[4] if len(numbers) > 4 else volume))
    return rows


def flat(count: int, price: float = 100.0, volume: float = _VOLUME) -> Rows:
    """Quiet bars a dollar wide around one price."""
    return [(price, price + 0.5, price - 0.5, price, volume)] * count


def walk(seed: int, count: int, price: float = 100.0, step: float = 1.5, volume: float = _VOLUME) -> Rows:
    """A random walk with gaps between bars; prices are multiples of a quarter, which binary floats hold exactly."""
    chance = random.Random(seed)
    rows: Rows = []
    close = price
    for _ in range(count):
        opening = _grid(close + chance.gauss(0, step / 2))
        close = _grid(opening + chance.gauss(0, step))
        high = _grid(max(opening, close) + abs(chance.gauss(0, step / 2)))
        low = _grid(min(opening, close) - abs(chance.gauss(0, step / 2)))
        rows.append((opening, high, low, close, float(round(volume * chance.uniform(0.5, 1.5)))))
    return rows


def _grid(price: float) -> float:
    return max(round(price * 4) / 4, 0.25)
