"""Position rules: when a position is left without an order by hand, each as an exit that rests on the market.

A rule acts on the whole position of an instrument, at its average price, and follows its changes. It is no
part of a rule how exits are sent and renewed; that is the guard's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from qengine_core.plugin import ConfigError, Instrument, Leg, TimeInForce, component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["After", "ExitRule", "HeldPosition", "StopLoss", "TakeProfit", "TimeExit", "TrailingStop"]

_SECOND = 1_000_000_000
_WHOSE = "Names or patterns such as BTC* of the instruments it is for; empty: all."


class HeldPosition(NamedTuple):
    """A position that rules are asked about: ``side`` is +1 long, -1 short, ``quantity`` positive.

    ``opened_ts`` (ns UTC) is when it was opened, or turned to this side. ``best_price`` is where a trail begins: the
    average price, or the last one where that is better and the exit is sent anew.
    """

    instrument: Instrument
    side: int
    quantity: float
    average_price: float
    opened_ts: int
    best_price: float


class After(NamedTuple):
    """How long an exit is held back: until so many bars have begun and ended, or until a time (ns UTC)."""

    bars: int = 0
    ts: int = -1


class ExitRule:
    """Base class of position rules. A subclass is a component and says its exit in ``leg``."""

    __slots__ = ()
    instruments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its orders are tagged with."""
        return "exit"

    @property
    def time_in_force(self) -> TimeInForce:
        """How long the exit rests, once sent."""
        return TimeInForce.GTC

    def leg(self, position: HeldPosition) -> Leg:
        """The exit as a primitive, relative to leaving; the guard makes it reduce-only and yielding.

        It is asked again whenever quantity or average price have changed, and the resting order follows.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how a position is left.")

    def after(self, position: HeldPosition) -> After | None:
        """When the exit is sent; None: at once, to rest."""
        return None

    def build(self, run: Run) -> Any:
        """The guard of the run, which all its position rules share."""
        from qengine_risk.guard import Guard

        return Guard.of(run).join(self)


@component
class StopLoss(ExitRule):
    """Leaves a position that has lost so much, by a stop at ``average price -+ distance``.

    A bar that gaps through fills it at the open, so the loss may be larger by the gap, slippage and costs.
    """

    fraction: float | None = param(default=None, help="The loss, as a share of the price.", unit="fraction", gt=0)
    amount: float | None = param(default=None, help="The loss per unit, as a distance of prices.", unit="price", gt=0)
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def __attrs_post_init__(self) -> None:
        _need_one_of(fraction=self.fraction, amount=self.amount)

    @property
    def name(self) -> str:
        """``stop-loss``."""
        return "stop-loss"

    def leg(self, position: HeldPosition) -> Leg:
        """A stop."""
        return Leg(trigger=position.average_price - position.side * _distance(self, position.average_price))


@component
class TakeProfit(ExitRule):
    """Leaves a position that has gained so much, by a limit at ``average price +- distance``."""

    fraction: float | None = param(default=None, help="The gain, as a share of the price.", unit="fraction", gt=0)
    amount: float | None = param(default=None, help="The gain per unit, as a distance of prices.", unit="price", gt=0)
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def __attrs_post_init__(self) -> None:
        _need_one_of(fraction=self.fraction, amount=self.amount)

    @property
    def name(self) -> str:
        """``take-profit``."""
        return "take-profit"

    def leg(self, position: HeldPosition) -> Leg:
        """A limit."""
        return Leg(limit=position.average_price + position.side * _distance(self, position.average_price))


@component
class TrailingStop(ExitRule):
    """Leaves a position that has fallen so far from its best price since it was opened, by a trailing stop.

    It begins at the average price of the first fill, and moves as the broker moves trailing stops: tested against the
    old mark, then moved.
    """

    fraction: float | None = param(
        default=None, help="How far it trails, as a share of the best price.", unit="fraction", gt=0, lt=1
    )
    amount: float | None = param(default=None, help="How far it trails, as a distance of prices.", unit="price", gt=0)
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def __attrs_post_init__(self) -> None:
        _need_one_of(fraction=self.fraction, amount=self.amount)

    @property
    def name(self) -> str:
        """``trailing-stop``."""
        return "trailing-stop"

    def leg(self, position: HeldPosition) -> Leg:
        """A trailing stop."""
        is_percent = self.fraction is not None
        trail = self.fraction if is_percent else self.amount
        assert trail is not None
        return Leg(trail=trail, trail_is_percent=is_percent, mark=position.best_price)


@component
class TimeExit(ExitRule):
    """Leaves a position after a time, at market: so many bars, so long, or at the close of the session.

    The bar on which a position is opened is its first. After ``bars = 1`` the exit is sent at that bar's close and
    fills at the next open; so a position is held for as many bars as it says. Additions do not prolong it.
    """

    bars: int | None = param(default=None, help="How many bars of the instrument it is held.", unit="bars", ge=1)
    duration: float | None = param(default=None, help="How long it is held.", unit="seconds", gt=0)
    at_session_close: bool = param(
        default=False, help="Whether it is left at the close of the session, by an order at the close."
    )
    instruments: tuple[str, ...] = param(default=(), help=_WHOSE)

    def __attrs_post_init__(self) -> None:
        _need_one_of(bars=self.bars, duration=self.duration, at_session_close=self.at_session_close or None)

    @property
    def name(self) -> str:
        """``time-exit``."""
        return "time-exit"

    @property
    def time_in_force(self) -> TimeInForce:
        """An order at the close, where it is to be left there."""
        return TimeInForce.AT_CLOSE if self.at_session_close else TimeInForce.GTC

    def leg(self, position: HeldPosition) -> Leg:
        """At market."""
        return Leg()

    def after(self, position: HeldPosition) -> After | None:
        """So many bars, or a time."""
        if self.bars is not None:
            return After(bars=self.bars)
        if self.duration is not None:
            return After(ts=position.opened_ts + round(self.duration * _SECOND))
        return None


def _distance(rule: StopLoss | TakeProfit, price: float) -> float:
    if rule.fraction is not None:
        return rule.fraction * abs(price)
    assert rule.amount is not None
    return rule.amount


def _need_one_of(**given: object) -> None:
    if sum(value is not None for value in given.values()) != 1:
        raise ConfigError(f"a position rule takes exactly one of {', '.join(given)}: say which.")
