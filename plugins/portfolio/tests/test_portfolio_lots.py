"""Average cost, first in first out, last in first out: what a closing fill closes, held to a list of lots in Python."""

from __future__ import annotations

import collections
import math

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_costs import NoCommission, PerShare, PerTrade
from qengine_portfolio import StandardLedger
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import Instrument

PLUGINS = Plugins.discover()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
FREE = SimulatedBroker(buying_power="off", short_selling=True)
METHODS = ("average", "fifo", "lifo")


class Scripted(Strategy):
    """Trades signed quantities at its first calls, and writes down what it sees of its positions."""

    script: tuple

    def on_start(self, ctx):
        self.calls = 0

    def on_bar(self, ctx, bar):
        seen.append([(ctx.portfolio.average_price(name), ctx.portfolio.realised_pnl(name)) for name in ctx.instruments])
        for name, quantity in self.script[self.calls] if self.calls < len(self.script) else ():
            ctx.order(name, quantity)
        self.calls += 1


seen: list = []


def run(script, closes, method, commission=None, multiplier=1.0):
    seen.clear()
    names = sorted({name for orders in script for name, _ in orders} | {"A"})
    rows = sorted((row for name in names for row in bars(closes, name)), key=lambda row: row["ts"])
    return Engine(
        feed=ListFeed(rows=rows, instruments=[Instrument(name=name, multiplier=multiplier) for name in names]),
        strategy=Scripted(script=script),
        ledger=StandardLedger(cash=1000.0, lots=method),
        broker=FREE,
        commission=commission or NoCommission(),
        plugins=PLUGINS,
    ).run()


def close_to(value):
    return pytest.approx(value, rel=1e-9, abs=1e-7)


QUANTITY = st.sampled_from([-12.0, -5.0, -0.3, -0.1, 0.1, 0.2, 4.0, 5.0, 9.0])
ORDERS = st.lists(st.tuples(st.sampled_from(["A", "A", "B"]), QUANTITY), max_size=4).map(tuple)
SCRIPTS = st.lists(ORDERS, min_size=2, max_size=14).map(tuple)
CLOSES = st.lists(st.integers(1, 400).map(lambda n: n / 8), min_size=4, max_size=10)
COMMISSIONS = st.sampled_from([NoCommission(), PerShare(rate=0.01, minimum=1.0), PerTrade(amount=1.5)])


def by_lots(fills, method, multiplier):
    """Round trips, and average price and realised P&L after each fill, from lists of (quantity, price, fee, ts)."""
    lots, realised = collections.defaultdict(list), collections.Counter()
    trips, steps = [], []
    for fill in fills.with_columns(pl.col("ts").cast(pl.Int64)).iter_rows(named=True):
        name, way = fill["instrument"], 1 if fill["side"] == "buy" else -1
        left, fee = fill["quantity"], fill["commission"] / fill["quantity"]
        held = lots[name]
        while left > 1e-9 and held and held[0]["way"] != way:
            lot = held[-1 if method == "lifo" else 0]
            size = min(left, lot["left"])
            gain = (fill["price"] - lot["price"]) * lot["way"] * size * multiplier
            trips.append((name, "long" if lot["way"] > 0 else "short", size, lot["ts"], fill["ts"], lot["price"],
                          fill["price"], gain, size * (fee + lot["fee"])))  # fmt: skip
            realised[name] += gain
            left -= size
            lot["left"] -= size
            if lot["left"] < 1e-9:
                held.remove(lot)
        if left > 1e-9:
            held.append({"way": way, "left": left, "price": fill["price"], "fee": fee, "ts": fill["ts"]})
        size = sum(lot["left"] for lot in held)
        cost = sum(lot["left"] * lot["price"] for lot in held)
        steps.append((cost / size if size else 0.0, realised[name]))
    return trips, steps


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(SCRIPTS, CLOSES, st.sampled_from(["fifo", "lifo"]), COMMISSIONS, st.sampled_from([1.0, 50.0]))
def test_lots_close_in_the_order_they_were_opened_in_or_the_other_way_round(script, closes, method, commission, point):
    result = run(script, closes, method, commission, point)
    trips, steps = by_lots(result.fills, method, point)
    names = ("instrument", "direction", "quantity", "entry_ts", "exit_ts", "entry_price", "exit_price")
    found = result.trades.with_columns(pl.selectors.datetime().cast(pl.Int64))
    assert found.height == len(trips)
    for row, trip in zip(found.iter_rows(named=True), trips, strict=True):
        assert [row[name] for name in names[:2]] == list(trip[:2])
        assert [row[name] for name in (*names[2:], "gross_pnl", "commission")] == close_to(list(trip[2:]))
    for row, step in zip(result.positions.iter_rows(named=True), steps, strict=True):
        assert (row["average_price"], row["realised_pnl"]) == close_to(step)


