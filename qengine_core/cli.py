"""The ``qengine`` command: works with the kernel alone and with every plugin broken.

The kernel brings ``plugins`` and ``describe``; every other subcommand is a component of kind ``command``.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence

from qengine_core import __version__
from qengine_core.errors import ConfigError, QEngineError, did_you_mean
from qengine_core.garbage import rare_collections
from qengine_core.manager import Plugins
from qengine_core.roles import Command

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``qengine`` and return its exit status: 0 done, 1 a mistake of the user's, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    want_traceback = "--traceback" in given
    try:
        with rare_collections():
            status = _main(given)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as error:
        print(_with_notes("qengine: interrupted.", error), file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone. Python would complain when it flushes stdout on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if want_traceback:
            raise
        print(_with_notes(f"qengine: {_one_sentence(error)}", error), file=sys.stderr)
        return 1


def _main(given: list[str]) -> int:
    plugins = Plugins.discover(
        allow=_listed("QENGINE_PLUGINS"),
        block=_listed("QENGINE_BLOCK_PLUGINS") or (),
        strict="--strict-plugins" in given or bool(os.environ.get("QENGINE_STRICT_PLUGINS")),
    )
    classes: dict[str, Callable[[], Command]] = {"plugins": ListPlugins, "describe": Describe}
    summaries = {"plugins": "List installed plugins and what they provide.", "describe": "Explain a component."}
    for entry in plugins.all("command"):
        classes.setdefault(entry.spec.name, entry.spec.component)
        summaries.setdefault(entry.spec.name, entry.spec.summary)
    wanted = next((word for word in given if not word.startswith("-")), None)
    if wanted is not None and wanted not in classes:
        guess = did_you_mean(wanted, classes)
        if guess.startswith("did you mean"):
            raise ConfigError(f"There is no command {wanted!r} ({guess}).")
        plugins.find("command", wanted)  # raises the sentence that says what to install
    command = classes[wanted]() if wanted is not None else None
    options = _parser(summaries, wanted, command).parse_args(given)
    assert command is not None  # argparse insists on one
    return command.main(options, plugins)


def _parser(summaries: Mapping[str, str], wanted: str | None, command: Command | None) -> argparse.ArgumentParser:
    """Every command by name, but only the wanted one configured: a broken one must not break the others."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    common.add_argument("--strict-plugins", action="store_true", help="refuse to go on if any plugin fails to load")
    parser = argparse.ArgumentParser(
        prog="qengine",
        description="A plugin-centric trading engine: backtests today, the same strategy live later.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"qengine {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in sorted(summaries):
        subparser = subparsers.add_parser(name, help=summaries[name], description=summaries[name], parents=[common])
        if name == wanted and command is not None:
            command.configure(subparser)
    return parser


class ListPlugins:
    """``qengine plugins``: what is installed, what it provides, and what failed and why."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")

    def main(self, options: argparse.Namespace, plugins: Plugins) -> int:
        if options.json:
            rows = [{s: getattr(info, s) for s in info.__slots__ if s != "__weakref__"} for info in plugins.infos]
            print(json.dumps(rows, indent=2))
            return 0
        for info in plugins.infos:
            print(f"{info.name} {info.version}  [{info.status}]")
            body = info.failure or ", ".join(info.provides) or "provides no components"
            print(textwrap.fill(body, 100, initial_indent="    ", subsequent_indent="    "))
        return 0


class Describe:
    """``qengine describe KIND [NAME]``: a component's parameters, types, units, defaults and documentation."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("kind", help="kind of component, such as commission")
        parser.add_argument("name", nargs="?", help="its name; left out, the kind's components are listed")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def main(self, options: argparse.Namespace, plugins: Plugins) -> int:
        kind = options.kind.replace("-", "_")
        if kind not in plugins.kinds():
            raise ConfigError(f"There is no kind {options.kind!r} ({did_you_mean(kind, plugins.kinds())}).")
        if options.name is None:
            for entry in plugins.all(kind):
                print(f"{entry.spec.name:<16} {entry.spec.summary}  ({entry.plugin})")
            return 0
        self._one(plugins, kind, options.name, options.json)
        return 0

    def _one(self, plugins: Plugins, kind: str, name: str, as_json: bool) -> None:
        from qengine_core.params import describe

        entry = plugins.find(kind, name)
        parameters = describe(entry.spec.component)
        settings = entry.spec.component().settings() if kind == "profile" else {}
        documentation = inspect.cleandoc(entry.spec.component.__doc__ or "")
        if as_json:
            facts = {"kind": kind, "name": entry.spec.name, "plugin": entry.plugin, "version": entry.version}
            more = {"parameters": parameters} | ({"settings": settings} if settings else {})
            print(json.dumps({**facts, "summary": entry.spec.summary, **more}, indent=2))
            return
        print(f"{kind} {entry.spec.name}: {entry.spec.summary}  ({entry.plugin} {entry.version})\n")
        print(f"{documentation}\n")
        for row in parameters:
            default = (
                "required"
                if row["required"]
                else f"default {'none' if row['default'] is None else json.dumps(row['default'])}"
            )
            facts_text = ", ".join(filter(None, [row["type"], row["unit"], *row["limits"], default]))
            print(f"  {row['name']}  ({facts_text})")
            print(textwrap.indent(textwrap.fill(row["help"], 92), "      "))
        if not parameters:
            print("  It has no parameters.")
        for part, policies in settings.items():
            print(f"\n  [{part}]")
            for key, value in policies.items():
                print(f"  {key} = {json.dumps(value)}")


def _listed(variable: str) -> list[str] | None:
    value = os.environ.get(variable)
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def _with_notes(sentence: str, error: BaseException) -> str:
    """What others noted on the error on its way up, such as where the log of the run is."""
    notes = getattr(error, "__notes__", [])
    if notes and not sentence.endswith((".", "!", "?")):  # what somebody's code raised
        sentence += "."
    return " ".join([sentence, *notes])


def _one_sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}."
    text = " ".join(str(error).split())
    if isinstance(error, (QEngineError, OSError)):
        return text
    return f"{type(error).__name__}: {text} (this was not foreseen: --traceback shows where it happened)."
