"""What a strategy may do and see: the clock, chance, orders, the account. It holds no state of its own."""

from __future__ import annotations

import datetime as dt
import functools
import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qengine_core.plugin import (
    BAR,
    BUY,
    SELL,
    AccountView,
    ConfigError,
    Order,
    OrderType,
    TimeInForce,
    did_you_mean,
)
from qengine_strategy.events import to_datetime

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_strategy.crossing import Watch
    from qengine_strategy.driver import StrategyDriver
    from qengine_strategy.timer import Timer

__all__ = ["Context", "PortfolioView", "to_ns"]

_INF = math.inf


class Context:
    """Handed to every callback. Instruments are given by name; quantities are in units, positive.

    ``account`` is the name of the account that the strategy trades, ``portfolio`` that account: of a run with
    several, no strategy sees another's.
    """

    __slots__ = (
        *("_account", "_broker", "_clock", "_codes", "_driver", "_ledger", "_limit", "_pays", "_rebalance", "_reserve"),
        *("_run", "_submit", "_target_lot", "account", "portfolio"),
    )

    def __init__(self, run: Run, driver: StrategyDriver, account: int = 0) -> None:
        self._run = run
        self._clock = run.clock
        self._broker = run.broker
        self._account = account
        self._submit: Callable[..., Order] = run.broker.submit
        if account:
            self._submit = functools.partial(run.broker.submit, account=account)
        # A broker may have a way to send a whole rebalancing at once.
        self._rebalance: Callable[..., Sequence[Order] | None] | None = getattr(run.broker, "rebalance", None)
        self._ledger = run.ledger.accounts[account]
        self.account = self._ledger.name
        self._codes = run.codes
        self._reserve: float = getattr(run.ledger, "target_reserve", 0.0)
        self._pays: bool = getattr(run.ledger, "target_commission", False)
        self._target_lot: float = getattr(run.ledger, "target_lot", 0.0)
        self._driver: StrategyDriver = weakref.proxy(driver)  # which holds this
        self._limit: Callable[..., OrderType] | None = None
        self.portfolio = PortfolioView(run, self._ledger)

    @property
    def now(self) -> int:
        """The time in the run: nanoseconds since the epoch, UTC."""
        return self._clock.now

    @property
    def time(self) -> dt.datetime:
        """The same as an aware UTC datetime."""
        return to_datetime(self._clock.now)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of all instruments of the run, in order of their codes."""
        return tuple(self._codes)

    def rng(self, name: str = "strategy") -> np.random.Generator:
        """The run's seeded random generator of that name; the same one at every call."""
        return self._run.rng(name)

    # Orders -----------------------------------------------------------------------------------------

    def buy(
        self,
        instrument: str,
        quantity: float,
        type: OrderType | None = None,
        *,
        limit: float | None = None,
        **options: Any,
    ) -> Order:
        """Buy at market, at ``limit=`` or better, or by an order type. See ``order`` for the options."""
        code = self._codes.get(instrument)
        if code is not None and type is None and not options and 0 <= quantity < _INF:  # the usual, without detours
            if limit is None:
                return self._submit(code, BUY, quantity)
            if 0 < limit < _INF:
                return self._submit(code, BUY, quantity, limit=limit)
        return self._send(instrument, BUY, quantity, type, limit=limit, **options)

    def sell(
        self,
        instrument: str,
        quantity: float,
        type: OrderType | None = None,
        *,
        limit: float | None = None,
        **options: Any,
    ) -> Order:
        """Sell at market, at ``limit=`` or better, or by an order type. See ``order`` for the options."""
        code = self._codes.get(instrument)
        if code is not None and type is None and not options and 0 <= quantity < _INF:  # the usual, without detours
            if limit is None:
                return self._submit(code, SELL, quantity)
            if 0 < limit < _INF:
                return self._submit(code, SELL, quantity, limit=limit)
        return self._send(instrument, SELL, quantity, type, limit=limit, **options)

    def order(self, instrument: str, quantity: float, type: OrderType | None = None, **options: Any) -> Order:
        """Trade a signed quantity: positive buys, negative sells.

        Options: ``limit`` (price), ``time_in_force`` ("gtc", "gtd", "ioc", "fok", "day", "at-open",
        "at-close"), ``expires`` (aware datetime or ns, with "gtd"), ``tag`` (text kept in the order's record).
        """
        return self._send(instrument, BUY if quantity >= 0 else SELL, abs(quantity), type, **options)

    def order_target(
        self, instrument: str, quantity: float, type: OrderType | None = None, **options: Any
    ) -> Order | None:
        """Trade what is missing to a signed position, counting open orders; None if nothing is."""
        return self._trade_towards(instrument, quantity, 0.0, type, options)

    def _trade_towards(
        self, instrument: str, quantity: float, lot: float, type: OrderType | None, options: Mapping[str, Any]
    ) -> Order | None:
        """Trade what is missing to a position, in whole lots of this size and the instrument's."""
        code = self._code(instrument)
        missing = quantity - self._ledger.positions[code].quantity - self._broker.pending(code, self._account)
        if not math.isfinite(missing):
            raise ConfigError(f"A target of {quantity!r} {instrument} is impossible: it must be a finite number.")
        lot = max(lot, self._run.instruments[code].lot_size)
        if lot > 0:
            missing = math.trunc(missing / lot + math.copysign(1e-9, missing)) * lot
        return self.order(instrument, missing, type, **options) if missing else None

    def order_target_value(
        self, instrument: str, value: float, type: OrderType | None = None, **options: Any
    ) -> Order | None:
        """Trade towards a signed market value in the ledger's currency, at the last known price."""
        code = self._code(instrument)
        price = self._ledger.mark(code) * self._ledger.unit_value(code)
        if not price > 0:
            raise ConfigError(
                f"{instrument} has no price yet, so a target in money cannot be sized: wait for its first row."
            )
        return self._trade_towards(instrument, value / price, self._target_lot if value else 0.0, type, options)

    def order_target_percent(
        self, instrument: str, fraction: float, type: OrderType | None = None, **options: Any
    ) -> Order | None:
        """Trade towards a signed fraction of equity: 0.1 is 10 %. What the ledger reserves of it is left out."""
        value = self._share(instrument, fraction, self._ledger.equity)
        return self.order_target_value(instrument, value, type, **options)

    def rebalance(self, weights: Mapping[str, float] | npt.NDArray[np.float64]) -> Sequence[Order]:
        """Trade the whole portfolio to ``weights`` (fractions as for one target), sales before purchases.

        A mapping names instruments, and what it does not name is closed. An array has one weight for each of
        ``ctx.instruments``; where it is NaN, the position is left as it is. Raises ConfigError for a weight that is no
        number, or of an instrument without a price.
        """
        wanted = self._weights(weights)
        sent = self._rebalance(wanted, self._account) if self._rebalance is not None else None
        return self._rebalance_one_by_one(wanted) if sent is None else sent

    def _weights(self, weights: Mapping[str, float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """By instrument code; NaN where nothing is to be done."""
        if not isinstance(weights, Mapping):
            given = np.asarray(weights, dtype=np.float64)
            if given.shape != (len(self._codes),) or np.isinf(given).any():
                raise ConfigError(
                    f"Weights in an array must be {len(self._codes)} finite numbers or NaN, one for each of "
                    f"ctx.instruments; these are {given.shape} {given!r}."
                )
            return given
        wanted = np.full(len(self._codes), np.nan)
        wanted[list(self._ledger.held())] = 0.0
        for name, weight in weights.items():
            if not math.isfinite(weight):
                raise ConfigError(f"A target of {weight!r} {name} is impossible: it must be a finite number.")
            wanted[self._code(name)] = weight
        return wanted

    def _rebalance_one_by_one(self, wanted: npt.NDArray[np.float64]) -> Sequence[Order]:
        """For brokers that look at each order by itself."""
        equity, names = self._ledger.equity, self.instruments
        codes = np.flatnonzero(wanted == wanted).tolist()
        grows = {code: wanted.item(code) * equity - self.portfolio.value(names[code]) > 0 for code in codes}
        sent = []
        for code in sorted(codes, key=lambda code: (grows[code], code)):
            held = self._ledger.positions[code].quantity
            if wanted.item(code) or held or self._broker.pending(code, self._account):
                value = self._share(names[code], wanted.item(code), equity)
                sent.append(self.order_target_value(names[code], value))
        return [order for order in sent if order is not None]

    def _share(self, instrument: str, fraction: float, equity: float) -> float:
        """The value of a fraction of equity, less what the ledger reserves for targets."""
        equity -= self._reserve * equity
        if self._pays:
            code = self._code(instrument)
            equity -= self._commission(code, fraction * equity - self.portfolio.value(instrument))
        return fraction * equity

    def _commission(self, code: int, value: float) -> float:
        """What an order of that signed value would be charged if it took liquidity, whatever the month so far."""
        model, instrument = self._run.commission, self._run.instruments[code]
        price, lot = self._ledger.mark(code), max(self._target_lot, instrument.lot_size)
        unit = self._ledger.unit_value(code)
        if not price > 0:
            return 0.0
        quantity = abs(value) / (price * unit)
        if lot > 0 and math.isfinite(quantity):
            quantity = math.trunc(quantity / lot + 1e-9) * lot
        way, rate = math.copysign(1.0, value), unit / instrument.multiplier
        return rate * model.commission(way, quantity, price, instrument.multiplier, 0.0, 0.0, 0.0, model.rates)

    def close(self, instrument: str, **options: Any) -> Order | None:
        """Cancel the instrument's open orders and trade its position to zero at market."""
        self.cancel_all(instrument)
        quantity = self._ledger.positions[self._code(instrument)].quantity
        return self.order(instrument, -quantity, **options) if quantity else None

    def cancel(self, order: Order) -> None:
        """Ask for an order to be taken off the market."""
        self._broker.cancel(order)

    def cancel_all(self, instrument: str | None = None) -> None:
        """Cancel every open order, of one instrument or of all."""
        for order in self.open_orders(instrument):
            self._broker.cancel(order)

    def amend(
        self,
        order: Order,
        *,
        quantity: float | None = None,
        limit: float | None = None,
        trigger: float | None = None,
        trail: float | None = None,
    ) -> str:
        """Ask for an open order to be changed in place; what is left out stays.

        ``quantity`` is what is ordered in all, fills included; ``trail`` is a trailing order's distance, in the
        measure it was given in. An order that shrinks keeps its place in the queue; one that grows, or changes
        its price, gives it up, and fills at the earliest on the next row. Returns why it is refused, and leaves
        the order as it was: ``order-closed``, ``already-filled`` (no more would be ordered than has filled),
        ``not-amendable`` (the order has no such price, or a child would outgrow its parent), or what the account
        says. Empty if it is not refused, or not yet: ``on_order`` hears an update whose ``action`` is "amended"
        or "amendment-refused", after latency. Raises ConfigError for a number that cannot be meant.
        """
        changes = {"quantity": quantity, "limit": limit, "trigger": trigger, "trail": trail}
        given = {name: float(value) for name, value in changes.items() if value is not None}
        if not given:
            raise ConfigError("Amending an order takes quantity, limit, trigger or trail.")
        for name, value in given.items():
            if not math.isfinite(value) or (name in ("quantity", "trail") and value <= 0):
                raise ConfigError(f"Order {order.id} cannot be amended to {name} {value!r}: that is not possible.")
        return self._broker.amend(order, **given)

    def replace(
        self,
        order: Order,
        type: OrderType | None = None,
        *,
        quantity: float | None = None,
        limit: float | None = None,
        time_in_force: str = "gtc",
        expires: int | dt.datetime | None = None,
        tag: str = "",
    ) -> Order:
        """Cancel an order and send another on its side in one step; returns the new one.

        The new one is at market, at ``limit=`` or better, or of an order type, with options as in ``order``.
        ``quantity`` is what the new one trades: by default what remained. What the old one still fills until
        both arrive is taken off it; if nothing is left, or the old one was closed, the new one is cancelled as
        ``replaced``. Raises ConfigError for an order that is tied to others: amend that.
        """
        asked = order.remaining if quantity is None else quantity
        if not 0 <= asked < _INF:
            raise ConfigError(f"A quantity of {asked!r} is impossible: it must be a finite number >= 0.")
        return self._broker.replace(
            order,
            float(asked),
            order_type=type if limit is None else self._limit_type()(price=limit),
            time_in_force=_time_in_force(time_in_force, expires),
            expires_ts=-1 if expires is None else to_ns(expires),
            tag=tag,
        )

    def legs(self, order: Order) -> Sequence[Order]:
        """All orders that one order type made, in its order: an entry and its exits, the slices of a schedule."""
        return self._broker.legs(order)

    def open_orders(self, instrument: str | None = None) -> Sequence[Order]:
        """Orders that can still fill, oldest first."""
        return self._broker.open_orders(None if instrument is None else self._code(instrument), self._account)

    def kill(self, reason: str = "") -> None:
        """Trip the run's kill switch: from now on only exits are let through, and its action is taken.

        Raises ConfigError if the run has none: it is the risk rule 'kill-switch'.
        """
        switches = [rule.kill for rule in self._run.risk if hasattr(rule, "kill")]
        if not switches:
            raise ConfigError("ctx.kill() needs a kill switch: add the risk rule 'kill-switch' to the run.")
        for kill in switches:
            kill(reason)

    # Interest and time ------------------------------------------------------------------------------

    def subscribe(
        self,
        kind: str = BAR,
        *,
        instruments: Iterable[str] | None = None,
        every: int | str | None = None,
        history: int = 0,
        crossing: bool = False,
    ) -> None:
        """Narrow what is delivered of one kind of event ("bar", "trade", "quote", "signal").

        ``instruments`` limits it to some; ``every`` to each N-th row (a number) or to the first of every
        "day", "week", "month", "year" or interval like "5m", in UTC. For ``on_slice`` a timestamp counts as
        a row, and as one of an instrument if it has a row of it. Several feeds of a kind are counted apart.
        ``history`` is how many timestamps ``bars.history`` can reach back. With ``crossing``, only rows that reach a
        price set by ``ctx.watch`` are delivered. Raises ConfigError if the strategy does not override the callback.
        """
        codes = None if instruments is None else frozenset(self._code(name) for name in instruments)
        self._driver.subscribe(kind, codes, every, history, crossing)

    def watch(self, instrument: str, *, above: float = _INF, below: float = -_INF) -> Watch:
        """Be woken by the next row whose price is at or above one level, or at or below another; once.

        The row comes by the callback of its kind, of those that are subscribed to with ``crossing=True``. A bar reaches
        from its low to its high; a quote is taken at its middle. Returns a handle whose ``cancel()`` takes it back.
        """
        return self._driver.watch(self._code(instrument), above, below)

    def set_timer(self, name: str, *, at: int | dt.datetime | None = None, every: dt.timedelta | None = None) -> Timer:
        """Call ``on_timer(ctx, name)`` at a time, or every so often from ``at`` (or from now) on.

        Returns a handle whose ``cancel()`` stops it. Timers after the last row of data do not fire.
        """
        if at is None and every is None:
            raise ConfigError(f"Timer {name!r} needs at=, every= or both.")
        step = None if every is None else _nanoseconds(every)
        first = to_ns(at) if at is not None else self.now + (step or 0)
        return self._driver.set_timer(name, first, step)

    def _send(
        self,
        instrument: str,
        side: int,
        quantity: float,
        type: OrderType | None = None,
        *,
        limit: float | None = None,
        time_in_force: str = "gtc",
        expires: int | dt.datetime | None = None,
        tag: str = "",
    ) -> Order:
        if not 0 <= quantity < _INF:
            raise ConfigError(f"An order for {quantity!r} {instrument} is impossible: the quantity must be >= 0.")
        code = _code(self._codes, instrument)
        if limit is not None:
            type = self._limit_type()(price=limit)
        if time_in_force == "gtc" and expires is None:
            return self._submit(code, side, quantity, type, tag=tag)
        tif = _time_in_force(time_in_force, expires)
        return self._submit(code, side, quantity, type, tif, -1 if expires is None else to_ns(expires), tag)

    def _limit_type(self) -> Callable[..., OrderType]:
        if self._limit is None:
            found = [spec.component for spec in self._run.order_types() if spec.name == "limit"]
            if not found:
                raise ConfigError("limit= needs the order type 'limit': pip install qengine-orders.")
            self._limit = found[0]
        return self._limit

    def _code(self, instrument: str) -> int:
        return _code(self._codes, instrument)


class PortfolioView:
    """The account as a strategy sees it, up to date whenever it is read. Money is in the ledger's currency."""

    __slots__ = ("_codes", "_ledger", "_positions", "_run")

    def __init__(self, run: Run, account: AccountView) -> None:
        self._run, self._codes = run, run.codes
        self._ledger, self._positions = account, account.positions

    @property
    def cash(self) -> float:
        """Money in all currencies, at the last known rates."""
        return self._ledger.cash

    def balance(self, currency: str) -> float:
        """Money in one currency, in that currency. Raises ConfigError for one that the ledger does not keep."""
        return self._ledger.balance(currency)

    def fx_rate(self, currency: str) -> float:
        """What a unit of a currency is worth in the ledger's; NaN before the first row that says."""
        return self._ledger.fx_rate(currency)

    @property
    def equity(self) -> float:
        """Cash plus positions at the last known prices."""
        return self._ledger.equity

    @property
    def positions(self) -> dict[str, float]:
        """Signed quantity by instrument, of those that are not zero."""
        names = self._run.instruments
        return {names[code].name: self._positions[code].quantity for code in self._ledger.held()}

    def position(self, instrument: str) -> float:
        """Signed quantity held of an instrument."""
        code = self._codes.get(instrument)
        return self._positions[self._code(instrument) if code is None else code].quantity

    def average_price(self, instrument: str) -> float:
        """Average entry price of the position, by lots of those that are left; 0 if there is none."""
        return self._positions[self._code(instrument)].average_price

    def realised_pnl(self, instrument: str) -> float:
        """What closing positions of an instrument has brought so far, before commission."""
        return self._positions[self._code(instrument)].realised_pnl

    def price(self, instrument: str) -> float:
        """The last known price; NaN before the instrument's first row."""
        return self._ledger.mark(self._code(instrument))

    def value(self, instrument: str) -> float:
        """Signed market value of the position."""
        code = self._code(instrument)
        quantity = self._positions[code].quantity
        return quantity * self._ledger.mark(code) * self._ledger.unit_value(code) if quantity else 0.0

    def _code(self, instrument: str) -> int:
        return _code(self._codes, instrument)


def _code(codes: Mapping[str, int], instrument: str) -> int:
    code = codes.get(instrument)
    if code is None:
        raise ConfigError(f"There is no instrument {instrument!r} ({did_you_mean(str(instrument), codes)}).")
    return code


def _time_in_force(name: str, expires: object) -> TimeInForce:
    known = {tif.value: tif for tif in TimeInForce}
    tif = known.get(name)
    if tif is None:
        raise ConfigError(f"There is no time in force {name!r} ({did_you_mean(name, known)}).")
    if (tif is TimeInForce.GTD) != (expires is not None):
        raise ConfigError("time_in_force='gtd' and expires= go together.")
    return tif


def to_ns(moment: int | dt.datetime) -> int:
    """A moment as nanoseconds since the epoch, UTC. Raises ConfigError for a datetime without time zone."""
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        raise ConfigError(f"{moment!r} has no time zone: give an aware datetime, or nanoseconds UTC.")
    return _nanoseconds(moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC))


def _nanoseconds(span: dt.timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1000
