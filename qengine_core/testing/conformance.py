"""The laws of every kind of component, as functions and as classes to subclass; it knows no component by name.

In the tests of a plugin::

    class TestMine(CommissionLaws):
        model = PerShare(rate=0.005, minimum=1.0)

Each law is one test method, so a report names the law that broke. The ``check_*`` functions run all laws of
a kind at once, for those who do not use pytest. A broken law is an AssertionError whose sentence says which
value broke it. A law that your component breaks on purpose is named in ``expected_failures`` with the reason.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import attrs
import numpy as np

from qengine_core.blocks import Block, Source
from qengine_core.manager import Registered
from qengine_core.params import describe, structure, unstructure
from qengine_core.vocabulary import NAN, Instrument, OrderRequest, TimeInForce

__all__ = [
    "CalendarLaws",
    "CommissionLaws",
    "ComponentLaws",
    "FeedLaws",
    "LatencyLaws",
    "OrderTypeLaws",
    "PluginLaws",
    "RiskRuleLaws",
    "SlippageLaws",
    "WarmupLaws",
    "check_calendar",
    "check_commission",
    "check_component",
    "check_feed",
    "check_hook_module",
    "check_latency",
    "check_order_type",
    "check_risk_rule",
    "check_slippage",
    "check_warmup",
    "run_laws",
]

# What a hook module and its component classes may not drag in: importing it is what start-up costs.
HEAVY = ("numba", "numpy", "pandas", "plotly", "polars", "pyarrow", "rich", "scipy", "yaml")

QUANTITIES = (1e-8, 0.1, 1.0, 7.0, 99.0, 100.0, 101.0, 1e4, 123_456.0, 1e9)
PRICES = (0.0, 1e-4, 0.5, 10.0, 99.99, 31_415.93, -37.63)  # oil has traded below zero
MULTIPLIERS = (1.0, 0.1, 50.0)
SIDES = (1.0, -1.0)
MAKERS = (0.0, 0.3, 1.0)
MONTHS = ((0.0, 0.0), (250_000.0, 4e6), (7e7, 3e9))  # quantity and notional before the order
VOLUMES = (0.0, 1.0, 250.0, 1e6, math.inf)
TAKEN = (0.0, 40.0)
SPREADS = (math.nan, 0.0, 0.01, 1.5)
VOLATILITIES = (math.nan, 0.0, 0.02)
TICKS = (0.0, 0.25)


class _Laws:
    """Gathers the laws of a class, and turns those expected to fail into strict expectations."""

    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, reason in cls.expected_failures.items():
            law = getattr(cls, name, None)
            if law is None or not name.startswith("test_"):
                raise TypeError(f"{cls.__name__}.expected_failures names {name!r}, which is not a law of its kind.")
            setattr(cls, name, _expected_to_fail(law, reason))


class ComponentLaws(_Laws):
    """What every component obeys. Set ``model`` (``feed``, ``order_type``) to an instance."""

    model: Any

    def test_is_a_frozen_attrs_class(self) -> None:
        cls = type(self.model)
        assert attrs.has(cls), f"{cls.__name__} is not an attrs class: decorate it with @component."
        for field in attrs.fields(cls):
            try:
                setattr(self.model, field.name, None)
            except (attrs.exceptions.FrozenInstanceError, attrs.exceptions.FrozenAttributeError):
                continue
            raise AssertionError(f"{cls.__name__}.{field.name} can be assigned: decorate the class with @component.")

    def test_is_documented(self) -> None:
        """The class and every parameter say what they are; a docstring inherited or made by attrs does not count."""
        cls = type(self.model)
        assert (cls.__dict__.get("__doc__") or "").strip(), f"{cls.__name__} has no docstring."
        for row in describe(cls):
            assert row["help"].strip(), f"{cls.__name__}: the parameter {row['name']!r} has no help."

    def test_can_be_pickled(self) -> None:
        """Runs are sent to other processes."""
        copy = pickle.loads(pickle.dumps(self.model))  # noqa: S301 - what is read was written one call earlier
        assert _plain(copy) == _plain(self.model), f"{type(self.model).__name__} changes when pickled."

    def test_can_be_written_down_and_read_back(self) -> None:
        """The manifest holds a component as plain values, from which replay makes it again."""
        values = unstructure(self.model)
        given = {name: value for name, value in values.items() if value is not None}
        again = structure(type(self.model), given, type(self.model).__name__)
        assert unstructure(again) == values, f"{type(self.model).__name__} is not what its own settings make."


class _ScalarLaws(ComponentLaws):
    """What the two pure scalar functions have in common."""

    _function_name: ClassVar[str]
    _may_declare: ClassVar[tuple[str, ...]] = ("one_sided",)

    def _function(self) -> Callable[..., float]:
        function: Callable[..., float] = getattr(self.model, self._function_name)
        return function

    def _points(self) -> Iterator[tuple[float, ...]]:
        raise NotImplementedError

    @functools.cached_property
    def _rates(self) -> tuple[float, ...]:
        rates: tuple[float, ...] = self.model.rates
        return rates

    def _value(self, *point: float) -> float:
        return float(self._function()(*point, self._rates))

    def test_rates_are_plain_floats(self) -> None:
        rates = self.model.rates
        assert isinstance(rates, tuple), f"rates must be a tuple, not {type(rates).__name__}."
        for rate in rates:
            assert type(rate) is float, f"rates must hold floats only, not {rate!r} ({type(rate).__name__})."
            assert not math.isnan(rate), "rates must not hold NaN."

    def test_is_a_documented_static_function(self) -> None:
        cls, name = type(self.model), self._function_name
        found = inspect.getattr_static(cls, name)
        assert isinstance(found, staticmethod), f"{cls.__name__}.{name} must be a staticmethod: it gets no self."
        assert (found.__func__.__doc__ or "").strip(), f"{cls.__name__}.{name} has no docstring."

    def test_is_finite_and_not_negative(self) -> None:
        for point in self._points():
            value = self._value(*point)
            assert math.isfinite(value), f"{self._function_name}{point} is {value}, which is not a finite number."
            assert value >= 0 or self._declares("rebate"), f"{self._function_name}{point} is {value}, below zero."

    def test_is_nothing_where_it_says_so(self) -> None:
        """A model with a true attribute ``is_nothing`` is not called at all."""
        if getattr(self.model, "is_nothing", False):
            assert not any(self._value(*point) for point in self._points()), "is_nothing, and yet something is charged."

    def test_is_pure(self) -> None:
        """The same arguments give the same number, whatever was asked in between."""
        points = list(self._points())
        first = [_bits(self._value(*point)) for point in points]
        again = [_bits(self._value(*point)) for point in reversed(points)][::-1]
        for point, before, after in zip(points, first, again, strict=True):
            assert before == after, f"{self._function_name}{point} gives another number when asked again."

    def test_does_not_depend_on_the_side(self) -> None:
        """Unless the model declares it by a true attribute ``one_sided``."""
        if self._declares("one_sided"):
            return
        for point in self._points():
            bought, sold = self._value(1.0, *point[1:]), self._value(-1.0, *point[1:])
            assert bought == sold, (
                f"{self._function_name} is {bought} for a buyer and {sold} for a seller, at {point[1:]}: "
                "a model that means it declares one_sided = True."
            )

    def test_does_not_fall_with_quantity(self) -> None:
        """Size earns no discount on the whole: a broker that charges differences would refund out of nowhere."""
        if self._declares("rebate"):
            return
        next_quantity = dict(itertools.pairwise(QUANTITIES))
        for side, less, *rest in self._points():
            more = next_quantity.get(less, less)
            low, high = self._value(side, less, *rest), self._value(side, more, *rest)
            assert low <= high, f"{self._function_name} falls from {low} for {less} units to {high} for {more}: {rest}."

    def test_compiles_to_the_same_bits(self) -> None:
        """numba's version, given the rates as an array, agrees with Python to the last bit."""
        compiled = _compiled(self._function(), len(next(self._points())))
        rates = np.array(self._rates, dtype=np.float64)
        for point in self._points():
            plain, fast = self._value(*point), float(compiled(*point, rates))
            assert _bits(plain) == _bits(fast), f"{self._function_name}{point} is {plain!r}, but {fast!r} compiled."

    def _declares(self, name: str) -> bool:
        return name in self._may_declare and bool(getattr(self.model, name, False))


