"""Many orders at rest: a row fills those that it reaches and no other, oldest first, whatever came and went before.

The broker keeps them in heaps by price. What it does is held against a list that is gone through one by one.
"""

from __future__ import annotations

import attrs
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from qengine_broker_sim import SimulatedBroker
from qengine_orders import MarketIfTouched, Stop
from qengine_strategy import Strategy
from qengine_strategy.testing import ListFeed

from qengine_core.engine import Engine
from qengine_core.plugin import Instrument

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
NAMES = ("A", "B")
PRICES = st.integers(60, 140).map(lambda n: n / 4)
ACTIONS = st.one_of(
    st.tuples(
        st.sampled_from(["limit", "limit", "stop", "touch"]), st.sampled_from(NAMES), st.sampled_from([1, -1]), PRICES
    ),
    st.tuples(st.just("market"), st.sampled_from(NAMES), st.sampled_from([1, -1]), st.just(0.0)),
    st.tuples(st.just("cancel"), st.integers(0, 10_000)),
    st.tuples(st.just("amend"), st.integers(0, 10_000), PRICES),
)


@st.composite
def markets(draw: st.DrawFn) -> list[dict]:
    """Bars of two instruments, some missing, which move by a little or by a lot."""
    rows = []
    for step in range(draw(st.integers(2, 12))):
        for name in NAMES:
            if draw(st.integers(0, 4)):
                opened, closed, up, down = (draw(st.integers(80, 120)) / 4 for _ in range(4))
                high, low = max(opened, closed, up), min(opened, closed, down)
                bar = {"open": opened, "high": high, "low": low, "close": closed, "volume": 1e9}
                rows.append({"ts": 1_000 + step, "instrument": name} | bar)
    return rows or [{"ts": 1, "instrument": "A"} | dict.fromkeys(("open", "high", "low", "close", "volume"), 25.0)]


class Crowded(Strategy):
    """Does what its script says for each slice."""

    script: list

    def on_start(self, ctx):
        self.sent, self.calls = [], 0

    def on_slice(self, ctx, bars):
        for action, *what in self.script[self.calls] if self.calls < len(self.script) else ():
            if action == "cancel" and self.sent:
                ctx.cancel(self.sent[what[0] % len(self.sent)])
            elif action == "amend" and self.sent:
                order = self.sent[what[0] % len(self.sent)]
                if order.type == "limit":
                    ctx.amend(order, limit=what[1])
            elif action not in ("cancel", "amend"):
                name, side, price = what
                kinds = {"stop": Stop, "touch": MarketIfTouched}
                options = {"limit": price} if action == "limit" else {}
                options |= {"type": kinds[action](price=price)} if action in kinds else {}
                self.sent.append((ctx.buy if side > 0 else ctx.sell)(name, 1, **options))
        self.calls += 1


@attrs.define
class Resting:
    """An order of the model."""

    number: int
    kind: str
    name: str
    side: int
    level: float
    age: int

    def price_on(self, bar):
        """What it fills at, or None."""
        opened = bar["open"]
        if self.kind == "market":
            return opened
        falls = (self.side > 0) == (self.kind != "stop")
        if opened <= self.level if falls else opened >= self.level:
            return opened
        return self.level if (bar["low"] <= self.level if falls else bar["high"] >= self.level) else None


def expected(rows, script):
    """Fills as ``(ts, order, price)``: every order is looked at on every bar, exits before others, oldest first."""
    sent, resting, fills, held, age = [], [], [], dict.fromkeys(NAMES, 0), 0
    for call, ts in enumerate(sorted({row["ts"] for row in rows})):
        bars = {row["instrument"]: row for row in rows if row["ts"] == ts}
        for exits_only in (True, False):
            for name, bar in bars.items():
                for order in sorted((o for o in resting if o.name == name), key=lambda o: o.age):
                    if exits_only and not held[name] * order.side < 0:
                        continue
                    price = order.price_on(bar)
                    if price is not None:
                        fills.append((ts, order.number, price))
                        held[name] += order.side
                        resting.remove(order)
        for action, *what in script[call] if call < len(script) else ():
            age += 1
            if action in ("cancel", "amend"):
                order = sent[what[0] % len(sent)] if sent else None
                if order not in resting:
                    continue
                if action == "cancel":
                    resting.remove(order)
                elif order.kind == "limit" and order.level != what[1]:
                    order.level, order.age = what[1], age
            else:
                name, side, price = what
                sent.append(Resting(len(sent) + 1, action, name, side, price, age))
                resting.append(sent[-1])
    return fills


@settings(phases=PHASES, max_examples=150, deadline=None)
@given(
    markets(),
    st.lists(st.lists(ACTIONS, max_size=30), min_size=1, max_size=8),
    st.sampled_from(["interest", "every-row"]),
)
def test_a_row_fills_what_it_reaches_oldest_first(rows, script, wake):
    result = Engine(
        feed=ListFeed(rows=rows, block_rows=7, instruments=[Instrument(name=name) for name in NAMES]),
        strategy=Crowded(script=script),
        broker=SimulatedBroker(buying_power="off", short_selling=True),
        wake=wake,
    ).run()
    fills = result.fills.select(pl.col("ts").dt.epoch("ns"), "order_id", "price")
    assert fills.rows() == expected(rows, script)


@pytest.mark.parametrize("rises", [False, True])
def test_a_thousand_limits_fill_by_age_when_a_bar_passes_them_all(rises):
    """Sent from the nearest to the farthest and the other way round: heaps of both shapes."""

    class Ladder(Strategy):
        def on_start(self, ctx):
            for step in range(1_000) if rises else reversed(range(1_000)):
                ctx.buy("A", 1, limit=10 + step / 100)

    rows = [{"ts": ts, "instrument": "A", "open": 30, "high": 30, "low": low, "close": 30, "volume": 1e9}
            for ts, low in enumerate([30, 19.5, 19.5, 5, 5], 1)]  # fmt: skip
    result = Engine(feed=ListFeed(rows=rows), strategy=Ladder(), broker=SimulatedBroker(buying_power="off")).run()
    reached = [order for order in range(1, 1_001) if (order > 950 if rises else order <= 50)]
    rest = [order for order in range(1, 1_001) if order not in reached]
    assert result.fills["order_id"].to_list() == reached + rest
    assert result.fills["ts"].n_unique() == 2
