"""Orders are put to the risk rules before they are sent: what is refused, why, and what passes."""

from __future__ import annotations

import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_orders import Bracket, Limit, OneCancelsOther, Stop
from qengine_risk import (
    BorrowLimit,
    Exit,
    Instruments,
    LongOnly,
    MaxLeverage,
    MaxOrder,
    MaxPosition,
    OrderRate,
    PriceCollar,
    StopLoss,
)
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive

from qengine_core.plugin import ConfigError, Instrument, component, param

FLAT = bars([10.0] * 8)


class Script(Strategy):
    """Does ``script[n]`` at its n-th bar, and remembers what it hears of orders."""

    script: dict

    def on_start(self, ctx):
        self.bars, self.heard = 0, []
        for do in self.script.get(0, ()):
            do(ctx)

    def on_bar(self, ctx, bar):
        self.bars += 1
        for do in self.script.get(self.bars, ()):
            do(ctx)


def run(script, risk, rows=FLAT, **engine):
    script = {n: do if isinstance(do, list) else [do] for n, do in script.items()}
    broker = {"short_selling": True, **engine.pop("broker", {})}
    return drive(Script(script=script), rows, risk=risk, broker=SimulatedBroker(**broker), **engine)


def buy(quantity, name="X", type=None, **options):
    return lambda ctx: ctx.buy(name, quantity, type, **options)


def sell(quantity, name="X", type=None, **options):
    return lambda ctx: ctx.sell(name, quantity, type, **options)


def ends(result):
    """State and reason of every order."""
    return list(result.orders.select("state", "reason").iter_rows())


FILLED = ("filled", "")


def refused(reason):
    return ("rejected", f"risk:{reason}")


def test_a_refused_order_exists_with_its_reason_is_heard_of_and_counted():
    heard = []

    class Listens(Script):
        def on_order(self, ctx, update):
            heard.append((update.order.id, update.state.value, update.reason))

    script = {1: [lambda ctx: ctx.buy("X", 11), lambda ctx: ctx.buy("X", 10)]}
    result = drive(Listens(script=script), FLAT, risk=MaxOrder(quantity=10))
    assert ends(result) == [refused("max-order-quantity"), FILLED]
    assert result.counts["rejections"] == {"risk:max-order-quantity": 1}
    assert heard[:2] == [(1, "submitted", ""), (1, "rejected", "risk:max-order-quantity")]
    assert result.orders["filled"].to_list() == [0.0, 10.0]


def test_the_first_rule_that_refuses_wins():
    many = buy(1_000)
    one, other = MaxOrder(quantity=10), MaxPosition(quantity=10)
    assert ends(run({1: many}, [one, other])) == [refused("max-order-quantity")]
    assert ends(run({1: many}, [other, one])) == [refused("max-position-quantity")]


def test_the_largest_order_is_measured_at_its_own_price():
    rule = MaxOrder(notional=100.0)
    assert ends(run({1: [buy(10), buy(10.1)]}, rule)) == [FILLED, refused("max-order-notional")]
    assert ends(run({1: [buy(11, limit=9.0), buy(11, limit=12.0)]}, rule))[1] == refused("max-order-notional")
    assert ends(run({1: [buy(11, type=Stop(price=12.0))]}, rule)) == [refused("max-order-notional")]
    future = Instrument(name="X", multiplier=50.0)
    assert ends(run({1: [buy(1)]}, rule, instruments=[future])) == [refused("max-order-notional")]


def test_what_must_be_valued_is_refused_until_there_is_a_price():
    for rule in (MaxOrder(notional=1e9), MaxPosition(notional=1e9), MaxLeverage(gross=9), PriceCollar(fraction=0.5)):
        assert ends(run({0: [buy(1)], 1: [buy(1)]}, rule)) == [refused("no-price"), FILLED], rule


def test_the_largest_position_counts_what_is_open_on_the_same_side():
    rule = MaxPosition(quantity=100)
    script = {1: [buy(60), buy(50), buy(40)], 3: [buy(1), sell(201), sell(200)]}
    assert ends(run(script, rule)) == [
        FILLED,
        refused("max-position-quantity"),
        FILLED,
        refused("max-position-quantity"),
        refused("max-position-quantity"),
        FILLED,
    ]


def test_the_largest_position_counts_orders_that_wait_and_orders_on_their_way():
    rule = MaxPosition(quantity=100)
    waiting = {1: [buy(60, limit=1.0), buy(30, type=Stop(price=90.0)), buy(20)]}
    assert ends(run(waiting, rule))[2] == refused("max-position-quantity")
    on_its_way = {1: [buy(60), buy(50)]}
    slow = {"entry_latency": 1.0}
    assert ends(run(on_its_way, rule, broker=slow)) == [FILLED, refused("max-position-quantity")]


