"""The cost models give the figures that Zipline, backtesting.py and their own documentation publish."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qengine_costs import (
    BinanceSpot,
    Charge,
    FixedBps,
    HalfSpread,
    IbUsStocksFixed,
    IbUsStocksTiered,
    MakerTaker,
    Percent,
    PerContract,
    PerShare,
    PerTrade,
    Schedule,
    Ticks,
    Tiered,
    UsRegulatoryFees,
    VolatilityShare,
    VolumeShare,
)

from qengine_core.params import structure
from qengine_core.plugin import ConfigError

SHARED = Path(__file__).parents[4] / "shared"
BUY, SELL = 1.0, -1.0


def charge(model, quantity, price=10.0, multiplier=1.0, side=BUY, maker=0.0, month=(0.0, 0.0)):
    return model.commission(side, quantity, price, multiplier, maker, *month, model.rates)


def concession(
    model, quantity, price, volume=math.inf, taken=0.0, spread=math.nan, volatility=math.nan, tick=0.0, side=BUY
):
    return model.slippage(side, quantity, price, volume, taken, spread, volatility, tick, model.rates)


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


def test_a_minimum_may_be_spared_by_the_maximum():
    """LEAN: a share at 20 cents pays the minimum of 1; an order above the minimum is cut to half a percent."""
    model = PerShare(rate=0.005, minimum=1, maximum_fraction=0.005, spares_minimum=True)
    assert charge(model, 1, 0.20) == 1
    assert charge(model, 1_000, 0.20) == pytest.approx(1.0)
    assert charge(model, 300, 0.10) == pytest.approx(0.15)
    assert charge(model, 688, 144.78) == pytest.approx(3.44)


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


@given(st.floats(0, 2e6), st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_marginal_tiers_by_month_do_not_care_how_orders_are_split(month, one, other):
    model = Tiered(tiers=((0, 0.0035), (300_000, 0.002), (1_000_000, 0.001)), by="month-quantity")
    apart = charge(model, one, month=(month, 0)) + charge(model, other, month=(month + one, 0))
    assert apart == pytest.approx(charge(model, one + other, month=(month, 0)))


def test_tiers_by_the_months_notional():
    """0.4 % of the first million, 0.25 % of what goes beyond; half of this order does."""
    tiers = ((0, 0.004), (1e6, 0.0025))
    marginal = Tiered(tiers=tiers, per="notional", by="month-notional")
    assert charge(marginal, 100, 200.0, month=(0, 990_000)) == pytest.approx(10_000 * 0.004 + 10_000 * 0.0025)
    whole = Tiered(tiers=tiers, per="notional", by="month-notional", marginal=False)
    assert charge(whole, 100, 200.0, month=(0, 990_000)) == pytest.approx(20_000 * 0.004)
    assert charge(whole, 100, 200.0, month=(0, 1_000_000)) == pytest.approx(20_000 * 0.0025)


def test_tiers_may_measure_something_else_than_they_charge():
    """0.01 a share while the order's notional is below 5,000, which 250 shares at 20 are; nothing beyond."""
    model = Schedule(charges=(Charge(tiers=((0, 0.01), (5_000, 0)), by="order-notional"),))
    assert charge(model, 100, 20.0) == pytest.approx(1.0)
    assert charge(model, 1_000, 20.0) == pytest.approx(2.5)
    per_notional = Schedule(charges=(Charge(per="notional", tiers=((0, 0.01), (50, 0)), by="month-quantity"),))
    assert charge(per_notional, 40, 20.0, month=(30, 0)) == pytest.approx(0.01 * 20 * 20.0)


def test_a_small_order_late_in_a_large_month_is_still_charged():
    """300,000,000.00000001 is no number of floating point: the tiers are cut relative to the month."""
    model = Tiered(tiers=((0, 1.0), (1e8, 0.5)), by="month-quantity")
    assert charge(model, 1e-8, month=(3e8, 0)) == 0.5e-8


def test_per_contract_adds_fees_to_the_brokers_bounded_charge():
    model = PerContract(rate=1, maximum=10, exchange=1.38, regulatory=0.02)
    assert charge(model, 4) == pytest.approx(4 * (1 + 1.40))
    assert charge(model, 100) == pytest.approx(10 + 140)


def test_maker_and_taker_pay_their_parts():
    model = MakerTaker(maker=-0.0001, taker=0.0004)
    assert charge(model, 10, 100.0, maker=1.0) == pytest.approx(-0.1)
    assert charge(model, 10, 100.0, maker=0.0) == pytest.approx(0.4)
    assert charge(model, 10, 100.0, maker=0.25) == pytest.approx(0.25 * -0.1 + 0.75 * 0.4)


