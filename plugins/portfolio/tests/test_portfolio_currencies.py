"""Instruments in other currencies: every figure is what walking the rows with the rates known then gives."""

from __future__ import annotations

import collections
import io
import math
from pathlib import Path

import attrs
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_costs import NoCommission, PerShare, PerTrade
from qengine_feeds import FrameFeed
from qengine_portfolio import StandardLedger
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, bars, drive

from qengine_core.engine import Engine
from qengine_core.manager import Plugins
from qengine_core.plugin import ConfigError, Instrument

PLUGINS = Plugins.discover()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
SECOND = 1_000_000_000
TABLES = ("orders", "fills", "equity", "positions", "trades", "balances")
CURRENCIES = {"USA": "USD", "SAP": "EUR", "SONY": "JPY", "EURUSD": "USD", "USDJPY": "JPY", "SHELL": "GBP"}
FX = {"EUR": "EURUSD", "JPY": "1/USDJPY", "GBP": 1.25}


class Trader(Strategy):
    """Sends the script's orders, call by call."""

    script: dict

    def on_start(self, ctx):
        self.calls = 0

    def on_bar(self, ctx, bar):
        for name, quantity in self.script.get(self.calls, ()):
            ctx.order(name, quantity)
        self.calls += 1
        names = [name for name, quantity in ctx.portfolio.positions.items() if quantity]
        total = ctx.portfolio.cash + sum(ctx.portfolio.value(name) for name in names)
        assert ctx.portfolio.equity == close_to(total)
        kept = [ctx.portfolio.balance(name) for name in ("USD", *FX)]
        rates = [ctx.portfolio.fx_rate(name) for name in ("USD", *FX)]
        assert ctx.portfolio.cash == close_to(sum(k * r for k, r in zip(kept, rates, strict=True) if k))


@attrs.frozen
class World:
    """Instruments in four currencies, in one stream or in two, as plain values that Hypothesis can shrink."""

    streams: tuple  # of (ts, {instrument: (open, close)}) each
    script: dict
    multiplier: float
    foreign_cash: str
    commission: object
    block_rows: int

    def run(self, **changes):
        instruments = [
            Instrument(name=name, currency=currency, multiplier=self.multiplier if len(name) < 6 else 1.0)
            for name, currency in CURRENCIES.items()
        ]
        feeds = [
            ListFeed(rows=[*rows_of(stream)], instruments=instruments, block_rows=self.block_rows)
            for stream in self.streams
        ]
        ledger = {"cash": 10_000.0, "fx": FX, "foreign_cash": self.foreign_cash, **changes.pop("ledger", {})}
        return Engine(
            feed=feeds,
            strategy=Trader(script=self.script),
            ledger=StandardLedger(**ledger),
            broker=SimulatedBroker(buying_power=changes.pop("buying_power", "off"), short_selling=True),
            commission=self.commission,
            plugins=PLUGINS,
            **changes,
        ).run()


def rows_of(stream):
    for ts, prices in stream:
        for name, (a, b) in prices.items():
            yield {"ts": ts, "instrument": name, "open": a, "close": b, "high": max(a, b), "low": min(a, b)}


@st.composite
def worlds(draw):
    price = st.integers(1, 400).map(lambda n: n / 8)
    groups = draw(st.sampled_from([(tuple(CURRENCIES),), (("EURUSD", "USDJPY"), ("USA", "SAP", "SONY", "SHELL")),
                                   (("USA", "SAP", "SONY", "SHELL"), ("EURUSD", "USDJPY"))]))  # fmt: skip
    streams = []
    for names in groups:
        ts, stream = 0, []
        for _ in range(draw(st.integers(2, 8))):
            ts += draw(st.sampled_from([1, 2, SECOND]))
            present = draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
            stream.append((ts, {name: (draw(price), draw(price)) for name in sorted(present)}))
        streams.append(tuple(stream))
    script = collections.defaultdict(list)
    order = st.tuples(st.sampled_from([*CURRENCIES]), st.sampled_from([-5.0, -0.3, 0.1, 0.2, 4.0, 9.0]))
    for call, sent in draw(st.lists(st.tuples(st.integers(0, 10), order), min_size=3, max_size=16)):
        script[call].append(sent)
    return World(
        streams=tuple(streams),
        script=dict(script),
        multiplier=draw(st.sampled_from([1.0, 10.0])),
        foreign_cash=draw(st.sampled_from(["convert", "keep"])),
        commission=draw(st.sampled_from([NoCommission(), PerShare(rate=0.01, minimum=1.0), PerTrade(amount=1.5)])),
        block_rows=draw(st.sampled_from([1, 3, 1000])),
    )


