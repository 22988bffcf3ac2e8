"""Every cost model of this plugin obeys the laws of its kind."""

from __future__ import annotations

from qengine_costs import (
    BinanceSpot,
    Charge,
    FixedBps,
    HalfSpread,
    IbUsStocksFixed,
    IbUsStocksTiered,
    MakerTaker,
    NoCommission,
    NoSlippage,
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

from qengine_core.testing import CommissionLaws, PluginLaws, SlippageLaws, check_component


class TestPlugin(PluginLaws):
    hook_module = "qengine_costs.plugin"


class TestNoCommission(CommissionLaws):
    model = NoCommission()


class TestPerShare(CommissionLaws):
    model = PerShare(rate=0.005, minimum=1.0)


class TestPerShareWithMaximums(CommissionLaws):
    model = PerShare(rate=0.005, minimum=1, maximum=50, maximum_fraction=0.01)


class TestPerContract(CommissionLaws):
    model = PerContract(rate=0.85, minimum=1, maximum=250, exchange=1.38, regulatory=0.02)


class TestPerTrade(CommissionLaws):
    model = PerTrade(amount=9.99)


class TestPercentByRate(CommissionLaws):
    model = Percent(rate=0.001, fixed=1.5, minimum=3, maximum=99)


class TestPercentByBps(CommissionLaws):
    model = Percent(bps=7)


class TestTieredBySize(CommissionLaws):
    model = Tiered(tiers=((0, 0.01), (100, 0.007), (10_000, 0.001)), minimum=0.35)


class TestTieredByMonth(CommissionLaws):
    model = Tiered(tiers=((0, 0.0035), (300_000, 0.002), (3e6, 0)), by="month-quantity", maximum_fraction=0.01)


class TestTieredAcrossMeasures(CommissionLaws):
    """A rate per share by the month's notional, and one of the notional by the month's shares."""

    model = Schedule(
        charges=(
            Charge(tiers=((0, 0.01), (5e6, 0.002), (1e9, 0)), by="month-notional"),
            Charge(per="notional", tiers=((0, 0.001), (3e5, 0.0002), (1e7, 0)), by="month-quantity"),
            Charge(tiers=((0, 0.01), (5e6, 0)), by="order-notional"),
        )
    )


class TestTieredByTheWholeOrder(CommissionLaws):
    model = Tiered(tiers=((0, 0.004), (1e6, 0.002)), per="notional", by="month-notional", marginal=False)


class TestMakerTaker(CommissionLaws):
    model = MakerTaker(maker=0.0002, taker=0.0005)


class TestMakerTakerWithRebate(CommissionLaws):
    model = MakerTaker(maker=-0.0021, taker=0.003, per="unit")


class TestSchedule(CommissionLaws):
    model = Schedule(
        charges=(
            Charge(per="notional", rate=0.0003, fixed=2, maximum=20),
            Charge(per="charges", rate=0.18, minimum=0.01),
            Charge(per="notional", rate=0.001, side="sell"),
            Charge(rate=0.01, side="buy", liquidity="taker"),
        )
    )


class TestUsRegulatoryFees(CommissionLaws):
    model = UsRegulatoryFees()


class TestIbUsStocksFixed(CommissionLaws):
    model = IbUsStocksFixed()


class TestIbUsStocksTiered(CommissionLaws):
    model = IbUsStocksTiered()


class TestIbUsStocksTieredWithRebate(CommissionLaws):
    model = IbUsStocksTiered(maker_fee=-0.0021)


class TestBinanceSpot(CommissionLaws):
    model = BinanceSpot(vip=1, bnb=True)


class TestNoSlippage(SlippageLaws):
    model = NoSlippage()


class TestFixedBps(SlippageLaws):
    model = FixedBps(bps=5)


class TestTicks(SlippageLaws):
    model = Ticks(ticks=1.5, tick_size=0.01)


class TestHalfSpreadInBps(SlippageLaws):
    model = HalfSpread(bps=3)


class TestHalfSpreadInTicks(SlippageLaws):
    model = HalfSpread(ticks=1)


class TestVolumeShare(SlippageLaws):
    model = VolumeShare(price_impact=0.1)


class TestVolatilityShare(SlippageLaws):
    model = VolatilityShare(coefficient=0.8, volatility=0.01)


class TestVolatilityShareByAnotherPower(SlippageLaws):
    model = VolatilityShare(exponent=0.6)


def test_a_charge_is_a_component():
    check_component(Charge(per="notional", tiers=((0, 0.1), (5, 0.2)), by="month-notional", side="sell"))


def test_rebates_and_sides_are_declared_where_there_are_any():
    assert MakerTaker(maker=-1e-4, taker=5e-4).rebate
    assert IbUsStocksTiered(maker_fee=-0.002).rebate
    assert not IbUsStocksTiered().rebate
    assert Schedule(charges=(Charge(tiers=((0, 0.1), (5, -0.1))),)).rebate
    assert UsRegulatoryFees().one_sided
    assert not BinanceSpot().one_sided
    assert not NoCommission().rebate
