"""Strategies that run as machine code, together with matching, costs and the account."""

from __future__ import annotations

from qengine_compiled.signals import SignalStrategy
from qengine_compiled.strategy import FOK, GTC, IOC, CompiledStrategy

__all__ = ["FOK", "GTC", "IOC", "CompiledStrategy", "SignalStrategy"]