class CommissionLaws(_ScalarLaws):
    """The laws of a commission model. One that may pay the trader declares it by a true attribute ``rebate``."""

    _function_name = "commission"
    _may_declare = ("one_sided", "rebate")

    def _points(self) -> Iterator[tuple[float, ...]]:
        for *point, month in itertools.product(SIDES, QUANTITIES, PRICES, MULTIPLIERS, MAKERS, MONTHS):
            yield (*point, *month)

    def test_charges_nothing_for_nothing(self) -> None:
        for side, price, multiplier, maker in itertools.product(SIDES, PRICES, MULTIPLIERS, MAKERS):
            charge = self._value(side, 0.0, price, multiplier, maker, 0.0, 0.0)
            assert charge == 0.0, f"commission of quantity 0 is {charge} at {price} x {multiplier}: no fill, no charge."


class SlippageLaws(_ScalarLaws):
    """The laws of a slippage model."""

    _function_name = "slippage"

    def _points(self) -> Iterator[tuple[float, ...]]:
        yield from itertools.product(SIDES, QUANTITIES, PRICES, VOLUMES, TAKEN, SPREADS, VOLATILITIES, TICKS)

    def test_concedes_nothing_for_nothing(self) -> None:
        for side, *rest in itertools.product(SIDES, PRICES, VOLUMES, SPREADS, VOLATILITIES, TICKS):
            price, volume, spread, volatility, tick = rest
            concession = self._value(side, 0.0, price, volume, 0.0, spread, volatility, tick)
            assert concession == 0.0, f"slippage of quantity 0 is {concession} at price {price}, volume {volume}."

    def test_does_not_fall_with_what_was_taken(self) -> None:
        """Splitting an order into several must not make it cheaper."""
        for point in self._points():
            if point[4] == 0.0:
                low, high = self._value(*point), self._value(*point[:4], 40.0, *point[5:])
                assert low <= high, f"slippage falls from {low} to {high} once 40 units of the row are taken: {point}."


