"""What cash and positions earn and cost while they are held: figures worked out by hand."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from pathlib import Path

import pytest
from qengine_broker_sim import SimulatedBroker
from qengine_costs import BorrowFee, Dividends, Funding, Interest, PerShare
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive

from qengine_core.plugin import ConfigError, DataError
from qengine_core.testing import FinancingLaws

DAY = 86_400_000_000_000
HOUR = 3_600_000_000_000
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


# Borrowed stock -------------------------------------------------------------------------------------------


def test_a_short_pays_the_borrow_fee_of_each_day_on_its_market_value():
    result = run(BorrowFee(rate=0.036), [10.0, 10.0, 20.0, 20.0], quantity=-50.0)
    assert amounts(result, "borrow-fee") == pytest.approx([-0.05, -0.1])
    assert amounts(run(BorrowFee(rate=0.036), quantity=50.0), "borrow-fee") == []


def test_a_borrow_rate_holds_from_its_date_on(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("date,instrument,rate\n2020-01-03,X,0.36\n2020-01-02,Y,9\n2019-12-30,X,0.72\n")
    result = run(BorrowFee(rate=9.0, path=path), quantity=-10.0)
    assert amounts(result, "borrow-fee") == pytest.approx([-0.2, -0.1])  # of January 2 and 3


def test_an_unknown_instrument_among_rates_is_answered_with_the_known():
    with pytest.raises(ConfigError, match=r"rates name 'Z', which the data has not"):
        run(BorrowFee(rates={"Z": 0.1}))


# Dividends ------------------------------------------------------------------------------------------------


def dividends(tmp_path, text, header="instrument,ex_date,pay_date,amount"):
    path = tmp_path / "dividends.csv"
    path.write_text(f"{header}\n{text}\n")
    return Dividends(path=path)


def test_who_holds_at_the_open_of_the_ex_date_earns_and_is_paid_on_the_pay_date(tmp_path):
    """Bought at the bar of January 2: the dividend of the 2nd is missed, that of the 3rd earned."""
    given = dividends(tmp_path, "X,2020-01-02,2020-01-03,5\nX,2020-01-03,2020-01-04,0.5\nY,2020-01-03,2020-01-03,1")
    result = run(given, quantity=100.0, cash=1000.0)
    assert amounts(result, "dividend") == [50.0]
    assert stamps(result) == [int(dt.datetime(2020, 1, 4, tzinfo=dt.UTC).timestamp()) * 10**9 + 1]
    assert result.equity["cash"].to_list() == [1000.0, 0.0, 0.0, 50.0]
    assert result.counts["dividends_unpaid"] == 0.0


def test_a_short_pays_the_dividend(tmp_path):
    result = run(dividends(tmp_path, "X,2020-01-03,0.5", "instrument,ex_date,amount"), quantity=-100.0)
    assert amounts(result, "dividend") == [-50.0]


def test_a_day_bar_stamped_at_the_open_of_the_ex_date_is_traded_before_it(tmp_path):
    """The bar of the 2nd is stamped with the midnight after, which opens the 3rd: its buyer holds at that open."""
    midnight = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    result = run(dividends(tmp_path, "X,2020-01-03,,0.5"), quantity=100.0, start=midnight)
    assert amounts(result, "dividend") == [50.0]


def test_a_print_at_the_open_of_the_ex_date_comes_too_late(tmp_path):
    start = int(dt.datetime(2020, 1, 2, tzinfo=dt.UTC).timestamp()) * 10**9

    class Buyer(Strategy):
        def on_trade(self, ctx, trade):
            if not ctx.portfolio.positions and not ctx.open_orders():
                ctx.buy("X", 100)

    given = dividends(tmp_path, "X,2020-01-03,,0.5\nX,2020-01-04,,0.25")
    rows = [{"ts": start + n * DAY, "price": 10.0, "size": 1e6} for n in range(4)]
    assert amounts(drive(Buyer(), rows, kind="trade", financing=given), "dividend") == [25.0]


def test_a_dividend_paid_after_the_end_is_counted_as_unpaid(tmp_path):
    result = run(dividends(tmp_path, "X,2020-01-03,2020-02-01,0.5"), quantity=100.0)
    assert amounts(result, "dividend") == []
    assert result.counts["dividends_unpaid"] == 50.0


@pytest.mark.parametrize(
    ("text", "header", "message"),
    [
        ("X,2020-01-03", "instrument,ex_date", "has no column 'amount'"),
        ("X,2020-01-03,", "instrument,ex_date,amount", "has no amount in row 0"),
        ("X,someday,1", "instrument,ex_date,amount", "'ex_date' must hold dates"),
        ("X,2020-01-03,much", "instrument,ex_date,amount", "something else than numbers"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path, text, header, message):
    with pytest.raises(DataError, match=message):
        run(dividends(tmp_path, text, header))


class TestDividends(FinancingLaws):
    @pytest.fixture(autouse=True)
    def table(self, tmp_path):
        type(self).model = dividends(tmp_path, "X,2020-01-03,2020-01-06,0.5\nY,2020-01-04,,1")


# Funding --------------------------------------------------------------------------------------------------


def test_longs_pay_funding_to_shorts_every_eight_hours_on_the_position_value():
    hour = {"step": dt.timedelta(hours=4)}
    rows = bars([100.0] * 6, start=dt.datetime(2020, 1, 1, 4, tzinfo=dt.UTC), **hour)
    result = drive(Holder(quantity=2.0), rows, broker=FREE, financing=Funding(rate=0.001))
    # Bought in the bar that ends at 8:00, so it is held then; and at 16:00 and 24:00.
    assert [ts % DAY for ts in stamps(result)] == [8 * HOUR + 1, 16 * HOUR + 1]
    assert amounts(result, "funding") == pytest.approx([-0.2, -0.2])
    short = drive(Holder(quantity=-2.0), rows, broker=FREE, financing=Funding(rate=0.001))
    assert amounts(short, "funding") == pytest.approx([0.2, 0.2])


def test_funding_from_a_table_is_paid_at_its_times(tmp_path):
    path = tmp_path / "funding.csv"
    path.write_text("ts,instrument,rate\n2020-01-03T00:00:00,X,0.01\n2020-01-04T06:00:00,X,-0.02\n")
    result = run(Funding(path=path), quantity=10.0)
    assert amounts(result, "funding") == pytest.approx([-1.0, 2.0])


def test_funding_has_either_a_rate_or_a_table():
    with pytest.raises(ConfigError, match="either a fixed rate or the path"):
        Funding()


# Published ------------------------------------------------------------------------------------------------

SHARED = Path(__file__).resolve().parents[4] / "shared"


@pytest.mark.skipif(not (SHARED / "golden").is_dir(), reason="needs ../shared, which is not part of the project")
def test_eight_years_of_dividends_of_spy_as_lean_published(tmp_path):
    """Raw prices; 512 shares are bought at the second open, and each dividend is credited on its ex-date."""
    golden = json.loads((SHARED / "golden" / "lean-dividends-raw.json").read_text())
    expected = golden["expected"]
    with zipfile.ZipFile(SHARED / "data" / golden["data"][0]) as archive:
        lines = archive.read(archive.namelist()[0]).decode().split()
    rows = []
    for line in [row.split(",") for row in (" ".join(lines)).replace(" 00:00", "").split()]:
        day = dt.datetime.strptime(line[0], "%Y%m%d").replace(tzinfo=dt.UTC, hour=21)
        if dt.datetime(1998, 1, 1, tzinfo=dt.UTC) <= day < dt.datetime(2006, 1, 1, tzinfo=dt.UTC):
            opening, high, low, close = (int(value) / 10_000 for value in line[1:5])
            rows.append({"ts": day, "open": opening, "high": high, "low": low, "close": close, "volume": 1e9})
    listed = "\n".join(f"X,{row['ex_date']},{row['amount']}" for row in expected["dividends"])
    result = drive(
        Holder(quantity=float(expected["shares"])),
        rows,
        cash=golden["settings"]["initial_cash"],
        commission=PerShare(rate=0.005, minimum=1.0),
        financing=dividends(tmp_path, listed, "instrument,ex_date,amount"),
        calendar={"use": "exchange", "name": "NYSE"},
    )
    assert result.cashflows["amount"].sum() == pytest.approx(expected["total_dividends"], abs=0.005)
    assert result.counts["final_equity"] == pytest.approx(expected["end_equity"], abs=0.01)
    assert [str(ts.date()) for ts in result.cashflows["ts"]] == [row["ex_date"] for row in expected["dividends"]]
