"""The simulated broker under way: hands orders and rows to the compiled core, and says what came of them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsInt

import numpy as np
import numpy.typing as npt
from qengine_portfolio.native import address, address_of, live
from qengine_portfolio.view import KINDS, grades_of

from qengine_broker_sim import entries
from qengine_broker_sim.board import Board, split_row
from qengine_broker_sim.closing import AtCloses, SessionEnd, Settlement
from qengine_broker_sim.costs import COMMISSION, SLIPPAGE
from qengine_broker_sim.desk import RiskDesk
from qengine_broker_sim.lastrows import LastRows
from qengine_broker_sim.latency import FixedLatencies
from qengine_broker_sim.layout import (
    ACCEPTED,
    BLANK,
    CANCELLED,
    EVENT,
    EXPIRED,
    FILLED,
    FORM,
    HEAD,
    IN_SEQUENCE,
    POWER_CASH,
    POWER_OFF,
    POWER_REG_T,
    QUEUE,
    REASONS,
    REJECTED,
    SHADOW,
    STATES,
    SUBMITTED,
    TIMES_IN_FORCE,
    TRADES,
)
from qengine_broker_sim.lending import LentCore, Slips, not_lendable, takes_slips
from qengine_broker_sim.orders import Interned, OrderTable, SentOrders, SimulatedOrder
from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.participant import Participant
from qengine_core.plugin import (
    MARKET_LEG,
    NAN,
    ConfigError,
    Fill,
    Latency,
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

__all__ = ["AtOnceBroker", "MatchingBroker"]

_GTC, _GTD, _DAY = TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY
_OF_A_SESSION = (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
# What waits for a parent cannot be immediate: these say how the parent is executed, and its children rest.
_OF_AN_ENTRY = (TimeInForce.IOC, TimeInForce.FOK, *_OF_A_SESSION)
_INF = math.inf
_DUST = 1e-9
_NO_GRADE = 1 << 32  # of an instrument that no market data is of
_SHAPES = {"": 0, "amount": 1, "fraction": 2}
_MILLISECOND = 1_000_000
_MINUTE = 60_000_000_000
# Policies of the settings by number, in the order of layout's constants.
_POLICIES = (
    ("timing", "fill_timing", ("next-open", "next-close", "same-close", "at-once")),
    (
        "path",
        "intrabar_path",
        (
            "worst-case",
            "open-high-low-close",
            "open-low-high-close",
            "nearest-extreme-first",
            "reject-ambiguous",
            "drill-down",
        ),
    ),
    ("penetrates", "limit_touch", ("touch", "penetrate", "probability")),
    ("stop_limits", "stop_limit", ("by-path", "by-close", "close-back", "at-trigger")),
    ("trail_mark", "trail_mark", ("extreme", "close")),
    ("trail_start", "trail_start", ("fill", "sent", "entry-close")),
    ("order_of_matching", "matching_order", ("exits-first", "in-turn")),
    (
        "power",
        "buying_power",
        ("off", "cash", "proceeds", "equity", "purchases", "purchases-locked", "reg-t", "percent-margin"),
    ),
    ("admission", "admission", ("reserve", "in-sequence", "at-fill")),
    ("own_share", "participation", ("shared", "each-order")),
    ("opening_only", "slippage_on", ("fill", "opening")),
    ("fee_by_part", "commission_unit", ("order", "part", "request")),
    ("close_order", "close_order", ("as-sent", "by-instrument", "by-value")),
    ("cancels_rest", "close_remainder", ("rests", "cancelled")),
    ("from_close", "distance_from", ("fill", "close")),
    ("exits_wait", "exits_act", ("as-filled", "when-complete")),
    ("ends_together", "groups_end", ("by-fill", "together")),
    ("waits", "mid_bar", ("same-bar", "next-bar")),
)
_MARKET, _LIMIT = 0, 1  # numbers of the names of types
_CANCELLED, _REQUESTED = int(CANCELLED), REASONS.index("requested")
_REDUCE_ONLY = (FORM.names or ()).index("reduce_only")
_YIELDS = (FORM.names or ()).index("yields")
_PLAIN = MARKET_LEG[3:]  # what a market or limit order leaves as it is


class MatchingBroker(Participant):
    """Orders, matching and costs of one run."""

    rank = Rank.MATCHING
    _fills_per_order = 1  # at most, of what is matched at once

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        self._run = run
        self._clock = run.clock
        self._agenda = run.agenda
        self._pending = run.agenda.pending
        self._instruments = run.instruments
        self._books, self._views = _books_of(run)
        self._head = np.zeros(1, HEAD)
        self._sim = address(self._head)
        self._draft = self._head["draft"]
        names = [instrument.name for instrument in run.instruments]
        self._table = OrderTable(self._head, names, with_trades=settings.netting == "trades")
        self._forms = Interned([_form_of(_GTC, MARKET_LEG)])
        self._form_records = np.array([_form_of(_GTC, MARKET_LEG)], FORM)
        self._queues = np.zeros(len(run.instruments), QUEUE)
        self._tops = np.full((len(run.instruments), 5), -1)  # of the heaps of each queue
        self._events = np.zeros(0, EVENT)
        self._type_names = {spec.component: spec.name for spec in run.order_types()}
        self._keep = self._set_up(settings, run)
        self._match_name = "turn" if settings.matching_order == "in-turn" else "match"
        self._match = getattr(entries, self._match_name)
        self._order_count = live(self._head["order_count"])
        self._resting = live(self._head["resting"])
        self._always = live(self._head["always"])
        self._open = live(self._head["open"])
        self._open_trades = live(self._head["open_trades"])  # each of which may be closed by a fill of its own
        self._single = len(run.instruments) == 1
        self._fill_count = live(self._books.head["fill_count"])
        self._seen_block: Block | None = None
        self._sees_sessions = False
        self._view = 0
        self._announces = self._has_ended = False
        self._latency = _latency_of(settings, run)
        fixed = isinstance(self._latency, FixedLatencies)
        self._delays = not fixed or self._latency.entry(0) + self._latency.feed(0) > 0
        self._responds_at_once = fixed and self._latency.response(0) == 0
        self._last_arrival = self._last_response = 0
        self._in_flight: dict[int, None] = {}
        self._day_orders_are_strict = settings.day_orders == "strict"
        self._cancels_on_arrival = settings.cancel_on_arrival
        self._remembers_rows = self._last_rows is not None
        self._replaced: dict[int, tuple[int, float]] = {}  # what a replacement replaces, and had filled when sent
        self._amendments: list[tuple[Any, ...]] = []
        self._fills_at_once = settings.fill_timing in ("same-close", "at-once")
        self._waits_for_others, self._waiting = settings.close_order != "as-sent", list[int]()  # for closes together
        self._at_closes = list(self._watching_closes(settings, run))
        self._counts_open_orders = settings.targets_count_open_orders
        self._desk: RiskDesk | None = None
        self._needs_care = self._is_special = False  # any of these; that, or somebody listens
        self._foresees_tangles = settings.matching_order == "in-turn"  # which knows no paths
        self._settings = settings
        self._interrupts = True  # whoever walks rows when something changes here
        self._slips: Slips | None = None
        self._lent: frozenset[int] = frozenset()  # the streams whose rows somebody else matches
        self._closed_out: dict[int, str] = {}  # the instruments that are traded no more, and why
        # The rows known to fill nothing, and the row up to which matching is done.
        self._quiet_block: Block | None = None
        self._quiet_until = 0
        self._done_block: Block | None = None
        self._done_until = 0

    def _watching_closes(self, settings: SimulatedBroker, run: Run) -> Iterator[AtCloses]:
        """What the settings have happen as sessions close."""
        if settings.session_end != "day-orders":
            yield SessionEnd(run, self.open_orders, self._end_with_its_session, settings.session_end == "cancel-all")
        if settings.settlement_sessions:
            yield Settlement(run, self.open_orders, self._books, settings.settlement_sessions)

    def _set_up(self, settings: SimulatedBroker, run: Run) -> list[Any]:
        """Write the settings where the compiled core reads them; return what must stay where it is."""
        head, rules = self._head[0], self._books.head[0]
        for name, field, known in _POLICIES:
            head[name] = known.index(getattr(settings, field))
        head["books"], head["queues"] = self._books.address, address(self._queues)
        head["forms"] = address(self._form_records)
        head["queue_count"] = len(run.instruments)
        rules["shorts"], rules["settles"] = settings.short_selling, settings.settlement_sessions > 0
        for name, fraction in settings.margins.items():
            head[name] = fraction
        head["leverage"], head["forgets"] = settings.leverage, not settings.trigger_memory
        head["reduces"] = settings.shortfall == "reduce"
        head["limits_stay"], head["limits_bound"] = settings.limit_memory, settings.limit_bounds_slippage
        head["exits_slip"], head["lot_tolerance"] = settings.slippage_on_exits, settings.lot_tolerance
        head["tick_size"], head["tick_tolerance"] = settings.tick_size, settings.tick_tolerance
        lots = self._books.instruments["lot_size"]
        lots[lots == 0.0] = settings.lot_size
        head["zero_volume"], head["clips"] = settings.fill_on_zero_volume, settings.clip_to_range
        head["open_cutoff"], head["close_cutoff"] = settings.open_cutoff * _MINUTE, settings.close_cutoff * _MINUTE
        share = settings.participation_limit
        head["participation"] = _INF if share is None else share
        head["touch_probability"] = settings.touch_probability
        if settings.limit_touch == "probability":
            head["touch_key"] = run.rng("limit-touch").integers(0, 2**64, dtype=np.uint64)
        self._draft[:] = BLANK
        for name in ("first", "last", "token", "also", "ambiguous_on", "instant"):
            self._queues[name] = -1
        self._queues["grade"] = _finest_grades(run)
        self._queues["tops"] = [address(tops) for tops in self._tops]
        shadows = np.full(len(self._books.accounts) * (len(run.instruments) + 1), -1, SHADOW)
        trade_lists = np.full(len(self._books.positions), -1, TRADES)
        head["shadows"], head["trade_lists"] = address(shadows), address(trade_lists)
        kept: list[Any] = [shadows, trade_lists, self._set_up_targets(settings, run)]
        kept += self._compile_for(settings)
        if settings.netting == "trades":  # a fill opens a trade, closes one, or, the last of an order, a part of one
            self._fills_per_order = 3
        self._last_rows = None
        if settings.missing_rows == "retry" and len(run.instruments) > 1:
            self._last_rows = LastRows(len(run.instruments))
            head["last_rows"], head["last_seen"] = self._last_rows.address, self._last_rows.seen_address
        for name, model, signature in (
            ("commission", run.commission, COMMISSION),
            ("slippage", run.slippage, SLIPPAGE),
        ):
            if getattr(model, "is_nothing", False):
                continue
            rates = np.array([*model.rates, 0.0])
            head[name], compiled = address_of(getattr(model, name), *signature)
            head[f"{name}_rates"], head[f"{name}_size"] = address(rates), len(rates) - 1
            kept += [rates, compiled]
        return kept

    def _compile_for(self, settings: SimulatedBroker) -> list[Any]:
        """Say where the functions are that the settings have the core call; return what keeps them there."""
        head, kept, has_places = self._head[0], list[Any](), settings.queue_model != "none"
        needed = {
            "execute": True,
            "by_trade": settings.netting == "trades",
            "arrival": settings.fill_timing in ("same-close", "at-once") or has_places,
            "stand": has_places,
            "by_close": settings.stop_limit != "by-path",
            "judge": head["admission"] == IN_SEQUENCE,
            "cover": head["power"] not in (POWER_OFF, POWER_CASH),
            "margin": head["power"] >= POWER_REG_T,
        }
        for name in [name for name, is_needed in needed.items() if is_needed]:
            head[name], compiled = entries.address_for(name)
            kept.append(compiled)
        return kept

    def _set_up_targets(self, settings: SimulatedBroker, run: Run) -> Any:
        """Write down what the size of targets depends on; return what must stay where it is."""
        head, own_lots = self._head[0], np.array([instrument.lot_size for instrument in run.instruments] or [0.0])
        head["lots"], head["counts_open"] = address(own_lots), settings.targets_count_open_orders
        for name in ("target_reserve", "target_lot", "target_commission"):
            head[name] = getattr(run.ledger, name, 0.0)
        return own_lots

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
        limit: float = NAN,
        account: int = 0,
    ) -> Order:
        """Create an order and send it; of a recipe with several legs, the first leg's is returned."""
        if order_type is None and time_in_force is _GTC and not tag and not account:
            name = _MARKET if limit != limit else _LIMIT
            return SimulatedOrder((self._table, self._send(code, side, quantity, limit, NAN, 0, name, 1)))
        legs: tuple[Leg, ...] = (MARKET_LEG,) if limit != limit else (Leg(limit=limit),)
        name = self._table.types[_MARKET if limit != limit else _LIMIT]
        if order_type is not None:
            legs, name = order_type.legs(), self._type_names.get(type(order_type), type(order_type).__name__)
        number, draft = self._table.types.number(name), self._draft
        leg, is_plain = legs[0], len(legs) == 1 and time_in_force is _GTC and not tag and not account
        if is_plain and leg[3:] == _PLAIN and leg[:2] == (1, 1.0):
            return SimulatedOrder((self._table, self._send(code, side, quantity, leg.limit, NAN, 0, number, 1)))
        try:
            draft["expires_ts"], draft["tag"] = expires_ts, self._table.tags.number(tag)
            draft["account"] = account
            if len(legs) == 1:
                first = self._send_leg(code, side, quantity * leg.ratio, leg, time_in_force, number, True)
            else:
                first = self._send_legs(code, side, quantity, legs, time_in_force, number)
        finally:
            draft[:] = BLANK
        return SimulatedOrder((self._table, first))

    def _send(
        self,
        code: int,
        side: int,
        quantity: float,
        limit: float,
        trigger: float,
        form: int,
        name: int,
        arrives: int,
    ) -> int:
        """One primitive, with what else the draft says of it; return its index."""
        if self._order_count[0] == self._table.room:
            self._table.grow()
        clock = self._clock
        now, block = clock.now, clock.block
        view = self._view if block is self._seen_block else self._see(block)
        if self._is_special:
            return self._send_with_care(view, now, code, side, quantity, limit, trigger, form, name, arrives)
        index: int = entries.submit(
            self._sim, view, clock.position.row, now, code, side, float(quantity), limit, trigger, form, name, arrives
        )
        self._quiet_block = None
        if self._interrupts:
            self._pending.append(None)  # whoever is working through rows must stop: this order may fill on the next
        return index

    def _send_with_care(self, view: int, now: int, *order: Any) -> int:
        """Send an order where more may come of it at once than a record, or where it takes time to arrive."""
        self._make_room()
        if self._fills_at_once:
            self._note_the_market(order[0])
        first = self._fill_count[0]
        asks = self._delays or self._desk is not None or self._has_ended or self._closed_out
        arrives = order[-1] and not asks
        index: int = entries.submit(self._sim, view, self._clock.position.row, now, *order[:-1], arrives)
        for closes in self._at_closes:
            closes.watch(order[0])
        if self._waits_for_others and order[-1] and not (self._delays or self._has_ended):
            self._wait_for_others(index)
        if self._has_ended:
            self._expire_unheard(*([index] if order[-1] else []))  # legs end when all of them are written down
        elif order[-1] and not arrives and self._passes(index):
            if self._delays:
                self._arrive_later(index)
            else:
                entries.arrive(self._sim, view, self._clock.position.row, index, now)
        self._count_from_next_row(first)
        self._announce()
        self._ask_again()
        return index

    def _ask_again(self) -> None:
        """An order has changed: which rows concern somebody is to be found out anew."""
        self._quiet_block = None
        if self._interrupts:
            self._pending.append(None)

    def _expire_unheard(self, *indices: int) -> None:
        """What is sent in answer to the end of the data expires with it; announcing that could go on for ever."""
        for index in indices:
            self._make_room()
            entries.cancel(self._sim, index, int(EXPIRED), self._reason("end-of-data"), self._clock.now)
        self._head["event_count"] = 0

    def _passes(self, *indices: int) -> bool:
        """Whether the risk rules let the orders of a recipe through; if one is refused, all are."""
        ended = self._closed_out.get(self._table.fields["code"][indices[0]], "") if self._closed_out else ""
        reasons = [ended] if ended or self._desk is None else list(map(self._desk.refusal, indices))
        refusal = next(filter(None, reasons), "")
        if refusal:
            for index in reversed(indices):  # children first, lest they end with their parent
                self._announce()
                self._make_room()
                entries.cancel(self._sim, index, int(REJECTED), self._reason(refusal), self._clock.now)
            self._announce()
        elif self._desk is not None:
            for index in filter(self._desk.only_closes, indices):
                self._keep_from_opening(index)
        return not refusal

    def _keep_from_opening(self, index: int) -> None:
        """Let an order that has not arrived yet reduce a position, and nothing else."""
        if not self._foresees_tangles:
            self._foresee_tangles()
        form = list(self._forms[self._table.fields["form"][index]])
        form[_REDUCE_ONLY] = 1
        self._table.fields["form"][index] = self._number_of(tuple(form))

    def _wait_for_others(self, index: int) -> None:
        """Fill an order together with all others of this instant, at its closes; between rows there are none."""
        if not self._clock.is_on_row:
            self._settle(self._clock.block, [index])
            return
        if not self._waiting:
            block, now = self._clock.block, self._clock.now
            self._agenda.schedule(now, Phase.ORDER_TRAFFIC, lambda: self._settle_waiting(block), now)
        self._waiting.append(index)

    def _settle_waiting(self, block: Block) -> None:
        waiting, self._waiting = self._waiting, []
        self._head["is_trading"] = True
        self._settle(block, waiting)

    def _settle(self, block: Block, waiting: Sequence[int]) -> None:
        """Fill orders at the closes of the rows of this instant in ``block``, if there are any."""
        sent, now = np.array(waiting, np.int64), self._clock.now
        row = int(block.ts.searchsorted(now, side="right")) - 1
        self._make_room()
        entries.settle(self._sim, self._see(block), row, now, address(sent), len(sent))
        self._announce()
        self._ask_again()

    def _arrive_later(self, *indices: int) -> None:
        """Let orders of one recipe arrive together, when latency is over."""
        self._in_flight.update(dict.fromkeys(indices))
        self._at_arrival(lambda: self._arrive(indices))

    def _at_arrival(self, action: Callable[[], None]) -> None:
        """Do what is sent now when it arrives: never before what was sent earlier.

        The strategy's clock stands on the row it has seen, and so runs behind the market's by the feed's latency.
        """
        now = self._clock.now
        sent = now + self._latency.feed(now)
        self._last_arrival = max(self._last_arrival, sent + self._latency.entry(sent))
        self._agenda.schedule(self._last_arrival, Phase.ORDER_TRAFFIC, action, now)

    def _note_the_market(self, code: int) -> None:
        """Let the compiled core know whether there is a close to fill at: the row that is being handled has one."""
        self._head["is_trading"] = self._clock.is_on_row

    def _arrive(self, indices: Sequence[int]) -> None:
        clock = self._clock
        if self._fills_at_once:
            self._note_the_market(self._table.fields["code"][indices[0]])
        for index in indices:
            self._in_flight.pop(index, None)
            self._make_room()
            first = self._fill_count[0]
            record = self._table.records[index]
            if self._delays and record["not_before"] >= 0:  # a delay that begins with the arrival
                record["not_before"] += clock.now - record["submitted_ts"]
            if index in self._replaced:
                self._shrink_replacement(index, *self._replaced.pop(index))
            entries.arrive(self._sim, self._see(clock.block), clock.position.row, index, clock.now)
            self._count_from_next_row(first)
            if self._waits_for_others:
                self._wait_for_others(index)
            self._announce()
        self._ask_again()

    def _count_from_next_row(self, first: int) -> None:
        """What an order filled as it arrived between rows is part of the account from the next row on."""
        if self._fill_count[0] > first and not self._clock.is_on_row:
            self._books.fills["row"][first : self._fill_count[0]] += 1

    def _send_leg(
        self, code: int, side: int, quantity: float, leg: Leg, time_in_force: TimeInForce, name: int, arrives: bool
    ) -> int:
        draft = self._draft
        if not self._foresees_tangles and leg[3:] != _PLAIN:
            self._foresee_tangles()
        if leg.time_in_force is not None:
            time_in_force = leg.time_in_force
        elif leg.parent >= 0 and time_in_force in _OF_AN_ENTRY:
            time_in_force = _GTC
        if time_in_force in _OF_A_SESSION and not self._sees_sessions:
            self._sees_sessions, self._seen_block = True, None
        number, expires_ts = self._number_of(_form_of(time_in_force, leg)), int(draft["expires_ts"][0])
        draft["expires_ts"] = expires_ts if time_in_force is _GTD else -1
        draft["trail"], draft["ratio"], draft["mark"] = leg.trail, leg.ratio, leg.mark
        if leg.tag:
            draft["tag"] = self._table.tags.number(leg.tag)
        # The trigger of a trailing order follows from its mark; until that is known it is out of reach.
        trigger = side * leg.side * _INF if leg.trail == leg.trail else leg.trigger
        if leg.delay:
            draft["not_before"] = self._clock.now + leg.delay
        index = self._send(code, side * leg.side, quantity, leg.limit, trigger, number, name, int(arrives))
        draft["not_before"], draft["expires_ts"] = -1, expires_ts
        if time_in_force is _GTD:
            self._expire_at(index, expires_ts, "good-till-date")
        elif time_in_force is _DAY:
            self._end_with_session(index, code)
        return index

    def _foresee_tangles(self) -> None:
        """From now on there may be orders whose outcome depends on the path inside a bar."""
        self._head["tangle"], kept = entries.address_for("tangle")
        self._keep.append(kept)
        self._foresees_tangles = True

    def _number_of(self, form: tuple[float, ...]) -> int:
        """The number of a form, which is written down where it is new."""
        number: int = self._forms.number(form)
        if number == len(self._form_records):
            self._form_records = np.array(list(self._forms), FORM)
            self._head["forms"] = address(self._form_records)
            self._table.times_in_force.append(int(form[0]))
            self._table.reducing.append(bool(form[_REDUCE_ONLY]))
            self._table.yielding.append(bool(form[_YIELDS]))
        return number

    def _send_legs(
        self,
        code: int,
        side: int,
        quantity: float,
        legs: Sequence[Leg],
        time_in_force: TimeInForce,
        name: int,
    ) -> int:
        """Several legs: all are written down and tied together before the first arrives."""
        draft, sent, groups = self._draft, list[int](), dict[int, int]()
        tag, parents = draft["tag"][0], {leg.parent for leg in legs}
        shares = _shares_of(quantity, legs, self._instruments[code].lot_size)
        if not self._head["kin"][0] and any(leg.parent >= 0 or leg.group >= 0 for leg in legs):
            self._head["kin"], kept = entries.address_for("kin")
            self._keep.append(kept)
        for number, (leg, share) in enumerate(shares):
            draft["tag"] = tag
            if not -1 <= leg.parent < number:
                raise ConfigError(f"A leg names leg {leg.parent} as its parent, which does not come before it.")
            draft["kin"] = sent[-1] if sent else -1
            draft["parent"] = sent[leg.parent] if leg.parent >= 0 else -1
            draft["group"] = groups.get(leg.group, -2) if leg.group >= 0 else -1
            draft["tied"] = leg.parent >= 0 or leg.group >= 0 or number in parents
            sent.append(self._send_leg(code, side, share, leg, time_in_force, name, False))
            if leg.group >= 0:
                groups.setdefault(leg.group, sent[-1])
        if self._has_ended:
            self._expire_unheard(*reversed(sent))  # children first, lest they end with their parent
            return sent[0]
        if not self._passes(*sent):
            return sent[0]
        if self._delays:
            self._arrive_later(*sent)
        else:
            self._arrive(sent)
        return sent[0]

    def _expire_at(self, index: int, ts: int, reason: str) -> None:
        """A row at that very time may still fill the order."""
        if self._table.fields["state"][index] in (SUBMITTED, ACCEPTED):
            self._agenda.schedule(ts, Phase.ORDER_TRAFFIC, lambda: self._end(index, EXPIRED, reason), self._clock.now)

    def _end_with_its_session(self, order: Order) -> None:
        self._end(order.id - 1, CANCELLED, "end-of-session")

    def _end_with_session(self, index: int, code: int) -> None:
        """A day order expires when its session closes; if no row has tried it by then, when the next one opens."""
        sent = self._clock.now
        sessions = self._run.sessions(code)
        if self._day_orders_are_strict:
            if self._has_a_price(index):
                self._expire_at(index, sessions.of_row(sent).until_ts, "end-of-session")
            return
        session = sessions.for_order(sent)

        def at_close() -> None:
            if self._has_had_a_row(code, sent):
                self._end(index, EXPIRED, "end-of-session")
            else:  # a bar that is stamped after the close
                self._expire_at(index, session.until_ts, "end-of-session")

        if self._table.fields["state"][index] in (SUBMITTED, ACCEPTED):
            self._agenda.schedule(session.close_ts, Phase.ORDER_TRAFFIC, at_close, sent)

    def _has_a_price(self, index: int) -> bool:
        fields = self._table.fields
        return fields["limit"][index] == fields["limit"][index] or fields["trigger"][index] == fields["trigger"][index]

    def _has_had_a_row(self, code: int, since: int) -> bool:
        """Whether a row of the instrument has come after ``since``, as far as the block under way says."""
        clock = self._clock
        block, stop = clock.block, clock.position.row + 1
        start = int(np.searchsorted(block.ts[:stop], since, side="right"))
        return bool((block.instrument[start:stop] == code).any())

    def cancel(self, order: Order, reason: str = "requested") -> None:
        """Take an order off the market; a closed one is left as it is."""
        assert isinstance(order, SimulatedOrder)
        if not self._is_special and reason == "requested":  # the usual, without detours
            entries.cancel(self._sim, order.place, _CANCELLED, _REQUESTED, self._clock.now)
            self._quiet_block = None
            if self._interrupts:
                self._pending.append(None)
            return
        if not order.is_open or not (self._cancels_on_arrival or order.accepted_ts < self._clock.now):
            return
        if self._delays:
            self._at_arrival(lambda: self._end(order.place, CANCELLED, reason))
        else:
            self._end(order.place, CANCELLED, reason)
            self._ask_again()

    def amend(
        self, order: Order, quantity: float = NAN, limit: float = NAN, trigger: float = NAN, trail: float = NAN
    ) -> str:
        """Ask for an open order to be changed in place; what is NaN stays.

        Returns why that is refused, or nothing; where orders take time to arrive, only ``on_order`` tells.
        """
        assert isinstance(order, SimulatedOrder)
        now, change = self._clock.now, (quantity, limit, trigger, trail)
        if self._desk is not None and order.is_open:
            against = self._desk.refusal(order.place, quantity, limit, trigger)
            if against:
                self._answer(order, now, change, against)
                return against
        if not self._delays:
            return self._amend(order, now, change)

        def arrive() -> None:
            self._amend(order, now, change)

        self._at_arrival(arrive)
        return ""

    def _amend(self, order: SimulatedOrder, sent_ts: int, change: tuple[float, ...]) -> str:
        """Change an order now; say why not, or nothing."""
        clock, before = self._clock, (order.quantity, order.limit, order.trigger)
        view, row, now = self._see(clock.block), clock.position.row, clock.now
        reason: str = self._table.reasons[entries.amend(self._sim, view, row, order.place, now, *change)]
        self._answer(order, sent_ts, change, reason, before)
        self._ask_again()
        return reason

    def _answer(
        self, order: SimulatedOrder, sent_ts: int, change: tuple[float, ...], reason: str, before: Any = None
    ) -> None:
        """Record, and tell, what came of a request to change an order."""
        now, before = self._clock.now, before or (order.quantity, order.limit, order.trigger)
        self._amendments.append((sent_ts, now, order.place, *change, *before, reason))
        if self._announces:
            self._post(OrderUpdate(now, order, order.state, reason, "amendment-refused" if reason else "amended"))

    def replace(self, order: Order, quantity: float, **request: Any) -> Order:
        """Cancel an order and send another on its side in one step; ``quantity`` is what the new one trades.

        ``request`` is as for ``submit``. What the old one still fills until both arrive is taken off the new
        one; if nothing is left of that, the new one is cancelled as ``replaced``. Raises ConfigError for an order
        that is tied to others.
        """
        assert isinstance(order, SimulatedOrder)
        if self._table.fields["tied"][order.place]:
            raise ConfigError(f"Order {order.id} is tied to others, which a new one would not be: amend it instead.")
        filled, was_open = order.filled, order.is_open
        self.cancel(order, "replaced")
        sent = self.submit(order.code, order.side, quantity, account=order.account, **request)
        assert isinstance(sent, SimulatedOrder)
        if not was_open:
            for leg in self._ring(sent.place):
                self._end(leg.place, CANCELLED, "replaced")
        elif self._delays:
            self._replaced.update((leg.place, (order.place, filled)) for leg in self._ring(sent.place))
        return sent

    def _shrink_replacement(self, index: int, old: int, filled: float) -> None:
        """What an order has filled since it was asked to be replaced, its replacement trades no more."""
        records = self._table.records
        left = records[index]["quantity"] - (records[old]["filled"] - filled) * records[index]["ratio"]
        if left > 0 and records[old]["state"] != FILLED:
            records[index]["quantity"] = left
        else:
            self._end(index, CANCELLED, "replaced")

    def split(self, code: int, ratio: float) -> None:
        """Turn each unit of an instrument's open orders into ``ratio`` units. See the role."""
        if self._settings.netting == "trades":
            raise ConfigError("Splits are not for netting = 'trades' yet: adjust the prices in the feed instead.")
        for order in self.open_orders(code, of_rules=True):
            assert isinstance(order, SimulatedOrder)
            form = _split_form(self._forms[self._table.fields["form"][order.place]], ratio)
            if not entries.split(self._sim, order.place, ratio, self._number_of(form)) > 0:
                self._end(order.place, CANCELLED, "split")
            elif self._announces:
                self._post(OrderUpdate(self._clock.now, order, order.state, "", "split"))
        if self._last_rows is not None:
            split_row(self._last_rows.columns, code, ratio)
        self._ask_again()

    def close_out(self, code: int, price: float, reason: str) -> None:
        """End all trading in an instrument: cancel its orders, and close its positions at a price. See the role."""
        self._closed_out[code] = reason
        self._needs_care = self._is_special = True
        for order in self.open_orders(code, of_rules=True):
            assert isinstance(order, SimulatedOrder)
            if order.is_open:
                self._end(order.place, CANCELLED, reason)
        for number, account in enumerate(self._run.ledger.accounts):
            if held := account.quantity(code):
                self._close_at(code, number, held, price, reason)

    def _close_at(self, code: int, account: int, held: float, price: float, reason: str) -> None:
        draft, clock = self._draft, self._clock
        try:
            draft["tag"], draft["account"] = self._table.tags.number(reason), account
            index = self._send_leg(code, -1 if held > 0 else 1, abs(held), MARKET_LEG, _GTC, _MARKET, False)
        finally:
            draft[:] = BLANK
        self._make_room()
        first = self._fill_count[0]
        entries.close_out(self._sim, self._see(clock.block), clock.position.row, index, price, clock.now)
        self._count_from_next_row(first)
        self._announce()

    def lend_core(self, streams: Collection[int]) -> LentCore:
        """Let somebody else match the rows of some streams, in compiled code, before the run starts."""
        self._lent = frozenset(streams)
        forms = tuple(
            self._number_of(_form_of(time_in_force, leg))
            for leg in (MARKET_LEG, Leg(trail_is_percent=True))
            for time_in_force in (_GTC, TimeInForce.IOC, TimeInForce.FOK)
        )
        head = self._head
        head["match"], head["search"] = entries.place_of(self._match_name), entries.place_of("search")
        head["fills_per_order"] = self._fills_per_order
        self._interrupts = False  # nobody has to be asked again: who walks the rows asks the core at each
        if takes_slips(self._settings, head, self._books):
            self._slips = Slips(head, BLANK)
        return LentCore(
            head=head,
            books=self._books,
            table=self._table,
            forms=forms,
            see=self._see,
            make_room=self._make_room,
            announce=self._announce,
            foresee_paths=self._foresee_tangles,
            forget=self._ask_again,
            closed_out=self._closed_out,
            slips=self._slips,
        )

    def not_lendable(self) -> list[str]:
        """What stands against lending the core, in words."""
        return not_lendable(self._settings)

    def legs(self, order: Order) -> Sequence[Order]:
        """All orders that one recipe made, in its order: an entry and its exits, the slices of a schedule."""
        assert isinstance(order, SimulatedOrder)
        return sorted(self._ring(order.place), key=lambda leg: leg.place)

    def _ring(self, index: int) -> list[SimulatedOrder]:
        found, other = [SimulatedOrder((self._table, index))], self._table.fields["kin"][index]
        while other >= 0 and other != index:
            found.append(SimulatedOrder((self._table, other)))
            other = self._table.fields["kin"][other]
        return found

    def open_orders(
        self, code: int | None = None, account: int | None = None, *, of_rules: bool = False
    ) -> Sequence[Order]:
        """Orders that can still fill, oldest first; of one instrument or account, with those of rules or without."""
        if self._slips is not None:
            self._slips.let_rest()
        if not self._open[0]:
            return []
        following, owners = self._table.fields["next"], self._table.fields["account"]
        codes_of, states = self._table.fields["code"], self._table.fields["state"]
        found = [index for index in self._in_flight if states[index] < FILLED and code in (None, codes_of[index])]
        codes = np.flatnonzero(self._queues["count"]).tolist() if code is None else [code]
        for at in codes:
            index = int(self._queues["first"][at])
            while index >= 0:
                found.append(index)
                index = following[index]
        if not of_rules:
            forms, yielding = self._table.fields["form"], self._table.yielding
            found = [index for index in found if not yielding[forms[index]]]
        wanted = sorted(found) if account is None else sorted(index for index in found if owners[index] == account)
        return [SimulatedOrder((self._table, index)) for index in wanted]

    def pending(self, code: int, account: int = 0) -> float:
        """The signed quantity that open orders of an instrument may still trade, but for exits and triggers."""
        return entries.pending(self._sim, account, code) if self._open[0] and self._counts_open_orders else 0.0

    def exposure(
        self, code: int = -1, side: int = 1, quantity: float = 0.0, account: int = 0
    ) -> tuple[float, float, float]:
        """What an account has at work if all that is open fills, and one order more. See the role."""
        view, row = self._see(self._clock.block), self._clock.position.row
        gross, long, short = (
            entries.exposure(self._sim, view, row, account, code, side, float(quantity), which) for which in range(3)
        )
        return gross, long, short

    def rebalance(self, weights: npt.NDArray[np.float64], account: int = 0) -> Sequence[Order] | None:
        """Bring instruments, by code, to fractions of equity in one call; None where each order needs care of its own.

        NaN leaves an instrument as it is. Sales are sent before purchases. Raises ConfigError for one without a price.
        """
        if self._needs_care:
            return None
        count, clock = len(weights), self._clock
        self._table.make_room(count)
        if self._announces:
            self._make_room(count)
        wanted, sent = np.ascontiguousarray(weights, np.float64), np.empty(count, np.int64)
        view, submit = self._see(clock.block), entries.place_of("submit")
        where = (self._sim, view, clock.position.row, clock.now, submit, account)
        number = entries.rebalance(*where, address(wanted), address(sent), count)
        if number < 0:
            name = self._instruments[-1 - number].name
            raise ConfigError(f"{name} has no price yet, so a target in money cannot be sized: wait for its first row.")
        self._announce()
        self._ask_again()
        return SentOrders(self._table, sent[:number])

    def _end(self, index: int, state: SupportsInt, reason: str) -> None:
        """End an order that has not filled to the end."""
        self._in_flight.pop(index, None)
        self._make_room()
        entries.cancel(self._sim, index, int(state), self._reason(reason), self._clock.now)
        self._quiet_block = None
        self._announce()

    def _reason(self, reason: str) -> int:
        return self._table.reasons.number(reason)

    # Rows -------------------------------------------------------------------------------------------

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in KINDS

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        block = segment.block
        if block.stream in self._lent:
            return stop
        if self._remembers_rows:
            return min(stop, max(start, self._done_until if block is self._done_block else start))
        if not self._resting[0]:
            return stop
        if block is self._done_block and start < self._done_until:
            start = self._done_until
        if block is self._quiet_block and start < self._quiet_until:
            start = self._quiet_until
        if start >= stop:
            return stop
        # What a market order waits for is nearly always the very next row; waking in vain changes nothing.
        if self._single and self._always[0]:
            return start
        view = self._view if block is self._seen_block else self._see(block)
        row: int = entries.search(self._sim, view, start, stop)
        self._quiet_block, self._quiet_until = block, row
        return row

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        """Match the whole instant that row ``start`` belongs to; its other rows will not be asked for again."""
        block, books = segment.block, self._books
        fills = (self._open[0] + self._open_trades[0]) * self._fills_per_order
        if self._announces or self._fill_count[0] + fills >= books.room:
            self._make_room()
        view = self._view if block is self._seen_block else self._see(block)
        done = self._match(self._sim, view, start)
        if done < 0:  # many rows of one time
            self._make_room(-done)
            done = self._match(self._sim, view, start)
        self._done_until = done
        self._done_block, self._quiet_block = block, None
        if self._announces:
            self._announce()
        return start + 1

    def _see(self, block: Block) -> int:
        """Where the view of a block is; kept at hand for the one under way."""
        self._seen_block, self._view = block, self._views.of(block).address
        if self._sees_sessions:
            self._views.add_sessions(block)
        return self._view

    def _make_room(self, fills: int = 0) -> None:
        """Room for what may happen at once: every open order may fill (or ``fills`` times in all), and some may end.

        A fill is announced, and the state it leads to, and the end of what is left; any other order may end once.
        """
        count = (self._open[0] + self._open_trades[0] + 1) * self._fills_per_order + fills
        self._books.make_room(count)
        if 4 * count > len(self._events):
            self._events = np.empty(8 * count, EVENT)
            self._head["events"], self._head["event_room"] = address(self._events), len(self._events)

    def _announce(self) -> None:
        """Post what the compiled core says has happened, for those who listen."""
        count = int(self._head["event_count"][0])
        if not count:
            return
        self._head["event_count"] = 0
        for ts, index, number, state, reason in self._events[:count].tolist():
            order = SimulatedOrder((self._table, index))
            event: object
            if number >= 0:
                fill = self._books.fills[number]
                fields = ("code", "side", "quantity", "price", "commission", "slippage")
                event = Fill(ts, order, *(fill[name].item() for name in fields))
            else:
                event = OrderUpdate(ts, order, OrderState(STATES[state]), self._table.reasons[reason])
            self._post(event)

    def _post(self, event: object) -> None:
        """Tell the strategy, when its clock has come to when the message reaches it: in order, and never earlier."""
        if self._responds_at_once:
            self._pending.append(event)
            return
        now = self._clock.now
        heard = now + self._latency.response(now) - self._latency.feed(now)
        self._last_response = max(self._last_response, heard, now)
        self._agenda.schedule(self._last_response, Phase.ORDER_TRAFFIC, partial(self._agenda.post, event), now)

    # Start and end ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        self._announces = self._agenda.listens(OrderUpdate) or self._agenda.listens(Fill)
        self._head["announces"], self._head["starts"] = self._announces, self._clock.now
        run = self._run
        if run.risk or "position_rule" in run.built:
            self._desk = RiskDesk(run, self._table, self._books, self._sim, self._in_flight)
        takes_time = bool(self._closed_out) or self._delays or self._fills_at_once or not self._cancels_on_arrival
        self._needs_care = takes_time or self._desk is not None or bool(self._at_closes)
        self._is_special = self._announces or self._needs_care

    def on_stop(self) -> None:
        for order in self.open_orders(of_rules=True):
            if order.is_open:  # not ended with another
                assert isinstance(order, SimulatedOrder)
                self._end(order.place, EXPIRED, "end-of-data")
        self._has_ended = self._needs_care = self._is_special = True

    def tables(self) -> Mapping[str, Any]:
        from qengine_broker_sim import tables

        return {
            "orders": lambda: tables.orders(self._table, self._written(), self._books.names),
            "fills": lambda: tables.fills(self._books, self._instruments),
            "amendments": lambda: tables.amendments(self._amendments, self._table),
        }

    def _written(self) -> int:
        """How many orders there are; the records of all are written."""
        if self._slips is not None:
            self._slips.write()
        return self._order_count[0]

    def counts(self) -> Mapping[str, Any]:
        ended = self._ended()
        return {
            "orders": self._order_count[0],
            "fills": self._books.fill_count - self._books.split_count,
            "rejections": self._by_reason(ended, REJECTED),
            "cancellations": self._by_reason(ended, CANCELLED),
            "expirations": self._by_reason(ended, EXPIRED),
            "unfilled_at_end": self._by_reason(ended, EXPIRED).get("end-of-data", 0),
            "ambiguous_bars": int(self._queues["ambiguous"].sum()),
            "ambiguous_by_instrument": {
                name: count
                for name, count in zip(self._table.names, self._queues["ambiguous"].tolist(), strict=True)
                if count
            },
            "amendments": len(self._amendments),
            "refused_amendments": dict(sorted(Counter(row[-1] for row in self._amendments if row[-1]).items())),
        }

    def _ended(self) -> Counter[tuple[int, int]]:
        """How many orders have ended otherwise than by filling, by state and reason."""
        found: Counter[tuple[int, int]] = Counter()
        on_slips = range(0) if self._slips is None else self._slips.numbers  # and filled, all of them
        for part in (slice(0, on_slips.start), slice(on_slips.stop, self._order_count[0])):
            records = self._table.records[part]
            records = records[records["state"] > int(FILLED)]
            found.update(zip(records["state"].tolist(), records["reason"].tolist(), strict=True))
        return found

    def _by_reason(self, ended: Counter[tuple[int, int]], state: SupportsInt) -> dict[str, int]:
        return dict(sorted((self._table.reasons[why], count) for (how, why), count in ended.items() if how == state))


