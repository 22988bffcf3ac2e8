"""The role each kind of component plays, as Protocols, and the typed records that announce components.

A component is a frozen attrs class: its fields are its parameters, and its role's methods import heavy
code only when called. Kinds of which a run has state (broker, ledger, strategy) are built per run by
``build``, so that one composition can be run any number of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import attrs

from qengine_core.vocabulary import NAN, Instrument, Leg, Order, OrderRequest, TimeInForce

if TYPE_CHECKING:
    import argparse

    import numpy as np
    import numpy.typing as npt

    from qengine_core.blocks import Segment, Source
    from qengine_core.engine import Result
    from qengine_core.loop import Loop
    from qengine_core.manager import Plugins
    from qengine_core.run import Run

__all__ = [
    "Account",
    "AccountView",
    "Broker",
    "BrokerComponent",
    "BrokerSpec",
    "Calendar",
    "CalendarSpec",
    "Command",
    "CommandSpec",
    "CommissionModel",
    "CommissionSpec",
    "ComponentSpec",
    "Feed",
    "FeedSpec",
    "FinancingComponent",
    "FinancingSpec",
    "Latency",
    "LatencyModel",
    "LatencySpec",
    "Ledger",
    "LedgerComponent",
    "LedgerSpec",
    "OrderType",
    "OrderTypeSpec",
    "PositionRule",
    "PositionRuleSpec",
    "PositionView",
    "Profile",
    "ProfileSpec",
    "Report",
    "ReportSpec",
    "RiskRule",
    "RiskRuleComponent",
    "RiskRuleSpec",
    "Runner",
    "RunnerSpec",
    "SlippageModel",
    "SlippageSpec",
    "StrategyComponent",
    "StrategySpec",
    "Warmup",
    "WarmupSpec",
]


class Feed(Protocol):
    """Market data from somewhere, as one stream."""

    def open(self) -> Source:
        """Look at what there is (instruments, columns), refusing what cannot be read. Raises DataError."""
        ...


class StrategyComponent(Protocol):
    """Something that decides."""

    def build(self, run: Run) -> Any:
        """Return the Participant that acts for it in this run."""
        ...


class OrderType(Protocol):
    """A recipe that expands into matching primitives."""

    def legs(self) -> tuple[Leg, ...]:
        """The primitives, relative to the side and quantity of the request they will serve."""
        ...


class Broker(Protocol):
    """Takes orders while a run is under way. It is a Participant too.

    A broker may have two things more, which make runs faster, and which whoever uses them can do without:
    ``rebalance(weights, account)`` sends the orders that bring instruments, by code, to fractions of equity (NaN: as
    it is), or returns None where each order has to be sent by itself; ``lend_core(streams)`` lets another participant
    match the rows of some streams, unless ``not_lendable()`` names what stands against it.
    """

    def submit(
        self,
        code: int,
        side: int,
        quantity: float,
        order_type: OrderType | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        expires_ts: int = -1,
        tag: str = "",
        limit: float = NAN,
        account: int = 0,
    ) -> Order:
        """Create an order (``quantity`` > 0, ``side`` +1 or -1) and send it; without a type, at market or ``limit``.

        ``account`` is the number of the ledger's account that it trades for. Of a recipe with several legs,
        the first leg's order is returned.
        """
        ...

    def cancel(self, order: Order, reason: str = "requested") -> None:
        """Ask for an order to be taken off the market; without effect on one that is closed."""
        ...

    def amend(
        self, order: Order, quantity: float = NAN, limit: float = NAN, trigger: float = NAN, trail: float = NAN
    ) -> str:
        """Ask for an open order to be changed in place; what is NaN stays.

        Returns why that is refused, or nothing, also where it is not known yet; an ``OrderUpdate`` tells.
        """
        ...

    def replace(self, order: Order, quantity: float, **request: Any) -> Order:
        """Cancel an order and send another on its side, in one step; ``request`` is as for ``submit``."""
        ...

    def split(self, code: int, ratio: float) -> None:
        """Turn each unit of an instrument's open orders into ``ratio`` units, and divide their prices by it.

        Quantities are rounded down to lots; an order of which nothing is left is cancelled as ``split``. An
        ``OrderUpdate`` with the action "split" tells of the others.
        """
        ...

    def close_out(self, code: int, price: float, reason: str) -> None:
        """End all trading in an instrument: cancel its open orders, close every position at a price, refuse new orders.

        All of it happens at once, for ``reason``; the fills cost nothing.
        """
        ...

    def legs(self, order: Order) -> Sequence[Order]:
        """All orders that one recipe made, in its order."""
        ...

    def open_orders(
        self, code: int | None = None, account: int | None = None, *, of_rules: bool = False
    ) -> Sequence[Order]:
        """The orders that can still fill, oldest first; of one instrument or of all, of one account or of all.

        With ``of_rules`` those that yield to others are among them: the exits of position rules.
        """
        ...

    def pending(self, code: int, account: int = 0) -> float:
        """The signed quantity that an account's open orders may add to a position; exits and triggers do not count."""
        ...

    def exposure(
        self, code: int = -1, side: int = 1, quantity: float = 0.0, account: int = 0
    ) -> tuple[float, float, float]:
        """What an account has at work, in the ledger's currency, if all that is open fills: gross, long and short.

        By instrument, the worst of its position as it is, with all that would be bought, and with all that would be
        sold; ``long`` and ``short`` are net, with everything bought or sold. Orders that can only reduce a position
        do not count; an order for ``quantity`` more counts as if it were open. At the last known prices.
        """
        ...


