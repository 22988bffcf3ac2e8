"""The order state machine: one table of what may follow what. Compiled code asks it at every change of a state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qengine_broker_sim.layout import STATES
from qengine_core.plugin import OrderState

__all__ = ["FOLLOWING", "TRANSITIONS"]

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

# The same for compiled code: by a state's code, a bit for each state that may follow.
FOLLOWING = tuple(
    np.int64(sum(1 << STATES.index(state.value) for state in TRANSITIONS[OrderState(name)])) for name in STATES
)
