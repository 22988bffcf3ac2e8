"""Compiled: what a callback may ask of the broker and the account, and the methods of ``ctx`` that ask it.

Each question is a function that is compiled once and called by its address in the lane, so that strategies stay small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload_attribute, overload_method
from qengine_broker_sim.layout import CANCELLED, EXITS_FIRST, FILLED, NO, REASONS, YES
from qengine_broker_sim.resting import draft_of, head_of, orders_of
from qengine_broker_sim.slips import is_on_slip, make_whole
from qengine_broker_sim.targets import IMPOSSIBLE, NO_PRICE_YET, OF_EQUITY, SUBMIT, UNITS, VALUE
from qengine_portfolio import booking
from qengine_portfolio.native import floats_at, function_at, inner, times_at

from qengine_compiled.lane import ContextType, address_of_lane, lane_at
from qengine_compiled.notes import MOST, note, send_noted
from qengine_compiled.strategy import GTC

__all__ = ["QUESTIONS"]


_I8, _F8 = types.int64, types.float64
_CANCEL = (types.void, (*[_I8] * 5,))
_PENDING = (_F8, (*[_I8] * 3,))
_TARGET = (_I8, (*[_I8] * 8, _F8))
_REBALANCE = (_I8, (*[_I8] * 9,))
_submit_at, _cancel_at, _pending_at = function_at(*SUBMIT), function_at(*_CANCEL), function_at(*_PENDING)
_target_at, _rebalance_at = function_at(*_TARGET), function_at(*_REBALANCE)

_ACCOUNT, _ONE = np.int64(0), np.int64(1)
_REQUESTED = np.int64(REASONS.index("requested"))
_EQUITY, _CASH, _PRICE, _WORKING = (np.int64(number) for number in range(4))


# Questions ------------------------------------------------------------------------------------------------------


@inner
def _check_code(at, code):
    if code < 0 or code >= at.instruments:
        raise ValueError("there is no instrument of that code: codes count from 0, in the order of ctx.instruments")


@inner
def _check_room(sim, at, orders):
    if head_of(sim).order_count + orders > at.room:
        raise ValueError("more orders were sent from one call than there is room for: 4,096, or 4 an instrument")


@inner
def _is_order(at, order):
    """Whether there is an order of that number. If so, it is sent, and its record written."""
    send_noted(at)
    if is_on_slip(at.sim, order):
        make_whole(at.sim, YES)
    return 0 <= order < head_of(at.sim).order_count


def _sending(stamp: str) -> Any:
    def send(lane, code, side, quantity, limit, trigger, trail, by_fraction, time_in_force):
        """Send an order of one leg; return its index."""
        _ = stamp
        at = lane_at(lane)
        send_noted(at)
        _check_code(at, code)
        _check_room(at.sim, at, _ONE)
        if not 0.0 <= quantity <= MOST:
            raise ValueError("the quantity of an order must be a finite number >= 0")
        if limit <= 0.0 or trigger <= 0.0 or trail <= 0.0:
            raise ValueError("the prices of an order must be above 0")
        if time_in_force < 0 or time_in_force > 2:
            raise ValueError("time_in_force is GTC, IOC or FOK")
        has_limit, has_trigger, trails = limit == limit, trigger == trigger, trail == trail
        if trails and (has_limit or has_trigger):
            raise ValueError("a trailing stop has neither limit nor stop")
        head = head_of(at.sim)
        if has_limit and has_trigger and head.tangle == 0 and head.order_of_matching == EXITS_FIRST:
            at.needs_paths = 1
        number, form = 0, times_at(at.forms)[time_in_force]
        if trails:
            number, form = 4, times_at(at.forms)[3 * by_fraction + time_in_force]
            draft_of(at.sim).trail = trail
            trigger = side * np.inf
        elif has_trigger:
            number = 3 if has_limit else 2
        elif has_limit:
            number = 1
        now, name = times_at(at.ts)[at.row], times_at(at.names)[number]
        where = at.sim, at.seen, at.row, now, np.int64(code), np.int64(side)
        index = _submit_at(at.submit, (*where, quantity, limit, trigger, form, name, np.int64(1)))
        draft_of(at.sim).trail = np.nan
        return index

    return send


def _cancelling(stamp: str) -> Any:
    def cancel(lane, order):
        """Take an order off the market; one that is closed is left as it is."""
        _ = stamp
        at = lane_at(lane)
        if not _is_order(at, order):
            raise ValueError("there is no such order")
        _cancel_at(at.cancel, (at.sim, np.int64(order), CANCELLED, _REQUESTED, times_at(at.ts)[at.row]))

    return cancel


def _asking(stamp: str) -> Any:
    def ask(lane, what, code):
        """A figure of the account."""
        _ = stamp
        at = lane_at(lane)
        send_noted(at)
        if what == _WORKING:
            _check_code(at, code)
            if not head_of(at.sim).counts_open:  # as Broker.pending has it
                return 0.0
            make_whole(at.sim, NO)  # what is open on a slip is in no queue
            return _pending_at(at.pending, (at.sim, _ACCOUNT, np.int64(code)))
        booking.mark_up_to(at.books, at.seen, at.row)
        if what == _EQUITY:
            return booking.equity_of(at.books, _ACCOUNT)
        if what == _CASH:
            return booking.cash_of(at.books, _ACCOUNT)
        _check_code(at, code)
        return booking.marks_of(at.books)[code]

    return ask


def _targeting(stamp: str) -> Any:
    def target(lane, code, what, amount):
        """Send what is missing to a target; return the order's index, or -1."""
        _ = stamp
        at = lane_at(lane)
        send_noted(at)
        _check_code(at, code)
        _check_room(at.sim, at, _ONE)
        make_whole(at.sim, NO)  # what is open on a slip is in no queue
        now = times_at(at.ts)[at.row]
        where = at.sim, at.seen, at.row, now, at.submit, _ACCOUNT, np.int64(code)
        index = _target_at(at.target, (*where, np.int64(what), amount))
        if index == NO_PRICE_YET:
            raise ValueError("an instrument has no price yet, so a target in money cannot be sized")
        if index == IMPOSSIBLE:
            raise ValueError("a target must be a finite number")
        return index

    return target


