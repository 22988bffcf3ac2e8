"""Announces the calendars by the names that run files use; it computes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_calendars.components import Exchange, Fx, UtcDays
from qengine_core.plugin import CalendarSpec, implements


@implements.calendars
def calendars() -> Iterable[CalendarSpec]:
    """Every calendar of this plugin."""
    yield CalendarSpec(name="utc-days", summary="Every day is a session, around the clock.", component=UtcDays)
    yield CalendarSpec(
        name="exchange", summary="The sessions of an exchange, with holidays and early closes.", component=Exchange
    )
    yield CalendarSpec(name="fx", summary="Foreign exchange: 17:00 to 17:00 in New York, five a week.", component=Fx)
