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
from qengine_broker_sim.matching import concede_nb, match_price_nb, next_match_nb
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
        self._ambiguous = 0
        # The rows known to fill nothing, and the row up to which matching is done.
        self._quiet_block: Block | None = None
        self._quiet_until = 0
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
        time_in_force: TimeInForce = TimeInForce.GTC,
        expires_ts: int = -1,
        tag: str = "",
    ) -> Order:
        """Create an order and send it; it arrives before time moves on."""
        leg, name = MARKET_LEG, "market"
        if order_type is not None:
            leg, name = self._expand(order_type)
        now = self._clock.now
        order = Order(
            len(self._orders) + 1,
            code,
            self._instruments[code].name,
            side,
            quantity,
            name,
            leg,
            time_in_force,
            expires_ts,
            tag,
            now,
        )
        self._orders.append(order)
        self._advance(order, OrderState.SUBMITTED)
        self._agenda.post(order)
        return order

    def cancel(self, order: Order, reason: str = "requested") -> None:
        """Ask for an order to be taken off the market; a closed one is left as it is."""
        self._agenda.post(CancelOrder(order, reason))

    def open_orders(self, code: int | None = None) -> Sequence[Order]:
        """Orders sent or resting, oldest first."""
        resting = [
            order for at, book in enumerate(self._book_of) if code is None or at == code for order in book.orders[at]
        ]
        waiting = [o for o in self._agenda.pending if type(o) is Order and o.is_open and code in (None, o.code)]
        return sorted(resting + waiting, key=lambda order: order.id)

    def _expand(self, order_type: OrderType) -> tuple[Leg, str]:
        legs = order_type.legs()
        name = self._type_names.get(type(order_type), type(order_type).__name__)
        leg = legs[0]
        if len(legs) != 1 or leg.trigger == leg.trigger or leg.trail == leg.trail or leg.side != 1:
            raise ConfigError(
                f"Order type {name!r} needs triggers or several legs, which the simulated broker does not match yet: "
                "use a type made of one market or limit leg."
            )
        return leg, name

    def _receive(self, order: Order) -> None:
        """An order arrives: refuse it with a reason, or let it rest."""
        if not order.is_open:  # cancelled on its way
            return
        instrument = self._instruments[order.code]
        if instrument.lot_size > 0:
            lots = math.floor(order.quantity / instrument.lot_size + _DUST)
            order.quantity = lots * instrument.lot_size
        if instrument.tick_size > 0 and order.leg.limit == order.leg.limit:
            order.leg = order.leg._replace(limit=_to_tick(order.leg.limit, order.side, instrument.tick_size))
        reason = "zero-quantity" if order.quantity <= 0 else self._power.refusal(order)
        if reason:
            self._rejections[reason] += 1
            self._advance(order, OrderState.REJECTED, reason)
            return
        self._advance(order, OrderState.ACCEPTED)
        self._power.reserve(order)
        self._book_of[order.code].add(order)
        self._quiet_block = None
        if order.time_in_force is TimeInForce.GTD:
            self._agenda.schedule(
                order.expires_ts, Phase.ORDER_TRAFFIC, lambda: self._expire(order, "good-till-date"), self._clock.now
            )

    def _cancel(self, request: CancelOrder) -> None:
        if request.order.is_open:
            self._close(request.order, OrderState.CANCELLED, request.reason)

    def _expire(self, order: Order, reason: str) -> None:
        if order.is_open:
            self._close(order, OrderState.EXPIRED, reason)

    def _close(self, order: Order, state: OrderState, reason: str) -> None:
        """End an order that has not filled to the end."""
        was_resting = order.state is not OrderState.SUBMITTED
        self._advance(order, state, reason)
        if was_resting:
            self._power.release(order)
            self._book_of[order.code].remove(order)
            self._quiet_block = None

    def _advance(self, order: Order, state: OrderState, reason: str = "") -> None:
        now = self._clock.now
        advance(order, state, now, reason)
        if self._agenda.listens(OrderUpdate):
            self._agenda.post(OrderUpdate(now, order, state, reason))

    # Rows -------------------------------------------------------------------------------------------

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in self._books

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        block = segment.block
        book = self._books[self._kinds[block.stream]]
        if not book.resting:
            return stop
        if block is self._done_block and start < self._done_until:
            start = self._done_until
        if block is self._quiet_block and start < self._quiet_until:
            start = self._quiet_until
        if start >= stop:
            return stop
        view = self._view(block)
        if self._single and book.any_price[0]:
            # What a market order waits for is nearly always the very next row.
            positive = view.positive
            if block.ts.item(start) > book.after.item(0) and (not len(positive) or positive.item(start) > 0):
                return start
        row = int(
            next_match_nb(
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
        )
        self._quiet_block, self._quiet_until = block, row
        return row

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        """Match the whole instant that row ``start`` belongs to; its other rows will not be asked for again."""
        block = segment.block
        ts, end = block.ts, start + 1
        if end < len(ts) and ts.item(end) == ts.item(start):
            now = ts.item(start)
            while end < len(ts) and ts.item(end) == now:
                end += 1
        book, view = self._books[self._kinds[block.stream]], self._view(block)
        taken: dict[int, float] = {}
        candidates = self._candidates(block, book, segment, start, end)
        self._done_block, self._done_until = block, end
        if len(candidates) == 1:
            self._match(view, *candidates[0], taken)
        else:
            entries = [c for c in candidates if not self._power.reduces(c[1])]
            for row, order in candidates:
                if self._power.reduces(order):
                    self._match(view, row, order, taken)
            for row, order in entries:
                self._match(view, row, order, taken)
        self._quiet_block = None
        return start + 1

    def _candidates(self, block: Block, book: Book, segment: Segment, start: int, end: int) -> list[tuple[int, Order]]:
        """Orders that may fill in an instant, each with the row it may fill on, in order of row and age."""
        found: list[tuple[int, Order]] = []
        row = start
        while row < end:
            now = block.ts.item(row)
            code = block.instrument.item(row)
            found += [(row, order) for order in book.orders[code] if order.accepted_ts < now]
            row += 1
            if row < end:
                row = self._scan_instant(segment, row, end)
        return found

    def _scan_instant(self, segment: Segment, row: int, end: int) -> int:
        self._quiet_block = None
        return self.next_row(segment, row, end)

    def _match(self, view: MarketView, row: int, order: Order, taken: dict[int, float]) -> None:
        """Try one order against one row, and book what fills."""
        if not order.is_open:
            return
        side, limit = order.side, order.leg.limit
        opening, extreme = view.prices(row, side)
        price = match_price_nb(side, limit, opening, extreme)
        filled = 0.0
        if price == price:
            if extreme == limit and opening != limit:
                self._ambiguous += 1
            filled = self._execute(view, row, order, price, taken)
        if order.is_open and order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self._close(order, OrderState.CANCELLED, f"{order.time_in_force.value}-remainder")
        elif filled and order.is_open:
            self._power.reserve(order)

    def _execute(self, view: MarketView, row: int, order: Order, base: float, taken: dict[int, float]) -> float:
        """Settle how much fills and at what price; return the quantity filled."""
        side, code, settings = order.side, order.code, self._settings
        instrument = self._instruments[code]
        quantity, size = order.quantity - order.filled, view.size(row, side)
        used = taken.get(row, 0.0)
        if settings.participation_limit is not None:
            quantity = min(quantity, max(0.0, settings.participation_limit * size - used))
            if instrument.lot_size > 0 and quantity < order.remaining:
                quantity = math.floor(quantity / instrument.lot_size + _DUST) * instrument.lot_size
        if quantity <= 0 or (order.time_in_force is TimeInForce.FOK and quantity < order.remaining):
            return 0.0
        concession = self._slippage(quantity, base, size, used, view.spread_at(row), self._slip_rates)
        low, high = view.range(row) if settings.clip_to_range else (math.nan, math.nan)
        price = concede_nb(side, base, concession, order.leg.limit, low, high)
        covered, reason = self._power.covered(order, quantity, price, self._fee)
        if covered < quantity and instrument.lot_size > 0:
            covered = math.floor(covered / instrument.lot_size + _DUST) * instrument.lot_size
        if covered > 0:
            taken[row] = used + covered
            self._fill(order, covered, price, abs(price - base), instrument.multiplier)
        if reason and order.is_open:
            self._rejections[reason] += 1
            self._close(order, OrderState.CANCELLED, reason)
        return covered

    def _fill(self, order: Order, quantity: float, price: float, concession: float, multiplier: float) -> None:
        total = order.filled + quantity
        if order.quantity - total <= _DUST * order.quantity:
            total = order.quantity
        fee = self._fee(order, quantity, price)
        order.average_price = (order.average_price * order.filled + price * quantity) / (order.filled + quantity)
        order.filled = total
        order.commission += fee
        fill = Fill(self._clock.now, order, order.code, order.side, quantity, price, fee, concession)
        self._fills.append(fill)
        self._agenda.post(fill)
        if total == order.quantity:
            self._advance(order, OrderState.FILLED)
            self._power.release(order)
            self._book_of[order.code].remove(order)
        else:
            self._advance(order, OrderState.PARTIALLY_FILLED)
        self._agenda.drain()  # the ledger must know before the next order of this instant is paid for

    def _fee(self, order: Order, quantity: float, price: float) -> float:
        """What executing ``quantity`` more at ``price`` adds to the order's commission."""
        total = order.filled + quantity
        average = (order.average_price * order.filled + price * quantity) / total
        multiplier = self._instruments[order.code].multiplier
        return self._commission(total, average, multiplier, self._rates) - order.commission

    def _view(self, block: Block) -> MarketView:
        view = block.cache.get(MarketView)
        if view is None:
            kind = self._kinds[block.stream]
            view = block.cache[MarketView] = MarketView(block, kind, self._settings.fill_on_zero_volume)
        return view  # type: ignore[no-any-return]

    def _finest_books(self, run: Run) -> list[Book]:
        """The book of each instrument: that of the finest kind of data there is of it."""
        kinds = [
            {stream.kind for stream in run.streams if instrument in stream.instruments}
            for instrument in run.instruments
        ]
        return [self._books[next((kind for kind in _FINEST_FIRST if kind in known), BAR)] for known in kinds]

    # The end ----------------------------------------------------------------------------------------

    def on_stop(self) -> None:
        for order in self.open_orders():
            self._expire(order, "end-of-data")

    def tables(self) -> Mapping[str, Any]:
        from qengine_broker_sim import tables

        return {
            "orders": lambda: tables.orders(self._orders),
            "fills": lambda: tables.fills(self._fills, self._instruments),
        }

    def counts(self) -> Mapping[str, Any]:
        unfilled = sum(order.reason == "end-of-data" for order in self._orders)
        return {
            "orders": len(self._orders),
            "fills": len(self._fills),
            "rejections": dict(sorted(self._rejections.items())),
            "unfilled_at_end": unfilled,
            "ambiguous_bars": self._ambiguous,
        }


def _to_tick(price: float, side: int, tick: float) -> float:
    """Round a limit to the grid, towards the safe side: a buy down, a sell up."""
    steps = price / tick
    near = round(steps)
    if abs(steps - near) < 1e-6:
        return near * tick
    return (math.floor(steps) if side > 0 else math.ceil(steps)) * tick