def _rebalancing(stamp: str) -> Any:
    def rebalance(lane, weights, count):
        """Bring instruments to their weights; return how many orders that took."""
        _ = stamp
        at = lane_at(lane)
        send_noted(at)
        if count != at.instruments:
            raise ValueError("weights must be one for each instrument")
        for code in range(count):
            if math.isinf(floats_at(weights)[code]):
                raise ValueError("a weight must be a finite number, or NaN to leave a position as it is")
        _check_room(at.sim, at, count)
        make_whole(at.sim, NO)  # what is open on a slip is in no queue
        now = times_at(at.ts)[at.row]
        where = at.sim, at.seen, at.row, now, at.submit, _ACCOUNT
        sent = _rebalance_at(at.rebalance, (*where, weights, at.sent, np.int64(count)))
        if sent < 0:
            raise ValueError("an instrument has no price yet, so a target in money cannot be sized")
        return sent

    return rebalance


# By the field of the lane that leads to it: what makes the function, and its signature.
QUESTIONS: dict[str, tuple[Callable[[str], Any], Any]] = {
    "send": (_sending, (_I8, (*[_I8] * 3, *[_F8] * 4, _I8, _I8))),
    "end": (_cancelling, (types.void, (_I8, _I8))),
    "ask": (_asking, (_F8, (_I8, _I8, _I8))),
    "aim": (_targeting, (_I8, (_I8, _I8, _I8, _F8))),
    "weigh": (_rebalancing, (_I8, (_I8, _I8, _I8))),
}
_send_at, _end_at, _ask_at, _aim_at, _weigh_at = (function_at(*signature) for _, signature in QUESTIONS.values())


# Methods --------------------------------------------------------------------------------------------------------

_NAN = math.nan


