"""A close that is missing is blamed itself, though every price is adjusted by it."""

from __future__ import annotations

import polars as pl
import pytest
from qengine_feeds import Adjust, FrameFeed

from qengine_core.plugin import DataError


def test_a_missing_close_is_named_although_prices_are_adjusted_by_it():
    frame = pl.DataFrame(
        {
            "ts": pl.Series([1_600_000_000_000_000_000, 1_600_000_060_000_000_000], dtype=pl.Int64),
            "open": [10.0, 10.0],
            "high": [11.0, 11.0],
            "low": [9.0, 9.0],
            "close": [10.0, float("nan")],
            "adj_close": [5.0, 5.0],
        }
    )
    feed = FrameFeed(frame=frame, instrument="X", adjust=Adjust(close="adj_close"))
    with pytest.raises(DataError, match="row 2, column close, instrument X"):
        list(feed.open().blocks(0, {"X": 0}))
