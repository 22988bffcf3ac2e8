"""Keeps the exits of position rules on the market during one run, and renews them as positions change.

Exits are orders like any other, but that they are reduce-only and yield to others; so they are matched
inside the bar by the broker's policies, and can neither open a position nor close one twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs
import numpy as np

from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.participant import Participant
from qengine_core.plugin import (
    BAR,
    NAN,
    ConfigError,
    Fill,
    Leg,
    Order,
    OrderState,
    OrderUpdate,
    Phase,
    PositionView,
    Rank,
)
from qengine_risk.patterns import covers
from qengine_risk.rules import ExitRule, HeldPosition

if TYPE_CHECKING:
    from qengine_core.agenda import Scheduled
    from qengine_core.run import Run

__all__ = ["Guard"]

_KEY = "position-guard"
_GONE, _LEFT = "position-closed", "position-rule"


@attrs.frozen
class _Recipe:
    """An exit of one leg, as an order type."""

    leg: Leg

    def legs(self) -> tuple[Leg, ...]:
        return (self.leg,)


@attrs.define
class _Exit:
    """The exit of one rule from one position: its order once it is sent, or what it still waits for."""

    rule: ExitRule
    order: Order | None = None
    bars_left: int = 0
    timer: Scheduled | None = None

    @property
    def waits(self) -> bool:
        return self.bars_left > 0 or self.timer is not None


@attrs.define
class _Held:
    """A position under guard, of one account."""

    account: int
    code: int
    side: int
    opened_ts: int
    exits: list[_Exit]
    average_price: float = NAN


@attrs.define
class _Count:
    """Where in the block under way an exit that waits for bars falls due (-1: not in it)."""

    held: _Held
    exit: _Exit
    block: Block | None
    first: int
    passed: int = 0
    due: int = -1


class Guard(Participant):
    """Acts after fills and before the strategy decides."""

    rank = Rank.ACCOUNTING

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rules: list[tuple[int | None, ExitRule]] = []  # with the account that a rule is for, if for one
        self._held: dict[tuple[int, int], _Held] = {}  # by account and instrument
        self._counts: list[_Count] = []
        self._bars = _bar_streams(run)
        self._is_over = False
        run.agenda.on(Fill, self._on_fill, self.rank)
        run.agenda.on(OrderUpdate, self._on_order, self.rank)

    @classmethod
    def of(cls, run: Run) -> Guard:
        """The guard of a run, made when it is first asked for."""
        guard = run.built.get(_KEY)
        if guard is None:
            guard = run.built[_KEY] = cls(run)
        assert isinstance(guard, Guard)
        return guard

    def join(self, rule: ExitRule) -> Guard:
        """Keep one rule more: a strategy's for the account that it trades, another one for all."""
        self._rules.append((self._run.account, rule))
        return self

    # Positions --------------------------------------------------------------------------------------

    def _on_fill(self, fill: Fill) -> None:
        if not self._is_over:
            self._follow(fill.order.account, fill.code, fill.ts)

    def _on_order(self, update: OrderUpdate) -> None:
        """Somebody else has taken an exit off the market: put it back, unless the position is gone."""
        held = self._held.get((update.order.account, update.order.code))
        if self._is_over or held is None or update.state is not OrderState.CANCELLED:
            return
        if any(exit.order == update.order for exit in held.exits):
            self._follow(held.account, held.code, update.ts)

    def _follow(self, account: int, code: int, ts: int) -> None:
        """Make the exits of an instrument fit what an account holds of it."""
        position = self._run.ledger.accounts[account].positions[code]
        quantity, held = position.quantity, self._held.get((account, code))
        if held is not None and quantity * held.side <= 0:
            self._let_go(held)
            held = None
        if quantity == 0:
            return
        if held is None:
            held = self._take_up(account, code, 1 if quantity > 0 else -1, ts)
        for exit in held.exits:
            if not exit.waits:
                self._fit(held, exit, position)
        held.average_price = position.average_price

    def _take_up(self, account: int, code: int, side: int, ts: int) -> _Held:
        """Guard a new position: exits that are held back begin to wait."""
        name = self._run.instruments[code].name
        rules = [rule for whose, rule in self._rules if whose in (None, account) and covers(rule.instruments, name)]
        exits = [_Exit(rule) for rule in rules]
        held = self._held[account, code] = _Held(account, code, side, ts, exits)
        for exit in exits:
            after = exit.rule.after(self._view(held, self._position(held), is_new=True))
            if after is not None and after.bars:
                self._count(held, exit, after.bars)
            elif after is not None:
                self._wait(held, exit, after.ts)
        return held

    def _let_go(self, held: _Held) -> None:
        """The position is gone, and with it what would have left it."""
        del self._held[held.account, held.code]
        self._counts = [count for count in self._counts if count.held is not held]
        for exit in held.exits:
            if exit.timer is not None:
                exit.timer.cancel()
            if exit.order is not None and exit.order.is_open:
                self._run.broker.cancel(exit.order, _GONE)

    def _fit(self, held: _Held, exit: _Exit, position: PositionView) -> None:
        """Send an exit, or change the one that rests to the position's quantity and average price."""
        order, quantity = exit.order, abs(position.quantity)
        if order is not None and order.state is OrderState.REJECTED:
            return  # it would be again
        if order is None or not order.is_open:
            leg = exit.rule.leg(self._view(held, position, is_new=order is None))
            self._send(held, exit, leg, quantity)
            return
        wanted = order.filled + quantity if abs(order.remaining - quantity) > 1e-9 * quantity else NAN
        limit = trigger = NAN
        if position.average_price != held.average_price and exit.order is not None:
            leg = exit.rule.leg(self._view(held, position, is_new=True))
            if leg.limit == leg.limit and leg.limit != order.limit:
                limit = leg.limit
            if leg.trigger == leg.trigger and leg.trigger != order.trigger:
                trigger = leg.trigger
        if wanted == wanted or limit == limit or trigger == trigger:
            self._run.broker.amend(order, wanted, limit, trigger)

    def _send(self, held: _Held, exit: _Exit, leg: Leg, quantity: float) -> None:
        leg = leg._replace(reduce_only=True, yields=True, tag=leg.tag or exit.rule.name)
        tif = exit.rule.time_in_force
        exit.order = self._run.broker.submit(held.code, -held.side, quantity, _Recipe(leg), tif, account=held.account)

    def _position(self, held: _Held) -> PositionView:
        return self._run.ledger.accounts[held.account].positions[held.code]

    def _view(self, held: _Held, position: PositionView, *, is_new: bool) -> HeldPosition:
        average, best = position.average_price, position.average_price
        if not is_new:
            mark = self._run.ledger.mark(held.code)
            best = max(best, mark) if held.side > 0 else min(best, mark)
        instrument = self._run.instruments[held.code]
        return HeldPosition(instrument, held.side, abs(position.quantity), average, held.opened_ts, best)

    # Time -------------------------------------------------------------------------------------------

    def _wait(self, held: _Held, exit: _Exit, ts: int) -> None:
        now = self._run.clock.now
        exit.timer = self._run.agenda.schedule(max(ts, now), Phase.TIMER, lambda: self._fall_due(held, exit), now)

    def _count(self, held: _Held, exit: _Exit, bars: int) -> None:
        """Wait until so many bars are over, that of the fill included."""
        if held.code not in self._bars:
            name = self._run.instruments[held.code].name
            raise ConfigError(f"The rule {exit.rule.name!r} counts bars, and {name} has none: give it a duration.")
        clock = self._run.clock
        block, row = clock.block, clock.position.row
        if row < 0 or block.stream != self._bars[held.code]:
            block, row = None, 0  # type: ignore[assignment]
        elif clock.now > block.ts[row]:
            row += 1  # what filled it was heard of late
        exit.bars_left = bars
        self._counts.append(_Count(held, exit, block, row))
        if block is not None:
            self._find(self._counts[-1], block, row)
        self._run.agenda.interrupt()

    def _find(self, count: _Count, block: Block, first: int) -> None:
        """Find the row of a block at which a count is over."""
        rows = np.flatnonzero(block.instrument[first:] == count.held.code)
        left = count.exit.bars_left
        count.block, count.passed = block, len(rows)
        count.due = first + int(rows[left - 1]) if left <= len(rows) else -1

    def _due(self, block: Block) -> Iterator[_Count]:
        """The counts that end in a block."""
        for count in self._counts:
            if self._bars[count.held.code] != block.stream:
                continue
            if count.block is not block:
                count.exit.bars_left -= count.passed
                first = np.searchsorted(block.ts, count.held.opened_ts, side="right") if count.block is None else 0
                self._find(count, block, int(first))
            if count.due >= 0:
                yield count

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind == BAR

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        if not self._counts:
            return stop
        return min((count.due for count in self._due(segment.block) if count.due >= start), default=stop)

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        for count in [count for count in self._due(segment.block) if count.due == start]:
            self._counts.remove(count)
            self._fall_due(count.held, count.exit)
        return start + 1

    def _fall_due(self, held: _Held, exit: _Exit) -> None:
        """The time of an exit has come."""
        exit.bars_left, exit.timer = 0, None
        if self._held.get((held.account, held.code)) is held:
            self._fit(held, exit, self._position(held))

    def on_stop(self) -> None:
        self._is_over = True


def _bar_streams(run: Run) -> dict[int, int]:
    """By instrument, the first stream that has bars of it."""
    found: dict[int, int] = {}
    for number, stream in enumerate(run.streams):
        for instrument in stream.instruments if stream.kind == BAR else ():
            found.setdefault(run.codes[instrument.name], number)
    return found
