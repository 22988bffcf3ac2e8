"""Splits and delistings while a run is under way: when they happen. What they do, ledger and broker know."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qengine_core.participant import Participant
from qengine_core.plugin import DataError, Phase, Rank
from qengine_costs.openings import Openings
from qengine_costs.tables import dates_of, read_table

if TYPE_CHECKING:
    from qengine_core.run import Run
    from qengine_costs.financing import Delistings, Splits

__all__ = ["DelistingEvents", "SplitEvents"]


class SplitEvents(Participant):
    """Splits positions and open orders at the open of each ex-date."""

    rank = Rank.CORPORATE_ACTION

    def __init__(self, settings: Splits, run: Run) -> None:
        self._run, self._openings = run, Openings(run)
        frame = read_table(settings.path, ("ex_date", "instrument", "ratio"), "splits")
        for name, ratio in zip(frame["instrument"], frame["ratio"], strict=True):
            if not 0 < ratio < float("inf"):
                raise DataError(f"splits: {settings.path} has a ratio of {ratio!r} for {name}: it must be above 0.")
        rows = zip(frame["instrument"], dates_of(frame["ex_date"]), frame["ratio"], strict=True)
        self._rows = [(run.codes[name], day, ratio) for name, day, ratio in rows if name in run.codes]

    def on_start(self) -> None:
        now = self._run.clock.now
        for code, day, ratio in self._rows:
            if (ts := self._openings.to_come(code, day)) is not None:
                self._run.agenda.schedule(ts, Phase.CORPORATE_ACTION, partial(self._split, code, ratio), now)

    def _split(self, code: int, ratio: float) -> None:
        self._run.ledger.split(code, ratio)
        self._run.broker.split(code, ratio)


class DelistingEvents(Participant):
    """Ends trading in instruments at the close of their last session."""

    rank = Rank.CORPORATE_ACTION

    def __init__(self, settings: Delistings, run: Run) -> None:
        self._run, self._openings = run, Openings(run)
        frame = read_table(settings.path, ("date", "instrument"), "delistings")
        prices = frame["price"].to_list() if "price" in frame.columns else [None] * len(frame)
        rows = zip(frame["instrument"], dates_of(frame["date"]), prices, strict=True)
        self._rows = [(run.codes[name], day, price) for name, day, price in rows if name in run.codes]
        for name, price in zip(frame["instrument"], prices, strict=True):
            if price is not None and not 0 <= price < float("inf"):
                raise DataError(f"delistings: {settings.path} has a price of {price!r} for {name}: it must be >= 0.")

    def on_start(self) -> None:
        now = self._run.clock.now
        for code, day, price in self._rows:
            ts = now if self._openings.is_long_over(day) else max(now, self._openings.close_of(code, day))
            self._run.agenda.schedule(ts, Phase.SESSION_CLOSE, partial(self._delist, code, price), now)

    def _delist(self, code: int, price: float | None) -> None:
        last = self._run.ledger.mark(code)
        self._run.broker.close_out(code, last if price is None else float(price), "delisted")
