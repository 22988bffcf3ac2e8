"""Order types of several legs: orders that depend on one another, or follow one another in time."""

from __future__ import annotations

from typing import Literal

import attrs

from qengine_core.plugin import MARKET_LEG, NAN, ConfigError, Leg, OrderType, component, param

__all__ = ["Bracket", "OneCancelsOther", "OneTriggersOther", "OneUpdatesOther", "Twap"]

_SHAPES = {"price": "", "amount": "amount", "fraction": "fraction"}


def _only_leg(order: OrderType, of: str) -> Leg:
    legs = order.legs()
    if len(legs) != 1:
        raise ConfigError(f"{of} is made of orders of one leg, and {type(order).__name__} has {len(legs)}.")
    return legs[0]


@component
class Bracket:
    """An entry, and exits that act once, and as far as, it has filled: a profit to take and a loss to stop.

    As one exit fills, the other shrinks by as much. A time in force of IOC, FOK, at-open or at-close is the entry's
    alone, and the exits rest until cancelled; day and GTD are of all three. ``distance`` says what the exits'
    prices are: prices, or distances from what the entry filled at, as amounts or fractions of it (0.05 is 5 %). A
    distance is positive on either side: the profit lies in the entry's favour, the loss against it. A bar in which
    both exits were touched fills the one that the policy on the path inside a bar says: by default the stop.
    """

    entry: OrderType | None = param(default=None, help="An order type of one leg for the entry; none: at market.")
    take_profit: float | None = param(default=None, help="Where to take a profit; none: nowhere.", gt=0)
    stop_loss: float | None = param(default=None, help="Where to stop a loss; none: nowhere.", gt=0)
    trail: float | None = param(default=None, help="How far a stop trails the best price since the entry.", gt=0)
    distance: Literal["price", "amount", "fraction"] = param(default="price", help="What the numbers above are.")

    def __attrs_post_init__(self) -> None:
        if self.stop_loss is not None and self.trail is not None:
            raise ConfigError("A bracket stops a loss at stop_loss or by trail, not by both.")
        if self.take_profit is None and self.stop_loss is None and self.trail is None:
            raise ConfigError("A bracket needs take_profit, stop_loss or trail.")
        if self.entry is not None:
            _only_leg(self.entry, "A bracket")

    def legs(self) -> tuple[Leg, ...]:
        entry = MARKET_LEG if self.entry is None else _only_leg(self.entry, "A bracket")
        shape = _SHAPES[self.distance]
        child = Leg(side=-1, parent=0, group=0, group_reduces=True)
        exits = []
        if self.take_profit is not None:
            exits.append(child._replace(limit=self.take_profit, from_fill=shape))
        if self.stop_loss is not None:
            trigger = -self.stop_loss if shape else self.stop_loss
            exits.append(child._replace(trigger=trigger, from_fill=shape))
        if self.trail is not None:
            exits.append(child._replace(trail=self.trail, trail_is_percent=self.distance == "fraction"))
        return (entry, *exits)


@attrs.frozen
class OneCancelsOther:
    """Orders of which the first to fill, be it in part, cancels the others."""

    orders: tuple[OrderType, ...] = param(help="Order types of one leg, two or more.")

    def __attrs_post_init__(self) -> None:
        if len(self.orders) < 2:
            raise ConfigError(f"{type(self).__name__} needs two orders or more, not {len(self.orders)}.")
        self.legs()

    def legs(self) -> tuple[Leg, ...]:
        return tuple(_only_leg(order, "One-cancels-other")._replace(group=0) for order in self.orders)


@attrs.frozen
class OneUpdatesOther(OneCancelsOther):
    """Orders that share one quantity: what one fills is taken off the others."""

    def legs(self) -> tuple[Leg, ...]:
        return tuple(leg._replace(group_reduces=True) for leg in OneCancelsOther.legs(self))


@component
class OneTriggersOther:
    """An order whose fills send another: as much of ``then`` may trade as ``first`` has filled."""

    first: OrderType = param(help="An order type of one leg.")
    then: OrderType = param(help="An order type of one leg, sent by the fills of the first.")
    side: Literal["opposite", "same"] = param(default="opposite", help="The side of the second order.")

    def legs(self) -> tuple[Leg, ...]:
        then = _only_leg(self.then, "One-triggers-other")
        side = -1 if self.side == "opposite" else 1
        return (_only_leg(self.first, "One-triggers-other"), then._replace(side=side, parent=0))


@component
class Twap:
    """The quantity in equal slices, one every so many ``seconds``; each at market, or at ``limit``.

    The first is sent at once. Of an instrument with lots the slices are whole lots that add up to the quantity, as
    far as that has whole lots; some then trade one more than others. ``ctx.legs(order)`` has the slices.
    """

    slices: int = param(help="How many slices.", ge=1)
    seconds: float = param(help="The time between two slices.", unit="seconds", gt=0)
    limit: float | None = param(
        default=None, help="The worst acceptable price; none: at market.", unit="instrument currency per unit", gt=0
    )

    def legs(self) -> tuple[Leg, ...]:
        piece = Leg(ratio=1 / self.slices, limit=NAN if self.limit is None else self.limit)
        return tuple(piece._replace(delay=round(number * self.seconds * 1e9)) for number in range(self.slices))
