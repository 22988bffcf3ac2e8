"""Several strategies in one run: each trades its account as it would alone, and together they are one total."""

from __future__ import annotations

import collections
import io
import threading

import attrs
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_costs import NoCommission, PerShare, PerTrade
from qengine_orders import Bracket
from qengine_portfolio import StandardLedger, ledger
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError, Instrument

PLUGINS = Plugins.discover()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
NAMES = ("alpha", "beta", "gamma")
TABLES = ("orders", "fills", "equity", "positions", "trades")
MONEY = ("equity", "cash", "long_value", "short_value")


class Trader(Strategy):
    """Sends the script's orders, call by call, and writes down what it hears and sees.

    It decides when an instant is whole: which rows of one it could see before the others are matched depends on
    where the first order waits, be it another account's.
    """

    script: dict
    heard: list

    def on_start(self, ctx):
        self.calls = 0

    def on_slice(self, ctx, bars):
        for action, name, quantity, options in self.script.get(self.calls, ()):
            if action == "order":
                ctx.order(name, quantity, **options)
            elif action == "target" and ctx.portfolio.price(name) > 0:
                ctx.order_target_percent(name, quantity / 20)
            elif action == "close":
                ctx.close(name)
        self.calls += 1
        view = ctx.portfolio
        self.heard.append(
            (ctx.now, view.cash, view.equity, view.positions, [order.quantity for order in ctx.open_orders()])
        )

    def on_fill(self, ctx, fill):
        self.heard.append((fill.ts, fill.order.instrument, fill.side, fill.quantity, fill.price))

    def on_order(self, ctx, update):
        self.heard.append((update.ts, update.order.instrument, update.state, update.reason))


@attrs.frozen
class World:
    """A market, an account's rules and a script for each account, as plain values that Hypothesis can shrink."""

    instruments: tuple
    rows: tuple
    scripts: tuple
    cash: tuple
    broker: SimulatedBroker
    commission: object
    block_rows: int

    def run(self, wake="interest"):
        accounts = dict(zip(NAMES, self.cash, strict=False))
        return self._run(self.scripts, {"accounts": accounts}, wake)

    def alone(self, number):
        return self._run(self.scripts[number : number + 1], {"cash": self.cash[number]})

    def _run(self, scripts, ledger, wake="interest"):
        heard = [[] for _ in scripts]
        strategies = [Trader(script=script, heard=Kept(into)) for script, into in zip(scripts, heard, strict=True)]
        result = Engine(
            feed=ListFeed(rows=self.rows, instruments=self.instruments, block_rows=self.block_rows),
            strategy=strategies,
            ledger=StandardLedger(**ledger),
            broker=self.broker,
            commission=self.commission,
            wake=wake,
            plugins=PLUGINS,
        ).run()
        return result, heard


class Kept:
    """A list that a strategy's copy shares."""

    def __init__(self, into):
        self.append = into.append

    def __deepcopy__(self, memo):
        return self


@st.composite
def worlds(draw):
    names = "AB"[: draw(st.integers(1, 2))]
    price = st.integers(30, 50).map(lambda n: n / 2)
    rows, ts = [], 1_000
    for _ in range(draw(st.integers(3, 9))):
        ts += draw(st.integers(1, 3))
        for name in names:
            if draw(st.integers(0, 4)):
                a, b, c, d = (draw(price) for _ in range(4))
                volume = draw(st.sampled_from([0.0, 100.0, 100.0]))
                values = {"open": a, "close": b, "high": max(a, b, c), "low": min(a, b, d), "volume": volume}
                rows.append({"ts": ts, "instrument": name, **values})
    quantity = st.sampled_from([-300.0, -9.0, -0.4, 0.4, 3.0, 10.0, 55.0, 5000.0])
    limit = st.one_of(st.just({}), st.integers(60, 100).map(lambda n: {"limit": n / 4}))
    scripts = []
    for _ in range(draw(st.integers(2, 3))):
        script = collections.defaultdict(list)
        action = st.tuples(
            st.sampled_from(["order", "order", "target", "close"]), st.sampled_from(names), quantity, limit
        )
        for call, order in draw(st.lists(st.tuples(st.integers(0, 6), action), max_size=8)):
            script[call].append(order)
        scripts.append(dict(script))
    broker = SimulatedBroker(
        buying_power=draw(st.sampled_from(["cash", "cash", "off"])),
        # What shorts are worth within an instant is known row by row, so with several instruments it is shared.
        short_selling=draw(st.booleans()) if len(names) == 1 else False,
        shortfall=draw(st.sampled_from(["reject", "reduce"])),
    )
    return World(
        instruments=tuple(Instrument(name=name, multiplier=draw(st.sampled_from([1.0, 5.0]))) for name in names),
        rows=tuple(rows),
        scripts=tuple(scripts),
        cash=tuple(draw(st.sampled_from([100.0, 1_000.0, 100_000.0])) for _ in scripts),
        broker=broker,
        commission=draw(st.sampled_from([NoCommission(), PerShare(rate=0.01, minimum=1.0), PerTrade(amount=2.0)])),
        block_rows=draw(st.sampled_from([1, 4, 1000])),
    )


