"""Where tables come from: Parquet files, CSV files, frames; read in batches. It knows no meaning of any column."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qengine_core.plugin import DataError
from qengine_feeds.components import CsvFeed, FrameFeed, ParquetFeed

__all__ = ["CsvPart", "FramePart", "ParquetPart", "Part", "csv_parts", "frame_parts", "parquet_parts"]


class Part(Protocol):
    """One table: a file or a frame. ``label`` names it in errors; ``rows`` is None where only reading tells."""

    @property
    def label(self) -> str: ...
    @property
    def rows(self) -> int | None: ...
    @property
    def stem(self) -> str | None:
        """The file's name without endings; None for what is no file."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        ...

    def batches(self, columns: Sequence[str], rows: int, text: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Read these columns, ``rows`` at a time at most, those in ``text`` dictionary-encoded if possible."""
        ...

    def names(self, column: str) -> list[Any]:
        """The distinct values of a column, None among them if there are nulls."""
        ...

    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        ...

    def state(self) -> object:
        """Something that changes when the content does, at no cost."""
        ...

    def count(self, column: str) -> int:
        """The rows, at the price of reading a column where there is no other way."""
        ...


def parquet_parts(feed: ParquetFeed) -> list[Part]:
    """The files that a Parquet feed's path names, sorted by path."""
    return [ParquetPart.of(path, label, keys) for path, label, keys in _find(feed.path, (".parquet", ".pq"))]


def csv_parts(feed: CsvFeed) -> list[Part]:
    """The files that a CSV feed's path names, sorted by path."""
    return [
        CsvPart(path=path, label=label, delimiter=feed.delimiter, header=feed.header)
        for path, label, _ in _find(feed.path, (".csv", ".txt", ".csv.gz"))
    ]


def frame_parts(feed: FrameFeed) -> list[Part]:
    """The frame of a frame feed, as one part."""
    return [FramePart(table=_table(feed.frame.data))]


def _table(frame: Any) -> pa.Table:
    """The frame as an Arrow table, its strings in the layout that every Arrow function knows."""
    if type(frame).__module__.startswith("polars"):
        import polars as pl

        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.table(frame)


def _find(given: str | Path, endings: tuple[str, ...]) -> list[tuple[Path, str, dict[str, str]]]:
    """Every file that a path, glob or folder names: where it is, how to call it, and its hive keys."""
    text = os.fspath(given)
    path = Path(text)
    if path.is_file():
        return [(path, text, _hive_keys(path))]
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.name.lower().endswith(endings) and _is_visible(p, path))
        if not inside:
            raise DataError(f"The folder {text} holds no file ending in {' or '.join(endings)}: check the path.")
        return [
            (p, f"{text.rstrip('/')}/{p.relative_to(path).as_posix()}", _hive_keys(p.relative_to(path))) for p in inside
        ]
    if any(letter in text for letter in "*?["):
        anchor = Path(path.anchor)
        pattern = os.fspath(path.relative_to(anchor)) if path.anchor else text
        found = sorted(p for p in anchor.glob(pattern) if p.is_file())
        if found:
            return [(p, os.fspath(p), _hive_keys(p)) for p in found]
        raise DataError(f"No file matches {text}: check the pattern, and the folder it starts from.")
    raise DataError(f"There is no file {text}: check the path, and the folder it starts from.")


def _is_visible(path: Path, root: Path) -> bool:
    return not any(name.startswith((".", "_")) for name in path.relative_to(root).parts)


def _hive_keys(path: Path) -> dict[str, str]:
    pairs = [name.split("=", 1) for name in path.parts[:-1] if "=" in name]
    return {key: urllib.parse.unquote(value) for key, value in pairs if key}


def _is_stored_as(column: Any, kind: pa.DataType) -> bool:
    """Whether whole numbers of a column are stored as they are read, and not in another unit."""
    if column.physical_type != "INT64" or pa.types.is_int64(kind):
        return bool(column.physical_type == "INT64")
    logical = json.loads(column.logical_type.to_json())
    units = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    return bool(pa.types.is_timestamp(kind) and logical.get("timeUnit") == units[kind.unit])


def _stem(path: Path) -> str:
    return path.name.split(".", 1)[0]


