"""Whatever the market and whatever the orders: the laws of execution hold, and no mode of running changes a byte.

Each world is a few rows of bars, prints and quotes, and a script of orders. It is run, and what the
result's tables say is held against the rows themselves.
"""

from __future__ import annotations

import collections
import io

import attrs
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_broker_sim.states import TRANSITIONS
from qengine_costs import (
    FixedBps,
    HalfSpread,
    MakerTaker,
    NoCommission,
    NoSlippage,
    Percent,
    PerShare,
    PerTrade,
    VolumeShare,
)
from qengine_orders import Bracket, Limit, OneCancelsOther, Stop, StopLimit, TrailingStop
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed
from recipes import order_types

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import Instrument, OrderState

PLUGINS = Plugins.discover()
NAMES = ("A", "B", "C")
TABLES = ("orders", "fills", "equity", "positions", "trades", "amendments")
TERMINAL = {"filled", "cancelled", "rejected", "expired"}
TOLERANCE = 1e-6
DAY = 86_400_000_000_000
PRICES = st.integers(60, 100).map(lambda n: n / 4)
GAPS = st.integers(1, 16).map(lambda n: n / 4)
TYPES = order_types(PRICES, GAPS)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # explaining a failure takes minutes


@attrs.frozen
class World:
    """A market, an account's rules and a script, as plain values that Hypothesis can shrink."""

    instruments: tuple
    streams: tuple  # (kind, rows, block_rows, interval)
    script: dict  # the callback's number -> what to do in it
    every: int | None
    timers: tuple
    broker: SimulatedBroker
    commission: object
    slippage: object
    cash: float
    lane: type

    def run(self, wake="interest", lane=None):
        feeds = [
            ListFeed(rows=rows, kind=kind, block_rows=size, instruments=self.instruments, interval=interval)
            for kind, rows, size, interval in self.streams
        ]
        return Engine(
            feed=feeds,
            strategy=(lane or self.lane)(script=self.script, every=self.every, timers=self.timers),
            ledger={"use": "standard", "cash": self.cash, "tick_interval": 0.0},
            broker=self.broker,
            commission=self.commission,
            slippage=self.slippage,
            wake=wake,
            plugins=PLUGINS,
        ).run()


class Scripted(Strategy):
    """Does what the script says at each of its callbacks, whichever they are. Subclasses choose the lane."""

    script: dict
    every: int | None = None
    timers: tuple = ()

    def on_start(self, ctx):
        self.calls = 0
        self.sent = []
        ctx.subscribe("bar", every=self.every)
        for delay in self.timers:
            ctx.set_timer("t", at=ctx.now + delay)

    def on_timer(self, ctx, name):
        self.act(ctx)

    def on_fill(self, ctx, fill):
        self.act(ctx)

    def act(self, ctx):
        for action, name, quantity, options, lifetime in self.script.get(self.calls, ()):
            if lifetime is not None:
                options = options | {"time_in_force": "gtd", "expires": ctx.now + lifetime}
            if action == "cancel" and self.sent:
                ctx.cancel(self.sent[int(quantity) % len(self.sent)])
            elif action == "amend":
                if self.sent:
                    legs = ctx.legs(self.sent[int(quantity) % len(self.sent)])
                    ctx.amend(legs[int(options.pop("leg")) % len(legs)], **options)
            elif action == "replace":
                if self.sent and len(ctx.legs(self.sent[int(quantity) % len(self.sent)])) == 1:
                    self.sent.append(ctx.replace(self.sent[int(quantity) % len(self.sent)], **options))
            elif action == "target" and ctx.portfolio.price(name) > 0:
                ctx.order_target_percent(name, min(quantity / 50, 0.9))
            elif action == "close":
                ctx.close(name)
            elif action in ("buy", "sell"):
                self.sent.append(getattr(ctx, action)(name, quantity, **options))
        self.calls += 1


class OnBars(Scripted):
    def on_bar(self, ctx, bar):
        self.act(ctx)