class OrderTypeLaws(ComponentLaws):
    """The laws of an order type: a recipe that the matching core can follow. Set ``order_type``."""

    order_type: Any

    @property
    def model(self) -> Any:
        """The order type, under the name that the laws of all components use."""
        return self.order_type

    def test_has_at_least_one_leg(self) -> None:
        legs = self.order_type.legs()
        assert isinstance(legs, tuple), f"legs() must return a tuple, not {type(legs).__name__}."
        assert legs, "legs() is empty: an order type needs at least one primitive."

    def test_legs_refer_backwards(self) -> None:
        """The first leg answers for the request, and a leg can only wait for one that exists before it."""
        for index, leg in enumerate(self.order_type.legs()):
            if index == 0:
                assert leg.parent == -1, f"the first leg must have no parent, not {leg.parent}."
            assert -1 <= leg.parent < index, f"leg {index} has parent {leg.parent}: it must be -1 or an earlier leg."
            assert leg.group >= -1, f"leg {index} has group {leg.group}: it must be -1 or a number from 0."

    def test_legs_are_possible(self) -> None:
        for index, leg in enumerate(self.order_type.legs()):
            assert leg.side in (1, -1), f"leg {index} has side {leg.side}: it must be +1 or -1."
            assert 0 < leg.ratio < math.inf, f"leg {index} has ratio {leg.ratio}: it must be > 0 and finite."
            assert not leg.trail <= 0, f"leg {index} trails by {leg.trail}: it must be > 0, or NaN for not at all."
            assert leg.time_in_force is not TimeInForce.GTD, f"leg {index} is good till a date that it cannot say."
            for name in ("limit", "trigger", "trail"):
                assert not math.isinf(getattr(leg, name)), f"leg {index}: {name} is infinite; NaN means none."

    def test_legs_are_the_same_each_time(self) -> None:
        assert repr(self.order_type.legs()) == repr(self.order_type.legs()), "legs() answers differently each time."


