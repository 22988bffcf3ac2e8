"""Every profile composes with the standard plugins, shows in the composition, and gives way to what the run says."""

from __future__ import annotations

import json

import pytest
from qengine_strategy import Strategy

from qengine_core import Engine
from qengine_core.cli import main
from qengine_core.manager import Plugins
from qengine_core.plugin import PluginError

NAMES = [entry.spec.name for entry in Plugins.discover().all("profile") if entry.plugin == "qengine-profiles"]
FEED = {"use": "synthetic", "rows": 10}


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_sets_what_it_says_and_the_composition_shows_it(name: str) -> None:
    profile = Plugins.discover().find("profile", name).spec.component()
    config = Engine(feed=FEED, strategy=Strategy(), profile=name).config
    assert config["profile"]["use"] == name
    for kind, policies in profile.settings().items():
        shown = config[kind][0] if isinstance(config[kind], list) else config[kind]
        assert shown == {**shown, **policies}, kind


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_run_under_a_profile_composes_again(name: str) -> None:
    config = Engine(feed=FEED, strategy="examples/sma_crossover/strategy.py:SmaCrossover", profile=name).config
    assert Engine.from_config(config).config == config
    assert Engine.from_config({**config, "profile": None}).config == {
        key: value for key, value in config.items() if key != "profile"
    }


@pytest.mark.parametrize("name", NAMES)
def test_describe_shows_the_policies_of_a_profile(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Plugins.discover().find("profile", name).spec.component().settings()
    assert main(["describe", "profile", name]) == 0
    said = capsys.readouterr().out
    assert all(f"{key} = {json.dumps(value)}" in said for table in settings.values() for key, value in table.items())
    assert main(["describe", "profile", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == settings


def test_what_the_run_says_wins_over_its_profile() -> None:
    config = Engine(
        feed=FEED,
        strategy=Strategy(),
        profile="zipline",
        broker={"participation_limit": None},
        commission={"rate": 0.5},
        slippage="none",
    ).config
    assert config["broker"]["participation_limit"] is None
    assert config["broker"]["fill_timing"] == "next-close"
    assert config["commission"] == {**config["commission"], "use": "per-share", "rate": 0.5}
    assert config["slippage"] == {"use": "none"}


def test_an_unknown_profile_is_answered_with_the_nearest() -> None:
    with pytest.raises(PluginError, match="There is no profile named 'zipine' \\(did you mean 'zipline'"):
        Engine(feed=FEED, strategy=Strategy(), profile="zipine")
