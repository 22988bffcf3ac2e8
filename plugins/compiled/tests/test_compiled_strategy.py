"""What a compiled strategy sees, keeps and may ask for, and what it is told when something is not possible."""

from __future__ import annotations

import gc
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qengine_compiled import IOC, CompiledStrategy
from qengine_costs import Delistings, Splits
from qengine_risk import MaxOrder, StopLoss
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.errors import ConfigError, QEngineError, RunError
from qengine_core.plugin import Instrument

DELISTED = Path(tempfile.mkdtemp()) / "delisted.csv"
DELISTED.write_text("date,instrument\n2020-01-01,Q\n")
LANES = pytest.mark.parametrize("lane", ["compiled", "event"])
LEFT: dict[str, Any] = {}


def two_instruments(closes):
    rows = bars(closes, "A") + bars([close * 2 for close in closes], "B")
    return sorted(rows, key=lambda row: (row["ts"], row["instrument"]))


class Counting(CompiledStrategy):
    """Keeps numbers, a flag and arrays."""

    step: int = 2
    scale: float = 0.5
    label: str = "text is not seen by compiled code"

    def on_start(self, ctx):
        self.count = 0
        self.total = 0.0
        self.is_up = False
        self.grid = np.zeros((2, 3))
        self.codes = np.zeros(2, dtype=np.int32)
        self.flags = np.zeros(2, dtype=bool)

    def on_bar(self, ctx, bar):
        self.is_up = bar.close > bar.open
        self.total += bar.close * self.scale
        self.grid[bar.code, self.count % 3] += bar.high - bar.low
        self.codes[bar.code] += self.step
        self.flags[bar.code] = self.is_up
        self.count += 1

    def on_stop(self, ctx):
        LEFT.update(vars(self))


@LANES
def test_what_callbacks_leave_is_there_in_on_stop(lane):
    rows = two_instruments([10.0, 11.0, 9.0, 12.0])
    drive(Counting(lane=lane, step=3), rows)
    assert (LEFT["count"], LEFT["is_up"]) == (8, True)
    assert LEFT["total"] == pytest.approx(0.5 * sum(row["close"] for row in rows))
    assert LEFT["codes"].tolist() == [12, 12]
    assert LEFT["flags"].tolist() == [True, True]
    assert LEFT["grid"].sum() == pytest.approx(sum(row["high"] - row["low"] for row in rows))


def test_a_run_starts_from_the_strategy_as_it_was_made():
    strategy = Counting()
    for _ in range(2):
        drive(strategy, two_instruments([10.0, 11.0]))
        assert LEFT["count"] == 4
    assert not hasattr(strategy, "count")


class Asking(CompiledStrategy):
    """Notes what the account says at each bar."""

    def on_start(self, ctx):
        self.seen = np.zeros((20, 9))
        self.at = 0
        self.first = -1

    def on_bar(self, ctx, bar):
        if self.at == 0:
            self.first = ctx.buy(bar.code, 2)
        if self.at == 2:
            ctx.sell(bar.code, 1, limit=1000.0)
        row = self.seen[self.at]
        row[0], row[1], row[2] = ctx.cash, ctx.equity, ctx.position(bar.code)
        row[3], row[4] = ctx.price(bar.code), ctx.pending(bar.code)
        row[5], row[6] = ctx.is_open(self.first), ctx.filled(self.first)
        row[7], row[8] = ctx.now, bar.ts
        self.at += 1

    def on_stop(self, ctx):
        LEFT["seen"] = self.seen[: self.at].copy()


@LANES
def test_the_account_is_up_to_date(lane):
    drive(Asking(lane=lane), bars([10.0, 11.0, 12.0, 13.0]), cash=100.0)
    seen = LEFT["seen"]
    assert seen[:, 0].tolist() == [100.0, 80.0, 80.0, 80.0]  # filled at the open of the second bar, which is 10
    assert seen[:, 1].tolist() == [100.0, 102.0, 104.0, 106.0]
    assert seen[:, 2].tolist() == [0.0, 2.0, 2.0, 2.0]
    assert seen[:, 3].tolist() == [10.0, 11.0, 12.0, 13.0]
    assert seen[:, 4].tolist() == [2.0, 0.0, -1.0, -1.0]
    assert seen[:, 5].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert seen[:, 6].tolist() == [0.0, 2.0, 2.0, 2.0]
    assert seen[:, 7].tolist() == seen[:, 8].tolist()


