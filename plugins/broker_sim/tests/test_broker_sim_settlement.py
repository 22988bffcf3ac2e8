"""Settlement: what a sale brings can be spent some sessions later."""

from __future__ import annotations

import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_orders import Bracket
from qengine_strategy import Strategy
from qengine_strategy.testing import drive

from qengine_core.plugin import ConfigError

HOUR = 3_600_000_000_000
DAY = 24 * HOUR  # sessions are days in UTC

# Three bars a day, at 6, 12 and 18 o'clock, at a price that stays.
FLAT = dict.fromkeys(("open", "high", "low", "close"), 10.0) | {"volume": 1000.0}
TIMES = [day * DAY + hour * HOUR for day in range(5) for hour in (6, 12, 18)]
ROWS = [{"ts": ts, "instrument": name} | FLAT for ts in TIMES for name in ("X", "Y")]


class Script(Strategy):
    """Does ``script[hour]``, hours counted from the beginning, at the bar of X."""

    script: dict

    def on_bar(self, ctx, bar):
        if bar.instrument == "X":
            for side, name, quantity, options in self.script.get(bar.ts // HOUR, ()):
                getattr(ctx, side)(name, quantity, **options)


def run(script, **broker):
    return drive(Script(script=script), ROWS, broker=SimulatedBroker(**broker), cash=1_000.0)


def buy(name, quantity, **options):
    return ("buy", name, quantity, options)


def sell(name, quantity, **options):
    return ("sell", name, quantity, options)


def fills(result):
    hours = [ts // HOUR for ts in result.fills["ts"].cast(int)]
    return list(zip(hours, result.fills["instrument"], result.fills["side"], result.fills["quantity"], strict=True))


def refused(result):
    rejected = result.orders.filter(result.orders["state"] == "rejected")
    return [
        (ts // HOUR, reason) for ts, reason in zip(rejected["submitted_ts"].cast(int), rejected["reason"], strict=True)
    ]


TRY_EVERY_TIME = {hour: [buy("Y", 90)] for hour in (18, 30, 36, 42, 54, 60)}


@pytest.mark.parametrize(
    ("sessions", "bought"),
    [(0, 24 + 6), (1, 24 + 12), (2, 48 + 12)],
)
def test_what_a_sale_brings_can_be_spent_when_it_has_settled(sessions, bought):
    """Sold at noon of the first day; an order fills on the bar after it was sent, and the sale is sent at six."""
    script = {6: [buy("X", 100)], 12: [sell("X", 100)], **TRY_EVERY_TIME}
    result = run(script, settlement_sessions=sessions)
    first = next(fill for fill in fills(result) if fill[1] == "Y")
    assert first == (bought, "Y", "buy", 90.0)
    assert all(reason == "insufficient-cash" for _, reason in refused(result))


def test_cash_that_was_not_in_use_is_free_at_once_and_parts_settle_by_their_own_session():
    script = {
        6: [buy("X", 80)],
        12: [sell("X", 40)],  # settles at the end of the second day
        30: [buy("Y", 30), buy("Y", 20)],  # 200 were left
        36: [sell("X", 40)],  # settles at the end of the third
        54: [buy("Y", 60), buy("Y", 35)],
        78: [buy("Y", 40)],
    }
    result = run(script, settlement_sessions=2)
    assert [fill for fill in fills(result) if fill[1] == "Y"] == [
        (36, "Y", "buy", 20.0),
        (60, "Y", "buy", 35.0),
        (84, "Y", "buy", 40.0),
    ]
    assert refused(result) == [(30, "insufficient-cash"), (54, "insufficient-cash")]


def test_a_market_sale_pays_for_no_purchase_sent_with_it():
    script = {6: [buy("X", 100)], 12: [sell("X", 100), buy("Y", 100)]}
    assert refused(run(script)) == []
    assert refused(run(script, settlement_sessions=1)) == [(12, "insufficient-cash")]


def test_proceeds_settle_the_same_however_the_run_is_woken():
    script = {6: [buy("X", 50, type=Bracket(stop_loss=9.0, take_profit=10.0))], **TRY_EVERY_TIME}
    tables = [
        drive(Script(script=script), ROWS, broker=SimulatedBroker(settlement_sessions=2), cash=1_000.0, wake=wake)
        for wake in ("interest", "every-row")
    ]
    assert tables[0].fills.height > 2
    assert tables[0].fills.equals(tables[1].fills)
    assert tables[0].orders.equals(tables[1].orders)


def test_other_accounts_do_not_wait_for_settlement():
    with pytest.raises(ConfigError, match="settlement_sessions = 1 needs buying_power = 'cash', not 'reg-t'"):
        run({}, settlement_sessions=1, buying_power="reg-t")
