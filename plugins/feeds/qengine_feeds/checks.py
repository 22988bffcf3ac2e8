"""Says which rows of market data cannot be right, and where they are; it mends nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from qengine_core.plugin import DataError
from qengine_feeds.layout import Rows
from qengine_feeds.stamps import readable

__all__ = ["Checks", "DataWarning"]

Columns = Mapping[str, npt.NDArray[Any]]
Bools = npt.NDArray[np.bool_]


class DataWarning(UserWarning):
    """Rows that cannot be right, passed on because the feed says ``validate = "warn"``."""


@attrs.frozen
class _Rule:
    """One thing that must hold: the column to name, what is expected, and the rows where it does not hold."""

    column: str
    expected: str
    broken: Callable[[Columns], Bools]


class Checks:
    """The checks of one pass over a feed. ``mode`` is raise, warn or off; call ``report`` when the pass ends."""

    def __init__(self, kind: str, mode: str, names: Sequence[str]) -> None:
        self._kind, self._mode, self._names = kind, mode, names
        self._judges_nothing = mode == "off" or kind == "signal"
        self._counts: dict[str, int] = {}
        self._firsts: dict[str, str] = {}

    def prepare(self) -> None:
        """Load, or compile, what looks at rows, lest the run waits for it."""
        if not self._judges_nothing:
            from qengine_feeds.sound import compiled

            compiled(self._kind)

    def look(self, rows: Rows) -> tuple[bool, bool, bool]:
        """Whether all values of some rows can be right, whether times never go back, and whether each is later.

        The last is not looked at where no values are.
        """
        if self._judges_nothing:
            return True, not np.any(rows.ts[1:] < rows.ts[:-1]), False
        from qengine_feeds.sound import look_at

        return look_at(self._kind, rows.ts, rows.columns)

    def values(self, rows: Rows) -> None:
        """Say what cannot be right in some rows. Raises DataError for the first of it."""
        if self._judges_nothing:
            return
        broken = [(rule, rule.broken(rows.columns)) for rule in _rules(self._kind, rows.columns)]
        broken = [(rule, wrong) for rule, wrong in broken if wrong.any()]
        if self._mode == "raise" and broken:
            broken = [min(broken, key=lambda found: int(np.argmax(found[1])))]
        for rule, wrong in broken:
            row = int(np.argmax(wrong))
            value = float(rows.columns[rule.column][row])
            where = f"{rows.part.label}, row {rows.number(row)}, column {rule.column}"
            what = "missing (null) or not a number" if np.isnan(value) else f"{value:.10g}"
            self.found(
                f"{rule.column}: {rule.expected}",
                f"{where}, instrument {self._names[rows.rank[row]]} at {readable(int(rows.ts[row]))}: "
                f"the {rule.column} is {what}, but {rule.expected}",
                int(wrong.sum()),
            )

    def found(self, problem: str, sentence: str, count: int = 1) -> None:
        """Refuse or count a problem. ``problem`` names its kind, ``sentence`` (without a stop) its first row."""
        if self._mode == "raise":
            raise DataError(f'{sentence}; mend the data, or say validate = "warn" to go on all the same.')
        if self._mode == "warn":
            self._counts[problem] = self._counts.get(problem, 0) + count
            self._firsts.setdefault(problem, sentence)

    def report(self) -> None:
        """Warn once per kind of problem, with its count and first row."""
        for problem, count in self._counts.items():
            noun = "row is" if count == 1 else "rows are"
            warnings.warn(f"{count} {noun} wrong; first: {self._firsts[problem]}.", DataWarning, stacklevel=3)
        self._counts.clear()


_PRICES: Mapping[str, tuple[str, ...]] = {
    "bar": ("open", "high", "low", "close"),
    "trade": ("price",),
    "quote": ("bid", "ask"),
}
_AMOUNTS: Mapping[str, tuple[str, ...]] = {"bar": ("volume",), "trade": ("size",), "quote": ("bid_size", "ask_size")}


def _rules(kind: str, columns: Columns) -> list[_Rule]:
    """Every rule of a kind, those on single values first."""
    rules = [_Rule(name, "a price must be a number above 0", _not_price(name)) for name in _PRICES[kind]]
    amounts = [name for name in _AMOUNTS[kind] if name in columns]
    rules += [_Rule(name, f"a {name} must be a number, 0 or more", _not_amount(name)) for name in amounts]
    if kind == "bar":
        rules.append(_Rule("high", "the high must not be below the low", lambda c: c["high"] < c["low"]))
        rules += [_Rule(n, f"the {n} must lie between low and high", _outside(n)) for n in ("open", "close")]
    if kind == "quote":
        rules.append(_Rule("bid", "the bid must not be above the ask", lambda c: c["bid"] > c["ask"]))
    return rules


def _not_price(name: str) -> Callable[[Columns], Bools]:
    return lambda columns: ~((columns[name] > 0) & (columns[name] < np.inf))


def _not_amount(name: str) -> Callable[[Columns], Bools]:
    return lambda columns: ~((columns[name] >= 0) & (columns[name] < np.inf))


def _outside(name: str) -> Callable[[Columns], Bools]:
    def outside(columns: Columns) -> Bools:
        value, low, high = columns[name], columns["low"], columns["high"]
        return ((value < low) | (value > high)) & (low <= high)

    return outside
