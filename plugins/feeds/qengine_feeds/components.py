"""The feeds as components: their parameters and nothing else; data libraries load when one is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from qengine_core.plugin import ConfigError, component, param

if TYPE_CHECKING:
    from qengine_core.blocks import Source

__all__ = ["Adjust", "CsvFeed", "FrameFeed", "ParquetFeed", "SyntheticFeed", "TableFeed"]

Kind = Literal["bar", "trade", "quote", "signal"]
Detail = Mapping[str, str | float]


@component
class Adjust:
    """How bars are adjusted for splits and dividends: by an adjusted close or by a factor, from a column."""

    close: str | None = param(default=None, help="column with the adjusted close; the factor is this over the close")
    factor: str | None = param(default=None, help="column with the factor that prices are multiplied by")
    volume: bool = param(default=False, help="also divide volume by the factor")

    def __attrs_post_init__(self) -> None:
        if (self.close is None) == (self.factor is None):
            raise ConfigError("adjust needs either close or factor, the name of one column of the data.")


@component
class TableFeed:
    """What all feeds of tables have in common. Times in the data become int64 nanoseconds UTC."""

    kind: Kind = param(default="bar", help="what a row is")
    instruments: tuple[str, ...] | None = param(
        default=None, help="only these instruments; without it, all in the data"
    )
    instrument: str | None = param(default=None, help="name of the one instrument, when no column says it")
    columns: Mapping[str, str] = param(
        factory=dict, help='the data\'s column for each of ours, where they differ: {ts = "date", open = "o"}'
    )
    features: tuple[str, ...] | None = param(default=None, help="further columns to pass on; without it, all of them")
    time_zone: str = param(default="UTC", help="time zone of stamps and dates that do not say theirs")
    stamp: Literal["close", "open", "date"] | None = param(
        default=None,
        help="what a bar's stamp is: its close, its open (needs interval), or only its date; close by default",
    )
    interval: str | None = param(
        default=None, help='length of a bar, "1m", "1h", "1d": moves open stamps to the close, tells when bars opened'
    )
    session_close: str | None = param(
        default=None, help='local time at which a day\'s bar is known, "16:00"; without it, the end of that day'
    )
    ts_unit: Literal["s", "ms", "us", "ns"] | None = param(
        default=None, help="unit of whole-number stamps; ns by default"
    )
    ts_format: str | None = param(
        default=None, help='format of stamps written as text, "%d/%m/%Y %H:%M"; ISO by default'
    )
    start: str | None = param(default=None, help="first instant to deliver, ISO text, UTC")
    end: str | None = param(default=None, help="first instant not to deliver any more, ISO text, UTC")
    adjust: Adjust | None = param(default=None, help="adjust bars by a column: {close = ...} or {factor = ...}")
    sort: bool | None = param(
        default=None,
        help="sort by time in memory; by default only where the data needs it and has 5 million rows or fewer",
    )
    validate: Literal["raise", "warn", "off"] = param(
        default="raise", help="what to do about rows that cannot be right"
    )
    currency: str = param(default="USD", help="currency of the instruments")
    multiplier: float = param(default=1.0, help="money per point of price and unit of quantity", gt=0)
    tick_size: float = param(default=0.0, help="smallest step of the price; 0 for none", ge=0)
    lot_size: float = param(default=0.0, help="smallest step of the quantity; 0 for none", ge=0)
    details: Mapping[str, Detail] = param(
        factory=dict, help="currency, multiplier, tick_size or lot_size of single instruments, by name"
    )


@component
class ParquetFeed(TableFeed):
    """Parquet files: one, a glob, or a hive-partitioned folder. Streams; holds a bounded number of rows."""

    path: str | Path = param(help="file, glob, or folder (hive-partitioned or not)")

    def open(self) -> Source:
        """Look at the files. Raises DataError or ConfigError, one sentence long."""
        from qengine_feeds.parts import parquet_parts
        from qengine_feeds.source import open_tables

        return open_tables(self, "parquet", parquet_parts(self))


@component
class CsvFeed(TableFeed):
    """CSV files with a header: one, or a glob; plain or gzipped. Streams; holds a bounded number of rows."""

    path: str | Path = param(help="file, glob, or folder")
    delimiter: str = param(default=",", help="what separates the columns")
    header: tuple[str, ...] | None = param(
        default=None, help="names of the columns, for a file whose first line is data"
    )

    def open(self) -> Source:
        """Look at the files. Raises DataError or ConfigError, one sentence long."""
        from qengine_feeds.parts import csv_parts
        from qengine_feeds.source import open_tables

        return open_tables(self, "csv", csv_parts(self))


class HeldFrame:
    """A frame in memory that prints as what it is, not as what it holds: settings are written down, data not."""

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        data = data.data if isinstance(data, HeldFrame) else data
        if isinstance(data, type) or not hasattr(data, "__arrow_c_stream__"):
            raise ConfigError(
                f"frame must be a Polars, Arrow or pandas frame in memory, not {type(data).__name__}: in a run file, "
                "use the feed parquet or csv instead."
            )
        self.data: Any = data

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        stream: object = self.data.__arrow_c_stream__(requested_schema)
        return stream

    def __repr__(self) -> str:
        return f"<{type(self.data).__module__.partition('.')[0]} frame in memory>"


@component
class FrameFeed(TableFeed):
    """A frame in memory: Polars, Arrow, pandas, anything with ``__arrow_c_stream__``. Python only."""

    frame: Any = attrs.field(
        converter=HeldFrame,
        eq=False,
        metadata={"help": "the frame (Python only)", "unit": "", "limits": {}, "one_of": None},
    )

    def open(self) -> Source:
        """Look at the frame. Raises DataError or ConfigError, one sentence long."""
        from qengine_feeds.parts import frame_parts
        from qengine_feeds.source import open_tables

        return open_tables(self, "frame", frame_parts(self))


@component
class SyntheticFeed:
    """Random prices, the same for the same seed: geometric Brownian motion with overnight gaps and volume.

    Rows of all instruments share their stamps. Weekends are left out of bars of a day, and each change of
    date makes a gap in shorter ones.
    """

    kind: Literal["bar", "trade", "quote"] = param(default="bar", help="what a row is")
    instruments: tuple[str, ...] = param(default=("SYN",), help="names of the instruments")
    rows: int = param(default=1_000, help="rows per instrument", ge=1)
    start: str = param(default="2020-01-01", help="when the first interval opens, ISO text, UTC")
    interval: str = param(default="1d", help='time between rows: "1s", "1m", "1h", "1d"')
    seed: int = param(default=0, help="of the random numbers", ge=0)
    price: float = param(default=100.0, help="where each instrument starts", gt=0)
    drift: float = param(default=0.05, help="expected log return", unit="per year")
    volatility: float = param(default=0.2, help="standard deviation of the log return", unit="per root year", ge=0)
    gap: float = param(default=0.005, help="standard deviation of the log gap from one date to the next", ge=0)
    volume: float = param(default=10_000.0, help="mean volume of a bar, mean size of a trade or quote", gt=0)
    spread: float = param(default=0.0002, help="bid-ask spread of quotes, relative to the price", ge=0)
    currency: str = param(default="USD", help="currency of the instruments")
    multiplier: float = param(default=1.0, help="money per point of price and unit of quantity", gt=0)
    tick_size: float = param(default=0.0, help="smallest step of the price; prices are rounded to it; 0 for none", ge=0)
    lot_size: float = param(default=0.0, help="smallest step of the quantity; 0 for none", ge=0)

    def open(self) -> Source:
        """Check the parameters. Raises ConfigError."""
        from qengine_feeds.synthetic import SyntheticSource

        return SyntheticSource(self)
