"""The order state machine: one table of what may follow what, and the only place that changes a state."""

from __future__ import annotations

from collections.abc import Mapping

from qengine_core.plugin import Order, OrderState, RunError

__all__ = ["TRANSITIONS", "advance"]

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

# An enum member hashes in Python; its value, a string, in C. This is looked up three times an order.
_ACCEPTED = OrderState.ACCEPTED
_NEXT = {state.value: following for state, following in TRANSITIONS.items()}


def advance(order: Order, state: OrderState, ts: int, reason: str = "") -> None:
    """Move an order to ``state`` at ``ts``. Raises RunError for a step that is not in the table."""
    if state not in _NEXT[order.state._value_]:
        raise RunError(f"Order {order.id} cannot go from {order.state.value} to {state.value}.")
    order.state = state
    if state is _ACCEPTED:
        order.accepted_ts = ts
    elif state.is_terminal:
        order.closed_ts = ts
        order.reason = reason
