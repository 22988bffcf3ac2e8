"""The simulated broker while a run is under way: takes orders, waits for a row that can fill one, fills it.

Rows are matched an instant at a time: of all orders that rows of one timestamp can fill, those that
reduce a position go first, so that what they free can pay for the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qengine_broker_sim.book import Book
from qengine_broker_sim.buying_power import BuyingPower
from qengine_broker_sim.matching import concede, match_price, next_match_nb
from qengine_broker_sim.states import advance
from qengine_broker_sim.view import MarketView
from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.participant import Participant
from qengine_core.plugin import (
    BAR,
    MARKET_LEG,
    QUOTE,
    TRADE,
    CancelOrder,
    ConfigError,
    Fill,
    Leg,
    Order,
    OrderState,
    OrderType,
    OrderUpdate,
    Phase,
    Rank,
    TimeInForce,
)

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker
    from qengine_core.run import Run

__all__ = ["MatchingBroker"]

_FINEST_FIRST = (QUOTE, TRADE, BAR)
_DUST = 1e-9
_new = tuple.__new__  # a named tuple's own constructor is Python around this, and takes twice as long
# Bound here because reading a member off its enum costs three times as much as a global.
_SUBMITTED, _ACCEPTED, _REJECTED = OrderState.SUBMITTED, OrderState.ACCEPTED, OrderState.REJECTED
_FILLED, _PARTIALLY_FILLED = OrderState.FILLED, OrderState.PARTIALLY_FILLED
_CANCELLED, _EXPIRED = OrderState.CANCELLED, OrderState.EXPIRED
_GTC, _GTD, _IOC, _FOK = TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC, TimeInForce.FOK
_END_OF_DATA = "end-of-data"


class MatchingBroker(Participant):
    """Order states, matching and costs of one run."""

    rank = Rank.MATCHING

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        count = len(run.instruments)
        self._settings = settings
        self._run = run
        self._clock = run.clock
        self._agenda = run.agenda
        self._instruments = run.instruments
        self._names = [instrument.name for instrument in run.instruments]
        self._multipliers = [instrument.multiplier for instrument in run.instruments]
        self._gridded = [instrument.lot_size > 0 or instrument.tick_size > 0 for instrument in run.instruments]
        self._kinds = [stream.kind for stream in run.streams]
        self._books = {kind: Book(count) for kind in _FINEST_FIRST}
        self._book_of = self._finest_books(run)
        self._single = count == 1
        self._orders: list[Order] = []
        self._fills: list[Fill] = []
        self._power = BuyingPower(settings, run)
        self._commission, self._rates = run.commission.commission, run.commission.rates
        self._slippage, self._slip_rates = run.slippage.slippage, run.slippage.rates
        self._type_names = {spec.component: spec.name for spec in run.order_types()}
        self._rejections: Counter[str] = Counter()
        self._cancellations: Counter[str] = Counter()
        self._expirations: Counter[str] = Counter()
        self._ambiguous = 0
        self._announces = False
        self._has_ended = False
        # The rows known to fill nothing, and the row up to which matching is done.
        self._quiet_block: Block | None = None
        self._quiet_until = 0
        self._seen_block: Block | None = None
        self._seen_view: Any = None
        self._done_block: Block | None = None
        self._done_until = 0
        run.agenda.on(Order, self._receive, Rank.SUBMISSION)
        run.agenda.on(CancelOrder, self._cancel, Rank.SUBMISSION)

    # Orders -----------------------------------------------------------------------------------------

    def submit(
        self,
        code: int,
        side: int,
        quantity: float,
        order_type: OrderType | None = None,
        time_in_force: TimeInForce = _GTC,
        expires_ts: int = -1,
        tag: str = "",
    ) -> Order:
        """Create an order and send it; it arrives before time moves on."""
        leg, name = MARKET_LEG, "market"
        if order_type is not None:
            leg, name = self._expand(order_type)
        orders, now = self._orders, self._clock.now
        order = Order(
            len(orders) + 1,
            code,
            self._names[code],
            side,
            quantity,
            name,
            leg,
            time_in_force,
            expires_ts,
            tag,
            now,
        )
        orders.append(order)
        advance(order, _SUBMITTED, now)
        if self._announces:
            self._announce(order, now)
        self._agenda.pending.append(order)
        return order

    def cancel(self, order: Order, reason: str = "requested") -> None:
        """Ask for an order to be taken off the market; a closed one is left as it is."""
        self._agenda.post(CancelOrder(order, reason))

    def open_orders(self, code: int | None = None) -> Sequence[Order]:
        """Orders sent or resting, oldest first, but for those whose cancellation is on its way."""
        books = enumerate(self._book_of) if code is None else [(code, self._book_of[code])]
        found = [order for at, book in books for order in book.orders[at]]
        if self._agenda.pending:
            sent = [event for event in self._agenda.pending if type(event) is Order]
            leaving = {event.order.id for event in self._agenda.pending if type(event) is CancelOrder}
            found += [order for order in sent if order.is_open and code in (None, order.code)]
            found = [order for order in found if order.id not in leaving]
        return sorted(found, key=lambda order: order.id)

    def _expand(self, order_type: OrderType) -> tuple[Leg, str]:
        legs = order_type.legs()
        name = self._type_names.get(type(order_type), type(order_type).__name__)
        leg = legs[0]
        triggered = leg.trigger == leg.trigger or leg.trail == leg.trail
        if len(legs) != 1 or triggered or leg.side != 1 or leg.ratio != 1:
            raise ConfigError(
                f"Order type {name!r} needs triggers or several legs, which the simulated broker does not match yet: "
                "use a type made of one market or limit leg, of the order's own side and whole quantity."
            )
        return leg, name

    def _receive(self, order: Order) -> None:
        """An order arrives: refuse it with a reason, or let it rest."""
        if order.state is not _SUBMITTED:  # cancelled on its way
            return
        code, now = order.code, self._clock.now
        if self._has_ended:  # in answer to the end of the data; announcing it could go on for ever
            advance(order, _EXPIRED, now, _END_OF_DATA)
            self._expirations[_END_OF_DATA] += 1
            return
        if self._gridded[code]:
            self._snap_to_grid(order)
        reason = self._power.admit(order) if order.quantity > 0 else "zero-quantity"
        if reason:
            self._rejections[reason] += 1
            self._advance(order, _REJECTED, now, reason)
            return
        advance(order, _ACCEPTED, now)
        if self._announces:
            self._announce(order, now)
        self._book_of[code].add(order)
        self._quiet_block = None
        if order.time_in_force is _GTD:
            self._agenda.schedule(
                order.expires_ts, Phase.ORDER_TRAFFIC, lambda: self._expire(order, "good-till-date"), now
            )

    def _snap_to_grid(self, order: Order) -> None:
        """Round the quantity down to whole lots, and the limit to a tick on the safe side."""
        instrument = self._instruments[order.code]
        if instrument.lot_size > 0:
            order.quantity = math.floor(order.quantity / instrument.lot_size + _DUST) * instrument.lot_size
        if instrument.tick_size > 0 and order.leg.limit == order.leg.limit:
            order.leg = order.leg._replace(limit=_to_tick(order.leg.limit, order.side, instrument.tick_size))

    def _cancel(self, request: CancelOrder) -> None:
        if request.order.is_open:
            self._close(request.order, _CANCELLED, request.reason)

    def _expire(self, order: Order, reason: str) -> None:
        if order.is_open:
            self._close(order, _EXPIRED, reason)

    def _close(self, order: Order, state: OrderState, reason: str) -> None:
        """End an order that has not filled to the end."""
        if order.state is not _SUBMITTED:
            self._power.settle(order, order.quantity - order.filled, is_over=True)
            self._book_of[order.code].remove(order)
            self._quiet_block = None
        (self._expirations if state is _EXPIRED else self._cancellations)[reason] += 1
        self._advance(order, state, self._clock.now, reason)

    def _advance(self, order: Order, state: OrderState, now: int, reason: str = "") -> None:
        advance(order, state, now, reason)
        if self._announces:
            self._announce(order, now)

    def _announce(self, order: Order, now: int) -> None:
        self._agenda.post(OrderUpdate(now, order, order.state, order.reason))

    # Rows -------------------------------------------------------------------------------------------

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in self._books

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        block = segment.block
        view = self._seen_view if block is self._seen_block else self._view(block)
        book = view.book
        if not book.resting:
            return stop
        if block is self._done_block and start < self._done_until:
            start = self._done_until
        if block is self._quiet_block and start < self._quiet_until:
            start = self._quiet_until
        if start >= stop:
            return stop
        # What a market order waits for is nearly always the very next row; the oldest came first.
        waits_for_any = self._single and book.unconditional
        if waits_for_any and block.ts.item(start) > book.orders[0][0].accepted_ts and view.trades_at(start):
            return start
        book.summarise()
        row = next_match_nb(
            block.ts,
            block.instrument,
            view.lows,
            view.highs,
            view.positive,
            start,
            stop,
            book.any_price,
            book.buy_limits,
            book.sell_limits,
            book.after,
        )
        self._quiet_block, self._quiet_until = block, row
        return row  # type: ignore[no-any-return]

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        """Match the whole instant that row ``start`` belongs to; its other rows will not be asked for again."""
        block = segment.block
        ts, end = block.ts, start + 1
        now = ts.item(start)
        while end < len(ts) and ts.item(end) == now:
            end += 1
        view = self._seen_view if block is self._seen_block else self._view(block)
        book = view.book
        if end == start + 1:
            candidates = [(start, o) for o in book.orders[block.instrument.item(start)] if o.accepted_ts < now]
        else:
            candidates = self._candidates(segment, book, start, end)
        taken: dict[int, float] = {}
        if len(candidates) > 1:  # a stable sort: those that reduce a position first, then by row and age
            candidates.sort(key=lambda candidate: not self._power.reduces(candidate[1]))
        pending = self._agenda.pending
        for row, order in candidates:
            if pending:  # the ledger must know of one fill before the next order of the instant is paid for
                self._agenda.drain()
            self._match(view, row, order, now, taken)
        self._done_block, self._done_until = block, end
        self._quiet_block = None
        return start + 1

    def _candidates(self, segment: Segment, book: Book, start: int, end: int) -> list[tuple[int, Order]]:
        """Orders that may fill in an instant of several rows, each with its row, in order of row and age."""
        found: list[tuple[int, Order]] = []
        block, row = segment.block, start
        now = block.ts.item(start)
        while row < end:
            found += [(row, o) for o in book.orders[block.instrument.item(row)] if o.accepted_ts < now]
            self._quiet_block = None
            row = self.next_row(segment, row + 1, end)
        return found

    def _match(self, view: MarketView, row: int, order: Order, now: int, taken: dict[int, float]) -> None:
        """Try one order against one row, and book what fills."""
        if order.state.is_terminal:
            return
        limit = order.leg.limit
        opening, extreme, size = view.prices(row, order.side)
        price = match_price(order.side, limit, opening, extreme)
        if price == price:
            if extreme == limit and opening != limit:
                self._ambiguous += 1
            self._execute(view, row, order, price, size, now, taken)
        tif = order.time_in_force
        if (tif is _IOC or tif is _FOK) and order.is_open:
            self._close(order, _CANCELLED, f"{tif.value}-remainder")

    def _execute(
        self, view: MarketView, row: int, order: Order, base: float, size: float, now: int, taken: dict[int, float]
    ) -> None:
        """Settle how much fills and at what price."""
        wanted = quantity = order.quantity - order.filled
        used = taken.get(row, 0.0)
        share = self._settings.participation_limit
        if share is not None and quantity > share * size - used:
            quantity = self._whole_lots(order, share * size - used)
        if quantity <= 0 or (quantity < wanted and order.time_in_force is _FOK):
            return
        price = base
        concession = self._slippage(quantity, base, size, used, view.spread_at(row), self._slip_rates)
        if concession:
            low, high = view.range(row) if self._settings.clip_to_range else (math.nan, math.nan)
            price = concede(order.side, base, concession, order.leg.limit, low, high)
        fee = self._fee(order, quantity, price)
        covered, reason = self._power.covered(order, quantity, price, fee)
        if covered < quantity:
            all_or_nothing = order.time_in_force is _FOK
            covered = 0.0 if all_or_nothing else self._whole_lots(order, covered)
        if covered > 0:
            taken[row] = used + covered
            if covered < quantity:
                fee = self._fee(order, covered, price)
            self._fill(order, covered, price, abs(price - base), fee, now)
        if reason and order.is_open:
            self._close(order, _CANCELLED, reason)

    def _whole_lots(self, order: Order, quantity: float) -> float:
        lot = self._instruments[order.code].lot_size
        return math.floor(quantity / lot + _DUST) * lot if lot > 0 else quantity

    def _fill(self, order: Order, quantity: float, price: float, concession: float, fee: float, now: int) -> None:
        before = order.filled
        total = before + quantity
        if order.quantity - total <= _DUST * order.quantity:
            total = order.quantity
        order.average_price = price if before == 0 else (order.average_price * before + price * quantity) / total
        order.filled = total
        order.commission += fee
        fill = _new(Fill, (now, order, order.code, order.side, quantity, price, fee, concession))
        self._fills.append(fill)
        self._agenda.pending.append(fill)
        is_over = total == order.quantity
        self._power.settle(order, quantity, is_over)
        if is_over:
            advance(order, _FILLED, now)
            if self._announces:
                self._announce(order, now)
            self._book_of[order.code].remove(order)
        else:
            self._advance(order, _PARTIALLY_FILLED, now)

    def _fee(self, order: Order, quantity: float, price: float) -> float:
        """What executing ``quantity`` more at ``price`` adds to the order's commission."""
        total = order.filled + quantity
        average = price if total == quantity else (order.average_price * order.filled + price * quantity) / total
        return self._commission(total, average, self._multipliers[order.code], self._rates) - order.commission

    def _view(self, block: Block) -> MarketView:
        """The block in the words of matching; made once per block, and kept at hand for the one under way."""
        view = block.cache.get(MarketView)
        if view is None:
            kind = self._kinds[block.stream]
            view = MarketView(block, kind, self._books[kind], self._settings.fill_on_zero_volume)
            block.cache[MarketView] = view
        self._seen_block, self._seen_view = block, view
        return view

    def _finest_books(self, run: Run) -> list[Book]:
        """The book of each instrument: that of the finest kind of data there is of it."""
        named = {kind: set[str]() for kind in _FINEST_FIRST}
        for stream in run.streams:
            if stream.kind in named:
                named[stream.kind].update(instrument.name for instrument in stream.instruments)
        return [self._books[next((kind for kind in _FINEST_FIRST if name in named[kind]), BAR)] for name in self._names]

    # Start and end ----------------------------------------------------------------------------------------

    def on_start(self) -> None:
        self._announces = self._agenda.listens(OrderUpdate)

    def on_stop(self) -> None:
        for order in self.open_orders():
            self._expire(order, _END_OF_DATA)
        self._has_ended = True

    def tables(self) -> Mapping[str, Any]:
        from qengine_broker_sim import tables

        return {
            "orders": lambda: tables.orders(self._orders),
            "fills": lambda: tables.fills(self._fills, self._instruments),
        }

    def counts(self) -> Mapping[str, Any]:
        return {
            "orders": len(self._orders),
            "fills": len(self._fills),
            "rejections": dict(sorted(self._rejections.items())),
            "cancellations": dict(sorted(self._cancellations.items())),
            "expirations": dict(sorted(self._expirations.items())),
            "unfilled_at_end": self._expirations[_END_OF_DATA],
            "ambiguous_bars": self._ambiguous,
        }


def _to_tick(price: float, side: int, tick: float) -> float:
    """Round a limit to the grid, towards the safe side: a buy down, a sell up."""
    steps = price / tick
    near = round(steps)
    if abs(steps - near) < 1e-6:
        return near * tick
    return (math.floor(steps) if side > 0 else math.ceil(steps)) * tick
