"""Every order type, run: fills computed by hand, for both sides, in the event lane and the slice lane, woken or not."""

from __future__ import annotations

import pytest
from markets import bars, check, ends_of, fills_of, prints, quotes, run, sends
from qengine_orders import (
    Bracket,
    Iceberg,
    Limit,
    LimitIfTouched,
    LimitOnClose,
    LimitOnOpen,
    Market,
    MarketIfTouched,
    MarketOnClose,
    MarketOnOpen,
    OneCancelsOther,
    OneTriggersOther,
    OneUpdatesOther,
    PercentOfVolume,
    PostOnly,
    ReduceOnly,
    Stop,
    StopLimit,
    TrailingStop,
    TrailingStopLimit,
    Twap,
)

from qengine_core.plugin import Instrument

FIRST = (100, 101, 99, 100)  # on which orders are sent
HOUR = 3_600_000_000_000
DAY = 24 * HOUR


# Market and limit -----------------------------------------------------------------------------------------


def test_a_market_order_takes_the_next_open():
    rows = bars(FIRST, (103, 104, 98, 99))
    check(rows, sends("buy", 10, lambda p: Market()), [(2, "buy", 10, 103)], ends=[("filled", 10, "")])


def test_a_market_order_takes_what_rows_give_until_it_is_done():
    rows = bars(FIRST, (103, 104, 98, 99, 100), (98, 99, 97, 98, 0), (97, 97, 97, 97, 200))
    fills = [(2, "buy", 10, 103), (4, "buy", 15, 97)]
    check(rows, sends("buy", 25, lambda p: Market()), fills, participation_limit=0.1)


def test_a_limit_waits_to_be_touched():
    rows = bars(FIRST, (100, 101, 98.5, 99), (99, 100, 98, 99))
    check(rows, sends("buy", 10, lambda p: Limit(price=p(98))), [(3, "buy", 10, 98)], ambiguous=1)


def test_a_limit_gains_by_a_gap():
    rows = bars(FIRST, (96, 97, 95, 96))
    check(rows, sends("buy", 10, lambda p: Limit(price=p(98))), [(2, "buy", 10, 96)], ambiguous=0)


def test_a_limit_fills_in_parts_at_its_own_price():
    rows = bars(FIRST, (100, 101, 97, 99, 60), (99, 100, 97.5, 98, 60))
    fills = [(2, "buy", 6, 98), (3, "buy", 4, 98)]
    check(rows, sends("buy", 10, lambda p: Limit(price=p(98))), fills, participation_limit=0.1)


# Stops ----------------------------------------------------------------------------------------------------


def test_a_stop_fills_at_its_trigger():
    rows = bars(FIRST, (100, 104, 99, 103), (103, 106, 102, 105))
    check(rows, sends("buy", 10, lambda p: Stop(price=p(105))), [(3, "buy", 10, 105)])


def test_a_touched_trigger_sets_a_stop_off():
    rows = bars(FIRST, (100, 105, 99, 103))
    check(rows, sends("buy", 10, lambda p: Stop(price=p(105))), [(2, "buy", 10, 105)])


def test_a_stop_that_the_market_gaps_through_fills_at_the_open():
    rows = bars(FIRST, (107, 108, 104, 105))
    check(rows, sends("buy", 10, lambda p: Stop(price=p(105))), [(2, "buy", 10, 107)])


def test_what_is_left_of_a_stop_is_a_market_order():
    rows = bars(FIRST, (100, 106, 99, 103, 40), (101, 102, 100, 101, 100))
    fills = [(2, "buy", 4, 105), (3, "buy", 6, 101)]
    check(rows, sends("buy", 10, lambda p: Stop(price=p(105))), fills, participation_limit=0.1)


def test_a_stop_on_prints_fills_at_the_print_that_sets_it_off():
    rows = prints((100, 50), (104, 50), (105.5, 50), (103, 50))
    check(rows, sends("buy", 10, lambda p: Stop(price=p(105))), [(3, "buy", 10, 105.5)], kind="trade")


def test_a_stop_on_quotes_is_set_off_by_its_own_side():
    """A buyer's stop by the ask, which is what he pays."""
    rows = quotes((100, 101), (103, 104), (104, 105.5))
    check(rows, sends("buy", 10, lambda p: Stop(price=p(105))), [(3, "buy", 10, 105.5)], kind="quote")


def test_a_stop_limit_fills_at_its_trigger_if_the_limit_allows():
    rows = bars(FIRST, (100, 105.5, 99, 103))
    check(rows, sends("buy", 10, lambda p: StopLimit(price=p(105), limit=p(106))), [(2, "buy", 10, 105)])


def test_a_stop_limit_waits_after_a_gap_beyond_its_limit():
    rows = bars(FIRST, (107, 109, 106.5, 108), (108, 108, 105, 106))
    check(rows, sends("buy", 10, lambda p: StopLimit(price=p(105), limit=p(106))), [(3, "buy", 10, 106)])


