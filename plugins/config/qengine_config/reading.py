"""Reads TOML and YAML into plain values and says where each key stands; it does not know what a key means."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from qengine_core.plugin import ConfigError

__all__ = ["Document", "Key", "read_document"]

Key = tuple[str | int, ...]


@attrs.frozen
class Document:
    """The values of a file, and the line each key was found on (as far as known)."""

    values: dict[str, Any]
    lines: Mapping[Key, int]


def read_document(path: Path) -> Document:
    """Read a file by its suffix. Raises ConfigError naming file and line."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name the run file in it.")
    readers = {".toml": _read_toml, ".yaml": _read_yaml, ".yml": _read_yaml}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        ending = f"not in {path.suffix}" if path.suffix else "and this has no ending"
        raise ConfigError(f"{path}: a run file ends in .toml, .yaml or .yml, {ending}.")
    document = reader(path, _text(path))
    return Document(_plain(path, document.values), document.lines)


def _text(path: Path) -> str:
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*") if p.suffix.lower() in {".toml", ".yaml", ".yml"})
        raise ConfigError(f"There is no run file {path}; its folder has {', '.join(near) or 'none at all'}.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8.") from None


def _read_toml(path: Path, text: str) -> Document:
    try:
        return Document(tomllib.loads(text), _toml_lines(text))
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).rstrip(")").partition(" (at ")
        raise ConfigError(f"{path}, {place or 'somewhere'}: not valid TOML: {what}.") from None


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_ENTRY = re.compile(r"""\s*([A-Za-z0-9_.\-"' ]+?)\s*=""")


def _toml_lines(text: str) -> dict[Key, int]:
    """The lines of tables and keys. ``tomllib`` keeps none, so this reads headers and ``key =`` by itself.

    A line inside a multi-line string that looks like one may be listed too; it is only ever looked up
    for keys that the file does have, and then the first one stands.
    """
    lines: dict[Key, int] = {}
    table: Key = ()
    tables: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _toml_key(header[2])
            if header[1] == "[[":
                tables[table] = tables.get(table, -1) + 1
                table = (*table, tables[table])
            lines.setdefault(table, number)
        elif entry := _ENTRY.match(line):
            lines.setdefault((*table, *_toml_key(entry[1])), number)
    return lines


def _toml_key(text: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def _read_yaml(path: Path, text: str) -> Document:
    import yaml

    try:
        loader = _yaml_loader()(text)
        try:
            node = loader.get_single_node()
            lines: dict[Key, int] = {}
            _yaml_lines(path, node, (), lines)
            values = loader.construct_document(node) if node is not None else {}
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: not valid YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a run file is a table of keys and values, not {type(values).__name__}.")
    return Document(values, lines)


def _yaml_loader() -> Any:
    """PyYAML's safe loader, with 1e-3 read as the number it is (YAML 1.1 wants 1.0e-3, and nobody knows)."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
    return Loader


def _yaml_lines(path: Path, node: Any, key: Key, lines: dict[Key, int]) -> None:
    """Note the line of every key, and refuse a key that stands twice (YAML would let the last one win)."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*key, index)] = item.start_mark.line + 1
            _yaml_lines(path, item, (*key, index), lines)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for name, value in node.value:
        line = name.start_mark.line + 1
        if name.value in seen and name.tag != "tag:yaml.org,2002:merge":
            raise ConfigError(
                f"{path}, line {line}: the key {name.value!r} is already there in line {seen[name.value]}."
            )
        seen[name.value] = line
        lines[(*key, name.value)] = line
        _yaml_lines(path, value, (*key, name.value), lines)


def _plain(path: Path, value: Any) -> Any:
    """Dates as ISO text, so that every value can be written to a manifest and read back; keys must be text."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"{path}: the key {key!r} is not text: put it in quotes.")
        return {key: _plain(path, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(path, item) for item in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value
