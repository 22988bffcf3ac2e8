"""A composition resolves names, tables, objects and files, and can be written down and made again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qengine_core.compose import compose
from qengine_core.errors import ConfigError, PluginError, QEngineError
from qengine_core.manager import Plugins
from qengine_core.plugin import (
    BrokerSpec,
    CalendarSpec,
    CommissionSpec,
    FeedSpec,
    LedgerSpec,
    Leg,
    OrderType,
    OrderTypeSpec,
    ProfileSpec,
    SlippageSpec,
    StrategySpec,
    component,
    implements,
    param,
)
from qengine_core.roles import RunnerSpec


@component
class FileFeed:
    """Reads files that nobody opens here."""

    path: str | Path = param(help="where")
    more: tuple[Path, ...] = param(default=(), help="where else")
    named: Mapping[str, Path] = param(factory=dict, help="by name")
    label: str = param(default="", help="not a path, whatever it looks like")


@component
class Part:
    """Stands in for the kinds that these tests only name."""

    rate: float = param(default=0.0, help="rate", ge=0)


@component
class Patient:
    """An order type with a price."""

    price: float = param(help="price", gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(limit=self.price),)


@component
class Pair:
    """An order type made of others."""

    orders: tuple[OrderType, ...] = param(help="order types")
    spare: OrderType | None = param(default=None, help="one more")

    def legs(self) -> tuple[Leg, ...]:
        return tuple(leg for order in self.orders for leg in order.legs())


@component
class Trader:
    """A strategy that is told how to trade."""

    entry: OrderType = param(help="how to enter")


def _announcements() -> SimpleNamespace:
    def announce(marker: Any, spec: Any, **components: type) -> Any:
        return marker(lambda: [spec(name=name, summary=name, component=cls) for name, cls in components.items()])

    return SimpleNamespace(
        feeds=announce(implements.feeds, FeedSpec, file=FileFeed),
        strategies=announce(implements.strategies, StrategySpec, hold=Part, trader=Trader),
        order_types=announce(implements.order_types, OrderTypeSpec, patient=Patient, pair=Pair),
        ledgers=announce(implements.ledgers, LedgerSpec, standard=Part),
        brokers=announce(implements.brokers, BrokerSpec, simulated=Part),
        commissions=announce(implements.commission_models, CommissionSpec, none=Part, percent=Part),
        slippages=announce(implements.slippage_models, SlippageSpec, none=Part),
        calendars=announce(implements.calendars, CalendarSpec, **{"utc-days": Part}),
        runners=announce(implements.runners, RunnerSpec, python=Part),
    )


@pytest.fixture
def plugins() -> Plugins:
    found = Plugins()
    found.add(_announcements(), "test-parts", "1.2")
    return found


def given(**more: Any) -> dict[str, Any]:
    return {"feed": {"use": "file", "path": "x.csv"}, "strategy": "hold", **more}


def test_names_tables_and_defaults_become_components(plugins: Plugins) -> None:
    made = compose(plugins, given(commission={"use": "percent", "rate": 1}), Path())
    assert made.components["commission"] == (Part(rate=1.0),)
    assert made.config["commission"] == {"use": "percent", "rate": 1.0}
    assert made.config["slippage"] == {"use": "none", "rate": 0.0}
    assert made.config["feed"] == [{"use": "file", "path": "x.csv", "more": [], "named": {}, "label": ""}]
    assert made.config["report"] == []
    assert made.plugins_used == {"test-parts": "1.2"}


def test_a_table_without_use_sets_the_default_component(plugins: Plugins) -> None:
    assert compose(plugins, given(ledger={"rate": 2.0}), Path()).components["ledger"] == (Part(rate=2.0),)


def test_an_object_is_taken_as_it_is_and_written_down_by_name(plugins: Plugins) -> None:
    made = compose(plugins, given(commission=Part(rate=3.0)), Path())
    assert made.config["commission"] == {"use": "none", "rate": 3.0}


def test_relative_paths_are_taken_from_the_base(plugins: Plugins) -> None:
    feed = {"use": "file", "path": "x.csv", "more": ["a", "/b"], "named": {"k": "c"}, "label": "d.csv"}
    made = compose(plugins, given(feed=feed), Path("/data"))
    (component_made,) = made.components["feed"]
    assert component_made.path == "/data/x.csv"
    assert component_made.more == (Path("/data/a"), Path("/b"))
    assert component_made.named == {"k": Path("/data/c")}
    assert component_made.label == "d.csv"


def test_a_recorded_composition_needs_no_base(plugins: Plugins, tmp_path: Path) -> None:
    _write_strategy(tmp_path / "mine.py")
    first = compose(plugins, given(strategy={"use": "mine.py:Mine", "speed": 2}), tmp_path)
    again = compose(plugins, first.config, Path("/elsewhere"))
    assert again.config == first.config
    assert again.components["strategy"][0].speed == 2


def test_a_path_from_home_stays_there(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = compose(plugins, given(feed={"use": "file", "path": "~/x.csv"}), Path("/data"))
    assert made.components["feed"][0].path == str(tmp_path / "x.csv")


def test_two_files_of_one_stem_do_not_get_in_each_others_way(plugins: Plugins, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _write_strategy(tmp_path / name / "mine.py", f"{name}_speed")
    uses = [{"use": f"{name}/mine.py:Mine", f"{name}_speed": 5} for name in ("one", "two")]
    one, two = compose(plugins, given(strategy=uses), tmp_path).components["strategy"]
    assert (one.one_speed, two.two_speed) == (5, 5)


def _write_strategy(path: Path, parameter: str = "speed") -> None:
    path.write_text(
        "from __future__ import annotations\n"
        "from qengine_core.plugin import component, param\n"
        "@component\n"
        "class Mine:\n"
        f"    {parameter}: int = param(default=1, help='x')\n"
        "class Plain: pass\n"
    )


@component
class Careful:
    """A profile that sets a rate."""

    rate: float = param(default=0.25, help="the rate that it sets", ge=0)

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        return {"commission": {"use": "percent", "rate": self.rate}, "ledger": {"rate": 7.0}}


@component
class Lost:
    """A profile that sets what does not exist."""

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        return {"comission": {}}


@pytest.fixture
def with_profiles(plugins: Plugins) -> Plugins:
    specs = [
        ProfileSpec(name="careful", summary="", component=Careful),
        ProfileSpec(name="lost", summary="", component=Lost),
    ]
    plugins.add(SimpleNamespace(profiles=implements.profiles(lambda: specs)), "test-profiles", "3")
    return plugins


def test_a_profile_of_any_plugin_completes_what_the_run_leaves_out(with_profiles: Plugins) -> None:
    made = compose(with_profiles, given(profile={"use": "careful", "rate": 0.5}), Path())
    assert made.config["profile"] == {"use": "careful", "rate": 0.5}
    assert made.config["commission"] == {"use": "percent", "rate": 0.5}
    assert made.config["ledger"] == {"use": "standard", "rate": 7.0}
    assert made.plugins_used["test-profiles"] == "3"
    assert compose(with_profiles, made.config, Path()).config == made.config


@pytest.mark.parametrize(
    ("said", "resolved"),
    [
        ({"rate": 1.0}, {"use": "percent", "rate": 1.0}),
        ("percent", {"use": "percent", "rate": 0.25}),
        ("test-parts/percent", {"use": "test-parts/percent", "rate": 0.25}),
        ("none", {"use": "none", "rate": 0.0}),
        ({"use": "none", "rate": 2.0}, {"use": "none", "rate": 2.0}),
        (Part(rate=3.0), {"use": "none", "rate": 3.0}),
    ],
)
def test_what_the_run_says_of_a_component_wins_over_its_profile(
    said: Any, resolved: dict[str, Any], with_profiles: Plugins
) -> None:
    made = compose(with_profiles, given(profile="careful", commission=said), Path())
    assert made.config["commission"] == resolved


def test_a_profile_that_sets_an_unknown_kind_is_refused(with_profiles: Plugins) -> None:
    with pytest.raises(
        ConfigError, match="Profile lost sets 'comission', which no run has \\(did you mean 'commission'"
    ):
        compose(with_profiles, given(profile="lost"), Path())


MISTAKES: list[tuple[dict[str, Any], type[QEngineError], str, tuple[str | int, ...]]] = [
    (
        {"commission": "percnt"},
        PluginError,
        "There is no commission named 'percnt' (did you mean 'percent'? known: none, percent).",
        ("commission", 0),
    ),
    (
        {"commission": {"use": "percent", "rat": 1}},
        ConfigError,
        "[commission] percent: there is no parameter 'rat' (did you mean 'rate'? known: rate).",
        ("commission", 0, "rat"),
    ),
    (
        {"commission": {"use": "percent", "rate": -1}},
        ConfigError,
        "[commission] percent: rate must be >= 0, not -1.0.",
        ("commission", 0, "rate"),
    ),
    (
        {"strategy": ["hold", {"use": "hold", "rate": "x"}]},
        ConfigError,
        "[strategy.1] hold: rate must be a number, not 'x' (str).",
        ("strategy", 1, "rate"),
    ),
    (
        {"strategy": {"rate": 1}},
        ConfigError,
        '[strategy] needs use = "name", saying which strategy to use.',
        ("strategy", 0),
    ),
    (
        {"strategy": Part},
        ConfigError,
        "[strategy] is the class Part: make a component of it with Part().",
        ("strategy", 0),
    ),
    (
        {"commission": 5},
        ConfigError,
        "[commission] must be a name or a table with use, not 5 (int).",
        ("commission", 0),
    ),
    ({"commission": ["none", "none"]}, ConfigError, "[commission] must name exactly one component, not 2.", ()),
    ({"feed": None}, ConfigError, "[feed] is missing: say which feed to use.", ()),
    (
        {"strategy": "none_such.py:Mine"},
        ConfigError,
        "There is no file /base/none_such.py: 'use' must name a .py file, relative to the run",
        ("strategy", 0),
    ),
    (
        {"strategy": "no_such_module:Mine"},
        ConfigError,
        "[strategy] use = 'no_such_module:Mine': cannot import no_such_module: ModuleNotFoundError: No module",
        ("strategy", 0),
    ),
    (
        {"strategy": "qengine_core.clock:X"},
        ConfigError,
        "[strategy] use = 'qengine_core.clock:X': qengine_core.clock has no component class 'X' (known: ",
        ("strategy", 0),
    ),
]


@pytest.mark.parametrize(("values", "kind", "sentence", "key"), MISTAKES, ids=[str(m[0]) for m in MISTAKES])
def test_a_mistake_is_one_sentence_that_knows_its_place(
    plugins: Plugins, values: dict[str, Any], kind: type[QEngineError], sentence: str, key: tuple[str | int, ...]
) -> None:
    with pytest.raises(kind) as caught:
        compose(plugins, given(**values), Path("/base"))
    assert str(caught.value).startswith(sentence)
    assert caught.value.key == key


def test_a_file_that_does_not_import_says_why_and_leaves_no_module(plugins: Plugins, tmp_path: Path) -> None:
    import sys

    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(ConfigError, match=r"cannot import .*broken\.py: ModuleNotFoundError"):
        compose(plugins, given(strategy="broken.py:Mine"), tmp_path)
    assert not [name for name in sys.modules if name.startswith("qengine_user_broken")]


def test_a_file_lists_the_component_classes_it_has(plugins: Plugins, tmp_path: Path) -> None:
    _write_strategy(tmp_path / "mine.py")
    with pytest.raises(ConfigError, match=r"no component class 'Main' \(did you mean 'Mine'"):
        compose(plugins, given(strategy="mine.py:Main"), tmp_path)


def test_a_parameter_may_hold_components_by_name_or_table(plugins: Plugins) -> None:
    """To any depth; what is written down names them, and composes to the same."""
    entry = {"use": "pair", "orders": [{"use": "patient", "price": 2}, {"use": "test-parts/patient", "price": 3.0}]}
    made = compose(plugins, given(strategy={"use": "trader", "entry": entry}), Path())
    expected = Trader(entry=Pair(orders=(Patient(price=2.0), Patient(price=3.0))))
    assert made.components["strategy"] == (expected,)
    written = made.config["strategy"][0]
    assert written["entry"]["orders"][0] == {"use": "test-parts/patient", "price": 2.0}
    assert written["entry"]["spare"] is None
    again = compose(plugins, given(strategy=written), Path())
    assert again.components["strategy"] == (expected,)
    assert compose(plugins, given(strategy=expected), Path()).config["strategy"] == [written]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("patien", "There is no order_type named 'patien' .*'patient'"),
        ({"use": "patient", "price": -1.0}, r"\[strategy\] trader entry patient: price must be > 0, not -1.0"),
        ({"price": 1.0}, r"\[strategy\] trader entry needs use"),
        (3.0, r"\[strategy\] trader entry must be a name or a table with use, not 3.0"),
    ],
)
def test_a_component_in_a_parameter_is_checked_as_any_other(plugins: Plugins, entry: Any, sentence: str) -> None:
    with pytest.raises(QEngineError, match=sentence):
        compose(plugins, given(strategy={"use": "trader", "entry": entry}), Path())
