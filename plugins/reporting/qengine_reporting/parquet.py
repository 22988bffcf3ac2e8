"""Writes a frame as Parquet so that equal frames give equal bytes. It knows no run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qengine_reporting.schema import SCHEMAS, arrow_schema, validated

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_table"]

# Everything that decides the bytes is fixed here; nothing of it is the clock's, the machine's or pandas'.
_SETTINGS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "version": "2.6",  # the first that keeps nanoseconds
    "data_page_version": "1.0",
    "row_group_size": 1 << 20,
    "write_statistics": True,
}


def write_table(name: str, table: Any, path: Path) -> None:
    """Validate ``table`` against the documented schema of that name, if there is one, and write it.

    Raises PluginError for a table that breaks its schema, OSError when the disk does not take it.
    """
    import pyarrow.parquet as pq

    pq.write_table(_arrow(name, table), path, **_SETTINGS)


def _arrow(name: str, table: Any) -> pa.Table:
    """As Arrow in one chunk, because chunk borders would show in the bytes."""
    import pyarrow as pa

    frame = validated(name, table)
    arrow = frame.to_arrow(compat_level=frame_compat()).combine_chunks()
    plain = pa.schema([pa.field(f.name, _plain(f.type), f.nullable) for f in arrow.schema])
    if name in SCHEMAS:
        documented = arrow_schema(name)
        extra = [plain.field(i) for i in range(len(documented), len(plain))]
        plain = pa.schema([*documented, *extra], metadata=documented.metadata)
    return arrow.cast(plain)


def frame_compat() -> Any:
    """Ask Polars for the oldest layout: every Arrow reader takes it."""
    import polars as pl

    return pl.CompatLevel.oldest()


def _plain(kind: pa.DataType) -> pa.DataType:
    """Text as ``string`` rather than Polars' ``large_string``."""
    import pyarrow as pa

    return pa.string() if pa.types.is_large_string(kind) else kind
