"""``qengine run``: from a run file to a result on the screen; the steps in their order, and no step's insides."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from qengine_config.console import print_json, under_way
from qengine_config.folders import next_run_folder
from qengine_config.requirements import check_requirements, select_plugins
from qengine_config.runfile import RunFile, load_run_file
from qengine_config.summary import profile_of, summarise
from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.timings import Timings

__all__ = ["run"]


def run(options: argparse.Namespace, plugins: Plugins) -> int:
    """Run the file that the options name and show the result. Raises QEngineError."""
    timings = Timings() if options.profile else None
    with _part(timings, "composing"):
        run_file, engine = _compose(options, plugins)
    parent = Path(options.out) if options.out is not None else run_file.out or Path("runs")
    out = next_run_folder(parent, run_file.name)
    with under_way(run_file.name, as_json=options.json, show_progress=not options.no_progress) as progress:
        result = engine.run(out=str(out), progress=progress, timings=timings)
        with _part(timings, "report"):
            summary = summarise(result, out)
    if timings is not None:
        summary["profile"] = profile_of(timings)
    if options.json:
        print_json(summary)
        return 0
    from qengine_config.showing import show, show_profile

    show(summary)
    if timings is not None:
        show_profile(summary["profile"])
    return 0


def _compose(options: argparse.Namespace, plugins: Plugins) -> tuple[RunFile, Engine]:
    overrides = list(options.overrides)
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")
    run_file = load_run_file(options.file, overrides)
    plugins = select_plugins(run_file, plugins, strict=getattr(options, "strict_plugins", False))
    check_requirements(run_file, plugins)
    return run_file, run_file.engine(plugins)


def _part(timings: Timings | None, label: str) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if timings is None else timings.within(label)
