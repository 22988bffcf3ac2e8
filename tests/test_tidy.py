"""House rules that no linter knows: no time and no chance but the run's own, a sentence on top, sorted public names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ("qengine_core", "plugins/*/qengine_*", "contrib/*/qengine_*")
    for base in ROOT.glob(folder)
    for path in base.rglob("*.py")
)

# Names that read a wall clock, or chance that no seed governs. ``hash()`` differs between processes.
BANNED = (
    r"time\.(time|time_ns|perf_counter|perf_counter_ns|monotonic|monotonic_ns|process_time|process_time_ns)",
    r"time\.(localtime|gmtime|ctime|strftime|sleep)",
    r"datetime\.(datetime\.)?(now|utcnow|today)",
    r"(datetime\.)?date\.today",
    r"(pd|pandas)\.Timestamp\.(now|utcnow|today)",
    r"random\.\w+",
    r"secrets\.\w+",
    r"os\.(urandom|getrandom)",
    r"uuid\.(uuid1|uuid4)",
    r"(np|numpy)\.random\.\w+",
    r"hash",
)
# Types, which name a generator without making one.
HARMLESS = {"np.random.Generator", "np.random.BitGenerator", "numpy.random.Generator"}

# File and call, with the reason.
EXEMPT = {
    ("qengine_core/wall.py", "time.perf_counter"): "the one module that reads a wall clock",
    ("qengine_core/wall.py", "datetime.now"): "the one module that reads a wall clock",
    ("qengine_core/randomness.py", "np.random.SeedSequence"): "derives a seed from the run's seed and a name",
    ("qengine_core/randomness.py", "np.random.PCG64"): "where the run's generators are made",
    ("qengine_core/randomness.py", "np.random.Generator"): "where the run's generators are made",
    ("plugins/feeds/qengine_feeds/synthetic.py", "np.random.PCG64"): "its seed is a parameter of the feed",
    ("plugins/feeds/qengine_feeds/synthetic.py", "np.random.Generator"): "its seed is a parameter of the feed",
}


def dotted(node):
    """``np.random.default_rng`` for the expression that says so, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def full_names(tree):
    """What each local name stands for, so that ``from time import perf_counter as clock`` is seen through."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def banned_uses(source):
    """Every use of a banned name, called or not, as (name, line)."""
    tree = ast.parse(source)
    names = full_names(tree)
    pattern = re.compile("|".join(f"(?:{rule})" for rule in BANNED))
    called = {call.func for call in ast.walk(tree) if isinstance(call, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Attribute, ast.Name)):
            continue
        said = dotted(node)
        first, _, rest = said.partition(".")
        meant = ".".join(filter(None, [names.get(first, first), rest]))
        short = meant.replace("datetime.datetime.", "datetime.").replace("numpy.", "np.")
        if short == "hash" and node not in called:
            continue  # a field or an argument of that name is no call of the built-in
        if isinstance(node, ast.Name) and first not in names and short != "hash":
            continue
        if pattern.fullmatch(meant) or pattern.fullmatch(short):
            if short in HARMLESS and node not in called:
                continue
            yield short, node.lineno


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_time_and_chance_come_from_the_run(path):
    wrong = [
        f"{relative(path)}:{line} uses {name}: take time from the clock and chance from run.rng(name)"
        for name, line in banned_uses(path.read_text(encoding="utf-8"))
        if (relative(path), name) not in EXEMPT
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.time()",
        "from time import perf_counter as clock; clock()",
        "import time as t; begin = t.monotonic",
        "from datetime import datetime; datetime.now()",
        "import datetime; datetime.datetime.now()",
        "from datetime import date; date.today()",
        "import random; random.random()",
        "from random import shuffle; shuffle([])",
        "import numpy as np; np.random.seed(1)",
        "import numpy as np; np.random.default_rng()",
        "from numpy.random import default_rng; default_rng(3)",
        "import numpy; numpy.random.rand()",
        "import os; os.urandom(3)",
        "import uuid; uuid.uuid4()",
        "from uuid import uuid4; uuid4()",
        "hash('a')",
        "import secrets; secrets.token_hex()",
    ],
)
def test_the_ban_sees_through(source):
    assert list(banned_uses(source))


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\ndef f(rng: np.random.Generator): return rng.random()",
        "id = 3; order.id; hash = content.hash",
        "import datetime; datetime.timedelta(1); datetime.datetime(2020, 1, 1)",
        "random = run.random; random('x')",
    ],
)
def test_the_ban_lets_be(source):
    assert not list(banned_uses(source))


def test_every_exemption_is_used():
    used = {(relative(path), name) for path in FILES for name, _ in banned_uses(path.read_text(encoding="utf-8"))}
    stale = {key for key in EXEMPT if (ROOT / key[0]).exists()} - used
    assert not stale, f"these exemptions excuse nothing: {stale}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_module_begins_with_a_sentence(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = docstring.split("\n\n")[0].strip()
    assert first.endswith("."), f"{relative(path)} must begin with one sentence on what it is"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_public_names_are_sorted(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names = ast.literal_eval(node.value)
            # ruff's order (RUF022) or plain: both are sorted, and a reader finds a name in either.
            plain, folded = sorted(names), sorted(names, key=str.lower)
            isort = sorted(names, key=lambda n: (0 if n.isupper() else 1 if n[:1].isupper() else 2, n))
            assert names in (plain, folded, isort), f"{relative(path)}: __all__ is not sorted"
            assert len(set(names)) == len(names), f"{relative(path)}: __all__ names something twice"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_function_is_longer_than_sixty_lines(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{relative(path)}:{node.lineno} {node.name} has {length} lines: split it"
