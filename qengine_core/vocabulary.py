"""The words that typed hooks are written in: values without behaviour, knowing no plugin and no file.

Times are int64 nanoseconds since the epoch, UTC. Quantities are signed only where a docstring says so.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import attrs

__all__ = [
    "BAR",
    "BUY",
    "MARKET_LEG",
    "NAN",
    "QUOTE",
    "SELL",
    "SIGNAL",
    "TRADE",
    "CancelOrder",
    "Fill",
    "Instrument",
    "Leg",
    "Order",
    "OrderState",
    "OrderUpdate",
    "Phase",
    "Rank",
    "TimeInForce",
]

NAN = float("nan")

# Event kinds a stream may carry. Bars are stamped at their close: the moment the fact is known.
BAR = "bar"
TRADE = "trade"
QUOTE = "quote"
SIGNAL = "signal"

BUY = 1
SELL = -1


class Phase(enum.IntEnum):
    """Order of events that share a timestamp. Decided here and nowhere else."""

    SESSION_OPEN = 0
    CORPORATE_ACTION = 1
    MARKET_DATA = 2
    SIGNAL = 3
    TIMER = 4
    ORDER_TRAFFIC = 5
    SESSION_CLOSE = 6


class Rank(enum.IntEnum):
    """Order in which participants act within one row.

    Matching comes before decision, so no fill can come from an order decided on the same row.
    """

    CORPORATE_ACTION = 0
    ARRIVAL = 1
    MATCHING = 2
    ACCOUNTING = 3
    DECISION = 4
    SUBMISSION = 5
    RECORDING = 6


class TimeInForce(enum.Enum):
    """How long an order may rest: until cancelled, until a date, or only on its first row of data."""

    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class OrderState(enum.Enum):
    """Where an order stands. The last four are terminal: an order ends in exactly one of them."""

    NEW = "new"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially-filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    # Set below the class: a plain attribute is three times faster to read than a property.
    is_terminal: bool


for _state in OrderState:
    _state.is_terminal = _state in {
        OrderState.FILLED,
        OrderState.CANCELLED,
        OrderState.REJECTED,
        OrderState.EXPIRED,
    }


@attrs.frozen(kw_only=True)
class Instrument:
    """Something that can be traded. ``tick_size`` and ``lot_size`` of 0 mean "no grid"."""

    name: str
    currency: str = "USD"
    multiplier: float = 1.0
    tick_size: float = 0.0
    lot_size: float = 0.0


class Leg(NamedTuple):
    """One matching primitive of an order type's recipe, relative to what the user asked for.

    ``side`` is +1 for the request's own side and -1 for the opposite; ``ratio`` scales the quantity.
    ``limit`` and ``trigger`` are prices (NaN: none). ``trail`` is how far a trigger trails its extreme, as
    an amount or, if ``trail_is_percent``, a fraction. ``parent`` is the index of the leg whose fills
    activate this one (-1: active at once); legs that share a ``group`` >= 0 cancel one another.
    """

    side: int = 1
    ratio: float = 1.0
    limit: float = NAN
    trigger: float = NAN
    trail: float = NAN
    trail_is_percent: bool = False
    parent: int = -1
    group: int = -1


MARKET_LEG = Leg()


@attrs.define(eq=False)
class Order:
    """One order and where it stands. Only the broker changes it; everyone else reads.

    ``quantity`` is positive, ``side`` is +1 (buy) or -1 (sell), prices are in the instrument's currency
    (NaN: none). ``submitted_ts`` is when the strategy sent it, ``closed_ts`` when it reached its
    terminal state (-1 before). ``reason`` says why it was cancelled, rejected or expired.
    """

    id: int
    code: int
    instrument: str
    side: int
    quantity: float
    type: str
    leg: Leg
    time_in_force: TimeInForce
    expires_ts: int
    tag: str
    submitted_ts: int
    state: OrderState = OrderState.NEW
    filled: float = 0.0
    average_price: float = 0.0
    commission: float = 0.0
    accepted_ts: int = -1
    closed_ts: int = -1
    reason: str = ""

    @property
    def remaining(self) -> float:
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        return not self.state.is_terminal


class Fill(NamedTuple):
    """One execution. ``price`` includes ``slippage``, which is the concession per unit (>= 0).

    ``commission`` is what this fill added to the order's total, in the instrument's currency.
    """

    ts: int
    order: Order
    code: int
    side: int
    quantity: float
    price: float
    commission: float
    slippage: float


class CancelOrder(NamedTuple):
    """A request to take an order off the market."""

    order: Order
    reason: str = "requested"


class OrderUpdate(NamedTuple):
    """An order has just changed state."""

    ts: int
    order: Order
    state: OrderState
    reason: str