def test_a_stop_limit_may_fill_in_the_bar_that_gapped_when_prices_come_back():
    rows = bars(FIRST, (107, 109, 105.5, 108))
    check(rows, sends("buy", 10, lambda p: StopLimit(price=p(105), limit=p(106))), [(2, "buy", 10, 106)])


def test_prices_before_the_trigger_do_not_fill_a_stop_limit():
    """The low may have come before the high that set it off: the worse outcome is not to have bought."""
    rows = bars(FIRST, (100, 106, 99, 105.5), (105, 105, 104, 104), (104, 104, 102, 103))
    order = sends("buy", 10, lambda p: StopLimit(price=p(105), limit=p(103)))
    check(rows, order, [(4, "buy", 10, 103)], ambiguous=1)
    high_first = [(2, "buy", 10, 103)]
    check(rows, order, high_first, mirror=False, intrabar_path="open-high-low-close")


def test_a_stop_limit_fills_in_parts_within_its_limit():
    rows = bars(FIRST, (100, 105.5, 99, 103, 40), (107, 108, 106.5, 107, 100), (105.5, 106, 105, 106, 100))
    fills = [(2, "buy", 4, 105), (4, "buy", 6, 105.5)]
    check(rows, sends("buy", 10, lambda p: StopLimit(price=p(105), limit=p(106))), fills, participation_limit=0.1)


# If touched -----------------------------------------------------------------------------------------------


def test_a_market_order_if_touched_trades_at_the_touch_or_at_a_better_open():
    touched = bars(FIRST, (100, 101, 96, 99), (99, 100, 95, 97))
    check(touched, sends("buy", 10, lambda p: MarketIfTouched(price=p(95))), [(3, "buy", 10, 95)])
    gapped = bars(FIRST, (93, 96, 92, 94))
    check(gapped, sends("buy", 10, lambda p: MarketIfTouched(price=p(95))), [(2, "buy", 10, 93)])


def test_what_is_left_of_a_market_order_if_touched_takes_any_price():
    rows = bars(FIRST, (100, 101, 95, 99, 40), (104, 105, 103, 104, 100))
    fills = [(2, "buy", 4, 95), (3, "buy", 6, 104)]
    check(rows, sends("buy", 10, lambda p: MarketIfTouched(price=p(95))), fills, participation_limit=0.1)


def test_a_limit_order_if_touched_keeps_its_limit():
    rows = bars(FIRST, (100, 101, 95, 99, 40), (104, 105, 103, 104, 100), (98, 99, 96, 97, 100))
    fills = [(2, "buy", 4, 95), (4, "buy", 6, 96)]
    check(rows, sends("buy", 10, lambda p: LimitIfTouched(price=p(95), limit=p(96))), fills, participation_limit=0.1)


def test_a_limit_order_if_touched_below_its_touch_waits_for_the_limit():
    rows = bars(FIRST, (100, 101, 94.5, 99), (99, 99, 93, 95))
    check(rows, sends("buy", 10, lambda p: LimitIfTouched(price=p(95), limit=p(94))), [(3, "buy", 10, 94)])


# Trailing stops -------------------------------------------------------------------------------------------


TRAIL = sends("sell", 10, lambda p: TrailingStop(amount=5))


def test_a_trailing_stop_is_tested_against_the_old_mark_before_the_mark_moves():
    """The high of 110 moves the stop to 105 only for the bars after; the low of 96 is tested against 95."""
    rows = bars(FIRST, (100, 110, 96, 108), (108, 109, 104, 106))
    check(rows, TRAIL, [(3, "sell", 10, 105)])


def test_a_trailing_stop_that_is_gapped_through_fills_at_the_open():
    rows = bars(FIRST, (100, 110, 100, 108), (103, 104, 101, 102))
    check(rows, TRAIL, [(3, "sell", 10, 103)])


def test_a_trailing_stop_never_moves_back():
    rows = bars(FIRST, (100, 110, 100, 108), (108, 108, 106, 107), (107, 107, 105, 106))
    check(rows, TRAIL, [(4, "sell", 10, 105)])


def test_a_trailing_stop_may_follow_closes():
    rows = bars(FIRST, (100, 110, 100, 108), (108, 109, 104, 106), (106, 107, 103, 104))
    check(rows, TRAIL, [(4, "sell", 10, 103)], trail_mark="close")


def test_a_trailing_stop_by_a_fraction_follows_the_mark_in_proportion():
    up = bars(FIRST, (100, 120, 100, 118), (118, 119, 113, 115))
    check(up, sends("sell", 10, lambda p: TrailingStop(fraction=0.05)), [(3, "sell", 10, 114)], mirror=False)
    down = bars(FIRST, (100, 100, 80, 82), (82, 85, 81, 84))
    check(down, sends("buy", 10, lambda p: TrailingStop(fraction=0.05)), [(3, "buy", 10, 84)], mirror=False)


