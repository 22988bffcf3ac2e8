"""Finds, guards and loads plugins, and looks components up by kind and name. It runs nothing of theirs.

A plugin is an entry point of the group ``qengine.plugins``: its name is the distribution's, its value a
light module of hook implementations. One that fails is quarantined with its reason: listed, quoted where
somebody misses what it would have provided, and fatal only under ``strict``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import importlib_metadata
import pluggy

from qengine_core import __version__
from qengine_core.errors import PluginError, did_you_mean
from qengine_core.hookspecs import PROJECT, REGISTRATION_HOOKS, Specs
from qengine_core.roles import ComponentSpec

if TYPE_CHECKING:
    from pluggy import HookImpl

__all__ = ["GROUP", "PluginInfo", "Plugins", "Registered"]

GROUP = "qengine.plugins"

# Where the names that run files use most come from, so that a missing one can be answered with what to install.
_HOMES: Mapping[str, str] = {
    "broker": "qengine-broker-sim",
    "calendar": "qengine-calendars",
    "command": "qengine-config",
    "commission": "qengine-costs",
    "feed": "qengine-feeds",
    "latency": "qengine-broker-sim",
    "ledger": "qengine-portfolio",
    "order_type": "qengine-orders",
    "position_rule": "qengine-risk",
    "profile": "qengine-profiles",
    "report": "qengine-reporting",
    "risk": "qengine-risk",
    "slippage": "qengine-costs",
    "financing": "qengine-costs",
    "strategy": "qengine-strategy",
}


@attrs.define(kw_only=True)
class PluginInfo:
    """One plugin found: ``failure`` is empty if it works; ``provides`` lists ``kind/name``."""

    name: str
    version: str
    module: str
    status: str = "loaded"
    failure: str = ""
    provides: list[str] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Registered:
    """A component's spec and the plugin that announced it."""

    plugin: str
    version: str
    spec: ComponentSpec[Any]


class Plugins:
    """The plugins of this process. Build one with ``Plugins.discover``, or empty and ``add`` modules to it."""

    def __init__(self) -> None:
        self._manager = _Manager(PROJECT)
        self._manager.add_hookspecs(Specs)
        self._registered: dict[str, list[Registered]] = {}
        self.infos: list[PluginInfo] = []

    @classmethod
    def discover(
        cls,
        allow: Collection[str] | None = None,
        block: Collection[str] = (),
        strict: bool = False,
    ) -> Plugins:
        """Load every installed plugin that the lists let through; both act before anything is imported.

        With ``strict``, the first plugin that fails raises PluginError instead of being quarantined.
        """
        plugins = cls()
        from qengine_core import builtin

        plugins.add(builtin, "qengine-core", __version__)
        for name, version, module, load in _installed():
            info = PluginInfo(name=name, version=version, module=module)
            plugins.infos.append(info)
            if name in block or (allow is not None and name not in allow):
                info.status = "blocked"
                continue
            plugins._guard(info, load)
            if strict and info.failure:
                raise PluginError(f"Plugin {name} failed to load: {info.failure}")
        return plugins

    def add(self, module: ModuleType | object, name: str, version: str = "0") -> PluginInfo:
        """Register a hook module directly, without an installed distribution. Raises PluginError if it fails."""
        info = PluginInfo(name=name, version=version, module=getattr(module, "__name__", name))
        self.infos.append(info)
        self._guard(info, lambda: module)
        if info.failure:
            raise PluginError(f"Plugin {name} failed to load: {info.failure}")
        return info

    def kinds(self) -> list[str]:
        """The kinds of component there are, sorted."""
        return sorted(spec.kind for spec in REGISTRATION_HOOKS.values())

    def all(self, kind: str) -> list[Registered]:
        """Every component of a kind, by name and plugin."""
        return sorted(self._registered.get(kind, ()), key=lambda entry: (entry.spec.name, entry.plugin))

    def find(self, kind: str, name: str) -> Registered:
        """The component of that kind and name, or ``distribution/name``. Raises PluginError saying what to do."""
        distribution, _, short = name.rpartition("/")
        known = self.all(kind)
        found = [e for e in known if e.spec.name == short and (not distribution or e.plugin == _normal(distribution))]
        if len(found) == 1:
            return found[0]
        if found:
            choices = " or ".join(f"'{entry.plugin}/{short}'" for entry in found)
            raise PluginError(f"{kind} {name!r} is announced by more than one plugin: write {choices}.")
        names = [entry.spec.name for entry in known]
        raise PluginError(
            f"There is no {kind} named {name!r} ({did_you_mean(short, names)}). {self._remedy(kind, name)}"
        )

    def call(self, hook: str, context: object, isolate: bool = False) -> list[str]:
        """Call a lifecycle hook on every plugin. With ``isolate``, return what failed instead of raising."""
        failures = []
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):  # as pluggy calls them
            try:
                implementation.function(context)
            except Exception as error:
                if not isolate:
                    raise
                failures.append(f"{implementation.plugin_name}: {type(error).__name__}: {error}")
        return failures

    def _guard(self, info: PluginInfo, load: Callable[[], object]) -> None:
        """Load one plugin and collect its records; whatever goes wrong stays with it."""
        try:
            self._manager.register(load(), name=info.name)
            self._manager.check_pending()
            self._collect(info)
        except (Exception, SystemExit) as error:
            info.status, info.failure = "failed", _reason(error)
            info.provides.clear()
            if self._manager.has_plugin(info.name):
                self._manager.unregister(name=info.name)

    def _collect(self, info: PluginInfo) -> None:
        records: list[Registered] = []
        for hook, expected in REGISTRATION_HOOKS.items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin_name == info.name:
                    records += [
                        Registered(plugin=info.name, version=info.version, spec=_checked(spec, expected, hook))
                        for spec in implementation.function()
                    ]
        for record in records:
            self._registered.setdefault(record.spec.kind, []).append(record)
            info.provides.append(f"{record.spec.kind}/{record.spec.name}")
        info.provides.sort()

    def _remedy(self, kind: str, name: str) -> str:
        """What the user can do about a name that nobody announces."""
        named = _normal(name.rpartition("/")[0])
        home = named or _HOMES.get(kind, "")
        broken = "".join(f" Plugin {i.name} failed to load: {i.failure}." for i in self.infos if i.failure)
        for info in self.infos:
            if info.name == home and info.failure:
                return broken.strip()
            if info.name == home and info.status == "blocked":
                return f"Plugin {home} is installed but blocked: take it off the block list or onto the allow list."
            if info.name == home and named:
                return f"'qengine plugins' shows what {home} {info.version} provides."
            if info.name == home:  # the usual plugin is here, so the name must come from another
                return f"If another plugin provides it, install that: pip install NAME.{broken}"
        return (f"Install it: pip install {home}." if home else "Install the plugin that provides it.") + broken


