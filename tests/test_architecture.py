"""What may import what: the kernel stays light and knows no plugin, and plugins keep out of each other's insides."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qengine_core.hookspecs import REGISTRATION_HOOKS
from qengine_core.manager import Plugins
from qengine_core.testing import PluginLaws, check_hook_module

ROOT = Path(__file__).parents[1]
KERNEL = ROOT / "qengine_core"
ALLOWED_IN_KERNEL = {"attrs", "cattrs", "importlib_metadata", "numpy", "pluggy", "qengine_core"}

# The test kit runs in tests only, where numba is installed if compiled functions are to be checked.
EXEMPT = {("testing/conformance.py", "numba")}


def plugin_packages():
    return sorted(path.parent for path in ROOT.glob("[pc]*/*/qengine_*/plugin.py"))


PLUGINS = plugin_packages()


def imports(path):
    """Every imported module of a file, with the names taken from it and the line, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            yield node.module or "", [alias.name for alias in node.names], node.lineno


def test_the_kernel_imports_only_what_it_may():
    wrong = []
    for path in sorted(KERNEL.rglob("*.py")):
        for module, _, line in imports(path):
            top = module.partition(".")[0]
            known = top in ALLOWED_IN_KERNEL or top in sys.stdlib_module_names
            if not known and (path.relative_to(KERNEL).as_posix(), top) not in EXEMPT:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_the_kernel_names_no_plugin_package():
    """Not even in a lazy import by string."""
    packages = {package.name for package in PLUGINS}
    for path in sorted(KERNEL.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = set(node.value.replace(".", " ").split())
                named = packages & (words - set(REGISTRATION_HOOKS))  # the hook qengine_feeds is no package
                assert not named, f"{path.relative_to(ROOT)}:{node.lineno} names {named}"


def test_the_kernel_declares_what_it_imports():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {line.partition(">")[0].strip().replace("-", "_") for line in declared}
    assert names == ALLOWED_IN_KERNEL - {"qengine_core"}


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_a_plugin_uses_only_public_names_of_others(package):
    """What a module of another plugin lists in its ``__all__``; no module or name that starts with ``_``."""
    others = {other.name: other for other in PLUGINS if other != package}
    wrong = []
    for path in sorted(package.rglob("*.py")):
        for module, names, line in imports(path):
            top, *rest = module.split(".")
            if top not in others and top != "qengine_core":
                continue
            private = [part for part in (*rest, *names) if part.startswith("_") and part != "__version__"]
            if private:
                wrong.append(f"{path.relative_to(ROOT)}:{line} takes {'.'.join([module, *private])}")
            elif top in others:
                hidden = set(names) - public_names(others[top].joinpath(*rest))
                wrong += [
                    f"{path.relative_to(ROOT)}:{line} takes {name}, which {module} does not offer" for name in hidden
                ]
    assert not wrong, "\n".join(wrong)


def public_names(place):
    """What a module lists in its ``__all__``; of a package, its modules too."""
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    names = {module.stem for module in place.glob("*.py") if not module.stem.startswith("_")}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names |= set(ast.literal_eval(node.value))
    return names


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_a_plugin_declares_the_plugins_it_imports(package):
    """What is imported only inside a function may be optional; what a module needs to load may not."""
    project = tomllib.loads((package.parent / "pyproject.toml").read_text())["project"]
    declared = {line.split(">")[0].split("[")[0].strip().replace("-", "_") for line in project["dependencies"]}
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qengine_"):
                top = (node.module or "").partition(".")[0]
                assert top in declared | {package.name}, f"{path.relative_to(ROOT)}:{node.lineno} needs {top}"


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_a_hook_module_is_light(package):
    type("Laws", (PluginLaws,), {"hook_module": f"{package.name}.plugin"})().test_hook_module_is_light()


@pytest.mark.parametrize("info", [i for i in Plugins.discover().infos if i.provides], ids=lambda info: info.name)
def test_what_a_plugin_announces_is_sound(info):
    check_hook_module(info.module)


@pytest.mark.parametrize("module", ["qengine_core", "qengine_core.plugin", "qengine_core.cli"])
def test_what_every_command_imports_is_light(module):
    heavy = ["cattrs", "numpy", "numba", "pandas", "polars", "pyarrow", "plotly", "pytest", "yaml"]
    code = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_test_kit_needs_no_pytest():
    """Whoever imports it before pytest rewrites assertions, or without pytest at all, must be able to."""
    code = "import sys, qengine_core.testing; print('pytest' in sys.modules, 'numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
