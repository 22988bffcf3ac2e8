"""A market of a few rows, and a script of orders: run in every lane and mode, and in the mirror, with one outcome.

The mirror turns every price p into 200 - p, and every buyer into a seller: whatever holds for one side of
an order type must hold for the other.
"""

from __future__ import annotations

import io

from qengine_broker_sim import SimulatedBroker
from qengine_strategy import Strategy
from qengine_strategy.testing import drive

OTHER = {"buy": "sell", "sell": "buy"}
TABLES = ("orders", "fills", "equity", "positions", "trades", "amendments")
FREE = {"buying_power": "off", "short_selling": True}


class OnBars(Strategy):
    """Does ``script[n]`` at its n-th callback."""

    script: dict

    def on_start(self, ctx):
        self.calls = 0
        self.act(ctx)

    def act(self, ctx):
        for do in self.script.get(self.calls, ()):
            do(ctx)
        self.calls += 1

    def on_bar(self, ctx, bar):
        self.act(ctx)


class OnSlices(OnBars):
    on_bar = Strategy.on_bar

    def on_slice(self, ctx, bars):
        self.act(ctx)


class OnTrades(OnBars):
    on_bar = Strategy.on_bar

    def on_trade(self, ctx, trade):
        self.act(ctx)


class OnQuotes(OnBars):
    on_bar = Strategy.on_bar

    def on_quote(self, ctx, quote):
        self.act(ctx)


LANES = {"bar": (OnBars, OnSlices), "trade": (OnTrades,), "quote": (OnQuotes,)}


def bar(ts, opening, high, low, close, volume=1000.0):
    return {"ts": ts, "open": opening, "high": high, "low": low, "close": close, "volume": volume}


def bars(*rows, step=1):
    """Bars at times step, 2 * step, ...: (open, high, low, close[, volume])."""
    return [bar((n + 1) * step, *row) for n, row in enumerate(rows)]


def prints(*rows):
    """Trades at times 1, 2, ...: (price, size)."""
    return [{"ts": n + 1, "price": float(price), "size": float(size)} for n, (price, size) in enumerate(rows)]


def quotes(*rows, size=1000.0):
    """Quotes at times 1, 2, ...: (bid, ask)."""
    return [
        {"ts": n + 1, "bid": float(bid), "ask": float(ask), "bid_size": size, "ask_size": size}
        for n, (bid, ask) in enumerate(rows)
    ]


def mirrored(row):
    swapped = dict(row)
    for name, other in (("open", "open"), ("close", "close"), ("price", "price"), ("high", "low"), ("low", "high")):
        if name in row:
            swapped[name] = 200.0 - row[other]
    for name, other in (("bid", "ask"), ("ask", "bid")):
        if name in row:
            swapped[name] = 200.0 - row[other]
            swapped[f"{name}_size"] = row[f"{other}_size"]
    return swapped


def as_bytes(frame):
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


def run(rows, script, *, kind="bar", instruments=(), interval=0, **policies):
    """The result of a script (callback's number -> functions of the context), the same in all lanes and modes."""
    results = [
        drive(
            lane(script=script),
            rows,
            kind=kind,
            instruments=instruments,
            interval=interval,
            block_rows=size,
            broker=SimulatedBroker(**FREE | policies),
            wake=wake,
        )
        for lane in LANES[kind]
        for wake, size in (("interest", 1000), ("every-row", 1000), ("interest", 2))
    ]
    for other in results[1:]:
        for name in TABLES:
            assert as_bytes(results[0][name]) == as_bytes(other[name]), name
        assert results[0].counts == other.counts
    return results[0]


def fills_of(result):
    """Every fill as (time, side, quantity, price)."""
    stamps = result.fills["ts"].cast(int)
    columns = (stamps, result.fills["side"], result.fills["quantity"], result.fills["price"])
    return [(ts, side, round(quantity, 9), round(price, 9)) for ts, side, quantity, price in zip(*columns, strict=True)]


def ends_of(result):
    """Every order as (state, filled, reason)."""
    return result.orders.select("state", "filled", "reason").rows()


def check(rows, orders, fills, *, ends=None, ambiguous=None, mirror=True, **settings):
    """Hold the fills of orders against those computed by hand, on the given market and in its mirror.

    ``orders`` says what is sent at which callback: (side, quantity, price -> order type or None, options).
    ``fills`` are (time, side, quantity, price) and may have fewer fields; returns the first result.
    """
    found = []
    for is_mirror in (False, True) if mirror else (False,):
        price = (lambda p: 200.0 - p) if is_mirror else float
        script = {
            call: [_sender(side, quantity, make, options, price, is_mirror) for side, quantity, make, options in those]
            for call, those in orders.items()
        }
        result = run([mirrored(row) for row in rows] if is_mirror else rows, script, **settings)
        expected = [
            (ts, OTHER[side] if is_mirror else side, float(quantity), round(price(at), 9))
            for ts, side, quantity, at in fills
        ]
        assert fills_of(result) == expected, "in the mirror" if is_mirror else ""
        if ends is not None:
            assert ends_of(result) == [(state, float(filled), reason) for state, filled, reason in ends]
        if ambiguous is not None:
            assert result.counts["ambiguous_bars"] == ambiguous
        found.append(result)
    return found[0]


def _sender(side, quantity, make, options, price, is_mirror):
    name = OTHER[side] if is_mirror else side
    return lambda ctx: getattr(ctx, name)("X", quantity, make(price) if make else None, **options)


def sends(side, quantity, make=None, at=1, **options):
    """One order, sent at a callback (1 is the first row)."""
    return {at: [(side, quantity, make, options)]}
