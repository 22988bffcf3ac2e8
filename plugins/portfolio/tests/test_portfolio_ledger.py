"""The account balances whatever is traded, and its curve is what a slow walk over the rows says it is."""

from __future__ import annotations

import collections
import gc
import math

import attrs
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_costs import FixedBps, NoCommission, NoSlippage, Percent, PerShare, PerTrade
from qengine_portfolio import StandardLedger
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core import participant
from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError, Instrument, Rank
from qengine_core.plugin import Phase as When

PLUGINS = Plugins.discover()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # explaining a failure takes minutes
FREE = SimulatedBroker(buying_power="off", short_selling=True)
SECOND = 1_000_000_000


@attrs.frozen
class World:
    """A market and what is traded in it, as plain values that Hypothesis can shrink."""

    instruments: tuple
    streams: tuple  # (kind, rows, block_rows)
    script: dict  # the callback's number -> (instrument, signed quantity)
    cash: float
    commission: object
    slippage: object
    tick_interval: float = 0.0
    flows: tuple = ()  # (ts, amount)

    def run(self, **engine):
        feeds = [
            ListFeed(rows=rows, kind=kind, block_rows=size, instruments=self.instruments)
            for kind, rows, size in self.streams
        ]
        return Engine(
            feed=feeds,
            strategy=Trader(script=self.script),
            ledger=StandardLedger(cash=self.cash, tick_interval=self.tick_interval),
            broker=FREE,
            commission=self.commission,
            slippage=self.slippage,
            financing=Paying(flows=self.flows),
            plugins=PLUGINS,
            **engine,
        ).run()

    @property
    def multipliers(self):
        return {instrument.name: instrument.multiplier for instrument in self.instruments}


@attrs.frozen
class Paying:
    """Books amounts at times, as financing models do."""

    flows: tuple = ()

    def build(self, run):
        return Payments(self.flows, run)


class Payments(participant.Participant):
    rank = Rank.CORPORATE_ACTION

    def __init__(self, flows, run):
        self.flows, self.run = flows, run

    def on_start(self):
        for ts, amount in self.flows:
            now, pay = self.run.clock.now, self.run.ledger.accounts[0].pay
            if ts > now:
                self.run.agenda.schedule(ts, When.CORPORATE_ACTION, lambda a=amount, p=pay: p("gift", a, "USD"), now)


class Trader(Strategy):
    """Sends the script's orders, and writes down what it is told of the account."""

    script: dict

    def on_start(self, ctx):
        self.calls = 0

    def on_bar(self, ctx, bar):
        self.act(ctx)

    def on_trade(self, ctx, trade):
        self.act(ctx)

    def on_quote(self, ctx, quote):
        self.act(ctx)

    def act(self, ctx):
        for name, quantity in self.script.get(self.calls, ()):
            ctx.order(name, quantity)
        self.calls += 1
        assert math.isfinite(ctx.portfolio.equity)


@st.composite
def worlds(draw, kinds=(("bar",), ("bar",), ("bar", "bar"), ("bar", "quote"), ("bar", "trade"))):
    names = "ABC"[: draw(st.integers(1, 3))]
    instruments = tuple(Instrument(name=name, multiplier=draw(st.sampled_from([1.0, 1.0, 50.0]))) for name in names)
    price = st.integers(1, 400).map(lambda n: n / 8)
    streams = []
    for kind in draw(st.sampled_from(kinds)):
        rows, ts = [], 0
        for _ in range(draw(st.integers(2, 10))):
            ts += draw(st.sampled_from([1, 2, SECOND, 70 * SECOND]))
            for name in names:
                if draw(st.integers(0, 3)) == 0:
                    continue
                a, b = draw(price), draw(price)
                values = {
                    "bar": {"open": a, "close": b, "high": max(a, b), "low": min(a, b)},
                    "trade": {"price": a, "size": 10.0},
                    "quote": {"bid": min(a, b), "ask": max(a, b)},
                }[kind]
                rows.append({"ts": ts, "instrument": name, **values})
        streams.append((kind, rows, draw(st.sampled_from([1, 3, 1000]))))
    script = collections.defaultdict(list)
    # At the very time of rows and off them.
    stamps = sorted({row["ts"] + late for _, rows, _ in streams for row in rows for late in (0, 1, 1000)})
    flow = st.tuples(st.sampled_from(stamps or [5]), st.sampled_from([-7.5, 3.0, 250.0]))
    quantity = st.sampled_from([-12.0, -5.0, -0.3, -0.1, 0.1, 0.2, 4.0, 5.0, 9.0])
    for call, order in draw(
        st.lists(st.tuples(st.integers(0, 8), st.tuples(st.sampled_from(names), quantity)), min_size=3, max_size=16)
    ):
        script[call].append(order)
    return World(
        instruments=instruments,
        streams=tuple(streams),
        script=dict(script),
        cash=draw(st.sampled_from([0.0, 1_000.0])),
        commission=draw(
            st.sampled_from([NoCommission(), PerShare(rate=0.01, minimum=1.0), PerTrade(amount=1.5), Percent(bps=5.0)])
        ),
        slippage=draw(st.sampled_from([NoSlippage(), FixedBps(bps=20.0)])),
        flows=tuple(draw(st.lists(flow, max_size=3))),
    )