class OnSlices(Scripted):
    def on_slice(self, ctx, bars):
        self.act(ctx)


class OnEverything(OnBars):
    def on_trade(self, ctx, trade):
        self.act(ctx)

    def on_quote(self, ctx, quote):
        self.act(ctx)

    def on_order(self, ctx, update):
        if update.reason:
            self.act(ctx)

    def on_session_open(self, ctx, session):
        self.act(ctx)


LANES = (OnBars, OnBars, OnSlices, OnEverything)


@st.composite
def rows_of(draw, kind, names, length):
    """Up to ``length`` timestamps, each with some of the instruments; prices near 20 so that limits matter."""
    found, ts = [], 1_000
    price = st.integers(30, 50).map(lambda n: n / 2)
    size = st.sampled_from([0.0, 1.0, 7.0, 100.0, 1e6])
    for _ in range(length):
        ts += draw(st.sampled_from([1, 2, 3, 3, DAY]))
        for name in names:
            if draw(st.integers(0, 3)) == 0:
                continue
            if kind == "bar":
                a, b, c, d = (draw(price) for _ in range(4))
                values = {"open": a, "close": b, "high": max(a, b, c), "low": min(a, b, d), "volume": draw(size)}
            elif kind == "trade":
                values = {"price": draw(price), "size": draw(size)}
            else:
                bid = draw(price)
                values = {"bid": bid, "ask": bid + draw(st.sampled_from([0.0, 0.5, 1.0]))}
                values |= {"bid_size": draw(size), "ask_size": draw(size)}
            found.append({"ts": ts, "instrument": name} | values)
    return found


@st.composite
def actions(draw, names):
    action = draw(
        st.sampled_from(
            ["buy", "buy", "buy", "buy", "sell", "sell", "sell", "cancel", "close", "target", "amend", "replace"]
        )
    )
    quantity = draw(st.sampled_from([0.4, 1.0, 3.0, 10.0, 25.5, 300.0, 5000.0]))
    options, lifetime = {}, None
    if action == "amend":
        asked = {"quantity": st.sampled_from([1.0, 7.0, 20.0]), "limit": PRICES, "trigger": PRICES, "trail": GAPS}
        field = draw(st.sampled_from(sorted(asked)))
        changes = {field: draw(asked[field]), "leg": draw(st.integers(0, 2))}
        return action, draw(st.sampled_from(names)), quantity, changes, None
    how = draw(st.sampled_from(["market", "limit", "type", "type"]))
    if how == "limit":
        options["limit"] = draw(st.integers(60, 100)) / 4 + draw(st.sampled_from([0.0, 0.1]))
    elif how == "type" and action in ("buy", "sell", "replace"):
        options["type"] = draw(TYPES)
    tif = draw(st.sampled_from(["gtc", "gtc", "gtc", "ioc", "fok", "gtd", "day", "at-open", "at-close"]))
    if tif == "gtd":
        lifetime = draw(st.integers(0, 8))
    else:
        options["time_in_force"] = tif
    return action, draw(st.sampled_from(names)), quantity, options, lifetime


