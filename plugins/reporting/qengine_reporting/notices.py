"""What a careful reader of a run should know before believing it, one sentence each. It draws nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

__all__ = ["notices"]


def notices(facts: Mapping[str, Any], frames: Mapping[str, pl.DataFrame], metrics: Mapping[str, Any]) -> list[str]:
    """Sentences on rejections, orders that never filled, ambiguous bars, missing costs, short data and failures.

    ``facts`` is the manifest, ``frames`` are the run's tables.
    """
    return [
        *(f"{flag}." if not flag.endswith(".") else flag for flag in facts["flags"]),
        *_on_orders(frames["orders"]),
        *_on_counts(facts["counts"]),
        *_on_positions(frames["positions"]),
        *_on_costs(facts["config"]),
        *_on_length(metrics),
    ]


def _on_orders(orders: pl.DataFrame) -> Iterator[str]:
    rejected = orders.filter(pl.col("state") == "rejected")
    if len(rejected):
        yield f"{_count(len(rejected), 'order was', 'orders were')} rejected: {_reasons(rejected)}."
    ended = pl.col("state").is_in(["cancelled", "expired"])
    unfilled = orders.filter(ended & (pl.col("filled") == 0))
    if len(unfilled):
        yield f"{_count(len(unfilled), 'order', 'orders')} ended without a fill: {_reasons(unfilled)}."
    partly = orders.filter(ended & (pl.col("filled") > 0))
    if len(partly):
        yield f"{_count(len(partly), 'order', 'orders')} ended with only a part filled: {_reasons(partly)}."
    resting = orders.filter(pl.col("closed_ts").is_null())
    if len(resting):
        yield f"{_count(len(resting), 'order was', 'orders were')} still open when the data ended."


def _on_counts(counts: Mapping[str, Any]) -> Iterator[str]:
    ambiguous = counts.get("ambiguous_bars")
    if ambiguous:
        yield (
            f"In {_count(ambiguous, 'bar', 'bars')} the path of prices inside the bar decided a fill, and the data do "
            f"not show it: the broker's intrabar policy chose{_by_instrument(counts)}."
        )


def _by_instrument(counts: Mapping[str, Any]) -> str:
    """The instruments with most ambiguous bars, where there is more than one."""
    found = sorted(counts.get("ambiguous_by_instrument", {}).items(), key=lambda item: (-item[1], item[0]))
    if len(found) < 2:
        return ""
    named = ", ".join(f"{name} {count:,}" for name, count in found[:8])
    return f", in {named}{f' and {len(found) - 8:,} more' if len(found) > 8 else ''}"


def _on_positions(positions: pl.DataFrame) -> Iterator[str]:
    last = positions.group_by("instrument").last().filter(pl.col("quantity") != 0)
    if len(last):
        names = sorted(last["instrument"])
        named = ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
        yield (
            f"{_count(len(last), 'position was', 'positions were')} still open at the end ({named}): valued at the "
            "last price in the equity, and not among the round trips."
        )


def _on_costs(config: Mapping[str, Any]) -> Iterator[str]:
    free = [kind for kind in ("commission", "slippage") if (config.get(kind) or {}).get("use") == "none"]
    if free:
        yield f"The run was made without {' and without '.join(free)}: real trading would have earned less."


def _on_length(metrics: Mapping[str, Any]) -> Iterator[str]:
    if 0 < metrics["days"] < metrics["periods_per_year"]:
        yield (
            f"The data cover {_count(metrics['days'], 'day', 'days')}, less than a year: "
            "annualised figures extrapolate them."
        )


def _reasons(orders: pl.DataFrame) -> str:
    counted = orders["reason"].value_counts().sort(["count", "reason"], descending=[True, False])
    return ", ".join(f"{reason or 'no reason given'} ({count:,})" for reason, count in counted.iter_rows())


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