class BrokerComponent(Protocol):
    """Settings of a broker; makes one per run."""

    def build(self, run: Run) -> Any: ...


class PositionView(Protocol):
    """What is held of one instrument. ``quantity`` is signed; money is in the ledger's currency."""

    @property
    def quantity(self) -> float: ...
    @property
    def average_price(self) -> float: ...
    @property
    def realised_pnl(self) -> float: ...


class AccountView(Protocol):
    """One account while a run is under way, or all accounts taken together. Money is in the ledger's currency."""

    @property
    def cash(self) -> float: ...

    @property
    def equity(self) -> float:
        """Cash plus positions at the last known prices."""
        ...

    @property
    def positions(self) -> Sequence[PositionView]:
        """Every instrument's position, by code; the same objects throughout the run."""
        ...

    def held(self) -> Sequence[int]:
        """Codes of the instruments whose quantity is not zero, ascending."""
        ...

    def mark(self, code: int) -> float:
        """The last known price of an instrument, NaN before its first row."""
        ...

    def unit_value(self, code: int) -> float:
        """What one unit of an instrument is worth at a price of 1: its multiplier, times the FX rate."""
        ...

    def short_value(self) -> float:
        """Market value of the short positions, as a positive number."""
        ...

    def balance(self, currency: str) -> float:
        """Money in one currency, in that currency. Raises ConfigError for one that the ledger does not keep."""
        ...

    def fx_rate(self, currency: str) -> float:
        """What a unit of a currency is worth in the ledger's; NaN while that is not known."""
        ...


class Account(AccountView, Protocol):
    """One account of the ledger, with what those need who pay into it or take from it."""

    @property
    def name(self) -> str: ...

    def quantity(self, code: int) -> float:
        """What is held of an instrument, signed."""
        ...

    def pay(self, kind: str, amount: float, currency: str, code: int = -1) -> None:
        """Book a cash flow at the clock's time: an amount that is no fill's, positive for what is received.

        ``kind`` says what it is in lower-case words ("interest", "borrow-fee"), ``code`` for which instrument, if for
        one. It counts in the equity of every moment from then on, so it has to be booked before the market data
        of its instant (in a scheduled event of ``Phase.CORPORATE_ACTION``).
        """
        ...


class Ledger(AccountView, Protocol):
    """Keeps the accounts of a run, one or several. It is a Participant too, and the view of all of them together."""

    @property
    def accounts(self) -> Sequence[Account]:
        """Every account by number; the same objects throughout the run."""
        ...

    @property
    def currencies(self) -> Sequence[str]:
        """The currencies that accounts may hold cash in, the ledger's own first."""
        ...

    def split(self, code: int, ratio: float) -> None:
        """Turn each unit held of an instrument into ``ratio`` units; what is no whole lot is paid for in cash."""
        ...

    def account_of(self, strategy: int) -> int:
        """The number of the account that a strategy trades, given the strategy's number in the composition."""
        ...


