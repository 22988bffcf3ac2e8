"""Parameters of components: declared as attrs fields, read strictly from plain mappings, described for people."""

from __future__ import annotations

import collections.abc
import contextlib
import enum
import functools
import importlib
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, dataclass_transform

import attrs

from qengine_core.errors import ConfigError, did_you_mean

__all__ = ["component", "describe", "is_role", "param", "structure", "unstructure"]

T = TypeVar("T")


def param(
    *,
    default: Any = attrs.NOTHING,
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
            if not _holds(sign, value, bound):
                raise ConfigError(f"{attribute.name} must be {sign} {bound:g}, not {_shown(value)}.")


def _holds(sign: str, value: Any, bound: float) -> bool:
    try:
        return _COMPARE[sign](value, bound)  # False for NaN too
    except TypeError:
        return False


def structure(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build ``cls`` from plain values, strictly: no coercion, no unknown key, no missing key.

    A parameter annotated with a role (``OrderType``) holds a component of that kind: an object, or a table
    whose ``use`` names its class as ``module:Class``. ``where`` opens the sentence of every error, as in
    ``[commission] per-share``. Raises ConfigError, whose ``key`` names the parameter.
    """
    import cattrs  # 40 ms that only runs with parameters need to pay

    known = {field.alias or field.name: field for field in _fields(cls) if field.init}
    for name in values:
        if name not in known:
            raise _mistake(f"{where}: there is no parameter {name!r} ({did_you_mean(name, known)}).", name)
    for name, field in known.items():
        if field.default is attrs.NOTHING and name not in values:
            raise _mistake(f"{where}: the parameter {name!r} is missing ({_meaning(field)}).")
    try:
        made: T = _converter().structure(values, cls)
    except cattrs.BaseValidationError as error:
        problems = [_tidy(problem) for problem in cattrs.transform_error(error, path="", format_exception=_sentence)]
        named = re.match(r"\w+", problems[0])
        key = (named[0],) if named and named[0] in known else ()
        raise _mistake(f"{where}: {' '.join(problems)}", *key) from None
    return made


def _mistake(message: str, *key: str) -> ConfigError:
    error = ConfigError(message)
    error.key = key
    return error


def describe(cls: type) -> list[dict[str, Any]]:
    """The parameters of a component class as plain values: name, type, default, unit, limits, help."""
    hints = typing.get_type_hints(cls)
    rows = []
    for field in _fields(cls):
        if not field.init:
            continue
        default = _default(field)
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


def _default(field: attrs.Attribute[Any]) -> Any:
    factory = getattr(field.default, "factory", None)  # attrs.Factory is no type to mypy
    return field.default if factory is None else factory()


@functools.cache
def _converter() -> Any:
    """A cattrs converter that refuses what the stock one would quietly coerce (``"no"`` to True, 0.9 to 0).

    What it refuses, it refuses in our words; containers and nested classes are cattrs' own work.
    """
    import cattrs
    import cattrs.cols
    import cattrs.gen

    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, accepted in _SCALARS.items():
        converter.register_structure_hook(kind, _exactly(kind, accepted))
    converter.register_structure_hook_func(lambda hint: hint is Any, lambda value, _: value)
    factories: list[tuple[Callable[[Any], bool], Callable[..., Any]]] = [
        (attrs.has, _guarded(Mapping, cattrs.gen.make_dict_structure_fn)),
        (cattrs.cols.is_mapping, _guarded(Mapping, cattrs.gen.mapping_structure_factory)),
        (_is_listed, _guarded((list, tuple), _list_hook)),
        (_is_enum, _enum_hook),
        (lambda hint: typing.get_origin(hint) is typing.Literal, _literal_hook),
        (_is_union, _union_hook),
        (is_role, lambda _, __: _role_hook),
    ]
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    return converter


# What a run file may write for each scalar type; bool is no whole number here, though Python has it so.
_SCALARS: Mapping[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    Path: (str, Path),
}
_LISTS: Mapping[Any, type] = {
    tuple: tuple,
    list: list,
    frozenset: frozenset,
    set: set,
    collections.abc.Sequence: tuple,
    collections.abc.Collection: tuple,
}

Hook = Callable[[Any, Any], Any]


def _exactly(kind: type, accepted: tuple[type, ...]) -> Hook:
    def hook(value: Any, _: Any) -> Any:
        if isinstance(value, accepted) and (kind is bool or not isinstance(value, bool)):
            return kind(value)
        raise _refusal(kind, value)

    return hook


def _guarded(accepted: Any, factory: Callable[[Any, Any], Hook]) -> Callable[[Any, Any], Hook]:
    """A cattrs factory that looks at the value's type first: cattrs takes text for a list of letters."""

    def guarded(hint: Any, converter: Any) -> Hook:
        inner = factory(hint, converter)

        def hook(value: Any, _: Any) -> Any:
            if not isinstance(value, accepted):
                raise _refusal(hint, value)
            return inner(value, hint)

        return hook

    return guarded


def _list_hook(hint: Any, converter: Any) -> Hook:
    import cattrs.cols

    origin, items = typing.get_origin(hint) or hint, typing.get_args(hint)
    make = _LISTS[origin]
    if origin is tuple and items and items[-1] is not Ellipsis:

        def fixed(value: Any, _: Any) -> Any:
            if len(value) != len(items):
                raise _refusal(hint, value)
            return tuple(converter.structure(item, kind) for item, kind in zip(value, items, strict=True))

        return fixed
    listed = cattrs.cols.list_structure_factory(cast("type", list[items[0] if items else Any]), converter)  # type: ignore[misc]
    return lambda value, _: make(listed(value, None))


def _enum_hook(hint: Any, _: Any) -> Hook:
    members = {member.value: member for member in hint}

    def hook(value: Any, _: Any) -> Any:
        if isinstance(value, hint):
            return value
        if not _is_one_of(value, tuple(members)):
            raise _refusal(hint, value)
        return members[value]

    return hook


def _literal_hook(hint: Any, _: Any) -> Hook:
    def hook(value: Any, _: Any) -> Any:
        if not _is_one_of(value, typing.get_args(hint)):
            raise _refusal(hint, value)
        return value

    return hook


def _union_hook(hint: Any, converter: Any) -> Hook:
    """The member that the value is of exactly, else the first that takes it."""
    members = typing.get_args(hint)
    others = [member for member in members if member is not type(None)]

    def hook(value: Any, _: Any) -> Any:
        if value is None and len(others) < len(members):
            return None
        if len(others) == 1 and isinstance(value, (Mapping, list, tuple)):
            return converter.structure(value, others[0])  # so that what is wrong inside is said
        for member in sorted(others, key=lambda member: member is not type(value)):
            with contextlib.suppress(Exception):
                return converter.structure(value, member)
        raise _refusal(hint, value)

    return hook


def _role_hook(value: Any, hint: Any) -> Any:
    """A component, or the table that ``unstructure`` writes for one."""
    if attrs.has(type(value)):
        return value
    use = value.get("use") if isinstance(value, Mapping) else None
    if not isinstance(use, str) or ":" not in use:
        raise _refusal(hint, value)
    place, _, name = use.rpartition(":")
    try:
        cls: type = getattr(importlib.import_module(place), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"names {use!r}, which cannot be imported: {error}.") from error
    return structure(cls, {key: item for key, item in value.items() if key != "use"}, use)


def is_role(hint: Any) -> bool:
    """Whether a parameter so annotated holds a component: the hint is the Protocol of its kind."""
    return isinstance(hint, type) and bool(getattr(hint, "_is_protocol", False))


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _is_listed(hint: Any) -> bool:
    return (typing.get_origin(hint) or hint) in _LISTS


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, enum.Enum)


def _is_one_of(value: Any, choices: tuple[Any, ...]) -> bool:
    return any(value == choice and type(value) is type(choice) for choice in choices)  # True is not 1 here


def _refusal(hint: Any, value: Any) -> ConfigError:
    return ConfigError(f"must be {_type_name(hint)}, not {_shown(value)} ({type(value).__name__}).")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _sentence(error: BaseException, _: type | None) -> str:
    import cattrs

    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        wrong, known = sorted(error.extra_fields)[0], [f.alias or f.name for f in _fields(error.cl) if f.init]
        return f"there is no parameter {wrong!r} ({did_you_mean(wrong, known)})."
    if isinstance(error, KeyError):
        return f"the parameter {error.args[0]!r} is missing."
    return str(error.args[0]) if error.args else str(error)


def _tidy(problem: str) -> str:
    """cattrs says "message @ .path"; a reader wants the name first, and a validator already says it."""
    message, _, path = problem.rpartition(" @ ")
    path = path.lstrip(".").replace("['", ".").replace("']", "")
    if not path:
        return message
    return f"{path} {message}" if message.startswith("must be") else f"{path}: {message}"


_PLAIN_NAMES: Mapping[Any, str] = {
    Any: "anything",
    type(None): "none",
    str: "text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    Path: "a path",
}


def _type_name(hint: Any) -> str:
    arguments = typing.get_args(hint)
    if hint in _PLAIN_NAMES:
        return _PLAIN_NAMES[hint]
    if _is_union(hint):
        return " or ".join(_type_name(argument) for argument in arguments)
    if choices := _choices(hint):
        return "one of " + ", ".join(repr(choice) for choice in choices)
    if _is_listed(hint):
        if len(arguments) < 2 or arguments[-1] is Ellipsis:
            return f"a list of {_plural(_type_name(arguments[0]))}" if arguments else "a list"
        return f"a list of {len(arguments)} ({', '.join(_type_name(argument) for argument in arguments)})"
    if attrs.has(hint) or (typing.get_origin(hint) or hint) in (dict, Mapping):
        return "a table"
    return str(getattr(hint, "__name__", hint))


def _plural(name: str) -> str:
    """``a whole number`` to ``whole numbers``; ``text`` and lists of choices stay as they are."""
    article, _, noun = name.partition(" ")
    return f"{noun}s" if article == "a" and " of " not in name and " or " not in name else name


def _choices(hint: Any) -> tuple[Any, ...]:
    if _is_enum(hint):
        return tuple(member.value for member in hint)
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    return attrs.fields(cls) if attrs.has(cls) else ()


def _meaning(field: attrs.Attribute[Any]) -> str:
    return field.metadata.get("help") or f"{_type_name(field.type)}"


def _plain(value: Any, named: bool = False) -> Any:
    """A value as plain values; ``named`` says that components in it need their class beside them."""
    if isinstance(value, (tuple, list)):
        return [_plain(item, named) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, named) for key, item in value.items()}
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if attrs.has(type(value)):
        use = {"use": f"{type(value).__module__}:{type(value).__qualname__}"} if named else {}
        return use | unstructure(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def unstructure(component: Any) -> dict[str, Any]:
    """A component's parameters as plain values that ``structure`` takes back (paths become text)."""
    values = {field.name: getattr(component, field.name) for field in _fields(type(component)) if field.init}
    hints = typing.get_type_hints(type(component)) if any(map(_has_nested, values.values())) else {}
    plain = {name: _plain(value, _holds_role(hints.get(name))) for name, value in values.items()}
    return {f.alias or f.name: plain[f.name] for f in _fields(type(component)) if f.init}


def _has_nested(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_nested, value.values()))
    return any(map(_has_nested, value)) if isinstance(value, (tuple, list)) else attrs.has(type(value))


def _holds_role(hint: Any) -> bool:
    return is_role(hint) or any(map(_holds_role, typing.get_args(hint)))