@st.composite
def worlds(draw, **fixed):
    names = NAMES[: draw(st.integers(1, 3))]
    instruments = tuple(
        Instrument(
            name=name,
            multiplier=draw(st.sampled_from([1.0, 1.0, 5.0])),
            lot_size=draw(st.sampled_from([0.0, 1.0, 0.3])),
            tick_size=draw(st.sampled_from([0.0, 0.5])),
        )
        for name in names
    )
    kinds = ["bar", *draw(st.sampled_from([(), (), ("trade",), ("quote",), ("bar",)]))]
    streams = []
    for kind in kinds:
        rows = draw(rows_of(kind, names, draw(st.integers(3, 10))))
        interval = draw(st.sampled_from([0, 0, 1, 2])) if kind == "bar" else 0
        streams.append((kind, rows, draw(st.sampled_from([1, 4, 1000])), interval))
    rules = {
        "buying_power": draw(st.sampled_from(["cash", "cash", "off"])),
        "short_selling": draw(st.booleans()),
        "shortfall": draw(st.sampled_from(["reject", "reduce"])),
        "participation_limit": draw(st.sampled_from([None, None, 0.1, 1.0])),
        "fill_on_zero_volume": draw(st.booleans()),
        "clip_to_range": draw(st.sampled_from([True, True, False])),
        "fill_timing": draw(st.sampled_from(["next-open", "next-open", "next-close"])),
        "limit_touch": draw(st.sampled_from(["touch", "touch", "penetrate", "probability"])),
        "intrabar_path": draw(
            st.sampled_from(
                ["worst-case", "worst-case", "open-high-low-close", "nearest-extreme-first", "reject-ambiguous"]
            )
        ),
        "trail_mark": draw(st.sampled_from(["extreme", "close"])),
        "mid_bar": draw(st.sampled_from(["next-bar", "next-bar", "same-bar"])),
        "settlement_sessions": draw(st.sampled_from([0, 0, 1, 2])),
        "entry_latency": draw(st.sampled_from([0.0, 0.0, 2e-6])),  # of two nanoseconds, as rows are apart
        "response_latency": draw(st.sampled_from([0.0, 0.0, 3e-6])),
    }
    script = collections.defaultdict(list)
    for call, action in draw(st.lists(st.tuples(st.integers(0, 9), actions(names)), min_size=3, max_size=14)):
        script[call].append(action)
    rules |= fixed
    if rules["buying_power"] != "cash":
        rules["settlement_sessions"] = 0
    return World(
        instruments=instruments,
        streams=tuple(streams),
        script=dict(script),
        every=draw(st.sampled_from([None, None, 2, 3])),
        timers=tuple(draw(st.lists(st.integers(1, 30), max_size=2))),
        broker=SimulatedBroker(**rules),
        commission=draw(
            st.sampled_from(
                [
                    NoCommission(),
                    PerShare(rate=0.01, minimum=1.0),
                    Percent(bps=10.0, minimum=0.5),
                    PerTrade(amount=2.0),
                    MakerTaker(maker=0.0001, taker=0.0005),
                ]
            )
        ),
        slippage=draw(st.sampled_from([NoSlippage(), FixedBps(bps=50.0), HalfSpread(bps=20.0), VolumeShare()])),
        cash=draw(st.sampled_from([100.0, 1_000.0, 100_000.0])),
        lane=draw(st.sampled_from(LANES)),
    )


def signed(frame):
    return frame.with_columns(
        signed=pl.when(pl.col("side") == "buy").then(pl.col("quantity")).otherwise(-pl.col("quantity"))
    )


def rows_behind(world):
    """By instrument: the rows that may fill its orders, those of the finest data there is of it."""

    def grade(kind, interval):
        return ("quote", "trade", "bar").index(kind), interval or float("inf")

    finest = min(grade(kind, interval) for kind, _, _, interval in world.streams)  # every stream has all instruments
    behind = collections.defaultdict(list)
    for kind, rows, _, interval in world.streams:
        for row in rows:
            if grade(kind, interval) == finest:
                behind[row["instrument"], row["ts"]].append(row)
    return ("quote", "trade", "bar")[finest[0]], behind


def ranges(kind, row, side):
    if kind == "bar":
        return row["low"], row["high"]
    price = row["price"] if kind == "trade" else row["ask" if side == "buy" else "bid"]
    return price, price


