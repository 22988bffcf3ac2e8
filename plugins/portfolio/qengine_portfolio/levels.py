"""Which columns of a row of quotes are further levels of the book, and where they are; it computes no price.

A quote with depth has the best level as ``bid``, ``bid_size``, ``ask``, ``ask_size`` and the next ones as
``bid_2``, ``bid_size_2``, ``ask_2``, ``ask_size_2`` and so on, as a table of ten levels by a vendor has.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from qengine_core.blocks import Block
from qengine_portfolio.native import address

__all__ = ["count_levels", "level_names", "levels_of"]


def level_names(level: int) -> tuple[str, str, str, str]:
    """The columns of a level, the best being 1: ask, its size, bid, its size."""
    suffix = "" if level == 1 else f"_{level}"
    return f"ask{suffix}", f"ask_size{suffix}", f"bid{suffix}", f"bid_size{suffix}"


def count_levels(columns: Collection[str]) -> int:
    """How many levels there are without a gap; a level needs all four of its columns, but for the best."""
    count = 1
    while all(name in columns for name in level_names(count + 1)):
        count += 1
    return count


def levels_of(kept: dict[str, Any], block: Block) -> npt.NDArray[np.int64]:
    """Addresses of the columns of each level (0: there is none); the columns are added to ``kept``."""
    columns, count = block.columns, count_levels(block.columns)
    table = np.zeros((count, 4), np.int64)
    for level in range(1, count + 1):
        for place, name in enumerate(level_names(level)):
            if name in columns:
                kept[name] = np.ascontiguousarray(columns[name], dtype=np.float64)
                table[level - 1, place] = address(kept[name])
    return table