def of_account(frame, name):
    """An account's rows of a table, with its orders numbered as they would be alone."""
    frame = frame.filter(account=name)
    return frame.drop("order_id", "account", strict=False)


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_accounts_that_share_no_volume_do_what_each_would_alone(world):
    """Orders, fills, positions, trades, the curve, and everything its strategy sees and hears, to the last bit."""
    result, heard = world.run()
    for number, name in enumerate(NAMES[: len(world.scripts)]):
        alone, heard_alone = world.alone(number)
        for table in ("orders", "fills", "positions", "trades"):
            assert of_account(result[table], name).rows() == of_account(alone[table], "main").rows()
        curve = result.equity_by_account.filter(account=name).drop("account")
        assert curve.rows() == alone.equity.rows()
        assert heard[number] == heard_alone[0]
        figures = result.counts["accounts"][name]
        assert figures == {key: alone.counts[key] for key in ("final_equity", "initial_cash")}


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds())
def test_the_total_is_the_sum_of_the_accounts_and_cash_is_conserved_in_each(world):
    result, _ = world.run()
    total = result.equity_by_account.group_by("ts", maintain_order=True).agg(pl.col(*MONEY).sum())
    assert result.equity["ts"].to_list() == total["ts"].to_list()
    for name in MONEY:
        assert result.equity[name].to_list() == pytest.approx(total[name].to_list(), rel=1e-12)
    assert result.counts["initial_cash"] == sum(world.cash)
    if result.equity.height:
        assert result.equity["equity"][-1] == pytest.approx(result.counts["final_equity"], rel=1e-12)
    for name, cash in zip(NAMES, world.cash, strict=False):
        for fill in result.fills.filter(account=name).iter_rows(named=True):
            way = 1 if fill["side"] == "buy" else -1
            cash -= way * fill["quantity"] * fill["price"] * fill["multiplier"] + fill["commission"]
        curve = result.equity_by_account.filter(account=name)
        if curve.height:
            assert curve["cash"][-1] == pytest.approx(cash, rel=1e-9, abs=1e-6)


@settings(phases=PHASES, max_examples=40, deadline=None)
@given(worlds())
def test_several_accounts_give_the_same_bytes_however_they_are_woken(world):
    (lazy, heard), (naive, told) = world.run(), world.run(wake="every-row")
    for name in (*TABLES, "equity_by_account"):
        assert as_bytes(lazy[name]) == as_bytes(naive[name]), name
    assert heard == told


@settings(phases=PHASES, max_examples=40, deadline=None)
@given(worlds())
def test_curves_are_the_same_bytes_sampled_in_a_thread_and_by_the_loop(world):
    by_the_loop, _ = world.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "_WORTH_A_THREAD", 0)
        in_a_thread, _ = world.run()
    for name in ("equity", "equity_by_account"):
        assert as_bytes(in_a_thread[name]) == as_bytes(by_the_loop[name]), name
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("qengine-curve")]


def as_bytes(frame):
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


# By example ----------------------------------------------------------------------------------------------


class Buyer(Strategy):
    """Buys once, at its first bar."""

    quantity: float

    def on_bar(self, ctx, bar):
        if not ctx.portfolio.positions and not ctx.open_orders():
            ctx.buy("X", self.quantity)


