"""A result as plain values: what ``--json`` prints and the result table shows. It computes no metric itself."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from qengine_core.engine import Result
from qengine_core.timings import Timings

__all__ = ["NO_REPORTING", "profile_of", "summarise"]

NO_REPORTING = (
    "qengine-reporting is not installed or not allowed, so there are no metrics and no run folder: "
    "pip install qengine-reporting."
)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def summarise(result: Result, out: Path) -> dict[str, Any]:
    """What came out, as JSON values: not-a-number and infinite become null, stamps ISO 8601 in UTC.

    ``out`` and ``report`` are null where nothing was written.
    """
    written = out.is_dir()
    report = out / "report.html"
    metrics = result.get("metrics")
    summary = {
        "out": str(out) if written else None,
        "report": str(report) if report.is_file() else None,
        "strategy": [table["use"] for table in result.config["strategy"]],
        "instruments": [instrument.name for instrument in result.instruments],
        "currency": next((getattr(c, "currency", None) for c in result.components["ledger"]), None),
        "start": _stamp(result.start_ts) if result.rows else None,
        "end": _stamp(result.end_ts) if result.rows else None,
        "rows": result.rows,
        "wakes": result.wakes,
        "seconds": result.seconds,
        "rows_per_second": result.rows / result.seconds if result.seconds else None,
        "counts": result.counts,
        "metrics": metrics,
        "warnings": _warnings(result, written),
        "plugins": result.plugins,
    }
    plain: dict[str, Any] = _plain(summary)
    return plain


def profile_of(timings: Timings) -> list[dict[str, Any]]:
    """What the time went on until now, the longest part first."""
    return [attrs.asdict(spent) for spent in timings.spent]


def _warnings(result: Result, written: bool) -> list[str]:
    """What a researcher should know before trusting the figures."""
    counts = result.counts
    rejected, unfilled = sum(counts.get("rejections", {}).values()), counts.get("unfilled_at_end", 0)
    ambiguous = counts.get("ambiguous_bars", 0)
    found = [
        (not result.rows, "The feed had no rows: nothing was traded."),
        (result.rows and counts.get("orders") == 0, "The strategy sent no orders."),
        (rejected, f"{_counted(rejected, 'order')} rejected."),
        (unfilled, f"{_counted(unfilled, 'order')} still open when the data ended."),
        (
            ambiguous,
            f"{_counted(ambiguous, 'bar')} ambiguous{_by_instrument(counts)}: "
            "the order of events inside the bar decided the result.",
        ),
        (not written, NO_REPORTING),
    ]
    return [*(text for applies, text in found if applies), *(f"Failed: {flag}" for flag in result.flags)]


def _by_instrument(counts: Mapping[str, Any]) -> str:
    """The instruments with most of the ambiguous bars, where there is more than one."""
    found = sorted(counts.get("ambiguous_by_instrument", {}).items(), key=lambda item: (-item[1], item[0]))
    if len(found) < 2:
        return ""
    named = ", ".join(f"{name} {count:,}" for name, count in found[:5])
    return f" ({named}{f' and {len(found) - 5:,} more instruments' if len(found) > 5 else ''})"


def _counted(number: int, noun: str) -> str:
    return f"1 {noun} was" if number == 1 else f"{number:,} {noun}s were"


def _stamp(ts: int) -> str:
    stamp = _EPOCH + datetime.timedelta(microseconds=ts // 1000)
    return stamp.isoformat().replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) or hasattr(value, "item"):  # NumPy scalars too
        number = value.item() if hasattr(value, "item") else value
        return None if isinstance(number, float) and not math.isfinite(number) else number
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
