"""One block as the matching core sees it, whether it holds bars, prints or quotes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_broker_sim.book import Book
from qengine_core.blocks import Block
from qengine_core.plugin import BAR, QUOTE, SELL

__all__ = ["MarketView"]

_NONE = np.empty(0)
_INF = float("inf")


class MarketView:
    """Columns by what they mean to an order.

    ``lows`` is the best price a buyer could have had on the row, ``highs`` a seller's. ``positive`` is
    the volume column if rows without volume are to be passed over, else empty.
    """

    __slots__ = (
        "_ask_sizes",
        "_bid_sizes",
        "_kind",
        "book",
        "buy_open",
        "highs",
        "lows",
        "positive",
        "sell_open",
        "spread",
    )

    def __init__(self, block: Block, kind: str, book: Book, fill_on_zero_volume: bool) -> None:
        columns = block.columns
        self.book = book  # of the orders that this kind of data fills
        self._kind = kind
        self.spread: npt.NDArray[Any] | None = columns.get("spread")
        if kind == BAR:
            self.buy_open = self.sell_open = columns["open"]
            self.lows, self.highs = columns["low"], columns["high"]
            self._ask_sizes = self._bid_sizes = _floats(columns.get("volume"))
        elif kind == QUOTE:
            self.buy_open = self.lows = columns["ask"]
            self.sell_open = self.highs = columns["bid"]
            self._ask_sizes, self._bid_sizes = _floats(columns.get("ask_size")), _floats(columns.get("bid_size"))
        else:
            self.buy_open = self.sell_open = self.lows = self.highs = columns["price"]
            self._ask_sizes = self._bid_sizes = _floats(columns.get("size"))
        skips_empty = kind != QUOTE and not fill_on_zero_volume
        self.positive = self._ask_sizes if skips_empty and self._ask_sizes is not None else _NONE

    def prices(self, row: int, side: int) -> tuple[float, float, float]:
        """For one side: the row's first price, its best, and its size (infinite if the data does not say)."""
        if side == SELL:
            size = self._bid_sizes
            return self.sell_open.item(row), self.highs.item(row), _INF if size is None else size.item(row)
        size = self._ask_sizes
        return self.buy_open.item(row), self.lows.item(row), _INF if size is None else size.item(row)

    def trades_at(self, row: int) -> bool:
        """Whether the row fills at all, given the rule on rows without volume."""
        return not len(self.positive) or self.positive.item(row) > 0

    def spread_at(self, row: int) -> float:
        """The bid-ask spread: 0 for quotes, whose prices include it, NaN if unknown."""
        if self._kind == QUOTE:
            return 0.0
        return float("nan") if self.spread is None else float(self.spread.item(row))

    def range(self, row: int) -> tuple[float, float]:
        """The bar's low and high; NaN where a row has no range to keep slippage in."""
        if self._kind == BAR:
            return self.lows.item(row), self.highs.item(row)
        return float("nan"), float("nan")


def _floats(sizes: npt.NDArray[Any] | None) -> npt.NDArray[np.float64] | None:
    return None if sizes is None else np.ascontiguousarray(sizes, dtype=np.float64)