class Following(CompiledStrategy):
    """Sends an order at market on each bar, and asks or does something at once."""

    which: int = 0

    def on_start(self, ctx):
        self.said = np.zeros(10)
        self.weights = np.full(1, 0.5)
        self.at = 0

    def on_bar(self, ctx, bar):
        order = ctx.buy(0, 2.0)
        self.said[self.at] = order
        if self.which == 0:
            self.said[self.at] = ctx.sell(0, 1.0)
        elif self.which == 1:
            ctx.cancel(order)
        elif self.which == 2:
            self.said[self.at] = ctx.pending(0)
        elif self.which == 3:
            self.said[self.at] = ctx.is_open(order)
        elif self.which == 4:
            self.said[self.at] = ctx.filled(order) + ctx.is_open(order)
        elif self.which == 5:
            self.said[self.at] = ctx.order_target(0, 5.0)
        elif self.which == 6:
            ctx.rebalance(self.weights)
        elif self.which == 7:
            self.said[self.at] = ctx.cash - ctx.position(0)
        self.at += 1

    def on_stop(self, ctx):
        LEFT["said"] = self.said.tolist()


@pytest.mark.parametrize("which", range(9))
def test_an_order_is_sent_before_what_follows_it(which):
    left = []
    for lane in ("event", "compiled"):
        result = drive(Following(lane=lane, which=which), bars([10.0, 11.0, 12.0, 13.0]), cash=55.0)
        left.append((LEFT["said"], result.orders.rows(), result.fills.rows(), result.counts))
    assert left[0] == left[1]


def alive():
    """How many objects of ours there are, by type."""
    return Counter(type(o).__qualname__ for o in gc.get_objects() if str(type(o).__module__).startswith("qengine"))


@LANES
def test_a_run_is_freed_with_its_result_not_when_the_collector_comes(lane):
    engine = Engine(feed=ListFeed(rows=bars([10.0, 11.0, 12.0])), strategy=Following(lane=lane, which=8))
    engine.run()  # so that there is what is kept for the next
    gc.collect()
    gc.disable()
    try:
        before = alive()
        result = engine.run()
        assert result.counts["fills"] == 2
        assert alive() > before
        del result
        left = alive() - before
    finally:
        gc.enable()
    assert not left


class Telling(CompiledStrategy):
    """Sells what it has bought, as soon as it hears of it."""

    def on_start(self, ctx):
        self.sum = 0.0

    def on_bar(self, ctx, bar):
        if ctx.position(bar.code) == 0 and ctx.pending(bar.code) == 0:
            ctx.buy(bar.code, 5, time_in_force=IOC)

    def on_fill(self, ctx, fill):
        self.sum += fill.price * fill.quantity * fill.side + fill.commission
        if fill.side > 0:
            ctx.sell(fill.code, fill.quantity)

    def on_stop(self, ctx):
        LEFT["sum"] = self.sum


@LANES
def test_fills_are_told_and_may_be_answered(lane):
    result = drive(Telling(lane=lane), bars([10.0, 11.0, 12.0, 13.0, 14.0]), cash=100.0)
    assert result.fills["side"].to_list() == ["buy", "sell", "buy", "sell"]
    assert 100.0 - LEFT["sum"] == pytest.approx(result.counts["final_equity"])


class Crossing(CompiledStrategy):
    """Keeps the history that it is shown."""

    def on_start(self, ctx):
        ctx.subscribe("bar", history=3)
        self.seen = np.zeros((10, 3, 2))
        self.lengths = np.zeros(10, dtype=np.int64)
        self.at = 0

    def on_slice(self, ctx, bars):
        past = bars.history("close", 3)
        self.lengths[self.at] = len(past)
        for place in range(len(past)):
            self.seen[self.at, place] = past[place]
        self.at += 1

    def on_stop(self, ctx):
        LEFT["seen"], LEFT["lengths"] = self.seen[: self.at].copy(), self.lengths[: self.at].copy()


