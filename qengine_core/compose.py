"""Turns names and tables into components: ``commission = "per-share"`` or a table with its parameters."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import typing
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from qengine_core.errors import ConfigError, QEngineError, did_you_mean
from qengine_core.hookspecs import REGISTRATION_HOOKS
from qengine_core.manager import Plugins, Registered
from qengine_core.params import is_role, structure, unstructure

__all__ = ["KINDS", "Composition", "compose"]

# Kinds of a composition: how many each takes, and what stands in when nothing is said.
KINDS: Mapping[str, str | None] = {
    "feed": None,
    "strategy": None,
    "ledger": "standard",
    "broker": "simulated",
    "commission": "none",
    "slippage": "none",
    "financing": "",
    "calendar": "utc-days",
    "risk": "",
    "position_rule": "",
    "report": "",
    "runner": "python",
}
_MANY = frozenset({"feed", "strategy", "financing", "calendar", "risk", "position_rule", "report"})
# The kind of component that a parameter annotated with a role holds.
_KIND_OF_ROLE: Mapping[Any, str] = {
    typing.get_args(vars(spec)["__orig_bases__"][0])[0]: spec.kind for spec in REGISTRATION_HOOKS.values()
}


@attrs.frozen(kw_only=True)
class Composition:
    """The components of a run by kind, and the same as plain values, complete with defaults."""

    components: Mapping[str, tuple[Any, ...]]
    config: Mapping[str, Any]
    plugins_used: Mapping[str, str]


def compose(plugins: Plugins, given: Mapping[str, Any], base: Path) -> Composition:
    """Resolve every kind. A value is a component, a name, a table with ``use``, or a list where many may be.

    ``use`` is a registered name, ``distribution/name``, ``module:Class`` or ``file.py:Class``. Relative
    paths, there and in parameters annotated ``Path``, are taken from ``base``; the composition's config
    has them joined, so it needs no base. A ``profile`` completes what is given. Raises ConfigError or
    PluginError, whose ``key`` says where.
    """
    components: dict[str, tuple[Any, ...]] = {}
    used: dict[str, str] = {}
    given, config = _under_profile(plugins, given, base, used)
    for kind, default in KINDS.items():
        values = given.get(kind)
        if values is None:
            values = default if default else []
        listed = values if isinstance(values, (list, tuple)) else [values]
        if default is None and not listed:
            raise ConfigError(f"[{kind}] is missing: say which {kind} to use.")
        if kind not in _MANY and len(listed) != 1:
            raise ConfigError(f"[{kind}] must name exactly one component, not {len(listed)}.")
        made = [_make_at(index, len(listed), plugins, kind, value, base, used) for index, value in enumerate(listed)]
        components[kind] = tuple(component for component, _ in made)
        plain = [text for _, text in made]
        config[kind] = plain if kind in _MANY else plain[0]
    components["order_type"] = tuple(entry.spec for entry in plugins.all("order_type"))
    return Composition(components=components, config=config, plugins_used=used)


def _under_profile(
    plugins: Plugins, given: Mapping[str, Any], base: Path, used: dict[str, str]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """What is given, completed by the profile that it names; and the profile as plain values."""
    if given.get("profile") is None:
        return given, {}
    profile, plain = _make_at(0, 1, plugins, "profile", given["profile"], base, used)
    settings: Mapping[str, Mapping[str, Any]] = profile.settings()
    for kind in settings:
        if kind not in KINDS:
            raise ConfigError(f"Profile {plain['use']} sets {kind!r}, which no run has ({did_you_mean(kind, KINDS)}).")
    completed = {kind: _completed(kind, given.get(kind), policies) for kind, policies in settings.items()}
    return {**given, **completed}, {"profile": plain}


def _completed(kind: str, value: Any, policies: Mapping[str, Any]) -> Any:
    """What the run says of a kind, over what its profile says of the same component."""
    if value is None:
        return policies
    table = {"use": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):  # a component made by the user, or several: nothing is left to say
        return value
    theirs = policies.get("use", KINDS[kind])
    same = str(table.get("use", theirs)).rpartition("/")[2] == str(theirs).rpartition("/")[2]
    return {**policies, **table} if same else value


def _make_at(
    index: int, count: int, plugins: Plugins, kind: str, value: Any, base: Path, used: dict[str, str]
) -> tuple[Any, dict[str, Any]]:
    """One component of a kind; a mistake learns its place: ``("feed", 1, "path")``."""
    where = f"[{kind}.{index}]" if count > 1 else f"[{kind}]"
    try:
        return _make(plugins, kind, value, where, base, used)
    except QEngineError as error:
        error.key = (kind, index, *error.key)
        raise


def _make(
    plugins: Plugins, kind: str, value: Any, where: str, base: Path, used: dict[str, str]
) -> tuple[Any, dict[str, Any]]:
    """One component, and the table that would make it again."""
    if isinstance(value, str):
        value = {"use": value}
    if not isinstance(value, Mapping):
        _refuse_plain(value, where)
        known = [e for e in plugins.all(kind) if e.spec.component is type(value)]
        use = known[0].spec.name if known else f"{type(value).__module__}:{type(value).__qualname__}"
        _note(used, known[0] if known else None)
        return value, {"use": use, **_by_name(plugins, unstructure(value))}
    values = dict(value)
    use = values.pop("use", KINDS.get(kind))
    if not isinstance(use, str) or not use:
        raise ConfigError(f'{where} needs use = "name", saying which {kind} to use.')
    if ":" in use:
        use = _joined(base, use) if use.rpartition(":")[0].endswith(".py") else use
        cls = _import(use, where)
    else:
        entry = plugins.find(kind, use)
        _note(used, entry)
        cls = entry.spec.component
    hints = typing.get_type_hints(cls)
    for name in values.keys() & hints.keys():
        values[name] = _furnished(plugins, hints[name], values[name], f"{where} {use} {name}", base, used)
    component: Any = structure(cls, _anchored(hints, values, base), f"{where} {use}")
    return component, {"use": use, **_by_name(plugins, unstructure(component))}


def _furnished(plugins: Plugins, hint: Any, value: Any, where: str, base: Path, used: dict[str, str]) -> Any:
    """What a parameter is given, with components made of the names and tables where it holds components."""
    kinds = _kinds_in(hint)
    if not kinds or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [_furnished(plugins, hint, item, where, base, used) for item in value]
    return _make(plugins, kinds[0], value, where, base, used)[0]


def _kinds_in(hint: Any) -> list[str]:
    if is_role(hint):
        return [_KIND_OF_ROLE[hint]] if hint in _KIND_OF_ROLE else []
    return [kind for argument in typing.get_args(hint) for kind in _kinds_in(argument)]


def _by_name(plugins: Plugins, plain: Any) -> Any:
    """The same plain values, with ``use`` the name of a component where its class is a registered one."""
    if isinstance(plain, list):
        return [_by_name(plugins, item) for item in plain]
    if not isinstance(plain, Mapping):
        return plain
    named = {key: _by_name(plugins, value) for key, value in plain.items()}
    entries = (entry for kind in _KIND_OF_ROLE.values() for entry in plugins.all(kind)) if "use" in named else ()
    for entry in entries:
        cls = entry.spec.component
        if named["use"] == f"{cls.__module__}:{cls.__qualname__}":
            named["use"] = f"{entry.plugin}/{entry.spec.name}"
    return named


def _refuse_plain(value: Any, where: str) -> None:
    """A component may be of any class, but not of these."""
    if isinstance(value, type):
        raise ConfigError(f"{where} is the class {value.__name__}: make a component of it with {value.__name__}().")
    if isinstance(value, (bool, int, float, list, tuple, bytes)):
        raise ConfigError(f"{where} must be a name or a table with use, not {value!r} ({type(value).__name__}).")


def _note(used: dict[str, str], entry: Registered | None) -> None:
    if entry is not None:
        used[entry.plugin] = entry.version


def _anchored(hints: Mapping[str, Any], values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The same values, with the relative paths of parameters annotated ``Path`` joined to the base."""
    return {name: _joined(base, value) if _holds_path(hints.get(name)) else value for name, value in values.items()}


def _holds_path(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, Path):
        return True
    return any(_holds_path(argument) for argument in typing.get_args(hint))


def _joined(base: Path, value: Any) -> Any:
    if isinstance(value, (str, Path)):
        return type(value)(base / Path(value).expanduser())
    if isinstance(value, (list, tuple)):
        return [_joined(base, item) for item in value]
    if isinstance(value, Mapping):
        return {key: _joined(base, item) for key, item in value.items()}
    return value


def _import(use: str, where: str) -> type:
    """The class that ``module:Class`` or ``file.py:Class`` names."""
    place, _, name = use.rpartition(":")
    try:
        module = _load_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except QEngineError:
        raise
    except Exception as error:
        raise ConfigError(f"{where} use = {use!r}: cannot import {place}: {type(error).__name__}: {error}.") from error
    cls = getattr(module, name, None)
    if not isinstance(cls, type) or not attrs.has(cls):
        known = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
        raise ConfigError(
            f"{where} use = {use!r}: {place} has no component class {name!r} ({did_you_mean(name, known)})."
        )
    return cls


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"There is no file {path}: 'use' must name a .py file, relative to the run file.")
    # Two files may share a stem; the annotations of their classes are looked up through sys.modules.
    name = f"qengine_user_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