class _Manager(pluggy.PluginManager):
    """Refuses hook implementations whose signature differs from the spec, which pluggy would let through."""

    def _verify_hook(self, hook: Any, hookimpl: HookImpl) -> None:
        where = f"plugin {hookimpl.plugin_name}, hook {hook.name}"
        expected = list(inspect.signature(getattr(Specs, hook.name)).parameters)[1:]
        given = inspect.signature(hookimpl.function).parameters
        for name, parameter in given.items():
            if name not in expected:
                wanted = f"the hook takes {expected[0]!r}" if expected else "the hook takes none"
                raise PluginError(f"{where}: there is no parameter {name!r}; {wanted}.")
            if (
                parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD
                or parameter.default is not parameter.empty
            ):
                raise PluginError(f"{where}: the parameter {name!r} must be plain: no default, not keyword-only.")
        for name in expected:
            if name not in given:
                raise PluginError(f"{where}: the parameter {name!r} is missing.")
        wanted_type = inspect.signature(getattr(Specs, hook.name)).parameters
        for name, parameter in given.items():
            if not _compatible(parameter.annotation, wanted_type[name].annotation):
                raise PluginError(
                    f"{where}: the parameter {name!r} is annotated {parameter.annotation!r}, "
                    f"but the hook passes {wanted_type[name].annotation}."
                )
        super()._verify_hook(hook, hookimpl)


def _compatible(annotation: Any, wanted: Any) -> bool:
    if annotation is inspect.Parameter.empty:
        return True
    return _last_name(annotation) in {_last_name(wanted), "Any", "object"}


def _last_name(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return text.strip("'\"").rpartition(".")[2]


def _checked(spec: object, expected: type[ComponentSpec[Any]], hook: str) -> ComponentSpec[Any]:
    if not isinstance(spec, expected):
        raise PluginError(f"hook {hook}: must yield {expected.__name__} records, not {spec!r}")
    if not attrs.has(spec.component):
        raise PluginError(
            f"hook {hook}: {spec.kind} {spec.name!r} is announced with {spec.component!r}, which is not an attrs "
            "class; decorate it with @component"
        )
    return spec


def _reason(error: BaseException) -> str:
    text = str(error) or "no message"
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed() -> Iterable[tuple[str, str, str, Callable[[], object]]]:
    """Entry points of the group by distribution name, sorted; the first of two copies on the path wins."""
    seen: dict[str, tuple[str, str, str, Callable[[], object]]] = {}
    for distribution in importlib_metadata.distributions():
        points = distribution.entry_points.select(group=GROUP)
        for point in points:
            name = _normal(point.name)
            seen.setdefault(name, (name, distribution.version, point.value, point.load))
    return [seen[name] for name in sorted(seen)]