def close_to(value):
    return pytest.approx(value, rel=1e-9, abs=1e-6)


def numbered(frame):
    """Rows as mappings, with times as whole nanoseconds: Python's datetimes round."""
    return frame.with_columns(pl.selectors.datetime().cast(pl.Int64)).iter_rows(named=True)


def rates_at(marks):
    """What each currency is worth, given the last prices; NaN while nobody knows."""
    return {
        "USD": 1.0,
        "EUR": marks.get("EURUSD", math.nan),
        "JPY": 1 / marks["USDJPY"] if "USDJPY" in marks else math.nan,
        "GBP": 1.25,
    }


def walk(world, fills):
    """By instant: (equity, cash, long, short) and balances and rates; and the rate known when each fill is booked."""
    # Rows of one instant come stream by stream, and those of one stream are matched together.
    rows = sorted((ts, index, prices) for index, stream in enumerate(world.streams) for ts, prices in stream)
    waiting = collections.deque(numbered(fills))
    cash, held, marks = collections.Counter(USD=10_000.0), collections.Counter(), {}
    curve, known = {}, []
    for ts, _, prices in rows:
        marks |= {name: close for name, (_, close) in prices.items()}
        rates = rates_at(marks)
        while waiting and waiting[0]["ts"] == ts and waiting[0]["instrument"] in prices:
            fill = waiting.popleft()
            currency, way = CURRENCIES[fill["instrument"]], 1 if fill["side"] == "buy" else -1
            known.append(rates[currency])
            paid = way * fill["quantity"] * fill["price"] * fill["multiplier"] + fill["commission"]
            if world.foreign_cash == "convert":
                cash["USD"] -= paid * rates[currency]
            else:
                cash[currency] -= paid
            held[fill["instrument"]] += way * fill["quantity"]
        scale = {name: world.multiplier if len(name) < 6 else 1.0 for name in CURRENCIES}
        values = [
            quantity * marks[name] * scale[name] * rates[CURRENCIES[name]]
            for name, quantity in held.items()
            if abs(quantity) > 1e-9
        ]
        money = sum(amount * rates[name] for name, amount in cash.items() if amount)
        longs, shorts = sum(v for v in values if v > 0), -sum(v for v in values if v < 0)
        curve[ts] = (money + longs - shorts, money, longs, shorts), dict(cash), rates
    assert not waiting, "a fill at a time without a row"
    return curve, known


@settings(phases=PHASES, max_examples=100, deadline=None)
@given(worlds())
def test_the_curve_and_the_balances_are_what_walking_the_rows_with_the_rates_known_then_gives(world):
    result = world.run()
    curve, known = walk(world, result.fills)
    found = {row["ts"]: row for row in numbered(result.equity)}
    assert found.keys() == curve.keys()
    for ts, (values, _, _) in curve.items():
        assert [found[ts][name] for name in ("equity", "cash", "long_value", "short_value")] == close_to(list(values))
    balances = list(numbered(result.balances))
    assert len(balances) == 4 * len(curve)
    for row in balances:
        _, cash, rates = curve[row["ts"]]
        assert row["balance"] == close_to(cash.get(row["currency"], 0.0))
        rate = rates[row["currency"]]
        assert row["fx_rate"] is None if math.isnan(rate) else row["fx_rate"] == close_to(rate)
    assert result.fills["fx_rate"].to_list() == close_to(known)


@settings(phases=PHASES, max_examples=60, deadline=None)
@given(worlds(), st.sampled_from(["average", "fifo", "lifo"]))
def test_profit_in_the_ledgers_currency_balances_with_its_cash(world, lots):
    """Where money is exchanged at once: cash = what came in + realised - commission - what is held at cost."""
    result = attrs.evolve(world, foreign_cash="convert").run(ledger={"lots": lots})
    last = result.positions.group_by("instrument", maintain_order=True).last()
    at_cost = (last["market_value"] - last["unrealised_pnl"]).sum()
    paid = (result.fills["commission"] * result.fills["fx_rate"]).sum()
    cash = result.equity["cash"][-1]
    assert cash == close_to(10_000.0 + last["realised_pnl"].sum() - paid - at_cost)
    assert result.trades["gross_pnl"].sum() == close_to(last["realised_pnl"].sum())


@settings(phases=PHASES, max_examples=40, deadline=None)
@given(worlds())
def test_several_currencies_give_the_same_bytes_however_they_are_woken(world):
    lazy, naive = world.run(buying_power="cash"), world.run(buying_power="cash", wake="every-row")
    for name in TABLES:
        assert as_bytes(lazy[name]) == as_bytes(naive[name]), name
    assert lazy.counts == naive.counts


def as_bytes(frame):
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


