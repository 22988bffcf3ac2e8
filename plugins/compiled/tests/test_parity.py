"""Every lane writes the same journal: compiled, event, and both with every row offered to everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_compiled import FOK, GTC, IOC, CompiledStrategy
from qengine_costs import Percent, PerShare, Splits, VolumeShare
from qengine_strategy.testing import ListFeed, bars

from qengine_core import Engine
from qengine_core.plugin import Instrument

TABLES = ("orders", "fills", "equity", "positions", "trades")
_KINDS = 14


class Scripted(CompiledStrategy):
    """Does what its script says, one line a call: everything that a compiled strategy can ask for."""

    script: Any = ()

    def on_start(self, ctx):
        self.what = np.array([line[0] for line in self.script], np.int64)
        self.shift = np.array([line[1] for line in self.script], np.int64)
        self.size = np.array([line[2] for line in self.script], np.float64)
        self.off = np.array([line[3] for line in self.script], np.float64)
        self.force = np.array([line[4] for line in self.script], np.int64)
        self.count = len(ctx.instruments)
        self.weights = np.zeros(self.count)
        self.sent = np.full(10_000, -1)
        self.calls = 0
        self.orders = 0
        self.heard = 0.0

    def on_bar(self, ctx, bar):
        line = self.calls % len(self.what)
        self.calls += 1
        what, size, force = self.what[line], self.size[line], self.force[line]
        code = (bar.code + self.shift[line]) % self.count
        price = ctx.price(code)
        if what == 0 or not price > 0.0:
            return
        level, order = price * (1.0 + self.off[line]), -1
        if what == 1:
            order = ctx.buy(code, size) if force == GTC else ctx.buy(code, size, time_in_force=force)
        elif what == 2:
            order = ctx.sell(code, size) if force == GTC else ctx.sell(code, size, time_in_force=force)
        elif what == 3:
            order = ctx.buy(code, size, limit=level, time_in_force=force)
        elif what == 4:
            order = ctx.sell(code, size, limit=level, time_in_force=force)
        elif what == 5:
            order = ctx.buy(code, size, stop=level)
        elif what == 6:
            order = ctx.sell(code, size, stop=level, limit=level * 0.995)
        elif what == 7:
            order = ctx.sell(code, size, trail=price * abs(self.off[line]) + 0.01)
        elif what == 8:
            order = ctx.sell(code, size, trail_fraction=abs(self.off[line]) + 0.001)
        elif what == 9:
            if self.orders:
                ctx.cancel(self.sent[(line * 7) % self.orders])
        elif what == 10:
            order = ctx.order_target(code, size - 5.0)
        elif what == 11:
            order = ctx.order_target_percent(code, self.off[line] * 5)
        elif what == 12:
            if self.orders:
                other = self.sent[(line * 5 + self.orders) % self.orders]
                if ctx.is_open(other):
                    ctx.cancel(other)
                elif ctx.filled(other) + ctx.pending(code) > 2.0:
                    order = ctx.sell(code, 1.0)
        else:
            for other in range(self.count):
                self.weights[other] = (self.off[line] * (other + 1)) if ctx.price(other) > 0.0 else np.nan
            ctx.rebalance(self.weights)
        if 1 <= what <= 2:  # and something else in the same call, before it is known what becomes of it
            if self.off[line] == 0.1:
                ctx.buy(code, 1.0)
            elif self.off[line] == -0.1:
                ctx.cancel(order)
            elif self.off[line] == 0.02 and ctx.is_open(order) and ctx.pending(code) >= size:
                ctx.sell(code, 1.0)
            elif self.off[line] == -0.02 and ctx.filled(order) == 0.0 and ctx.equity < 10_000.0:
                ctx.order_target(code, 2.0)
        if order >= 0 and self.orders < len(self.sent):
            self.sent[self.orders] = order
            self.orders += 1


class Hearing(Scripted):
    """The same, that hears of its fills: orders rest on no slip then."""

    def on_fill(self, ctx, fill):
        self.heard += fill.quantity * fill.price - fill.commission
        if fill.side > 0 and fill.quantity > 6.0 and ctx.pending(fill.code) == 0.0:
            ctx.sell(fill.code, 1.0, limit=fill.price * 1.01)


class Crosswise(CompiledStrategy):
    """Weighs instruments by what they gained over some instants."""

    length: int = 3

    def on_start(self, ctx):
        ctx.subscribe("bar", history=self.length, every=2)
        self.weights = np.zeros(len(ctx.instruments))
        self.seen = 0.0

    def on_slice(self, ctx, bars):
        closes = bars.history("close", self.length)
        self.seen += np.nansum(bars.close) + bars.ts % 7
        if len(closes) < self.length:
            return
        for code in range(bars.count):
            gain = closes[-1, code] / closes[0, code] - 1.0
            self.weights[code] = gain if abs(gain) < 0.2 and ctx.price(code) > 0.0 else np.nan
        ctx.rebalance(self.weights)


@st.composite
def rows(draw: st.DrawFn, instruments: int) -> list[dict[str, Any]]:
    """Bars of some instruments: some instants lack some, prices gap, volumes are small or nothing."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(5, 60))
    rng, made = np.random.default_rng(seed), []
    price = 100 * np.exp(rng.normal(0, 0.1, instruments))
    for step in range(count):
        for code in range(instruments):
            if rng.random() < 0.2:
                continue
            opened = price[code] * np.exp(rng.normal(0, 0.02))
            closed = opened * np.exp(rng.normal(0, 0.02))
            price[code] = closed
            high, low = max(opened, closed) * 1.003, min(opened, closed) * 0.997
            made.append(
                {
                    "ts": 1_600_000_000_000_000_000 + step * 60_000_000_000,
                    "instrument": f"I{code}",
                    **dict(
                        zip(("open", "high", "low", "close"), np.round((opened, high, low, closed), 2), strict=True)
                    ),
                    "volume": float(rng.choice([0.0, 3.0, 40.0, 1e6])),
                }
            )
    return made or [{"ts": 1, "instrument": "I0", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}]


