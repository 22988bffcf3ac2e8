"""Parameters are read strictly, refused in one voice, and written back as they were."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qengine_core.errors import ConfigError
from qengine_core.params import component, describe, param, structure, unstructure


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@component
class Tier:
    above: float = param(help="from which quantity", ge=0)
    fee: float = param(default=1.0, help="charge")


@component
class Everything:
    names: tuple[str, ...] = param(default=(), help="names")
    mode: Literal["a", "b"] = param(default="a", help="mode")
    either: str | int = param(default="x", help="text or number")
    number: int = param(default=1, help="a whole number", unit="bars", ge=1)
    ratio: float | None = param(default=None, help="a ratio", ge=0, lt=1)
    flag: bool = param(default=False, help="a switch")
    path: Path | None = param(default=None, help="a file")
    tiers: tuple[Tier, ...] = param(default=(), help="tiers")
    pair: tuple[float, float] = param(default=(0.0, 1.0), help="from, to")
    weights: Mapping[str, float] = param(factory=dict, help="weights")
    colour: Colour = param(default=Colour.RED, help="colour")
    tier: Tier | None = param(default=None, help="one tier")
    steps: Sequence[int] = param(default=(), help="steps")
    chosen: frozenset[str] = param(default=frozenset(), help="a set")
    choice: str = param(default="x", help="one of two", one_of=("x", "y"))
    anything: Any = param(default=None, help="whatever")


REFUSED = [
    ({"names": "abc"}, "names must be a list of text, not 'abc' (str)."),
    ({"names": ["a", 1]}, "names[1] must be text, not 1 (int)."),
    ({"names": 3}, "names must be a list of text, not 3 (int)."),
    ({"names": {"a": 1}}, "names must be a list of text, not {'a': 1} (dict)."),
    ({"mode": "c"}, "mode must be one of 'a', 'b', not 'c' (str)."),
    ({"mode": None}, "mode must be one of 'a', 'b', not None (NoneType)."),
    ({"either": 1.5}, "either must be text or a whole number, not 1.5 (float)."),
    ({"either": True}, "either must be text or a whole number, not True (bool)."),
    ({"number": 0.9}, "number must be a whole number, not 0.9 (float)."),
    ({"number": True}, "number must be a whole number, not True (bool)."),
    ({"number": "1"}, "number must be a whole number, not '1' (str)."),
    ({"number": 0}, "number must be >= 1, not 0."),
    ({"ratio": "x"}, "ratio must be a number or none, not 'x' (str)."),
    ({"ratio": 1.0}, "ratio must be < 1, not 1.0."),
    ({"ratio": float("nan")}, "ratio must be >= 0, not nan."),
    ({"flag": "no"}, "flag must be true or false, not 'no' (str)."),
    ({"flag": 1}, "flag must be true or false, not 1 (int)."),
    ({"path": 3}, "path must be a path or none, not 3 (int)."),
    ({"tiers": {"above": 1}}, "tiers must be a list of tables, not {'above': 1} (dict)."),
    ({"tiers": [3]}, "tiers[0] must be a table, not 3 (int)."),
    ({"tiers": [{"above": 1}, {"above": -1}]}, "tiers[1]: above must be >= 0, not -1.0."),
    (
        {"tiers": [{"above": 1, "fe": 2}]},
        "tiers[0]: there is no parameter 'fe' (did you mean 'fee'? known: above, fee).",
    ),
    ({"tiers": [{"fee": 1}]}, "tiers[0].above: the parameter 'above' is missing."),
    ({"pair": [1]}, "pair must be a list of 2 (a number, a number), not [1] (list)."),
    ({"pair": [1, "a"]}, "pair must be a number, not 'a' (str)."),
    ({"weights": 3}, "weights must be a table, not 3 (int)."),
    ({"weights": {"a": "b"}}, "weights.a must be a number, not 'b' (str)."),
    ({"colour": "green"}, "colour must be one of 'red', 'blue', not 'green' (str)."),
    ({"tier": {"above": "z"}}, "tier.above must be a number, not 'z' (str)."),
    ({"steps": "12"}, "steps must be a list of whole numbers, not '12' (str)."),
    ({"chosen": "a"}, "chosen must be a list of text, not 'a' (str)."),
    ({"choice": "z"}, "choice must be one of 'x', 'y', not 'z'."),
    ({"numbr": 1}, "there is no parameter 'numbr' (did you mean 'number'? known: "),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED, ids=[str(values) for values, _ in REFUSED])
def test_a_wrong_value_gets_one_sentence_with_the_parameter_first(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        structure(Everything, values, "[here] it")
    assert str(caught.value).startswith(f"[here] it: {sentence}")
    assert caught.value.key == tuple(values)


def test_two_wrong_values_are_both_said() -> None:
    with pytest.raises(ConfigError, match=r"names must be .* mode must be "):
        structure(Everything, {"names": "abc", "mode": "z"}, "x")


def test_a_long_value_is_cut_short() -> None:
    with pytest.raises(ConfigError) as caught:
        structure(Everything, {"number": list(range(1000))}, "x")
    assert len(str(caught.value)) < 200


def test_a_missing_parameter_is_named_with_what_it_means() -> None:
    with pytest.raises(ConfigError, match=r"^\[x\]: the parameter 'above' is missing \(from which quantity\)\.$"):
        structure(Tier, {}, "[x]")


def test_a_component_made_in_python_checks_its_ranges_too() -> None:
    with pytest.raises(ConfigError, match="number must be >= 1, not 'x'"):
        Everything(number="x")  # type: ignore[arg-type]


def test_values_arrive_as_the_annotated_types() -> None:
    made = structure(
        Everything,
        {"ratio": 0, "path": "a/b", "pair": [1, 2], "colour": "blue", "tiers": [{"above": 2}], "chosen": ["q", "p"]},
        "x",
    )
    assert isinstance(made.ratio, float)
    assert made.path == Path("a/b")
    assert made.pair == (1.0, 2.0)
    assert made.colour is Colour.BLUE
    assert made.tiers == (Tier(above=2.0),)
    assert made.chosen == frozenset({"p", "q"})


def test_an_exact_type_wins_in_a_union() -> None:
    @component
    class Mixed:
        value: float | int | str | None = param(default=None, help="x")

    values = [structure(Mixed, {"value": value}, "x").value for value in (1, 1.5, "1", None)]
    assert [(value, type(value)) for value in values] == [(1, int), (1.5, float), ("1", str), (None, type(None))]


plain_values = st.fixed_dictionaries(
    {},
    optional={
        "names": st.lists(st.text()),
        "mode": st.sampled_from(["a", "b"]),
        "either": st.text() | st.integers(),
        "number": st.integers(min_value=1),
        "ratio": st.none() | st.floats(0, 1, exclude_max=True),
        "flag": st.booleans(),
        "path": st.just("some/file.csv"),
        "tiers": st.lists(st.fixed_dictionaries({"above": st.floats(0, 1e9)})),
        "pair": st.tuples(st.integers(-5, 5), st.floats(-1, 1)),
        "weights": st.dictionaries(st.text(), st.floats(-1, 1)),
        "colour": st.sampled_from(["red", "blue"]),
        "tier": st.none() | st.fixed_dictionaries({"above": st.floats(0, 1)}),
        "steps": st.lists(st.integers()),
        "chosen": st.lists(st.text()),
        "anything": st.none() | st.integers() | st.lists(st.text()),
    },
)


@given(plain_values)
def test_what_is_written_down_can_be_read_back(values: dict[str, Any]) -> None:
    made = structure(Everything, values, "x")
    assert structure(Everything, unstructure(made), "x") == made


@given(st.sampled_from([field["name"] for field in describe(Everything)]), st.none() | st.booleans() | st.text())
def test_no_value_at_all_escapes_as_anything_but_a_config_error(name: str, value: Any) -> None:
    with contextlib.suppress(ConfigError):
        structure(Everything, {name: value}, "x")


def test_a_component_describes_itself() -> None:
    rows = {row["name"]: row for row in describe(Everything)}
    assert rows["number"] == {
        "name": "number",
        "type": "a whole number",
        "required": False,
        "default": 1,
        "unit": "bars",
        "limits": [">= 1"],
        "choices": [],
        "help": "a whole number",
    }
    assert rows["tiers"]["type"] == "a list of tables"
    assert rows["colour"]["choices"] == ["red", "blue"]
    assert rows["colour"]["default"] == "red"
    assert rows["choice"]["choices"] == ["x", "y"]
    assert rows["weights"]["default"] == {}
    assert rows["anything"]["type"] == "anything"
    assert describe(Tier)[0]["required"]