def sizes(kind, row, side):
    return row[{"bar": "volume", "trade": "size"}.get(kind, "ask_size" if side == "buy" else "bid_size")]


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_every_order_ends_in_exactly_one_terminal_state_with_a_reason_that_is_counted(world):
    result = world.run()
    orders = result.orders
    assert set(orders["state"]) <= TERMINAL
    assert orders["closed_ts"].null_count() == 0
    unfilled = orders.filter(pl.col("state") != "filled")
    assert (unfilled["reason"] != "").all()
    assert (orders.filter(state="filled")["reason"] == "").all()
    for state, counted in (
        ("rejected", "rejections"),
        ("cancelled", "cancellations"),
        ("expired", "expirations"),
    ):
        reasons = orders.filter(state=state)["reason"].to_list()
        assert result.counts[counted] == dict(sorted(collections.Counter(reasons).items()))


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds(response_latency=0.0))  # so that nothing is left unsaid at the end
def test_orders_go_through_their_states_as_the_table_says(world):
    heard = []

    class Listening(OnEverything):
        def on_order(self, ctx, update):
            if not update.action:
                heard.append((update.order.id, update.state, update.reason))
            super().on_order(ctx, update)

    result = world.run(lane=Listening)
    states = collections.defaultdict(lambda: OrderState.NEW)
    for order, state, reason in heard:
        assert state in TRANSITIONS[states[order]]
        states[order] = state
        assert bool(reason) == (state.is_terminal and state is not OrderState.FILLED)
    for row in result.orders.iter_rows(named=True):
        if row["order_id"] in states and row["reason"] != "end-of-data":
            assert states[row["order_id"]].value == row["state"]


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_fills_add_up_to_orders_and_positions_and_never_exceed_what_was_ordered(world):
    result = world.run()
    fills, orders = signed(result.fills), result.orders
    filled = dict(fills.group_by("order_id").agg(pl.col("quantity").sum()).iter_rows())
    for order in orders.iter_rows(named=True):
        assert filled.get(order["order_id"], 0.0) == pytest.approx(order["filled"], abs=TOLERANCE)
        assert order["filled"] <= order["quantity"]
        assert (order["state"] == "filled") == (order["filled"] == order["quantity"] > 0)
    last = result.positions.group_by("instrument", maintain_order=True).last()
    held = {row["instrument"]: row["quantity"] for row in last.iter_rows(named=True)}
    change = dict(fills.group_by("instrument").agg(pl.col("signed").sum()).iter_rows())
    assert held.keys() == change.keys()
    for name, quantity in change.items():
        assert held[name] == pytest.approx(quantity, abs=TOLERANCE)
    commission = dict(fills.group_by("order_id").agg(pl.col("commission").sum()).iter_rows())
    for order in orders.iter_rows(named=True):
        assert commission.get(order["order_id"], 0.0) == pytest.approx(order["commission"], abs=TOLERANCE)


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_no_fill_is_older_than_its_order_or_off_its_market(world):
    result = world.run()
    kind, behind = rows_behind(world)
    amended = set(result.amendments["order_id"])
    numbers = result.orders.with_columns(pl.col("submitted_ts").cast(pl.Int64))  # Python's datetimes round
    orders = {row["order_id"]: row for row in numbers.iter_rows(named=True)}
    for fill in result.fills.with_columns(ns=pl.col("ts").cast(pl.Int64)).iter_rows(named=True):
        order = orders[fill["order_id"]]
        assert fill["ns"] > order["submitted_ts"]
        assert order["accepted_ts"] is not None
        rows = behind[fill["instrument"], fill["ns"]]
        assert rows, "a fill needs a row of its instrument at its very time"
        limit, buys = order["limit_price"], fill["side"] == "buy"
        if limit is not None and fill["order_id"] not in amended:  # whose limit may have been another then
            assert fill["price"] <= limit if buys else fill["price"] >= limit
        low = min(ranges(kind, row, fill["side"])[0] for row in rows)
        high = max(ranges(kind, row, fill["side"])[1] for row in rows)
        if kind == "bar" and world.broker.clip_to_range:
            assert low <= fill["price"] <= high
        else:  # slippage may leave the row, but only to the account's disadvantage
            assert fill["price"] >= low if buys else fill["price"] <= high
        if kind != "quote" and not world.broker.fill_on_zero_volume:
            assert any(sizes(kind, row, fill["side"]) > 0 for row in rows)


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds(participation_limit=0.1))
def test_the_volume_cap_is_shared_by_all_orders_of_a_row(world):
    result = world.run()
    kind, behind = rows_behind(world)
    taken = collections.Counter()
    for fill in result.fills.with_columns(ns=pl.col("ts").cast(pl.Int64)).iter_rows(named=True):
        taken[fill["instrument"], fill["ns"], fill["side"] if kind == "quote" else ""] += fill["quantity"]
    streams = sum(stream == kind for stream, *_ in world.streams)
    for (name, ts, side), quantity in taken.items():
        offered = sum(sizes(kind, row, side) for row in behind[name, ts])
        assert streams <= 2
        assert quantity <= 0.1 * offered + TOLERANCE


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds(buying_power="cash", short_selling=False))
def test_without_shorts_purchases_never_overdraw_the_account_and_sales_never_the_position(world):
    result = world.run()
    cash, held = world.cash, collections.Counter()
    for fill in result.fills.iter_rows(named=True):
        buys = fill["side"] == "buy"
        held[fill["instrument"]] += fill["quantity"] if buys else -fill["quantity"]
        cash -= fill["price"] * fill["quantity"] * fill["multiplier"] * (1 if buys else -1) + fill["commission"]
        assert held[fill["instrument"]] >= -TOLERANCE
        if buys:
            assert cash >= -TOLERANCE


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds(buying_power="cash", short_selling=True))
def test_shorts_stay_fully_collateralised_by_every_fill_that_opens_one(world):
    """After a fill that opens, cash covers the value of the shorts twice: their proceeds, and as much again."""
    result = world.run()
    cash, held, marks = world.cash, collections.Counter(), {}
    multipliers = {instrument.name: instrument.multiplier for instrument in world.instruments}
    for fill in result.fills.iter_rows(named=True):
        name, step = fill["instrument"], fill["quantity"] if fill["side"] == "buy" else -fill["quantity"]
        before = held[name]
        held[name] += step
        cash -= fill["price"] * step * fill["multiplier"] + fill["commission"]
        marks[name] = fill["price"]
        shorts_of_others = any(quantity < -TOLERANCE for other, quantity in held.items() if other != name)
        if abs(held[name]) > abs(before) + TOLERANCE and held[name] < 0 and before <= 0 and not shorts_of_others:
            collateral = -step * fill["price"] * multipliers[name]
            assert cash - collateral >= collateral - TOLERANCE * world.cash


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_waking_only_for_what_matters_changes_no_byte(world):
    lazy, naive = world.run(), world.run(wake="every-row")
    for name in TABLES:
        assert as_bytes(lazy[name]) == as_bytes(naive[name]), name
    assert lazy.counts == naive.counts