class FeedLaws(ComponentLaws):
    """The laws of a feed. Set ``feed`` to one over a small data set (some hundred rows are plenty).

    Set ``truncated`` too, to a feed over the same data cut off at some time: what it says about the time
    before the cut must not differ, or the feed looks ahead.
    """

    feed: Any
    truncated: Any = None

    @property
    def model(self) -> Any:
        """The feed, under the name that the laws of all components use."""
        return self.feed

    def test_says_what_it_delivers(self) -> None:
        info = self.feed.open().info
        assert info.instruments, "info.instruments is empty: a feed must name what it delivers."
        names = [instrument.name for instrument in info.instruments]
        assert len(set(names)) == len(names), f"info.instruments names one twice: {names}."
        assert len(set(info.columns)) == len(info.columns), f"info.columns names one twice: {info.columns}."
        rows = sum(len(block) for block in self._blocks())
        assert rows > 0, "the feed delivers no rows: give the test one that does."
        assert info.rows in (None, rows), f"info.rows says {info.rows}, but {rows} rows come."

    def test_description_is_plain(self) -> None:
        import json

        text = json.dumps(dict(self.feed.open().info.description), allow_nan=False)
        assert text == json.dumps(dict(self.feed.open().info.description)), "info.description changes between openings."

    def test_blocks_are_well_formed(self) -> None:
        info = self.feed.open().info
        codes = _codes(self.feed.open())
        known = {codes[instrument.name] for instrument in info.instruments}
        for block in self._blocks():
            assert block.stream == 3, f"a block carries stream {block.stream}, not the number that was given."
            assert block.ts.dtype == np.int64, f"ts must be int64 nanoseconds, not {block.ts.dtype}."
            assert block.instrument.dtype == np.int32, f"instrument must be int32 codes, not {block.instrument.dtype}."
            assert set(block.columns) == set(info.columns), f"a block has {set(block.columns)}, not {info.columns}."
            for name, column in (("instrument", block.instrument), *block.columns.items()):
                assert len(column) == len(block.ts), f"column {name} has {len(column)} rows, ts has {len(block.ts)}."
            strangers = set(np.unique(block.instrument).tolist()) - known
            assert not strangers, f"rows carry instrument codes {strangers}, which info.instruments does not name."

    def test_time_never_turns_back(self) -> None:
        """Sorted within a block, and no timestamp split over two."""
        last = None
        for block in self._blocks():
            if not len(block):
                continue
            assert not np.any(block.ts[1:] < block.ts[:-1]), "ts falls within a block."
            assert last is None or block.ts[0] > last, f"a block begins at {block.ts[0]}, the last one ended at {last}."
            last = block.ts[-1]

    def test_blocks_stay_as_they_were(self) -> None:
        """What has been delivered is not written over: events that a strategy keeps, and curves, are read from it."""
        delivered = []
        for block in self._blocks():
            arrays: dict[str, Any] = {"ts": block.ts, "instrument": block.instrument, **block.columns}
            delivered.append((arrays, {name: array.copy() for name, array in arrays.items()}))
        for arrays, copies in delivered:
            assert _same(arrays, copies), "a block changes after it was delivered: give each block arrays of its own."

    def test_can_be_read_again(self) -> None:
        """From a second opening, and from a second pass over the same one."""
        source = self.feed.open()
        once = _flat(source)
        assert _same(once, _flat(source)), "a second pass over the opened feed differs from the first."
        assert _same(once, _flat(self.feed.open())), "opening the feed again gives other rows."

    def test_the_future_does_not_change_the_past(self) -> None:
        """Cut off the end, and every row before the cut is still the same."""
        if self.truncated is None:
            return
        short, whole = _flat(self.truncated.open()), _flat(self.feed.open())
        rows = len(short["ts"])
        assert 0 < rows < len(whole["ts"]), f"truncated has {rows} rows of {len(whole['ts'])}: it proves nothing."
        # Names rather than codes: the shorter feed may know fewer instruments.
        start = {name: column[:rows] for name, column in whole.items()}
        assert _same(short, start), "rows before the cut differ: the feed looks ahead."

    def _blocks(self) -> Iterator[Block]:
        source = self.feed.open()
        return iter(source.blocks(3, _codes(source)))


