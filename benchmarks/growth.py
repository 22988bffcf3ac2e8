"""How cost grows with size: time per row, per order with many at rest, per instrument of a cross-section.

Each figure is the median of three runs in a process of its own, after a small one that loads and compiles. The feed
repeats one block with later times, so that neither reading nor memory grows with the number of rows. Seconds are the
processor's, of the loop alone: what else the machine does, how orders get there and how they expire does not count.
"""

from __future__ import annotations

import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from qengine_strategy import Bar, Context, Slice, Strategy

from benchmarks.workloads import Quoter, Watcher
from qengine_core import Engine, Result, Timings
from qengine_core.blocks import BLOCK_ROWS, Block, StreamInfo
from qengine_core.plugin import Instrument, component, param

__all__ = ["CASES", "Case", "measure", "table"]

_SECOND = 1_000_000_000
_REPEAT = 3


@component
class Repeating:
    """Rows of one or more instruments, one of each per instant: one block again and again, at later times."""

    kind: str
    rows: int
    instruments: int = 1

    def open(self) -> _Repeating:
        return _Repeating(self)


class _Repeating:
    def __init__(self, feed: Repeating) -> None:
        self._feed = feed
        self._names = [f"S{number:04d}" for number in range(feed.instruments)]
        self.info = StreamInfo(
            kind=feed.kind,
            columns=("open", "high", "low", "close", "volume") if feed.kind == "bar" else ("price", "size"),
            instruments=tuple(Instrument(name=name) for name in self._names),
            rows=feed.rows,
            interval=_SECOND if feed.kind == "bar" else 0,
            description={"feed": "repeating", "rows": feed.rows},
        )

    def blocks(self, stream: int, codes: Mapping[str, int]) -> Iterator[Block]:
        count = len(self._names)
        length = max(1, BLOCK_ROWS // count)  # instants in a block
        own = np.tile(np.array([codes[name] for name in self._names], np.int32), length)
        ts = np.repeat(np.arange(1, length + 1, dtype=np.int64) * _SECOND, count)
        columns = _prices(self._feed.kind, length, count)
        for first in range(0, self._feed.rows, length * count):
            rows = slice(0, min(length * count, self._feed.rows - first))
            later = ts[rows] + first // count * _SECOND
            yield Block(stream, later, own[rows], {name: column[rows] for name, column in columns.items()})


def _prices(kind: str, length: int, count: int) -> dict[str, Any]:
    """Prices that come back to where they began, within about ten of a hundred, on a grid of a cent."""
    rng = np.random.default_rng(23)
    steps = rng.choice(np.array([-0.01, 0.0, 0.0, 0.0, 0.01]), (length, count))
    steps[length // 2 :] = -steps[: length - length // 2][::-1] if length > 1 else 0.0
    close = np.round(100 + np.cumsum(steps, axis=0), 2)
    if kind == "trade":
        return {"price": close.ravel(), "size": rng.integers(1, 500, close.size).astype(np.float64)}
    opening = np.vstack((close[:1], close[:-1]))
    high, low = np.maximum(opening, close) + 0.01, np.minimum(opening, close) - 0.01
    columns = {"open": opening, "high": high, "low": low, "close": close, "volume": np.full(close.shape, 1e6)}
    return {name: column.ravel() for name, column in columns.items()}


@component
class _Clocked:
    """The reference runner, and what it took of the processor's time; a list, because a component is frozen."""

    seconds: list[float] = param(factory=list, help="filled in")

    def run(self, loop: Any, timeline: Any) -> None:
        began = time.process_time()
        loop.run(timeline)
        self.seconds.append(time.process_time() - began)


class _Crowd(Strategy):
    """Keeps ``resting`` limit orders out of reach, spread over all instruments, and sends an order on every bar.

    ``moves`` cancels the oldest of the bar's instrument and sends another one in its place; else it trades at market.
    """

    resting: int = 10
    moves: bool = True

    def on_start(self, ctx: Context) -> None:
        names = ctx.instruments
        self.sides = dict.fromkeys(names, False)
        self.orders: dict[str, deque[Any]] = {name: deque() for name in names}
        self.prices = itertools.cycle([round(10 + 0.01 * step, 2) for step in range(5_000)])
        for _, name in zip(range(self.resting), itertools.cycle(names)):
            self.orders[name].append(ctx.buy(name, 1, limit=next(self.prices)))

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        name = bar.instrument
        if self.moves:
            orders = self.orders[name]
            if orders:
                ctx.cancel(orders.popleft())
                orders.append(ctx.buy(name, 1, limit=next(self.prices)))
            return
        self.sides[name] = buys = not self.sides[name]
        if buys:
            ctx.buy(name, 1)
        else:
            ctx.sell(name, 1)


class _Section(Strategy):
    """Reads one column of a cross-section and trades at most three of its instruments."""

    def on_slice(self, ctx: Context, bars: Slice) -> None:
        closes = bars.close
        lowest = int(closes.argmin())
        for code in dict.fromkeys((0, lowest, len(closes) - 1)):
            if ctx.portfolio.position(bars.instruments[code]) > 0:
                ctx.sell(bars.instruments[code], 1)
            else:
                ctx.buy(bars.instruments[code], 1)


@attrs.frozen
class Case:
    """What grows, how far, and how much work a run of a size is; ``run`` returns the result."""

    title: str
    of: str  # what a size is a number of
    sizes: tuple[int, ...]
    unit: str  # what the time is divided by
    work: Callable[[Result, int], int]
    parts: Callable[[int], dict[str, Any]]
    check: Callable[[Result, int], bool]
    large: tuple[int, ...] = ()

    def run(self, size: int, timings: Timings | None = None, runner: Any = None) -> Result:
        """Run one size. Raises SystemExit if the work was not done."""
        result = Engine(ledger={"cash": 1e9}, runner=runner, **self.parts(size)).run(timings=timings)
        if not self.check(result, size):
            sys.exit(f"{self.title}, {size:,} {self.of}: the work was not done: {result.counts}")
        return result


_ROWS = (100_000, 1_000_000, 10_000_000)
_RESTING = (0, 10, 100, 1_000, 10_000)
_BARS = 20_000  # that bring an order each
_INSTANTS = 500  # of a cross-section


def _crowd(title: str, instruments: int, moves: bool) -> Case:
    def parts(size: int) -> dict[str, Any]:
        feed = Repeating(kind="bar", rows=_BARS, instruments=instruments)
        return {"feed": feed, "strategy": _Crowd(resting=size, moves=moves)}

    def sent(result: Result, size: int) -> int:
        orders: int = result.counts["orders"] - size
        return orders

    return Case(
        title=title,
        of="resting orders",
        sizes=_RESTING[1:] if moves else _RESTING,
        unit="order",
        work=sent,
        parts=parts,
        check=lambda result, size: (
            sent(result, size) > _BARS // 20 and result.counts["fills"] >= (0 if moves else _BARS - instruments)
        ),
    )


CASES = {
    "bars": Case(
        title="a strategy that reads each close (W3)",
        of="bars",
        sizes=_ROWS,
        large=(100_000_000,),
        unit="row",
        work=lambda result, size: result.rows,
        parts=lambda size: {"feed": Repeating(kind="bar", rows=size), "strategy": Watcher()},
        check=lambda result, size: result.rows == size and not result.counts["orders"],
    ),
    "ticks": Case(
        title="a resting order re-quoted every 1,000 prints (W4)",
        of="prints",
        sizes=_ROWS,
        large=(100_000_000,),
        unit="row",
        work=lambda result, size: result.rows,
        parts=lambda size: {"feed": Repeating(kind="trade", rows=size), "strategy": Quoter()},
        check=lambda result, size: result.counts["orders"] == size // 1_000,
    ),
    "moved": _crowd("a limit order moved on every bar, one instrument", 1, moves=True),
    "moved-100": _crowd("a limit order moved on every bar, 100 instruments", 100, moves=True),
    "market": _crowd("a market order on every bar, one instrument", 1, moves=False),
    "market-100": _crowd("a market order on every bar, 100 instruments", 100, moves=False),
    "instruments": Case(
        title="a cross-section that is read and up to three orders",
        of="instruments",
        sizes=(1, 10, 100, 1_000, 3_000),
        unit="row",
        work=lambda result, size: result.rows,
        parts=lambda size: {
            "feed": Repeating(kind="bar", rows=_INSTANTS * size, instruments=size),
            "strategy": _Section(),
        },
        check=lambda result, size: result.rows == _INSTANTS * size and result.counts["orders"] >= _INSTANTS,
    ),
}


def measure(name: str, size: int) -> dict[str, float]:
    """The median time of a run of one size in seconds, how much work it was, and the most memory that all took."""
    case = CASES[name]
    case.run(min(size, case.sizes[0]))
    runs = [_once(case, size) for _ in range(_REPEAT)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds for seconds, _ in runs), "work": runs[0][1], "peak_rss_mb": peak}


def _once(case: Case, size: int) -> tuple[float, int]:
    """Run, and keep nothing of the result: what it holds may be gigabytes."""
    clocked = _Clocked()
    result = case.run(size, runner=clocked)
    return clocked.seconds[0], case.work(result, size)


def table(name: str, *, large: bool) -> Iterator[str]:
    """The lines of a Markdown table of one case, each as it is measured in a fresh process."""
    case, first = CASES[name], 0.0
    yield f"\n{case.title}\n"
    yield f"| {case.of} | seconds | time per {case.unit} | against the first | peak RSS, MB |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for size in case.sizes + (case.large if large else ()):
        command = [sys.executable, "-m", "benchmarks", "growth", name, "--size", str(size), "--json"]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        each = found["seconds"] / found["work"]
        first = first or each
        cells = (f"{size:,}", f"{found['seconds']:.4f}", _readable(each), f"{each / first:.2f}")
        yield f"| {' | '.join(cells)} | {found['peak_rss_mb']:,.0f} |"


def _readable(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} us" if seconds >= 1e-6 else f"{seconds * 1e9:,.1f} ns"
