"""Splits and delistings: what they do to positions, to orders, to the account and to its records."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_costs import Delistings, PerTrade, Splits
from qengine_orders import Bracket, Iceberg, Stop, TrailingStop
from qengine_portfolio import StandardLedger
from qengine_risk import StopLoss
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed

from qengine_core.engine import Engine
from qengine_core.plugin import DataError, Instrument
from qengine_core.testing import FinancingLaws

HOUR = 3_600_000_000_000
DAY = 24 * HOUR  # sessions are days in UTC


def bar(day, price, name="X", hour=12, **more):
    prices = dict.fromkeys(("open", "high", "low", "close"), price) | more
    return {"ts": day * DAY + hour * HOUR, "instrument": name, "volume": 1e6, **prices}


class Script(Strategy):
    """Does ``script[n]`` on the n-th bar, from 1, and remembers what it hears and sees."""

    script: dict
    seen: list

    def on_start(self, ctx):
        self.bars = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        view = ctx.portfolio
        self.seen.append((ctx.now // DAY, view.positions, round(view.equity, 6)))
        for do in self.script.get(self.bars, ()):
            do(ctx)

    def on_order(self, ctx, update):
        if update.action:
            self.seen.append((update.action, update.order.quantity, update.order.limit, update.order.trigger))


def buy(quantity, type=None, **options):
    return lambda ctx: ctx.buy("X", quantity, type, **options)


def sell(quantity, type=None, **options):
    return lambda ctx: ctx.sell("X", quantity, type, **options)


@pytest.fixture
def tables(tmp_path):
    """Makes the components from rows of tables."""

    def make(splits=(), delistings=()):
        made = []
        if splits:
            rows = [{"ex_date": day_of(day), "instrument": name, "ratio": ratio} for day, name, ratio in splits]
            pl.DataFrame(rows).write_csv(tmp_path / "splits.csv")
            made.append(Splits(path=tmp_path / "splits.csv"))
        if delistings:
            rows = [{"date": day_of(day), "instrument": name, "price": price} for day, name, price in delistings]
            pl.DataFrame(rows, schema_overrides={"price": pl.Float64}).write_csv(tmp_path / "delistings.csv")
            made.append(Delistings(path=tmp_path / "delistings.csv"))
        return made

    return make


def day_of(day):
    return str(pl.Series([day]).cast(pl.Date)[0])


def run(
    rows, script, financing, *, lot=0.0, tick=0.0, ledger=None, seen=None, wake="interest", block_rows=1000, **more
):
    broker = {name: more.pop(name) for name in list(more) if name in SimulatedBroker.__annotations__}
    names = dict.fromkeys(row["instrument"] for row in rows)
    instruments = [Instrument(name=name, lot_size=lot, tick_size=tick) for name in names]
    return Engine(
        feed=ListFeed(rows=rows, instruments=instruments, block_rows=block_rows),
        strategy=Script(script=script, seen=Kept() if seen is None else seen),
        ledger=ledger or StandardLedger(cash=10_000.0),
        broker=SimulatedBroker(**broker),
        financing=financing,
        wake=wake,
        **more,
    ).run()


class Kept(list):
    """A list that stays itself when a parameter is copied."""

    def __deepcopy__(self, memo):
        return self


# Splits ---------------------------------------------------------------------------------------------------

SPLIT_ROWS = [bar(0, 100.0), bar(1, 100.0), bar(2, 50.0), bar(3, 55.0)]


def test_a_split_turns_what_is_held_before_any_row_of_its_session(tables):
    seen = Kept()
    result = run(SPLIT_ROWS, {1: [buy(10)], 3: [sell(20)]}, tables(splits=[(2, "X", 2.0)]), seen=seen)
    assert seen == [(0, {}, 10_000.0), (1, {"X": 10.0}, 10_000.0), (2, {"X": 20.0}, 10_000.0), (3, {}, 10_100.0)]
    assert result.fills.select("side", "quantity", "price").rows() == [("buy", 10.0, 100.0), ("sell", 20.0, 55.0)]
    assert result.counts["fills"] == 2
    trade = result.trades.row(0, named=True)
    assert (trade["quantity"], trade["entry_price"], trade["exit_price"], trade["pnl"]) == (20.0, 50.0, 55.0, 100.0)
    assert result.positions.select("quantity", "average_price", "price").rows() == [
        (10.0, 100.0, 100.0),
        (20.0, 50.0, 50.0),
        (0.0, 0.0, 55.0),
    ]
    assert result.equity["equity"].to_list() == [10_000.0, 10_000.0, 10_000.0, 10_100.0]


def test_equity_knows_of_a_split_on_rows_of_others_that_come_before_its_instruments(tables):
    rows = [bar(0, 100.0), bar(1, 100.0), bar(2, 7.0, "Y", hour=1), bar(2, 50.0)]
    result = run(rows, {1: [buy(10)]}, tables(splits=[(2, "X", 2.0)]))
    assert result.equity["equity"].to_list() == [10_000.0] * 4


def test_what_is_no_whole_lot_is_paid_for_in_cash(tables):
    rows = [bar(0, 100.0), bar(1, 100.0), bar(2, 40.0), bar(3, 40.0)]
    result = run(rows, {1: [buy(3)], 3: [sell(7)]}, tables(splits=[(2, "X", 2.5)]), lot=1.0)
    assert result.cashflows.select("kind", "amount", "instrument").rows() == [("cash-in-lieu", 20.0, "X")]
    assert result.fills["quantity"].to_list() == [3.0, 7.0]
    assert result.counts["final_equity"] == pytest.approx(10_000.0)


def test_a_reverse_split_that_leaves_no_lot_pays_for_all_of_it(tables):
    rows = [bar(0, 10.0), bar(1, 10.0), bar(2, 100.0)]
    result = run(rows, {1: [buy(4)]}, tables(splits=[(2, "X", 0.1)]), lot=1.0)
    assert result.cashflows["amount"].to_list() == [pytest.approx(40.0)]
    assert result.positions.row(-1, named=True)["quantity"] == 0.0
    assert result.counts["final_equity"] == pytest.approx(10_000.0)


def test_open_orders_are_split_on_their_grids(tables):
    seen = Kept()
    orders = [
        buy(10, limit=50.0),
        sell(10, Stop(price=33.0)),
        buy(10, TrailingStop(amount=60.0)),
        buy(10, TrailingStop(fraction=0.1)),
        buy(9, Iceberg(price=49.0, display=3.0)),
    ]
    rows = [bar(0, 100.0), bar(1, 100.0), bar(2, 100 / 7), bar(3, 100 / 7)]
    broker = {"buying_power": "off", "short_selling": True}
    result = run(rows, {2: orders}, tables(splits=[(2, "X", 7.0)]), seen=seen, lot=1.0, tick=0.01, **broker)
    split = [entry for entry in seen if entry[0] == "split"]
    assert [quantity for _, quantity, _, _ in split] == [70.0, 70.0, 70.0, 70.0, 63.0]
    assert split[0][2] == pytest.approx(7.14)  # rounded down, for a buyer
    assert split[1][3] == pytest.approx(4.71)  # rounded down, where a seller's stop is later
    assert split[2][3] == pytest.approx(160 / 7, abs=0.01)
    assert split[3][3] == pytest.approx(110 / 7, abs=0.01)
    assert split[4][2] == 7.0
    assert result.orders["quantity"].to_list() == [70.0, 70.0, 70.0, 70.0, 63.0]


def test_a_bracket_goes_on_across_a_split(tables):
    rows = [bar(0, 100.0), bar(1, 100.0), bar(2, 50.0), bar(3, 61.0, low=50.0, open=50.0)]
    bracket = Bracket(stop_loss=80.0, take_profit=120.0)
    result = run(rows, {1: [buy(10, bracket)]}, tables(splits=[(2, "X", 2.0)]))
    assert result.fills.select("side", "quantity", "price").rows() == [("buy", 10.0, 100.0), ("sell", 20.0, 60.0)]
    assert result.orders["state"].to_list() == ["filled", "filled", "cancelled"]


def test_an_order_of_which_a_split_leaves_nothing_is_cancelled(tables):
    rows = [bar(0, 10.0), bar(1, 10.0), bar(2, 100.0)]
    result = run(rows, {2: [buy(4, limit=1.0)]}, tables(splits=[(2, "X", 0.1)]), lot=1.0)
    assert result.orders.select("state", "reason").rows() == [("cancelled", "split")]


def test_a_position_rule_goes_on_across_a_split(tables):
    rows = [bar(0, 100.0), bar(1, 100.0), bar(2, 50.0), bar(3, 44.0, open=50.0, high=50.0)]
    rules = {"position_rule": StopLoss(fraction=0.1)}
    result = run(rows, {1: [buy(10)]}, tables(splits=[(2, "X", 2.0)]), **rules)
    assert result.fills.select("side", "quantity", "price").rows() == [("buy", 10.0, 100.0), ("sell", 20.0, 45.0)]


def test_an_order_at_once_meets_the_split_price_before_the_first_row(tables):
    class Early(Script):
        def on_start(self, ctx):
            super().on_start(ctx)
            ctx.set_timer("t", at=2 * DAY + HOUR)

        def on_timer(self, ctx, name):
            ctx.buy("X", 1)

    result = Engine(
        feed=ListFeed(rows=SPLIT_ROWS),
        strategy=Early(script={}, seen=Kept()),
        broker=SimulatedBroker(fill_timing="at-once"),
        financing=tables(splits=[(2, "X", 2.0)]),
    ).run()
    assert result.fills["price"].to_list() == [50.0]


@pytest.mark.parametrize("lots", ["average", "fifo", "lifo"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    quantities=st.lists(st.sampled_from([-20.0, -7.0, -3.0, 0.0, 4.0, 10.0, 30.0]), min_size=6, max_size=6),
    ratio=st.sampled_from([2.0, 7.0, 0.5, 0.2]),
    size=st.sampled_from([1, 2, 100]),
)
def test_a_split_makes_no_one_richer(tables, lots, quantities, ratio, size):
    """Prices follow the split, and what is traded after it is as much more: all else is as it would have been."""
    prices = [100.0, 104.0, 97.0, 101.0, 95.0, 99.0, 103.0, 98.0]

    def play(split):
        factor = [1.0 if not split or day < 4 else ratio for day in range(len(prices))]
        rows = [bar(day, price / by) for day, (price, by) in enumerate(zip(prices, factor, strict=True))]
        # The order of day 3 fills on day 4: the split has turned it.
        sizes = [quantity * factor[number] for number, quantity in enumerate(quantities)]
        script = {
            number + 1: [(lambda q: lambda ctx: ctx.order("X", q))(quantity)]
            for number, quantity in enumerate(sizes)
            if quantity
        }
        return run(
            rows,
            script,
            tables(splits=[(4, "X", ratio)]) if split else None,
            ledger=StandardLedger(cash=10_000.0, lots=lots),
            commission=PerTrade(amount=1.0),
            buying_power="off",
            short_selling=True,
            block_rows=size,
        )

    plain, split = play(False), play(True)
    assert split.equity["equity"].to_list() == pytest.approx(plain.equity["equity"].to_list())
    assert split.trades["pnl"].to_list() == pytest.approx(plain.trades["pnl"].to_list())
    assert split.trades["return"].to_list() == pytest.approx(plain.trades["return"].to_list())
    if plain.positions.height:
        ours, theirs = split.positions.row(-1, named=True), plain.positions.row(-1, named=True)
        assert ours["realised_pnl"] == pytest.approx(theirs["realised_pnl"])
        if ours["ts"] == theirs["ts"]:  # the split is a row of its own, marked later
            assert ours["unrealised_pnl"] == pytest.approx(theirs["unrealised_pnl"], abs=1e-6)


def test_a_ratio_that_cannot_be_is_refused(tables):
    with pytest.raises(DataError, match=r"ratio of 0\.0 for X: it must be above 0"):
        run(SPLIT_ROWS, {}, tables(splits=[(2, "X", 0.0)]))


class TestSplits(FinancingLaws):
    @pytest.fixture(autouse=True)
    def table(self, tables):
        [type(self).model] = tables(splits=[(18_264, "X", 2.0), (18_265, "Y", 0.1)])


# Delistings -----------------------------------------------------------------------------------------------


def test_a_delisting_closes_positions_and_orders_at_the_close_and_refuses_what_comes_after(tables):
    rows = [bar(0, 100.0), bar(1, 90.0), bar(1, 3.0, "Y", hour=13), bar(2, 3.0, "Y"), bar(3, 3.0, "Y")]
    script = {1: [buy(10), buy(5, limit=1.0)], 4: [buy(1)]}
    result = run(rows, script, tables(delistings=[(1, "X", None)]), commission=PerTrade(amount=1.0))
    assert result.orders.select("state", "reason", "tag").rows() == [
        ("filled", "", ""),
        ("cancelled", "delisted", ""),
        ("filled", "", "delisted"),
        ("rejected", "delisted", ""),
    ]
    assert result.fills.select("side", "quantity", "price", "commission").rows() == [
        ("buy", 10.0, 90.0, 1.0),
        ("sell", 10.0, 90.0, 0.0),
    ]
    assert result.fills["ts"].cast(int)[-1] == 2 * DAY  # the session of day 1 closes
    assert result.equity["equity"][-1] == 9_999.0
    assert result.trades["exit_price"].to_list() == [90.0]


def test_a_merger_pays_what_the_table_says_to_longs_and_takes_it_from_shorts(tables):
    rows = [bar(0, 100.0), bar(1, 90.0), bar(2, 3.0, "Y")]
    for way, money in ((1, 10_000.0 + 10 * (95 - 90)), (-1, 10_000.0 - 10 * (95 - 90))):
        script = {1: [buy(10) if way > 0 else sell(10)]}
        result = run(rows, script, tables(delistings=[(1, "X", 95.0)]), short_selling=True)
        assert result.counts["final_equity"] == money


def test_exits_of_position_rules_end_with_what_is_delisted(tables):
    rows = [bar(0, 100.0), bar(1, 100.0), bar(2, 3.0, "Y")]
    rules = {"position_rule": StopLoss(fraction=0.1)}
    result = run(rows, {1: [buy(10)]}, tables(delistings=[(1, "X", None)]), **rules)
    assert result.orders.select("state", "reason").rows() == [
        ("filled", ""),
        ("cancelled", "delisted"),
        ("filled", ""),
    ]


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_corporate_actions_are_the_same_however_the_run_is_woken_and_blocks_are_cut(tables, wake, size):
    rows = [
        bar(day, price, name, hour=hour)
        for day, price in enumerate([10.0, 9.0, 4.4, 5.0])
        for hour, name in ((9, "X"), (9, "Y"), (15, "X"))
    ]
    script = {1: [buy(100), buy(30, limit=8.0)], 6: [sell(20, Stop(price=4.5))], 7: [sell(100)]}
    financing = tables(splits=[(2, "X", 2.0)], delistings=[(2, "Y", None), (3, "X", 6.0)])
    result = run(rows, script, financing, wake=wake, block_rows=size)
    plain = run(rows, script, financing)
    for name in ("orders", "fills", "positions", "trades", "equity", "cashflows"):
        assert result[name].equals(plain[name]), name


class TestDelistings(FinancingLaws):
    @pytest.fixture(autouse=True)
    def table(self, tables):
        [type(self).model] = tables(delistings=[(18_264, "X", None), (18_265, "Y", 3.0)])