@LANES
@pytest.mark.parametrize("block_rows", [2, 5, 1000])
def test_history_reaches_over_blocks(lane, block_rows):
    closes = [10.0, 11.0, 12.0, 13.0, 14.0]
    drive(Crossing(lane=lane), two_instruments(closes), block_rows=block_rows)
    assert LEFT["lengths"].tolist() == [1, 2, 3, 3, 3]
    assert LEFT["seen"][4].tolist() == [[12.0, 24.0], [13.0, 26.0], [14.0, 28.0]]
    assert LEFT["seen"][1, :2].tolist() == [[10.0, 20.0], [11.0, 22.0]]


class TooFar(Crossing):
    """Asks for more than it said."""

    def on_slice(self, ctx, bars):
        self.at += len(bars.history("close", 4))


@LANES
def test_history_beyond_what_was_said_is_refused(lane):
    with pytest.raises(QEngineError, match="history"):
        drive(TooFar(lane=lane), two_instruments([1.0, 2.0, 3.0]))


class Columns(CompiledStrategy):
    """Trades on a column of its own in the data."""

    def on_bar(self, ctx, bar):
        if bar.score > 0.5:
            ctx.order_target(bar.code, 1.0)
        else:
            ctx.close(bar.code)


@LANES
def test_every_column_of_the_data_is_at_hand(lane):
    rows = [row | {"score": score} for row, score in zip(bars([1.0] * 5), [0.1, 0.9, 0.9, 0.2, 0.2], strict=True)]
    result = drive(Columns(lane=lane), rows)
    assert result.fills["side"].to_list() == ["buy", "sell"]


class Ticks(CompiledStrategy):
    """Counts prints of one instrument, every second one."""

    def on_start(self, ctx):
        ctx.subscribe("trade", instruments=["B"], every=2)
        self.total = 0.0

    def on_trade(self, ctx, trade):
        self.total += trade.price * 100 + trade.size

    def on_stop(self, ctx):
        LEFT["total"] = self.total


@LANES
def test_interest_is_narrowed_as_for_any_strategy(lane):
    rows = [{"ts": n + 1, "instrument": "AB"[n % 2], "price": float(n + 1), "size": 1.0} for n in range(12)]
    drive(Ticks(lane=lane), rows, kind="trade")
    assert LEFT["total"] == 100 * (4 + 8 + 12) + 3


# What is refused ------------------------------------------------------------------------------------------------


class Idle(CompiledStrategy):
    """Does nothing."""

    def on_bar(self, ctx, bar):
        pass


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"risk": [MaxOrder(quantity=1.0)]}, "the risk rule MaxOrder"),
        ({"position_rule": [StopLoss(fraction=0.1)]}, "the position rule StopLoss"),
        ({"broker": {"use": "simulated", "entry_latency": 5.0}}, "the broker's entry_latency"),
        ({"financing": [Delistings(path=DELISTED)]}, "the financing Delistings"),
        ({"broker": {"use": "simulated", "fill_timing": "at-once"}}, "the broker's fill_timing = 'at-once'"),
        ({"broker": {"use": "simulated", "settlement_sessions": 2}}, "the broker's settlement_sessions = 2"),
        ({"broker": {"use": "simulated", "buying_power": "reg-t", "short_selling": True}}, "the broker's liquidation"),
        ({"ledger": {"use": "standard", "accounts": {"a": 1.0, "b": 1.0}, "strategies": ["a"]}}, "several accounts"),
    ],
)
def test_what_the_compiled_lane_has_not_is_named_before_the_run(parts, named):
    with pytest.raises(ConfigError, match='set lane = "event"') as caught:
        drive(Idle(), bars([1.0, 2.0]), **parts)
    assert named in str(caught.value)
    assert drive(Idle(lane="event"), bars([1.0, 2.0]), **parts).rows == 2


def test_a_second_strategy_is_named():
    class Other(Strategy):
        pass

    with pytest.raises(ConfigError, match="a second strategy"):
        drive([Idle(), Other()], bars([1.0, 2.0]))


class Wrong(CompiledStrategy):
    """Asks for what it does not have."""

    def on_bar(self, ctx, bar):
        self.missing += 1


class NotNumba(CompiledStrategy):
    """Uses what numba does not know."""

    def on_bar(self, ctx, bar):
        open(str(bar.close))  # noqa: SIM115, PTH123