def _latency_of(settings: SimulatedBroker, run: Run) -> Latency:
    if settings.latency is not None:
        return settings.latency.build(run)
    legs = (settings.entry_latency, settings.feed_latency, settings.response_latency)
    return FixedLatencies(*(round(leg * _MILLISECOND) for leg in legs))


class AtOnceBroker(MatchingBroker):
    """One that also knows the last price of every instrument, and whether its market is open."""

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        super().__init__(settings, run)
        self._board = Board(len(run.instruments))
        self._head["board"], self._head["board_tokens"] = self._board.address, address(self._board.tokens)

    def end_segment(self, segment: Segment) -> None:
        entries.note(self._sim, self._see(segment.block), segment.stop)

    def split(self, code: int, ratio: float) -> None:
        super().split(code, ratio)
        entries.note(self._sim, self._see(self._clock.block), self._clock.position.row + 1)
        split_row(self._board.columns, code, ratio)

    def _note_the_market(self, code: int) -> None:
        """Let the compiled core know whether an instrument is being traded."""
        now = self._clock.now
        self._head["is_trading"] = self._run.sessions(code).for_order(now).open_ts <= now


def _books_of(run: Run) -> tuple[Any, Any]:
    ledger: Any = run.ledger
    if not hasattr(ledger, "books"):
        raise ConfigError(
            f"The simulated broker books fills in compiled code, and {type(ledger).__name__} keeps no books for that: "
            "choose the ledger 'standard', or one that has qengine_portfolio's Books and Views."
        )
    return ledger.books, ledger.views


