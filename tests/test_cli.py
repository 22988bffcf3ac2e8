"""The ``qengine`` command stands on its own: with the kernel alone, and with every plugin broken."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qengine_core import cli, manager
from qengine_core.plugin import CommandSpec, CommissionSpec, ConfigError, component, implements, param


def qengine(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real thing, in its own process."""
    return subprocess.run(
        [sys.executable, "-m", "qengine_core", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


@component
class Percent:
    """Charges a share of the notional.

    More on it.
    """

    rate: float = param(help="share of the notional", unit="fraction", ge=0)
    cap: float | None = param(default=None, help="most that is charged")


@component
class Raising:
    """A command that does what its argument says."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("how")

    def main(self, options: argparse.Namespace, plugins: manager.Plugins) -> int:
        mistakes = {
            "config": ConfigError("This is\n wrong."),
            "interrupt": KeyboardInterrupt(),
            "missing": FileNotFoundError(2, "No such file or directory", "x.csv"),
            "bug": ZeroDivisionError("by zero"),
        }
        if options.how in mistakes:
            raise mistakes[options.how]
        return 7


@component
class Unusable:
    """A command that cannot even say what its arguments are."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        raise RuntimeError("no arguments today")

    def main(self, options: argparse.Namespace, plugins: manager.Plugins) -> int:
        return 0


class Hooks:
    @staticmethod
    @implements.commission_models
    def models() -> Iterator[CommissionSpec]:
        yield CommissionSpec(name="percent", summary="A share.", component=Percent)

    @staticmethod
    @implements.commands
    def commands() -> Iterator[CommandSpec]:
        yield CommandSpec(name="raise", summary="Raises.", component=Raising)
        yield CommandSpec(name="unusable", summary="Breaks.", component=Unusable)


def _broken() -> object:
    raise ImportError("libfoo.so is missing")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One good and one broken plugin, as if installed; the look-up of entry points is what is replaced."""
    found = [
        ("test-broken", "0.1", "broken.plugin", _broken),
        ("test-good", "1.0", "good.plugin", Hooks),
    ]
    monkeypatch.setattr(manager, "_installed", lambda: found)


def test_plugins_lists_what_works_and_what_failed_and_why(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert "test-good 1.0  [loaded]\n    command/raise, command/unusable, commission/percent\n" in out
    assert "test-broken 0.1  [failed]\n    ImportError: libfoo.so is missing\n" in out


def test_plugins_as_json(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plugins", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["test-broken"]["status"] == "failed"
    assert rows["test-good"]["provides"] == ["command/raise", "command/unusable", "commission/percent"]


def test_describe_explains_a_component(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["describe", "commission", "percent"]) == 0
    assert capsys.readouterr().out == (
        "commission percent: A share.  (test-good 1.0)\n\n"
        "Charges a share of the notional.\n\nMore on it.\n\n"
        "  rate  (a number, fraction, >= 0, required)\n      share of the notional\n"
        "  cap  (a number or none, default none)\n      most that is charged\n"
    )


def test_describe_as_json(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["describe", "commission", "percent", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["plugin"], described["parameters"][0]["unit"]) == ("test-good", "fraction")


def test_describe_lists_a_kind(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["describe", "commission"]) == 0
    assert capsys.readouterr().out == "percent          A share.  (test-good)\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["describe", "comission"], "qengine: There is no kind 'comission' (did you mean 'commission'? "),
        (
            ["describe", "commission", "percnt"],
            "qengine: There is no commission named 'percnt' (did you mean 'percent'? ",
        ),
        (["describ"], "qengine: There is no command 'describ' (did you mean 'describe'? "),
        (["fly"], "qengine: There is no command named 'fly' "),
        (["raise", "config"], "qengine: This is wrong.\n"),
        (["raise", "missing"], "qengine: No such file or directory: x.csv.\n"),
        (["raise", "bug"], "qengine: ZeroDivisionError: by zero (this was not foreseen: --traceback shows where"),
        (["unusable"], "qengine: RuntimeError: no arguments today "),
        (
            ["plugins", "--strict-plugins"],
            "qengine: Plugin test-broken failed to load: ImportError: libfoo.so is missing",
        ),
    ],
)
def test_a_mistake_is_one_sentence_on_stderr(
    installed: None, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert cli.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(sentence)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_commands_status_is_the_exit_status(installed: None) -> None:
    assert cli.main(["raise", "nothing"]) == 7


def test_interrupting_is_130(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["raise", "interrupt"]) == 130
    assert capsys.readouterr().err == "qengine: interrupted.\n"


@pytest.mark.parametrize("arguments", [["--traceback", "raise", "bug"], ["raise", "bug", "--traceback"]])
def test_a_traceback_comes_on_request_before_or_after_the_command(installed: None, arguments: list[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        cli.main(arguments)


def test_a_missing_commands_plugin_is_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(manager, "_installed", list)
    assert cli.main(["run", "x.toml"]) == 1
    assert "pip install qengine-config" in capsys.readouterr().err


def test_blocked_plugins_are_not_used() -> None:
    assert "There is no command" in qengine("run", "x.toml", QENGINE_PLUGINS="").stderr
    listed = json.loads(qengine("plugins", "--json", QENGINE_BLOCK_PLUGINS="qengine-config").stdout)
    assert [row["status"] for row in listed if row["name"] == "qengine-config"] == ["blocked"]


def test_help_and_version_need_nothing_heavy() -> None:
    helped = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "qengine_core", "--help"], capture_output=True, text=True, check=True
    )
    assert "describe" in helped.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in helped.stderr.splitlines()}
    assert not imported & {"cattrs", "numba", "numpy", "pandas", "plotly", "polars", "pyarrow", "rich", "yaml"}
    assert qengine("--version").stdout.startswith("qengine ")


def test_a_reader_that_leaves_early_gets_no_complaint(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "qengine_core", "plugins"], stdout=subprocess.PIPE, stderr=stderr
        )
        assert process.stdout is not None
        process.stdout.close()
        process.wait(timeout=60)
    assert errors.read_text() == ""
