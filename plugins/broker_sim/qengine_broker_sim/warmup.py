"""What ``qengine warmup`` compiles of the simulated broker: every part that some run may ask for."""

from __future__ import annotations

from collections.abc import Sequence

from qengine_core.manager import Plugins
from qengine_core.plugin import component

__all__ = ["BrokerCode"]

# What takes longest is begun first, so that it does not run alone at the end.
_LONGEST = ("tangle", "match", "turn", "walk", "execute")
_MODELS = "models"


@component
class BrokerCode:
    """The entry points, the functions that they call by address, and the cost models of all plugins."""

    def parts(self) -> Sequence[str]:
        from qengine_broker_sim import entries

        return [*dict.fromkeys((*_LONGEST, *entries.everything())), _MODELS]

    def compile(self, part: str) -> None:
        from qengine_broker_sim import entries, progress

        progress.hush()  # whoever warms up knows what he waits for
        if part == _MODELS:
            _compile_models()
        else:
            entries.everything()[part]()


def _compile_models() -> None:
    """Commissions and slippage are functions of numbers, whatever their rates."""
    from qengine_portfolio.native import address_of

    from qengine_broker_sim.execution import COMMISSION, SLIPPAGE

    plugins = Plugins.discover()
    for kind, signature in (("commission", COMMISSION), ("slippage", SLIPPAGE)):
        for entry in plugins.all(kind):
            if not getattr(entry.spec.component, "is_nothing", False):
                address_of(getattr(entry.spec.component, kind), *signature)
