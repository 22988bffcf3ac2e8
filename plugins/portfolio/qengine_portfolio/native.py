"""Memory and functions by address: how compiled code of several plugins works on the same arrays.

Handing an array to compiled code costs 0.1 us a call, handing it a function 6 us; an address is a whole
number and costs nothing. Whoever hands out an address keeps the array or the function alive.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy.typing as npt
from numba import carray, njit, types  # type: ignore[attr-defined]
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

from qengine_core.plugin import ConfigError
from qengine_portfolio.records import column_at


def _spare_scipy() -> None:
    """Import numba's array functions without ``scipy.linalg``, which they load only to see whether it is there.

    That takes a fifth of a second of every start. Whoever compiles a product of matrices has it loaded then, as ever.
    """
    if "scipy.linalg" in sys.modules or importlib.util.find_spec("scipy") is None:
        return
    linalg = importlib.import_module("numba.np.linalg")
    asks, linalg.ensure_blas = linalg.ensure_blas, lambda: None  # type: ignore[attr-defined]
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = asks  # type: ignore[attr-defined]


_spare_scipy()

__all__ = [
    "RATES",
    "address",
    "address_of",
    "carray",
    "codes_at",
    "direct",
    "floats_at",
    "function_at",
    "inlined",
    "inner",
    "live",
    "merged",
    "pointer",
    "pointer_to",
    "stamp_of",
    "times_at",
]

# A function that only compiled code calls: without what Python and C would call, it is compiled in less time.
# Called from Python, it crashes the interpreter: a test calls it from a compiled function of its own.
inner: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]

# The same, and part of whatever calls it: what few functions call for every order or fill. Elsewhere it is compiled in
# vain, again and again.
inlined: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)  # type: ignore[call-overload]

# A function of few callers, one each in what is compiled together: they take it over before they are compiled. Else all
# of it would be compiled by itself, and once more in each.
merged: Any = njit(inline="always")

# What a model's parameters are to compiled code.
cgutils: Any = _cgutils
RATES = types.float64[::1]


def _pointer(_context, _address):  # type: ignore[no-untyped-def]
    """A pointer to the memory at an address, for ``carray``."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


pointer: Any = intrinsic(_pointer)


# Columns at an address. How long they are, is not known here.
floats_at, times_at, codes_at = column_at(types.float64), column_at(types.int64), column_at(types.int32)


def function_at(result: types.Type, arguments: Sequence[types.Type]) -> Callable[..., Any]:
    """A function of compiled code that calls what is at an address: ``call(address, (first, second, ...))``."""

    @intrinsic
    def call(_context, _address, values):  # type: ignore[no-untyped-def]
        def generate(context, builder, _signature, given):  # type: ignore[no-untyped-def]
            kind = context.call_conv.get_function_type(result, arguments)
            function = builder.inttoptr(given[0], kind.as_pointer())
            unpacked = cgutils.unpack_tuple(builder, given[1], len(arguments))
            status, returned = context.call_conv.call_function(builder, function, result, arguments, unpacked)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return returned

        return result(types.int64, values), generate

    return call


@functools.lru_cache(maxsize=256)
def address_of(function: Callable[..., Any], result: types.Type, arguments: tuple[types.Type, ...]) -> tuple[int, Any]:
    """Compile a model's function (once; it is kept on disk beside its source) and say where it is.

    Returns the address and an object that must be kept as long as the address is in use. Raises
    ConfigError for a function that numba cannot compile.
    """
    try:
        compiled = njit(result(*arguments), cache=True)(function)
    except RuntimeError:  # no place for a cache: typed in, or on a disk that cannot be written
        compiled = _compile(function, result, arguments)
    except Exception as error:
        raise _not_compilable(function, error) from error
    return pointer_to(compiled), compiled


def _compile(function: Callable[..., Any], result: types.Type, arguments: Sequence[types.Type]) -> Any:
    try:
        return njit(result(*arguments))(function)
    except Exception as error:
        raise _not_compilable(function, error) from error


def _not_compilable(function: Callable[..., Any], error: Exception) -> ConfigError:
    reason = str(error).strip().splitlines()
    return ConfigError(
        f"{function.__qualname__} cannot be compiled ({reason[-1] if reason else type(error).__name__}): a cost model "
        "is a static function of numbers that numba takes; qengine_core.testing has the laws to try it on."
    )


def pointer_to(function: Any) -> int:
    """Where a function is that has been compiled for one signature, for compiled code to call."""
    (compiled,) = function.overloads.values()
    place: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return place


def direct(function: Any) -> Callable[..., Any]:
    """What Python calls of a function compiled for one signature, without numba's look at each argument's type.

    It converts arguments to that signature, and refuses what cannot be converted. A call is half the price.
    """
    (compiled,) = function.overloads.values()
    entry: Callable[..., Any] = compiled.entry_point
    return entry


def stamp_of(*modules: ModuleType) -> str:
    """A fingerprint of the modules' sources.

    Numba's cache knows a function by its own file and by what it closes over; a compiled entry point that
    closes over the stamp of everything compiled into it is compiled again when any of that changes.
    """
    sources = [Path(str(module.__file__)).read_bytes() for module in modules]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def address(array: npt.NDArray[Any]) -> int:
    """Where an array's first element is."""
    place: int = array.ctypes.data  # ``__array_interface__`` describes the whole dtype of records first
    return place


def live(column: npt.NDArray[Any]) -> Any:
    """A column to be read by index: quicker than the array, and it follows every change."""
    return column.data
