"""Parameters of components: declared as attrs fields, read strictly from plain mappings, described for people."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

import attrs

from qengine_core.errors import ConfigError, did_you_mean

__all__ = ["component", "describe", "param", "structure", "unstructure"]

T = TypeVar("T")


def param(
    default: Any = attrs.NOTHING,
    *,
    help: str,
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    one_of: tuple[Any, ...] | None = None,
    factory: Callable[[], Any] | None = None,
    kw_only: bool | None = None,
) -> Any:
    """Declare one parameter: its default, what it means, its unit, and the range it must lie in.

    ``None`` passes every range check, so an optional number needs no special validator.
    """
    bounds = {">=": ge, ">": gt, "<=": le, "<": lt}
    limits = {sign: bound for sign, bound in bounds.items() if bound is not None}
    metadata = {"help": help, "unit": unit, "limits": limits, "one_of": one_of}
    check = _RangeCheck(limits, one_of) if limits or one_of else None
    given = {"factory": factory} if factory is not None else {"default": default}
    return attrs.field(**given, validator=check, metadata=metadata, kw_only=kw_only)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(param, attrs.field))
def component(cls: type[T]) -> type[T]:
    """Make a class a component: frozen, its annotated fields its parameters, all by keyword."""
    return attrs.frozen(kw_only=True)(cls)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda value, bound: value >= bound,
    ">": lambda value, bound: value > bound,
    "<=": lambda value, bound: value <= bound,
    "<": lambda value, bound: value < bound,
}


@attrs.frozen
class _RangeCheck:
    limits: dict[str, float]
    one_of: tuple[Any, ...] | None

    def __call__(self, instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is None:
            return
        if self.one_of is not None and value not in self.one_of:
            choices = ", ".join(repr(choice) for choice in self.one_of)
            raise ConfigError(f"{attribute.name} must be one of {choices}, not {value!r}.")
        for sign, bound in self.limits.items():
            if not _COMPARE[sign](value, bound):  # also catches NaN
                raise ConfigError(f"{attribute.name} must be {sign} {bound:g}, not {value!r}.")


def structure(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build ``cls`` from plain values, strictly: no coercion, no unknown key, no missing key.

    ``where`` opens the sentence of every error, as in ``[commission] per-share``. Raises ConfigError.
    """
    import cattrs  # 40 ms that only runs with parameters need to pay

    known = {field.alias or field.name: field for field in attrs.fields(cls) if field.init}  # type: ignore[misc]
    for name in values:
        if name not in known:
            raise ConfigError(f"{where}: there is no parameter {name!r} ({did_you_mean(name, known)}).")
    for name, field in known.items():
        if field.default is attrs.NOTHING and name not in values:
            raise ConfigError(f"{where}: the parameter {name!r} is missing ({field.metadata.get('help', '')}).")
    try:
        return _converter().structure(values, cls)
    except cattrs.BaseValidationError as error:
        problems = cattrs.transform_error(error, path="", format_exception=_sentence)
        raise ConfigError(f"{where}: {'; '.join(_tidy(problem) for problem in problems)}") from None


def describe(cls: type) -> list[dict[str, Any]]:
    """The parameters of a component class as plain values: name, type, default, unit, limits, help."""
    hints = typing.get_type_hints(cls)
    rows = []
    for field in attrs.fields(cls):
        if not field.init:
            continue
        default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
        rows.append(
            {
                "name": field.alias or field.name,
                "type": _type_name(hints[field.name]),
                "required": default is attrs.NOTHING,
                "default": None if default is attrs.NOTHING else _plain(default),
                "unit": field.metadata.get("unit", ""),
                "limits": [f"{sign} {bound:g}" for sign, bound in field.metadata.get("limits", {}).items()],
                "choices": list(field.metadata.get("one_of") or _choices(hints[field.name])),
                "help": field.metadata.get("help", ""),
            }
        )
    return rows


@functools.cache
def _converter() -> Any:
    """A cattrs converter that refuses what the stock one would quietly coerce (``"no"`` to True, 0.9 to 0)."""
    import cattrs
    from cattrs.strategies import configure_union_passthrough

    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(kind: type, *accepted: type) -> None:
        def hook(value: Any, _: Any) -> Any:
            if isinstance(value, accepted) and (kind is bool or not isinstance(value, bool)):
                return kind(value)
            raise ConfigError(f"must be {_type_name(kind)}, not {value!r} ({type(value).__name__}).")

        converter.register_structure_hook(kind, hook)

    exactly(bool, bool)
    exactly(int, int)
    exactly(float, int, float)
    exactly(str, str)
    exactly(Path, str, Path)
    converter.register_structure_hook(Any, lambda value, _: value)
    configure_union_passthrough(bool | int | float | str | None, converter)
    return converter


def _sentence(error: BaseException, _: type | None) -> str:
    return str(error.args[0]) if error.args else str(error)


def _tidy(problem: str) -> str:
    """cattrs says "message @ .path"; a reader wants the name first, and a validator already says it."""
    message, _, path = problem.rpartition(" @ ")
    return f"{path.lstrip('.')} {message}" if path.lstrip(".") and message.startswith("must") else message


def _type_name(hint: Any) -> str:
    if hint is type(None):
        return "none"
    if isinstance(hint, type) and not typing.get_args(hint):
        return {"str": "text", "float": "a number", "int": "a whole number", "bool": "true or false"}.get(
            hint.__name__, hint.__name__
        )
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_type_name(argument) for argument in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(argument) for argument in typing.get_args(hint))
    return str(hint).replace("typing.", "").replace("collections.abc.", "")


def _choices(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _meaning(field: attrs.Attribute[Any]) -> str:
    return field.metadata.get("help") or f"{_type_name(field.type)}"


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def unstructure(component: Any) -> dict[str, Any]:
    """A component's parameters as plain values that ``structure`` takes back (paths become text)."""
    fields = attrs.fields(type(component)) if attrs.has(type(component)) else ()
    return {f.alias or f.name: _plain(getattr(component, f.name)) for f in fields if f.init}