class CalendarLaws(ComponentLaws):
    """The laws of a calendar, between ``first_ts`` and ``last_ts`` (ns UTC): set them where it knows more than 2020."""

    first_ts: ClassVar[int] = 1_577_836_800_000_000_000
    last_ts: ClassVar[int] = 1_609_459_200_000_000_000

    @functools.cached_property
    def _whole(self) -> tuple[Any, Any, Any]:
        opens, closes, dates = self.model.sessions(self.first_ts, self.last_ts)
        assert len(opens), "there is no session between first_ts and last_ts: set them where there are some."
        return opens, closes, dates

    def test_sessions_are_columns_of_times_and_dates(self) -> None:
        opens, closes, dates = self._whole
        for name, column in (("opens", opens), ("closes", closes)):
            assert column.dtype == np.int64, f"{name} must be int64 nanoseconds, not {column.dtype}."
        assert dates.dtype == "datetime64[D]", f"dates must be datetime64[D], not {dates.dtype}."
        assert len(opens) == len(closes) == len(dates), f"columns of {len(opens)}, {len(closes)} and {len(dates)} rows."

    def test_sessions_follow_one_another(self) -> None:
        opens, closes, dates = self._whole
        for open_, close, date in zip(opens, closes, dates, strict=True):
            assert open_ < close, f"the session of {date} opens at {open_} and closes at {close}."
        for index in np.flatnonzero(opens[1:] < closes[:-1]):
            raise AssertionError(f"the session of {dates[index + 1]} opens before that of {dates[index]} closes.")
        for index in np.flatnonzero(dates[1:] <= dates[:-1]):
            raise AssertionError(f"the session of {dates[index]} is followed by one of {dates[index + 1]}.")

    def test_a_range_has_the_sessions_that_touch_it(self) -> None:
        """Neither more nor fewer, wherever it begins and ends: what a session is does not depend on the question."""
        opens, closes, dates = self._whole
        span = self.last_ts - self.first_ts
        moments = [self.first_ts + span * part // 7 for part in range(8)]
        moments += [int(closes[0]), int(opens[-1]), int(opens[len(opens) // 2]), int(closes[len(opens) // 2])]
        for first, last in itertools.combinations_with_replacement(sorted(moments), 2):
            expected = (closes >= first) & (opens <= last)
            for name, whole, part in zip(
                ("opens", "closes", "dates"), (opens, closes, dates), self.model.sessions(first, last), strict=True
            ):
                assert np.array_equal(whole[expected], part), f"{name} in [{first}, {last}] are not those of the whole."

    def test_says_whether_it_covers_an_instrument(self) -> None:
        answer = self.model.covers(Instrument(name="(nobody's)"))
        assert isinstance(answer, bool), f"covers() must return a bool, not {answer!r}."
        assert answer is self.model.covers(Instrument(name="(nobody's)")), "covers() answers differently each time."


class RiskRuleLaws(ComponentLaws):
    """The laws of a risk rule. One with state sets ``rule``, too: what its ``build`` returned in some run."""

    rule: Any = None

    def test_checks_or_builds_what_checks(self) -> None:
        name = type(self.model).__name__
        assert hasattr(self.model, "check") or hasattr(self.model, "build"), f"{name} has neither check nor build."

    def test_answers_with_a_reason_or_nothing(self) -> None:
        """The reason is the tail of ``risk:...``, on one line."""
        for request in self._requests():
            answer = self._check(request)
            assert isinstance(answer, str), f"check() must return a str, not {answer!r}, for {request}."
            is_plain = answer == answer.strip() and answer.isprintable()
            assert is_plain, f"check() returns {answer!r}: say it in one line."
            assert not answer.startswith("risk:"), f"check() returns {answer!r}: the broker writes 'risk:' before it."

    def test_a_rule_without_state_answers_the_same_again(self) -> None:
        if hasattr(self.model, "build"):
            return
        for request in self._requests():
            first, second = self._check(request), self._check(request)
            assert first == second, (
                f"check() returns {first!r}, then {second!r}, for {request}: state belongs in build()."
            )

    def _check(self, request: OrderRequest) -> Any:
        rule = self.model if self.rule is None else self.rule
        return rule.check(request) if hasattr(rule, "check") else ""

    def _requests(self) -> Iterator[OrderRequest]:
        grid = itertools.product((1, -1), (1e-8, 100.0, 1e9), ((NAN, NAN), (9.0, NAN), (NAN, 11.0)), (NAN, 10.0))
        for number, ((side, quantity, (limit, trigger), mark), (position, is_exit, waits)) in enumerate(
            itertools.product(grid, ((0.0, False, False), (50.0, False, False), (-1e9, True, False), (0.0, True, True)))
        ):
            yield OrderRequest(
                ts=1_577_836_800_000_000_000 + number,
                code=0,
                instrument=Instrument(name="X", multiplier=50.0),
                side=side,
                quantity=quantity,
                limit=limit,
                trigger=trigger,
                type="market",
                tag="",
                mark=mark,
                unit_value=50.0,
                position=position,
                working=7.0,
                is_exit=is_exit,
                waits=waits,
            )


class LatencyLaws(ComponentLaws):
    """The laws of a latency model, asked at ``times`` (ns UTC). One that needs a run to be built is given ``run``."""

    times: ClassVar[tuple[int, ...]] = tuple(range(1_577_836_800_000_000_000, 1_577_836_860_000_000_000, 1_234_567_891))
    run: Any = None

    def test_messages_take_whole_nanoseconds_and_no_less_than_none(self) -> None:
        latency = self.model.build(self.run)
        for leg in ("entry", "feed", "response"):
            for ts in self.times:
                answer = getattr(latency, leg)(ts)
                assert isinstance(answer, int), f"{leg}({ts}) must be an int of nanoseconds, not {answer!r}."
                assert answer >= 0, f"{leg}({ts}) is {answer}: a message cannot arrive before it is sent."

    def test_a_time_has_one_latency(self) -> None:
        """However often, and in whatever order, it is asked."""
        first, second = self.model.build(self.run), self.model.build(self.run)
        for leg in ("entry", "feed", "response"):
            forth = [getattr(first, leg)(ts) for ts in self.times]
            back = [getattr(second, leg)(ts) for ts in reversed(self.times)]
            assert forth == back[::-1], f"{leg}() answers differently when asked in another order."


class WarmupLaws(ComponentLaws):
    """The laws of what is compiled ahead: every part of it is compiled, in this process."""

    def test_every_part_has_a_name_of_its_own_and_compiles(self) -> None:
        parts = self.model.parts()
        assert parts, "there is no part: a plugin that compiles nothing announces nothing."
        assert len(set(parts)) == len(parts), f"a part is named twice in {list(parts)}."
        for part in parts:
            assert isinstance(part, str), f"a part must be named by text, not {part!r}."
            self.model.compile(part)

    def test_a_part_that_is_not_there_is_refused(self) -> None:
        try:
            self.model.compile("no such part")
        except Exception:
            return
        raise AssertionError("a part that parts() does not name was compiled: compile() takes any name.")


class PluginLaws(_Laws):
    """The laws of a plugin as a whole. Set ``hook_module`` to its dotted name, as in the entry point."""

    hook_module: str
    seconds: ClassVar[float] = 2.0

    def test_hook_module_is_light(self) -> None:
        """Importing it, and collecting what it announces, pulls in nothing heavy and is quick."""
        script = _LIGHT.format(module=self.hook_module, heavy=HEAVY)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, f"importing {self.hook_module} failed: {done.stderr.strip()}"
        seconds, heavy = done.stdout.split("|")
        assert not heavy.strip(), f"importing {self.hook_module} pulls in {heavy.strip()}: import it in methods."
        assert float(seconds) < self.seconds, f"importing {self.hook_module} takes {seconds} s: import less."

    def test_records_are_documented_and_can_be_pickled(self) -> None:
        entries = list(_announced(self.hook_module))
        lifecycle = any(hasattr(value, "qengine_impl") for value in vars(sys.modules[self.hook_module]).values())
        assert entries or lifecycle, f"{self.hook_module} implements no hook."
        for entry in entries:
            check_record(entry)


_LIGHT = """
import importlib, sys, time
import qengine_core.plugin
began = time.process_time()
module = importlib.import_module({module!r})
for value in list(vars(module).values()):
    if callable(value) and "qengine_impl" in dir(value) and value.__code__.co_argcount == 0:
        list(value())
print(time.process_time() - began, "|", *[name for name in {heavy!r} if name in sys.modules])
"""


def check_record(entry: Registered) -> None:
    """One announced component: its name, summary, class documentation and parameters. Raises AssertionError."""
    spec = entry.spec
    where = f"{spec.kind} {spec.name!r} of {entry.plugin}"
    words = spec.name.replace("_", "-").split("-")
    assert all(word.isalnum() and word == word.lower() for word in words), f"{where}: a name is lower-case words."
    assert spec.summary.strip().endswith("."), f"{where}: the summary must be a sentence."
    assert len(spec.summary) <= 100, f"{where}: the summary is longer than a line."
    assert (spec.component.__dict__.get("__doc__") or "").strip(), f"{where}: the class has no docstring."
    for row in describe(spec.component):
        assert row["help"].strip(), f"{where}: the parameter {row['name']!r} has no help."
    copy = pickle.loads(pickle.dumps(spec))  # noqa: S301 - what is read was written one call earlier
    assert copy == spec, f"{where}: the record changes when pickled."


def check_commission(model: Any) -> None:
    """Every law of a commission model. Raises AssertionError naming the value that breaks one."""
    run_laws(type("Laws", (CommissionLaws,), {"model": model}))


def check_slippage(model: Any) -> None:
    """Every law of a slippage model. Raises AssertionError naming the value that breaks one."""
    run_laws(type("Laws", (SlippageLaws,), {"model": model}))


def check_order_type(order_type: Any) -> None:
    """Every law of an order type. Raises AssertionError naming the leg that breaks one."""
    run_laws(type("Laws", (OrderTypeLaws,), {"order_type": order_type}))


def check_feed(feed: Any, truncated: Any = None) -> None:
    """Every law of a feed; ``truncated`` is the same data cut off. Raises AssertionError."""
    run_laws(type("Laws", (FeedLaws,), {"feed": feed, "truncated": truncated}))


def check_calendar(model: Any) -> None:
    """Every law of a calendar, in 2020. Raises AssertionError naming the session that breaks one."""
    run_laws(type("Laws", (CalendarLaws,), {"model": model}))


def check_risk_rule(model: Any, rule: Any = None) -> None:
    """Every law of a risk rule; ``rule`` is what one with state has built. Raises AssertionError naming the request."""
    run_laws(type("Laws", (RiskRuleLaws,), {"model": model, "rule": rule}))


def check_latency(model: Any) -> None:
    """Every law of a latency model. Raises AssertionError naming the time that breaks one."""
    run_laws(type("Laws", (LatencyLaws,), {"model": model}))


def check_warmup(model: Any) -> None:
    """Every law of what is compiled ahead. Raises AssertionError naming the part that breaks one."""
    run_laws(type("Laws", (WarmupLaws,), {"model": model}))


def check_component(component: Any) -> None:
    """What any component obeys, whatever its kind. Raises AssertionError."""
    run_laws(type("Laws", (ComponentLaws,), {"model": component}))


def check_hook_module(hook_module: str) -> None:
    """Every law of a plugin as a whole, by the dotted name of its hook module. Raises AssertionError."""
    run_laws(type("Laws", (PluginLaws,), {"hook_module": hook_module}))


def run_laws(laws: type) -> None:
    """Every law of a class of them."""
    for name in sorted(dir(laws)):
        if name.startswith("test_"):
            getattr(laws(), name)()


def _expected_to_fail(law: Callable[[Any], None], reason: str) -> Callable[[Any], None]:
    def expectation(self: Any) -> None:
        try:
            law(self)
        except Exception:  # a component may break a law by raising, too
            return
        raise AssertionError(f"{law.__name__} holds although it was expected to fail ({reason}): drop the exception.")

    expectation.__doc__ = f"Expected to fail: {reason}"
    return expectation


def _announced(hook_module: str) -> Iterator[Registered]:
    import importlib

    from qengine_core.manager import Plugins

    plugins = Plugins()
    plugins.add(importlib.import_module(hook_module), hook_module)
    for kind in plugins.kinds():
        yield from plugins.all(kind)


def _codes(source: Source) -> dict[str, int]:
    """Codes that no feed would guess: neither from 0 nor in its own order."""
    names = [instrument.name for instrument in source.info.instruments]
    return {"(somebody else's)": 0, **{name: 10 + len(names) - index for index, name in enumerate(names)}}


def _flat(source: Source) -> dict[str, Any]:
    """All rows of a feed: ``ts``, ``instrument`` as names, and each column."""
    codes = _codes(source)
    names = {code: name for name, code in codes.items()}
    blocks = [block for block in source.blocks(3, codes) if len(block)]
    if not blocks:
        return {"ts": np.empty(0, np.int64)}
    table: dict[str, Any] = {name: np.concatenate([b.columns[name] for b in blocks]) for name in source.info.columns}
    table["ts"] = np.concatenate([block.ts for block in blocks])
    table["instrument"] = np.array([names[code] for block in blocks for code in block.instrument.tolist()])
    return table


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if set(one) != set(other):
        return False
    return all(
        len(one[name]) == len(other[name])
        and bool(np.all((one[name] == other[name]) | ((one[name] != one[name]) & (other[name] != other[name]))))
        for name in one
    )


@functools.cache  # models that share a function share its compilation
def _compiled(function: Callable[..., float], scalars: int) -> Callable[..., float]:
    """Compiled as brokers do it: float64 in and out, ``rates`` a contiguous array."""
    from numba import njit, types

    compiled: Callable[..., float] = njit(types.float64(*[types.float64] * scalars, types.float64[::1]))(function)
    return compiled


def _plain(component: Any) -> tuple[type, str]:
    return type(component), repr(component)


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)