@settings(phases=PHASES, max_examples=40, deadline=None)
@given(st.one_of(worlds(fill_timing="same-close"), worlds(fill_timing="at-once")))
def test_filling_at_the_close_an_order_was_sent_on_is_the_same_in_both_modes(world):
    lazy, naive = world.run(), world.run(wake="every-row")
    for name in TABLES:
        assert as_bytes(lazy[name]) == as_bytes(naive[name]), name


@st.composite
def closing_worlds(draw):
    """A world of closing prices alone, under any of the policies that go with them."""
    at_once = draw(st.booleans())
    paid = draw(st.sampled_from(["purchases", "purchases-locked", "cash"]))
    rules = {
        "fill_timing": "same-close" if at_once else "next-close",
        "close_order": draw(st.sampled_from(["by-instrument", "by-value"])) if at_once else "as-sent",
        "close_remainder": draw(st.sampled_from(["rests", "cancelled"])) if at_once else "rests",
        "matching_order": draw(st.sampled_from(["exits-first", "in-turn"])),
        "buying_power": paid,
        "admission": "reserve" if paid == "cash" else "at-fill",
        "limit_memory": draw(st.booleans()),
        "limit_bounds_slippage": draw(st.booleans()),
        "lot_size": draw(st.sampled_from([0.0, 1.0])),
        "tick_size": draw(st.sampled_from([0.0, 0.5])),
        "session_end": draw(st.sampled_from(["day-orders", "cancel-all", "cancel-first-of-several"])),
    }
    return draw(worlds(**rules))


