"""Commission and slippage models, pure functions that know no broker, and financing: what moves cash besides fills."""

from __future__ import annotations

from qengine_costs.charge import Charge, Itemised
from qengine_costs.commission import (
    MakerTaker,
    NoCommission,
    Percent,
    PerContract,
    PerShare,
    PerTrade,
    Schedule,
    Tiered,
)
from qengine_costs.financing import BorrowFee, Delistings, Dividends, Funding, Interest, Splits
from qengine_costs.presets import BinanceSpot, IbUsStocksFixed, IbUsStocksTiered, UsRegulatoryFees
from qengine_costs.slippage import FixedBps, HalfSpread, NoSlippage, Ticks, VolatilityShare, VolumeShare

__all__ = [
    "BinanceSpot",
    "BorrowFee",
    "Charge",
    "Delistings",
    "Dividends",
    "FixedBps",
    "Funding",
    "HalfSpread",
    "IbUsStocksFixed",
    "IbUsStocksTiered",
    "Interest",
    "Itemised",
    "MakerTaker",
    "NoCommission",
    "NoSlippage",
    "PerContract",
    "PerShare",
    "PerTrade",
    "Percent",
    "Schedule",
    "Splits",
    "Ticks",
    "Tiered",
    "UsRegulatoryFees",
    "VolatilityShare",
    "VolumeShare",
]
