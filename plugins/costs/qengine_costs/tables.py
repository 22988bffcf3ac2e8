"""Tables of rates and dividends from files; it knows what columns must be there, not what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from qengine_core.plugin import DataError

__all__ = ["dates_of", "read_table", "stamps_of"]


def read_table(path: Path, columns: Sequence[str], what: str) -> pl.DataFrame:
    """A Parquet or CSV file, sorted by its time and instrument.

    ``columns`` must be there, and have no nulls; ``what`` names the component in errors. Numbers other than times come
    as float64. Raises DataError.
    """
    if not path.is_file():
        raise DataError(f"{what}: there is no file {path}.")
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, try_parse_dates=True)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{what}: {path} cannot be read as {path.suffix[1:] or 'CSV'}: {error}") from error
    for column in columns:
        if column not in frame.columns:
            raise DataError(f"{what}: {path} has no column {column!r}; it needs {', '.join(columns)}.")
        if frame[column].null_count():
            raise DataError(f"{what}: {path} has no {column} in row {frame[column].is_null().arg_max()}.")
    numbers = [pl.col(name).cast(pl.Float64) for name in ("amount", "rate", "ratio") if name in columns]
    when = next(name for name in columns if name in ("date", "ex_date", "ts"))
    try:
        return frame.with_columns(pl.col("instrument").cast(pl.String), *numbers).sort(when, "instrument")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{what}: {path} has something else than numbers in a column of numbers: {error}") from error


def dates_of(column: pl.Series) -> list[int]:
    """Days since 1970, of a column of dates, of times in UTC, or of ISO text; None for null."""
    try:
        if column.dtype == pl.String:
            column = column.str.to_date()
        return column.cast(pl.Date).to_physical().to_list()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"The column {column.name!r} must hold dates: {error}") from error


def stamps_of(column: pl.Series) -> list[int]:
    """Nanoseconds since 1970 UTC, of a column of times without zone or in one, of whole nanoseconds, or of ISO text."""
    if column.dtype == pl.Int64:
        return column.to_list()
    try:
        if column.dtype == pl.String:
            column = column.str.to_datetime(time_unit="ns", time_zone="UTC")
        return column.cast(pl.Datetime("ns")).to_physical().to_list()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"The column {column.name!r} must hold times: {error}") from error