@settings(phases=PHASES, max_examples=80, deadline=None)
@given(closing_worlds())
def test_under_policies_of_closing_prices_the_modes_agree_and_every_order_ends(world):
    lazy, naive = world.run(), world.run(wake="every-row")
    for name in TABLES:
        assert as_bytes(lazy[name]) == as_bytes(naive[name]), name
    assert set(lazy.orders["state"]) <= TERMINAL
    assert ((lazy.orders["state"] == "filled") == (lazy.orders["reason"] == "")).all()
    assert (lazy.orders["filled"] <= lazy.orders["quantity"]).all()


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds(fill_timing="at-once"))
def test_what_fills_at_once_takes_the_last_price_that_was_known(world):
    result = attrs.evolve(world, slippage=NoSlippage()).run()
    kind, behind = rows_behind(world)
    orders = {row["order_id"]: row for row in result.orders.with_columns(pl.col("accepted_ts").cast(int)).to_dicts()}
    for fill in result.fills.with_columns(ns=pl.col("ts").cast(int)).iter_rows(named=True):
        order = orders[fill["order_id"]]
        if fill["ns"] != order["accepted_ts"] or order["parent_id"] is not None:
            continue  # at a closed market, at a limit, what was left, or at the price that filled its parent
        # A row of the very instant that comes after the order, as of another feed, is not known yet.
        stamps = sorted({ts for name, ts in behind if name == fill["instrument"] and ts <= fill["ns"]})[-2:]
        latest = [ts for ts in stamps if ts < fill["ns"]][-1:] + [ts for ts in stamps if ts == fill["ns"]]
        known = [row for ts in latest for row in behind[fill["instrument"], ts]]
        name = {"bar": "close", "trade": "price"}.get(kind, "ask" if fill["side"] == "buy" else "bid")
        assert fill["price"] in {row[name] for row in known}


@settings(phases=PHASES, max_examples=25, deadline=None)
@given(worlds())
def test_two_runs_of_one_composition_are_identical(world):
    once, again = world.run(), world.run()
    for name in TABLES:
        assert as_bytes(once[name]) == as_bytes(again[name]), name


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(st.one_of(worlds(), worlds(fill_timing="at-once"), worlds(fill_timing="same-close")), st.sampled_from([1, 2, 5]))
def test_block_borders_change_no_byte(world, size):
    cut = attrs.evolve(world, streams=tuple((kind, rows, size, interval) for kind, rows, _, interval in world.streams))
    for name in TABLES:
        assert as_bytes(world.run()[name]) == as_bytes(cut.run()[name]), name


@st.composite
def queues(draw):
    """A world whose orders are matched in turn, by any of the rules there are for that, exits and groups among them."""
    trades = draw(st.booleans())
    rules = {
        "matching_order": "in-turn",
        "netting": "trades" if trades else "position",
        "slippage_on": draw(st.sampled_from(["fill", "opening"])) if trades else "fill",
        "buying_power": draw(st.sampled_from(["cash", "proceeds", "equity", "off"])),
        "leverage": draw(st.sampled_from([1.0, 2.0])),
        "participation": draw(st.sampled_from(["shared", "each-order"])),
        "commission_unit": draw(st.sampled_from(["order", "part"])),
        "missing_rows": draw(st.sampled_from(["wait", "retry"])),
        "stop_limit": draw(st.sampled_from(["by-path", "close-back", "at-trigger"])),
        "trigger_memory": draw(st.booleans()),
        "exits_act": draw(st.sampled_from(["as-filled", "when-complete"])),
        "groups_end": draw(st.sampled_from(["by-fill", "together"])),
        "trail_start": draw(st.sampled_from(["fill", "sent", "entry-close"])),
        "trail_mark": draw(st.sampled_from(["extreme", "close"])),
        "cancel_on_arrival": draw(st.booleans()),
    }
    admissions = ["reserve", "at-fill", *(["in-sequence"] if rules["buying_power"] == "proceeds" else [])]
    world = draw(worlds(**rules, admission=draw(st.sampled_from(admissions)), fill_timing="next-open"))
    script = {
        call: [
            (action, name, quantity, options if "limit" in options else options | {"type": draw(types())}, lifetime)
            if action in ("buy", "sell")
            else (action, name, quantity, options, lifetime)
            for action, name, quantity, options, lifetime in does
        ]
        for call, does in world.script.items()
    }
    return attrs.evolve(world, script=script)


