"""``qengine replay``: runs a recorded composition again and compares outputs; it forgives no byte."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qengine_config.console import print_json, under_way
from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import PluginError, QEngineError

__all__ = ["replay"]

IDENTICAL = "identical"


def replay(options: argparse.Namespace, plugins: Plugins) -> int:
    """Run the folder's composition into a temporary folder, compare, and show. Raises QEngineError."""
    folder = Path(options.folder)
    with tempfile.TemporaryDirectory(prefix="qengine-replay-") as temporary:
        summary = _replayed(folder, Path(temporary) / folder.resolve().name, plugins, options)
    if options.json:
        print_json(summary)
    else:
        from qengine_config.showing import show_replay

        show_replay(summary)
    return 0 if summary["identical"] else 1


def _replayed(folder: Path, out: Path, plugins: Plugins, options: argparse.Namespace) -> dict[str, Any]:
    """The verdict on every output, and what has changed since that may be why."""
    try:
        from qengine_reporting import compare_runs, load_run
    except ImportError:
        raise PluginError(
            "Replaying needs qengine-reporting, which is not installed: pip install qengine-reporting."
        ) from None
    recorded = load_run(folder)
    with under_way(folder.name, as_json=options.json, show_progress=not options.no_progress) as progress:
        _engine(recorded.manifest, folder, plugins).run(out=str(out), progress=progress)
    if not out.is_dir():
        raise PluginError("The replay wrote nothing to compare: 'qengine plugins' shows why qengine-reporting did not.")
    again = load_run(out)
    different = {difference.output: difference.what for difference in compare_runs(recorded, again)}
    names = sorted({*recorded.manifest["outputs"], *again.manifest["outputs"]})
    changes = list(_changes(recorded.manifest, again.manifest))
    if different and not changes:
        changes = [
            "Nothing that is recorded has changed: a file of your own code has, or the run is not deterministic."
        ]
    where = (f" in {out}", " in the replay")
    return {
        "folder": str(folder),
        "identical": not different,
        "outputs": {name: different.get(name, IDENTICAL).replace(*where) for name in names},
        "changes": changes,
    }


def _engine(manifest: Mapping[str, Any], folder: Path, plugins: Plugins) -> Engine:
    try:
        return Engine.from_config(manifest["config"], plugins=plugins)
    except QEngineError as error:
        raise type(error)(f"{folder / 'manifest.json'} cannot be composed again: {error}") from error


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it was when the run was recorded, a sentence each."""
    for subject in ("qengine", "python", "platform"):
        if old.get(subject) != new.get(subject):
            yield f"{subject} was {old.get(subject)} and is {new.get(subject)}."
    plugins, now = old.get("plugins", {}), new.get("plugins", {})
    for name in sorted({*plugins, *now}):
        if plugins.get(name) != now.get(name):
            yield f"{name} was {plugins.get(name, 'not used')} and is {now.get(name, 'not used')}."
    for index, (before, after) in enumerate(zip(old.get("data", ()), new.get("data", ()), strict=False)):
        keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        if keys:
            yield f"The data of feed {index} has changed: {', '.join(keys)}."
