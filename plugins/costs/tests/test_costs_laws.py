"""Every cost model of this plugin obeys the laws of its kind."""

from __future__ import annotations

from qengine_costs import (
    FixedBps,
    HalfSpread,
    NoCommission,
    NoSlippage,
    Percent,
    PerShare,
    PerTrade,
    Tiered,
    VolumeShare,
)

from qengine_core.testing import CommissionLaws, PluginLaws, SlippageLaws


class TestPlugin(PluginLaws):
    hook_module = "qengine_costs.plugin"


class TestNoCommission(CommissionLaws):
    model = NoCommission()


class TestPerShare(CommissionLaws):
    model = PerShare(rate=0.005, minimum=1.0)


class TestPerShareWithMaximums(CommissionLaws):
    model = PerShare(rate=0.005, minimum=1, maximum=50, maximum_fraction=0.01)


class TestPerTrade(CommissionLaws):
    model = PerTrade(amount=9.99)


class TestPercentByRate(CommissionLaws):
    model = Percent(rate=0.001, fixed=1.5, minimum=3)


class TestPercentByBps(CommissionLaws):
    model = Percent(bps=7)


class TestTiered(CommissionLaws):
    model = Tiered(tiers=((0, 0.01), (100, 0.007), (10_000, 0.001)), minimum=0.35)


class TestNoSlippage(SlippageLaws):
    model = NoSlippage()


class TestFixedBps(SlippageLaws):
    model = FixedBps(bps=5)


class TestHalfSpread(SlippageLaws):
    model = HalfSpread(bps=3)


class TestVolumeShare(SlippageLaws):
    model = VolumeShare(price_impact=0.1)
