"""Calls a strategy for the rows it wants, with the clock on the row it sees, and never for others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.clock import Position
from qengine_core.participant import Participant
from qengine_core.plugin import (
    BAR,
    QUOTE,
    SIGNAL,
    TRADE,
    Fill,
    MarginCall,
    OrderUpdate,
    Phase,
    Rank,
)
from qengine_strategy.context import Context
from qengine_strategy.crossing import Levels, Watch
from qengine_strategy.dense import Dense, instant_ends
from qengine_strategy.events import Bar, Event, Quote, Signal, Slice, Trade
from qengine_strategy.interest import CALLBACKS, Interest, interests_of, overrides, refuse_unheard
from qengine_strategy.sessions import SessionWatch
from qengine_strategy.strategy import Strategy
from qengine_strategy.timer import Timer

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["StrategyDriver"]

_EVENTS: dict[str, type[Event]] = {BAR: Bar, TRADE: Trade, QUOTE: Quote, SIGNAL: Signal}

# What resting orders are matched on.
_MATCHED = frozenset({BAR, TRADE, QUOTE})

# References to a cursor that nobody kept: the lane's, a local name and getrefcount's own argument.
_UNSHARED = 3

# Boxing a column pays when more than one row in so many is read.
_SPARSE = 8


class StrategyDriver(Participant):
    """The strategy's seat in the loop."""

    rank = Rank.DECISION

    def __init__(self, strategy: Strategy, run: Run) -> None:
        self.strategy = strategy
        self._name = type(strategy).__name__
        self._run = run
        self._clock = run.clock
        self._agenda = run.agenda
        self._pending = run.agenda.pending
        self._names = tuple(instrument.name for instrument in run.instruments)
        self._kinds = [stream.kind for stream in run.streams]
        self._dense = [Dense(len(self._names)) for _ in run.streams]
        self._interests = interests_of(strategy, Strategy)
        self._lanes: dict[str, _Lane] = {}
        self._lane: Any = _NO_LANE  # of the block under way, if all of its rows are wanted
        self._started = False
        self._account = run.ledger.account_of(run.building)
        self._context = Context(run, self, self._account)
        hears = self._overrides("on_session_open") or self._overrides("on_session_close")
        self._sessions = self._watch_each_calendar() if hears else {}  # by instrument code
        self._watches = tuple(dict.fromkeys(self._sessions.values()))
        self._core: Any = None  # of the broker's, where this matches the rows that it walks
        self._lent: frozenset[int] = frozenset()  # the streams whose rows this matches
        self._walked: Block | None = None
        self._view = 0
        self._levels = Levels(len(self._names))
        self._listen()
        for rule in strategy.position_rules():
            run.add("position_rule", rule, self._account)

    # Interest ---------------------------------------------------------------------------------------

    def _overrides(self, method: str) -> bool:
        return overrides(self.strategy, Strategy, method)

    def _listen(self) -> None:
        strategy = self.strategy
        if self._overrides("on_fill"):
            self._agenda.on(Fill, self._of_its_account("on_fill", strategy.on_fill), self.rank)
        if self._overrides("on_margin_call"):
            self._agenda.on(MarginCall, self._of_its_account("on_margin_call", strategy.on_margin_call), self.rank)
        if self._overrides("on_order"):
            self._agenda.on(OrderUpdate, self._of_its_account("on_order", strategy.on_order), self.rank)

    def _of_its_account(self, method: str, callback: Callable[..., None]) -> Callable[[Any], None]:
        """A handler that passes on what concerns the account that the strategy trades."""
        ctx, account = self._context, self._account
        if len(self._run.ledger.accounts) == 1:
            return lambda event: self._call(method, callback, ctx, event)

        def handle(event: Fill | OrderUpdate | MarginCall) -> None:
            of = event.account if isinstance(event, MarginCall) else event.order.account
            if of == account:
                self._call(method, callback, ctx, event)

        return handle

    def subscribe(
        self,
        kind: str,
        codes: frozenset[int] | None,
        every: int | str | None,
        history: int,
        crossing: bool = False,
    ) -> None:
        """Narrow the interest in one kind of event."""
        if kind not in self._interests:
            refuse_unheard(self.strategy, kind)
        since = self._clock.now if self._started else None
        self._interests[kind] = Interest(self._interests[kind].slices, codes, every, since, crossing)
        self._lane = _NO_LANE
        for dense in self._dense:
            dense.depth = max(dense.depth, history)
        self._agenda.interrupt()

    def watch(self, code: int, above: float, below: float) -> Watch:
        """Wait for a price of an instrument."""
        self._agenda.interrupt()
        return self._levels.add(code, above, below)

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in self._interests or (bool(self._sessions) and stream.kind in CALLBACKS)

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        if segment.block is self._lane.block:  # every row of it is wanted
            return start
        if self._core is not None and self._core.resting[0] and segment.block.stream in self._lent:
            return start  # who walks the rows matches them
        if self._sessions:
            stop = self._session_before(segment.block, start, stop)
        interest = self._interests.get(self._kinds[segment.block.stream])
        if interest is None:
            return stop
        if interest.crossing:
            return self._levels.next_row(segment.block, self._kinds[segment.block.stream], start, stop)
        rows = interest.rows(segment.block)
        if rows is None:
            return start
        place = bisect_left(rows, start)
        return rows[place] if place < len(rows) and rows[place] < stop else stop

    # Delivery ---------------------------------------------------------------------------------------

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        block, lane = segment.block, self._lane
        if self._core is not None and block.stream in self._lent:
            return self._walk(block, start, stop)
        if block is lane.block and stop == start + 1:
            # The usual case while orders are about, without detours. The clock stands on this row already.
            cursor = lane.cursor
            cursor.row = start
            try:
                lane.callback(self._context, cursor)
            except Exception as error:
                self._blame(error, lane.method, block)
                raise
            if getrefcount(cursor) != _UNSHARED:
                lane.renew(start)
            return stop
        kind = self._kinds[block.stream]
        if self._sessions:
            stop = self._watch_sessions(block, start, stop)
            if self._pending:  # what was sent as the session opened arrives before any later row
                stop = start + 1
        interest = self._interests.get(kind)
        if interest is None:
            return start + 1
        try:
            if interest.slices:
                return self._slices(block, interest, start, stop)
            return self._events(block, kind, interest, start, stop)
        except Exception as error:
            self._blame(error, "on_slice" if interest.slices else CALLBACKS[kind], None if interest.slices else block)
            raise

    # Walking with the broker's core ------------------------------------------------------------------------------

    def _borrow_core(self) -> None:
        """Match the rows that this walks, where nobody else looks at them: a step less in the loop for each.

        What a broker lends is not part of its role, and where it has none, or anything stands against it, the loop
        asks everybody as ever.
        """
        run = self._run
        lend = getattr(run.broker, "lend_core", None)
        followed = [number for number, kind in enumerate(self._kinds) if kind in self._interests and kind in _MATCHED]
        others = [p for p in run.participants if p is not self and p is not run.broker and _looks_at_rows(p)]
        watched = any(p.follows(run.streams[number]) for p in others for number in followed)
        shares = len(run.components["strategy"]) > 1 or run.risk or "position_rule" in run.built
        stands_against = not run.takes_over or shares or watched or self._sessions
        if lend is None or not followed or stands_against or run.broker.not_lendable():  # type: ignore[attr-defined]
            return
        self._core, self._lent = lend(followed), frozenset(followed)

    def _walk(self, block: Block, start: int, stop: int) -> int:
        """Rows up to ``stop``: those that concern resting orders matched, those that are wanted handed over."""
        kind = self._kinds[block.stream]
        interest = self._interests[kind]
        if block is not self._walked:
            self._walked, self._view = block, self._core.enter(block)
        try:
            if interest.slices:
                return self._walk_slices(block, interest, start, stop)
            return self._walk_events(block, kind, interest, start, stop)
        except Exception as error:
            if not getattr(error, "__notes__", None):
                self._blame(error, *(("on_slice",) if interest.slices else (CALLBACKS[kind], block)))
            raise

    def _walk_events(self, block: Block, kind: str, interest: Interest, start: int, stop: int) -> int:
        """Rows one by one: the hottest Python of the engine, so it does nothing it could leave out."""
        lane = self._lane_of(block, kind, interest)
        wanted, cursor, callback = lane.wanted, lane.cursor, lane.callback
        ctx, pending, clock = self._context, self._pending, self._clock
        resting, match_up_to, sim, view = self._core.resting, self._core.match_up_to, self._core.sim, self._view
        rows: Any = range(start, stop)
        if interest.crossing:
            target = self._levels.next_row(block, kind, start, stop)
            stop = min(target + 1, stop)
            rows = (target,) if target < stop else ()
        elif wanted is not None:
            rows = wanted[bisect_left(wanted, start) : bisect_left(wanted, stop)]
        row: int = start
        cursor.row = start
        clock.stand_on(block, cursor)
        unshared = getrefcount(cursor)
        for target in rows:
            if resting[0]:
                found = match_up_to(sim, view, row, target + 1)
                if found >= 0 and (found := self._attend(block, found, target + 1)) >= 0:
                    return int(found)
            cursor.row = target
            if interest.crossing:
                self._reached(block, kind, target)
            callback(ctx, cursor)
            if getrefcount(cursor) != unshared:
                # The strategy kept this event. It may: the next row gets a cursor of its own.
                cursor = lane.renew(target)
                clock.stand_on(block, cursor)
            row = target + 1
            if pending:
                return row
        return self._finish(block, row, stop)

    def _walk_slices(self, block: Block, interest: Interest, start: int, stop: int) -> int:
        """Timestamps one by one, each when its last row is at hand."""
        dense = self._dense[block.stream]
        dense.enter(block)
        ends = interest.rows(block)
        assert ends is not None
        rows = ends[bisect_left(ends, start) : bisect_left(ends, stop)]
        instants = instant_ends(block).searchsorted(rows)
        ctx, callback, pending, core, row = self._context, self.strategy.on_slice, self._pending, self._core, start
        for target, index in zip(rows, instants.tolist(), strict=True):
            if core.resting[0]:
                found = core.match_up_to(core.sim, self._view, row, target + 1)
                if found >= 0 and (found := self._attend(block, found, target + 1)) >= 0:
                    return int(found)
            bars = Slice(dense, block, self._names, target, index)
            self._clock.stand_on(block, bars)
            callback(ctx, bars)
            row = target + 1
            if pending:
                return row
        return self._finish(block, row, stop)

    def _finish(self, block: Block, row: int, stop: int) -> int:
        """Match what is left of a run of rows in which nothing more is wanted."""
        core = self._core
        if row < stop and core.resting[0]:
            found = core.match_up_to(core.sim, self._view, row, stop)
            if found >= 0 and (found := self._attend(block, found, stop)) >= 0:
                return int(found)
        return stop

    def _attend(self, block: Block, found: int, stop: int) -> int:
        """Do what the core came back for, and go on to ``stop`` (-1), or to the row where somebody is to hear first."""
        core = self._core
        while found >= 0:
            if core.attend():
                self._clock.stand_on(block, Position(found))
                break
            found = core.match_up_to(core.sim, self._view, found, stop)
        return int(found)

    def _blame(self, error: Exception, method: str, block: Block | None = None) -> None:
        """Note on an error which callback raised it, and over which instrument."""
        about = "" if block is None else f" of {self._names[block.instrument[self._clock.position.row]]}"
        error.add_note(f"Strategy {self._name}, {method}{about}")

    def _events(self, block: Block, kind: str, interest: Interest, start: int, stop: int) -> int:
        """Rows one by one: the hottest Python of the engine, so it does nothing it could leave out."""
        lane = self._lane_of(block, kind, interest)
        wanted, cursor, callback = lane.wanted, lane.cursor, lane.callback
        ctx, pending = self._context, self._pending
        if interest.crossing:
            rows: Any = self._reached(block, kind, start)
            stop = start + 1
        elif wanted is None:
            rows = range(start, stop)
        else:
            rows = wanted[bisect_left(wanted, start) : bisect_left(wanted, stop)]
            if not rows:  # only a session began here; the clock must not follow a cursor that has not moved
                return stop
        self._clock.stand_on(block, cursor)
        unshared = getrefcount(cursor)
        for cursor.row in rows:
            callback(ctx, cursor)
            if getrefcount(cursor) != unshared:
                # The strategy kept this event. It may: the next row gets a cursor of its own.
                cursor = lane.renew(cursor.row)
                self._clock.stand_on(block, cursor)
            if pending:
                return cursor.row + 1
        return stop

    def _reached(self, block: Block, kind: str, row: int) -> Sequence[int]:
        """The row, if it reaches a level; who waited for that waits no more."""
        reached = self._levels.reached(block, kind, row)
        self._levels.forget(reached)
        return (row,) if reached else ()

    def _lane_of(self, block: Block, kind: str, interest: Interest) -> _Lane:
        lane = self._lanes.get(kind)
        if lane is None or lane.block is not block or lane.interest is not interest:
            lane = self._lanes[kind] = _Lane(self.strategy, block, kind, interest, self._names)
            if lane.wanted is None and not self._sessions and not interest.crossing:
                self._lane = lane
        return lane

    def _slices(self, block: Block, interest: Interest, start: int, stop: int) -> int:
        """Timestamps one by one, each when its last row is at hand."""
        dense = self._dense[block.stream]
        dense.enter(block)
        ends = interest.rows(block)
        assert ends is not None
        rows = ends[bisect_left(ends, start) : bisect_left(ends, stop)]
        instants = instant_ends(block).searchsorted(rows)
        ctx, callback, pending = self._context, self.strategy.on_slice, self._pending
        for row, index in zip(rows, instants.tolist(), strict=True):
            bars = Slice(dense, block, self._names, row, index)
            self._clock.stand_on(block, bars)
            callback(ctx, bars)
            if pending:
                return row + 1
        return stop

    def end_segment(self, segment: Segment) -> None:
        """History reaches back over blocks in which nothing was delivered, too."""
        interest = self._interests.get(self._kinds[segment.block.stream])
        if interest is not None and interest.slices:
            self._dense[segment.block.stream].enter(segment.block)

    # Sessions, timers, start and stop ---------------------------------------------------------------

    def _watch_each_calendar(self) -> dict[int, SessionWatch]:
        """Instruments of one calendar share a watch."""
        run, shared = self._run, dict[Any, SessionWatch]()
        for code in range(len(self._names)):
            sessions = run.sessions(code)
            if sessions not in shared:
                shared[sessions] = SessionWatch(run, sessions)
        return {code: shared[run.sessions(code)] for code in range(len(self._names))}

    def _watch_sessions(self, block: Block, start: int, stop: int) -> int:
        """Announce the session that row ``start`` opens, if any; return where the next one opens."""
        watch, ts, kind = self._sessions[block.instrument.item(start)], block.ts.item(start), self._kinds[block.stream]
        if watch.begins(ts, kind):
            self._end_session(watch)
            session = watch.enter(ts, kind)
            close_ts = max(session.close_ts, ts)  # a day's bar may come after the close of its session
            watch.close = self._agenda.schedule(close_ts, Phase.SESSION_CLOSE, lambda: self._end_session(watch), ts)
            self._call("on_session_open", self.strategy.on_session_open, self._context, session)
        return self._session_before(block, start + 1, stop)

    def _session_before(self, block: Block, start: int, stop: int) -> int:
        """The first row in ``[start, stop)`` with which a session opens, or ``stop``."""
        kind = self._kinds[block.stream]
        for watch in self._watches:
            stop = watch.next_change(block, kind, start, stop)
        return stop

    def _end_session(self, watch: SessionWatch) -> None:
        """Announce that a session has closed, if one is under way."""
        session = watch.leave()
        if session is not None:
            self._call("on_session_close", self.strategy.on_session_close, self._context, session)

    def set_timer(self, name: str, ts: int, step: int | None) -> Timer:
        """Schedule ``on_timer``, once or again and again."""
        strategy, ctx = self.strategy, self._context
        return Timer(self._run, ts, step, lambda: self._call("on_timer", strategy.on_timer, ctx, name))

    def on_start(self) -> None:
        self._borrow_core()
        self._call("on_start", self.strategy.on_start, self._context)
        self._started = True

    def on_stop(self) -> None:
        for watch in self._watches:
            self._end_session(watch)
        self._call("on_stop", self.strategy.on_stop, self._context)

    def _call(self, method: str, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception as error:
            error.add_note(f"Strategy {self._name}, {method}")
            raise


def _looks_at_rows(participant: Participant) -> bool:
    return type(participant).next_row is not Participant.next_row


class _Lane:
    """What delivering one kind of event from one block takes, found out once per block."""

    __slots__ = ("_event_class", "_names", "_sparse", "block", "callback", "cursor", "interest", "method", "wanted")

    def __init__(self, strategy: Strategy, block: Block, kind: str, interest: Interest, names: tuple[str, ...]) -> None:
        self.method, self._event_class = CALLBACKS[kind], _EVENTS[kind]
        self.callback: Callable[[Context, Any], None] = getattr(strategy, self.method)
        self.block = block
        self.interest = interest
        self.wanted = interest.rows(block)
        self._names = names
        self._sparse = self.wanted is not None and len(self.wanted) * _SPARSE < len(block)
        self.cursor = self.renew(-1)

    def renew(self, row: int) -> Event:
        """Put a fresh cursor in place of one that somebody else holds now."""
        self.cursor = self._event_class(self.block, self._names, row, self._sparse)
        return self.cursor


class _NoLane:
    """Stands where no block's rows are all wanted."""

    block: Block | None = None


_NO_LANE = _NoLane()
