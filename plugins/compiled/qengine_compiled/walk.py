"""Compiled: the walk over a run of rows. It matches what rests, and calls the strategy for the rows it wants.

It is what the event lane does, one level lower: the same rows are searched, matched and shown, in the same order, by
the same compiled core. Python is needed only to make room, to compile what an order needs, and to tell listeners.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from qengine_broker_sim.layout import HEAR, SAY
from qengine_broker_sim.resting import head_of
from qengine_broker_sim.slips import settle_slip
from qengine_portfolio import booking
from qengine_portfolio.native import function_at, inner, merged, times_at

from qengine_compiled.lane import lane_at
from qengine_compiled.notes import send_noted, send_noted_on_slip

__all__ = ["BROKER", "ORDER_ROOM", "PATHS", "WALK", "WENT", "walking"]

# Why a walk came back: it went to the end, or something is to be done first: what the broker's core says, room for
# orders to be made, paths inside bars to be compiled.
WENT, BROKER, ORDER_ROOM, PATHS = (np.int64(number) for number in range(4))

_I8 = types.int64
WALK = (_I8, (_I8, _I8, _I8))
_ON_ROW = (types.void, (_I8, _I8, _I8, _I8))  # self, ctx, and the two numbers of a row, an instant or a fill
_call_at = function_at(*_ON_ROW)
_advance_at = function_at(_I8, (_I8,) * 4)


@inner
def _next_wanted(at, row, stop):
    """The next row that the strategy is called for, or ``stop``."""
    if at.wanted == 0:
        return row
    wanted = times_at(at.wanted)
    while at.place < at.wanted_count and wanted[at.place] < row:
        at.place += 1
    return min(wanted[at.place], stop) if at.place < at.wanted_count else stop


@inner
def _tell_fills(lane, row):
    """Call the strategy for the fills that it has not heard of, and those that follow from what it does."""
    at = lane_at(lane)
    rules = booking.head_of(at.books)
    while at.told < rules.fill_count:
        number = at.told
        at.told += 1
        at.row = row
        if booking.fills_of(at.books)[number].order >= 0:  # a split is none
            _call_at(at.on_fill, (at.memory, lane, lane, number))


@merged
def _match_up_to(lane, row, stop):
    """Match the rows before ``stop`` that concern resting orders; return a row that Python is needed for, or -1."""
    at, head = lane_at(lane), head_of(lane_at(lane).sim)
    if at.needs_paths:
        at.status = PATHS
        return row
    row = max(row, head.done)
    while head.slip_open and row < stop:
        row = max(row, settle_slip(at.sim, at.seen, row))
    while head.resting and row < stop:
        found = _advance_at(at.match_up_to, (at.sim, at.seen, row, stop))
        if found < 0:
            break
        if head.asks != HEAR:
            at.row, at.status = found, BROKER
            return found
        _tell_fills(lane, found)
    return -1


@merged
def _show(lane, row, stop):
    """Call the strategy for a row, and for those after it while it wants each, sends nothing, and nothing rests.

    Returns the row after the last.
    """
    at, head = lane_at(lane), head_of(lane_at(lane).sim)
    at.row = row
    if at.on_row == 0:
        if at.on_cross:
            _call_at(at.on_cross, (at.memory, lane, lane, times_at(at.instants)[at.place]))
            send_noted(at)
        return row + 1
    if at.wanted or (head.resting and at.matches):
        stop = row + 1
    on_row, memory, count = at.on_row, at.memory, head.order_count
    while True:
        _call_at(on_row, (memory, lane, lane, row))
        send_noted_on_slip(at)
        row += 1
        if row == stop or head.order_count != count or head.event_count:
            return row
        at.row = row


def walking(stamp: str) -> Any:
    def walk(lane, start, stop):
        """Walk rows ``[start, stop)``; return the row to go on from, with the lane's status saying why."""
        _ = stamp
        at = lane_at(lane)
        head, rules = head_of(at.sim), booking.head_of(at.books)
        row, at.status = start, WENT
        while row < stop:
            target = _next_wanted(at, row, stop)
            if head.resting and at.matches:
                found = _match_up_to(lane, row, min(target + 1, stop))
                if found >= 0:
                    return found
            if target >= stop:
                return stop
            if head.order_count + at.most > at.room or rules.fill_count + at.most > rules.fill_room:
                at.row, at.status = target, ORDER_ROOM
                return target
            row = _show(lane, target, stop)
            if at.on_fill and at.told < rules.fill_count:
                _tell_fills(lane, row - 1)
            if head.event_count:
                at.status, head.asks = BROKER, SAY
                return row
        return stop

    return walk
