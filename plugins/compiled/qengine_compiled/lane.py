"""The memory that a compiled walk works on, and what strategies see of it: the types that numba gives their arguments.

A strategy's callback is compiled by itself: ``self`` is a table of its parameters and memory, ``ctx`` the way to the
broker and the account, ``bar`` (or ``trade``, ``quote``) one row and ``bars`` one timestamp of the data. All four are
addresses; whatever the strategy asks of the broker is a call by address, so that its code is small, and compiled in
a moment. Nothing here knows a strategy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    overload_method,
    register_model,
)
from qengine_portfolio import booking
from qengine_portfolio.books import FILL
from qengine_portfolio.native import carray, codes_at, floats_at, pointer, times_at
from qengine_portfolio.records import record_at

__all__ = ["LANE", "ContextType", "CrossType", "FillType", "RowType", "SelfType", "address_of_lane", "lane_at"]

cgutils: Any = _cgutils

LANE = np.dtype(
    [
        # The broker's core: its memory, and the entry points that the walk and the questions call by address.
        *((name, "i8") for name in ("sim", "books", "match_up_to", "submit", "cancel", "pending", "target")),
        *((name, "i8") for name in ("rebalance", "forms", "names", "sent", "room", "most", "instruments")),
        # The questions that strategies ask by address.
        *((name, "i8") for name in ("send", "end", "ask", "aim", "weigh")),
        # The strategy: what it keeps, and the addresses of its callbacks (0: it has none).
        *((name, "i8") for name in ("memory", "on_row", "on_cross", "on_fill")),
        # The block under way: its columns, and the rows of it that the strategy wants (0: all).
        *((name, "i8") for name in ("seen", "ts", "codes", "columns", "matches", "wanted", "wanted_count", "place")),
        # Of cross-sections: the instant of each wanted row, how many lie before the block's (and are known), and how
        # far back a strategy may look.
        *((name, "i8") for name in ("instants", "past", "known", "depth")),
        # Where the walk is: the row at hand, the fills that have been told.
        *((name, "i8") for name in ("row", "told", "needs_paths", "status")),
        # Whether callbacks may note an order down; the side of the one that is noted (0: none is), and its quantity.
        *((name, "i8") for name in ("notes", "noted")),
        ("noted_quantity", "f8"),
    ]
)


# What the walk and the questions write; all else is set in Python.
_CHANGES = ("place", "row", "told", "status", "needs_paths", "noted", "noted_quantity")
lane_at = record_at("lane", LANE, changes=frozenset(_CHANGES))


@intrinsic
def address_of_lane(_context, ctx):
    """The number that ``ctx`` is."""

    def generate(_context, _builder, _signature, given):
        return given[0]

    return types.int64(ctx), generate


class _Addressed(types.Type):
    """A type that is handed around as one number. ``stamp`` changes when the code behind it does, so that numba's cache
    of a strategy's callback, which has that code compiled into it, is not used beyond its day.
    """

    def __init__(self, stamp: str, *key: Any) -> None:
        self.stamp = stamp
        self.parts = key
        super().__init__(name=f"{type(self).__name__}{(stamp, *key)!r}")


class ContextType(_Addressed):
    """``ctx``: the lane's address."""


class SelfType(_Addressed):
    """``self``: a table of eight bytes a slot. A field is (name, kind, dimensions): kind f, i or b; 0 for a scalar.

    A scalar lies in its slot; of an array the slot has the address, and the slots after it the shape.
    """

    def __init__(self, stamp: str, fields: tuple[tuple[str, str, int], ...]) -> None:
        self.places: dict[str, tuple[int, str, int]] = {}
        place = 0
        for name, kind, dimensions in fields:
            self.places[name] = (place, kind, dimensions)
            place += 1 + dimensions
        super().__init__(stamp, fields)


class RowType(_Addressed):
    """``bar``, ``trade`` or ``quote``: the lane's address and a row. Its columns are known by name."""

    def __init__(self, stamp: str, columns: tuple[str, ...]) -> None:
        self.columns = columns
        super().__init__(stamp, columns)


class FillType(_Addressed):
    """``fill``: the lane's address and the number of a fill."""