def test_the_largest_position_in_money_and_as_a_share_of_equity():
    assert ends(run({1: [buy(100), buy(0.1)]}, MaxPosition(notional=1_000.0)))[1] == refused("max-position-notional")
    rule = MaxPosition(fraction=0.1)  # of 100,000
    assert ends(run({1: [sell(1_000), sell(1)]}, rule)) == [FILLED, refused("max-position-fraction")]


def test_limits_on_exposure_let_exits_through():
    """The price has risen, so the position is larger than allowed; leaving it is not refused."""
    rows = bars([10.0, 10.0, 30.0, 30.0, 30.0, 30.0])
    rules = [MaxPosition(fraction=0.1), MaxLeverage(gross=0.1, net=0.1), Instruments(blocked=["Y"])]
    script = {1: buy(1_000), 4: [sell(400), sell(600)]}
    assert ends(run(script, rules, rows)) == [FILLED] * 3
    beyond = {1: buy(1_000), 4: [sell(400), sell(700)]}  # the second would go short
    assert ends(run(beyond, [MaxPosition(quantity=1_000), LongOnly()], rows))[2] == refused("long-only")


def test_leverage_counts_everything_that_is_open_in_the_worst_case():
    rows = [*FLAT, *bars([10.0] * 8, "Y")]
    off = {"buying_power": "off"}
    gross = MaxLeverage(gross=2.0)  # 200,000
    script = {1: [buy(10_000), sell(9_000, "Y"), sell(1_001, "Y"), sell(1_000, "Y")]}
    # X and Y both have a price once their first bars are in
    script = {2: script[1]}
    found = ends(run(script, gross, rows, broker=off))
    assert found == [FILLED, FILLED, refused("max-gross-leverage"), FILLED]
    net = MaxLeverage(net=1.0)
    script = {2: [buy(10_000), buy(1), sell(15_000, "Y"), sell(1)], 6: [sell(5_001, "Y"), sell(5_000, "Y")]}
    found = ends(run(script, net, rows, broker=off))
    assert found[1] == refused("max-net-leverage")  # 100,010 long
    assert found[2] == refused("max-net-leverage")  # 150,000 short if the purchase of X does not come


def test_a_price_collar_refuses_prices_too_far_from_the_last():
    rule = PriceCollar(fraction=0.1)
    script = {1: [buy(1, limit=8.9), buy(1, limit=9.0), buy(1, type=Stop(price=11.1)), buy(1), sell(1, limit=11.1)]}
    found = ends(run(script, rule))
    collar = refused("price-collar")
    assert [found[0], found[2], found[3], found[4]] == [collar, collar, FILLED, collar]
    assert found[1][1] != "risk:price-collar"
    worse = PriceCollar(fraction=0.1, direction="worse")
    script = {1: [buy(1, limit=1.0), buy(1, limit=11.1), sell(1, limit=8.9), sell(1, limit=99.0)]}
    assert [reason for _, reason in ends(run(script, worse))] == ["end-of-data", collar[1], collar[1], "end-of-data"]


def test_an_order_rate_slides_and_lets_exits_through():
    rule = OrderRate(orders=2, interval=86_400.0 * 1.5)
    script = {1: [buy(1), buy(1), buy(1)], 2: [buy(1), sell(1)], 3: [buy(1)]}
    rate = refused("order-rate")
    # Of the two orders of the first day none is left on the third; the exit of the second counts.
    assert ends(run(script, rule)) == [FILLED, FILLED, rate, rate, FILLED, FILLED]
    strict = OrderRate(orders=2, interval=86_400.0 * 1.5, exits=True)
    assert ends(run({1: [buy(1), buy(1)], 2: sell(1)}, strict))[2] == rate


def test_instruments_may_be_allowed_and_blocked_by_name_or_pattern():
    rows = [*bars([10.0] * 4, "AAPL"), *bars([10.0] * 4, "BTC-USD"), *bars([10.0] * 4, "ETH-USD")]
    script = {3: [buy(1, "AAPL"), buy(1, "BTC-USD"), buy(1, "ETH-USD")]}
    rule = Instruments(allowed=["*-USD"], blocked=["ETH*"])
    assert ends(run(script, rule, rows)) == [refused("instrument-not-allowed"), FILLED, refused("instrument-blocked")]


def test_long_only_refuses_what_would_go_short_even_in_two_parts():
    script = {1: [sell(1), buy(10)], 3: [sell(6), sell(5), sell(4)], 5: sell(1)}
    found = ends(run(script, LongOnly()))
    assert found == [refused("long-only"), FILLED, FILLED, refused("long-only"), FILLED, refused("long-only")]