def test_a_trailing_stop_lies_on_the_grid_where_it_is_later():
    """5 % below 101 is 95.95: on a grid of a half, 95.5 for a sale; above 99 it is 103.95, 104 for a purchase."""
    instrument = (Instrument(name="X", tick_size=0.5),)
    sell = bars((100, 101, 99, 101), (101, 101, 95.6, 96), (96, 96, 95, 95))
    made = sends("sell", 10, lambda p: TrailingStop(fraction=0.05))
    check(sell, made, [(3, "sell", 10, 95.5)], mirror=False, instruments=instrument)
    buy = bars((100, 101, 99, 99), (99, 103.9, 99, 103), (103, 104, 103, 104))
    made = sends("buy", 10, lambda p: TrailingStop(fraction=0.05))
    check(buy, made, [(3, "buy", 10, 104)], mirror=False, instruments=instrument)


def test_a_trailing_stop_on_quotes_follows_the_side_it_sells_at():
    rows = quotes((99.5, 100.5), (104, 105), (99.5, 100), (98.5, 99))
    check(rows, TRAIL, [(4, "sell", 10, 98.5)], kind="quote")


def test_a_trailing_stop_on_prints():
    rows = prints((100, 50), (107, 50), (103, 50), (101, 50))
    check(rows, TRAIL, [(4, "sell", 10, 101)], kind="trade")


def test_a_trailing_stop_limit_gets_its_limit_when_it_is_set_off():
    order = sends("sell", 10, lambda p: TrailingStopLimit(amount=5, limit_offset=1))
    touched = bars(FIRST, (100, 110, 100, 108), (108, 109, 104.5, 106))
    result = check(touched, order, [(3, "sell", 10, 105)])
    assert result.orders["limit_price"].to_list() == [104.0]
    gapped = bars(FIRST, (100, 110, 100, 108), (103, 103.5, 102, 103), (103, 104.5, 102, 103))
    check(gapped, order, [(4, "sell", 10, 104)])


# The open and the close of a session ------------------------------------------------------------------------


def days(count=2, hours=(10, 16, 24)):
    """Bars at 10:00, 16:00 and midnight, when the session of ``utc-days`` closes, each opening 1 higher."""
    stamps = [day * DAY + hour * HOUR for day in range(count) for hour in hours]
    return [
        {"ts": ts, "open": 100.0 + n, "high": 101.0 + n, "low": 99.0 + n, "close": 100.5 + n, "volume": 1000.0}
        for n, ts in enumerate(stamps)
    ]


def test_a_market_order_on_open_takes_the_opening_price_of_the_next_session():
    check(days(), sends("buy", 10, lambda p: MarketOnOpen()), [(DAY + 10 * HOUR, "buy", 10, 103)])


def test_a_market_order_on_close_takes_the_closing_price():
    result = check(days(), sends("buy", 10, lambda p: MarketOnClose()), [(DAY, "buy", 10, 102.5)])
    assert result.orders.select("type", "time_in_force").rows() == [("market-on-close", "at-close")]


@pytest.mark.parametrize(
    ("make", "at", "price"),
    [
        (lambda p: LimitOnOpen(price=p(104)), DAY + 10 * HOUR, 103),
        (lambda p: LimitOnOpen(price=p(103)), DAY + 10 * HOUR, 103),
        (lambda p: LimitOnClose(price=p(102.5)), DAY, 102.5),
    ],
)
def test_a_limit_on_open_or_close_trades_at_that_price_if_it_is_good_enough(make, at, price):
    check(days(), sends("buy", 10, make), [(at, "buy", 10, price)])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: LimitOnOpen(price=p(102.5)), "at-open-remainder"),
        (lambda p: LimitOnClose(price=p(102)), "at-close-remainder"),
    ],
)
def test_a_limit_on_open_or_close_is_judged_by_nothing_else(make, reason):
    """The bar's low of 101 would have filled either."""
    check(days(), sends("buy", 10, make), [], ends=[("cancelled", 0, reason)])


def test_what_the_auction_leaves_over_is_cancelled():
    result = check(
        days(),
        sends("buy", 150, lambda p: MarketOnOpen()),
        [(DAY + 10 * HOUR, "buy", 100, 103)],
        ends=[("cancelled", 100, "at-open-remainder")],
        participation_limit=0.1,
    )
    assert result.orders["type"].to_list() == ["market-on-open"]


# Brackets -------------------------------------------------------------------------------------------------


def bracket(**settings):
    prices = ("take_profit", "stop_loss") if settings.get("distance", "price") == "price" else ()
    return lambda p: Bracket(**{name: p(value) if name in prices else value for name, value in settings.items()})


