"""How many orders may be sent in a time."""

from __future__ import annotations

from typing import Any

from qengine_core.plugin import component, param

__all__ = ["OrderRate"]


@component
class OrderRate:
    """At most so many orders in any interval that long: a strategy that has gone wild is stopped.

    Every leg of a recipe and every change of an order counts as one. Exits count, and pass unless ``exits``.
    What rules after this one refuse counts as well: put it last.
    """

    orders: int = param(help="Most orders in an interval.", ge=1)
    interval: float = param(default=1.0, help="Length of the interval, which slides.", unit="seconds", gt=0)
    exits: bool = param(default=False, help="Whether exits may be refused, too.")

    def build(self, run: Any) -> Any:
        """What counts in one run."""
        from qengine_risk.checks import RateCheck

        return RateCheck(self)
