"""How long messages travel between strategy and market: fixed, or as somebody measured it.

Times are int64 nanoseconds. Three legs: ``feed``, from the market to the strategy, ``entry``, from the
strategy to the market (orders, changes and cancellations alike), and ``response``, back with fills and states.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qengine_core.plugin import ConfigError, DataError, component, param

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qengine_core.run import Run

__all__ = ["FixedLatencies", "MeasuredLatency"]

_MILLISECOND = 1_000_000
_COLUMNS = ("req_ts", "exch_ts", "resp_ts")


@attrs.frozen
class FixedLatencies:
    """The same latency at all times, in nanoseconds."""

    entry_ns: int
    feed_ns: int
    response_ns: int

    def entry(self, ts: int) -> int:
        return self.entry_ns

    def feed(self, ts: int) -> int:
        return self.feed_ns

    def response(self, ts: int) -> int:
        return self.response_ns


class _Samples:
    """A frame in memory that prints as what it is: settings are written down, data not."""

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        self.data: Any = data.data if isinstance(data, _Samples) else data

    def __repr__(self) -> str:
        return "<samples in memory>"


@component
class MeasuredLatency:
    """Latencies of orders as they were measured, interpolated by time, as hftbacktest's ``IntpOrderLatency`` does.

    A sample is three times: when an order was sent (``req_ts``), when the exchange had it (``exch_ts``), and when
    its answer was back (``resp_ts``). Between two samples the entry latency is interpolated by ``req_ts``, the
    response latency by ``exch_ts``, linearly, rounded down to whole nanoseconds; before the first sample and
    after the last, theirs holds. All of these are in one time, nanoseconds since 1970 UTC, as whole numbers or
    datetimes; a sample that goes back in time is refused.
    """

    path: Path | None = param(default=None, help="A Parquet or CSV file of samples.")
    samples: Any = attrs.field(
        default=None,
        converter=attrs.converters.optional(_Samples),
        eq=False,
        metadata={"help": "the samples as a frame (Python only)", "unit": "", "limits": {}, "one_of": None},
    )
    feed_latency: float = param(
        default=0.0, help="How much later than the market the strategy sees a row.", unit="milliseconds", ge=0
    )

    def __attrs_post_init__(self) -> None:
        if (self.path is None) == (self.samples is None):
            raise ConfigError("A measured latency needs its samples: from a file (path) or as a frame (samples).")

    def build(self, run: Run) -> _Interpolated:
        """Read and check the samples. Raises DataError naming the first sample that cannot be right."""
        import numpy as np
        import polars as pl

        if self.path is None:
            frame, where = pl.DataFrame(self.samples.data), "the samples"
        else:
            frame = (pl.read_csv if self.path.suffix == ".csv" else pl.read_parquet)(self.path)
            where = str(self.path)
        missing = [name for name in _COLUMNS if name not in frame.columns]
        if missing or not frame.height:
            what = f"no column {missing[0]}" if missing else "no row"
            raise DataError(f"{where}: a measured latency needs samples of {', '.join(_COLUMNS)}, but there is {what}.")
        times = [np.asarray(frame[name].cast(pl.Datetime("ns")).cast(pl.Int64)) for name in _COLUMNS]
        _check(times, where)
        return _Interpolated(times, round(self.feed_latency * _MILLISECOND))


def _check(times: Sequence[Any], where: str) -> None:
    import numpy as np

    for earlier, later, first, second in zip(times, times[1:], _COLUMNS, _COLUMNS[1:], strict=False):
        if (wrong := np.flatnonzero(later < earlier)).size:
            at = int(wrong[0])
            raise DataError(
                f"{where}, sample {at}: {second} ({later[at]}) lies before {first} ({earlier[at]}), a negative "
                "latency; bring both clocks together, or leave the sample out."
            )
    for column, name in zip(times[:2], _COLUMNS, strict=False):
        if (wrong := np.flatnonzero(np.diff(column) < 0)).size:
            at = int(wrong[0]) + 1
            raise DataError(
                f"{where}, sample {at}: {name} ({column[at]}) lies before that of the sample before it "
                f"({column[at - 1]}); sort the samples by {name}."
            )


class _Interpolated:
    """The samples of one run, looked up by time."""

    def __init__(self, times: Sequence[Any], feed: int) -> None:
        sent, arrived, answered = times
        self._sent, self._arrived = sent.tolist(), arrived.tolist()
        self._entry, self._response = (arrived - sent).tolist(), (answered - arrived).tolist()
        self._feed = feed

    def entry(self, ts: int) -> int:
        return _at(ts, self._sent, self._entry)

    def feed(self, ts: int) -> int:
        return self._feed

    def response(self, ts: int) -> int:
        return _at(ts, self._arrived, self._response)


def _at(ts: int, times: Sequence[int], values: Sequence[int]) -> int:
    """The value at a time, on the line between the samples around it."""
    after = bisect_right(times, ts)
    if after == 0 or after == len(times):
        return values[min(after, len(times) - 1)] if after == 0 else values[-1]
    before = after - 1
    span, rise = times[after] - times[before], values[after] - values[before]
    return values[before] + rise * (ts - times[before]) // span
