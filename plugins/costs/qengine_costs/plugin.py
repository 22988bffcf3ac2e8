"""Announces the cost models by the names that run files use; it computes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import CommissionSpec, SlippageSpec, implements
from qengine_costs.commission import NoCommission, Percent, PerShare, PerTrade, Tiered
from qengine_costs.slippage import FixedBps, HalfSpread, NoSlippage, VolumeShare


@implements.commission_models
def commission_models() -> Iterable[CommissionSpec]:
    """Every commission model of this plugin."""
    yield CommissionSpec(name="none", summary="No commission.", component=NoCommission)
    yield CommissionSpec(
        name="per-share", summary="A charge per share or contract, with minimum and maximum.", component=PerShare
    )
    yield CommissionSpec(name="per-trade", summary="A fixed charge per order.", component=PerTrade)
    yield CommissionSpec(name="percent", summary="A share of the notional, with a minimum.", component=Percent)
    yield CommissionSpec(name="tiered", summary="A charge per unit that changes with order size.", component=Tiered)


@implements.slippage_models
def slippage_models() -> Iterable[SlippageSpec]:
    """Every slippage model of this plugin."""
    yield SlippageSpec(name="none", summary="No slippage.", component=NoSlippage)
    yield SlippageSpec(name="fixed-bps", summary="A fixed fraction of the price.", component=FixedBps)
    yield SlippageSpec(name="half-spread", summary="Half the spread, known or assumed.", component=HalfSpread)
    yield SlippageSpec(
        name="volume-share", summary="Impact by the square of the share of volume taken.", component=VolumeShare
    )
