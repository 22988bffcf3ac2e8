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

# Rows looked at together: what a check reads and writes then stays in the processor's cache, and a pass over fewer
# rows costs as much to begin as to do.
_WINDOW = 65_536


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
        self._counts: dict[str, int] = {}
        self._firsts: dict[str, str] = {}

    def values(self, rows: Rows) -> None:
        """Look at the values of some rows. Raises DataError for the first that cannot be right."""
        if self._mode == "off" or self._kind == "signal":
            return
        sound, used = _SOUND[self._kind], [name for name in _USED[self._kind] if name in rows.columns]
        for start in range(0, len(rows), _WINDOW):
            window = {name: rows.columns[name][start : start + _WINDOW] for name in used}
            if not sound(window):
                self._name(rows, start, window)

    def _name(self, rows: Rows, start: int, window: Columns) -> None:
        """The slow path: which rule is broken first, and where."""
        broken = [(rule, rule.broken(window)) for rule in _rules(self._kind, window)]
        if self._mode == "raise":
            first = min((int(np.argmax(rows)), index) for index, (_, rows) in enumerate(broken) if rows.any())
            broken = [broken[first[1]]]
        for rule, wrong in broken:
            if wrong.any():
                row = start + int(np.argmax(wrong))
                value = float(window[rule.column][row - start])
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


# A comparison with NaN is false, so each of these refuses NaN without looking for it.
def _sound_bars(columns: Columns) -> bool:
    opened, high, low, close = (columns[name] for name in ("open", "high", "low", "close"))
    return bool(
        (low.min() > 0)
        and (high.max() < np.inf)
        and (low <= opened).all()
        and (opened <= high).all()
        and (low <= close).all()
        and (close <= high).all()
        and _are_amounts(columns.get("volume"))
    )


def _sound_trades(columns: Columns) -> bool:
    price = columns["price"]
    return bool(price.min() > 0 and price.max() < np.inf and _are_amounts(columns["size"]))


def _sound_quotes(columns: Columns) -> bool:
    bid, ask = columns["bid"], columns["ask"]
    return bool(
        bid.min() > 0
        and ask.max() < np.inf
        and (bid <= ask).all()
        and _are_amounts(columns.get("bid_size"))
        and _are_amounts(columns.get("ask_size"))
    )


def _are_amounts(values: npt.NDArray[Any] | None) -> bool:
    return values is None or bool(values.min() >= 0 and values.max() < np.inf)


_SOUND: Mapping[str, Callable[[Columns], bool]] = {"bar": _sound_bars, "trade": _sound_trades, "quote": _sound_quotes}
_PRICES: Mapping[str, tuple[str, ...]] = {
    "bar": ("open", "high", "low", "close"),
    "trade": ("price",),
    "quote": ("bid", "ask"),
}
_AMOUNTS: Mapping[str, tuple[str, ...]] = {"bar": ("volume",), "trade": ("size",), "quote": ("bid_size", "ask_size")}
_USED = {kind: _PRICES[kind] + _AMOUNTS[kind] for kind in _PRICES}


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
