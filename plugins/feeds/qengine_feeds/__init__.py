"""Market data feeds: Parquet, CSV, frames in memory, synthetic. It knows no strategy and no order."""

from __future__ import annotations

from qengine_feeds.components import Adjust, CsvFeed, FrameFeed, ParquetFeed, SyntheticFeed

__all__ = ["Adjust", "CsvFeed", "FrameFeed", "ParquetFeed", "SyntheticFeed"]
