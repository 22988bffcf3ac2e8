"""One block as the matching core sees it, whether it holds bars, prints or quotes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_core.plugin import BAR, QUOTE, SELL

__all__ = ["MarketView"]

_NONE = np.empty(0)


class MarketView:
    """Columns by what they mean to an order.

    ``lows`` is the best price a buyer could have had on the row, ``highs`` a seller's. ``positive`` is
    the volume column if rows without volume are to be passed over, else empty.
    """

    __slots__ = ("_kind", "buy_open", "highs", "lows", "positive", "sell_open", "sizes", "spread")

    def __init__(self, block: Block, kind: str, fill_on_zero_volume: bool) -> None:
        columns = block.columns
        self._kind = kind
        self.spread: npt.NDArray[Any] | None = columns.get("spread")
        if kind == BAR:
            self.buy_open = self.sell_open = columns["open"]
            self.lows, self.highs = columns["low"], columns["high"]
            self.sizes = (columns.get("volume"), columns.get("volume"))
        elif kind == QUOTE:
            self.buy_open = self.lows = columns["ask"]
            self.sell_open = self.highs = columns["bid"]
            self.sizes = (columns.get("ask_size"), columns.get("bid_size"))
        else:
            self.buy_open = self.sell_open = self.lows = self.highs = columns["price"]
            self.sizes = (columns.get("size"), columns.get("size"))
        known = self.sizes[0] is not None and kind != QUOTE and not fill_on_zero_volume
        self.positive = np.ascontiguousarray(self.sizes[0], dtype=np.float64) if known else _NONE

    def prices(self, row: int, side: int) -> tuple[float, float]:
        """The row's first price and best price for one side."""
        if side == SELL:
            return self.sell_open.item(row), self.highs.item(row)
        return self.buy_open.item(row), self.lows.item(row)

    def size(self, row: int, side: int) -> float:
        """What the row traded or showed to this side; infinite if the data does not say."""
        sizes = self.sizes[0] if side != SELL else self.sizes[1]
        return float("inf") if sizes is None else float(sizes.item(row))

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
