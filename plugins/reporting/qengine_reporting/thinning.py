"""Thins long curves for drawing without losing their extremes. It knows no chart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["thinned"]


def thinned(values: npt.NDArray[np.float64], max_points: int) -> npt.NDArray[np.int64]:
    """Indices of at most ``max_points`` values, ascending: first, last, and each bucket's lowest and highest.

    A curve that is short enough keeps every index. NaN counts as neither low nor high.
    """
    count = len(values)
    if count <= max_points:
        return np.arange(count)
    buckets = max(1, (max_points - 2) // 2)
    edges = np.linspace(0, count, buckets + 1).astype(np.int64)
    width = int(np.diff(edges).max())
    # One row per bucket, the shorter ones filled up with their own last value: argmin takes the first of equals.
    index = np.minimum(edges[:-1, None] + np.arange(width), edges[1:, None] - 1)
    rows = np.arange(buckets)
    low = np.where(np.isnan(values), np.inf, values)[index].argmin(axis=1)
    high = np.where(np.isnan(values), -np.inf, values)[index].argmax(axis=1)
    return np.unique(np.concatenate(([0, count - 1], index[rows, low], index[rows, high])))
