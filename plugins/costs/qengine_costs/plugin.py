"""Announces the cost models by the names that run files use; it computes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import CommissionSpec, FinancingSpec, SlippageSpec, implements
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


@implements.commission_models
def commission_models() -> Iterable[CommissionSpec]:
    """Every commission model of this plugin."""
    yield CommissionSpec(name="none", summary="No commission.", component=NoCommission)
    yield CommissionSpec(
        name="per-share", summary="A charge per share or contract, with minimum and maximum.", component=PerShare
    )
    yield CommissionSpec(
        name="per-contract", summary="A charge per contract, with exchange and regulatory fees.", component=PerContract
    )
    yield CommissionSpec(name="per-trade", summary="A fixed charge per order.", component=PerTrade)
    yield CommissionSpec(
        name="percent", summary="A share of the notional, with minimum and maximum.", component=Percent
    )
    yield CommissionSpec(
        name="tiered", summary="A rate that changes with the order's size or the month's volume.", component=Tiered
    )
    yield CommissionSpec(
        name="maker-taker", summary="One rate for adding liquidity, another for taking it.", component=MakerTaker
    )
    yield CommissionSpec(name="schedule", summary="Any number of charges, added up.", component=Schedule)
    yield CommissionSpec(
        name="us-regulatory-fees", summary="SEC, FINRA and audit trail fees on US stocks.", component=UsRegulatoryFees
    )
    yield CommissionSpec(
        name="ib-us-stocks-fixed",
        summary="Interactive Brokers, US stocks, fixed (October 2026).",
        component=IbUsStocksFixed,
    )
    yield CommissionSpec(
        name="ib-us-stocks-tiered",
        summary="Interactive Brokers, US stocks, tiered (October 2026).",
        component=IbUsStocksTiered,
    )
    yield CommissionSpec(name="binance-spot", summary="Binance spot, VIP 0 to 2 (October 2026).", component=BinanceSpot)


@implements.slippage_models
def slippage_models() -> Iterable[SlippageSpec]:
    """Every slippage model of this plugin."""
    yield SlippageSpec(name="none", summary="No slippage.", component=NoSlippage)
    yield SlippageSpec(name="fixed-bps", summary="A fixed fraction of the price.", component=FixedBps)
    yield SlippageSpec(name="ticks", summary="A fixed number of ticks.", component=Ticks)
    yield SlippageSpec(name="half-spread", summary="Half the spread, known or assumed.", component=HalfSpread)
    yield SlippageSpec(
        name="volume-share", summary="Impact by the square of the share of volume taken.", component=VolumeShare
    )
    yield SlippageSpec(
        name="volatility-share",
        summary="Impact by volatility and the root of the share of volume taken.",
        component=VolatilityShare,
    )


@implements.financing_models
def financing_models() -> Iterable[FinancingSpec]:
    """Every financing model of this plugin."""
    yield FinancingSpec(name="interest", summary="Interest on cash and on debit, by the day.", component=Interest)
    yield FinancingSpec(
        name="borrow-fee", summary="Fees for the stock of short positions, by the day.", component=BorrowFee
    )
    yield FinancingSpec(
        name="dividends", summary="Cash dividends from a table: ex-date, pay date.", component=Dividends
    )
    yield FinancingSpec(name="splits", summary="Splits from a table: ex-date, ratio.", component=Splits)
    yield FinancingSpec(
        name="delistings", summary="Delistings from a table: last session, price.", component=Delistings
    )
    yield FinancingSpec(
        name="funding", summary="Funding of perpetual futures, fixed or from a table.", component=Funding
    )
