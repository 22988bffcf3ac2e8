"""What this plugin announces: order types."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import OrderTypeSpec, implements
from qengine_orders.types import Limit, Market


@implements.order_types
def order_types() -> Iterable[OrderTypeSpec]:
    yield OrderTypeSpec(name="market", summary="Trade at the next price there is.", component=Market)
    yield OrderTypeSpec(name="limit", summary="Trade at a price or better, or wait.", component=Limit)