def _form_of(time_in_force: TimeInForce, leg: Leg) -> tuple[float, ...]:
    """What an order shares with others of its kind, in the order of the record's fields."""
    return (
        TIMES_IN_FORCE.index(time_in_force.value),
        int(leg.is_touch),
        int(leg.trail_is_percent),
        int(leg.group_reduces),
        int(leg.post_only),
        int(leg.reduce_only),
        int(leg.yields),
        _SHAPES[leg.from_fill],
        leg.display if leg.display == leg.display else _INF,
        leg.participation if leg.participation == leg.participation else _INF,
        leg.limit_offset if leg.limit_offset == leg.limit_offset else NAN,
    )


def _split_form(form: tuple[float, ...], ratio: float) -> tuple[float, ...]:
    """A form whose amounts, of units and of money, have been split."""
    *rest, display, participation, limit_offset = form
    return (*rest, display * ratio, participation, limit_offset / ratio)


def _shares_of(quantity: float, legs: Sequence[Leg], lot: float) -> list[tuple[Leg, float]]:
    """The legs, and what each trades. Legs that share a quantity without being tied lose no lot in rounding."""
    shares = [quantity * leg.ratio for leg in legs]
    if lot <= 0 or any(leg.parent >= 0 or leg.group >= 0 for leg in legs):
        return list(zip(legs, shares, strict=True))
    lots = [math.floor(total / lot + _DUST) for total in itertools.accumulate(shares, initial=0.0)]
    whole = [(leg, (after - before) * lot) for leg, (before, after) in zip(legs, itertools.pairwise(lots), strict=True)]
    return [(leg, share) for leg, share in whole if share > 0] or whole[:1]


def _finest_grades(run: Run) -> list[int]:
    """By instrument: the finest grade of data that there is of it."""
    finest = dict.fromkeys((instrument.name for instrument in run.instruments), _NO_GRADE)
    for stream, grade in zip(run.streams, grades_of(run.streams), strict=True):
        for instrument in stream.instruments if stream.kind in KINDS else ():
            finest[instrument.name] = min(finest[instrument.name], grade)
    return list(finest.values())