@st.composite
def types(draw):
    """Orders that wait for a price, follow one, or bring others along; prices around those of the rows."""
    price = st.integers(60, 100).map(lambda n: n / 4)
    single = st.one_of(
        st.builds(Stop, price=price),
        st.builds(Limit, price=price),
        st.builds(StopLimit, price=price, limit=price),
        st.builds(TrailingStop, amount=st.sampled_from([1.0, 3.0])),
    )
    bracket = st.builds(Bracket, entry=st.none() | single, stop_loss=price, take_profit=st.none() | price) | st.builds(
        Bracket, trail=st.sampled_from([1.0, 3.0]), distance=st.just("amount")
    )
    pair = st.builds(OneCancelsOther, orders=st.tuples(single, single))
    return draw(st.one_of(st.none(), single, bracket, pair))


@settings(phases=PHASES, max_examples=120, deadline=None)
@given(queues())
def test_in_turn_the_laws_of_orders_hold_and_no_mode_changes_a_byte(world):
    """One terminal state each, with a reason; fills add up to orders and positions; every row or not is the same."""
    lazy, naive = world.run(), world.run(wake="every-row")
    for name in TABLES:
        assert as_bytes(lazy[name]) == as_bytes(naive[name]), name
    orders, fills = lazy.orders, signed(lazy.fills)
    assert set(orders["state"]) <= TERMINAL
    assert ((orders["state"] == "filled") == (orders["reason"] == "")).all()
    filled = dict(fills.group_by("order_id").agg(pl.col("quantity").sum()).iter_rows())
    for order in orders.iter_rows(named=True):
        assert filled.get(order["order_id"], 0.0) == pytest.approx(order["filled"], abs=TOLERANCE)
        assert order["filled"] <= order["quantity"]
        assert (order["state"] == "filled") == (order["filled"] == order["quantity"] > 0)
    last = lazy.positions.group_by("instrument", maintain_order=True).last()
    held = {row["instrument"]: row["quantity"] for row in last.iter_rows(named=True)}
    change = dict(fills.group_by("instrument").agg(pl.col("signed").sum()).iter_rows())
    assert held.keys() == change.keys()
    assert all(held[name] == pytest.approx(quantity, abs=TOLERANCE) for name, quantity in change.items())
    submitted = fills.join(orders.select("order_id", "submitted_ts"), on="order_id")
    assert (submitted["ts"] > submitted["submitted_ts"]).all()


def as_bytes(frame):
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


def test_the_worlds_are_not_empty():
    """A guard on the guards: among a sample of worlds, things do happen."""
    seen = collections.Counter()

    @settings(phases=PHASES, max_examples=40, deadline=None, database=None, derandomize=False)
    @given(worlds())
    def look(world):
        result = world.run()
        seen.update(result.orders["state"].to_list())
        seen.update(result.orders["reason"].to_list())
        seen["partial"] += result.fills.height > result.orders.filter(pl.col("filled") > 0).height
        seen["trades"] += result.trades.height

    wanted = [*TERMINAL, "partial", "trades", "insufficient-cash", "requested", "ioc-remainder", "good-till-date"]
    for _ in range(8):  # as many samples as it takes: which worlds a sample holds is a matter of chance
        look()
        missing = [what for what in wanted if not seen[what]]
        if not missing:
            break
    assert missing == []
