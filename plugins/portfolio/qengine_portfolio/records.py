"""Single records by address, as compiled code sees them: their fields are read and written where they are.

An element of an array of records cannot be returned from a function without being copied; this can: it is one number.
Of most fields it is known that no compiled code changes them. What such a field says is read once, however much is
written in between; whoever tries to write it in compiled code is refused when that is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    register_model,
)
from numba.np.numpy_support import from_dtype

__all__ = ["record_at"]


class _RecordType(types.Type):
    """A record of a dtype, of which compiled code writes only the fields that ``changes`` names."""

    def __init__(self, name: str, dtype: np.dtype[Any], changes: frozenset[str]) -> None:
        self.dtype, self.changes = dtype, changes
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


@register_model(_RecordType)
class _OneNumber(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, ir.IntType(64))


@infer_getattr
class _Fields(AttributeTemplate):
    key = _RecordType

    def generic_resolve(self, of: _RecordType, attribute: str) -> types.Type | None:
        return of.field(attribute)


def _place(context: Any, builder: Any, of: _RecordType, value: Any, attribute: str) -> Any:
    where = builder.add(value, ir.Constant(ir.IntType(64), of.offset(attribute)))
    return builder.inttoptr(where, context.get_data_type(of.field(attribute)).as_pointer())


@lower_getattr_generic(_RecordType)
def _read(context: Any, builder: Any, of: _RecordType, value: Any, attribute: str) -> Any:
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


def record_at(name: str, dtype: np.dtype[Any], changes: frozenset[str] = frozenset()) -> Any:
    """A function that takes an address for the record there. Compiled code writes the fields that ``changes`` names."""
    record = _RecordType(name, dtype, changes)

    @intrinsic
    def at(_context, _address):
        def generate(_context, _builder, _signature, given):
            return given[0]

        return record(types.int64), generate

    return at
