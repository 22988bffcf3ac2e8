"""An empty registry for tests: only what you add is there, so a broken neighbour cannot fail your tests."""

from __future__ import annotations

from types import ModuleType

from qengine_core.manager import Plugins

__all__ = ["plugin_sandbox"]


def plugin_sandbox(*modules: ModuleType | object) -> Plugins:
    """Plugins that hold only the kernel's own and ``modules`` (hook modules), without looking at what is installed.

    Raises PluginError if one of them fails to load.
    """
    from qengine_core import builtin

    plugins = Plugins()
    plugins.add(builtin, "qengine-core")
    for module in modules:
        name = getattr(module, "__name__", type(module).__name__)
        plugins.add(module, name.removesuffix(".plugin").replace("_", "-"))
    return plugins