BRACKET = sends("buy", 10, bracket(take_profit=110, stop_loss=95))


def test_a_bracket_takes_its_profit_and_cancels_its_stop():
    rows = bars(FIRST, (101, 104, 100, 103), (103, 111, 102, 108), (108, 109, 90, 91))
    ends = [("filled", 10, ""), ("filled", 10, ""), ("cancelled", 0, "one-cancels-other")]
    result = check(rows, BRACKET, [(2, "buy", 10, 101), (3, "sell", 10, 110)], ends=ends)
    assert result.counts["ambiguous_bars"] == 0


def test_a_bracket_stops_its_loss_at_a_gap():
    rows = bars(FIRST, (101, 104, 100, 103), (93, 94, 92, 93))
    ends = [("filled", 10, ""), ("cancelled", 0, "one-cancels-other"), ("filled", 10, "")]
    check(rows, BRACKET, [(2, "buy", 10, 101), (3, "sell", 10, 93)], ends=ends)


def test_a_bar_that_touches_both_legs_of_a_bracket_fills_the_stop():
    rows = bars(FIRST, (101, 104, 100, 103), (103, 111, 94, 108))
    check(rows, BRACKET, [(2, "buy", 10, 101), (3, "sell", 10, 95)], ambiguous=1)


@pytest.mark.parametrize(
    ("path", "price"),
    [("open-high-low-close", 110), ("open-low-high-close", 95), ("nearest-extreme-first", 110), ("worst-case", 95)],
)
def test_the_path_decides_which_leg_of_a_bracket_comes_first(path, price):
    """Of a bar that opens at 103 the high of 111 is nearer than the low of 94."""
    rows = bars(FIRST, (101, 104, 100, 103), (103, 111, 94, 108))
    check(rows, BRACKET, [(2, "buy", 10, 101), (3, "sell", 10, price)], mirror=False, intrabar_path=path)


def test_an_ambiguous_bar_may_be_refused():
    rows = bars(FIRST, (101, 104, 100, 103), (103, 111, 94, 108))
    ends = [("filled", 10, ""), *[("cancelled", 0, "ambiguous-bar")] * 2]
    check(rows, BRACKET, [(2, "buy", 10, 101)], ends=ends, ambiguous=1, intrabar_path="reject-ambiguous")


def test_refusing_an_ambiguous_bar_leaves_other_orders_alone():
    """A limit that the same bar fills whatever its path is none of the orders that it would decide."""
    rows = bars(FIRST, (101, 104, 100, 103), (103, 111, 94, 108))
    orders = {1: [*BRACKET[1], ("buy", 5, lambda p: StopLimit(price=p(104.5), limit=p(200)), {})]}
    fills = [(2, "buy", 10, 101), (3, "buy", 5, 104.5)]
    check(rows, orders, fills, intrabar_path="reject-ambiguous", mirror=False)


def test_a_bar_may_enter_and_exit_where_its_path_proves_it():
    """The entry is at the open, so all the rest of the bar comes after it."""
    rows = bars(FIRST, (101, 104, 94, 103))
    check(rows, BRACKET, [(2, "buy", 10, 101), (2, "sell", 10, 95)])


def test_a_bar_that_enters_at_a_limit_exits_only_if_the_rest_of_its_path_does():
    """Bought at 98 on the way down, the rest of the bar may hold its low and its close, but not its high of 111."""
    rows = bars(FIRST, (105, 111, 97, 100), (100, 101, 99, 100))
    order = sends("buy", 10, bracket(entry=Limit(price=98), take_profit=110, stop_loss=90))
    result = check(rows, order, [(2, "buy", 10, 98)], mirror=False)
    assert ends_of(result)[1:] == [("expired", 0.0, "end-of-data")] * 2


@pytest.mark.parametrize(("distance", "profit", "loss"), [("amount", 9.0, 6.0), ("fraction", 9 / 101, 6 / 101)])
def test_the_exits_of_a_bracket_may_lie_so_far_from_what_its_entry_filled_at(distance, profit, loss):
    order = sends("buy", 10, bracket(take_profit=profit, stop_loss=loss, distance=distance))
    up = bars(FIRST, (101, 104, 100, 103), (103, 111, 102, 108))
    check(up, order, [(2, "buy", 10, 101), (3, "sell", 10, 110)], mirror=distance == "amount")
    down = bars(FIRST, (101, 104, 100, 103), (103, 104, 94, 96))
    check(down, order, [(2, "buy", 10, 101), (3, "sell", 10, 95)], mirror=distance == "amount")


def test_a_short_bracket_by_fractions_gains_below_its_entry():
    rows = bars(FIRST, (100, 101, 99, 100), (100, 101, 89, 92))
    order = sends("sell", 10, bracket(take_profit=0.1, stop_loss=0.05, distance="fraction"))
    check(rows, order, [(2, "sell", 10, 100), (3, "buy", 10, 90)], mirror=False)


