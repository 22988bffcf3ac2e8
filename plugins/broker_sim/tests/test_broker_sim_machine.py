"""The order state machine under random commands and markets, step by step: whatever is sent, the laws of orders hold.

Hypothesis plays the strategy and the market. After every step the broker's own tables are held against
what was heard, and against one another.
"""

from __future__ import annotations

import collections
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from qengine_broker_sim import SimulatedBroker
from qengine_broker_sim.states import TRANSITIONS
from qengine_costs import PerShare
from qengine_orders import Bracket, OneCancelsOther, OneTriggersOther, Twap
from qengine_strategy import Strategy
from recipes import order_types

from qengine_core.agenda import Agenda
from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.clock import SimulatedClock
from qengine_core.compose import compose
from qengine_core.loop import Loop
from qengine_core.manager import Plugins
from qengine_core.plugin import BAR, QUOTE, TRADE, Instrument, OrderState
from qengine_core.randomness import Randomness
from qengine_core.run import Run

PLUGINS = Plugins.discover()
NAMES = ("A", "B")
COLUMNS = {
    BAR: ("open", "high", "low", "close", "volume"),
    TRADE: ("price", "size"),
    QUOTE: ("bid", "ask", "bid_size", "ask_size"),
}
TERMINAL = {"filled", "cancelled", "rejected", "expired"}
DUST = 1e-6
HOUR = 3_600_000_000_000
CASH = 50_000.0

PRICES = st.integers(160, 240).map(lambda n: n / 2)  # around 100, so that orders matter
GAPS = st.integers(1, 16).map(lambda n: n / 2)
SIZES = st.sampled_from([0.0, 1.0, 7.0, 40.0, 1000.0])

TYPES = order_types(PRICES, GAPS)

RULES = st.fixed_dictionaries(
    {
        "buying_power": st.sampled_from(["cash", "off"]),
        "short_selling": st.booleans(),
        "shortfall": st.sampled_from(["reject", "reduce"]),
        "participation_limit": st.sampled_from([None, 0.1, 1.0]),
        "intrabar_path": st.sampled_from(
            ["worst-case", "open-high-low-close", "open-low-high-close", "nearest-extreme-first", "reject-ambiguous"]
        ),
        "fill_timing": st.sampled_from(["next-open", "next-open", "next-close", "same-close"]),
        "limit_touch": st.sampled_from(["touch", "penetrate"]),
        "trail_mark": st.sampled_from(["extreme", "close"]),
        "entry_latency": st.sampled_from([0.0, 0.0, 1e-6]),
    }
)


class Puppet(Strategy):
    """Lends its context, and holds what it hears to the table of states, to limits and to time."""

    def on_start(self, ctx):
        self.ctx = ctx
        self.states = collections.defaultdict(lambda: OrderState.NEW)
        self.fills = []
        self.filled = collections.Counter()

    def on_bar(self, ctx, bar):
        pass

    on_trade = on_quote = on_bar

    def on_order(self, ctx, update):
        if update.action:
            assert update.state is self.states[update.order.id]
            assert update.action in ("amended", "amendment-refused", "split")
            assert bool(update.reason) == (update.action == "amendment-refused")
            return
        assert update.state in TRANSITIONS[self.states[update.order.id]]
        self.states[update.order.id] = update.state
        assert bool(update.reason) == (update.state.is_terminal and update.state is not OrderState.FILLED)

    def on_fill(self, ctx, fill):
        order = fill.order
        assert fill.quantity > 0
        assert fill.ts >= order.submitted_ts + self.least
        assert order.expires_ts < 0 or fill.ts <= order.expires_ts
        if not math.isnan(order.limit):
            assert (fill.price - order.limit) * order.side <= DUST
        self.fills.append(fill)
        self.filled[order.id] += fill.quantity

    least = 1  # how long after it was sent an order may fill


