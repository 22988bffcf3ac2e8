"""Reads run folders back and compares two of them. It knows files, not runs under way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qengine_core.errors import did_you_mean
from qengine_core.plugin import DataError
from qengine_reporting.manifest import SCHEMA_VERSION, file_hash

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Difference", "RunFolder", "compare_runs", "load_run"]


@attrs.frozen
class RunFolder(Mapping[str, Any]):
    """A run folder: ``manifest`` as plain values, and its tables as Polars frames, read when asked for.

    ``run["fills"]`` and ``run.fills`` read a table afresh each time; ``run.metrics`` is a dict. Times are
    ``Datetime("ns", "UTC")``.
    """

    path: Path
    manifest: Mapping[str, Any] = attrs.field(repr=False)

    def __getitem__(self, name: str) -> Any:
        if name == "metrics":
            return json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        return self.scan(name).collect()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self:
            raise AttributeError(f"Run folder {self.path} has no table {name!r} ({did_you_mean(name, self)}).")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        names = (Path(file) for file in self.manifest["outputs"])
        return iter(sorted(p.stem for p in names if p.suffix == ".parquet" or p.name == "metrics.json"))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(iter(self))

    def scan(self, name: str) -> pl.LazyFrame:
        """A table as a lazy frame. Raises KeyError for one that the folder does not list."""
        import polars as pl

        if f"{name}.parquet" not in self.manifest["outputs"]:
            raise KeyError(name)
        return pl.scan_parquet(self.path / f"{name}.parquet")


@attrs.frozen
class Difference:
    """One output that is not the same in two run folders, and in what."""

    output: str
    what: str

    def __str__(self) -> str:
        return f"{self.output}: {self.what}"


def load_run(folder: str | Path) -> RunFolder:
    """Open a run folder. Raises DataError for one that is failed, incomplete or of another version."""
    path = Path(folder)
    if (path / "error.log").is_file() and not (path / "manifest.json").exists():
        raise DataError(f"{path} is a failed run: its error.log says why, and it holds no results.")
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is not a run folder: it has no manifest.json.") from None
    except NotADirectoryError:
        raise DataError(f"{path} is a file: name the run folder that holds manifest.json.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path / 'manifest.json'} cannot be read: {error}.") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path / 'manifest.json'} has schema_version {version!r}, but this qengine-reporting reads "
            f"{SCHEMA_VERSION}: install the version that wrote it (plugins in the manifest)."
        )
    return RunFolder(path, manifest)


def compare_runs(a: RunFolder | str | Path, b: RunFolder | str | Path) -> list[Difference]:
    """Every output that is not byte-identical in both folders, sorted by name; empty if all are.

    Bytes on disk are hashed afresh and held against the manifests too, so a file that was changed after
    the run is found. Of tables that differ, the first differing row and column is named.
    """
    left, right = (run if isinstance(run, RunFolder) else load_run(run) for run in (a, b))
    names = sorted({*left.manifest["outputs"], *right.manifest["outputs"]})
    return [Difference(name, what) for name in names if (what := _compared(name, left, right))]


def _compared(name: str, left: RunFolder, right: RunFolder) -> str:
    """What is not the same of one output, or nothing."""
    found = []
    for run in (left, right):
        if name not in run.manifest["outputs"]:
            return f"only in {(right if run is left else left).path}"
        if not (run.path / name).is_file():
            return f"missing in {run.path}"
        found.append(file_hash(run.path / name))
        if found[-1] != run.manifest["outputs"][name]:
            return f"changed in {run.path} since its manifest was written"
    if found[0] == found[1]:
        return ""
    return _first_difference(Path(name), left, right)


def _first_difference(name: Path, left: RunFolder, right: RunFolder) -> str:
    if name.suffix != ".parquet":
        return "the bytes differ"
    a, b = left[name.stem], right[name.stem]
    if a.schema != b.schema:
        return "the columns differ"
    if a.height != b.height:
        return f"{a.height} rows against {b.height}"
    rows = {
        column: (a[column].ne_missing(b[column])).arg_max() for column in a.columns if not a[column].equals(b[column])
    }
    if not rows:
        return "the bytes differ, the values do not"
    column = min(rows, key=lambda name: rows[name])
    row = rows[column]
    return f"row {row}, column {column}: {a[column][row]} against {b[column][row]}"
