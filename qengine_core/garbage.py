"""How often Python looks for garbage."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["rare_collections"]


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage rarely: while modules are loaded, and while orders and fills pile up, next to nothing is garbage.

    At the usual threshold the collector takes an eighth of a short run, and as much as all the rest of an order.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
