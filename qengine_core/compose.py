"""Turns names and tables into components: ``commission = "per-share"`` or a table with its parameters."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from qengine_core.errors import ConfigError, QEngineError
from qengine_core.manager import Plugins, Registered
from qengine_core.params import structure, unstructure

__all__ = ["Composition", "compose"]

# Kinds of a composition: how many each takes, and what stands in when nothing is said.
_DEFAULTS: Mapping[str, str | None] = {
    "feed": None,
    "strategy": None,
    "ledger": "standard",
    "broker": "simulated",
    "commission": "none",
    "slippage": "none",
    "report": "",
    "runner": "python",
}
_MANY = frozenset({"feed", "strategy", "report"})


@attrs.frozen(kw_only=True)
class Composition:
    """The components of a run by kind, and the same as plain values, complete with defaults."""

    components: Mapping[str, tuple[Any, ...]]
    config: Mapping[str, Any]
    plugins_used: Mapping[str, str]


def compose(plugins: Plugins, given: Mapping[str, Any], base: Path) -> Composition:
    """Resolve every kind. A value is a component, a name, a table with ``use``, or a list where many may be.

    ``use`` is a registered name, ``distribution/name``, ``module:Class`` or ``file.py:Class``; a relative
    file is looked for under ``base``. Raises ConfigError or PluginError.
    """
    components: dict[str, tuple[Any, ...]] = {}
    config: dict[str, Any] = {}
    used: dict[str, str] = {}
    for kind, default in _DEFAULTS.items():
        values = given.get(kind)
        if values is None:
            values = default if default else []
        listed = values if isinstance(values, (list, tuple)) else [values]
        if default is None and not listed:
            raise ConfigError(f"[{kind}] is missing: say which {kind} to use.")
        if kind not in _MANY and len(listed) != 1:
            raise ConfigError(f"[{kind}] must name exactly one component, not {len(listed)}.")
        made = [_make(plugins, kind, value, default or "", base, used) for value in listed]
        components[kind] = tuple(component for component, _ in made)
        plain = [text for _, text in made]
        config[kind] = plain if kind in _MANY else plain[0]
    components["order_type"] = tuple(entry.spec for entry in plugins.all("order_type"))
    return Composition(components=components, config=config, plugins_used=used)


def _make(
    plugins: Plugins, kind: str, value: Any, default: str, base: Path, used: dict[str, str]
) -> tuple[Any, dict[str, Any]]:
    """One component, and the table that would make it again."""
    if isinstance(value, str):
        value = {"use": value}
    if not isinstance(value, Mapping):
        known = [e for e in plugins.all(kind) if e.spec.component is type(value)]
        use = known[0].spec.name if known else f"{type(value).__module__}:{type(value).__qualname__}"
        _note(used, known[0] if known else None)
        return value, {"use": use, **unstructure(value)}
    values = dict(value)
    use = values.pop("use", default)
    if not isinstance(use, str) or not use:
        raise ConfigError(f"[{kind}] needs use = \"name\", saying which {kind} to use.")
    if ":" in use:
        cls = _import(use, kind, base)
    else:
        entry = plugins.find(kind, use)
        _note(used, entry)
        cls = entry.spec.component
    component = structure(cls, values, f"[{kind}] {use}")
    return component, {"use": use, **unstructure(component)}


def _note(used: dict[str, str], entry: Registered | None) -> None:
    if entry is not None:
        used[entry.plugin] = entry.version


def _import(use: str, kind: str, base: Path) -> type:
    """The class that ``module:Class`` or ``file.py:Class`` names."""
    place, _, name = use.rpartition(":")
    try:
        module = _load_file(base / place) if place.endswith(".py") else importlib.import_module(place)
    except QEngineError:
        raise
    except Exception as error:
        raise ConfigError(f"[{kind}] use = {use!r}: cannot import {place}: {type(error).__name__}: {error}.") from error
    cls = getattr(module, name, None)
    if not isinstance(cls, type) or not attrs.has(cls):
        raise ConfigError(f"[{kind}] use = {use!r}: {place} has no component class named {name!r}.")
    return cls


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"There is no file {path}: 'use' must name a .py file, relative to the run file.")
    name = f"qengine_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations of attrs classes are resolved through it
    spec.loader.exec_module(module)
    return module
