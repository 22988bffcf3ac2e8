"""Every first-party component obeys the laws of its kind, and the kit catches a component that breaks one."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import pickle
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import polars as pl
import pytest
from qengine_broker_sim import MeasuredLatency
from qengine_costs import Charge
from qengine_orders import Limit, Stop

from qengine_core.blocks import Block, StreamInfo
from qengine_core.hookspecs import implements
from qengine_core.manager import Plugins
from qengine_core.plugin import CommissionSpec, FeedSpec, Instrument, Leg, component, param
from qengine_core.testing import (
    CalendarLaws,
    CommissionLaws,
    FeedLaws,
    LatencyLaws,
    OrderTypeLaws,
    RiskRuleLaws,
    SlippageLaws,
    check_calendar,
    check_commission,
    check_component,
    check_feed,
    check_financing,
    check_hook_module,
    check_latency,
    check_order_type,
    check_risk_rule,
    check_slippage,
    check_warmup,
)
from qengine_core.testing.conformance import check_record
from qengine_core.testing.sandbox import plugin_sandbox

CHECKS = {
    "commission": check_commission,
    "slippage": check_slippage,
    "order_type": check_order_type,
    "feed": check_feed,
    "calendar": check_calendar,
    "financing": check_financing,
    "warmup": check_warmup,
    "risk": check_risk_rule,
}

# Parameters for components that have no sensible default.
EXAMPLES = {
    ("commission", "maker-taker"): {"maker": -0.0001, "taker": 0.0005},
    ("commission", "per-contract"): {"rate": 0.85, "exchange": 1.38, "regulatory": 0.02},
    ("commission", "per-share"): {"rate": 0.005, "minimum": 1.0},
    ("commission", "per-trade"): {"amount": 4.95},
    ("commission", "percent"): {"bps": 5.0},
    ("commission", "schedule"): {"charges": (Charge(rate=0.001), Charge(per="charges", rate=0.1, side="buy"))},
    ("commission", "tiered"): {"tiers": ((0.0, 0.01), (1000.0, 0.005))},
    ("slippage", "fixed-bps"): {"bps": 5.0},
    ("slippage", "half-spread"): {"bps": 5.0},
    ("position_rule", "stop-loss"): {"fraction": 0.05},
    ("position_rule", "take-profit"): {"amount": 3.0},
    ("position_rule", "time-exit"): {"bars": 20},
    ("position_rule", "trailing-stop"): {"fraction": 0.1},
    ("risk", "borrow-limit"): {"quantity": 1_000.0},
    ("risk", "instruments"): {"blocked": ("GME",)},
    ("risk", "max-daily-loss"): {"fraction": 0.03},
    ("risk", "max-drawdown"): {"fraction": 0.2},
    ("risk", "max-leverage"): {"gross": 2.0},
    ("risk", "max-order"): {"quantity": 1_000.0, "notional": 1e6},
    ("risk", "max-position"): {"fraction": 0.1},
    ("risk", "order-rate"): {"orders": 10},
    ("risk", "price-collar"): {"fraction": 0.1},
    ("order_type", "bracket"): {"take_profit": 11.0, "stop_loss": 9.0},
    ("order_type", "iceberg"): {"price": 10.0, "display": 100.0},
    ("order_type", "limit"): {"price": 10.0},
    ("order_type", "limit-if-touched"): {"price": 9.0, "limit": 9.5},
    ("order_type", "limit-on-close"): {"price": 10.0},
    ("order_type", "limit-on-open"): {"price": 10.0},
    ("order_type", "market-if-touched"): {"price": 9.0},
    ("order_type", "one-cancels-other"): {"orders": (Limit(price=9.0), Stop(price=11.0))},
    ("order_type", "one-triggers-other"): {"first": Limit(price=9.0), "then": Stop(price=8.0)},
    ("order_type", "one-updates-other"): {"orders": (Limit(price=9.0), Stop(price=11.0))},
    ("order_type", "percent-of-volume"): {"share": 0.1},
    ("order_type", "post-only"): {"price": 10.0},
    ("order_type", "stop"): {"price": 11.0},
    ("order_type", "stop-limit"): {"price": 11.0, "limit": 11.5},
    ("order_type", "trailing-stop"): {"amount": 1.0},
    ("order_type", "trailing-stop-limit"): {"fraction": 0.05, "limit_offset": 0.1},
    ("order_type", "twap"): {"slices": 4, "seconds": 60.0},
    ("financing", "borrow-fee"): {"rate": 0.03, "rates": {}},
    ("financing", "funding"): {"rate": 0.0001},
    ("financing", "interest"): {"credit": 0.02, "debit": 0.06},
    ("calendar", "exchange"): {"name": "NYSE"},
}
# Feeds that need data to read are given some below; commands are not settings of a run.
ELSEWHERE = {
    *(("feed", name) for name in ("csv", "frame", "parquet")),
    ("financing", "dividends"),
    ("financing", "delistings"),
    ("financing", "splits"),
    ("latency", "measured"),
}
ENTRIES = [
    entry
    for kind in (
        "broker",
        "calendar",
        "commission",
        "feed",
        "financing",
        "latency",
        "ledger",
        "order_type",
        "position_rule",
        "profile",
        "report",
        "risk",
        "runner",
        "slippage",
        "warmup",
    )
    for entry in Plugins.discover().all(kind)
    if (kind, entry.spec.name) not in ELSEWHERE
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.spec.kind}/{entry.spec.name}")
def test_a_first_party_component_obeys_the_laws_of_its_kind(entry):
    spec = entry.spec
    made = spec.component(**EXAMPLES.get((spec.kind, spec.name), {}))
    CHECKS.get(spec.kind, check_component)(made)
    check_record(entry)


def test_measured_latencies_obey_the_laws_of_theirs(tmp_path):
    path = tmp_path / "latency.csv"
    start = LatencyLaws.times[5]
    rows = [(start, start + 7, start + 9), (start + 10**10, start + 11**10, start + 12**10)]
    path.write_text("\n".join(["req_ts,exch_ts,resp_ts", *(f"{a},{b},{c}" for a, b, c in rows)]))
    check_latency(MeasuredLatency(path=path))
    check_record(Plugins.discover().find("latency", "measured"))


@component
class Stumbling:
    """A latency that changes after ten questions."""

    first: Any = param(default=1, help="The first ten answers.")
    later: Any = param(default=1, help="Those after.")

    def build(self, run):
        answers = itertools.chain(itertools.repeat(self.first, 10), itertools.repeat(self.later))
        return SimpleNamespace(entry=lambda ts: next(answers), feed=lambda ts: 0, response=lambda ts: 0)


@pytest.mark.parametrize(
    ("first", "later", "sentence"),
    [(-1, -1, "cannot arrive before it is sent"), (0.5, 0.5, "must be an int"), (1, 2, "in another order")],
)
def test_the_kit_catches_an_unlawful_latency(first, later, sentence):
    check_latency(Stumbling())
    with pytest.raises(AssertionError, match=sentence):
        check_latency(Stumbling(first=first, later=later))


@component
class Warming:
    """Something to compile."""

    names: tuple[str, ...] = param(default=("one", "two"), help="Its parts.")
    takes_any: bool = param(default=False, help="Whether it compiles what is not there.")

    def parts(self):
        return self.names

    def compile(self, part):
        if part not in self.names and not self.takes_any:
            raise KeyError(part)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"names": ()}, "there is no part"), ({"names": ("a", "a")}, "named twice"), ({"takes_any": True}, "any name")],
)
def test_the_kit_catches_unlawful_parts_to_compile(settings, sentence):
    check_warmup(Warming())
    with pytest.raises(AssertionError, match=sentence):
        check_warmup(Warming(**settings))


@pytest.mark.parametrize("kind", ["bar", "trade", "quote"])
def test_the_synthetic_feed_does_not_look_ahead(kind):
    feed = Plugins.discover().find("feed", "synthetic").spec.component
    settings = {"kind": kind, "instruments": ("A", "B"), "seed": 3}
    check_feed(feed(rows=300, **settings), truncated=feed(rows=170, **settings))


def prices(days):
    """Two instruments by turns, as a frame."""
    stamps = [dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day) for day in range(days) for _ in range(2)]
    close = [100.0 + (7 * number) % 11 for number in range(2 * days)]
    return pl.DataFrame(
        {
            "ts": stamps,
            "instrument": ["B", "A"] * days,
            "open": close,
            "high": [price + 1 for price in close],
            "low": [price - 1 for price in close],
            "close": close,
            "volume": [1000.0] * (2 * days),
        }
    ).with_columns(pl.col("ts").dt.replace_time_zone(None).cast(pl.Datetime("ns")))


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_feed_from_a_file_obeys_the_laws_of_feeds(tmp_path, name):
    feed = Plugins.discover().find("feed", name).spec.component
    paths = {days: tmp_path / f"{days}.{name}" for days in (60, 35)}
    for days, path in paths.items():
        getattr(prices(days), f"write_{name}")(path)
    check_feed(feed(path=str(paths[60]), stamp="close"), truncated=feed(path=str(paths[35]), stamp="close"))


class TestFrameFeed(FeedLaws):
    """A frame lives in memory only: it cannot be written down, and says so itself."""

    feed = Plugins.discover().find("feed", "frame").spec.component(frame=prices(60), stamp="close")
    truncated = Plugins.discover().find("feed", "frame").spec.component(frame=prices(35), stamp="close")
    expected_failures = {"test_can_be_written_down_and_read_back": "a frame in memory has no text form"}


# -- The kit itself: each law catches what it is for ---------------------------------------------------


def ask(laws, law, **settings):
    """One law of a kind, so that a test shows which law catches what."""
    getattr(type("Laws", (laws,), settings)(), f"test_{law}")()


@component
class Fee:
    """A commission whose function each test replaces."""

    rate: float = param(default=1.0, help="A rate.")

    @property
    def rates(self):
        return (self.rate,)

    @staticmethod
    def commission(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
        """The charge."""
        return rates[0] if quantity > 0 else 0.0


CALLS = itertools.count()


def negative(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Pays."""
    return -1.0 if quantity > 0 else 0.0


