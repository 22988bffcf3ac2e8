"""The ledger of QEngine: positions, cash, P&L, equity, transaction log."""

from __future__ import annotations

from qengine_portfolio.settings import StandardLedger

__all__ = ["StandardLedger"]
