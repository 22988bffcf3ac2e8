"""Messages that take time: measured latencies, and what becomes of changes and cancellations on their way."""

from __future__ import annotations

import attrs
import polars as pl
import pytest
from qengine_broker_sim import MeasuredLatency, SimulatedBroker
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed, drive

from qengine_core.engine import Engine
from qengine_core.plugin import ConfigError, DataError, OrderState


def samples(*rows):
    return pl.DataFrame(rows, schema=["req_ts", "exch_ts", "resp_ts"], orient="row")


def measured(*rows, **further):
    return MeasuredLatency(samples=samples(*rows), **further)


SLOW_THEN_FAST = ((0, 1_000, 1_400), (10_000, 10_200, 10_300))


@attrs.frozen
class Steps:
    """A model of the tests' own: entry latencies by time."""

    steps: dict

    def build(self, run):
        return self

    def entry(self, ts):
        return self.steps[ts]

    def feed(self, ts):
        return 0

    def response(self, ts):
        return 0


class AtTimes(Strategy):
    """Does ``script[ts]`` by timer."""

    script: dict

    def on_start(self, ctx):
        self.sent = []
        for ts in self.script:
            ctx.set_timer("act", at=ts)

    def on_timer(self, ctx, name):
        order = self.script[ctx.now](self, ctx)
        if order is not None:
            self.sent.append(order)


def run(script, broker, prices=None, strategy=AtTimes):
    quotes = [{"ts": ts, "bid": 99.0, "ask": (prices or {}).get(ts, 100.0)} for ts in range(0, 20_001, 100)]
    return drive(strategy(script=script), quotes, kind="quote", broker=broker)


def buy(**options):
    return lambda self, ctx: ctx.buy("X", 1, **options)


def cancel(self, ctx):
    ctx.cancel(self.sent[0])


def accepted(result):
    return result.orders["accepted_ts"].cast(pl.Int64).to_list()


def test_a_measured_latency_is_interpolated_by_time():
    latency = measured(*SLOW_THEN_FAST).build(None)
    assert [latency.entry(ts) for ts in (-5, 0, 5_000, 9_999, 10_000, 99_999)] == [1_000, 1_000, 600, 200, 200, 200]
    assert [latency.response(ts) for ts in (0, 1_000, 5_600, 10_200, 99_999)] == [400, 400, 250, 100, 100]
    assert latency.feed(7) == 0
    result = run({2_000: buy(), 12_000: buy()}, SimulatedBroker(latency=measured(*SLOW_THEN_FAST)))
    assert accepted(result) == [2_000 + 840, 12_000 + 200]


def test_samples_come_from_a_file_by_the_name_of_the_model(tmp_path):
    samples(*SLOW_THEN_FAST).write_parquet(tmp_path / "latency.parquet")
    broker = {"use": "simulated", "latency": {"use": "measured", "path": "latency.parquet", "feed_latency": 0.001}}
    rows = [{"ts": ts, "bid": 99.0, "ask": 100.0} for ts in range(0, 20_001, 100)]
    engine = Engine(
        feed=ListFeed(rows=rows, kind="quote"), strategy=AtTimes(script={12_000: buy()}), broker=broker, base=tmp_path
    )
    assert accepted(engine.run()) == [12_000 + 1_000 + 200]


def test_a_negative_latency_and_samples_that_go_back_in_time_are_refused():
    with pytest.raises(DataError, match=r"the samples, sample 1: exch_ts \(4\) lies before req_ts \(5\), a negative"):
        measured((0, 1, 2), (5, 4, 6)).build(None)
    with pytest.raises(DataError, match=r"sample 0: resp_ts \(0\) lies before exch_ts \(1\)"):
        measured((0, 1, 0)).build(None)
    with pytest.raises(DataError, match=r"sample 1: req_ts \(3\) lies before that of the sample before it \(5\); sort"):
        measured((5, 6, 7), (3, 8, 9)).build(None)
    with pytest.raises(DataError, match=r"sample 1: exch_ts \(6\) lies before that of the sample before it \(9\)"):
        measured((3, 9, 9), (5, 6, 7)).build(None)
    with pytest.raises(DataError, match="needs samples of req_ts, exch_ts, resp_ts, but there is no row"):
        measured().build(None)


