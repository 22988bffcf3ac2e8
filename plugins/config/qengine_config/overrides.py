"""Settings given outside of the run file: ``strategy.fast=20`` and ``QENGINE_SET_strategy__fast=20``.

It knows how to find a place in the plain values, not what the values are for.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from qengine_config.reading import Key
from qengine_core.plugin import ConfigError

__all__ = ["ENVIRONMENT_PREFIX", "Override", "apply_override", "from_environment", "parse_overrides"]

ENVIRONMENT_PREFIX = "QENGINE_SET_"


@attrs.frozen
class Override:
    """One setting: where it goes, its value, and how the user gave it (for errors)."""

    key: Key
    value: Any
    origin: str


def parse_overrides(texts: Iterable[str]) -> list[Override]:
    """Read ``KEY=VALUE`` texts. The value is read as TOML, and taken as text where it is not. Raises ConfigError."""
    return [_parse(text, f"--set {text}") for text in texts]


def from_environment(environ: Mapping[str, str]) -> list[Override]:
    """Read ``QENGINE_SET_strategy__fast=20``, in the order of the variables' names; ``__`` stands for the dot.

    A name in capitals throughout is lowered: some systems know no other names.
    """
    found = []
    for name in sorted(environ):
        if name.upper().startswith(ENVIRONMENT_PREFIX):
            path = name[len(ENVIRONMENT_PREFIX) :].replace("__", ".")
            path = path.lower() if path == path.upper() else path
            found.append(_parse(f"{path}={environ[name]}", f"{name}={environ[name]}"))
    return found


def apply_override(values: dict[str, Any], override: Override) -> Key:
    """Put the value in its place, and return the place with every index. Raises ConfigError.

    Tables that are missing are made; a component given by name alone becomes a table; an index may be
    left out where a list has one entry only.
    """
    return _put(values, override.key, override)


def _put(here: Any, key: Key, override: Override) -> Key:
    part, rest = key[0], key[1:]
    if isinstance(here, list):
        part, rest = (part, rest) if isinstance(part, int) else (_only_index(here, part, override), key)
        if part >= len(here):
            raise ConfigError(f"{override.origin}: there is no entry {part}: there are {len(here)}, counted from 0.")
    elif part == 0 and rest:  # one table or a list of one are the same
        return _put(here, rest, override)
    elif isinstance(part, int):
        raise ConfigError(f"{override.origin}: {part} is the index of a list, and there is a table.")
    if not rest:
        here[part] = override.value
        return (part,)
    if isinstance(here, dict):
        here.setdefault(part, {})
    if isinstance(here[part], str):
        here[part] = {"use": here[part]}
    if not isinstance(here[part], (dict, list)):
        raise ConfigError(f"{override.origin}: {part} is {here[part]!r}, which has no settings of its own.")
    return (part, *_put(here[part], rest, override))


def _only_index(listed: list[Any], part: str, override: Override) -> int:
    if len(listed) == 1:
        return 0
    raise ConfigError(f"{override.origin}: there are {len(listed)} entries: write an index before {part!r}, as in 0.")


def _parse(text: str, origin: str) -> Override:
    path, equals, value = text.partition("=")
    parts = [part.strip() for part in path.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"{origin}: a setting is written KEY=VALUE, as in strategy.fast=20.")
    return Override(tuple(int(part) if part.isdigit() else part for part in parts), _value(value.strip()), origin)


def _value(text: str) -> Any:
    """The text as a TOML value, or as it is."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed.get("value") if len(parsed) == 1 else text
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else value
