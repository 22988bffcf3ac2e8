"""What stops a run from opening anything more: losses, or somebody's word. Exits always pass."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Literal

from qengine_core.plugin import ConfigError, component, param

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["Action", "KillSwitch", "MaxDailyLoss", "MaxDrawdown"]

Action = Literal["halt", "cancel", "flatten"]
_ACTION = (
    "'halt' refuses what would open or add to a position; 'cancel' also cancels open orders but for exits; "
    "'flatten' cancels all and leaves every position at market."
)


@component
class MaxDrawdown:
    """Halts for good once equity has fallen so far from its highest.

    Equity is judged at the last row of every instant, and whenever an order is sent; the highest is that of
    whole instants. The row is found by compiled code, which looks at every row without waking anybody.
    """

    fraction: float | None = param(
        default=None, help="How far, as a share of the highest equity.", unit="fraction", gt=0, lt=1
    )
    amount: float | None = param(default=None, help="How far, in money.", unit="account currency", gt=0)
    action: Action = param(default="halt", help=_ACTION)

    def __attrs_post_init__(self) -> None:
        _need_a_limit(self.fraction, self.amount)

    def build(self, run: Run) -> Any:
        """What watches the account in one run."""
        from qengine_risk.watching import LossWatch

        return LossWatch("max-drawdown", self.fraction, self.amount, self.action, run, by_session=False)


@component
class MaxDailyLoss:
    """Halts for the rest of a session once equity has fallen so far from what it was as the session before ended.

    Sessions are those of the run's calendar; with several, a new day begins with the first row of a session that
    opened after the one under way. Equity is judged as by ``max-drawdown``.
    """

    fraction: float | None = param(
        default=None, help="How far, as a share of the equity at the session's start.", unit="fraction", gt=0, lt=1
    )
    amount: float | None = param(default=None, help="How far, in money.", unit="account currency", gt=0)
    action: Action = param(default="halt", help=_ACTION)

    def __attrs_post_init__(self) -> None:
        _need_a_limit(self.fraction, self.amount)

    def build(self, run: Run) -> Any:
        """What watches the account in one run."""
        from qengine_risk.watching import LossWatch

        return LossWatch("max-daily-loss", self.fraction, self.amount, self.action, run, by_session=True)


@component
class KillSwitch:
    """Halts for good when the strategy calls ``ctx.kill(reason)``, in any of its callbacks, or at a time."""

    at: str = param(default="", help="When to halt by itself, as in 2024-03-01T15:00Z; empty: never.")
    action: Action = param(default="flatten", help=_ACTION)

    def __attrs_post_init__(self) -> None:
        _ = self.at_ts

    @property
    def at_ts(self) -> int | None:
        """The time in ns UTC. Raises ConfigError for one that cannot be read or has no zone."""
        if not self.at:
            return None
        try:
            moment = dt.datetime.fromisoformat(self.at)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ConfigError(f"at must be a time with its zone, such as 2024-03-01T15:00Z, not {self.at!r}.")
        since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000

    def build(self, run: Run) -> Any:
        """The switch of one run."""
        from qengine_risk.switch import Switch

        return Switch(self, run)


def _need_a_limit(*limits: float | None) -> None:
    if all(limit is None for limit in limits):
        raise ConfigError("a limit on losses needs fraction or amount: none is given, so nothing would be checked.")
