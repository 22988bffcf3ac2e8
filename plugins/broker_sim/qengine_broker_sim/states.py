"""The order state machine: one table of what may follow what, and the only place that changes a state."""

from __future__ import annotations

from collections.abc import Mapping

from qengine_core.plugin import Order, OrderState, RunError

__all__ = ["TRANSITIONS", "advance"]

_END = (OrderState.CANCELLED, OrderState.EXPIRED)

TRANSITIONS: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.NEW: frozenset({OrderState.SUBMITTED}),
    OrderState.SUBMITTED: frozenset({OrderState.ACCEPTED, OrderState.REJECTED, *_END}),
    OrderState.ACCEPTED: frozenset({OrderState.PARTIALLY_FILLED, OrderState.FILLED, *_END}),
    OrderState.PARTIALLY_FILLED: frozenset({OrderState.PARTIALLY_FILLED, OrderState.FILLED, *_END}),
    OrderState.FILLED: frozenset(),
    OrderState.CANCELLED: frozenset(),
    OrderState.REJECTED: frozenset(),
    OrderState.EXPIRED: frozenset(),
}


def advance(order: Order, state: OrderState, ts: int, reason: str = "") -> None:
    """Move an order to ``state`` at ``ts``. Raises RunError for a step that is not in the table."""
    if state not in TRANSITIONS[order.state]:
        raise RunError(f"Order {order.id} cannot go from {order.state.value} to {state.value}.")
    order.state = state
    if reason:
        order.reason = reason
    if state is OrderState.ACCEPTED:
        order.accepted_ts = ts
    elif state.is_terminal:
        order.closed_ts = ts
