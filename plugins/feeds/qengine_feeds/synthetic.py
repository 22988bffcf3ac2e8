"""Random market data from a seed: prices that look like prices, and mean nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.blocks import BLOCK_ROWS, Block, StreamInfo
from qengine_core.plugin import ConfigError
from qengine_feeds.components import SyntheticFeed
from qengine_feeds.source import instruments_of
from qengine_feeds.stamps import instant_ns, interval_ns

__all__ = ["SyntheticSource"]

Floats = npt.NDArray[np.float64]

_DAY_NS = 86_400_000_000_000
_YEAR_NS = 365.25 * _DAY_NS
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "bar": ("open", "high", "low", "close", "volume"),
    "trade": ("price", "size"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
}


class SyntheticSource:
    """What ``SyntheticFeed.open`` returns. Each instrument has its own generator, seeded by its name.

    So an instrument's prices do not depend on which others there are, nor on how many rows follow.
    """

    def __init__(self, feed: SyntheticFeed) -> None:
        if not feed.instruments or len(set(feed.instruments)) < len(feed.instruments):
            raise ConfigError(f"instruments must be one or more different names, not {list(feed.instruments)!r}.")
        self._feed = feed
        self._names = sorted(feed.instruments)
        self._start = instant_ns(feed.start, "start")
        self._interval = interval_ns(feed.interval, "interval")
        self.info = StreamInfo(
            kind=feed.kind,
            columns=_COLUMNS[feed.kind],
            instruments=instruments_of(feed, self._names, {}),
            rows=feed.rows * len(self._names),
            interval=self._interval if feed.kind == "bar" else 0,
            description={"feed": "synthetic", **_settings(feed), "instruments": self._names},
        )

    def blocks(self, stream: int, codes: Mapping[str, int]) -> Iterator[Block]:
        """Yield the rows: at each instant one of each instrument, by name."""
        feed, count = self._feed, len(self._names)
        walks = [_Walk(feed, name) for name in self._names]
        instruments = np.array([codes[name] for name in self._names], np.int32)
        instants_per_block = max(1, BLOCK_ROWS // count)
        for first in range(0, feed.rows, instants_per_block):
            length = min(instants_per_block, feed.rows - first)
            ts = self._stamps(first, length)
            new_dates = self._new_dates(first, length, ts)
            parts = [walk.columns(new_dates, self._interval / _YEAR_NS) for walk in walks]
            columns = {name: _interleaved([part[name] for part in parts]) for name in _COLUMNS[feed.kind]}
            yield Block(stream, np.repeat(ts, count), np.tile(instruments, length), columns)

    def _stamps(self, first: int, length: int) -> npt.NDArray[np.int64]:
        """Closes of the intervals; bars of a day skip Saturdays and Sundays."""
        steps = np.arange(first, first + length, dtype=np.int64)
        if self._interval != _DAY_NS:
            return self._start + (steps + 1) * self._interval
        day, rest = divmod(self._start, _DAY_NS)
        days = np.busday_offset(np.datetime64(day, "D"), steps, roll="forward").astype(np.int64)
        return days * _DAY_NS + rest + _DAY_NS

    def _new_dates(self, first: int, length: int, ts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Where an interval opens on another date than the one before it."""
        dates = (ts - self._interval) // _DAY_NS
        before = (self._stamps(first - 1, 1) - self._interval) // _DAY_NS if first else dates[:1]
        return np.diff(dates, prepend=before) != 0  # type: ignore[no-any-return]


class _Walk:
    """One instrument's price on its way."""

    def __init__(self, feed: SyntheticFeed, name: str) -> None:
        self._feed = feed
        self._rng = np.random.Generator(np.random.PCG64([feed.seed, *name.encode()]))
        self._log = float(np.log(feed.price))

    def columns(self, new_dates: npt.NDArray[np.bool_], years: float) -> dict[str, Any]:
        """The next rows. A log step has the mean of drift minus half the variance, so that drift is expected growth."""
        feed, length = self._feed, len(new_dates)
        noise = self._rng.standard_normal((length, 6))  # by rows: the first rows are the same however many follow
        sigma = feed.volatility * np.sqrt(years)
        steps = (feed.drift - feed.volatility**2 / 2) * years + sigma * noise[:, 0]
        gaps = np.where(new_dates, feed.gap * noise[:, 1], 0.0)
        # One running sum over gap, step, gap, step: the same to the last bit however the rows are cut.
        path = np.cumsum(np.concatenate([[self._log], np.column_stack([gaps, steps]).ravel()]))[1:]
        opened, closed = path[0::2], path[1::2]
        self._log = float(path[-1])
        amounts = np.round(feed.volume * np.exp(0.5 * noise[:, 2:4] - 0.125)) + 1.0
        if feed.kind == "trade":
            return {"price": self._rounded(np.exp(closed)), "size": amounts[:, 0]}
        if feed.kind == "quote":
            return self._quotes(np.exp(closed), amounts)
        extremes = sigma * np.abs(noise[:, 4:6]) / 2
        high = np.maximum(opened, closed) + extremes[:, 0]
        low = np.minimum(opened, closed) - extremes[:, 1]
        prices = {"open": opened, "high": high, "low": low, "close": closed}
        return {name: self._rounded(np.exp(log)) for name, log in prices.items()} | {"volume": amounts[:, 0]}

    def _quotes(self, middle: Floats, amounts: Floats) -> dict[str, Any]:
        half = middle * self._feed.spread / 2
        bid, ask = self._rounded(middle - half), self._rounded(middle + half)
        return {"bid": bid, "ask": ask, "bid_size": amounts[:, 0], "ask_size": amounts[:, 1]}

    def _rounded(self, price: Floats) -> Floats:
        tick = self._feed.tick_size
        return np.maximum(np.round(price / tick), 1.0) * tick if tick else price


def _settings(feed: SyntheticFeed) -> dict[str, Any]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(feed))  # type: ignore[arg-type]
    return {field.name: getattr(feed, field.name) for field in fields}


def _interleaved(columns: list[Floats]) -> Floats:
    """First row of each, then second row of each."""
    return np.ascontiguousarray(columns[0] if len(columns) == 1 else np.column_stack(columns).ravel())
