"""The cost models give the figures that Zipline, backtesting.py and their own documentation publish."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qengine_costs import FixedBps, HalfSpread, Percent, PerShare, PerTrade, Tiered, VolumeShare

from qengine_core.params import structure
from qengine_core.plugin import ConfigError

SHARED = Path(__file__).parents[4] / "shared"


def charge(model, quantity, price=10.0, multiplier=1.0):
    return model.commission(quantity, price, multiplier, model.rates)


def concession(model, quantity, price, volume=math.inf, taken=0.0, spread=math.nan):
    return model.slippage(quantity, price, volume, taken, spread, model.rates)


@pytest.mark.parametrize(
    ("minimum", "totals"),
    [
        (0, [1.725, 3, 3.75]),
        (1, [1.725, 3, 3.75]),
        (2.5, [2.5, 3, 3.75]),
        (3.5, [3.5, 3.5, 3.75]),
        (5.5, [5.5, 5.5, 5.5]),
    ],
)
def test_minimum_per_order_matches_ziplines_published_totals(minimum, totals):
    """zipline tests/finance/test_commissions.py: an order of 500 filled by 230, 170 and 100 at 0.0075 a share."""
    model = PerShare(rate=0.0075, minimum=minimum)
    assert [charge(model, filled) for filled in (230, 400, 500)] == pytest.approx(totals)


def test_percent_matches_ziplines_per_dollar():
    """Same place: PerDollar(0.0015) on 230 at 100 is 34.5, and on 170 at 101 is 25.755."""
    model = Percent(rate=0.0015)
    assert charge(model, 230, 100) == pytest.approx(34.5)
    assert charge(model, 170, 101) == pytest.approx(25.755)


def test_volume_share_matches_ziplines_published_fill():
    """zipline tests/finance/test_slippage.py: 5 of a volume of 200 at 3.0 is bought at 3.0001875."""
    assert 3.0 + concession(VolumeShare(), 5, 3.0, volume=200) == pytest.approx(3.0001875, abs=1e-12)


def test_volume_share_counts_what_other_orders_took():
    model = VolumeShare(price_impact=0.1)
    together = concession(model, 20, 50.0, volume=100)
    assert concession(model, 10, 50.0, volume=100, taken=10) == together == pytest.approx(0.1 * 0.2**2 * 50)


def test_volume_share_knows_no_impact_without_volume_and_no_more_than_the_whole():
    model = VolumeShare(price_impact=0.1)
    assert concession(model, 1e9, 50.0, volume=math.inf) == 0
    assert concession(model, 200, 50.0, volume=100) == concession(model, 1, 50.0, volume=0) == pytest.approx(5.0)


def test_a_maximum_below_the_minimum_wins():
    """One share at 20 cents: the minimum is 1, but no order pays more than 1 % of what it trades."""
    assert charge(PerShare(rate=0.005, minimum=1, maximum_fraction=0.01), 1, 0.20) == pytest.approx(0.002)
    assert charge(PerShare(rate=0.005, minimum=1, maximum=0.5), 1, 0.20) == 0.5


def test_the_maximum_fraction_counts_the_multiplier():
    assert charge(PerShare(rate=100, maximum_fraction=0.01), 2, 50, multiplier=20) == pytest.approx(20)


def test_per_trade_charges_once_however_much_fills():
    assert charge(PerTrade(amount=4), 1) == charge(PerTrade(amount=4), 1e6) == 4


def test_bps_and_rate_are_the_same_charge():
    assert charge(Percent(bps=10), 123, 45.6) == charge(Percent(rate=0.001), 123, 45.6)


def test_percent_of_a_negative_price_is_still_a_charge():
    assert charge(Percent(rate=0.01), 10, -37.63, multiplier=1000) == pytest.approx(3763)


def test_each_slice_of_a_tiered_order_pays_its_own_rate():
    model = Tiered(tiers=((0, 0.01), (1000, 0.005), (2000, 0.001)), minimum=1)
    assert charge(model, 10) == 1
    assert charge(model, 1000) == pytest.approx(10)
    assert charge(model, 1500) == pytest.approx(12.5)
    assert charge(model, 5000) == pytest.approx(10 + 5 + 3)


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(0, 1)), max_size=4), st.floats(0.01, 1e5))
def test_a_tiered_charge_is_the_integral_of_its_rates(steps, quantity):
    """Against the plain definition, slice by slice; starts are made ascending by adding up the steps."""
    starts = [0.0]
    for step, _ in steps:
        starts.append(starts[-1] + step)
    tiers = tuple(zip(starts, [0.5, *(rate for _, rate in steps)], strict=True))
    bounds = [*starts[1:], math.inf]
    expected = sum(r * max(0.0, min(quantity, stop) - start) for (start, r), stop in zip(tiers, bounds, strict=True))
    assert charge(Tiered(tiers=tiers), quantity) == pytest.approx(expected)


def test_half_spread_prefers_what_the_row_knows():
    model = HalfSpread(bps=20)
    assert concession(model, 1, 100.0, spread=0.5) == 0.25
    assert concession(model, 1, 100.0, spread=math.nan) == pytest.approx(0.1)
    assert concession(model, 1, 100.0, spread=0.0) == 0
    assert concession(model, 1, 100.0, spread=-0.5) == 0, "a crossed quote pays nobody"


def test_fixed_bps_is_a_fraction_of_the_price():
    assert concession(FixedBps(bps=5), 3, 200.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("cls", "values", "sentence"),
    [
        (Percent, {}, "neither"),
        (Percent, {"rate": 0.1, "bps": 0}, "both"),
        (PerShare, {"rate": -1}, "rate must be >= 0"),
        (PerShare, {"rate": 1, "maximum": -1}, "maximum must be >= 0"),
        (PerTrade, {}, "'amount' is missing"),
        (Tiered, {"tiers": []}, "must ascend from quantity 0"),
        (Tiered, {"tiers": [[1, 0.1]]}, "must ascend from quantity 0"),
        (Tiered, {"tiers": [[0, 0.1], [5, 0.2], [5, 0.3]]}, "must ascend from quantity 0"),
        (Tiered, {"tiers": [[0, -0.1]]}, "the rate from quantity 0 must be >= 0"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(cls, values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        structure(cls, values, "[costs]")


def golden(case):
    path = SHARED / "golden" / "backtesting-costs.json"
    prices = SHARED / "data" / "backtesting-py" / "GOOG.csv"
    if not path.exists() or not prices.exists():
        pytest.skip(f"{path.name} and {prices.name} are not beside this checkout")
    with prices.open(newline="") as file:
        rows = list(csv.DictReader(file))[:20]
    return json.loads(path.read_text())["expected"][case], rows


@pytest.mark.parametrize(
    ("case", "commission", "slippage"),
    [
        ("spread_1pct_and_commission_1pct", Percent(rate=0.01), FixedBps(bps=100)),
        ("commission_100_plus_1pct", Percent(fixed=100, rate=0.01), FixedBps(bps=0)),
        ("commission_function_1pct_signed", Percent(bps=100), FixedBps(bps=0)),
    ],
)
def test_costs_match_backtesting_py(case, commission, slippage):
    """Entry at the open of bar 2 and exit at that of bar 3; the spread is paid in full at entry only."""
    expected, rows = golden(case)
    trade = expected["trades"][0]
    opens = [float(rows[bar]["Open"]) for bar in (2, 3)]
    entry = opens[0] + concession(slippage, 1, opens[0])
    size = math.floor(10_000 / (entry + charge(commission, 1, entry)))
    paid = charge(commission, size, entry)
    assert size == trade["size"]
    assert entry == pytest.approx(trade["entry_price"], abs=1e-9)
    assert 10_000 - paid + size * (float(rows[2]["Close"]) - entry) == pytest.approx(
        expected["equity_bars_2_3"][0], abs=0.01
    )
    pnl = size * (opens[1] - entry) - paid - charge(commission, size, opens[1])
    assert pnl == pytest.approx(trade["pnl"], abs=1e-6)
    assert 10_000 + pnl == pytest.approx(expected["equity_bars_2_3"][1], abs=0.01)
