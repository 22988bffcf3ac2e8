"""A timer in the run's time: rings once, or again and again until it is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qengine_core.plugin import ConfigError, Phase

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["Timer"]


class Timer:
    """Calls ``ring`` at ``ts`` and then every ``step`` nanoseconds, if there is a step."""

    def __init__(self, run: Run, ts: int, step: int | None, ring: Callable[[], None]) -> None:
        if step is not None and step <= 0:
            raise ConfigError(f"A timer's period must be positive, not {step} ns.")
        self._run = run
        self._step = step
        self._ring = ring
        self.ts = ts
        self._event = run.agenda.schedule(ts, Phase.TIMER, self._due, run.clock.now)

    def cancel(self) -> None:
        """Stop it; it rings no more."""
        self._event.cancel()

    def _due(self) -> None:
        if self._step is not None:
            due, self.ts = self.ts, self.ts + self._step
            self._event = self._run.agenda.schedule(self.ts, Phase.TIMER, self._due, due)
        self._ring()