LINES = st.tuples(
    st.integers(0, _KINDS - 1),
    st.integers(0, 2),
    st.sampled_from([0.0, 1.0, 3.0, 7.5, 20.0]),
    st.sampled_from([-0.1, -0.02, -0.003, 0.0, 0.003, 0.02, 0.1]),
    st.sampled_from([GTC, GTC, IOC, FOK]),
)
BROKERS = st.fixed_dictionaries(
    {},
    optional={
        "fill_timing": st.sampled_from(["next-open", "next-close", "same-close"]),
        "short_selling": st.booleans(),
        "participation_limit": st.sampled_from([None, 0.1, 0.5]),
        "limit_touch": st.sampled_from(["touch", "penetrate"]),
        "intrabar_path": st.sampled_from(["worst-case", "open-high-low-close", "reject-ambiguous"]),
        "matching_order": st.sampled_from(["exits-first", "in-turn"]),
        "buying_power": st.sampled_from(["cash", "equity", "off"]),
        "lot_size": st.sampled_from([0.0, 1.0]),
        "targets_count_open_orders": st.booleans(),
    },
)
COSTS = st.sampled_from([None, Percent(rate=0.001), PerShare(rate=0.01, minimum=1.0)])
SLIPPAGES = st.sampled_from([None, VolumeShare(price_impact=0.1)])


# Mostly orders at market, which may be kept on slips, with all else in between.
PLAIN_LINES = st.one_of(
    st.tuples(
        st.sampled_from([0, 1, 1, 2, 2, 10, 12]),
        *[LINES.map(lambda line, at=at: line[at]) for at in (1, 2, 3)],
        st.just(GTC),
    ),
    LINES,
)


def journals_of(strategy: Any, feed: Any, **parts: Any) -> None:
    """Run a strategy in every lane and mode, and compare all tables with the first's."""
    results = [
        Engine(feed=feed, strategy=strategy(lane), wake=wake, ledger={"cash": 10_000.0}, **parts).run()
        for lane in ("event", "compiled")
        for wake in ("interest", "every-row")
    ]
    for result in results[1:]:
        assert result.counts == results[0].counts
        for table in TABLES:
            assert result[table].equals(results[0][table]), table


