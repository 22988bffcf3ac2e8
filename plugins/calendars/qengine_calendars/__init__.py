"""Trading calendars: when markets open and close, on which dates. They know no order and no price."""

from __future__ import annotations

from qengine_calendars.components import Exchange, Fx, UtcDays

__all__ = ["Exchange", "Fx", "UtcDays"]
