"""The simulator's memory: orders, queues of resting orders and events, as records that compiled code works on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "BLANK",
    "CANCELLED",
    "CHANGES",
    "EVENT",
    "EXITS_FIRST",
    "FILLED",
    "FORM",
    "HEAD",
    "HEAR",
    "NO",
    "ORDER",
    "QUEUE",
    "REASONS",
    "SAY",
    "SLIP",
    "STATES",
    "TIMES_IN_FORCE",
    "YES",
]


def _numbers(count: int) -> list[np.int64]:
    """Constants for compiled code. Of a plain int it would compile a function anew for each value."""
    return [np.int64(number) for number in range(count)]


NO, YES = np.bool_(False), np.bool_(True)
NO_TOKEN = np.int64(-2)  # of no row, and not the -1 of orders that were never tried

# Codes of states, by position; the first four are open.
STATES = ("new", "submitted", "accepted", "partially-filled", "filled", "cancelled", "rejected", "expired")
NEW, SUBMITTED, ACCEPTED, PARTIALLY_FILLED, FILLED, CANCELLED, REJECTED, EXPIRED = _numbers(8)

TIMES_IN_FORCE = ("gtc", "gtd", "ioc", "fok", "day", "at-open", "at-close")
GTC, GTD, IOC, FOK, DAY, AT_OPEN, AT_CLOSE = _numbers(7)

# Why an order ended other than filled. The user's own reasons are appended to these during a run.
REASONS = (
    "",
    "requested",
    "zero-quantity",
    "short-selling-disabled",
    "insufficient-cash",
    "ioc-remainder",
    "fok-remainder",
    "good-till-date",
    "end-of-data",
    "one-cancels-other",
    "parent-closed",
    "reduce-only",
    "post-only-would-take",
    "ambiguous-bar",
    "end-of-session",
    "at-open-remainder",
    "at-close-remainder",
    "no-fx-rate",
    "no-price",
    "close-remainder",
    "insufficient-margin",
    "replaced",
    # Why an amendment is refused, besides what an account may say to it.
    "order-closed",
    "already-filled",
    "not-amendable",
)
(
    NO_REASON,
    REQUESTED,
    ZERO_QUANTITY,
    SHORT_DISABLED,
    INSUFFICIENT_CASH,
    IOC_REMAINDER,
    FOK_REMAINDER,
    GOOD_TILL_DATE,
    END_OF_DATA,
    ONE_CANCELS_OTHER,
    PARENT_CLOSED,
    REDUCE_ONLY,
    POST_ONLY,
    AMBIGUOUS_BAR,
    END_OF_SESSION,
    AT_OPEN_REMAINDER,
    AT_CLOSE_REMAINDER,
    NO_FX_RATE,
    NO_PRICE,
    CLOSE_REMAINDER,
    INSUFFICIENT_MARGIN,
    REPLACED,
    ORDER_CLOSED,
    ALREADY_FILLED,
    NOT_AMENDABLE,
) = _numbers(25)

# What siblings of a group do when one of them fills.
CANCEL_OTHERS, REDUCE_OTHERS = _numbers(2)

# Policies, in the order of their names in settings.
WORST_CASE, OPEN_HIGH_LOW_CLOSE, OPEN_LOW_HIGH_CLOSE, NEAREST_EXTREME_FIRST, REJECT_AMBIGUOUS, DRILL_DOWN = _numbers(6)
NEXT_OPEN, NEXT_CLOSE, SAME_CLOSE, AT_ONCE = _numbers(4)
BY_PATH, BY_CLOSE, CLOSE_BACK, AT_TRIGGER = _numbers(4)
MARK_EXTREME, MARK_CLOSE = _numbers(2)
EXITS_FIRST, IN_TURN = _numbers(2)
TRAIL_FROM_FILL, TRAIL_FROM_SENDING, TRAIL_FROM_ENTRY_CLOSE = _numbers(3)
POWER_OFF, POWER_CASH, POWER_PROCEEDS, POWER_EQUITY, POWER_PURCHASES, POWER_LOCKED, POWER_REG_T, POWER_PERCENT = (
    _numbers(8)
)
RESERVES, IN_SEQUENCE, AT_FILL = _numbers(3)
TOUCH, PENETRATE, PROBABILITY = _numbers(3)
REST, LAST_LEVEL = _numbers(2)
NO_QUEUE, RISK_AVERSE, POWER, LOG = _numbers(4)
FEE_BY_ORDER, FEE_BY_PART, FEE_BY_REQUEST = _numbers(3)
AS_SENT, BY_INSTRUMENT, BY_VALUE = _numbers(3)

# What a walk over rows may need before it goes on: room for fills, that what has happened is said or heard.
ROOM, SAY, HEAR = _numbers(3)

# What orders have in common, interned: an order refers to its form by index.
FORM = np.dtype(
    [
        ("time_in_force", "i8"),
        ("is_touch", "i8"),  # the trigger waits for a better price (if touched), not for a worse one (stop)
        ("trail_is_percent", "i8"),
        ("group_mode", "i8"),
        ("post_only", "i8"),
        ("reduce_only", "i8"),
        ("yields", "i8"),  # it comes after all others that act at the same price at the same moment
        ("from_fill", "i8"),  # prices are offsets (1) or fractions (2) from what the parent filled at
        ("display", "f8"),  # the most that shows, and fills, per row; infinite: all
        ("participation", "f8"),  # this order's own share of a row's volume; infinite: no limit
        ("limit_offset", "f8"),  # of a triggered order: its limit lies so far beyond the trigger (NaN: none)
    ]
)

ORDER = np.dtype(
    [
        ("submitted_ts", "i8"),
        ("accepted_ts", "i8"),
        ("closed_ts", "i8"),
        ("expires_ts", "i8"),
        ("not_before", "i8"),  # it waits until after this time
        ("token", "i8"),  # the row it was tried on last
        ("born", "i8"),  # the row whose fill made it active
        ("quantity", "f8"),
        ("filled", "f8"),
        ("allowed", "f8"),  # how much may fill yet: less than the quantity until the parent has filled
        ("limit", "f8"),
        ("trigger", "f8"),
        ("trail", "f8"),
        ("mark", "f8"),  # the best price since a trail began
        ("average_price", "f8"),
        ("commission", "f8"),
        ("reserved", "f8"),
        ("maker_quantity", "f8"),
        ("prior_quantity", "f8"),  # what the account had traded in the month before
        ("prior_notional", "f8"),
        ("ratio", "f8"),
        ("ahead", "f8"),  # what stands before it in the exchange's queue (NaN: it stands in none)
        ("shown", "f8"),  # what was displayed at its price last
        ("traded", "f8"),  # what has traded at its price since
        ("turn", "i8"),  # its place among the orders of all instruments
        ("level", "f8"),  # in its heap, which has the highest on top
        ("kin", "i8"),  # the next of the ring of orders that one recipe made
        ("code", "i8"),
        ("account", "i8"),
        ("side", "i8"),
        # A record is as short as may be: what the next one takes to write is mostly memory. What compiled functions
        # are handed stays as long as their other arguments are, or they would be compiled a second time.
        ("form", "i4"),
        ("tag", "i4"),
        ("type", "i4"),
        ("reason", "i4"),
        ("parent", "i4"),
        ("group", "i4"),
        ("next", "i4"),  # in the instrument's queue, by age
        ("previous", "i4"),
        ("left", "i4"),
        ("right", "i4"),
        ("back", "i4"),  # whose left or right it is; of the top of heap ``n``: ``-1 - n``
        ("state", "i1"),
        ("triggered", "i1"),
        ("reached", "i1"),  # its limit was, and that is for good
        ("active", "i1"),
        ("rested", "i1"),  # it has been on the market for a row
        ("linked", "i1"),
        ("tied", "i1"),  # to others of its ring: by a parent, or a group
        ("counts_selling", "i1"),
        ("has_reserved", "i1"),
        ("concerns", "i1"),  # counted among those that the next row concerns
        ("tangled", "i1"),  # counted among those whose outcome may depend on the path
    ],
    align=True,
)


def _blank() -> npt.NDArray[Any]:
    blank = np.zeros(1, ORDER)
    for name in ("accepted_ts", "closed_ts", "expires_ts", "not_before", "token", "born"):
        blank[name] = -1
    for name in ("next", "previous", "left", "right", "back", "kin", "parent", "group"):
        blank[name] = -1
    for name in ("limit", "trigger", "trail", "mark", "ahead"):
        blank[name] = math.nan
    blank["ratio"] = 1.0
    return blank


# What an order is unless something else is said.
BLANK = _blank()

# The resting orders of one instrument, and the nearest prices that a scan has to look out for.
QUEUE = np.dtype(
    [
        ("first", "i8"),
        ("last", "i8"),
        ("count", "i8"),
        ("always", "i8"),  # orders that the next row concerns whatever its price
        ("entangled", "i8"),  # orders whose outcome may depend on the path inside a bar
        ("grade", "i8"),  # of the data that fills them
        ("also", "i8"),  # the kind of data that moves them on in the exchange's queue, and fills them there (-1: none)
        ("tops", "i8"),  # of its heaps; an address
        ("stale", "i8"),  # the prices below, and ``after``, are to be looked up anew
        ("after", "i8"),  # nobody may fill before
        ("since", "i8"),  # none of those with one price may fill before
        ("ambiguous", "i8"),  # bars in which the path, or a touch, decided
        ("ambiguous_on", "i8"),  # the last of them
        ("taken", "f8"),  # of the volume of row ``taken_on``, by orders that fill on the row they were sent on
        ("taken_on", "i8"),
        ("token", "i8"),  # the row that its tangle was led through last
        ("buy_down", "f8"),  # a price for buyers at or below this concerns somebody, and so on
        ("buy_up", "f8"),
        ("sell_down", "f8"),
        ("sell_up", "f8"),
        # Of the rows of the instant that is being matched: how far prices went on either side.
        ("instant", "i8"),
        ("buy_low", "f8"),
        ("buy_high", "f8"),
        ("sell_low", "f8"),
        ("sell_high", "f8"),
    ]
)

# What an order has opened of its instrument's position, where each entry is a trade of its own; lies as orders do.
TRADE = np.dtype([("quantity", "f8"), ("next", "i8"), ("previous", "i8")])

# The open trades of one position, oldest first.
TRADES = np.dtype([("first", "i8"), ("last", "i8")])

# A position as it would be if all that was sent at ``ts`` had been executed.
SHADOW = np.dtype([("ts", "i8"), ("quantity", "f8"), ("average_price", "f8")])

# An order at market that was filled whole on the row after it was sent, and its fill.
SLIP = np.dtype(
    [
        ("submitted_ts", "i8"),
        ("ts", "i8"),  # of the fill
        ("token", "i8"),  # the row that filled it
        ("quantity", "f8"),  # signed
        ("price", "f8"),
        ("commission", "f8"),
        ("slippage", "f8"),  # per unit
    ]
)

EVENT = np.dtype([("ts", "i8"), ("order", "i8"), ("fill", "i8"), ("state", "i8"), ("reason", "i8")])

HEAD = np.dtype(
    [
        *((name, "i8") for name in ("books", "orders", "forms", "queues", "events")),
        ("found", "i8"),  # room to write down orders that a row concerns
        ("execute", "i8"),  # the compiled function that settles a fill
        ("walk", "i8"),  # the one that trades with a book of several levels (0: the run has none)
        # For whoever walks rows himself: entry points, the row up to which he has matched, what he has to do next, and
        # whether he wants to hear of each match.
        *((name, "i8") for name in ("match", "search", "done", "asks", "pauses", "fills_per_order")),
        ("arrival", "i8"),  # the one that lets orders act as they arrive (0: they only come to rest)
        ("by_trade", "i8"),  # the one that settles a fill where positions are made of trades (0: they are not)
        ("stand", "i8"),  # the one that keeps places in the exchange's queue (0: the run has none)
        # Of accounts that are not plain cash (else 0): what judges orders in sequence, what says how much of a fill is
        # covered, and what tells the margin of an order and what is free for it.
        *((name, "i8") for name in ("judge", "cover", "margin")),
        ("by_close", "i8"),  # the one that matches stop-limits by the close (0: the path decides)
        ("kin", "i8"),  # the one that tells orders what those have done that they are tied to (0: none is tied yet)
        ("tangle", "i8"),  # the one that leads orders along the path inside a bar (0: none of them needs it yet)
        *((name, "i8") for name in ("commission", "commission_rates", "commission_size")),
        *((name, "i8") for name in ("slippage", "slippage_rates", "slippage_size")),
        *((name, "i8") for name in ("order_count", "event_count", "resting", "always", "open", "trial")),
        *((name, "i8") for name in ("announces", "zero_volume", "clips", "reduces", "penetrates")),
        *((name, "i8") for name in ("path", "timing", "trail_mark", "queue_count", "stop_limits", "event_room")),
        # Of orders that fill at once: the last rows of all instruments, and whether the market is open.
        *((name, "i8") for name in ("board", "board_tokens", "is_trading")),
        *((name, "i8") for name in ("order_of_matching", "forgets", "trail_start", "own_share")),
        *((name, "i8") for name in ("exits_wait", "ends_together", "fee_by_part", "opening_only")),
        *((name, "i8") for name in ("power", "admission", "trades", "trade_lists")),
        *((name, "i8") for name in ("last_rows", "last_seen")),
        *((name, "i8") for name in ("open_trades", "turns", "walks_again", "shadows")),
        *((name, "i8") for name in ("limits_stay", "limits_bound", "exits_slip", "from_close")),
        *((name, "i8") for name in ("close_order", "cancels_rest")),
        ("tick_size", "f8"),  # of instruments that name none
        ("tick_tolerance", "f8"),
        ("lot_tolerance", "f8"),
        ("leverage", "f8"),
        *((name, "f8") for name in ("initial_long", "initial_short", "maintenance_long", "maintenance_short")),
        ("waits", "i8"),  # an order that arrives in the middle of a bar waits for the next
        ("starts", "i8"),  # what was sent up to this time came before all data
        ("graded", "i8"),  # under drill-down: the time of the last row of each grade of data and instrument; else 0
        ("open_cutoff", "i8"),  # how long before a session's open or close an order for it must have arrived
        ("close_cutoff", "i8"),
        ("participation", "f8"),  # infinite: no limit
        *((name, "i8") for name in ("now", "start")),  # of the instant that is being matched: its time and first row
        *((name, "i8") for name in ("walks", "beyond", "remembers", "levels")),  # the book, level by level
        *((name, "i8") for name in ("slots", "slot_tokens", "gone")),
        *((name, "i8") for name in ("queue_model", "book")),  # places in the exchange's queue
        ("queue_exponent", "f8"),
        # Of orders on slips: these, how many are filled, of which order and fill the first is; the open order.
        *((name, "i8") for name in ("slips", "slip_room", "slip_count", "slip_order", "slip_fill")),
        *((name, "i8") for name in ("slip_records", "slip_open")),
        *((name, "i8") for name in ("submit", "write_slips")),
        # Of targets: each instrument's own lot size, whether open orders count, and the ledger's say on their size.
        *((name, "i8") for name in ("lots", "counts_open", "target_commission")),
        *((name, "f8") for name in ("target_reserve", "target_lot")),
        ("touch_key", "u8"),
        ("touch_probability", "f8"),
        ("draft", ORDER),  # what the next order has beyond the arguments of submit
    ],
    align=True,
)

# What compiled code writes of it; all else stays as it is while compiled code runs.
CHANGES = frozenset(
    {
        *("done", "asks", "order_count", "event_count", "resting", "always", "open", "trial"),
        *("open_trades", "turns", "walks_again", "now", "start"),
        *("slip_count", "slip_order", "slip_fill", "slip_open"),
    }
)