class OrderMachine(RuleBasedStateMachine):
    """A live run: markets and commands as Hypothesis says."""

    @initialize(
        kind=st.sampled_from([BAR, BAR, TRADE, QUOTE]),
        lot=st.sampled_from([0.0, 1.0, 2.0]),
        tick=st.sampled_from([0.0, 0.5]),
        interval=st.sampled_from([0, 1]),
        rules=RULES,
    )
    def start(self, kind, lot, tick, interval, rules):
        self.kind, self.lot = kind, lot
        instruments = tuple(Instrument(name=name, lot_size=lot, tick_size=tick) for name in NAMES)
        info = StreamInfo(
            kind=kind, columns=COLUMNS[kind], instruments=instruments, interval=interval if kind == BAR else 0
        )
        given = {
            "feed": {"use": "synthetic"},  # opened by nobody
            "strategy": Puppet(),
            "broker": SimulatedBroker(**rules),
            "ledger": {"use": "standard", "cash": CASH},
            "commission": PerShare(rate=0.01, minimum=1.0),
        }
        composition = compose(PLUGINS, given, Path())
        self.run = Run(
            clock=SimulatedClock(),
            agenda=Agenda(),
            random=Randomness(0),
            instruments=instruments,
            streams=(info,),
            components=composition.components,
        )
        for role in ("ledger", "broker", "strategy"):
            self.run.built[role] = participant = composition.components[role][0].build(self.run)
            self.run.participants.append(participant)
        self.loop = Loop(
            clock=self.run.clock, agenda=self.run.agenda, participants=self.run.participants, streams=self.run.streams
        )
        self.ts = HOUR
        self.run.clock.stand_at(self.ts - 1)
        for participant in self.run.participants:
            participant.on_start()
        self.puppet = self.run.built["strategy"].strategy
        self.puppet.least = 0 if rules["fill_timing"] == "same-close" else 1
        self.ctx, self.broker = self.puppet.ctx, self.run.broker
        self.recipes = []  # (first order, type, quantity)
        self.grown = set()  # orders that were asked to grow
        self.split_codes = set()

    # Commands -------------------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        side=st.sampled_from(["buy", "sell"]),
        quantity=st.sampled_from([0.5, 1.0, 4.0, 10.0, 30.0, 400.0]),
        order_type=TYPES,
        time_in_force=st.sampled_from(["gtc", "gtc", "gtc", "ioc", "fok", "day", "gtd", "at-open", "at-close"]),
        lifetime=st.integers(0, 5),
    )
    def submit(self, name, side, quantity, order_type, time_in_force, lifetime):
        options = {"expires": self.ctx.now + lifetime} if time_in_force == "gtd" else {}
        order = getattr(self.ctx, side)(name, quantity, order_type, time_in_force=time_in_force, **options)
        assert order.submitted_ts == self.ctx.now
        self.recipes.append((order, order_type, quantity))
        self.run.agenda.drain()

    @precondition(lambda self: self.recipes)
    @rule(place=st.integers(0, 30), leg=st.integers(0, 3))
    def cancel(self, place, leg):
        self.ctx.cancel(self._any(place, leg))
        self.run.agenda.drain()

    @precondition(lambda self: self.recipes)
    @rule(
        place=st.integers(0, 30),
        leg=st.integers(0, 3),
        quantity=st.none() | st.sampled_from([1.0, 3.0, 12.0]),
        limit=st.none() | PRICES,
        trigger=st.none() | PRICES,
        trail=st.none() | GAPS,
    )
    def amend(self, place, leg, quantity, limit, trigger, trail):
        order = self._any(place, leg)
        changes = {"quantity": quantity, "limit": limit, "trigger": trigger, "trail": trail}
        asked = {key: value for key, value in changes.items() if value is not None}
        if not asked:
            return
        if quantity is not None and quantity > order.quantity:
            self.grown.update(leg.id for leg in self.ctx.legs(order))
        before = (order.quantity, order.limit, order.trigger)
        refusal = self.ctx.amend(order, **asked)
        if refusal:
            assert repr((order.quantity, order.limit, order.trigger)) == repr(before)
        self.run.agenda.drain()

    @precondition(lambda self: self.recipes)
    @rule(place=st.integers(0, 30), order_type=TYPES)
    def replace(self, place, order_type):
        order = self.recipes[place % len(self.recipes)][0]
        if any(leg.id != order.id for leg in self.ctx.legs(order)):
            return
        if order.remaining > 0:
            quantity = order.remaining
            self.recipes.append((self.ctx.replace(order, order_type), order_type, quantity))
        self.run.agenda.drain()

    def _any(self, place, leg):
        legs = self.ctx.legs(self.recipes[place % len(self.recipes)][0])
        return legs[leg % len(legs)]

    # Markets --------------------------------------------------------------------------------------------

    @rule(
        steps=st.lists(
            st.tuples(
                st.sampled_from([1, 2, HOUR, 10 * HOUR, 30 * HOUR]),
                st.lists(
                    st.tuples(st.sampled_from([0, 0, 1]), PRICES, PRICES, PRICES, PRICES, SIZES), min_size=1, max_size=4
                ),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def market(self, steps):
        """Some instants, some with several rows of one instrument, some without one of another."""
        stamps, codes, values = [], [], []
        for step, rows in steps:
            self.ts += step
            for code, a, b, c, d, size in rows:
                stamps.append(self.ts)
                codes.append(code)
                if self.kind == BAR:
                    values.append((a, max(a, b, c, d), min(a, b, c, d), b, size))
                elif self.kind == TRADE:
                    values.append((a, size))
                else:
                    values.append((min(a, b), max(a, b), size, size))
        columns = {
            name: np.array(column) for name, column in zip(COLUMNS[self.kind], zip(*values, strict=True), strict=True)
        }
        block = Block(0, np.array(stamps, np.int64), np.array(codes, np.int32), columns)
        self.loop.run([Segment(block, 0, len(block))])

    @rule(prices=st.tuples(PRICES, PRICES), size=SIZES, days=st.integers(1, 3))
    def days_pass(self, prices, size, days):
        """What is good for a day does not outlive it."""
        self.market(
            steps=[(days * 24 * HOUR, [(code, price, price, price, price, size) for code, price in enumerate(prices)])]
        )

    @precondition(lambda self: self.lot == 0)
    @rule(code=st.sampled_from([0, 0, 1]), ratio=st.sampled_from([2.0, 0.5, 7.0]))
    def split(self, code, ratio):
        """What is held, and what is open, is in new units from now on; orders that have ended stay as they were."""
        for order in self.broker.open_orders(code, of_rules=True):
            self.puppet.filled[order.id] *= ratio
        self.run.ledger.split(code, ratio)
        self.broker.split(code, ratio)
        self.puppet.fills = [
            fill._replace(quantity=fill.quantity * ratio, price=fill.price / ratio) if fill.code == code else fill
            for fill in self.puppet.fills
        ]
        self.split_codes.add(code)
        self.run.agenda.drain()

    # Laws -----------------------------------------------------------------------------------------------

    @invariant()
    def every_order_is_where_its_history_says(self):
        if not hasattr(self, "broker"):
            return
        orders = self.broker.tables()["orders"]().rows(named=True)
        filled = self.puppet.filled
        assert {row["order_id"] for row in orders if row["state"] not in TERMINAL} == {
            order.id for order in self.broker.open_orders()
        }
        for row in orders:
            assert self.puppet.states[row["order_id"]].value == row["state"]
            assert filled[row["order_id"]] == pytest.approx(row["filled"], abs=DUST)
            assert row["filled"] <= row["quantity"] + DUST
            assert (row["state"] == "filled") == (row["filled"] == row["quantity"] > 0)
            assert (row["closed_ts"] is not None) == (row["state"] in TERMINAL)

    @invariant()
    def positions_and_money_are_what_fills_make_them(self):
        if not hasattr(self, "broker"):
            return
        held, cash, ledger = [0.0] * len(NAMES), CASH, self.run.ledger
        for fill in self.puppet.fills:
            held[fill.code] += fill.side * fill.quantity
            cash -= fill.side * fill.quantity * fill.price + fill.commission
        for code, quantity in enumerate(held):
            assert ledger.positions[code].quantity == pytest.approx(quantity, abs=DUST)
        assert ledger.cash == pytest.approx(cash, abs=0.01)
        worth = sum(quantity * ledger.mark(code) for code, quantity in enumerate(held) if abs(quantity) > DUST)
        assert ledger.equity == pytest.approx(cash + worth, abs=0.01)

    @invariant()
    def orders_that_are_tied_keep_to_one_another(self):
        if not hasattr(self, "broker"):
            return
        for first, order_type, quantity in self.recipes:
            legs = self.ctx.legs(first)
            if first.code in self.split_codes:  # some legs may have ended in old units
                continue
            filled = [leg.filled for leg in legs]
            grew = any(leg.id in self.grown for leg in legs)
            if isinstance(order_type, OneCancelsOther) and not grew:
                assert sum(filled) <= quantity + DUST
            if isinstance(order_type, Bracket):
                assert sum(filled[1:]) <= filled[0] + DUST
            if isinstance(order_type, OneTriggersOther):
                assert filled[1] <= filled[0] + DUST
            if isinstance(order_type, Twap) and not grew:
                assert sum(filled) <= quantity + DUST

    @invariant()
    def what_is_not_open_reserves_nothing(self):
        if not hasattr(self, "broker") or self.broker.open_orders():
            return
        books = self.run.ledger.books
        assert books.accounts["reserved"].tolist() == [0.0]
        assert books.accounts["reservations"].tolist() == [0]
        assert not books.positions["selling"].any()

    def teardown(self):
        if not hasattr(self, "broker"):
            return
        self.run.clock.stand_at(self.loop.last_ts or self.ts)
        for participant in reversed(self.run.participants):
            participant.on_stop()
            self.run.agenda.drain()
        orders = self.broker.tables()["orders"]()
        assert set(orders["state"]) <= TERMINAL
        self.every_order_is_where_its_history_says()
        self.positions_and_money_are_what_fills_make_them()
        self.what_is_not_open_reserves_nothing()
        self.run.close()


# Explaining a failure takes minutes, and shrinking one may, too.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
STEPS = {"stateful_step_count": 25, "deadline": None, "phases": PHASES}


@pytest.mark.hypothesis
def test_whatever_is_sent_and_whatever_the_market_the_laws_of_orders_hold():
    run_state_machine_as_test(OrderMachine, settings=settings(max_examples=80, **STEPS))


def test_the_machine_is_not_idle():
    """A guard on the guard: among a sample of runs, all that can become of orders does."""
    seen = collections.Counter()

    class Counting(OrderMachine):
        def teardown(self):
            super().teardown()
            if hasattr(self, "broker"):
                counts = self.broker.counts()
                seen.update({name: counts[name] for name in ("fills", "amendments", "ambiguous_bars")})
                for name in ("rejections", "cancellations", "expirations", "refused_amendments"):
                    seen.update(counts[name])
                seen.update(self.broker.tables()["orders"]()["state"].to_list())

    wanted = [*TERMINAL, "fills", "amendments", "not-amendable", "end-of-session", "good-till-date"]
    for _ in range(6):  # as many samples as it takes: which runs a sample holds is a matter of chance
        run_state_machine_as_test(
            Counting, settings=settings(max_examples=30, database=None, derandomize=False, **STEPS)
        )
        missing = [what for what in wanted if not seen[what]]
        if not missing:
            break
    assert missing == []