def close_to(value):
    return pytest.approx(value, rel=1e-9, abs=1e-6)


def numbered(frame):
    """Rows as mappings, with times as whole nanoseconds: Python's datetimes round."""
    return frame.with_columns(pl.selectors.datetime().cast(pl.Int64)).iter_rows(named=True)


@settings(phases=PHASES, max_examples=80, deadline=None)
@given(worlds())
def test_cash_positions_and_profit_balance(world):
    """cash + positions at cost + ... : what came in is what is there, plus what was lost, less what was won."""
    result = world.run()
    last = result.positions.group_by("instrument", maintain_order=True).last()
    at_cost = sum(
        row["quantity"] * row["average_price"] * world.multipliers[row["instrument"]]
        for row in last.iter_rows(named=True)
    )
    realised = last["realised_pnl"].sum()
    cash = result.equity["cash"][-1] if result.equity.height else world.cash
    gifts = result.cashflows["amount"].sum()
    assert cash + at_cost - realised + result.fills["commission"].sum() - gifts == close_to(world.cash)


@settings(phases=PHASES, max_examples=80, deadline=None)
@given(worlds())
def test_cash_is_what_was_there_and_flowed_and_was_paid_for_fills(world):
    """At every sample: start + flows + what fills brought - commission, of all that has a time up to the sample's."""
    result = world.run()
    flows, fills = list(numbered(result.cashflows)), list(numbered(result.fills))
    assert result.counts["cashflows"] == ({"gift": close_to(sum(row["amount"] for row in flows))} if flows else {})
    assert [row["ts"] for row in flows] == sorted(ts for ts, _ in world.flows if result.start_ts <= ts <= result.end_ts)
    for sample in numbered(result.equity):
        cash = world.cash + sum(row["amount"] for row in flows if row["ts"] <= sample["ts"])
        for fill in fills:
            if fill["ts"] <= sample["ts"]:
                payment = fill["price"] * fill["quantity"] * fill["multiplier"]
                cash += (payment if fill["side"] == "sell" else -payment) - fill["commission"]
        assert sample["cash"] == close_to(cash)


@settings(phases=PHASES, max_examples=80, deadline=None)
@given(worlds())
def test_round_trips_add_up_to_what_was_realised(world):
    """Gross to the ledger's realised P&L; net of all commission where nothing is left open."""
    result = world.run()
    trades, fills = result.trades, result.fills
    last = result.positions.group_by("instrument", maintain_order=True).last()
    assert trades["gross_pnl"].sum() == close_to(last["realised_pnl"].sum())
    assert (trades["gross_pnl"] - trades["commission"]).to_list() == trades["pnl"].to_list()
    assert trades["commission"].sum() <= fills["commission"].sum() + 1e-6
    for name, quantity in last.select("instrument", "quantity").iter_rows():
        if quantity == 0:
            paid = fills.filter(instrument=name)["commission"].sum()
            assert trades.filter(instrument=name)["commission"].sum() == close_to(paid)
    for trade in trades.iter_rows(named=True):
        way = 1 if trade["direction"] == "long" else -1
        size = trade["quantity"] * world.multipliers[trade["instrument"]]
        assert trade["gross_pnl"] == close_to(way * (trade["exit_price"] - trade["entry_price"]) * size)
        assert trade["return"] == close_to(trade["pnl"] / (trade["entry_price"] * size))
        assert trade["entry_ts"] <= trade["exit_ts"]


