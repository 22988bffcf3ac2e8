"""Columns and records by address, as compiled code sees them: one number, whose elements and fields are where they are.

Numba's own arrays know their shape, count from the end where an index is below zero, and give a copy of a record that a
function returns. These do none of it: an index is taken as it is, and must be right. Of most fields of records it
is known that no compiled code changes them. What such a field says is read once, however much is written in
between; whoever tries to write it in compiled code is refused when that is compiled.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    register_model,
    type_callable,
)
from numba.np.numpy_support import from_dtype

__all__ = ["column_at", "place_of", "record_at", "records_at"]

cgutils: Any = _cgutils
_I64 = ir.IntType(64)


class _RecordType(types.Type):
    """A record of a dtype, of which compiled code writes only the fields that ``changes`` names.

    Where all others are known, ``known`` is a record that has their values.
    """

    def __init__(self, name: str, dtype: np.dtype[Any], changes: frozenset[str], known: Any = None) -> None:
        self.dtype, self.changes, self.known = dtype, changes, known
        unknown = changes - set(dtype.names or ())
        if unknown:
            raise ValueError(f"{name} has no fields {sorted(unknown)}.")
        super().__init__(name=f"record_at({name})")

    def field(self, name: str) -> types.Type | None:
        """The type of a field; None where there is none, or where it is a record itself."""
        fields: Any = self.dtype.fields or {}
        return from_dtype(fields[name][0]) if name in fields and fields[name][0].names is None else None

    def offset(self, name: str) -> int:
        fields: Any = self.dtype.fields
        return int(fields[name][1])


class _ColumnType(types.Type):
    """Numbers of one type, or records, one after another."""

    def __init__(self, element: types.Type, size: int) -> None:
        self.element, self.size = element, size
        super().__init__(name=f"column_at({element})")


@register_model(_RecordType)
@register_model(_ColumnType)
class _OneNumber(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, _I64)


# Fields -------------------------------------------------------------------------------------------------------


@infer_getattr
class _Fields(AttributeTemplate):
    key = _RecordType

    def generic_resolve(self, of: _RecordType, attribute: str) -> types.Type | None:
        return of.field(attribute)


def _pointer(context: Any, builder: Any, address: Any, of: types.Type | None) -> Any:
    return builder.inttoptr(address, context.get_data_type(of).as_pointer())


def _place(context: Any, builder: Any, of: _RecordType, value: Any, attribute: str) -> Any:
    where = builder.add(value, ir.Constant(_I64, of.offset(attribute)))
    return _pointer(context, builder, where, of.field(attribute))


@lower_getattr_generic(_RecordType)
def _read(context: Any, builder: Any, of: _RecordType, value: Any, attribute: str) -> Any:
    if of.known is not None and attribute not in of.changes:
        return context.get_constant(of.field(attribute), of.known[attribute].item())
    found = builder.load(_place(context, builder, of, value, attribute))
    if attribute not in of.changes:
        found.set_metadata("invariant.load", builder.module.add_metadata([]))
    return found


@lower_setattr_generic(_RecordType)
def _write(context: Any, builder: Any, signature: Any, arguments: Any, attribute: str) -> None:
    of, given = signature.args
    base, value = arguments
    if attribute not in of.changes:
        raise TypeError(f"Compiled code writes {attribute} of {of}, which is said not to change.")
    value = context.cast(builder, value, given, of.field(attribute))
    builder.store(value, _place(context, builder, of, base, attribute))


# Elements -----------------------------------------------------------------------------------------------------


@type_callable(operator.getitem)
def _element(_context):
    def typer(column, index):
        return column.element if isinstance(column, _ColumnType) and isinstance(index, types.Integer) else None

    return typer


@type_callable(operator.setitem)
def _no_element(_context):
    def typer(column, index, value):
        if not isinstance(column, _ColumnType) or not isinstance(index, types.Integer):
            return None
        is_number = isinstance(value, types.Number | types.Boolean) and isinstance(column.element, types.Number)
        return types.none if value == column.element or is_number else None

    return typer


def _where(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """A pointer to an element. It is counted from that to the first: so loops over rows are seen to be such."""
    column, given = signature.args[:2]
    index, element = context.cast(builder, arguments[1], given, types.int64), column.element
    if not isinstance(element, _RecordType):
        return builder.gep(_pointer(context, builder, arguments[0], element), [index])
    start = builder.inttoptr(arguments[0], cgutils.voidptr_t)
    return builder.gep(start, [builder.mul(index, ir.Constant(_I64, column.size))])


@lower_builtin(operator.getitem, _ColumnType, types.Integer)
def _get(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    where = _where(context, builder, signature, arguments)
    is_record = isinstance(signature.args[0].element, _RecordType)
    return builder.ptrtoint(where, _I64) if is_record else builder.load(where)


@lower_builtin(operator.setitem, _ColumnType, types.Integer, types.Any)
def _set(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    where, (column, _, given) = _where(context, builder, signature, arguments), signature.args
    if isinstance(column.element, _RecordType):
        source = builder.inttoptr(arguments[2], cgutils.voidptr_t)
        cgutils.raw_memcpy(builder, where, source, ir.Constant(_I64, column.size), 1)
    else:
        builder.store(context.cast(builder, arguments[2], given, column.element), where)
    return context.get_dummy_value()


def _from_address(of: types.Type) -> Any:
    """A function of compiled code that takes an address for what is there."""

    @intrinsic
    def at(_context, _address):
        def generate(_context, _builder, _signature, given):
            return given[0]

        return of(types.int64), generate

    return at


@intrinsic
def place_of(_context, record):
    """The address of a record, in compiled code."""

    def generate(_context, _builder, _signature, given):
        return given[0]

    return types.int64(record), generate


def record_at(name: str, dtype: np.dtype[Any], changes: frozenset[str] = frozenset(), known: Any = None) -> Any:
    """What takes an address for the record there. Compiled code writes the fields that ``changes`` names.

    ``known`` is a record that all others agree with: what asks for them is compiled as if it said their values.
    """
    return _from_address(_RecordType(name, dtype, changes, known))


def records_at(name: str, dtype: np.dtype[Any], changes: frozenset[str] | None = None) -> Any:
    """What takes an address for that of the first of several records. Without ``changes``, all fields may change."""
    record = _RecordType(name, dtype, frozenset(dtype.names or ()) if changes is None else changes)
    return _from_address(_ColumnType(record, dtype.itemsize))


def column_at(element: Any) -> Any:
    """What takes an address for that of the first of several numbers of a type, as ``int64``."""
    return _from_address(_ColumnType(element, element.bitwidth // 8))
