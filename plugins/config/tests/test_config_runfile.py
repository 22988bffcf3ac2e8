"""A run file, its overrides, and where each mistake is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qengine_config import load_run_file
from qengine_config.folders import next_run_folder
from qengine_config.overrides import apply_override, from_environment, parse_overrides
from qengine_config.requirements import check_requirements, select_plugins

from qengine_core.errors import PluginError
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError

RUN = """\
seed = 3
commission = "percent"

[feed]
use = "csv"
path = "x.csv"

[strategy]
use = "mine.py:Mine"
fast = 10
"""


@pytest.fixture
def run_toml(tmp_path: Path) -> Path:
    path = tmp_path / "cross.toml"
    path.write_text(RUN)
    return path


def appended(path: Path, text: str) -> Path:
    path.write_text(RUN + text)
    return path


def test_a_run_file_says_what_to_compose(run_toml: Path) -> None:
    run_file = load_run_file(run_toml, environ={})
    assert run_file.config == {
        "seed": 3,
        "commission": "percent",
        "feed": {"use": "csv", "path": "x.csv"},
        "strategy": {"use": "mine.py:Mine", "fast": 10},
    }
    assert (run_file.base, run_file.name, run_file.out) == (run_toml.parent, "cross", None)
    assert (run_file.require, run_file.allow, run_file.block) == ((), None, ())


def test_a_run_file_says_by_instrument_whether_lots_are_whole_or_fractions(tmp_path: Path) -> None:
    rows = [
        f"2020-01-0{day}T00:00:00Z,{name},10,10,10,10" for day in (1, 2, 3) for name in ("AAPL", "BTCUSD", "ETHUSD")
    ]
    (tmp_path / "prices.csv").write_text("\n".join(["ts,instrument,open,high,low,close", *rows]))
    (tmp_path / "mine.py").write_text(
        "from qengine_strategy import Strategy\n\n\nclass Mine(Strategy):\n"
        "    def on_start(self, ctx):\n"
        "        for name in ctx.instruments:\n"
        "            ctx.buy(name, 1.23456)\n"
        "            ctx.buy(name, 0.0004)\n\n"
        "    def on_bar(self, ctx, bar):\n"
        "        pass\n"
    )
    path = tmp_path / "run.toml"
    path.write_text(
        'strategy = "mine.py:Mine"\n'
        '[feed]\nuse = "csv"\npath = "prices.csv"\nstamp = "close"\nlot_size = 1\n'
        "[feed.details]\nBTCUSD = { lot_size = 0.001 }\nETHUSD = { lot_size = 0 }\n"
    )
    result = load_run_file(path, environ={}).engine().run()
    filled = result.fills.select("instrument", "quantity").rows()
    assert filled == [("AAPL", 1.0), ("BTCUSD", 1.234), ("ETHUSD", 1.23456), ("ETHUSD", 0.0004)]
    assert result.counts["rejections"] == {"zero-quantity": 2}


def test_plugins_and_run_are_tables_of_their_own(run_toml: Path) -> None:
    text = '[plugins]\nrequire = ["a>=1"]\nallow = ["b"]\nblock = ["c"]\n[run]\nout = "results"\nname = "it"\n'
    run_file = load_run_file(appended(run_toml, text), environ={})
    assert (run_file.require, run_file.allow, run_file.block) == (("a>=1",), ("b",), ("c",))
    assert (run_file.out, run_file.name) == (run_toml.parent / "results", "it")
    assert "plugins" not in run_file.config
    assert "run" not in run_file.config


def test_a_file_called_run_goes_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "momentum"
    folder.mkdir()
    (folder / "run.toml").write_text(RUN)
    assert load_run_file(folder / "run.toml", environ={}).name == "momentum"


def test_environment_comes_before_set_and_the_last_one_wins(run_toml: Path) -> None:
    environ = {"QENGINE_SET_strategy__fast": "20", "QENGINE_SET_SEED": "4", "UNRELATED": "1"}
    run_file = load_run_file(run_toml, ["strategy.fast=30", "strategy.fast=40"], environ=environ)
    assert run_file.config["strategy"]["fast"] == 40
    assert run_file.config["seed"] == 4
    assert load_run_file(run_toml, environ=environ).config["strategy"]["fast"] == 20


def test_the_process_environment_is_the_default(run_toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QENGINE_SET_strategy__fast", "20")
    assert load_run_file(run_toml).config["strategy"]["fast"] == 20


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("0.5", 0.5),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('{use = "x"}', {"use": "x"}),
        ('"20"', "20"),
        ("per-share", "per-share"),
        ("a=b", "a=b"),
        ("007", "007"),
        ("", ""),
        ("2001-02-03", "2001-02-03"),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_a_value_is_read_as_toml_and_taken_as_text_otherwise(text: str, value: Any) -> None:
    (override,) = parse_overrides([f"strategy.x={text}"])
    assert override.key == ("strategy", "x")
    assert override.value == value


PLACES = [
    ({"feed": {"path": "a"}}, "feed.path", {"feed": {"path": 1}}),
    ({"feed": {"path": "a"}}, "feed.0.path", {"feed": {"path": 1}}),
    ({"feed": [{"path": "a"}]}, "feed.path", {"feed": [{"path": 1}]}),
    ({"feed": ["csv", {"path": "a"}]}, "feed.1.path", {"feed": ["csv", {"path": 1}]}),
    ({"feed": ["csv", "csv"]}, "feed.0.path", {"feed": [{"use": "csv", "path": 1}, "csv"]}),
    ({"feed": ["csv"]}, "feed.path", {"feed": [{"use": "csv", "path": 1}]}),
    ({"feed": ["csv", "csv"]}, "feed.1", {"feed": ["csv", 1]}),
    ({"commission": "percent"}, "commission.rate", {"commission": {"use": "percent", "rate": 1}}),
    ({"commission": {"use": "percent"}}, "commission", {"commission": 1}),
    ({}, "commission.rate", {"commission": {"rate": 1}}),
    ({}, "feed.details.AAPL.multiplier", {"feed": {"details": {"AAPL": {"multiplier": 1}}}}),
    ({"strategy": {"w": [5, 6]}}, "strategy.w.1", {"strategy": {"w": [5, 1]}}),
]


@pytest.mark.parametrize(("before", "key", "after"), PLACES, ids=[f"{p[1]} in {p[0]}" for p in PLACES])
def test_an_override_finds_its_place(before: dict[str, Any], key: str, after: dict[str, Any]) -> None:
    (override,) = parse_overrides([f"{key}=1"])
    apply_override(before, override)
    assert before == after


keys = st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=1, max_size=4)


@given(keys, st.integers())
def test_what_is_set_can_be_found_where_it_was_set(key: list[str], value: int) -> None:
    values: dict[str, Any] = {}
    (override,) = parse_overrides([f"{'.'.join(key)}={value}"])
    assert apply_override(values, override) == tuple(key)
    found: Any = values
    for part in key:
        found = found[part]
    assert found == value


@given(keys, st.integers())
def test_the_environment_says_the_same_as_set(key: list[str], value: int) -> None:
    (from_variable,) = from_environment({f"QENGINE_SET_{'__'.join(key)}": str(value)})
    (from_option,) = parse_overrides([f"{'.'.join(key)}={value}"])
    assert (from_variable.key, from_variable.value) == (from_option.key, from_option.value)


BAD_OVERRIDES = [
    ("fast", "--set fast: a setting is written KEY=VALUE, as in strategy.fast=20."),
    ("=3", "--set =3: a setting is written KEY=VALUE"),
    ("a..b=3", "--set a..b=3: a setting is written KEY=VALUE"),
    ("strateg.fast=3", "--set strateg.fast=3: there is no setting 'strateg' (did you mean 'strategy'? known: "),
    ("feed.7.path=x", "--set feed.7.path=x: 7 is the index of a list, and there is a table."),
    ("seed.x=1", "--set seed.x=1: seed is 3, which has no settings of its own."),
    (
        "plugins.requires=[]",
        "--set plugins.requires=[]: there is no setting in [plugins] named 'requires' (did you mean",
    ),
    ("plugins.require=a", "--set plugins.require=a: plugins.require must be a list of text, not 'a'."),
    ("plugins.block=[1]", "--set plugins.block=[1]: plugins.block must be a list of text, not [1]."),
    ("run.out=3", "--set run.out=3: run.out must be text, not 3."),
    ("run.name=a/b", "--set run.name=a/b: run.name must be usable as the name of a folder, not 'a/b'."),
    ("run=3", "--set run=3: [run] must be a table with out, name, not 3."),
]


@pytest.mark.parametrize(("text", "sentence"), BAD_OVERRIDES)
def test_a_wrong_override_is_quoted(run_toml: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_file(run_toml, [text], environ={})
    assert str(caught.value).startswith(sentence)


def test_an_index_beyond_the_list_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("feed: [csv, csv]\n")
    with pytest.raises(ConfigError, match="there is no entry 2: there are 2, counted from 0"):
        load_run_file(tmp_path / "x.yaml", ["feed.2.path=x"], environ={})
    with pytest.raises(ConfigError, match="there are 2 entries: write an index before 'path'"):
        load_run_file(tmp_path / "x.yaml", ["feed.path=x"], environ={})


def test_an_unknown_key_of_the_file_is_answered_with_line_and_nearest(run_toml: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_file(appended(run_toml, "\n[comission]\nrate = 1\n"), environ={})
    assert str(caught.value).startswith(
        f"{run_toml}, line 12: there is no setting 'comission' (did you mean 'commission'? known: "
    )


COMPOSED = [
    ("", (), "{path}, line 5: There is no feed named 'csv' "),
    ("", ("feed.use=parquet",), "--set feed.use=parquet: There is no feed named 'parquet' "),
    ("", ("feed=qengine_config.commands:RunCommand",), "{path}, line 9: There is no file {base}/mine.py"),
    (
        "",
        ('feed={use = "qengine_config.commands:RunCommand", pth = 1}',),
        '--set feed={{use = "qengine_config.commands:RunCommand", pth = 1}}: [feed] '
        "qengine_config.commands:RunCommand: there is no parameter 'pth'",
    ),
]


@pytest.mark.parametrize(("text", "overrides", "sentence"), COMPOSED)
def test_a_mistake_found_while_composing_names_its_place(
    run_toml: Path, text: str, overrides: tuple[str, ...], sentence: str
) -> None:
    run_file = load_run_file(appended(run_toml, text), overrides, environ={})
    with pytest.raises((ConfigError, PluginError)) as caught:
        run_file.engine(Plugins())
    assert str(caught.value).startswith(sentence.format(path=run_toml, base=run_toml.parent))


def test_a_missing_component_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("seed = 1\n")
    with pytest.raises(ConfigError, match=r"x\.toml: \[feed\] is missing"):
        load_run_file(tmp_path / "x.toml", environ={}).engine(Plugins())


REQUIREMENTS = [
    ("acme-costs>=0.1", "This run needs acme-costs>=0.1, which is not installed: pip install 'acme-costs>=0.1'"),
    ("attrs>=9999", "This run needs attrs>=9999, but "),
    ("not a requirement", "{path}: plugins.require has 'not a requirement', which is no requirement such as"),
]


@pytest.mark.parametrize(("requirement", "sentence"), REQUIREMENTS)
def test_what_is_required_and_not_there_is_what_to_install(run_toml: Path, requirement: str, sentence: str) -> None:
    run_file = load_run_file(run_toml, [f'plugins.require=["{requirement}"]'], environ={})
    with pytest.raises((ConfigError, PluginError)) as caught:
        check_requirements(run_file, Plugins())
    assert str(caught.value).startswith(sentence.format(path=run_toml))


@pytest.mark.parametrize("requirement", ["attrs>=20", "attrs", 'acme-costs; python_version < "3"'])
def test_what_is_required_and_there_passes(run_toml: Path, requirement: str) -> None:
    run_file = load_run_file(run_toml, [f"plugins.require=['{requirement}']"], environ={})
    check_requirements(run_file, Plugins())


def test_a_required_plugin_that_is_blocked_is_said_to_be(run_toml: Path) -> None:
    texts = ['plugins.require=["qengine-config"]', 'plugins.block=["QEngine_Config"]']
    run_file = load_run_file(run_toml, texts, environ={})
    with pytest.raises(PluginError, match="needs qengine-config, which is installed but blocked"):
        check_requirements(run_file, select_plugins(run_file, Plugins()))


def test_allow_and_block_choose_the_plugins(run_toml: Path) -> None:
    everything = Plugins.discover()
    assert select_plugins(load_run_file(run_toml, environ={}), everything) is everything
    allowing = load_run_file(run_toml, ['plugins.allow=["qengine-config"]'], environ={})
    loaded = [info.name for info in select_plugins(allowing, everything).infos if info.status == "loaded"]
    assert loaded == ["qengine-core", "qengine-config"]


def test_what_the_environment_blocks_stays_blocked(run_toml: Path) -> None:
    run_file = load_run_file(run_toml, ['plugins.allow=["qengine-config"]'], environ={})
    chosen = select_plugins(run_file, Plugins.discover(block={"qengine-config"}))
    assert [info.name for info in chosen.infos if info.status == "loaded"] == ["qengine-core"]


def test_run_folders_are_counted_up_whatever_became_of_the_last(tmp_path: Path) -> None:
    parent = tmp_path / "a" / "b"
    assert next_run_folder(parent, "x") == parent / "x-001"
    for taken in ("x-001", ".x-002.partial", "x-007.failed", "x-y-050", "xx-060", "x-08", "x-0090"):
        (parent / taken).mkdir()
    assert next_run_folder(parent, "x") == parent / "x-091"


def test_a_place_that_takes_no_folder_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"Results cannot go to .*file: File exists\. Choose another folder with --out"
    ):
        next_run_folder(tmp_path / "file", "x")
