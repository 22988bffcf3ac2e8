"""What cash and positions earn and cost while they are held: figures worked out by hand."""

from __future__ import annotations

import datetime as dt

import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_costs import Interest
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive

DAY = 86_400_000_000_000
FREE = SimulatedBroker(buying_power="off", short_selling=True)
NOON = dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)


class Holder(Strategy):
    """Trades ``quantity`` at the first bar."""

    quantity: float = 0.0
    name: str = "X"

    def on_start(self, ctx):
        self.done = not self.quantity

    def on_bar(self, ctx, bar):
        if not self.done:
            ctx.order(self.name, self.quantity)
            self.done = True


def run(financing, closes=(10.0,) * 4, *, quantity=0.0, start=NOON, **options):
    return drive(
        Holder(quantity=quantity), bars(list(closes), start=start), broker=FREE, financing=financing, **options
    )


def amounts(result, kind):
    return result.cashflows.filter(kind=kind)["amount"].to_list()


def stamps(result):
    return result.cashflows["ts"].cast(int).to_list()


def test_interest_is_booked_for_every_midnight_on_what_is_there_then():
    result = run(Interest(credit=0.036), cash=1000.0)
    first = (stamps(result)[0] // DAY) * DAY
    assert stamps(result) == [first + n * DAY + 1 for n in range(3)]
    assert first == int(dt.datetime(2020, 1, 2, tzinfo=dt.UTC).timestamp()) * 10**9
    assert amounts(result, "interest") == pytest.approx([0.1, 0.10001, 0.1000200010])
    assert result.equity["cash"].to_list() == pytest.approx([1000.0, 1000.1, 1000.20001, 1000.3000300010])


def test_a_day_count_of_365_spreads_the_rate_over_365_days():
    assert amounts(run(Interest(credit=0.0365, day_count="act/365"), cash=1000.0), "interest")[0] == pytest.approx(0.1)


def test_a_debit_pays_its_own_rate():
    result = run(Interest(credit=0.36, debit=0.36), quantity=200.0, cash=1000.0)  # owes 999 from the second bar on
    assert amounts(result, "interest") == pytest.approx([1.0, -0.999, -0.999999])


def test_proceeds_of_short_sales_earn_nothing_unless_said_so():
    held = run(Interest(credit=0.36), [10.0, 10.0, 20.0], quantity=-50.0, cash=1000.0)
    assert amounts(held, "interest")[1] == pytest.approx(1.001)  # of 1500 in cash, 500 are the shorts' value
    earning = run(Interest(credit=0.36, short_proceeds=True), [10.0, 10.0, 20.0], quantity=-50.0, cash=1000.0)
    assert amounts(earning, "interest")[1] == pytest.approx(1.501)


def test_a_bar_stamped_at_midnight_counts_to_the_day_that_it_ends():
    """The purchase in the bar of Thursday, stamped at the midnight after, is not Friday's."""
    midnight = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    result = run(Interest(credit=0.36), quantity=100.0, start=midnight, cash=1000.0)
    assert amounts(result, "interest") == []
    assert result.equity["cash"].to_list() == [1000.0, 0.0, 0.0, 0.0]


def test_interest_in_one_currency_leaves_the_others_alone():
    assert amounts(run(Interest(credit=0.1, currency="USD")), "interest") != []