def account_by_walking(world, fills, flows):
    """(ts, equity, cash, long, short) at each bar's time, in plain Python: the reference of the compiled pass."""
    rows = [(row["ts"], index, kind, row) for index, (kind, rows, _) in enumerate(world.streams) for row in rows]
    rows.sort(key=lambda entry: entry[:2])
    waiting = collections.deque(numbered(fills))
    due = collections.deque(numbered(flows))
    cash, held, marks, curve = world.cash, collections.Counter(), {}, {}
    for ts in sorted({entry[0] for entry in rows}):
        while due and due[0]["ts"] <= ts:
            cash += due.popleft()["amount"]
        while waiting and waiting[0]["ts"] == ts:
            fill = waiting.popleft()
            signed = fill["quantity"] if fill["side"] == "buy" else -fill["quantity"]
            cash -= signed * fill["price"] * fill["multiplier"] + fill["commission"]
            held[fill["instrument"]] += signed
        now = [(kind, row) for at, _, kind, row in rows if at == ts]
        for kind, row in now:
            price = {"bar": "close", "trade": "price"}.get(kind)
            marks[row["instrument"]] = row[price] if price else (row["bid"] + row["ask"]) / 2
        values = [q * marks[name] * world.multipliers[name] for name, q in held.items() if abs(q) > 1e-9]
        longs, shorts = sum(v for v in values if v > 0), -sum(v for v in values if v < 0)
        if any(kind == "bar" for kind, _ in now) or ts == rows[-1][0]:
            curve[ts] = (cash + longs - shorts, cash, longs, shorts)
    assert not waiting, "a fill at a time without a row"
    return curve


@settings(phases=PHASES, max_examples=120, deadline=None)
@given(worlds())
def test_the_equity_curve_is_what_walking_the_rows_gives(world):
    result = world.run()
    expected = account_by_walking(world, result.fills, result.cashflows)
    found = {row["ts"]: row for row in numbered(result.equity)}
    assert list(found) == sorted(found)
    assert found.keys() == expected.keys()
    for ts, values in expected.items():
        assert tuple(found[ts][name] for name in ("equity", "cash", "long_value", "short_value")) == close_to(values)


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_the_curve_ends_with_the_ledgers_own_figures(world):
    result = world.run()
    if result.rows:
        *_, last = numbered(result.equity)
        assert last["equity"] == close_to(result.counts["final_equity"])
        assert last["ts"] == result.end_ts


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_the_positions_table_replays_the_fills(world):
    result = world.run()
    held, cost = collections.Counter(), collections.Counter()
    for row, fill in zip(numbered(result.positions), numbered(result.fills), strict=True):
        name, signed = fill["instrument"], fill["quantity"] if fill["side"] == "buy" else -fill["quantity"]
        before = held[name]
        held[name] += signed
        if abs(held[name]) < 1e-9:
            held[name] = 0
        if before * held[name] < 0 or before == 0:
            cost[name] = fill["price"]
        elif abs(held[name]) > abs(before):
            cost[name] = (cost[name] * before + fill["price"] * signed) / held[name]
        if not held[name]:
            cost[name] = 0
        size = held[name] * world.multipliers[name]
        assert (row["ts"], row["instrument"], row["price"]) == (fill["ts"], name, fill["price"])
        assert row["quantity"] == close_to(held[name])
        assert row["average_price"] == close_to(cost[name])
        assert row["market_value"] == close_to(size * fill["price"])
        assert row["unrealised_pnl"] == close_to(size * (fill["price"] - cost[name]))


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds(kinds=(("trade",), ("quote",), ("trade", "quote"))), st.sampled_from([1.0, 60.0]))
def test_ticks_are_sampled_at_the_first_of_each_interval_and_at_the_end(world, interval):
    sampled, every = attrs.evolve(world, tick_interval=interval).run(), world.run()
    step = int(interval * SECOND)
    full = {row["ts"]: row for row in numbered(every.equity)}
    expected, last = [], None
    for ts in full:
        if ts // step != last:
            expected.append(ts)
            last = ts // step
    if full and list(full)[-1] not in expected:
        expected.append(list(full)[-1])
    found = {row["ts"]: row for row in numbered(sampled.equity)}
    assert list(found) == expected
    for ts in expected:
        assert found[ts]["equity"] == close_to(full[ts]["equity"])


# By example ----------------------------------------------------------------------------------------------


def trade(script, rows, **options):
    return drive(Trader(script=script), rows, broker=FREE, **options)


def test_a_reversal_closes_one_round_trip_and_opens_the_next_at_its_own_price():
    result = trade({0: [("X", 4.0)], 1: [("X", -6.0)], 2: [("X", 2.0)]}, bars([10, 12, 15, 15]))
    assert result.trades.select("direction", "quantity", "entry_price", "exit_price", "pnl").rows() == [
        ("long", 4.0, 10.0, 12.0, 8.0),
        ("short", 2.0, 12.0, 15.0, -6.0),
    ]
    assert result.positions["quantity"].to_list() == [4.0, -2.0, 0.0]
    assert result.positions["realised_pnl"].to_list() == [0.0, 8.0, 2.0]


