"""Columns that are made when somebody first asks for them, through every cut, merge and sort; it knows no file.

Rows of features are moved about as descriptions of where they come from. A column that nobody reads is never
converted, and never read where it can be read apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Columns", "Features", "Joined", "ReadFeatures"]

Array = npt.NDArray[Any]


class Features:
    """The features of some rows: ``column`` makes one of them."""

    __slots__ = ()

    def column(self, name: str) -> Array:
        """The values of a feature, one per row."""
        raise NotImplementedError

    def slice(self, start: int, stop: int) -> Features:
        """Those of the rows from ``start`` to before ``stop``."""
        return _Sliced(self, start, stop)

    def take(self, order: npt.NDArray[np.intp]) -> Features:
        """Those of the rows in another order."""
        return _Taken(self, order)


class _Made(Features):
    """Features that keep what they made: several blocks are slices of them."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[str, Array] = {}

    def column(self, name: str) -> Array:
        values = self._made.get(name)
        if values is None:
            values = self._made[name] = self._make(name)
        return values

    def _make(self, name: str) -> Array:
        raise NotImplementedError


class ReadFeatures(_Made):
    """The features of rows as they were read: ``make`` reads or converts one."""

    __slots__ = ("_make_column",)

    def __init__(self, make: Callable[[str], Array]) -> None:
        super().__init__()
        self._make_column = make

    def _make(self, name: str) -> Array:
        return self._make_column(name)


class Joined(_Made):
    """The features of rows that follow one another."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Features]) -> None:
        super().__init__()
        self._parts = parts

    def _make(self, name: str) -> Array:
        return np.concatenate([part.column(name) for part in self._parts])


class _Taken(_Made):
    __slots__ = ("_of", "_order")

    def __init__(self, of: Features, order: npt.NDArray[np.intp]) -> None:
        super().__init__()
        self._of, self._order = of, order

    def _make(self, name: str) -> Array:
        return self._of.column(name)[self._order]

    def slice(self, start: int, stop: int) -> Features:
        return _Taken(self._of, self._order[start:stop])  # what else is taken may never be asked for


class _Sliced(Features):
    __slots__ = ("_of", "_start", "_stop")

    def __init__(self, of: Features, start: int, stop: int) -> None:
        self._of, self._start, self._stop = of, start, stop

    def column(self, name: str) -> Array:
        return self._of.column(name)[self._start : self._stop]

    def slice(self, start: int, stop: int) -> Features:
        return _Sliced(self._of, self._start + start, self._start + stop)


class Columns(Mapping[str, Array]):
    """The columns of a block: those that are there, and the features, each made when it is first read."""

    __slots__ = ("_features", "_names", "_there")

    def __init__(self, names: Sequence[str], there: dict[str, Array], features: Features) -> None:
        self._names, self._there, self._features = names, there, features

    def __getitem__(self, name: str) -> Array:
        values = self._there.get(name)
        if values is None:
            if name not in self._names:
                raise KeyError(name)
            values = self._there[name] = self._features.column(name)
        return values

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
