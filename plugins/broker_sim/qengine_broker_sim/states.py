"""The order state machine: one table of what may follow what."""

from __future__ import annotations

from collections.abc import Mapping

from qengine_core.plugin import OrderState

__all__ = ["TRANSITIONS"]

_END = (OrderState.CANCELLED, OrderState.EXPIRED)

TRANSITIONS: Mapping[OrderState, tuple[OrderState, ...]] = {
    OrderState.NEW: (OrderState.SUBMITTED,),
    OrderState.SUBMITTED: (OrderState.ACCEPTED, OrderState.REJECTED, *_END),
    OrderState.ACCEPTED: (OrderState.FILLED, OrderState.PARTIALLY_FILLED, *_END),
    OrderState.PARTIALLY_FILLED: (OrderState.FILLED, OrderState.PARTIALLY_FILLED, *_END),
    OrderState.FILLED: (),
    OrderState.CANCELLED: (),
    OrderState.REJECTED: (),
    OrderState.EXPIRED: (),
}
