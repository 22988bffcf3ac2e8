"""Compiles a strategy's callbacks, each by itself, and keeps them on disk beside its source."""

from __future__ import annotations

import functools
import re
import types as pytypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numba import njit, types
from qengine_broker_sim import entries
from qengine_broker_sim.progress import making
from qengine_portfolio import native
from qengine_portfolio.native import pointer_to, stamp_of

from qengine_compiled import calls, lane, notes, walk
from qengine_compiled.calls import QUESTIONS
from qengine_compiled.lane import ContextType, CrossType, FillType, RowType, SelfType
from qengine_compiled.walk import WALK, walking
from qengine_core.plugin import ConfigError

__all__ = ["Memory", "compile_callback", "compile_questions", "compile_walk", "names_in"]

STAMP = entries.STAMP[:12] + stamp_of(calls, lane, native, notes, walk)[:12]
_KINDS = {"f": np.float64, "i": np.int64, "b": np.bool_}


def names_in(code: pytypes.CodeType) -> set[str]:
    """Every name and text in a function, and in those inside it."""
    found = set(code.co_names) | {constant for constant in code.co_consts if isinstance(constant, str)}
    for constant in code.co_consts:
        if isinstance(constant, pytypes.CodeType):
            found |= names_in(constant)
    return found


class Memory:
    """What ``self`` is in compiled code: a table of the numbers and arrays that an object has."""

    def __init__(self, owner: Any) -> None:
        values = {name: value for name, value in vars(owner).items() if _kind_of(value)}
        self.fields = tuple((name, _kind_of(value), np.ndim(value)) for name, value in values.items())
        self.type = SelfType(STAMP, self.fields)
        self._owner = owner
        self._arrays: dict[str, Any] = {}
        self._table = np.zeros(sum(1 + dimensions for _, _, dimensions in self.fields) + 1, np.int64)
        self.read()
        self.address = native.address(self._table)

    def read(self) -> None:
        """Take over what the object has now: numbers, and arrays, which may be other ones of as many dimensions."""
        for name, kind, dimensions in self.fields:
            value, place = getattr(self._owner, name), self.type.places[name][0]
            if dimensions:
                array = self._arrays[name] = np.require(value, _KINDS[kind], ["C", "W", "O"])
                if array.ndim != dimensions:
                    raise ConfigError(f"self.{name} was an array of {dimensions} dimensions, and now has {array.ndim}.")
                setattr(self._owner, name, array)
                self._table[place] = native.address(array)
                self._table[place + 1 : place + 1 + dimensions] = array.shape
            else:
                self._table[place : place + 1].view(np.float64 if kind == "f" else np.int64)[0] = value

    def write_back(self) -> None:
        """Give the object the numbers that compiled code has left. Its arrays are the same ones."""
        for name, kind, dimensions in self.fields:
            place = self.type.places[name][0]
            if not dimensions:
                slot = self._table[place : place + 1]
                value = slot.view(np.float64).item() if kind == "f" else slot.item()
                setattr(self._owner, name, bool(value) if kind == "b" else value)


def _kind_of(value: Any) -> str:
    """f, i or b; empty for what compiled code does not see."""
    if isinstance(value, (bool, np.bool_)):
        return "b"
    if isinstance(value, (int, np.integer)):
        return "i"
    if isinstance(value, (float, np.floating)):
        return "f"
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "fiub":
        return "i" if value.dtype.kind == "u" else value.dtype.kind
    return ""


def compile_callback(owner: Any, method: str, memory: Memory, columns: tuple[str, ...] | None) -> tuple[int, Any]:
    """The address of a method as machine code, and what keeps it there. Raises ConfigError if numba cannot take it.

    ``columns`` are those of the rows or timestamps that it is called with; None for fills.
    """
    event: types.Type
    if columns is None:
        event = FillType(STAMP)
    else:
        event = CrossType(STAMP, columns) if method == "on_slice" else RowType(STAMP, columns)
    signature = types.void(memory.type, ContextType(STAMP), event)
    function = getattr(type(owner), method)
    try:
        compiled = _compile(function, signature)
    except Exception as error:
        raise ConfigError(
            f"{type(owner).__name__}.{method} cannot be compiled: {_reason(error, memory)}; mend it, or set lane = "
            '"event" to run it as Python.'
        ) from error
    return pointer_to(compiled), compiled


@functools.lru_cache(maxsize=256)
def _compile(function: Callable[..., Any], signature: Any) -> Any:
    with making(function.__qualname__):
        try:
            return njit(signature, cache=True)(function)
        except (RuntimeError, ImportError):
            # There is no place for a cache: typed in, or on a disk that cannot be written. Or what is kept there was
            # compiled when the same file was a module of another name, which is no longer there.
            return njit(signature)(function)


def _reason(error: Exception, memory: Memory) -> str:
    """What numba's account says is wrong, and where, in one sentence."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Failed in", "During:", "File", "- ", "^", "<"))]
    what = said[0].rstrip(".") if said else type(error).__name__
    unknown = re.match(r"Unknown attribute '(\w+)' of type (SelfType|RowType|CrossType|ContextType|FillType)", what)
    if unknown:
        name, of = unknown[1], _CALLED[unknown[2]]
        what = f"{of} has no {name!r} there"
        if of == "self":
            known = ", ".join(sorted(memory.type.places)) or "none"
            what += f" (compiled code sees the numbers and arrays that self has after on_start: {known})"
    where = next((line.rstrip(":") for line in lines if re.match(r"File .*line \d+", line)), "")
    return f"{what} ({where})" if where else what


_CALLED = {"SelfType": "self", "RowType": "a row", "CrossType": "bars", "ContextType": "ctx", "FillType": "a fill"}


@functools.cache
def compile_walk() -> Any:
    """The walk over rows, as Python calls it."""
    result, arguments = WALK
    with making("walk over rows"):
        return native.direct(njit(result(*arguments), cache=True, nogil=True)(walking(STAMP)))


@functools.cache
def compile_questions() -> Mapping[str, tuple[int, Any]]:
    """What strategies ask by address, by the lane's field."""
    with making("questions of strategies"):
        return {name: native.address_of(make(STAMP), *signature) for name, (make, signature) in QUESTIONS.items()}
