"""The manual and the README are true: examples run, commands work, and the manual builds without a warning."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from qengine_core.cli import main

sybil = pytest.importorskip("sybil", reason="needs sybil: make test installs it")
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
# The reference is written from the code, and says nothing that could be run.
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if not {"_build", "reference"} & set(p.parts)),
    ROOT / "CONTRIBUTING.md",
]
EXAMPLES = r"^```(\{code-block\} )?(python|toml|console)"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout to an example, and that examples may write to."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in os.environ if name.startswith("QENGINE_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if re.search(EXAMPLES, page.read_text(encoding="utf-8"), re.MULTILINE)],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_example_of_a_page_runs(page: Path, checkout: Path) -> None:
    """From the first to the last, in one namespace, in a folder of its own."""
    parsers = [
        PythonCodeBlockParser(),
        CodeBlockParser(language="toml", evaluator=_compose),
        CodeBlockParser(language="console", evaluator=_command),
    ]
    document = sybil.Sybil(parsers=parsers).parse(page)
    before = set(sys.modules)
    try:
        for example in document.examples():
            _save(example)
            example.evaluate()
    finally:
        for name in set(sys.modules) - before:
            if _is_below(getattr(sys.modules[name], "__file__", None), checkout):
                del sys.modules[name]


def _save(example: Any) -> None:
    """A block with a caption is a file of that name."""
    name = (example.region.lexemes.get("options") or {}).get("caption")
    if name:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(str(example.parsed), encoding="utf-8")


def _compose(example: Any) -> None:
    """A run file composes; a piece of one, without feed or strategy, does so with the missing parts added."""
    from qengine_config import load_run_file

    text = str(example.parsed)
    given = tomllib.loads(text)
    if "project" in given:  # a pyproject.toml
        return
    missing = {"feed": '[feed]\nuse = "synthetic"\n', "strategy": '[strategy]\nuse = "idle.py:Idle"\n'}
    Path("idle.py").write_text("from qengine_strategy import Strategy\nclass Idle(Strategy):\n    pass\n")
    path = Path("piece.toml")
    path.write_text(text + "\n" + "".join(part for key, part in missing.items() if key not in given), encoding="utf-8")
    load_run_file(path).engine()


def _command(example: Any) -> None:
    """Every ``$ qengine`` and ``$ pytest`` of a console block succeeds; what sets up a machine is left alone."""
    for line in str(example.parsed).splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] == ["$", "qengine"]:
            assert main(words[2:]) == 0, line
        elif words[:2] == ["$", "pytest"]:
            done = subprocess.run([sys.executable, "-m", *words[1:]], capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}"


def _is_below(file: str | None, folder: Path) -> bool:
    return file is not None and Path(file).is_relative_to(folder)


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z]+)`|^\$ make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert {first or second for first, second in named} <= targets, page


def test_every_make_target_is_one_line() -> None:
    recipes = [line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if line.startswith("\t")]
    assert recipes == []


def test_every_pin_is_a_name_and_a_version() -> None:
    """No address of a registry, no path, nothing of ours."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin) for pin in pins)
    assert not any(pin.startswith("qengine") for pin in pins)


def test_the_manual_says_what_every_key_of_a_manifest_means() -> None:
    from qengine_feeds import SyntheticFeed
    from qengine_reporting.manifest import manifest
    from qengine_strategy import Strategy

    from qengine_core import Engine

    class Idle(Strategy):
        """Does nothing."""

    page = (ROOT / "docs" / "run-folders.md").read_text(encoding="utf-8")
    keys = manifest(Engine(feed=SyntheticFeed(rows=3), strategy=Idle()).run(), {})
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_every_rule_of_execution_that_is_built_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "execution-semantics.md").read_text(encoding="utf-8")
    rules = [line for line in page.splitlines() if re.search(r"\| (built|policy|planned) \|", line)]
    files = [*ROOT.glob("tests/test_*.py"), *ROOT.glob("plugins/*/tests/test_*.py")]
    written = set(re.findall(r"def (test_\w+)", "".join(file.read_text(encoding="utf-8") for file in files)))
    assert len(rules) > 30
    for rule in rules:
        named = set(re.findall(r"`(test_\w+)`", rule))
        assert named or "| planned |" in rule, rule
        assert named <= written, f"There is no {named - written}."


def test_every_plugin_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = [
        tomllib.loads(p.read_text(encoding="utf-8"))["project"]["name"] for p in ROOT.glob("plugins/*/pyproject.toml")
    ]
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.slow
def test_the_manual_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="needs Sphinx and Furo: make test installs them")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(tmp_path / "trees")]
    done = subprocess.run([*command, str(ROOT / "docs"), str(tmp_path / "html")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "reference" / "hooks.html").is_file()