@attrs.frozen(kw_only=True)
class ParquetPart:
    """One Parquet file. The keys of a hive-partitioned folder count as columns of text."""

    path: Path
    label: str
    keys: dict[str, str]
    rows: int
    schema: pa.Schema
    metadata: pq.FileMetaData

    @classmethod
    def of(cls, path: Path, label: str, keys: dict[str, str]) -> ParquetPart:
        with _readable(label, "Parquet"), pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
        own = {key: value for key, value in keys.items() if key not in schema.names}
        for key in own:
            schema = schema.append(pa.field(key, pa.dictionary(pa.int32(), pa.string())))
        return cls(path=path, label=label, keys=own, rows=metadata.num_rows, schema=schema, metadata=metadata)

    @property
    def stem(self) -> str:
        return _stem(self.path)

    def batches(
        self, columns: Sequence[str], rows: int, text: Sequence[str] = (), first: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Read from row ``first`` on; row groups before it are not touched."""
        inside = [name for name in columns if name not in self.keys]
        group, skipped = self._group_of(first)
        with (
            _readable(self.label, "Parquet"),
            pq.ParquetFile(
                self.path,
                metadata=self.metadata,
                read_dictionary=[name for name in text if name not in self.keys],
                pre_buffer=False,
            ) as file,
        ):
            groups = range(group, self.metadata.num_row_groups)
            for batch in file.iter_batches(batch_size=rows, row_groups=groups, columns=inside, use_threads=True):
                if skipped:  # the row group begins earlier
                    batch, skipped = batch.slice(skipped), max(0, skipped - len(batch))
                if len(batch):
                    yield self._with_keys(batch, columns) if len(inside) < len(columns) else batch

    def column(self, name: str, first: int, rows: int) -> list[pa.Array]:
        """Some rows of one column."""
        found: list[pa.Array] = []
        for batch in self.batches([name], rows, first=first):
            found.append(batch.column(0).slice(0, rows))
            rows -= len(found[-1])
            if not rows:
                break
        return found

    def is_lowest(self, column: str, value: pa.Array) -> bool:
        """Whether the statistics of every row group say that no stored stamp is below this one."""
        schema, groups = self.metadata.schema, range(self.metadata.num_row_groups)
        index = next((i for i in range(len(schema)) if schema.column(i).path == column), None)
        if index is None or not _is_stored_as(schema.column(index), value.type):
            return False
        lowest = value.cast(pa.int64())[0].as_py()
        known = [self.metadata.row_group(group).column(index).statistics for group in groups]
        return lowest is not None and all(s is not None and s.has_min_max and s.min_raw >= lowest for s in known)

    def _group_of(self, row: int) -> tuple[int, int]:
        """The row group that a row is in, and how many of its rows come before."""
        group = 0
        while row and group < self.metadata.num_row_groups:
            length = self.metadata.row_group(group).num_rows
            if row < length:
                break
            group, row = group + 1, row - length
        return group, row

    def _with_keys(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        zeros = pa.repeat(pa.scalar(0, pa.int32()), len(batch))
        arrays = []
        for name in columns:
            if name in self.keys:
                arrays.append(pa.DictionaryArray.from_arrays(zeros, pa.array([self.keys[name]], pa.string())))
            else:
                arrays.append(batch.column(name))
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def names(self, column: str) -> list[Any]:
        if column in self.keys:
            return [self.keys[column]]
        known = self._names_from_statistics(column)
        if known is not None:
            return known
        return _distinct(batch.column(0) for batch in self.batches([column], 1 << 20, [column]))

    def _names_from_statistics(self, column: str) -> list[Any] | None:
        """Files sorted by instrument tell in their footers which they hold, without reading a row."""
        found: set[Any] = set()
        for group in range(self.metadata.num_row_groups):
            index = self.metadata.row_group(group).to_dict()["columns"]
            statistics = next((c["statistics"] for c in index if c["path_in_schema"] == column), None)
            if not statistics or not statistics["has_min_max"] or statistics["min"] != statistics["max"]:
                return None
            if statistics["null_count"] or not isinstance(statistics["min"], (str, int)):
                return None
            found.add(statistics["min"])
        return list(found)

    def count(self, column: str) -> int:
        return self.rows

    def state(self) -> object:
        return _state_of(self.path)

    def digest(self) -> str:
        return _digest_of(self.path)


@attrs.frozen(kw_only=True)
class CsvPart:
    """One CSV file. Every column is text until somebody says what it is, but for plain numbers."""

    path: Path
    label: str
    delimiter: str
    header: tuple[str, ...] | None
    numbers: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    rows: None = None

    @property
    def stem(self) -> str:
        return _stem(self.path)

    @property
    def schema(self) -> pa.Schema:
        with self._reading(None, 1 << 20) as reader:
            return reader.schema

    def batches(self, columns: Sequence[str], rows: int, text: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        # About 64 bytes make a row; a batch of more rows than asked for is cut.
        with _readable(self.label, "CSV"), self._reading(columns, min(rows * 64, 1 << 25), text) as reader:
            for batch in reader:
                for first in range(0, len(batch), rows):
                    yield batch.slice(first, rows)

    def _reading(self, columns: Sequence[str] | None, block_bytes: int, text: Sequence[str] = ()) -> Any:
        import pyarrow.csv as pcsv

        types = {name: pa.float64() for name in self.numbers} | {name: pa.string() for name in self.texts}
        types |= {name: pa.dictionary(pa.int32(), pa.string()) for name in text}
        with _readable(self.label, "CSV"):
            return pcsv.open_csv(
                self.path,
                read_options=pcsv.ReadOptions(
                    use_threads=False, block_size=max(block_bytes, 1 << 16), column_names=self.header
                ),
                parse_options=pcsv.ParseOptions(delimiter=self.delimiter),
                convert_options=pcsv.ConvertOptions(
                    column_types=types, include_columns=None if columns is None else list(columns)
                ),
            )

    def typed(self, *, numbers: Sequence[str], texts: Sequence[str]) -> CsvPart:
        """The same, with columns that are to be read as numbers and as text, whatever the first rows look like."""
        return attrs.evolve(self, numbers=frozenset(numbers), texts=frozenset(texts))

    def count(self, column: str) -> int:
        """The rows, by reading one column of all."""
        return sum(len(batch) for batch in self.batches([column], 1 << 20))

    def names(self, column: str) -> list[Any]:
        return _distinct(batch.column(0) for batch in self.batches([column], 1 << 20, [column]))

    def state(self) -> object:
        return _state_of(self.path)

    def digest(self) -> str:
        return _digest_of(self.path)


@attrs.frozen(kw_only=True, eq=False)
class FramePart:
    """One frame in memory."""

    table: pa.Table
    label: str = "the frame"
    stem: None = None

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    def batches(self, columns: Sequence[str], rows: int, text: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        table = self.table.select(list(columns))
        for first in range(0, len(table), rows):
            yield from table.slice(first, rows).to_batches()

    def names(self, column: str) -> list[Any]:
        return _distinct(self.table.column(column).iterchunks())

    def count(self, column: str) -> int:
        return self.rows

    def encoded(self, column: str) -> FramePart:
        """The same, with a column of text dictionary-encoded once for all passes."""
        given = self.table.column(column)
        if "string" not in str(given.type) or pa.types.is_dictionary(given.type):
            return self
        index = self.table.schema.get_field_index(column)
        return attrs.evolve(self, table=self.table.set_column(index, column, given.dictionary_encode()))

    def state(self) -> object:
        return None  # Arrow data does not change

    def digest(self) -> str:
        """Of the schema and the values, however they are cut into chunks."""
        return _frame_digest(self.table)


def _distinct(arrays: Any) -> list[Any]:
    found: set[Any] = set()
    for array in arrays:
        if isinstance(array, pa.DictionaryArray):
            used = pc.unique(array.indices)
            found.update(array.dictionary.take(used).to_pylist())
        else:
            found.update(pc.unique(array).to_pylist())
    return list(found)


class _readable:  # noqa: N801 - reads as a word in a with statement
    """Turns what a reader raises over a broken file into one sentence that names the file."""

    def __init__(self, label: str, kind: str) -> None:
        self.label, self.kind = label, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, (pa.ArrowInvalid, pa.ArrowException, OSError, UnicodeDecodeError)):
            said = " ".join(str(error).split()).rstrip(".")
            if isinstance(error, PermissionError):
                raise DataError(f"{self.label} cannot be read: {said}. Change its permissions.") from error
            if "Empty CSV file" in said or (self.kind == "CSV" and "cannot infer" in said.lower()):
                raise DataError(f"{self.label} is empty: give a file with a header and at least one row.") from error
            raise DataError(
                f"{self.label} is not a whole {self.kind} file ({said}): it may be cut short, damaged or of another "
                "format; write or fetch it again."
            ) from error


def _digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes; remembered as long as size and time of change stay the same."""
    return _file_digest(path, *_state_of(path))


def _state_of(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _frame_digest(table: pa.Table) -> str:
    """Columns are hashed side by side, then their digests together with the schema."""
    from concurrent.futures import ThreadPoolExecutor

    digest = hashlib.sha256()
    with ThreadPoolExecutor(2) as pool:  # hashing releases the GIL
        for field, hashed in zip(table.schema, pool.map(_column_digest, table.columns), strict=True):
            digest.update(f"{field.name}\0{field.type}\0{hashed}\n".encode())
    return digest.hexdigest()


def _column_digest(column: pa.ChunkedArray) -> str:
    """Of the values, or of what can be told apart of them: text by its distinct words and which row has which."""
    digest = hashlib.sha256()
    if "string" in str(column.type) and not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
        digest.update(repr(column.chunk(0).dictionary.to_pylist() if column.num_chunks else []).encode())
        column = pa.chunked_array(
            [chunk.indices.cast(pa.int64()).fill_null(-1) for chunk in column.iterchunks()], pa.int64()
        )
    plain = pa.types.is_primitive(column.type) and not column.null_count and column.type.bit_width >= 8
    hashed: Callable[[pa.Array], Any] = _values if plain else _texts
    for chunk in column.iterchunks():
        digest.update(hashed(chunk))
    return digest.hexdigest()


def _values(array: pa.Array) -> memoryview:
    width = array.type.bit_width // 8
    return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]


def _texts(array: pa.Array) -> bytes:
    return b"".join(repr(value).encode() + b"\0" for value in array.to_pylist())