def test_a_latency_is_given_once():
    with pytest.raises(ConfigError, match="a latency model and fixed latencies too: leave out"):
        SimulatedBroker(latency=measured((0, 1, 2)), entry_latency=1.0)
    with pytest.raises(ConfigError, match="needs its samples: from a file"):
        MeasuredLatency()


def test_a_model_of_latency_may_be_anybodys():
    result = run({4_000: buy()}, SimulatedBroker(latency=Steps({4_000: 4_000})))
    assert accepted(result) == [8_000]


def test_messages_arrive_in_the_order_they_were_sent():
    """Of two that would take 1,000 ns and none, the second, sent 400 ns later, arrives with the first."""
    quick = Steps({2_000: 1_000, 2_400: 0})
    result = run({2_000: buy(limit=100.0), 2_400: cancel}, SimulatedBroker(latency=quick))
    assert accepted(result) == [3_000]
    assert result.orders["state"].to_list() == ["cancelled"]
    assert result.orders["closed_ts"].cast(pl.Int64).to_list() == [3_000]


def test_a_fill_while_its_cancellation_is_on_its_way_stands():
    result = run({1_000: buy(limit=50.0), 2_000: cancel}, SimulatedBroker(entry_latency=5e-4), prices={2_200: 49.0})
    assert result.orders["state"].to_list() == ["filled"]
    late = run({1_000: buy(limit=50.0), 2_000: cancel}, SimulatedBroker(entry_latency=5e-4), prices={2_600: 49.0})
    assert late.orders.select("state", "reason").row(0) == ("cancelled", "requested")
    assert late.orders["closed_ts"].cast(pl.Int64)[0] == 2_500


def test_an_order_is_changed_when_the_change_arrives_and_is_open_still():
    def amend(self, ctx):
        ctx._broker.amend(self.sent[0], limit=60.0)

    broker = SimulatedBroker(entry_latency=5e-4)
    script = {1_000: buy(limit=50.0), 2_000: amend}
    before = run(script, broker, prices={2_300: 55.0})
    assert before.orders["state"].to_list() == ["expired"]
    after = run(script, broker, prices={2_700: 55.0})
    assert after.fills["price"].to_list() == [55.0]
    too_late = run(script, broker, prices={2_300: 49.0})
    assert too_late.fills["price"].to_list() == [49.0]


def test_a_change_that_is_refused_on_arrival_is_announced():
    heard = []

    class Hearing(AtTimes):
        def on_order(self, ctx, update):
            heard.append((update.ts, update.state, update.reason))

    def amend(self, ctx):
        ctx._broker.amend(self.sent[0], quantity=1e9)

    quotes = [{"ts": ts, "bid": 99.0, "ask": 100.0} for ts in range(0, 5_000, 100)]
    strategy = Hearing(script={1_000: buy(limit=50.0), 2_000: amend})
    drive(strategy, quotes, kind="quote", broker=SimulatedBroker(entry_latency=5e-4))
    assert (2_500, OrderState.ACCEPTED, "insufficient-cash") in heard


def test_the_strategys_clock_runs_behind_the_markets_by_the_feeds_latency():
    """A fill that is known after 700 ns is heard of 500 ns later by a clock that is 200 ns behind, and no earlier."""
    heard = []

    class Hearing(AtTimes):
        def on_fill(self, ctx, fill):
            heard.append((fill.ts, ctx.now))

    late = SimulatedBroker(feed_latency=2e-4, entry_latency=3e-4, response_latency=7e-4)
    assert accepted(run({1_000: buy()}, late, strategy=Hearing)) == [1_500]
    early = SimulatedBroker(feed_latency=9e-4, response_latency=7e-4)
    run({1_000: buy()}, early, strategy=Hearing)
    assert heard == [(1_600, 2_100), (2_000, 2_000)]