# By example ----------------------------------------------------------------------------------------------

SAP, EURUSD = Instrument(name="SAP", currency="EUR"), Instrument(name="EURUSD")


def market(prices, rates):
    """Bars of SAP in euros, and of what a euro is worth in dollars."""
    return sorted([*bars(rates, "EURUSD"), *bars(prices, "SAP")], key=lambda row: row["ts"])


def trade(script, prices, rates, broker=None, **ledger):
    return drive(
        Trader(script=script),
        market(prices, rates),
        instruments=[EURUSD, SAP],
        broker=broker or SimulatedBroker(),
        ledger={"cash": 1_000.0, "fx": {"EUR": "EURUSD", "JPY": 0.01, "GBP": 1.25}, **ledger},
    )


BUY_AND_SELL = {1: [("SAP", 5.0)], 5: [("SAP", -5.0)]}


def test_a_fill_in_another_currency_is_paid_at_the_rate_known_when_it_is_booked():
    """5 x 100 EUR at 1.10, sold at the same price when a euro is worth 1.20."""
    result = trade(BUY_AND_SELL, [100.0] * 5, [1.0, 1.1, 1.1, 1.2, 1.2])
    assert result.fills.select("price", "fx_rate", "currency").rows() == [(100.0, 1.1, "EUR"), (100.0, 1.2, "EUR")]
    assert result.equity["cash"].to_list() == close_to([1000.0, 450.0, 450.0, 1050.0, 1050.0])
    assert result.equity["long_value"].to_list() == close_to([0.0, 550.0, 550.0, 0.0, 0.0])
    assert result.trades.select("pnl", "gross_pnl", "fx_rate").rows() == [close_to((50.0, 50.0, 1.2))]
    assert result.trades["return"].to_list() == close_to([50.0 / 550.0])
    assert set(result.balances.filter(currency="EUR")["balance"]) == {0.0}


def test_money_in_another_currency_is_kept_where_the_ledger_says_so():
    result = trade(BUY_AND_SELL, [100.0, 100.0, 100.0, 120.0, 120.0], [1.1, 1.2, 1.2, 1.3, 1.3], foreign_cash="keep")
    euros = result.balances.filter(currency="EUR")
    assert euros["balance"].to_list() == [0.0, -500.0, -500.0, 0.0, 0.0]
    assert euros["fx_rate"].to_list() == [1.1, 1.2, 1.2, 1.3, 1.3]
    assert result.equity["cash"].to_list() == close_to([1000.0, 400.0, 400.0, 1000.0, 1000.0])
    assert result.equity["equity"].to_list() == close_to([1000.0] * 5)


def test_buying_power_is_money_in_all_currencies_at_the_last_known_rate():
    """10 x 100 EUR at 1.10 are more than 1,000 USD; 9 are not."""
    short, enough = (trade({1: [("SAP", n)]}, [100.0] * 3, [1.1] * 3) for n in (10.0, 9.0))
    assert short.orders["reason"].to_list() == ["insufficient-cash"]
    assert enough.orders["state"].to_list() == ["filled"]


def test_targets_in_money_are_sized_at_the_rate():
    class Half(Strategy):
        def on_bar(self, ctx, bar):
            if bar.instrument == "SAP" and not ctx.open_orders() and not ctx.portfolio.positions:
                ctx.order_target_percent("SAP", 0.5)

    ledger = {"cash": 1_000.0, "fx": {"EUR": "EURUSD"}}
    result = drive(Half(), market([100.0] * 3, [1.25] * 3), instruments=[EURUSD, SAP], ledger=ledger)
    assert result.fills["quantity"].to_list() == close_to([4.0])
    assert result.equity["long_value"].to_list()[-1] == close_to(500.0)


def test_an_order_in_a_currency_whose_rate_nobody_knows_yet_is_rejected():
    rows = market([100.0] * 4, [1.1] * 4)[1:]  # the first rate is missing
    result = drive(
        Trader(script={0: [("SAP", 1.0)], 3: [("SAP", 1.0)]}),
        rows,
        instruments=[EURUSD, SAP],
        broker=SimulatedBroker(buying_power="off"),
        ledger={"fx": {"EUR": "EURUSD", "JPY": 0.01, "GBP": 1.25}},
    )
    assert result.orders["reason"].to_list() == ["no-fx-rate", ""]
    assert result.counts["rejections"] == {"no-fx-rate": 1}
    assert result.equity["equity"].is_finite().all()


