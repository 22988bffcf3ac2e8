"""What ``qengine warmup`` compiles of the ledger: it is compiled, or loaded, as modules are imported."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from qengine_core.plugin import component

__all__ = ["LedgerCode"]


@component
class LedgerCode:
    """The account's figures, round trips, and the curve."""

    def parts(self) -> Sequence[str]:
        return ["curve", "replay", "entries"]

    def compile(self, part: str) -> None:
        importlib.import_module(f"qengine_portfolio.{part}")