class CrossType(_Addressed):
    """``bars``: the lane's address and the number of an instant. Its columns are known by name."""

    def __init__(self, stamp: str, columns: tuple[str, ...]) -> None:
        self.columns = columns
        super().__init__(stamp, columns)


@register_model(ContextType)
@register_model(SelfType)
class _OneNumber(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, ir.IntType(64))


@register_model(RowType)
@register_model(CrossType)
@register_model(FillType)
class _TwoNumbers(models.StructModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, [("lane", types.int64), ("at", types.int64)])


# Attributes ---------------------------------------------------------------------------------------------------

_FILL_BYTES = FILL.itemsize
_KINDS = {"f": types.float64, "i": types.int64, "b": types.boolean}
_ROW = {"ts": types.int64, "code": types.int64, "row": types.int64}


@infer_getattr
class _SelfAttributes(AttributeTemplate):
    key = SelfType

    def generic_resolve(self, of: SelfType, attribute: str) -> types.Type | None:
        if attribute not in of.places:
            return None
        _, kind, dimensions = of.places[attribute]
        return types.Array(_KINDS[kind], dimensions, "C") if dimensions else _KINDS[kind]


@infer_getattr
class _RowAttributes(AttributeTemplate):
    key = RowType

    def generic_resolve(self, of: RowType, attribute: str) -> types.Type | None:
        return types.float64 if attribute in of.columns else _ROW.get(attribute)


@infer_getattr
class _CrossAttributes(AttributeTemplate):
    key = CrossType

    def generic_resolve(self, of: CrossType, attribute: str) -> types.Type | None:
        if attribute in of.columns:
            return types.Array(types.float64, 1, "C", readonly=True)
        return types.int64 if attribute in ("ts", "count") else None


_FILL = {
    **dict.fromkeys(("ts", "order", "code", "side"), types.int64),
    **dict.fromkeys(("quantity", "price", "commission", "slippage"), types.float64),
}


@infer_getattr
class _FillAttributes(AttributeTemplate):
    key = FillType

    def generic_resolve(self, of: FillType, attribute: str) -> types.Type | None:
        return _FILL.get(attribute)


def _slot(builder: Any, base: Any, place: int, of: Any) -> Any:
    where = builder.add(base, ir.Constant(ir.IntType(64), 8 * place))
    return builder.inttoptr(where, of.as_pointer())


@lower_getattr_generic(SelfType)
def _read_field(context: Any, builder: Any, of: SelfType, value: Any, attribute: str) -> Any:
    place, kind, dimensions = of.places[attribute]
    if not dimensions:
        return _read_scalar(builder, value, place, kind)
    result = types.Array(_KINDS[kind], dimensions, "C")
    address = builder.load(_slot(builder, value, place, ir.IntType(64)))
    shape = [builder.load(_slot(builder, value, place + 1 + axis, ir.IntType(64))) for axis in range(dimensions)]
    return _array(context, builder, result, address, shape)


def _read_scalar(builder: Any, base: Any, place: int, kind: str) -> Any:
    if kind == "f":
        return builder.load(_slot(builder, base, place, ir.DoubleType()))
    number = builder.load(_slot(builder, base, place, ir.IntType(64)))
    return number if kind == "i" else builder.icmp_signed("!=", number, ir.Constant(ir.IntType(64), 0))