def test_what_other_orders_there_are_makes_no_difference_to_the_rate_of_a_fill():
    """EURUSD's row comes first in each instant: an order for it starts the matching there."""
    fills = []
    for others in ([], [("EURUSD", 1.0)]):
        result = trade({1: [*others, ("SAP", 5.0)]}, [100.0] * 3, [1.0, 1.1, 1.2])
        fills.append(result.fills.filter(instrument="SAP")["fx_rate"].to_list())
    assert fills == [[1.1], [1.1]]


def test_a_rate_may_be_one_over_a_price_or_a_number():
    rows = sorted([*bars([100.0] * 3, "USDJPY"), *bars([500.0] * 3, "SONY"), *bars([8.0] * 3, "SHELL")],
                  key=lambda row: row["ts"])  # fmt: skip
    instruments = [Instrument(name="USDJPY", currency="JPY"), Instrument(name="SONY", currency="JPY"),
                   Instrument(name="SHELL", currency="GBP")]  # fmt: skip
    script = {2: [("SONY", 10.0), ("SHELL", 10.0)]}
    ledger = {"cash": 1_000.0, "fx": {"JPY": "1/USDJPY", "GBP": 1.25, "EUR": 1.1}}
    result = drive(Trader(script=script), rows, instruments=instruments, ledger=ledger)
    assert result.fills["fx_rate"].to_list() == [0.01, 1.25]
    assert result.equity["cash"].to_list() == close_to([1000.0, 850.0, 850.0])


@pytest.mark.parametrize(
    ("fx", "sentence"),
    [
        ({"JPY": "USDJPY"}, r'fx\.JPY = .USDJPY.: USDJPY is quoted in JPY.*write "1/USDJPY"'),
        ({"JPY": "1/USDJPN"}, "no feed has an instrument 'USDJPN'.*USDJPY"),
        ({"JPY": 0.0}, "a rate is a number above 0"),
        ({"JPY": "1/USDJPY", "USD": 1.0}, "USD is the ledger's own currency"),
        ({}, "USDJPY is quoted in JPY, but the ledger keeps USD only"),
    ],
)
def test_a_rate_that_cannot_be_is_refused_in_one_sentence(fx, sentence):
    instruments = [Instrument(name="USDJPY", currency="JPY")]
    with pytest.raises(ConfigError, match=sentence):
        drive(Trader(script={}), bars([100.0], "USDJPY"), instruments=instruments, ledger={"fx": fx})


def test_a_currency_that_the_ledger_does_not_keep_is_refused():
    class Curious(Strategy):
        def on_bar(self, ctx, bar):
            ctx.portfolio.balance("CHF")

    with pytest.raises(ConfigError, match="keeps no CHF"):
        drive(Curious(), bars([1.0]))


# Real rates ----------------------------------------------------------------------------------------------

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "fx"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/fx, which is not committed")
def test_a_stock_in_yen_is_worth_its_price_over_the_rate_of_real_quotes():
    """A constant 1,000 yen, hourly, beside a month of real USDJPY minutes: one over the middle of the last quote."""
    quotes = (
        pl.read_parquet(DATA / "usdjpy_m1_bidask_2013.parquet")
        .select(
            pl.col("timestamp").cast(pl.Datetime("ns", "UTC")).dt.offset_by("1m").alias("ts"),  # stamped at the start
            bid="close_bid",
            ask="close_ask",
        )
        .filter(pl.col("bid") <= pl.col("ask"))
    )
    hours = quotes.select(pl.col("ts").dt.truncate("1h").unique().sort()).slice(1)
    flat = hours.with_columns(pl.lit(1000.0).alias(name) for name in ("open", "high", "low", "close"))
    feeds = [
        FrameFeed(frame=quotes, kind="quote", instrument="USDJPY", currency="JPY"),
        FrameFeed(frame=flat, instrument="SONY", currency="JPY"),
    ]
    ledger = {"cash": 10_000.0, "fx": {"JPY": "1/USDJPY", "EUR": 1.1, "GBP": 1.25}}
    result = Engine(feed=feeds, strategy=Trader(script={0: [("SONY", 100.0)]}), ledger=ledger).run()
    middle = quotes.select("ts", rate=2 / (pl.col("bid") + pl.col("ask")))
    expected = hours.sort("ts").join_asof(middle, on="ts").with_columns(value=100_000 * pl.col("rate"))
    curve = result.equity.join(expected, on="ts").slice(1)
    assert curve.height > 400
    assert curve["long_value"].to_list() == close_to(curve["value"].to_list())
    (rate,) = result.fills["fx_rate"]
    assert rate == close_to(expected["rate"][1])
    assert curve["cash"].to_list() == close_to([10_000.0 - 100_000 * rate] * curve.height)
    rates = result.balances.filter(currency="JPY").join(expected, on="ts")
    assert rates["fx_rate"].to_list() == close_to(rates["rate"].to_list())