def test_what_cannot_be_compiled_is_said_in_one_sentence():
    with pytest.raises(ConfigError, match="self has no 'missing'") as caught:
        drive(Wrong(), bars([1.0, 2.0]))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"NotNumba\.on_bar cannot be compiled") as caught:
        drive(NotNumba(), bars([1.0, 2.0]))
    assert "\n" not in str(caught.value)
    assert 'lane = "event"' in str(caught.value)


class Impossible(CompiledStrategy):
    """Sends what cannot be meant."""

    what: int = 0

    def on_bar(self, ctx, bar):
        if self.what == 0:
            ctx.buy(5, 1)
        elif self.what == 1:
            ctx.buy(0, -1)
        elif self.what == 2:
            ctx.order_target(0, np.nan)
        elif self.what == 3:
            ctx.sell(0, 1, limit=-2.0)
        elif self.what == 4:
            ctx.rebalance(np.zeros(7))
        elif self.what == 5:
            ctx.cancel(77)
        else:
            for _ in range(1_000_000):
                ctx.buy(0, 1)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (0, "no instrument of that code"),
        (1, "finite number >= 0"),
        (2, "a target must be a finite number"),
        (3, "must be above 0"),
        (4, "one for each instrument"),
        (5, "no such order"),
        (6, "more orders were sent from one call"),
    ],
)
def test_a_mistake_ends_the_run_with_where_and_what(what, said):
    with pytest.raises(RunError, match=said) as caught:
        drive(Impossible(what=what), bars([1.0, 2.0]))
    assert "Strategy Impossible, on_bar of X" in str(caught.value)


class Both(CompiledStrategy):
    """Overrides too much."""

    def on_bar(self, ctx, bar):
        pass

    def on_slice(self, ctx, bars):
        pass


def test_bars_come_one_by_one_or_together():
    with pytest.raises(ConfigError, match="choose one"):
        drive(Both(), bars([1.0]))


class Timing(CompiledStrategy):
    """Sets a timer."""

    def on_start(self, ctx):
        ctx.set_timer("x", at=5)

    def on_bar(self, ctx, bar):
        pass


def test_timers_are_for_the_event_lane():
    with pytest.raises(QEngineError, match="timer"):
        drive(Timing(), bars([1.0]))


class Weighing(CompiledStrategy):
    """Weighs an instrument that has no price yet."""

    def on_start(self, ctx):
        self.weights = np.array([0.5, 0.5])

    def on_slice(self, ctx, bars):
        ctx.rebalance(self.weights)


@LANES
def test_a_weight_needs_a_price(lane):
    with pytest.raises(QEngineError, match="has no price yet"):
        drive(Weighing(lane=lane), bars([1.0, 2.0]), instruments=[Instrument(name="X"), Instrument(name="Y")])


def test_orders_sent_in_on_start_count_as_any():
    class Early(CompiledStrategy):
        def on_start(self, ctx):
            ctx.buy("X", 1)

        def on_bar(self, ctx, bar):
            pass

    for lane in ("compiled", "event"):
        result = drive(Early(lane=lane), bars([1.0, 2.0, 3.0]))
        assert result.fills["price"].to_list() == [1.0]


class Hearing(CompiledStrategy):
    """Counts what it hears of."""

    def on_start(self, ctx):
        self.heard = 0.0

    def on_bar(self, ctx, bar):
        if ctx.now % 5 == 0 and ctx.position(bar.code) == 0:
            ctx.buy(bar.code, 3)

    def on_fill(self, ctx, fill):
        self.heard += 1

    def on_stop(self, ctx):
        LEFT["heard"] = self.heard


@LANES
def test_a_split_is_no_fill_to_hear_of(lane, tmp_path):
    (tmp_path / "splits.csv").write_text("ex_date,instrument,ratio\n2020-01-03,X,2.0\n")
    parts = {"financing": [Splits(path=tmp_path / "splits.csv")]}
    result = drive(Hearing(lane=lane), bars([10.0, 11.0, 6.0, 6.5, 7.0]), cash=100.0, **parts)
    assert LEFT["heard"] == len(result.fills) == 1
    assert result.positions["quantity"].to_list() == [3.0, 6.0]
