"""A run file: which components, which plugins, and where results go. It composes nothing until asked to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qengine_config.overrides import Override, apply_override, from_environment, parse_overrides
from qengine_config.reading import Document, Key, read_document
from qengine_core.plugin import ConfigError, QEngineError, did_you_mean

if TYPE_CHECKING:
    from qengine_core.engine import Engine
    from qengine_core.manager import Plugins

__all__ = ["RunFile", "load_run_file"]

_COMPONENTS = (
    "feed",
    "strategy",
    "ledger",
    "broker",
    "commission",
    "slippage",
    "financing",
    "calendar",
    "risk",
    "position_rule",
    "report",
    "runner",
)
_TOP = (*_COMPONENTS, "profile", "seed", "wake", "plugins", "run")
_TABLES: Mapping[str, Mapping[str, type]] = {
    "plugins": {"require": list, "allow": list, "block": list},
    "run": {"out": str, "name": str},
}


@attrs.frozen(kw_only=True)
class RunFile:
    """What a run file says, overrides included. ``config`` is what ``Engine.from_config`` takes.

    ``base`` is the absolute folder of the file, which relative paths are taken from. ``require`` lists
    requirements such as ``acme-costs>=0.1``, ``allow`` (None: all) and ``block`` the plugins to use and
    not to use; ``out`` is where run folders go (None: not said), ``name`` what they are
    called: by default as the file, or as its folder if the file is called ``run``.
    """

    path: Path
    base: Path
    config: Mapping[str, Any]
    require: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()
    out: Path | None = None
    name: str
    places: Mapping[Key, str] = attrs.field(factory=dict, repr=False)

    def engine(self, plugins: Plugins | None = None) -> Engine:
        """Compose the run. Raises QEngineError that says where the mistake is: file, line, setting."""
        from qengine_core.engine import Engine

        try:
            return Engine.from_config(self.config, plugins=plugins, base=self.base)
        except QEngineError as error:
            key = error.key or (str(error).partition(" ")[0],)  # seed and wake open their sentences
            located = type(error)(f"{self._place(key)}: {error}")
            located.key = error.key
            raise located from error

    def _place(self, key: Key) -> str:
        """The most precise place that is known for a key; one table or a list of one are the same.

        Where the fault is a component's name, the key ends before its ``use``.
        """
        candidates = [(*key, "use"), *(key[:length] for length in range(len(key), 0, -1))]
        for candidate in candidates:
            for spelling in (candidate, tuple(part for part in candidate if part != 0)):
                if spelling in self.places:
                    return self.places[spelling]
        return str(self.path)


def load_run_file(path: Path | str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> RunFile:
    """Read a run file; then the environment's settings, then ``overrides`` (``strategy.fast=20``), the last one wins.

    ``environ`` defaults to the process's environment. Raises ConfigError naming file, line and key.
    """
    path = Path(path)
    document = read_document(path)
    places = {key: f"{path}, line {line}" for key, line in document.lines.items()}
    given = [*from_environment(os.environ if environ is None else environ), *parse_overrides(overrides)]
    for override in given:
        place = _apply(document, override)
        places = {key: where for key, where in places.items() if key[: len(place)] != place}  # what stood there is gone
        places[place] = override.origin
    values = document.values
    for key in values:
        _check_known(key, _TOP, "setting", places.get((key,), str(path)))
    for table, types in _TABLES.items():
        _check_table(table, values.get(table, {}), types, places, path)
    plugins, run = values.get("plugins", {}), values.get("run", {})
    base = path.parent.resolve()
    return RunFile(
        path=path,
        base=base,
        config={key: value for key, value in values.items() if key not in _TABLES},
        require=tuple(plugins.get("require", ())),
        allow=tuple(plugins["allow"]) if "allow" in plugins else None,
        block=tuple(plugins.get("block", ())),
        out=base / Path(run["out"]).expanduser() if "out" in run else None,
        name=_folder_name(run.get("name") or _own_name(path), places.get(("run", "name"), str(path))),
        places=places,
    )


def _apply(document: Document, override: Override) -> Key:
    """Apply one override; its first word must be a setting that exists, whatever the file holds."""
    _check_known(str(override.key[0]), _TOP, "setting", override.origin)
    return apply_override(document.values, override)


def _check_known(key: str, known: Sequence[str], what: str, place: str) -> None:
    if key not in known:
        raise ConfigError(f"{place}: there is no {what} {key!r} ({did_you_mean(key, known)}).")


def _check_table(name: str, table: Any, types: Mapping[str, type], places: Mapping[Key, str], path: Path) -> None:
    """The two tables that are not components: known keys, and text or lists of text."""
    place = places.get((name,), str(path))
    if not isinstance(table, dict):
        raise ConfigError(f"{place}: [{name}] must be a table with {', '.join(types)}, not {table!r}.")
    for key, value in table.items():
        place = places.get((name, key), place)
        _check_known(key, tuple(types), f"setting in [{name}] named", place)
        items = value if isinstance(value, list) and types[key] is list else [value]
        wanted = "text" if types[key] is str else "a list of text"
        if not isinstance(value, types[key]) or not all(isinstance(item, str) and item for item in items):
            raise ConfigError(f"{place}: {name}.{key} must be {wanted}, not {value!r}.")


def _own_name(path: Path) -> str:
    """The file's name; a file that is called run, as most are, goes by its folder's."""
    return (path.resolve().parent.name or path.stem) if path.stem == "run" else path.stem


def _folder_name(name: str, place: str) -> str:
    if name in {"", ".", ".."} or any(mark in name for mark in '/\\:*?"<>|\0'):
        raise ConfigError(f"{place}: run.name must be usable as the name of a folder, not {name!r}.")
    return name