def test_a_bracket_may_trail_its_stop_from_what_the_entry_filled_at():
    rows = bars(FIRST, (101, 104, 99, 103), (103, 104, 100, 101), (101, 102, 98.5, 99))
    order = sends("buy", 10, bracket(trail=5, distance="amount"))
    # In the bar of the entry only the close, 103, is known to come after it; the bar after it moves the mark to 104.
    check(rows, order, [(2, "buy", 10, 101), (4, "sell", 10, 99)], trail_mark="extreme")


@pytest.mark.parametrize(
    ("entry", "rows", "at"),
    [
        (Limit(price=98), [(100, 101, 97, 99)], 98),
        (Stop(price=104), [(100, 105, 99, 103)], 104),
        (StopLimit(price=104, limit=105), [(100, 105, 99, 103)], 104),
        (MarketIfTouched(price=97), [(100, 101, 97, 99)], 97),
        (TrailingStop(amount=3), [(100, 101, 99, 101), (101, 104, 99, 103)], 102),
        (Iceberg(price=98, display=50), [(100, 101, 97, 99)], 98),
        (MarketOnClose(), [(100, 101, 97, 99)], 99),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_bracket_takes_any_entry(entry, rows, at):
    step = DAY
    made = sends("buy", 10, bracket(entry=entry, take_profit=115, stop_loss=80))
    market = bars(FIRST, *rows, (100, 101, 99, 100), (110, 116, 109, 112), step=step)
    last = len(rows) + 3
    fills = [((last - 2) * step, "buy", 10, at), (last * step, "sell", 10, 115)]
    check(market, made, fills, mirror=False)


def test_the_exits_of_a_bracket_cover_what_its_entry_has_filled_so_far():
    rows = bars(FIRST, (100, 101, 99, 100, 40), (100, 111, 99, 105, 30), (105, 106, 90, 94, 1000))
    fills = [(2, "buy", 4, 100), (3, "buy", 3, 100), (4, "buy", 3, 105)]
    result = check(
        rows,
        sends("buy", 10, bracket(entry=Limit(price=105), take_profit=110, stop_loss=80)),
        fills,
        mirror=False,
        participation_limit=0.1,
    )
    # The bar's volume of 30 went to the entry; the profit had nothing left of it.
    assert ends_of(result)[1:] == [("expired", 0.0, "end-of-data")] * 2


def test_an_entry_that_ends_early_leaves_its_exits_with_what_it_filled():
    rows = bars(FIRST, (100, 101, 99, 100, 40), (100, 101, 99, 100), (100, 111, 99, 105))
    order = sends("buy", 10, bracket(take_profit=110, stop_loss=80), time_in_force="ioc")
    fills = [(2, "buy", 4, 100), (4, "sell", 4, 110)]
    ends = [("cancelled", 4, "ioc-remainder"), ("filled", 4, ""), ("cancelled", 0, "one-cancels-other")]
    result = check(rows, order, fills, ends=ends, participation_limit=0.1)
    assert result.orders["quantity"].to_list() == [10.0, 4.0, 4.0]
    assert result.orders["time_in_force"].to_list() == ["ioc", "gtc", "gtc"]


def test_an_entry_that_never_fills_takes_its_exits_with_it():
    rows = bars(FIRST, (100, 101, 99, 100), (100, 101, 99, 100))
    order = sends("buy", 10, bracket(entry=Limit(price=50), take_profit=110, stop_loss=40), time_in_force="fok")
    ends = [("cancelled", 0, "fok-remainder"), *[("cancelled", 0, "parent-closed")] * 2]
    check(rows, order, [], ends=ends, mirror=False)


def test_a_partly_filled_exit_shrinks_the_other():
    rows = bars(FIRST, (100, 101, 99, 100, 200), (105, 111, 104, 109, 60), (100, 101, 94, 95, 1000))
    fills = [(2, "buy", 10, 100), (3, "sell", 6, 110), (4, "sell", 4, 95)]
    ends = [("filled", 10, ""), ("cancelled", 6, "one-cancels-other"), ("filled", 4, "")]
    check(rows, BRACKET, fills, ends=ends, participation_limit=0.1)


def test_a_stop_with_nothing_left_to_sell_is_not_set_off():
    """All of what was bought is sold at the profit; the fall through the stop concerns nothing. What the entry buys
    after that is stopped by a fall of its own."""
    rows = bars(
        FIRST,
        (100, 101, 99, 100, 40),  # buys 4
        (112, 113, 111, 112, 1000),  # sells 4
        (97, 98, 90, 96, 0),  # no volume, but 90 is below the stop
        (97, 98, 96, 97, 1000),  # buys 6
        (97, 98, 96.5, 97, 1000),
        (97, 98, 94, 95, 1000),  # the stop
    )
    order = sends("buy", 10, bracket(entry=Limit(price=100), take_profit=110, stop_loss=95))
    fills = [(2, "buy", 4, 100), (3, "sell", 4, 112), (5, "buy", 6, 97), (7, "sell", 6, 95)]
    check(rows, order, fills, mirror=False, participation_limit=0.1, fill_on_zero_volume=True)


def test_a_bracket_on_prints_and_on_quotes():
    rows = prints((100, 50), (101, 50), (106, 50), (110.5, 50))
    check(rows, BRACKET, [(2, "buy", 10, 101), (4, "sell", 10, 110.5)], kind="trade")
    rows = quotes((99, 100), (100, 101), (94.5, 95.5), (90, 91))
    check(rows, BRACKET, [(2, "buy", 10, 101), (3, "sell", 10, 94.5)], kind="quote")


def test_a_bracket_of_lots_exits_in_lots():
    rows = bars(FIRST, (100, 101, 99, 100, 45), (100, 111, 99, 105, 1000))
    order = sends("buy", 10, bracket(take_profit=110, stop_loss=80), time_in_force="ioc")
    lots = (Instrument(name="X", lot_size=2.0),)
    check(rows, order, [(2, "buy", 4, 100), (3, "sell", 4, 110)], participation_limit=0.1, instruments=lots)


# Orders tied to one another -------------------------------------------------------------------------------


def pair(kind, *makes):
    return lambda p: kind(orders=tuple(make(p) for make in makes))


BREAKOUT = (lambda p: Limit(price=p(95)), lambda p: Stop(price=p(105)))


@pytest.mark.parametrize("kind", [OneCancelsOther, OneUpdatesOther])
def test_the_first_of_a_group_to_fill_ends_the_others(kind):
    down = bars(FIRST, (100, 101, 94, 96), (96, 106, 96, 105))
    ends = [("filled", 10, ""), ("cancelled", 0, "one-cancels-other")]
    check(down, sends("buy", 10, pair(kind, *BREAKOUT)), [(2, "buy", 10, 95)], ends=ends)
    up = bars(FIRST, (100, 106, 99, 105), (96, 97, 94, 96))
    check(up, sends("buy", 10, pair(kind, *BREAKOUT)), [(2, "buy", 10, 105)], ends=ends[::-1])


@pytest.mark.parametrize("kind", [OneCancelsOther, OneUpdatesOther])
def test_a_bar_that_touches_both_of_a_group_fills_one_the_worse(kind):
    rows = bars(FIRST, (100, 106, 94, 100))
    check(rows, sends("buy", 10, pair(kind, *BREAKOUT)), [(2, "buy", 10, 105)], ambiguous=1)


def test_a_part_that_fills_cancels_or_shrinks_the_others():
    rows = bars(FIRST, (100, 101, 94, 96, 40), (96, 106, 96, 105, 1000), (94, 95, 93, 94, 1000))
    cancels = [("filled", 10, ""), ("cancelled", 0, "one-cancels-other")]
    check(
        rows,
        sends("buy", 10, pair(OneCancelsOther, *BREAKOUT)),
        [(2, "buy", 4, 95), (4, "buy", 6, 94)],
        ends=cancels,
        participation_limit=0.1,
    )
    updates = [("cancelled", 4, "one-cancels-other"), ("filled", 6, "")]
    result = check(
        rows,
        sends("buy", 10, pair(OneUpdatesOther, *BREAKOUT)),
        [(2, "buy", 4, 95), (3, "buy", 6, 105)],
        ends=updates,
        participation_limit=0.1,
    )
    assert result.orders["quantity"].to_list() == [10.0, 6.0]


def test_three_orders_may_share_a_quantity():
    third = (*BREAKOUT, lambda p: MarketIfTouched(price=p(90)))
    rows = bars(FIRST, (100, 101, 94, 96, 30), (96, 97, 89, 92, 50), (106, 107, 105, 106, 1000))
    fills = [(2, "buy", 3, 95), (3, "buy", 5, 95), (4, "buy", 2, 106)]
    result = check(rows, sends("buy", 10, pair(OneUpdatesOther, *third)), fills, participation_limit=0.1)
    assert result.fills["quantity"].sum() == 10.0


def test_a_group_whose_first_order_is_refused_does_not_go_to_market_in_part():
    rows = bars(FIRST, (100, 106, 94, 100))
    script = {1: [lambda ctx: ctx.buy("X", 10_000, OneCancelsOther(orders=(Limit(price=95), Stop(price=105))))]}
    result = run(rows, script, buying_power="cash")
    assert ends_of(result) == [("rejected", 0.0, "insufficient-cash"), ("cancelled", 0.0, "one-cancels-other")]


def test_one_order_triggers_another_as_far_as_it_fills():
    rows = bars(FIRST, (100, 101, 94, 96, 40), (96, 97, 94, 96, 1000), (96, 108, 95, 107, 1000))
    made = lambda p: OneTriggersOther(first=Limit(price=p(95)), then=Limit(price=p(107)))  # noqa: E731
    fills = [(2, "buy", 4, 95), (3, "buy", 6, 95), (4, "sell", 10, 107)]
    check(rows, sends("buy", 10, made), fills, participation_limit=0.1)


def test_the_second_order_may_be_on_the_same_side():
    rows = bars(FIRST, (100, 101, 94, 96), (96, 106, 95, 105))
    made = lambda p: OneTriggersOther(first=Limit(price=p(95)), then=Stop(price=p(105)), side="same")  # noqa: E731
    check(rows, sends("buy", 10, made), [(2, "buy", 10, 95), (3, "buy", 10, 105)])


def test_what_is_not_triggered_does_not_trade():
    rows = bars(FIRST, (100, 108, 96, 107))
    made = lambda p: OneTriggersOther(first=Limit(price=p(95)), then=Limit(price=p(107)))  # noqa: E731
    check(rows, sends("buy", 10, made), [], ends=[("expired", 0, "end-of-data"), ("cancelled", 0, "parent-closed")])


# Showing, taking and timing --------------------------------------------------------------------------------


def test_an_iceberg_trades_what_it_shows():
    rows = bars(FIRST, (100, 101, 97, 99), (97, 98, 96, 97), (99, 100, 99, 99), (98, 99, 97, 98))
    fills = [(2, "buy", 4, 98), (3, "buy", 4, 97), (5, "buy", 2, 98)]
    check(rows, sends("buy", 10, lambda p: Iceberg(price=p(98), display=4)), fills)


def test_an_iceberg_on_prints_is_refilled_by_each():
    rows = prints((100, 50), (98, 50), (97, 50), (99, 50), (98, 50))
    fills = [(2, "buy", 4, 98), (3, "buy", 4, 97), (5, "buy", 2, 98)]
    check(rows, sends("buy", 10, lambda p: Iceberg(price=p(98), display=4)), fills, kind="trade")


def test_a_post_only_order_that_would_take_is_cancelled():
    rows = bars(FIRST, (97, 98, 96, 97))
    ends = [("cancelled", 0, "post-only-would-take")]
    check(rows, sends("buy", 10, lambda p: PostOnly(price=p(98))), [], ends=ends)
    check(quotes((98, 99), (97, 98)), sends("buy", 10, lambda p: PostOnly(price=p(98))), [], ends=ends, kind="quote")


def test_a_post_only_order_that_rests_first_fills():
    rows = bars(FIRST, (99, 100, 97.5, 98), (97, 98, 96, 97))
    check(rows, sends("buy", 10, lambda p: PostOnly(price=p(98))), [(2, "buy", 10, 98)])
    later = bars(FIRST, (99, 100, 98.5, 99), (97, 98, 96, 97))
    check(later, sends("buy", 10, lambda p: PostOnly(price=p(98))), [(3, "buy", 10, 97)])
    rows = quotes((98, 99), (98, 99), (97, 98))
    check(rows, sends("buy", 10, lambda p: PostOnly(price=p(98))), [(3, "buy", 10, 98)], kind="quote")


def test_a_reduce_only_order_closes_and_never_opens():
    rows = bars(FIRST, (100, 101, 99, 100), (102, 103, 101, 102))
    orders = {1: [("buy", 6, None, {})], 2: [("sell", 10, lambda p: ReduceOnly(), {})]}
    ends = [("filled", 6, ""), ("cancelled", 6, "reduce-only")]
    check(rows, orders, [(2, "buy", 6, 100), (3, "sell", 6, 102)], ends=ends)
    flat = bars(FIRST, (100, 101, 99, 100))
    check(flat, sends("sell", 10, lambda p: ReduceOnly()), [], ends=[("cancelled", 0, "reduce-only")])


def test_a_reduce_only_order_may_have_a_limit_or_a_stop():
    rows = bars(FIRST, (100, 101, 99, 100), (102, 106, 101, 102), (102, 102, 94, 95))
    entry = ("buy", 6, None, {})
    limit = {1: [entry], 2: [("sell", 6, lambda p: ReduceOnly(limit=p(105)), {})]}
    check(rows, limit, [(2, "buy", 6, 100), (3, "sell", 6, 105)])
    stop = {1: [entry], 2: [("sell", 6, lambda p: ReduceOnly(stop=p(95)), {})]}
    check(rows, stop, [(2, "buy", 6, 100), (4, "sell", 6, 95)])


def test_twap_trades_equal_slices_at_their_times():
    rows = bars(FIRST, *[(100 + n, 110, 90, 100) for n in range(1, 6)], step=60_000_000_000)
    minute = 60_000_000_000
    fills = [(2 * minute, "buy", 2.5, 101), (4 * minute, "buy", 2.5, 103), (6 * minute, "buy", 2.5, 105)]
    ends = [*[("filled", 2.5, "")] * 3, ("expired", 0, "end-of-data")]
    check(rows, sends("buy", 10, lambda p: Twap(slices=4, seconds=120.0)), fills, ends=ends)


def test_the_slices_of_a_twap_have_its_limit():
    minute = 60_000_000_000
    rows = bars(FIRST, (103, 104, 102, 103), (100, 101, 99, 100), (97, 98, 96, 97), step=minute)
    made = sends("buy", 10, lambda p: Twap(slices=2, seconds=60.0, limit=p(101)))
    check(rows, made, [(3 * minute, "buy", 5, 100), (3 * minute, "buy", 5, 100)])


def test_the_slices_of_a_twap_are_lots_that_add_up():
    rows = bars(FIRST, *[(100, 101, 99, 100)] * 8, step=1_000_000_000)
    lots = (Instrument(name="X", lot_size=1.0),)
    fills = [((n + 2) * 1_000_000_000, "buy", lots, 100) for n, lots in enumerate([2, 3, 2, 3])]
    check(rows, sends("buy", 10.5, lambda p: Twap(slices=4, seconds=1.0)), fills, instruments=lots)
    few = check(
        rows,
        sends("buy", 2, lambda p: Twap(slices=6, seconds=1.0)),
        [(4 * 1_000_000_000, "buy", 1, 100), (7 * 1_000_000_000, "buy", 1, 100)],
        instruments=lots,
    )
    assert few.orders.height == 2
    none = run(rows, {1: [lambda ctx: ctx.buy("X", 0.5, Twap(slices=6, seconds=1.0))]}, instruments=lots)
    assert ends_of(none) == [("rejected", 0.0, "zero-quantity")]


def test_the_slices_of_a_schedule_can_be_cancelled_together():
    rows = bars(FIRST, *[(100, 101, 99, 100)] * 4, step=1_000_000_000)
    sent = []

    def cancel(ctx):
        for leg in ctx.legs(ctx.open_orders("X")[0]):
            ctx.cancel(leg)

    result = run(rows, {1: [lambda ctx: sent.append(ctx.buy("X", 10, Twap(slices=4, seconds=1.0)))], 3: [cancel]})
    assert [fill[0] for fill in fills_of(result)] == [2_000_000_000, 3_000_000_000]
    assert ends_of(result)[2:] == [("cancelled", 0.0, "requested")] * 2


def test_percent_of_volume_takes_its_share_of_each_row():
    rows = bars(
        FIRST, (101, 102, 100, 101, 50), (102, 103, 101, 102, 0), (103, 104, 102, 103, 40), (99, 99, 99, 99, 90)
    )
    fills = [(2, "buy", 5, 101), (4, "buy", 4, 103), (5, "buy", 6, 99)]
    check(rows, sends("buy", 15, lambda p: PercentOfVolume(share=0.1)), fills)


def test_percent_of_volume_keeps_to_its_limit_and_to_the_cap_that_all_share():
    rows = bars(FIRST, (101, 102, 100.5, 101, 100), (99, 100, 98, 99, 100))
    check(rows, sends("buy", 15, lambda p: PercentOfVolume(share=0.2, limit=p(100))), [(3, "buy", 15, 99)])
    shared = {1: [("buy", 6, None, {}), ("buy", 15, lambda p: PercentOfVolume(share=0.2), {})]}
    fills = [(2, "buy", 6, 101), (2, "buy", 4, 101), (3, "buy", 10, 99)]
    check(rows, shared, fills, participation_limit=0.1)


# All together ---------------------------------------------------------------------------------------------


def test_orders_are_tried_by_age_and_share_a_row():
    rows = bars(FIRST, (100, 101, 94, 96, 100))
    orders = {1: [("buy", 7, lambda p: Limit(price=p(95)), {}), ("buy", 7, lambda p: Limit(price=p(99)), {})]}
    check(rows, orders, [(2, "buy", 7, 95), (2, "buy", 3, 99)], participation_limit=0.1)


def test_many_prints_of_one_time_fill_one_order_many_times():
    """More fills at once than there are orders: each is written down, and announced."""
    rows = [{"ts": 1, "price": 100.0, "size": 1.0}, *[{"ts": 2, "price": 100.0, "size": 1.0}] * 500]
    rows += [{"ts": 3, "price": 100.0, "size": 1.0}]
    result = run(rows, {1: [lambda ctx: ctx.buy("X", 450)]}, kind="trade", participation_limit=1.0)
    assert result.fills.height == 450
    assert ends_of(result) == [("filled", 450.0, "")]
