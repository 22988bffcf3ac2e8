"""The search for the row that concerns a resting order, over more rows than it compares at a time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_feeds import FrameFeed
from qengine_orders import Limit, Stop
from qengine_strategy import Strategy

from qengine_core.engine import Engine

START = np.datetime64("2024-01-01T00:00", "ns")
QUIET = 100.0


class _SendsFirst(Strategy):
    """Sends one order on the first row, and wants no other."""

    side: int
    type: object

    def on_start(self, ctx):
        self.sent = False

    def act(self, ctx, event):
        if not self.sent:
            self.sent = True
            ctx.order(event.instrument, self.side, self.type)

    on_bar = on_trade = on_quote = act


def _frame(kind, rows, row, price):
    """Rows on which nothing happens, but for one whose prices are others."""
    values = np.full(rows, QUIET)
    values[row] = price
    ts = START + np.arange(rows) * np.timedelta64(60, "s")
    columns = {
        "bar": {"open": values, "high": values, "low": values, "close": values, "volume": np.full(rows, 1e6)},
        "trade": {"price": values, "size": np.full(rows, 1e6)},
        "quote": {"bid": values, "ask": values, "bid_size": np.full(rows, 1e6), "ask_size": np.full(rows, 1e6)},
    }
    return pl.DataFrame({"ts": ts} | columns[kind]).with_columns(pl.col("ts").dt.replace_time_zone("UTC"))


@pytest.mark.parametrize("kind", ["bar", "trade", "quote"])
@settings(deadline=None)
@given(data=st.data())
def test_an_order_fills_on_the_one_row_that_reaches_it_wherever_that_lies(kind, data):
    rows = data.draw(st.integers(2, 400), "rows")
    row = data.draw(st.integers(1, rows - 1), "the row with another price")
    side, order_type, price = data.draw(
        st.sampled_from(
            [(1, Limit(95.0), 90.0), (-1, Limit(105.0), 110.0), (1, Stop(105.0), 110.0), (-1, Stop(95.0), 90.0)]
        ),
        "order",
    )
    frame = _frame(kind, rows, row, price)
    result = Engine(
        feed=FrameFeed(frame=frame, kind=kind, instrument="X"),
        strategy=_SendsFirst(side=side, type=order_type),
        broker={"use": "simulated", "short_selling": True},
    ).run()
    assert result.fills["ts"].to_list() == [frame["ts"][row]]
