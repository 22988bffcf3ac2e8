"""Commission and slippage models: small pure functions of quantity, price and volume, which know no broker."""

from __future__ import annotations

from qengine_costs.commission import NoCommission, Percent, PerShare, PerTrade, Tiered
from qengine_costs.slippage import FixedBps, HalfSpread, NoSlippage, VolumeShare

__all__ = [
    "FixedBps",
    "HalfSpread",
    "NoCommission",
    "NoSlippage",
    "PerShare",
    "PerTrade",
    "Percent",
    "Tiered",
    "VolumeShare",
]