def test_the_commission_of_a_reversal_is_split_between_the_two_round_trips():
    script = {0: [("X", 4.0)], 1: [("X", -6.0)], 2: [("X", 2.0)]}
    result = trade(script, bars([10, 10, 10, 10]), commission=PerShare(rate=1.0))
    assert result.trades["commission"].to_list() == [8.0, 4.0]
    assert result.trades["pnl"].to_list() == [-8.0, -4.0]


def test_entries_are_averaged_and_exits_are_not():
    result = trade({0: [("X", 1.0)], 1: [("X", 3.0)], 2: [("X", -2.0)]}, bars([10, 20, 30, 30]))
    assert result.positions["average_price"].to_list() == [10.0, 17.5, 17.5]
    assert result.trades.select("quantity", "gross_pnl").rows() == [(2.0, 25.0)]
    assert result.trades["duration_ns"].to_list() == [2 * 86_400 * SECOND]


def test_a_multiplier_scales_money_but_not_quantity():
    future = [Instrument(name="X", multiplier=50.0)]
    result = trade({0: [("X", 2.0)], 1: [("X", -2.0)]}, bars([100, 101, 101]), instruments=future, cash=20_000.0)
    assert result.equity["long_value"].to_list() == [0.0, 10_100.0, 0.0]
    assert result.equity["cash"].to_list() == [20_000.0, 10_000.0, 20_100.0]
    assert result.trades.select("pnl", "return").rows() == [(100.0, 0.01)]


def test_short_value_is_positive_and_counts_against_equity():
    result = trade({0: [("X", -2.0)]}, bars([10, 12]), cash=100.0)
    assert result.equity.row(-1)[1:] == (96.0, 120.0, 0.0, 24.0)


def test_thirds_of_a_position_leave_nothing_behind():
    """0.1 + 0.2 - 0.3 is not 0 in binary, but it is no position either."""
    result = trade({0: [("X", 0.1), ("X", 0.2)], 1: [("X", -0.3)]}, bars([10, 10, 10]))
    assert result.positions["quantity"].to_list()[-1] == 0.0
    assert result.equity["long_value"][-1] == 0.0


def test_two_streams_of_one_instrument_mark_it_at_whatever_came_last():
    marks = []

    class Reader(Strategy):
        def on_bar(self, ctx, bar):
            marks.append((ctx.now, ctx.portfolio.price("X")))

        def on_trade(self, ctx, trade):
            marks.append((ctx.now, ctx.portfolio.price("X")))

    flat = dict.fromkeys(("open", "high", "low"), 10.0)
    feeds = [
        ListFeed(rows=[{"ts": ts, "close": 10.0 + ts, **flat} for ts in (1, 4)], block_rows=1),
        ListFeed(rows=[{"ts": ts, "price": 20.0 + ts, "size": 1.0} for ts in (2, 3, 5)], kind="trade"),
    ]
    Engine(feed=feeds, strategy=Reader()).run()
    assert marks == [(1, 11.0), (2, 22.0), (3, 23.0), (4, 14.0), (5, 25.0)]


def test_bars_of_two_streams_at_one_time_make_one_row_with_both():
    class Holder(Strategy):
        def on_start(self, ctx):
            ctx.buy("X", 1)
            ctx.buy("Y", 1)

        def on_bar(self, ctx, bar):
            pass

    feeds = [ListFeed(rows=bars([10, 11, 12], "X")), ListFeed(rows=bars([20, 30, 40], "Y"))]
    result = Engine(feed=feeds, strategy=Holder()).run()
    assert result.equity["long_value"].to_list() == [30.0, 41.0, 52.0]


def test_the_curve_ends_with_what_happened_after_the_last_bar():
    feeds = [
        ListFeed(rows=bars([10, 11], "X", start=0)),
        ListFeed(rows=[{"ts": 10**15, "instrument": "Y", "bid": 4.0, "ask": 6.0}], kind="quote"),
    ]

    class Holder(Strategy):
        def on_bar(self, ctx, bar):
            ctx.order_target("Y", 10)

    result = Engine(feed=feeds, strategy=Holder()).run()
    assert result.equity["equity"].to_list() == [100_000.0, 100_000.0, 99_990.0]