@settings(phases=PHASES, max_examples=40, deadline=None)
@given(SCRIPTS, CLOSES, COMMISSIONS)
def test_realised_and_unrealised_profit_add_up_to_the_same_by_every_method(script, closes, commission):
    sums, fees = [], []
    for method in METHODS:
        result = run(script, closes, method, commission)
        sums.append((result.positions["realised_pnl"] + result.positions["unrealised_pnl"]).to_list())
        flat = {name for name, quantity in last_of(result).select("instrument", "quantity").rows() if not quantity}
        fees.append(result.trades.filter(pl.col("instrument").is_in(sorted(flat)))["commission"].sum())
        assert result.trades["gross_pnl"].sum() == close_to(last_of(result)["realised_pnl"].sum())
    assert sums[1] == close_to(sums[0])
    assert sums[2] == close_to(sums[0])
    assert fees == close_to([fees[0]] * 3)


def last_of(result):
    return result.positions.group_by("instrument", maintain_order=True).last()


@settings(phases=PHASES, max_examples=40, deadline=None)
@given(SCRIPTS, CLOSES, st.sampled_from(METHODS))
def test_a_strategy_sees_average_price_and_profit_by_the_ledgers_method(script, closes, method):
    result = run(script, closes, method)
    names = [stream.name for stream in result.instruments]
    rows = sorted((row for name in names for row in bars(closes, name)), key=lambda row: row["ts"])
    positions = result.positions.with_columns(pl.col("ts").cast(pl.Int64))
    assert len(seen) == len(rows)
    for row, figures in list(zip(rows, seen, strict=True))[len(names) - 1 :: len(names)]:  # the last of each instant
        known = positions.filter(pl.col("ts") <= row["ts"]).group_by("instrument").last()
        by_name = {p["instrument"]: (p["average_price"], p["realised_pnl"]) for p in known.iter_rows(named=True)}
        for name, figure in zip(names, figures, strict=True):
            assert figure == close_to(by_name.get(name, (0.0, 0.0)))


BOUGHT_TWICE = ((("A", 2.0),), (("A", 2.0),), (("A", -3.0),))


@pytest.mark.parametrize(
    ("method", "trips", "average", "realised"),
    [
        ("average", [(3.0, 15.0, 45.0)], 15.0, 45.0),
        ("fifo", [(2.0, 10.0, 40.0), (1.0, 20.0, 10.0)], 20.0, 50.0),
        ("lifo", [(2.0, 20.0, 20.0), (1.0, 10.0, 20.0)], 10.0, 40.0),
    ],
)
def test_a_sale_closes_the_average_or_the_first_or_the_last_lots(method, trips, average, realised):
    result = run(BOUGHT_TWICE, [10.0, 10.0, 20.0, 30.0, 30.0][1:], method)
    assert result.trades.select("quantity", "entry_price", "gross_pnl").rows() == trips
    assert result.positions.row(-1, named=True)["average_price"] == average
    assert result.positions.row(-1, named=True)["realised_pnl"] == realised


def test_thirds_of_a_position_leave_no_lot_behind():
    script = ((("A", 0.1), ("A", 0.2)), (("A", -0.3),), (("A", 1.0),))
    for method in METHODS:
        result = run(script, [10.0] * 6, method)
        assert result.positions["quantity"].to_list()[-2:] == [0.0, 1.0]
        assert result.trades["quantity"].sum() == close_to(0.3)


def test_many_lots_are_closed_one_after_another():
    """More fills than the lots had room for at first, read in the middle of the run."""
    script = ((("A", 1.0),) * 300, (("A", -150.0),), (("A", 1.0),) * 300, (("A", -450.0),))
    result = run(script, [10.0, 11.0, 12.0, 13.0, 14.0, 15.0], "fifo")
    assert result.trades.height == 600
    assert result.trades["quantity"].to_list() == [1.0] * 600
    assert math.isclose(result.trades["gross_pnl"].sum(), 150 * 1.0 + 150 * 3.0 + 300 * 1.0)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(Exception, match=r"average.*fifo.*lifo"):
        drive(Scripted(script=()), bars([1.0]), ledger={"use": "standard", "lots": "hifo"})