def test_a_schedule_adds_up_and_taxes_what_came_before():
    """A discount broker in India, intraday: 0.03 % at most 20, exchange 0.00297 %, 18 % GST on both, sellers' tax."""
    model = Schedule(
        charges=(
            Charge(per="notional", rate=0.0003, maximum=20),
            Charge(per="notional", rate=0.0000297),
            Charge(per="charges", rate=0.18),
            Charge(per="notional", rate=0.00025, side="sell"),
            Charge(per="notional", rate=0.00003, side="buy"),
        )
    )
    assert charge(model, 100, 500.0) == pytest.approx((15 + 1.485) * 1.18 + 1.5)
    assert charge(model, 1000, 500.0, side=SELL) == pytest.approx((20 + 14.85) * 1.18 + 125)


def test_what_only_takers_pay_has_no_minimum_for_makers():
    model = Schedule(charges=(Charge(rate=0.01, minimum=5, liquidity="taker"),))
    assert charge(model, 1, maker=1.0) == 0
    assert charge(model, 1, maker=0.5) == 5


# Interactive Brokers, "Stock and ETF Fixed vs. Tiered Pricing Comparison Examples", with the fees of 2023: SEC 8.00
# per million, FINRA 0.000145 at most 7.27, 0.00056 of the commission passed through for FINRA.
FEES_2023 = {"sec_rate": 8e-6, "taf_rate": 0.000145, "taf_maximum": 7.27, "cat_rate": 0.0}
TIERED_2023 = IbUsStocksTiered(maker_fee=-0.0021, pass_through=0.000175 + 0.00056, **FEES_2023)


@pytest.mark.parametrize(
    ("quantity", "maker", "total"),
    [(30_000_000, 1.0, -13_811.90), (30_000_000, 0.0, 139_188.10), (200_000, 0.0, 1_355.78)],
)
def test_interactive_brokers_tiered_matches_its_published_examples(quantity, maker, total):
    assert charge(TIERED_2023, quantity, 5.0, side=SELL, maker=maker) == pytest.approx(total, abs=0.015)


@pytest.mark.parametrize(("quantity", "total"), [(30_000_000, 151_207.27), (200_000, 1_015.27)])
def test_interactive_brokers_fixed_matches_its_published_examples(quantity, total):
    assert charge(IbUsStocksFixed(**FEES_2023), quantity, 5.0, side=SELL) == pytest.approx(total, abs=0.005)


@pytest.mark.parametrize(("quantity", "price", "total"), [(100, 25.0, 1.0), (1000, 25.0, 5.0), (1000, 0.25, 2.5)])
def test_interactive_brokers_fixed_matches_the_examples_beside_its_prices(quantity, price, total):
    """Without the regulators' part, which the page names apart; a buyer pays only for the audit trail."""
    assert charge(IbUsStocksFixed(cat_rate=0.0), quantity, price) == pytest.approx(total)


def test_interactive_brokers_tiers_are_the_months():
    model = IbUsStocksTiered(taker_fee=0.0, clearing_rate=0.0, pass_through=0.0, cat_rate=0.0)
    assert charge(model, 400_000, 50.0) == pytest.approx(300_000 * 0.0035 + 100_000 * 0.0020)
    assert charge(model, 1000, 50.0, month=(5e6, 0)) == pytest.approx(1.5)
    assert charge(model, 10, 50.0) == pytest.approx(0.35)
    assert charge(model, 10, 0.5) == pytest.approx(0.05), "1 % of the trade value is stronger than the minimum"


def test_regulatory_fees_are_mostly_the_sellers():
    model = UsRegulatoryFees()
    assert charge(model, 1000, 50.0) == pytest.approx(0.003)
    assert charge(model, 1000, 50.0, side=SELL) == pytest.approx(50_000 * 20.60e-6 + 0.195 + 0.003)
    assert charge(model, 1e6, 0.0, side=SELL) == pytest.approx(9.79 + 3.0), "the maximum of FINRA's fee"


def test_binance_spot_charges_a_tenth_of_a_percent_less_a_quarter_in_bnb():
    assert charge(BinanceSpot(), 0.5, 60_000.0) == pytest.approx(30.0)
    assert charge(BinanceSpot(bnb=True), 0.5, 60_000.0, maker=1.0) == pytest.approx(22.5)
    assert charge(BinanceSpot(vip=2), 0.5, 60_000.0, maker=1.0) == pytest.approx(24.0)


def test_half_spread_prefers_what_the_row_knows():
    model = HalfSpread(bps=20)
    assert concession(model, 1, 100.0, spread=0.5) == 0.25
    assert concession(model, 1, 100.0, spread=math.nan) == pytest.approx(0.1)
    assert concession(model, 1, 100.0, spread=0.0) == 0
    assert concession(model, 1, 100.0, spread=-0.5) == 0, "a crossed quote pays nobody"


def test_half_spread_may_be_assumed_in_ticks():
    model = HalfSpread(ticks=1)
    assert concession(model, 1, 4000.0, tick=0.25) == 0.125
    assert concession(model, 1, 4000.0, tick=0.25, spread=1.0) == 0.5
    assert concession(model, 1, 4000.0) == 0, "an instrument without a tick size"