@settings(max_examples=60, deadline=None)
@given(data=st.data(), instruments=st.integers(1, 3), script=st.lists(LINES, min_size=1, max_size=12), broker=BROKERS)
def test_scripts_leave_the_same_journal_in_every_lane(
    data: st.DataObject, instruments: int, script: list[Any], broker: dict[str, Any]
) -> None:
    kind_of_strategy = data.draw(st.sampled_from([Scripted, Hearing]))
    feed = ListFeed(
        rows=data.draw(rows(instruments)),
        block_rows=data.draw(st.sampled_from([3, 17, 1000])),
        instruments=[Instrument(name=f"I{code}", tick_size=0.01) for code in range(instruments)],
    )
    journals_of(
        lambda lane: kind_of_strategy(script=script, lane=lane),
        feed,
        broker=SimulatedBroker(**broker),
        commission=data.draw(COSTS),
        slippage=data.draw(SLIPPAGES),
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data(), script=st.lists(PLAIN_LINES, min_size=1, max_size=12), broker=BROKERS)
def test_orders_on_slips_leave_the_same_journal(data: st.DataObject, script: list[Any], broker: dict[str, Any]) -> None:
    interval = data.draw(st.sampled_from([0, 60_000_000_000, 90_000_000_000]))
    feed = ListFeed(
        rows=data.draw(rows(1)),
        block_rows=data.draw(st.sampled_from([1, 2, 5, 17, 1000])),
        instruments=[Instrument(name="I0", tick_size=0.01)],
        interval=interval,
    )
    parts = {"commission": data.draw(COSTS), "slippage": data.draw(SLIPPAGES)}
    journals_of(lambda lane: Scripted(script=script, lane=lane), feed, broker=SimulatedBroker(**broker), **parts)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), instruments=st.integers(1, 4), length=st.integers(1, 6), broker=BROKERS)
def test_cross_sections_leave_the_same_journal_in_every_lane(
    data: st.DataObject, instruments: int, length: int, broker: dict[str, Any]
) -> None:
    feed = ListFeed(rows=data.draw(rows(instruments)), block_rows=data.draw(st.sampled_from([4, 19, 1000])))
    journals_of(lambda lane: Crosswise(length=length, lane=lane), feed, broker=SimulatedBroker(**broker))


@pytest.mark.parametrize("seed", range(5))
def test_a_rebalancing_sends_one_order_an_instrument_where_orders_fill_at_once(seed: int) -> None:
    rng, made = np.random.default_rng(seed), []
    closes = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.03, (40, 6)), axis=0)), 2)
    for step, row in enumerate(closes):
        for code, close in enumerate(row):
            prices = dict.fromkeys(("open", "high", "low", "close"), float(close))
            made.append({"ts": (step + 1) * 60_000_000_000, "instrument": f"I{code}", **prices, "volume": 1e6})
    broker = SimulatedBroker(fill_timing="same-close", buying_power="off", short_selling=True)
    results = [
        Engine(feed=ListFeed(rows=made), strategy=Crosswise(lane=lane), broker=broker, ledger={"cash": 10_000.0}).run()
        for lane in ("event", "compiled")
    ]
    orders = results[1].orders
    assert orders.equals(results[0].orders)
    assert len(orders) == len(orders.unique(["submitted_ts", "instrument"])) > 50


class Turning(CompiledStrategy):
    """An order at market on every so many prints, buying two or selling one."""

    every: int = 1

    def on_start(self, ctx):
        self.seen = 0

    def on_trade(self, ctx, trade):
        self.seen += 1
        if self.seen % self.every == 0:
            if self.seen % 2:
                ctx.buy(trade.code, 2.0)
            else:
                ctx.sell(trade.code, 1.0)


def prints(seed: int) -> list[dict[str, Any]]:
    """Prints of which many share their time."""
    rng = np.random.default_rng(seed)
    ts = 1_600_000_000_000_000_000 + np.cumsum(rng.choice([0, 0, 1, 1_000_000_000], 300))
    price = np.round(100 + np.cumsum(rng.normal(0, 0.05, 300)), 2)
    return [
        {"ts": int(at), "instrument": "X", "price": float(paid), "size": float(rng.choice([0.0, 1.0, 50.0]))}
        for at, paid in zip(ts, price, strict=True)
    ]


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("block_rows", [7, 1_000])
def test_orders_on_slips_wait_for_a_later_time(every: int, block_rows: int) -> None:
    feed = ListFeed(rows=prints(every), kind="trade", block_rows=block_rows)
    journals_of(lambda lane: Turning(every=every, lane=lane), feed, commission=Percent(rate=0.001))


class Daily(CompiledStrategy):
    """Buys one every day."""

    def on_bar(self, ctx, bar):
        ctx.buy(bar.code, 1.0)


@pytest.mark.parametrize("block_rows", [2, 100])
def test_a_split_finds_the_fills_that_are_on_slips(block_rows: int, tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("ex_date,instrument,ratio\n2020-01-05,X,2.0\n2020-01-09,X,0.5\n")
    closes = [10.0, 11.0, 12.0, 13.0, 6.5, 7.0, 6.0, 6.5, 13.0, 14.0, 15.0]
    feed = ListFeed(rows=bars(closes), block_rows=block_rows)
    journals_of(lambda lane: Daily(lane=lane), feed, financing=[Splits(path=tmp_path / "splits.csv")])