def falling(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Falls."""
    return 1e12 - quantity if quantity > 0 else 0.0


def infinite(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Has no end."""
    return math.inf if quantity > 1e6 else 0.0


def sellers_only(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Charges sellers."""
    return rates[0] if quantity > 0 and side < 0 else 0.0


def impure(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Remembers."""
    return float(next(CALLS)) if quantity > 0 else 0.0


def standing(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Charges for nothing."""
    return 1.0


def overflowing(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Counts in integers, which have no end in Python and 64 bits once compiled."""
    return float(int(quantity) * int(quantity) * int(quantity))


def undocumented(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    return 0.0


def test_the_kit_accepts_a_lawful_commission():
    check_commission(Fee())


@pytest.mark.parametrize(
    ("function", "law", "sentence"),
    [
        (negative, "is_finite_and_not_negative", "below zero"),
        (infinite, "is_finite_and_not_negative", "not a finite number"),
        (falling, "does_not_fall_with_quantity", "commission falls from"),
        (impure, "is_pure", "gives another number when asked again"),
        (standing, "charges_nothing_for_nothing", "no fill, no charge"),
        (undocumented, "is_a_documented_static_function", "has no docstring"),
        (overflowing, "compiles_to_the_same_bits", "compiled"),
    ],
)
def test_the_kit_catches_an_unlawful_commission(monkeypatch, function, law, sentence):
    monkeypatch.setattr(Fee, "commission", staticmethod(function))
    with pytest.raises(AssertionError, match=sentence):
        ask(CommissionLaws, law, model=Fee())


def test_the_kit_catches_what_numba_cannot_compile(monkeypatch):
    import numba

    monkeypatch.setattr(Fee, "commission", staticmethod(uncompilable_object))
    with pytest.raises(numba.core.errors.NumbaError):
        ask(CommissionLaws, "compiles_to_the_same_bits", model=Fee())


def uncompilable_object(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
    """Makes an object that numba has no type for."""
    return float(len(SimpleNamespace(a=quantity).__dict__) - 1)


def test_a_declared_rebate_may_be_negative(monkeypatch):
    monkeypatch.setattr(Fee, "commission", staticmethod(negative))
    monkeypatch.setattr(Fee, "rebate", True, raising=False)
    check_commission(Fee())


def test_a_declared_side_may_pay_more(monkeypatch):
    monkeypatch.setattr(Fee, "commission", staticmethod(sellers_only))
    with pytest.raises(AssertionError, match=r"is 0\.0 for a buyer and 1\.0 for a seller.*one_sided = True"):
        check_commission(Fee())
    monkeypatch.setattr(Fee, "one_sided", True, raising=False)
    check_commission(Fee())


def test_rates_must_be_floats():
    with pytest.raises(AssertionError, match="rates must hold floats only, not 1"):
        check_commission(Fee(rate=1))


def test_a_component_must_be_frozen_and_documented():
    @attrs.define
    class Loose:
        """Can be changed."""

        rate: float = param(default=1.0, help="A rate.")

    @component
    class Silent:
        rate: float = param(default=1.0, help="")

    with pytest.raises(AssertionError, match=r"Loose\.rate can be assigned"):
        ask(CommissionLaws, "is_a_frozen_attrs_class", model=Loose())
    with pytest.raises(AssertionError, match="Silent has no docstring"):
        ask(CommissionLaws, "is_documented", model=Silent())


def test_a_local_class_cannot_be_sent_to_another_process():
    @component
    class Local:
        """Lives in a function."""

    with pytest.raises((AttributeError, pickle.PicklingError), match="local object"):  # Python 3.12 changed which
        check_component(Local())


def test_an_expected_failure_must_fail_and_must_be_a_law():
    class Known(CommissionLaws):
        model = Fee(rate=1)
        expected_failures = {"test_rates_are_plain_floats": "kept as given"}

    Known().test_rates_are_plain_floats()

    class Stale(CommissionLaws):
        model = Fee()
        expected_failures = {"test_rates_are_plain_floats": "kept as given"}

    with pytest.raises(AssertionError, match=r"expected to fail \(kept as given\)"):
        Stale().test_rates_are_plain_floats()
    with pytest.raises(TypeError, match="not a law"):
        type("Typo", (CommissionLaws,), {"expected_failures": {"test_rats": "typo"}})


@component
class Concession:
    """A slippage whose function each test replaces; as it stands, it gets better with size."""

    @property
    def rates(self):
        return ()

    @staticmethod
    def slippage(side, quantity, price, volume, taken, spread, volatility, tick, rates):
        """Concedes less to the large."""
        return 1.0 / quantity if quantity > 0 else 0.0


def test_the_kit_catches_a_discount_for_size():
    with pytest.raises(AssertionError, match="slippage falls from"):
        ask(SlippageLaws, "does_not_fall_with_quantity", model=Concession())


def unknown(side, quantity, price, volume, taken, spread, volatility, tick, rates):
    """Multiplies by what may be unknown."""
    return volatility * abs(price) if quantity > 0 else 0.0


def paying(side, quantity, price, volume, taken, spread, volatility, tick, rates):
    """Improves the price, which no declaration allows a slippage model."""
    return -0.01 if quantity > 0 else 0.0


def forgetful(side, quantity, price, volume, taken, spread, volatility, tick, rates):
    """Rewards splitting an order."""
    return 1.0 / (1.0 + taken) if quantity > 0 else 0.0


@pytest.mark.parametrize(
    ("function", "law", "sentence"),
    [
        (unknown, "is_finite_and_not_negative", "is nan, which is not a finite number"),
        (paying, "is_finite_and_not_negative", "below zero"),
        (forgetful, "does_not_fall_with_what_was_taken", "once 40 units of the row are taken"),
    ],
)
def test_the_kit_catches_an_unlawful_slippage(monkeypatch, function, law, sentence):
    monkeypatch.setattr(Concession, "slippage", staticmethod(function))
    monkeypatch.setattr(Concession, "rebate", True, raising=False)
    with pytest.raises(AssertionError, match=sentence):
        ask(SlippageLaws, law, model=Concession())


@component
class Recipe:
    """An order type of the given legs."""

    made_of: tuple = param(default=(), help="The legs.")

    def legs(self):
        return self.made_of


@pytest.mark.parametrize(
    ("legs", "law", "sentence"),
    [
        ((), "has_at_least_one_leg", r"legs\(\) is empty"),
        ((Leg(parent=0),), "legs_refer_backwards", "first leg must have no parent"),
        ((Leg(), Leg(parent=1)), "legs_refer_backwards", "leg 1 has parent 1"),
        ((Leg(), Leg(parent=2), Leg()), "legs_refer_backwards", "leg 1 has parent 2"),
        ((Leg(ratio=0.0),), "legs_are_possible", "leg 0 has ratio 0"),
        ((Leg(side=0),), "legs_are_possible", "leg 0 has side 0"),
        ((Leg(trail=0.0),), "legs_are_possible", "leg 0 trails by 0"),
        ((Leg(limit=math.inf),), "legs_are_possible", "leg 0: limit is infinite"),
    ],
)
def test_the_kit_catches_an_impossible_order_type(legs, law, sentence):
    with pytest.raises(AssertionError, match=sentence):
        ask(OrderTypeLaws, law, order_type=Recipe(made_of=legs))


@component
class Ramp:
    """A feed of rising prices, with one fault if named."""

    rows: int = param(default=50, help="How many rows.", ge=1)
    fault: str = param(default="", help="What it does wrong.")

    def open(self):
        return RampSource(self.rows, self.fault)


class RampSource:
    """An opened Ramp."""

    def __init__(self, rows, fault):
        self.rows, self.fault, self.left = rows, fault, 1
        said = rows + 1 if fault == "counts wrong" else rows
        self.info = StreamInfo(kind="bar", columns=("close",), instruments=(Instrument(name="A"),), rows=said)

    def blocks(self, stream, codes):
        if self.fault == "reads once":
            self.left -= 1
            if self.left < 0:
                return
        ts = np.arange(self.rows, dtype=np.int64) * 10
        close = np.arange(self.rows, dtype=np.float64)
        if self.fault == "looks ahead":
            close -= close.mean()
        if self.fault == "turns back":
            ts = ts[::-1]
        if self.fault == "wrong type":
            ts = ts.astype("datetime64[ns]")
        code = 0 if self.fault == "guesses codes" else codes["A"]
        half = self.rows // 2
        cuts = [(0, half + (self.fault == "splits")), (half, self.rows)]
        for start, stop in cuts:
            if self.fault == "writes over":
                close[:start] = 0.0
            names = {"open": close[start:stop]} if self.fault == "other columns" else {"close": close[start:stop]}
            yield Block(stream, ts[start:stop], np.full(stop - start, code, np.int32), names)


def test_the_kit_accepts_a_lawful_feed():
    check_feed(Ramp(), truncated=Ramp(rows=30))


@pytest.mark.parametrize(
    ("fault", "law", "sentence"),
    [
        ("counts wrong", "says_what_it_delivers", "info.rows says 51, but 50 rows come"),
        ("reads once", "can_be_read_again", "a second pass over the opened feed differs"),
        ("looks ahead", "the_future_does_not_change_the_past", "the feed looks ahead"),
        ("turns back", "time_never_turns_back", "ts falls within a block"),
        ("writes over", "blocks_stay_as_they_were", "a block changes after it was delivered"),
        ("splits", "time_never_turns_back", "a block begins at 250, the last one ended at 250"),
        ("wrong type", "blocks_are_well_formed", "ts must be int64"),
        ("guesses codes", "blocks_are_well_formed", "instrument codes {0}"),
        ("other columns", "blocks_are_well_formed", "a block has"),
    ],
)
def test_the_kit_catches_an_unlawful_feed(fault, law, sentence):
    with pytest.raises(AssertionError, match=sentence):
        ask(FeedLaws, law, feed=Ramp(fault=fault), truncated=Ramp(rows=30, fault=fault))


@component
class HalfDays:
    """A calendar of half days, with one fault if named."""

    fault: str = param(default="", help="What it does wrong.")

    def covers(self, instrument):
        return None if self.fault == "shrugs" else True

    def sessions(self, first_ts, last_ts):
        day = 86_400_000_000_000
        days = np.arange(first_ts // day - 2, last_ts // day + 2)
        dates = days.astype("datetime64[D]")
        if self.fault == "no dates":
            dates = dates.astype("datetime64[ns]")
        if self.fault == "one date":
            dates = dates.astype("datetime64[M]").astype("datetime64[D]")
        opens = days * day if self.fault != "asked for" else first_ts + (days - days[0]) * day
        closes = opens + {"overlaps": 36, "backwards": -12}.get(self.fault, 12) * day // 24
        some = (closes >= first_ts) & (opens <= last_ts) if self.fault != "too many" else slice(None)
        columns = opens[some], closes[some], dates[some]
        return (columns[0].astype("datetime64[ns]"), *columns[1:]) if self.fault == "no numbers" else columns


def test_the_kit_accepts_a_lawful_calendar():
    check_calendar(HalfDays())


@pytest.mark.parametrize(
    ("fault", "law", "sentence"),
    [
        ("no numbers", "sessions_are_columns_of_times_and_dates", "opens must be int64"),
        ("no dates", "sessions_are_columns_of_times_and_dates", r"dates must be datetime64\[D\]"),
        ("backwards", "sessions_follow_one_another", "opens at .* and closes at"),
        ("overlaps", "sessions_follow_one_another", "opens before that of 2019-12-31 closes"),
        ("one date", "sessions_follow_one_another", "is followed by one of 2020-01-01"),
        ("too many", "a_range_has_the_sessions_that_touch_it", "are not those of the whole"),
        ("asked for", "a_range_has_the_sessions_that_touch_it", "are not those of the whole"),
        ("shrugs", "says_whether_it_covers_an_instrument", "must return a bool, not None"),
    ],
)
def test_the_kit_catches_an_unlawful_calendar(fault, law, sentence):
    with pytest.raises(AssertionError, match=sentence):
        ask(CalendarLaws, law, model=HalfDays(fault=fault))


@component
class Weekly:
    """A risk rule with one fault if named."""

    fault: str = param(default="", help="What it does wrong.")

    def check(self, request):
        if self.fault == "changes its mind":
            FICKLE.append(request)
            return "fickle" if len(FICKLE) % 2 else ""
        return {"shrugs": None, "shouts": "too\nbig", "repeats": "risk:too-big"}.get(self.fault, "too-big")


FICKLE = []


@component
class Careless:
    """No risk rule: it checks nothing."""


def test_the_kit_accepts_a_lawful_risk_rule():
    check_risk_rule(Weekly())


@pytest.mark.parametrize(
    ("fault", "law", "sentence"),
    [
        ("shrugs", "answers_with_a_reason_or_nothing", "must return a str, not None"),
        ("shouts", "answers_with_a_reason_or_nothing", "in one line"),
        ("repeats", "answers_with_a_reason_or_nothing", "the broker writes 'risk:'"),
        ("changes its mind", "a_rule_without_state_answers_the_same_again", "state belongs in build"),
    ],
)
def test_the_kit_catches_an_unlawful_risk_rule(fault, law, sentence):
    with pytest.raises(AssertionError, match=sentence):
        ask(RiskRuleLaws, law, model=Weekly(fault=fault))
    with pytest.raises(AssertionError, match="neither check nor build"):
        ask(RiskRuleLaws, "checks_or_builds_what_checks", model=Careless())


def test_a_truncation_that_cuts_nothing_proves_nothing():
    with pytest.raises(AssertionError, match="it proves nothing"):
        check_feed(Ramp(), truncated=Ramp())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import numpy", "pulls in numpy"),
        ("import there_is_no_such_module", "importing qtest_hooks failed"),
        ("import os", "implements no hook"),
    ],
)
def test_the_kit_catches_an_unlawful_hook_module(tmp_path, monkeypatch, source, sentence):
    (tmp_path / "qtest_hooks.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "qtest_hooks", raising=False)
    with pytest.raises((AssertionError, ImportError), match=f"{sentence}|there_is_no_such_module"):
        check_hook_module("qtest_hooks")


def test_a_record_without_a_sentence_is_caught():
    plugins = plugin_sandbox(
        SimpleNamespace(
            models=implements.commission_models(
                lambda: [CommissionSpec(name="Mine", summary="Mine.", component=Fee)]  # type: ignore[list-item]
            ),
            feeds=implements.feeds(lambda: [FeedSpec(name="ramp", summary="Rising prices", component=Ramp)]),
        )
    )
    with pytest.raises(AssertionError, match="lower-case"):
        check_record(plugins.find("commission", "Mine"))
    with pytest.raises(AssertionError, match="must be a sentence"):
        check_record(plugins.find("feed", "ramp"))
