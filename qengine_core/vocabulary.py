"""The words that typed hooks are written in: values without behaviour, knowing no plugin and no file.

Times are int64 nanoseconds since the epoch, UTC. Quantities are signed only where a docstring says so.
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import NamedTuple, Protocol

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
    "Fill",
    "Instrument",
    "Leg",
    "MarginCall",
    "Order",
    "OrderRequest",
    "OrderState",
    "OrderUpdate",
    "Phase",
    "Rank",
    "Session",
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
    """How long an order may rest: until cancelled, until a date, only on its first row of data, until the session's
    end, or only on the row that opens or closes a session.
    """

    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"
    DAY = "day"
    AT_OPEN = "at-open"
    AT_CLOSE = "at-close"


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


class Session(NamedTuple):
    """One session of a market, and the names of the run's ``instruments`` that trade in it.

    It trades while ``open_ts < ts <= close_ts`` (ns UTC). Rows up to ``until_ts``, when the next session
    opens, belong to it too: they are late. ``date`` is what the market calls the session.
    """

    date: dt.date
    open_ts: int
    close_ts: int
    until_ts: int
    instruments: tuple[str, ...] = ()


class Leg(NamedTuple):
    """One matching primitive of an order type's recipe, relative to what the user asked for.

    ``side`` is +1 for the request's own side and -1 for the opposite; ``ratio`` scales the quantity.
    ``limit`` and ``trigger`` are prices (NaN: none). A trigger waits for a price that is worse (a stop) or, with
    ``is_touch``, better (if touched). ``trail`` is how far a trigger trails the best price since, as an amount
    or, if ``trail_is_percent``, a fraction; ``limit_offset`` sets the limit when the trigger is set off, so far
    beyond it.

    ``parent`` is the index of the leg whose fills activate this one (-1: active at once); with ``from_fill`` of
    "amount" or "fraction" its prices are distances from what the parent filled at, positive where it gains. Legs
    that share a ``group`` >= 0 cancel one another, or, if ``group_reduces``, lose what another filled.

    ``display`` is the most that shows, and fills, per row of data, ``participation`` the largest share of a
    row's volume (NaN: no limit). ``delay`` (ns) is how long after its arrival the leg begins to act.
    ``post_only`` is cancelled rather than take liquidity, ``reduce_only`` never opens a position, and what ``yields``
    comes after all other orders of its instrument that act at the same price at the same moment. ``mark`` is the
    best price that a trail begins with (NaN: the last known), ``tag`` takes the place of the request's.
    ``time_in_force`` is the leg's own, whatever is asked for the order (any but GTD, which needs a time).
    """

    side: int = 1
    ratio: float = 1.0
    limit: float = NAN
    trigger: float = NAN
    trail: float = NAN
    trail_is_percent: bool = False
    is_touch: bool = False
    limit_offset: float = NAN
    parent: int = -1
    group: int = -1
    group_reduces: bool = False
    from_fill: str = ""
    display: float = NAN
    participation: float = NAN
    delay: int = 0
    post_only: bool = False
    reduce_only: bool = False
    yields: bool = False
    mark: float = NAN
    tag: str = ""
    time_in_force: TimeInForce | None = None


MARKET_LEG = Leg()


class Order(Protocol):
    """One order and where it stands. Only the broker changes it; everyone else reads, and sees every change.

    ``quantity`` is positive, ``side`` is +1 (buy) or -1 (sell), prices are in the instrument's currency
    (NaN: none). ``submitted_ts`` is when the strategy sent it, ``accepted_ts`` when the broker took it,
    ``closed_ts`` when it reached its terminal state (-1 before). ``account`` is the number of the ledger's
    account that it trades for. ``reason`` says why it was cancelled,
    rejected or expired. Two orders are equal if they are the same order.
    """

    @property
    def id(self) -> int: ...
    @property
    def code(self) -> int: ...
    @property
    def instrument(self) -> str: ...
    @property
    def account(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def time_in_force(self) -> TimeInForce: ...
    @property
    def tag(self) -> str: ...
    @property
    def quantity(self) -> float: ...
    @property
    def filled(self) -> float: ...
    @property
    def remaining(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def trigger(self) -> float: ...
    @property
    def average_price(self) -> float: ...
    @property
    def commission(self) -> float: ...
    @property
    def submitted_ts(self) -> int: ...
    @property
    def accepted_ts(self) -> int: ...
    @property
    def closed_ts(self) -> int: ...
    @property
    def expires_ts(self) -> int: ...
    @property
    def state(self) -> OrderState: ...
    @property
    def reason(self) -> str: ...
    @property
    def is_open(self) -> bool: ...


class OrderRequest(NamedTuple):
    """An order about to be sent, or a change of one, and what there is of its instrument already.

    ``limit`` and ``trigger`` are prices (NaN: none), ``mark`` the last known price (NaN: none yet), ``position``
    the signed quantity held, and ``working`` what open orders of the same side may still trade, those left out that
    can only reduce a position. ``unit_value`` is what a price of 1 is worth, in the account's currency (NaN where no
    rate is known). ``is_exit`` says that the order can but bring the position closer to zero.
    ``waits`` marks a leg that waits for another to fill; its prices may be distances from that fill. ``account`` is
    the number of the ledger's account that it trades for: position and open orders are that account's.
    """

    ts: int
    code: int
    instrument: Instrument
    side: int
    quantity: float
    limit: float
    trigger: float
    type: str
    tag: str
    mark: float
    unit_value: float
    position: float
    working: float
    is_exit: bool
    waits: bool
    account: int = 0


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


class MarginCall(NamedTuple):
    """An account's ``equity`` was less than the margin ``required`` to hold its positions; what follows are orders.

    Money is in the account's currency.
    """

    ts: int
    account: int
    equity: float
    required: float


class OrderUpdate(NamedTuple):
    """An order has just changed state, or been changed.

    ``action`` is empty for a change of state; "amended", or "amendment-refused" for a ``reason``, in answer to
    a request to change the order, whose ``state`` stays; "split" after a split of its instrument.
    """

    ts: int
    order: Order
    state: OrderState
    reason: str
    action: str = ""