def _array(context: Any, builder: Any, of: Any, address: Any, shape: list[Any]) -> Any:
    """An array over memory that somebody else keeps."""
    item = ir.Constant(ir.IntType(64), of.dtype.bitwidth // 8 if of.dtype is not types.boolean else 1)
    strides, stride = [item], item
    for length in reversed(shape[1:]):
        stride = builder.mul(stride, length)
        strides.insert(0, stride)
    made = context.make_array(of)(context, builder)
    data = builder.inttoptr(address, context.get_data_type(of.dtype).as_pointer())
    context.populate_array(made, data=data, shape=shape, strides=strides, itemsize=item, meminfo=None)
    return made._getvalue()


@lower_setattr_generic(SelfType)
def _write_field(context: Any, builder: Any, signature: Any, arguments: Any, attribute: str) -> None:
    of, given = signature.args
    base, value = arguments
    place, kind, dimensions = of.places[attribute]
    assert not dimensions, "an array is changed element by element"
    value = context.cast(builder, value, given, _KINDS[kind])
    if kind == "b":
        value = builder.zext(value, ir.IntType(64))
    builder.store(value, _slot(builder, base, place, value.type))


@lower_getattr_generic(RowType)
def _read_cell(context: Any, builder: Any, of: RowType, value: Any, attribute: str) -> Any:
    both = cgutils.create_struct_proxy(of)(context, builder, value=value)
    if attribute == "row":
        return both.at
    if attribute in _ROW:
        read = _time_of if attribute == "ts" else _code_of
        return context.compile_internal(builder, read, types.int64(types.int64, types.int64), (both.lane, both.at))
    place = ir.Constant(ir.IntType(64), of.columns.index(attribute))
    signature = types.float64(types.int64, types.int64, types.int64)
    return context.compile_internal(builder, _cell_of, signature, (both.lane, both.at, place))


@lower_getattr_generic(CrossType)
def _read_cross(context: Any, builder: Any, of: CrossType, value: Any, attribute: str) -> Any:
    both = cgutils.create_struct_proxy(of)(context, builder, value=value)
    if attribute == "count":
        return context.compile_internal(builder, _count_of, types.int64(types.int64), (both.lane,))
    if attribute == "ts":
        return context.compile_internal(builder, _now_of, types.int64(types.int64), (both.lane,))
    place = ir.Constant(ir.IntType(64), of.columns.index(attribute))
    signature = types.int64(types.int64, types.int64, types.int64)
    address = context.compile_internal(builder, _cross_of, signature, (both.lane, both.at, place))
    count = context.compile_internal(builder, _count_of, types.int64(types.int64), (both.lane,))
    return _array(context, builder, types.Array(types.float64, 1, "C", readonly=True), address, [count])


@lower_getattr_generic(FillType)
def _read_fill(context: Any, builder: Any, of: FillType, value: Any, attribute: str) -> Any:
    both = cgutils.create_struct_proxy(of)(context, builder, value=value)
    offset = ir.Constant(ir.IntType(64), int(FILL.fields[attribute][1]))  # type: ignore[index]
    where = context.compile_internal(builder, _fill_at, types.int64(types.int64, types.int64), (both.lane, both.at))
    kind = ir.DoubleType() if _FILL[attribute] is types.float64 else ir.IntType(64)
    return builder.load(builder.inttoptr(builder.add(where, offset), kind.as_pointer()))


def _fill_at(lane, number):
    return booking.head_of(lane_at(lane).books).fills + _FILL_BYTES * number


def _time_of(lane, row):
    return times_at(lane_at(lane).ts)[row]


def _now_of(lane):
    at = lane_at(lane)
    return times_at(at.ts)[at.row]


def _code_of(lane, row):
    return np.int64(codes_at(lane_at(lane).codes)[row])


def _cell_of(lane, row, place):
    return floats_at(times_at(lane_at(lane).columns)[place])[row]


def _count_of(lane):
    return lane_at(lane).instruments


def _cross_of(lane, instant, place):
    at = lane_at(lane)
    return times_at(at.columns)[place] + 8 * (at.past + instant) * at.instruments


@overload_method(CrossType, "history", prefer_literal=True)
def _history(bars, column, length):
    """The last ``length`` instants of a column, as far as they are kept: shape (<= length, instruments)."""
    if not isinstance(column, types.StringLiteral) or column.literal_value not in bars.columns:
        return None
    place = bars.columns.index(column.literal_value)

    def history(bars, column, length):
        lane, instant = numbers_of(bars)
        at = lane_at(lane)
        if length > at.depth:
            raise ValueError("history reaches further back than ctx.subscribe(history=...) in on_start says")
        known = min(length, at.known + instant + 1)
        first = at.past + instant + 1 - known
        address = times_at(at.columns)[place] + 8 * first * at.instruments
        return carray(pointer(address), (known, at.instruments), np.float64)

    return history


@intrinsic
def numbers_of(_context, pair):
    """The two numbers that a row, a fill or a cross-section is."""

    def generate(context, builder, _signature, given):
        both = cgutils.create_struct_proxy(pair)(context, builder, value=given[0])
        return context.make_tuple(builder, types.UniTuple(types.int64, 2), (both.lane, both.at))

    return types.UniTuple(types.int64, 2)(pair), generate
