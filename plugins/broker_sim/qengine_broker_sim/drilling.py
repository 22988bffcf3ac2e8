"""The broker under ``drill-down``: notes what has come of each instrument; a coarser bar fills where nothing has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qengine_portfolio.native import address
from qengine_portfolio.view import grades_of

from qengine_broker_sim.broker import MatchingBroker
from qengine_core.blocks import Segment
from qengine_core.plugin import BAR, ConfigError

if TYPE_CHECKING:
    from qengine_broker_sim.settings import SimulatedBroker
    from qengine_core.run import Run

__all__ = ["DrillingBroker"]

_NEVER = int(np.iinfo(np.int64).min)


class DrillingBroker(MatchingBroker):
    """Matches on the finest data of an instrument, and on a coarser bar in which none of it came.

    Raises ConfigError where bars have finer data beside them and do not say when they opened.
    """

    def __init__(self, settings: SimulatedBroker, run: Run) -> None:
        super().__init__(settings, run)
        self._grades = grades_of(run.streams)
        for stream, grade in zip(run.streams, self._grades, strict=True):
            is_coarse = stream.kind == BAR and any(0 <= other < grade for other in self._grades)
            if is_coarse and not stream.interval and "open_ts" not in stream.columns:
                raise ConfigError(
                    'intrabar_path = "drill-down" needs bars that say when they opened: give the feed an interval, '
                    'as in interval = "1d", or its bars a column open_ts.'
                )
        # The time of the last row, by grade and instrument.
        self._last = np.full((max(self._grades, default=0) + 1, max(1, len(run.instruments))), _NEVER)
        self._head["graded"] = address(self._last)

    def end_segment(self, segment: Segment) -> None:
        block = segment.block
        rows = slice(segment.start, segment.stop)
        self._last[self._grades[block.stream], block.instrument[rows]] = block.ts[rows]  # the last of each stays
