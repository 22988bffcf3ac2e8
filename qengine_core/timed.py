"""A run whose participants are timed. It knows what the kinds of component are called, and nothing of what they do.

Timing is a matter of wrapping: what the loop and other participants call on a participant becomes a timed function
on that one object, for this run. A run that is not timed has none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from qengine_core.agenda import Agenda, Handler, Scheduled
from qengine_core.participant import Participant
from qengine_core.run import Run
from qengine_core.timings import Timings
from qengine_core.vocabulary import Phase

__all__ = ["TimedRun", "timed_run"]

_SETTING_UP, _SCAN, _MATCHING, _ORDERS, _REPORT = "setting up", "scan", "matching", "orders", "report"
_ACTS = ("on_rows", "end_segment", "on_stop")


def timed_run(timings: Timings, **shared: Any) -> TimedRun:
    """A run whose participants and appointments are timed; ``shared`` is what any run is made of but the agenda."""
    return TimedRun(timings=timings, agenda=_TimedAgenda(timings), **shared)


class _TimedAgenda(Agenda):
    """What is posted and scheduled is timed as whoever arranged for it."""

    def __init__(self, timings: Timings) -> None:
        super().__init__()
        self._timings = timings

    def on(self, event_type: type, handler: Handler, rank: int) -> None:
        super().on(event_type, self._timings.inherit(handler), rank)

    def schedule(self, ts: int, phase: Phase, action: Callable[[], None], now: int) -> Scheduled:
        return super().schedule(ts, phase, self._timings.inherit(action), now)


@attrs.define(kw_only=True)
class TimedRun(Run):
    """A run that wraps what it builds."""

    timings: Timings
    _wrapped: list[tuple[Any, str]] = attrs.field(init=False, factory=list)

    def add(self, kind: str, component: Any, account: int | None = None) -> None:
        own = _MATCHING if kind == "broker" else kind.replace("_", " ")
        with self.timings.within(_SETTING_UP, later=own):
            super().add(kind, component, account)
        part = self.built[kind]
        if kind == "risk" and not isinstance(part, Participant):
            self.risk[-1] = _TimedCheck(part, self.timings.wrap(own, part.check))
        elif isinstance(part, Participant) and not any(part is other for other, _ in self._wrapped):
            self._wrap_participant(kind, own, part)

    def _wrap_participant(self, kind: str, own: str, part: Participant) -> None:
        labels = dict.fromkeys(_ACTS, own) | {"next_row": _SCAN, "counts": _REPORT, "tables": _REPORT}
        labels["on_start"] = own if kind == "strategy" else _SETTING_UP
        if kind == "broker":
            labels |= dict.fromkeys(_requests(part), _ORDERS)
        elif kind == "risk":
            labels["check"] = own
        for name, label in labels.items():
            if hasattr(part, name):
                timed = self.timings.wrap(label, getattr(part, name), later=own if label != own else "")
                object.__setattr__(part, name, timed)  # also of one that is frozen
                self._wrapped.append((part, name))

    def close(self) -> None:
        for part, name in self._wrapped:
            object.__delattr__(part, name)
        self._wrapped.clear()
        super().close()


def _requests(broker: Participant) -> Iterator[str]:
    """What others may ask of a broker: its public methods, of the role or its own, but for a participant's."""
    for name in dir(type(broker)):
        if not name.startswith("_") and not hasattr(Participant, name) and callable(getattr(type(broker), name)):
            yield name


class _TimedCheck:
    """A risk rule that may be shared with other runs, and so is not changed: all of it but the timed check."""

    def __init__(self, rule: Any, check: Callable[..., str]) -> None:
        self._rule = rule
        self.check = check

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)
