"""What ``qengine warmup`` compiles of the feeds: the passes that see whether rows can be right."""

from __future__ import annotations

from collections.abc import Sequence

from qengine_core.plugin import component

__all__ = ["FeedCode"]


@component
class FeedCode:
    """A pass for each kind of market data."""

    def parts(self) -> Sequence[str]:
        return ["bar", "trade", "quote"]

    def compile(self, part: str) -> None:
        from qengine_feeds.sound import compiled

        compiled(part)
