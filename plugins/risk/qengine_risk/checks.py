"""Limits under way in one run: those that have to ask ledger or broker, or that count orders."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from qengine_core.plugin import OrderRequest
from qengine_risk.patterns import covers

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_risk.limits import MaxLeverage, MaxPosition
    from qengine_risk.rate import OrderRate

__all__ = ["LeverageCheck", "PositionCheck", "RateCheck"]

_SLACK = 1 + 1e-9
_SECOND = 1_000_000_000


class PositionCheck:
    """Compares what an order may make of its position with the limits on positions."""

    def __init__(self, settings: MaxPosition, run: Run) -> None:
        self._settings, self._ledger = settings, run.ledger

    def check(self, request: OrderRequest) -> str:
        """``max-position-quantity``, ``-notional``, ``-fraction`` or ``no-price``."""
        settings = self._settings
        if request.is_exit or not covers(settings.instruments, request.instrument.name):
            return ""
        after = request.position * request.side + request.working + request.quantity
        if settings.quantity is not None and after > settings.quantity * _SLACK:
            return "max-position-quantity"
        if settings.notional is None and settings.fraction is None:
            return ""
        value = after * abs(request.mark) * request.unit_value
        if value != value:
            return "no-price"
        if settings.notional is not None and value > settings.notional * _SLACK:
            return "max-position-notional"
        if settings.fraction is None:
            return ""
        most = settings.fraction * self._ledger.accounts[request.account].equity
        return "max-position-fraction" if value > most * _SLACK else ""


class LeverageCheck:
    """Compares what all positions may come to with equity."""

    def __init__(self, settings: MaxLeverage, run: Run) -> None:
        self._settings, self._run = settings, run

    def check(self, request: OrderRequest) -> str:
        """``max-gross-leverage``, ``max-net-leverage`` or ``no-price``."""
        if request.is_exit:
            return ""
        if request.mark != request.mark:
            return "no-price"
        settings, run = self._settings, self._run
        equity = run.ledger.accounts[request.account].equity
        gross, long, short = run.broker.exposure(request.code, request.side, request.quantity, request.account)
        if settings.gross is not None and gross > settings.gross * max(equity, 0.0) * _SLACK:
            return "max-gross-leverage"
        net = long if request.side > 0 else -short
        if settings.net is not None and net > settings.net * max(equity, 0.0) * _SLACK:
            return "max-net-leverage"
        return ""


class RateCheck:
    """Counts the orders let through in the interval that ends now."""

    def __init__(self, settings: OrderRate) -> None:
        self._settings = settings
        self._interval = round(settings.interval * _SECOND)
        self._sent: deque[int] = deque()

    def check(self, request: OrderRequest) -> str:
        """``order-rate``."""
        sent, now = self._sent, request.ts
        while sent and sent[0] <= now - self._interval:
            sent.popleft()
        if len(sent) >= self._settings.orders and (self._settings.exits or not request.is_exit):
            return "order-rate"
        sent.append(now)
        return ""