def test_shorts_stay_within_what_can_be_borrowed_counting_what_is_being_sold():
    script = {1: [buy(10), sell(6, "Y"), sell(5, "Y")], 3: [sell(12), sell(9), sell(4)], 5: sell(1)}
    rules = [BorrowLimit(quantity=5, instruments=["X"]), BorrowLimit(quantity=10, instruments=["Y"])]
    rows = [*FLAT, *bars([10.0] * 8, "Y")]
    found = ends(run(script, rules, rows, broker={"buying_power": "off"}))
    assert found == [
        FILLED,
        FILLED,
        refused("no-borrow"),  # 11 of Y
        FILLED,  # 2 short
        refused("no-borrow"),  # 11
        refused("no-borrow"),  # 6
        FILLED,  # 3
    ]


def test_a_recipe_is_refused_as_a_whole_and_its_exits_are_no_exposure():
    bracket = Bracket(take_profit=12.0, stop_loss=8.0)
    allowed = run({1: buy(10, type=bracket)}, [MaxPosition(quantity=10), LongOnly()])
    assert allowed.counts.get("rejections", {}) == {}
    refusal = run({1: buy(11, type=bracket)}, MaxPosition(quantity=10))
    assert ends(refusal) == [refused("max-position-quantity")] * 3
    pair = OneCancelsOther(orders=[Limit(price=9.0), Stop(price=30.0)])
    assert ends(run({1: buy(1, type=pair)}, PriceCollar(fraction=0.2))) == [refused("price-collar")] * 2


def test_changing_an_order_is_put_to_the_rules_as_well():
    answers = []

    def amend(**change):
        return lambda ctx: answers.append(ctx._broker.amend(ctx.open_orders()[0], **change))

    script = {1: buy(10, limit=9.0), 2: [amend(quantity=11.0), amend(limit=2.0), amend(quantity=9.0)]}
    run(script, [MaxPosition(quantity=10), PriceCollar(fraction=0.5)])
    assert answers == ["risk:max-position-quantity", "risk:price-collar", ""]


def test_an_exit_never_opens_a_position():
    result = run({1: buy(10), 3: [sell(15, type=Exit()), sell(5, type=Exit())]}, None)
    assert result.fills["quantity"].to_list() == [10.0, 10.0]
    assert ends(result)[1:] == [("cancelled", "reduce-only"), ("cancelled", "reduce-only")]


def test_a_run_without_rules_sends_orders_without_detours():
    """No rule is asked, and nobody asks whether there is one: orders go straight to the compiled core."""
    found = []

    def look(ctx):
        found.append((ctx._run.broker._is_special, ctx._run.broker._desk is not None))

    for rules, exits in ((None, None), ([LongOnly()], None), (None, [StopLoss(amount=1.0)])):
        drive(Script(script={1: [look]}), FLAT, risk=rules, position_rule=exits)
    assert found == [(False, False), (True, True), (True, True)]


@component
class NoMondays:
    """A rule of somebody else's: a class with one method."""

    def check(self, request):
        return "monday" if (request.ts // 86_400_000_000_000 + 4) % 7 == 1 else ""


@component
class NoMoreThan:
    """A rule of somebody else's with state: ``build`` returns what checks in one run."""

    orders: int = param(help="How many.")

    def build(self, run):
        rule, sent = self, []

        class Counter:
            def check(self, request):
                sent.append(request)
                return f"more-than-{rule.orders}" if len(sent) > rule.orders else ""

        return Counter()


def test_a_rule_of_somebody_elses_is_a_class_with_one_method():
    from datetime import UTC, datetime

    rows = bars([10.0] * 8, start=datetime(2024, 1, 6, tzinfo=UTC))  # a Saturday
    found = ends(run({n: buy(1) for n in range(1, 5)}, NoMondays(), rows))
    assert found == [FILLED, FILLED, refused("monday"), FILLED]


def test_a_rule_with_state_has_it_for_one_run():
    rule = NoMoreThan(orders=2)
    for _ in range(2):
        assert ends(run({1: [buy(1), buy(1), buy(1)]}, rule)) == [FILLED, FILLED, refused("more-than-2")]


@pytest.mark.parametrize(
    "make",
    [MaxOrder, MaxPosition, MaxLeverage, Instruments, lambda: PriceCollar(fraction=0), lambda: OrderRate(orders=0)],
)
def test_a_rule_that_checks_nothing_is_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_a_run_file_names_rules_in_order(tmp_path):
    from qengine_config import load_run_file

    text = """
risk = [{ use = "max-order", quantity = 10 }, { use = "max-drawdown", fraction = 0.2, action = "flatten" }]

[feed]
use = "synthetic"

[strategy]
use = "idle.py:Idle"

[[position_rule]]
use = "stop-loss"
fraction = 0.05
"""
    (tmp_path / "run.toml").write_text(text)
    (tmp_path / "idle.py").write_text("from qengine_strategy import Strategy\nclass Idle(Strategy):\n    pass\n")
    config = load_run_file(tmp_path / "run.toml").engine().config
    assert [rule["use"] for rule in config["risk"]] == ["max-order", "max-drawdown"]
    assert config["position_rule"] == [{"use": "stop-loss", "fraction": 0.05, "amount": None, "instruments": []}]
