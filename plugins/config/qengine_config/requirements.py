"""Checks what a run file requires, and picks the plugins it allows; it installs nothing."""

from __future__ import annotations

import importlib.metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from qengine_config.runfile import RunFile
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError, PluginError

__all__ = ["check_requirements", "select_plugins"]


def select_plugins(run_file: RunFile, plugins: Plugins, strict: bool = False) -> Plugins:
    """The plugins without those that the run file blocks or does not allow.

    The kernel never falls out. Raises PluginError under ``strict`` if one fails to load.
    """
    if run_file.allow is None and not run_file.block:
        return plugins
    blocked = {info.name for info in plugins.infos if info.status == "blocked"}  # by the environment
    allow = None if run_file.allow is None else {canonicalize_name(name) for name in run_file.allow}
    return Plugins.discover(
        allow=allow, block=blocked | {canonicalize_name(name) for name in run_file.block}, strict=strict
    )


def check_requirements(run_file: RunFile, plugins: Plugins) -> None:
    """Raise PluginError for the first requirement that is not met, saying what to install."""
    for text in run_file.require:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{run_file.path}: plugins.require has {text!r}, which is no requirement such as "
                f"acme-costs>=0.1: {reason}."
            ) from None
        if requirement.marker is None or requirement.marker.evaluate():
            _check(requirement, plugins)


def _check(requirement: Requirement, plugins: Plugins) -> None:
    remedy = f"pip install '{requirement}'"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        raise PluginError(f"This run needs {requirement}, which is not installed: {remedy}") from None
    if not requirement.specifier.contains(version, prereleases=True):
        raise PluginError(f"This run needs {requirement}, but {version} is installed: {remedy}")
    for info in plugins.infos:
        if info.name == canonicalize_name(requirement.name) and info.status != "loaded":
            raise PluginError(
                f"This run needs {requirement}, which is installed but {info.status}: "
                f"{info.failure or 'the run file or the environment does not allow it'}"
            )
