"""Leaving a position at market, as a recipe of one leg."""

from __future__ import annotations

from qengine_core.plugin import Leg, component

__all__ = ["Exit"]


@component
class Exit:
    """Trade at market towards zero, never beyond: what would open a position is cancelled as ``reduce-only``.

    Other orders of the instrument that act at the same price at the same moment come first, so that a position which
    they close is not closed twice.
    """

    def legs(self) -> tuple[Leg, ...]:
        """One, at market, reduce-only, and yielding."""
        return (Leg(reduce_only=True, yields=True),)
