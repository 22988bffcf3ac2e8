"""Announces the feeds of this distribution; importing it loads no data library."""

from __future__ import annotations

from collections.abc import Iterable

from qengine_core.plugin import FeedSpec, WarmupSpec, implements
from qengine_feeds.components import CsvFeed, FrameFeed, ParquetFeed, SyntheticFeed
from qengine_feeds.warmup import FeedCode


@implements.feeds
def feeds() -> Iterable[FeedSpec]:
    """Announce the feeds."""
    yield FeedSpec(
        name="parquet", summary="Parquet: a file, a glob, or a hive-partitioned folder.", component=ParquetFeed
    )
    yield FeedSpec(name="csv", summary="CSV: a file or a glob, plain or gzipped.", component=CsvFeed)
    yield FeedSpec(name="frame", summary="A Polars, Arrow or pandas frame in memory.", component=FrameFeed)
    yield FeedSpec(name="synthetic", summary="Seeded random prices with gaps and volume.", component=SyntheticFeed)


@implements.warmups
def warmups() -> Iterable[WarmupSpec]:
    """Announce what is compiled."""
    yield WarmupSpec(name="feeds", summary="Whether rows of market data can be right.", component=FeedCode)