class LedgerComponent(Protocol):
    """Settings of a ledger; makes one per run."""

    def build(self, run: Run) -> Any: ...


class CommissionModel(Protocol):
    """What the broker charges: one pure scalar function over an order's cumulative execution.

    It is called with the *order's total* filled quantity and average price, and the broker charges the
    difference to what the order has paid already, so minimums and fixed fees count once per order.
    ``commission`` must be a static method in the subset that numba compiles with an explicit signature (all
    scalars float64, ``rates`` a 1-D float64 array), so that the same function serves Python and compiled
    code; ``rates`` are its parameters as plain floats.

    A model that never charges anything may say so by a true attribute ``is_nothing``, and is then not called. One
    that may pay the trader says so by a true attribute ``rebate``, one that charges buyers and
    sellers differently by a true ``one_sided``; the conformance kit lets no other do so.
    """

    @property
    def rates(self) -> tuple[float, ...]: ...

    @staticmethod
    def commission(
        side: float,
        quantity: float,
        price: float,
        multiplier: float,
        maker: float,
        month_quantity: float,
        month_notional: float,
        rates: Sequence[float],
    ) -> float:
        """Commission in the instrument's currency for ``quantity`` > 0 at the average ``price``.

        ``side`` is +1 for a buyer and -1 for a seller, ``maker`` the fraction of the quantity that added
        liquidity (0 to 1). ``month_quantity`` (units) and ``month_notional`` (account currency) are what the
        account traded in this calendar month (UTC) before this order.
        """
        ...


class SlippageModel(Protocol):
    """The price concession of a fill: one pure scalar function, numba-compilable like a commission.

    A model that treats buyers and sellers differently says so by a true attribute ``one_sided``; one that never
    concedes anything may say so by a true attribute ``is_nothing``, and is then not called.
    """

    @property
    def rates(self) -> tuple[float, ...]: ...

    @staticmethod
    def slippage(
        side: float,
        quantity: float,
        price: float,
        volume: float,
        taken: float,
        spread: float,
        volatility: float,
        tick: float,
        rates: Sequence[float],
    ) -> float:
        """Concession per unit (>= 0, never NaN), in price units, for ``quantity`` > 0 at ``price``.

        ``side`` is +1 for a buyer and -1 for a seller. ``volume`` is the row's volume (infinite if unknown),
        ``taken`` what orders of this run already took of it, ``spread`` the row's bid-ask spread (NaN if
        unknown, 0 where the price already includes it), ``volatility`` the standard deviation of the
        instrument's returns per row (a fraction; NaN if unknown), ``tick`` its tick size (0 if unknown).
        """
        ...


class FinancingComponent(Protocol):
    """Settings of something that moves cash without a fill: interest, fees, dividends, funding."""

    def build(self, run: Run) -> Any:
        """Return the Participant that books its cash flows in this run, through ``run.ledger.accounts``."""
        ...


class Latency(Protocol):
    """How long messages travel, in nanoseconds, none negative; the same for the same time however often it is asked."""

    def entry(self, ts: int) -> int:
        """From the strategy to the market: of an order, a change or a cancellation sent at ``ts``."""
        ...

    def feed(self, ts: int) -> int:
        """From the market to the strategy: of a row of market data of ``ts``."""
        ...

    def response(self, ts: int) -> int:
        """From the market to the strategy: of a fill or a state of an order of ``ts``."""
        ...


class LatencyModel(Protocol):
    """A way to know latencies; makes what a run asks. A broker takes one as a parameter."""

    def build(self, run: Run) -> Latency: ...