def _order_method(name: str, side: int) -> None:
    @overload_method(ContextType, name)
    def method(ctx, instrument, quantity, limit=_NAN, stop=_NAN, trail=_NAN, trail_fraction=_NAN, time_in_force=GTC):
        said = limit, stop, trail, trail_fraction, time_in_force
        is_plain = all(not isinstance(what, types.Type) or isinstance(what, types.Omitted) for what in said)

        def send(ctx, instrument, quantity, limit=_NAN, stop=_NAN, trail=_NAN, trail_fraction=_NAN, time_in_force=GTC):
            lane = address_of_lane(ctx)
            at = lane_at(lane)
            if is_plain and note(at, instrument, np.int64(side), quantity):
                return head_of(at.sim).order_count
            by_fraction = trail_fraction == trail_fraction
            distance = trail_fraction if by_fraction else trail
            values = float(quantity), float(limit), float(stop), float(distance)
            how = np.int64(by_fraction), np.int64(time_in_force)
            return _send_at(at.send, (lane, np.int64(instrument), np.int64(side), *values, *how))

        return send


_order_method("buy", 1)
_order_method("sell", -1)


@overload_method(ContextType, "cancel")
def _cancel(ctx, order):
    def cancel(ctx, order):
        lane = address_of_lane(ctx)
        _end_at(lane_at(lane).end, (lane, np.int64(order)))

    return cancel


def _target_method(name: str, what: Any) -> None:
    @overload_method(ContextType, name)
    def method(ctx, instrument, amount):
        def aim(ctx, instrument, amount):
            lane = address_of_lane(ctx)
            return _aim_at(lane_at(lane).aim, (lane, np.int64(instrument), what, float(amount)))

        return aim


_target_method("order_target", UNITS)
_target_method("order_target_value", VALUE)
_target_method("order_target_percent", OF_EQUITY)


@overload_method(ContextType, "rebalance")
def _rebalance(ctx, weights):
    def weigh(ctx, weights):
        lane, given = address_of_lane(ctx), np.ascontiguousarray(weights)
        return _weigh_at(lane_at(lane).weigh, (lane, np.int64(given.ctypes.data), np.int64(len(given))))

    return weigh


@overload_method(ContextType, "close")
def _close(ctx, instrument):
    def close(ctx, instrument):
        return ctx.order_target(instrument, 0.0)

    return close


def _figure(name: str, what: Any) -> None:
    @overload_attribute(ContextType, name)
    def attribute(ctx):
        def ask(ctx):
            lane = address_of_lane(ctx)
            return _ask_at(lane_at(lane).ask, (lane, what, np.int64(0)))

        return ask


def _figure_of(name: str, what: Any) -> None:
    @overload_method(ContextType, name)
    def method(ctx, instrument):
        def ask(ctx, instrument):
            lane = address_of_lane(ctx)
            return _ask_at(lane_at(lane).ask, (lane, what, np.int64(instrument)))

        return ask


_figure("equity", _EQUITY)
_figure("cash", _CASH)
_figure_of("price", _PRICE)
_figure_of("pending", _WORKING)


@overload_attribute(ContextType, "now")
def _now(ctx):
    def now(ctx):
        at = lane_at(address_of_lane(ctx))
        return times_at(at.ts)[at.row]

    return now


@overload_method(ContextType, "position")
def _position(ctx, instrument):
    def position(ctx, instrument):
        at = lane_at(address_of_lane(ctx))
        _check_code(at, instrument)
        return booking.positions_of(at.books)[instrument].quantity

    return position


@overload_method(ContextType, "is_open")
def _is_open(ctx, order):
    def is_open(ctx, order):
        at = lane_at(address_of_lane(ctx))
        return _is_order(at, order) and orders_of(at.sim)[order].state < FILLED

    return is_open


@overload_method(ContextType, "filled")
def _filled(ctx, order):
    def filled(ctx, order):
        at = lane_at(address_of_lane(ctx))
        return orders_of(at.sim)[order].filled if _is_order(at, order) else 0.0

    return filled
