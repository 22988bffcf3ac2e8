"""Order types of one leg, as recipes over matching primitives; they know nothing of how a broker matches them.

Prices are in the instrument's currency per unit. A stop waits for a price that is worse for the order,
an order if touched for one that is better.
"""

from __future__ import annotations

import attrs

from qengine_core.plugin import MARKET_LEG, NAN, ConfigError, Leg, param

__all__ = [
    "Iceberg",
    "Limit",
    "LimitIfTouched",
    "Market",
    "MarketIfTouched",
    "PercentOfVolume",
    "PostOnly",
    "ReduceOnly",
    "Stop",
    "StopLimit",
    "TrailingStop",
    "TrailingStopLimit",
]

_PRICE = "instrument currency per unit"


@attrs.frozen
class Market:
    """Trade at the next price there is: the open of the next bar, the next print, the next quote."""

    def legs(self) -> tuple[Leg, ...]:
        return (MARKET_LEG,)


@attrs.frozen
class Limit:
    """Trade at ``price`` or better, or wait for it.

    A buy fills at the lower of the open and ``price``, a sell at the higher: a favourable gap is
    improvement. It never trades beyond ``price``, slippage included.
    """

    price: float = param(help="The worst acceptable price.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(limit=self.price),)


@attrs.frozen
class Stop:
    """Trade at market once prices have got as bad as ``price``: risen to it for a buy, fallen to it for a sell.

    It fills at ``price``, or at the open of a bar that gapped beyond.
    """

    price: float = param(help="The price that sets the order off.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(trigger=self.price),)


@attrs.frozen
class StopLimit:
    """Become a limit order at ``limit`` once prices have got as bad as ``price``.

    In the bar that sets it off, only prices that come after the trigger fill it.
    """

    price: float = param(help="The price that sets the order off.", unit=_PRICE, gt=0)
    limit: float = param(help="The worst acceptable price from then on.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(trigger=self.price, limit=self.limit),)


@attrs.frozen
class MarketIfTouched:
    """Trade at market once prices have got as good as ``price``: fallen to it for a buy, risen to it for a sell."""

    price: float = param(help="The price that sets the order off.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(trigger=self.price, is_touch=True),)


@attrs.frozen
class LimitIfTouched:
    """Become a limit order at ``limit`` once prices have got as good as ``price``."""

    price: float = param(help="The price that sets the order off.", unit=_PRICE, gt=0)
    limit: float = param(help="The worst acceptable price from then on.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(trigger=self.price, limit=self.limit, is_touch=True),)


def _trail(amount: float | None, fraction: float | None) -> tuple[float, bool]:
    """How far a stop trails, and whether that is a fraction of the price."""
    if (amount is None) == (fraction is None):
        given = "neither" if amount is None else "both"
        raise ConfigError(f"A trailing stop takes either amount (a price) or fraction (0.05 is 5 %), not {given}.")
    return (amount, False) if amount is not None else (fraction or 0.0, True)


@attrs.frozen(kw_only=True)
class TrailingStop:
    """A stop that follows the best price since the order was accepted, ``amount`` or ``fraction`` behind.

    Every row is tested against the stop as it was, and only then moves it.
    """

    amount: float | None = param(default=None, help="How far behind, as a price; or give fraction.", unit=_PRICE, gt=0)
    fraction: float | None = param(default=None, help="How far behind, of the best price.", unit="fraction", gt=0, lt=1)

    def __attrs_post_init__(self) -> None:
        _trail(self.amount, self.fraction)

    def legs(self) -> tuple[Leg, ...]:
        trail, is_fraction = _trail(self.amount, self.fraction)
        return (Leg(trail=trail, trail_is_percent=is_fraction),)


@attrs.frozen(kw_only=True)
class TrailingStopLimit:
    """A trailing stop that, once set off, becomes a limit order ``limit_offset`` beyond the stop.

    A buy that is set off at 100 with an offset of 1 pays at most 101; a sell takes at least 99.
    """

    amount: float | None = param(default=None, help="How far behind, as a price; or give fraction.", unit=_PRICE, gt=0)
    fraction: float | None = param(default=None, help="How far behind, of the best price.", unit="fraction", gt=0, lt=1)
    limit_offset: float = param(help="How much worse than the stop it may trade.", unit=_PRICE, ge=0)

    def __attrs_post_init__(self) -> None:
        _trail(self.amount, self.fraction)

    def legs(self) -> tuple[Leg, ...]:
        trail, is_fraction = _trail(self.amount, self.fraction)
        return (Leg(trail=trail, trail_is_percent=is_fraction, limit_offset=self.limit_offset),)


@attrs.frozen(kw_only=True)
class Iceberg:
    """A limit order that shows, and trades, at most ``display`` on a row of data; the rest follows on later rows."""

    price: float = param(help="The worst acceptable price.", unit=_PRICE, gt=0)
    display: float = param(help="The quantity that shows.", unit="units", gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(limit=self.price, display=self.display),)


@attrs.frozen
class PostOnly:
    """A limit order that is cancelled if it would trade at once, so that it only ever adds liquidity."""

    price: float = param(help="The worst acceptable price.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(limit=self.price, post_only=True),)


@attrs.frozen(kw_only=True)
class ReduceOnly:
    """An order that closes a position or part of it, and never opens one; at market, or at ``limit`` or ``stop``."""

    limit: float | None = param(default=None, help="The worst acceptable price; none: at market.", unit=_PRICE, gt=0)
    stop: float | None = param(default=None, help="The price that sets the order off; none: none.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        limit = NAN if self.limit is None else self.limit
        return (Leg(limit=limit, trigger=NAN if self.stop is None else self.stop, reduce_only=True),)


@attrs.frozen(kw_only=True)
class PercentOfVolume:
    """An order that takes no more than its share of each row's volume until it is done; at market, or at ``limit``."""

    share: float = param(help="Its share of a row's volume.", unit="fraction", gt=0, le=1)
    limit: float | None = param(default=None, help="The worst acceptable price; none: at market.", unit=_PRICE, gt=0)

    def legs(self) -> tuple[Leg, ...]:
        return (Leg(participation=self.share, limit=NAN if self.limit is None else self.limit),)