class Calendar(Protocol):
    """When a market trades: its sessions, with holidays and early closes."""

    def covers(self, instrument: Instrument) -> bool:
        """Whether the instrument trades in these sessions; of several calendars the first that says so is taken."""
        ...

    def sessions(
        self, first_ts: int, last_ts: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.datetime64]]:
        """Opens, closes (ns UTC) and dates (datetime64[D]) of all sessions with a moment in ``[first_ts, last_ts]``.

        Ascending, each open before its close and not before the close of the session before. The date is
        what the market calls the session, each once. What a session is must not depend on the range.
        """
        ...


class RiskRule(Protocol):
    """Looks at every order before it is sent. A rule with state is a ``RiskRuleComponent``."""

    def check(self, request: OrderRequest) -> str:
        """Why an order must not be sent, as in ``"max-order-notional"``; nothing if it may.

        Of several rules the first that refuses wins. The order is rejected with the reason ``risk:`` and the answer.
        """
        ...


class RiskRuleComponent(Protocol):
    """Settings of a risk rule that has state; makes one per run."""

    def build(self, run: Run) -> Any:
        """Return the RiskRule that checks in this run, which may be a Participant, too."""
        ...


class PositionRule(Protocol):
    """Says when a position is to be left."""

    def build(self, run: Run) -> Any:
        """Return the Participant that acts for it in this run; rules may share one."""
        ...


class Report(Protocol):
    """Writes something a person or a program reads after the run."""

    def write(self, result: Result, folder: Path) -> None: ...


class Runner(Protocol):
    """Drives a run's participants along its timeline; must write the reference loop's journal."""

    def run(self, loop: Loop, timeline: Iterable[Segment]) -> None: ...


class Profile(Protocol):
    """A named set of policies: which components a run has and how they are set, as far as the run does not say."""

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """By kind, a table as in a run file: ``use`` (left out: the kind's default) and parameters.

        What the run says of a kind wins, parameter by parameter where it speaks of the same component.
        """
        ...


class Command(Protocol):
    """A subcommand of ``qengine``."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""
        ...

    def main(self, options: argparse.Namespace, plugins: Plugins) -> int:
        """Run it; return the exit status. Raises QEngineError for the user's mistakes."""
        ...


class Warmup(Protocol):
    """Has what a plugin compiles ready before a run waits for it: ``qengine warmup`` asks for all of it."""

    def parts(self) -> Sequence[str]:
        """Names of what can be compiled by itself, the slowest first."""
        ...

    def compile(self, part: str) -> None:
        """Compile a part as a run would, and leave it where runs look for it. Called in a process of its own."""
        ...


C = TypeVar("C", covariant=True)


@attrs.frozen(kw_only=True)
class ComponentSpec(Generic[C]):
    """Announces one component: a name unique in its kind, one line on what it is, and its class."""

    kind: ClassVar[str]
    name: str
    summary: str
    component: type[C]


class FeedSpec(ComponentSpec[Feed]):
    kind = "feed"


class StrategySpec(ComponentSpec[StrategyComponent]):
    kind = "strategy"


class OrderTypeSpec(ComponentSpec[OrderType]):
    kind = "order_type"


class BrokerSpec(ComponentSpec[BrokerComponent]):
    kind = "broker"


class LedgerSpec(ComponentSpec[LedgerComponent]):
    kind = "ledger"


class CommissionSpec(ComponentSpec[CommissionModel]):
    kind = "commission"


class SlippageSpec(ComponentSpec[SlippageModel]):
    kind = "slippage"


class FinancingSpec(ComponentSpec[FinancingComponent]):
    kind = "financing"


class LatencySpec(ComponentSpec[LatencyModel]):
    kind = "latency"


class CalendarSpec(ComponentSpec[Calendar]):
    kind = "calendar"


class RiskRuleSpec(ComponentSpec[RiskRule | RiskRuleComponent]):
    kind = "risk"


class PositionRuleSpec(ComponentSpec[PositionRule]):
    kind = "position_rule"


class ReportSpec(ComponentSpec[Report]):
    kind = "report"


class RunnerSpec(ComponentSpec[Runner]):
    kind = "runner"


class CommandSpec(ComponentSpec[Command]):
    kind = "command"


class WarmupSpec(ComponentSpec[Warmup]):
    kind = "warmup"


class ProfileSpec(ComponentSpec[Profile]):
    kind = "profile"