def test_fixed_bps_is_a_fraction_of_the_price():
    assert concession(FixedBps(bps=5), 3, 200.0) == pytest.approx(0.1)


def test_ticks_are_the_instruments_or_those_assumed():
    assert concession(Ticks(ticks=2), 1, 4000.0, tick=0.25) == 0.5
    assert concession(Ticks(ticks=2, tick_size=0.01), 1, 4000.0, tick=0.25) == 0.5
    assert concession(Ticks(ticks=2, tick_size=0.01), 1, 4000.0) == 0.02
    assert concession(Ticks(ticks=2), 1, 4000.0) == 0


def test_volatility_share_is_the_square_root_law():
    """Toth et al. 2011, I = Y sigma sqrt(Q/V): 1 % of a day's volume at 2 % a day costs 20 basis points for Y = 1."""
    model = VolatilityShare()
    assert concession(model, 1e4, 50.0, volume=1e6, volatility=0.02) == pytest.approx(50.0 * 0.0020)
    assert concession(model, 5e3, 50.0, volume=1e6, taken=5e3, volatility=0.02) == pytest.approx(50.0 * 0.0020)
    assert concession(VolatilityShare(coefficient=0.5, exponent=1), 1e4, 50.0, volume=1e6, volatility=0.02) == (
        pytest.approx(0.5 * 0.02 * 50.0 * 0.01)
    )


@given(st.floats(1e-4, 0.1), st.floats(1e3, 1e8), st.floats(1, 1e3), st.integers(2, 400))
def test_the_square_root_law_does_not_depend_on_the_rows_length(volatility, volume, quantity, rows):
    """A day cut into rows has a root of the volatility and a part of the volume in each."""
    model = VolatilityShare()
    day = concession(model, quantity, 50.0, volume=volume * rows, volatility=volatility * math.sqrt(rows))
    assert concession(model, quantity, 50.0, volume=volume, volatility=volatility) == pytest.approx(day)


def test_volatility_share_where_something_is_unknown():
    assert concession(VolatilityShare(), 1e4, 50.0, volume=1e6) == 0, "no volatility"
    assumed = VolatilityShare(volatility=0.02)
    assert concession(assumed, 1e4, 50.0, volume=1e6) == pytest.approx(0.1)
    assert concession(assumed, 1e4, 50.0, volume=1e6, volatility=0.01) == pytest.approx(0.05)
    assert concession(assumed, 1e4, 50.0, volume=math.inf) == 0
    assert concession(assumed, 1, 50.0, volume=0) == pytest.approx(1.0), "the order is the whole volume"


@pytest.mark.parametrize(
    ("cls", "values", "sentence"),
    [
        (Percent, {}, "neither"),
        (Percent, {"rate": 0.1, "bps": 0}, "both"),
        (PerShare, {"rate": -1}, "rate must be >= 0"),
        (PerShare, {"rate": 1, "maximum": -1}, "maximum must be >= 0"),
        (PerTrade, {}, "'amount' is missing"),
        (Tiered, {"tiers": []}, "must ascend from 0"),
        (Tiered, {"tiers": [[1, 0.1]]}, "must ascend from 0"),
        (Tiered, {"tiers": [[0, 0.1], [5, 0.2], [5, 0.3]]}, "must ascend from 0"),
        (Tiered, {"tiers": [[0, -0.1]]}, "the rate from 0 must be >= 0"),
        (Tiered, {"tiers": [[0, math.nan]]}, "the rate from 0 must be >= 0"),
        (Tiered, {"tiers": [[0, math.inf]]}, "the rate from 0 must be finite"),
        (Tiered, {"tiers": [[0, 0.1]], "by": "year"}, "by must be one of 'order-quantity'"),
        (Tiered, {"tiers": [[0, 0.1]], "marginal": False}, "orders have no past"),
        (MakerTaker, {"maker": math.nan, "taker": 0}, "rate must be finite"),
        (PerTrade, {"amount": math.inf}, "fixed must be finite"),
        (BinanceSpot, {"vip": 3}, "vip must be <= 2"),
        (HalfSpread, {}, "either bps or ticks, not neither"),
        (HalfSpread, {"bps": 1, "ticks": 1}, "either bps or ticks, not both"),
        (VolatilityShare, {"exponent": 0}, "exponent must be > 0"),
        (Schedule, {"charges": [{"rate": 0.1, "tiers": [[0, 0.1]]}]}, "either tiers or rate"),
        (Schedule, {"charges": [{"per": "charges", "tiers": [[0, 0.1]]}]}, 'either tiers or per = "charges"'),
        (Schedule, {"charges": [{"rate": -0.1, "minimum": 1}]}, "takes no minimum"),
        (Schedule, {"charges": [{"rte": 1}]}, "did you mean 'rate'"),
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