def test_orders_of_all_accounts_share_a_rows_volume_by_age():
    broker = SimulatedBroker(participation_limit=0.1)
    result = Engine(
        feed=ListFeed(rows=bars([10.0] * 4, volume=100.0)),
        strategy=[Buyer(quantity=6.0), Buyer(quantity=8.0)],
        ledger={"accounts": {"alpha": 1000.0, "beta": 1000.0}},
        broker=broker,
    ).run()
    assert result.fills.select("account", "quantity").rows() == [("alpha", 6.0), ("beta", 4.0), ("beta", 4.0)]


@pytest.mark.parametrize(("size", "prices"), [(10.0, (110.0, 110.0)), (0.1, (90.0, 90.0))])
def test_a_bar_has_one_path_for_all_accounts(size, prices):
    """One is long, the other short, and a bar touches all their exits: it goes the way that the larger one loses."""
    rows = bars([100.0, 100.0, 100.0])
    rows[2] |= {"high": 115.0, "low": 85.0}

    class Bracketed(Strategy):
        way: float

        def on_start(self, ctx):
            high, low = (110.0, 90.0) if self.way > 0 else (90.0, 110.0)
            ctx.order("X", self.way, Bracket(take_profit=high, stop_loss=low))

        def on_bar(self, ctx, bar):
            pass

    result = Engine(
        feed=ListFeed(rows=rows),
        strategy=[Bracketed(way=1.0), Bracketed(way=-size)],
        ledger={"accounts": {"alpha": 1000.0, "beta": 5000.0}},
        broker=SimulatedBroker(short_selling=True),
    ).run()
    assert result.trades.select("account", "exit_price").rows() == list(zip(("alpha", "beta"), prices, strict=True))


def test_opposite_positions_of_two_accounts_stay_two_positions():
    result = Engine(
        feed=ListFeed(rows=bars([10.0, 10.0, 12.0])),
        strategy=[Buyer(quantity=6.0), Trader(script={0: [("order", "X", -6.0, {})]}, heard=Kept([]))],
        ledger={"accounts": {"alpha": 1000.0, "beta": 1000.0}},
        broker=SimulatedBroker(short_selling=True),
    ).run()
    assert result.equity.row(-1)[1:] == (2000.0, 2000.0, 72.0, 72.0)
    assert result.equity_by_account.select("account", "equity").rows()[-2:] == [("alpha", 1012.0), ("beta", 988.0)]
    assert result.trades.height == 0


def test_strategies_may_share_an_account_by_name():
    seen = []

    class Reader(Strategy):
        def on_bar(self, ctx, bar):
            seen.append((ctx.account, ctx.portfolio.positions))

    result = Engine(
        feed=ListFeed(rows=bars([10.0, 10.0])),
        strategy=[Buyer(quantity=1.0), Reader(), Reader()],
        ledger={"accounts": {"alpha": 50.0, "beta": 70.0}, "strategies": ["beta", "alpha", "beta"]},
    ).run()
    assert seen[-2:] == [("alpha", {}), ("beta", {"X": 1.0})]
    assert result.fills["account"].to_list() == ["beta"]


def test_one_account_is_called_main_and_has_no_table_of_its_own():
    result = drive(Buyer(quantity=1.0), bars([10.0, 10.0]))
    assert result.orders["account"].to_list() == result.fills["account"].to_list() == ["main"]
    assert "equity_by_account" not in result
    assert "accounts" not in result.counts


@pytest.mark.parametrize(
    ("ledger", "sentence"),
    [
        ({"accounts": {"a": 1.0, "b": 1.0, "c": 1.0}}, "3 accounts and the run 2 strategies: say which account"),
        ({"accounts": {"a": 1.0}, "strategies": ["a", "z"]}, "names an account 'z'"),
        ({"accounts": {"a": 1.0}, "strategies": ["a"]}, "the accounts of 1 strategies, but the run has 2"),
        ({"accounts": {"a": -1.0, "b": 1.0}}, r"accounts\.a = -1\.0"),
    ],
)
def test_accounts_that_do_not_match_the_strategies_are_refused(ledger, sentence):
    strategies = [Buyer(quantity=1.0), Buyer(quantity=1.0)]
    with pytest.raises(ConfigError, match=sentence):
        Engine(feed=ListFeed(rows=bars([10.0])), strategy=strategies, ledger=ledger).run()
