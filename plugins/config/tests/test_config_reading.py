"""Run files are read strictly, and every mistake in one names file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qengine_config.reading import read_document

from qengine_core.plugin import ConfigError

TOML = """\
seed = 3  # a comment

[strategy]
use = "sma"
fast = 10
windows = {short = 5}

[[feed]]
path = "a.csv"

[[feed]]
path = "b.csv"

[feed.adjust]
"close" = "adj"
"""

YAML = """\
seed: 3
strategy:
  use: sma
  fast: 10
  windows: {short: 5}
feed:
  - path: a.csv
  - path: b.csv
    adjust:
      close: adj
"""

EXPECTED = {
    "seed": 3,
    "strategy": {"use": "sma", "fast": 10, "windows": {"short": 5}},
    "feed": [{"path": "a.csv"}, {"path": "b.csv", "adjust": {"close": "adj"}}],
}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    assert read_document(write(tmp_path, "x.toml", TOML)).values == EXPECTED
    assert read_document(write(tmp_path, "x.yaml", YAML)).values == EXPECTED
    assert read_document(write(tmp_path, "x.YML", YAML)).values == EXPECTED


def test_toml_keys_know_their_lines(tmp_path: Path) -> None:
    lines = read_document(write(tmp_path, "x.toml", TOML)).lines
    assert lines[("seed",)] == 1
    assert lines[("strategy",)] == 3
    assert lines[("strategy", "fast")] == 5
    assert lines[("feed", 0, "path")] == 9
    assert lines[("feed", 1, "path")] == 12


def test_yaml_keys_know_their_lines(tmp_path: Path) -> None:
    lines = read_document(write(tmp_path, "x.yaml", YAML)).lines
    assert lines[("strategy", "fast")] == 4
    assert lines[("strategy", "windows", "short")] == 5
    assert lines[("feed", 1, "adjust", "close")] == 10


def test_dates_become_iso_text(tmp_path: Path) -> None:
    expected = {"a": "2001-02-03", "b": ["2001-02-03T04:05:06+00:00"]}
    toml = "a = 2001-02-03\nb = [2001-02-03T04:05:06Z]\n"
    yaml = "a: 2001-02-03\nb: [2001-02-03T04:05:06Z]\n"
    assert read_document(write(tmp_path, "x.toml", toml)).values == expected
    assert read_document(write(tmp_path, "x.yaml", yaml)).values == expected


def test_an_empty_yaml_file_is_an_empty_table(tmp_path: Path) -> None:
    assert read_document(write(tmp_path, "x.yaml", "# nothing\n")).values == {}


def test_yaml_numbers_with_exponents_are_numbers(tmp_path: Path) -> None:
    values = read_document(write(tmp_path, "x.yaml", "a: 1e-3\nb: -2E5\nc: 1.5e+2\nd: 1e\n")).values
    assert values == {"a": 0.001, "b": -200000.0, "c": 150.0, "d": "1e"}


def test_yaml_merge_keys_work(tmp_path: Path) -> None:
    text = "base: &base {rate: 1}\nother: {<<: *base, cap: 2}\n"
    assert read_document(write(tmp_path, "x.yaml", text)).values["other"] == {"rate": 1, "cap": 2}


MISTAKES = [
    ("x.toml", "seed = 3\nfast = = 1\n", "x.toml, line 2, column 8: not valid TOML: Invalid value."),
    ("x.toml", "[a]\nb = 1\n[a]\n", "x.toml, line 3, column 3: not valid TOML: Cannot declare ('a',) twice."),
    ("x.toml", "a = 'b", "x.toml, end of document: not valid TOML: "),
    ("x.yaml", "seed: 3\nfast: [1\n", "x.yaml, line 3, column 1: not valid YAML: "),
    ("x.yaml", "a: 1\nb: 2\na: 3\n", "x.yaml, line 3: the key 'a' is already there in line 1."),
    ("x.yaml", "a:\n  b: 2\n  b: 3\n", "x.yaml, line 3: the key 'b' is already there in line 2."),
    ("x.yaml", "- 1\n- 2\n", "x.yaml: a run file is a table of keys and values, not list."),
    ("x.yaml", "a: {1: 2}\n", "x.yaml: the key 1 is not text: put it in quotes."),
    ("x.yaml", "a: !!python/object/apply:os.system [ls]\n", "x.yaml, line 1, column 4: not valid YAML: "),
    ("x.yaml", "a: \x00\n", "x.yaml: not valid YAML: "),
    ("x.ini", "a=1", "x.ini: a run file ends in .toml, .yaml or .yml, not in .ini."),
    ("run", "a=1", "run: a run file ends in .toml, .yaml or .yml, and this has no ending."),
]


@pytest.mark.parametrize(("name", "text", "sentence"), MISTAKES, ids=[repr(m[1]) for m in MISTAKES])
def test_a_mistake_names_file_and_line(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(write(tmp_path, name, text))
    assert str(caught.value).startswith(f"{tmp_path}/{sentence}")


def test_a_missing_file_is_answered_with_its_neighbours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no run file .*x\.toml; its folder has none at all\.$"):
        read_document(tmp_path / "x.toml")
    write(tmp_path, "y.toml", "")
    with pytest.raises(ConfigError, match=r"its folder has y\.toml\.$"):
        read_document(tmp_path / "x.toml")


def test_a_folder_is_not_a_run_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        read_document(tmp_path)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes("a = 'é'".encode("latin-1"))
    with pytest.raises(ConfigError, match="byte 5 is not UTF-8"):
        read_document(tmp_path / "x.toml")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_document(tmp_path / "x.toml").values == {"a": 1}


names = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
scalars = st.integers(-1000, 1000) | st.booleans() | st.from_regex(r"[a-z ]{0,8}", fullmatch=True)


@given(st.dictionaries(names, st.dictionaries(names, scalars, min_size=1), min_size=1))
def test_every_toml_key_is_found_on_the_line_it_stands_on(
    tmp_path_factory: pytest.TempPathFactory, tables: dict[str, dict[str, Any]]
) -> None:
    rows: list[str] = []
    expected = {}
    for table, entries in tables.items():
        rows += ["", f"[ {table} ]"]
        expected[(table,)] = len(rows)
        for key, value in entries.items():
            text = f'"{value}"' if isinstance(value, str) else str(value).lower()
            rows.append(f"  {key}= {text} # {key} = 1")
            expected[(table, key)] = len(rows)
    document = read_document(write(tmp_path_factory.mktemp("toml"), "x.toml", "\n".join(rows)))
    assert document.values == tables
    assert document.lines == expected