def test_a_tick_sample_includes_every_stream_of_its_instant():
    class Holder(Strategy):
        def on_start(self, ctx):
            ctx.buy("X", 1)

        def on_trade(self, ctx, trade):
            pass

    prints = [{"ts": ts * SECOND, "price": 10.0, "size": 1.0} for ts in (0, 100, 101)]
    quotes = [{"ts": ts * SECOND, "bid": 19.0, "ask": 21.0} for ts in (0, 100)]
    feeds = [ListFeed(rows=prints, kind="trade"), ListFeed(rows=quotes, kind="quote")]
    result = Engine(feed=feeds, strategy=Holder()).run()
    assert result.equity["long_value"].to_list() == [20.0, 20.0, 10.0]


def test_equity_is_known_although_an_instrument_filled_before_its_first_close():
    """Y opens at a time at which X's row comes first: X's callback already holds Y."""
    seen = []

    class Early(Strategy):
        def on_start(self, ctx):
            ctx.buy("X", 1)
            ctx.buy("Y", 1)

        def on_bar(self, ctx, bar):
            seen.append(ctx.portfolio.equity)

        def on_fill(self, ctx, fill):
            seen.append(ctx.portfolio.equity)

    rows = [(1, 10.0, 10.0, 10.0, 10.0, 1.0, "X"), (1, 20.0, 20.0, 20.0, 20.0, 1.0, "Y")]
    drive(Early(), rows)
    assert seen == [100_000.0] * 4


def test_the_prices_table_is_every_mark_of_the_run():
    rows = sorted([*bars([10, 11], "X"), *bars([20, 21], "Y")], key=lambda row: row["ts"])
    result = trade({}, rows)
    assert result.prices["instrument"].to_list() == ["X", "Y", "X", "Y"]
    assert result.prices["close"].to_list() == [10.0, 20.0, 11.0, 21.0]


def test_tables_of_a_run_that_did_nothing_have_their_columns():
    result = drive(Trader(script={}), [])
    for name in ("equity", "positions", "trades", "cashflows", "prices", "orders", "fills"):
        assert result[name].height == 0
        assert "ts" in result[name].columns or name in ("trades", "orders")
    assert result.counts["final_equity"] == 100_000.0


def test_the_ledger_refuses_another_currency_in_one_sentence():
    with pytest.raises(ConfigError, match="X is quoted in EUR, but the ledger keeps USD only"):
        trade({}, bars([1.0]), instruments=[Instrument(name="X", currency="EUR")])


def test_the_curve_has_its_last_row_even_where_a_feed_of_bars_has_none():
    """Sampling goes by bars where a run has a stream of them; one that turns out empty leaves the end at least."""
    quotes = [{"ts": 2 * SECOND, "bid": 19.0, "ask": 21.0}]
    feeds = [ListFeed(rows=[], kind="bar"), ListFeed(rows=quotes, kind="quote")]

    class Idle(Strategy):
        def on_quote(self, ctx, quote):
            pass

    result = Engine(feed=feeds, strategy=Idle()).run()
    assert result.equity["equity"].to_list() == [100_000.0]


def test_a_finished_run_is_freed_with_its_result_not_when_the_collector_comes():
    gc.collect()
    gc.disable()
    try:
        result = drive(Trader(script={0: [("X", 1.0)]}), bars([10.0, 11.0, 12.0]))
        assert result.fills.height == 1
        assert result.equity.height == 3
        assert result.metrics
        del result
        left = [type(o).__name__ for o in gc.get_objects() if type(o).__name__ in ("LedgerBook", "MatchingBroker")]
    finally:
        gc.enable()
    assert left == []


def test_a_cash_flow_is_refused_unless_it_is_a_number_of_a_known_currency():
    for amount, currency, message in ((math.nan, "USD", "'gift' of nan USD cannot"), (1.0, "EUR", "keeps no EUR")):

        class Giving(Strategy):
            def on_bar(self, ctx, bar, amount=amount, currency=currency):
                ctx._ledger.pay("gift", amount, currency)

        with pytest.raises(ConfigError, match=message):
            drive(Giving(), bars([1.0]))


def test_many_cash_flows_are_kept():
    flows = tuple((bars([1.0])[0]["ts"] + n, 1.0) for n in range(200))
    result = drive(Trader(script={}), bars([1.0, 1.0]), financing=Paying(flows=flows))
    assert result.cashflows["amount"].sum() == 200.0
    assert result.equity["cash"].to_list() == [100_001.0, 100_200.0]
