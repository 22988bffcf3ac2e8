"""Writes the manual's reference from the code: hooks, roles, components and tables. It states no fact of its own."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import attrs

import qengine_core.vocabulary as vocabulary
from qengine_core import roles
from qengine_core.hookspecs import LIFECYCLE_HOOKS, REGISTRATION_HOOKS, RunContext, RunFailed, RunFinished, Specs
from qengine_core.manager import Plugins, Registered
from qengine_core.params import describe
from qengine_core.participant import Participant

__all__ = ["write_reference"]

ROOT = Path(__file__).resolve().parent.parent


def write_reference(folder: Path) -> None:
    """Write every page of the reference, leaving alone those that would not change."""
    from qengine_reporting.schema import as_markdown

    pages = {
        "hooks": _hooks(),
        "roles": _roles(),
        "components": _components(),
        "tables": ["# Tables of a run folder", as_markdown().replace("### ", "## ")],
    }
    folder.mkdir(exist_ok=True)
    for name, parts in pages.items():
        path, text = folder / f"{name}.md", "\n\n".join(parts) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# Hooks ----------------------------------------------------------------------------------------------


def _hooks() -> Iterator[str]:
    yield "# Hooks"
    yield _doc(inspect.getmodule(Specs))
    yield (
        "A plugin implements a hook with its typed marker: `from qengine_core.plugin import implements`. How to write "
        "one is told in the [guide for plugin authors](../plugins.md); what each kind of component must be able to do, "
        "in [Roles](roles.md)."
    )
    yield "## Registration"
    yield "Each takes no argument and yields specs. They are called once, when plugins are discovered."
    for name, spec in REGISTRATION_HOOKS.items():
        kind, role = spec.kind, _role_of(spec)
        yield f"### `{name}`"
        yield _doc(getattr(Specs, name))
        yield _bullets(
            f"marker: `@implements.{name.removeprefix('qengine_')}`",
            f"yields: `{spec.__name__}(name=..., summary=..., component=...)`",
            f"kind: `{kind}`, whose role is [`{role.__name__}`](roles.md#{role.__name__.lower()})",
        )
    yield "## Lifecycle"
    yield (
        "Each takes one context and returns nothing. While a run writes results, what an implementation of "
        "`qengine_run_finished` raises fails the run; otherwise it is noted in `result.flags`."
    )
    for name in LIFECYCLE_HOOKS:
        function = getattr(Specs, name)
        context = {"RunContext": RunContext, "RunFinished": RunFinished, "RunFailed": RunFailed}[
            function.__annotations__["context"]
        ]
        yield f"### `{name}`"
        yield _doc(function)
        yield _bullets(
            f"marker: `@implements.{name.removeprefix('qengine_')}`",
            f"argument: `context: {context.__name__}`, with " + ", ".join(f"`{f.name}`" for f in attrs.fields(context)),
        )
        yield _doc(context)


# Roles ----------------------------------------------------------------------------------------------


def _roles() -> Iterator[str]:
    yield "# Roles"
    yield _doc(roles)
    seen = set()
    for spec in REGISTRATION_HOOKS.values():
        role = _role_of(spec)
        seen.add(role)
        yield from _class(role, f"Role of the kind `{spec.kind}`.")
    for role, note in (
        (roles.Broker, "What `build` of a broker component returns."),
        (roles.Ledger, "What `build` of a ledger component returns."),
        (roles.Account, "One account of a ledger."),
        (roles.RiskRuleComponent, "In the place of a `RiskRule`, if it has state."),
        (roles.PositionView, "What a ledger answers about one instrument."),
        (Participant, "Base class of what `build` returns: it lies on the timeline. From `qengine_core.participant`."),
    ):
        yield from _class(role, note)
    yield "## Vocabulary"
    yield _doc(vocabulary)
    for name in vocabulary.__all__:
        value = getattr(vocabulary, name)
        if isinstance(value, type):
            yield f"### {name}"
            yield _doc(value)
            yield from _members(value)


def _class(cls: type, note: str) -> Iterator[str]:
    yield f"## {cls.__name__}"
    yield note
    yield _doc(cls)
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else inspect.unwrap(_plain_function(member) or cls)
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        signature = _signature(function) if not isinstance(member, property) else _result_of(function)
        documentation = inspect.getdoc(function)
        yield f"`{name}{signature}`" + (f"\n: {_indented(documentation)}" if documentation else "")


def _members(cls: type) -> Iterator[str]:
    """Values of an enumeration, or fields of a record."""
    if issubclass(cls, vocabulary.enum.Enum):
        yield ", ".join(f"`{member.name}`" for member in cls)
        return
    names = [f.name for f in attrs.fields(cls)] if attrs.has(cls) else list(getattr(cls, "_fields", ()))
    hints = get_type_hints(cls)
    yield ", ".join(f"`{name}: {_name(hints[name])}`" for name in names)


# Components -----------------------------------------------------------------------------------------


def _components() -> Iterator[str]:
    yield "# Components"
    yield (
        "What the plugins of this repository announce, by kind. A run file names them with `use`, and "
        "`qengine describe KIND NAME` prints the same facts. What you write is in the column *parameter*; everything "
        "without a default is required."
    )
    plugins = Plugins.discover(allow=_first_party())
    failed = [info for info in plugins.infos if info.failure]
    if failed:
        raise RuntimeError("; ".join(f"{info.name} does not load: {info.failure}" for info in failed))
    for kind in (spec.kind for spec in REGISTRATION_HOOKS.values()):
        entries = plugins.all(kind)
        if entries:
            yield f"## {kind}"
            yield _table(
                ("name", "what it is", "plugin"),
                ((f"[`{e.spec.name}`](#{_anchor(e)})", e.spec.summary, f"`{e.plugin}`") for e in entries),
            )
            for entry in entries:
                yield from _component(entry)


def _component(entry: Registered) -> Iterator[str]:
    cls = entry.spec.component
    yield f"({_anchor(entry)})=\n### {entry.spec.kind} `{entry.spec.name}`"
    yield _doc(cls)
    package = cls.__module__.partition(".")[0]
    if hasattr(importlib.import_module(package), cls.__name__):
        yield f"In Python: `from {package} import {cls.__name__}`"
    rows = sorted(describe(cls), key=lambda row: not row["required"])
    if rows:
        yield _table(
            ("parameter", "type", "unit", "default", "meaning"),
            ((f"`{r['name']}`", r["type"], r["unit"], _default(r), _meaning(r)) for r in rows),
        )


def _first_party() -> list[str]:
    """Distributions of this repository: whatever else is installed has no place in its manual."""
    names = []
    for path in sorted((ROOT / "plugins").glob("*/pyproject.toml")):
        found = re.search(r'^name = "(.+)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
        assert found is not None
        names.append(found[1])
    return ["qengine-core", *names]


def _anchor(entry: Registered) -> str:
    return f"component-{entry.spec.kind}-{entry.spec.name}".replace("_", "-")


def _default(row: dict[str, Any]) -> str:
    if row["required"]:
        return "required"
    return "" if row["default"] is None else f"`{json.dumps(row['default'])}`"


def _meaning(row: dict[str, Any]) -> str:
    limits = f" ({', '.join(row['limits'])})" if row["limits"] else ""
    return f"{row['help'].rstrip('.')}{limits}"


# Words ----------------------------------------------------------------------------------------------


def _role_of(spec: type[Any]) -> type:
    """The role of a kind; of two, the first."""
    role = spec.__orig_bases__[0].__args__[0]  # type: ignore[attr-defined]
    return getattr(role, "__args__", (role,))[0]  # type: ignore[no-any-return]


def _doc(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def _plain_function(member: object) -> Callable[..., Any] | None:
    inner = getattr(member, "__func__", member)
    return inner if inspect.isfunction(inner) else None


def _signature(function: Callable[..., Any]) -> str:
    """The signature as written, without ``self``."""
    signature = inspect.signature(function)
    kept = [p for p in signature.parameters.values() if p.name != "self"]
    return str(signature.replace(parameters=kept)).replace("'", "")


def _result_of(function: Callable[..., Any]) -> str:
    return f": {function.__annotations__['return']}".replace("'", "")


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint))


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _bullets(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar inside a cell would end it."""
    lines = [header, ("---" for _ in list(header)), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
