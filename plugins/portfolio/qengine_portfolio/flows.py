"""Cash flows that are no fills: interest, fees, dividends, funding. It knows when and how much, not why."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FLOW", "Flows"]

FLOW = np.dtype(
    [
        ("ts", "i8"),
        ("account", "i8"),
        ("currency", "i8"),  # its place among the books' currencies
        ("code", "i8"),  # the instrument it is for, or -1
        ("kind", "i8"),  # its place in ``Flows.kinds``
        ("amount", "f8"),  # positive for what the account receives
    ]
)


class Flows:
    """The cash flows of all accounts, in order of time."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.count = 0
        self._records = np.zeros(64, FLOW)

    @property
    def records(self) -> npt.NDArray[Any]:
        """One record per flow."""
        return self._records[: self.count]

    def add(self, ts: int, account: int, currency: int, code: int, kind: str, amount: float) -> None:
        """Write a flow down."""
        if self.count == len(self._records):
            self._records = np.concatenate([self._records, np.zeros_like(self._records)])
        if kind not in self.kinds:
            self.kinds.append(kind)
        self._records[self.count] = (ts, account, currency, code, self.kinds.index(kind), amount)
        self.count += 1

    def totals(self) -> dict[str, float]:
        """What each kind adds up to, by name, each flow in its own currency."""
        records = self.records
        sums = {kind: float(records["amount"][records["kind"] == n].sum()) for n, kind in enumerate(self.kinds)}
        return dict(sorted(sums.items()))
