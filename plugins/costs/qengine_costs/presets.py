"""Price lists of brokers, exchanges and regulators, each with its source and date; they change, so check."""

from __future__ import annotations

from qengine_core.plugin import component, param
from qengine_costs.charge import Charge, Itemised

__all__ = ["BinanceSpot", "IbUsStocksFixed", "IbUsStocksTiered", "UsRegulatoryFees"]


@component
class UsRegulatoryFees(Itemised):
    """What US regulators charge on stocks and ETFs, which also brokers without commission pass on.

    - SEC fee (Securities Exchange Act, section 31), on sales: 20.60 per million since 2026-04-04. Before: 0 from
      2025-05-14, 27.80 from 2024-05-22, 8.00 from 2023-02-27, 22.90 from 2022-05-14, 5.10 from 2021-02-25.
    - Trading Activity Fee (FINRA By-Laws, schedule A, section 1), on sales: 0.000195 a share, at most 9.79, since
      2026-01-01; zero for trades of October to December 2026. Before: 0.000166 (8.30) from 2024, 0.000145
      (7.27) from 2023, 0.000130 (6.49) from 2022, 0.000119 (5.95) from July 2012.
    - Consolidated Audit Trail fee, on both sides: 0.000003 a share, as brokers passed it on in 2026; it has
      changed several times a year since it began in 2024 (0.000035 at first), and there was none before.

    The defaults are those of October 2026, without the holiday of the Trading Activity Fee. A run over earlier
    years sets its own. Maximums count per order, where the rule says per trade.
    """

    sec_rate: float = param(default=20.60e-6, help="SEC fee on sales.", unit="fraction of the notional", ge=0)
    taf_rate: float = param(default=0.000195, help="FINRA's fee on sales.", unit="USD per share", ge=0)
    taf_maximum: float = param(default=9.79, help="Greatest FINRA fee per order.", unit="USD", ge=0)
    cat_rate: float = param(default=0.000003, help="Consolidated Audit Trail fee.", unit="USD per share", ge=0)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The SEC's, FINRA's, and the audit trail's."""
        return (
            Charge(per="notional", rate=self.sec_rate, side="sell"),
            Charge(rate=self.taf_rate, maximum=self.taf_maximum, side="sell"),
            Charge(rate=self.cat_rate),
        )


@component
class IbUsStocksFixed(UsRegulatoryFees):
    """Interactive Brokers, US stocks and ETFs, IBKR Pro fixed: 0.005 a share and regulatory fees, in USD.

    At least 1.00 and at most 1 % of the trade value per order, the maximum being the stronger; exchange and
    clearing fees are included. Source: interactivebrokers.com, Pricing, Commissions Stocks, as of October 2026.
    The lower minimum for orders of less than one share is left out. On the regulatory fees and their dates,
    see ``us-regulatory-fees``.
    """

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The broker's, then the regulators'."""
        return (Charge(rate=0.005, minimum=1.0, maximum_fraction=0.01), *super().charges)


@component
class IbUsStocksTiered(UsRegulatoryFees):
    """Interactive Brokers, US stocks and ETFs, IBKR Pro tiered: by the month's shares, and all fees on top, in USD.

    Per share 0.0035 up to 300,000 shares of the calendar month, 0.0020 up to 3 million, 0.0015 up to 20 million,
    0.0010 up to 100 million, 0.0005 beyond, each slice at its own rate; at least 0.35 and at most 1 % of the
    trade value per order, the maximum being the stronger. On top come the exchange's fee (or rebate), clearing
    (at most 0.5 % of the trade value), a share of the commission passed through for NYSE (0.000175) and FINRA
    (0.000565), and the regulatory fees of ``us-regulatory-fees``.

    Source: interactivebrokers.com, Pricing, Commissions Stocks, as of October 2026. What an exchange takes
    depends on venue and order: 0.0030 a share is what most charged for taking liquidity (the cap of rule
    610(c) of Regulation NMS). For adding it many pay a rebate (0.0021 in the broker's own examples); here
    nothing, unless you set it.
    """

    taker_fee: float = param(
        default=0.0030, help="The exchange's fee for taking liquidity; negative for a rebate.", unit="USD per share"
    )
    maker_fee: float = param(
        default=0.0, help="The exchange's fee for adding liquidity; negative for a rebate.", unit="USD per share"
    )
    clearing_rate: float = param(default=0.00020, help="NSCC and DTC fees.", unit="USD per share", ge=0)
    pass_through: float = param(
        default=0.00074, help="NYSE's and FINRA's share, together.", unit="fraction of the commission", ge=0
    )

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The broker's, what it passes through on that, the exchange's, clearing, then the regulators'."""
        tiers = ((0.0, 0.0035), (300e3, 0.0020), (3e6, 0.0015), (20e6, 0.0010), (100e6, 0.0005))
        return (
            Charge(tiers=tiers, by="month-quantity", minimum=0.35, maximum_fraction=0.01),
            Charge(per="charges", rate=self.pass_through),
            Charge(rate=self.taker_fee, liquidity="taker"),
            Charge(rate=self.maker_fee, liquidity="maker"),
            Charge(rate=self.clearing_rate, maximum_fraction=0.005),
            *super().charges,
        )


@component
class BinanceSpot(Itemised):
    """Binance spot: 0.1 % of the notional as a regular user (VIP 0), 25 % less where fees are paid in BNB.

    Makers pay 0.09 % at VIP 1 and 0.08 % at VIP 2, takers 0.1 % at both. Source: binance.com, Fee Schedule, Spot
    Trading, as of October 2026. Higher levels change often and by promotion: give your own to ``maker-taker``. The
    fee is charged in the currency of the price, though Binance takes it from what is bought, or in BNB.
    """

    vip: int = param(default=0, help="VIP level.", ge=0, le=2)
    bnb: bool = param(default=False, help="Whether fees are paid in BNB.")

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The maker's and the taker's."""
        due = 0.75 if self.bnb else 1.0
        maker, taker = ((0.0010, 0.0010), (0.0009, 0.0010), (0.0008, 0.0010))[self.vip]
        return (
            Charge(per="notional", rate=maker * due, liquidity="maker"),
            Charge(per="notional", rate=taker * due, liquidity="taker"),
        )
