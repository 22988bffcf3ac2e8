"""The life of a run folder: begun under a temporary name, completed and renamed, or marked failed.

A folder under its final name is whole: its last file is the manifest, and it is renamed after that.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qengine_core.plugin import ConfigError, PluginError, QEngineError, RunError
from qengine_reporting.manifest import hashes, manifest, plain
from qengine_reporting.metrics import metrics_of
from qengine_reporting.parquet import write_table
from qengine_reporting.schema import SCHEMAS

if TYPE_CHECKING:
    from qengine_core.engine import Result

__all__ = ["PartialFolder", "write_run"]

# Written and deleted at the start, so that a full disk or quota is met before the run and not after it.
_PROBE_BYTES = 1 << 20


def write_run(result: Result, folder: str | Path) -> Path:
    """Write a finished run's folder: tables, metrics, reports, manifest. Return its path.

    A report that fails is noted in ``result.flags`` and in the manifest; the rest is still written. Raises
    ConfigError if ``folder`` exists or its place cannot be written, RunError if writing fails half-way;
    what was begun is then left as ``<folder>.failed`` with an error.log.
    """
    partial = PartialFolder.begin(folder)
    try:
        return partial.complete(result)
    except BaseException as error:
        partial.fail(error)
        raise


class PartialFolder:
    """A run folder that is not complete. ``path`` is its temporary place, beside the final one."""

    def __init__(self, path: Path, final: Path) -> None:
        self.path = path
        self.final = final

    @classmethod
    def begin(cls, out: str | Path) -> PartialFolder:
        """Make the temporary folder and see that its place takes data. Raises ConfigError."""
        final = Path(os.path.abspath(out))  # noqa: PTH100  (resolve() would follow a link at the final name)
        if os.path.lexists(final):
            raise ConfigError(f"{out} exists already: choose another folder for the results, or remove it.")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            partial = cls(_new_folder(final), final)
        except OSError as error:
            raise ConfigError(f"The results cannot go to {out}: {_why(error)}. Choose another folder.") from error
        try:
            _probe(partial.path / "probe")
        except OSError as error:
            shutil.rmtree(partial.path, ignore_errors=True)
            raise ConfigError(
                f"The results cannot go to {out}: {_why(error)}. Free some space or choose another folder."
            ) from error
        return partial

    def complete(self, result: Result) -> Path:
        """Write everything, then take the final name. Raises RunError if the disk does not take it."""
        try:
            self._write(result)
            _sync(self.path)
            self._rename()
        except OSError as error:
            raise RunError(
                f"The results could not be written to {self.final}: {_why(error)}. "
                "Free some space or choose another folder, and run again."
            ) from error
        return self.final

    def fail(self, error: BaseException, config: Any = None) -> Path:
        """Keep nothing but ``error.log``, and mark the folder failed. Return where it is now.

        The log holds the error's sentence, its traceback and the composition.
        """
        for entry in self.path.iterdir():  # first, because the disk may be full
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        failed = _failed_name(self.final)
        # A disk that does not take the log either must not hide the error that it would hold.
        with contextlib.suppress(OSError):
            (self.path / "error.log").write_text(_log(error, config), encoding="utf-8")
            error.add_note(f"The log of the failed run is {failed / 'error.log'}.")
        self.path.rename(failed)
        self.path = failed
        return failed

    def _write(self, result: Result) -> None:
        for name in _tables(result):
            write_table(name, result[name], self.path / f"{name}.parquet")
        if "metrics" not in list(result):
            result.provide("metrics", lambda: metrics_of(result))
        _write_json(self.path / "metrics.json", result["metrics"])
        for report in _reports(result):
            self._report(report, result)
        _write_json(self.path / "manifest.json", manifest(result, hashes(self.path)))

    def _report(self, report: Any, result: Result) -> None:
        """Let a report write; if it cannot, note it and remove what it left."""
        before = set(self.path.rglob("*"))
        try:
            report.write(result, self.path)
        except Exception as error:
            sentence = " ".join(str(error).split())
            result.flags.append(f"report {type(report).__name__}: {type(error).__name__}: {sentence}")
            for path in sorted(set(self.path.rglob("*")) - before, reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()

    def _rename(self) -> None:
        if os.path.lexists(self.final):
            raise FileExistsError(errno.EEXIST, "something else has taken that name during the run")
        self.path.rename(self.final)
        self.path = self.final
        _sync_folder(self.final.parent)


def _tables(result: Result) -> list[str]:
    """Names of the tables to write, documented ones first. A documented one that nobody provides is flagged."""
    given = [name for name in result if name != "metrics"]
    for name in given:
        if not re.fullmatch(r"[a-z0-9_-]+", name):
            raise PluginError(f"Table {name!r} cannot be a file: a name must be of a-z, 0-9, '_' and '-'.")
    for name, table in SCHEMAS.items():
        if name not in given and not table.only_where:
            result.flags.append(f"no participant provided the table {name!r}: {name}.parquet is not written")
    return [name for name in SCHEMAS if name in given] + sorted(name for name in given if name not in SCHEMAS)


def _reports(result: Result) -> Iterable[Any]:
    """The composed reports; where none is named, the HTML report."""
    from qengine_reporting.report import HtmlReport

    return result.components.get("report") or (HtmlReport(),)


def _new_folder(final: Path) -> Path:
    """A fresh hidden name beside the final one, so that renaming stays within one file system."""
    for number in itertools.count():
        path = final.parent / f".{final.name}.partial-{os.getpid()}-{number}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError("unreachable: itertools.count has no end")


def _failed_name(final: Path) -> Path:
    """``<final>.failed``, taking the place of an earlier failure; numbered if that is not one of ours."""
    for number in itertools.count(1):
        failed = final.with_name(f"{final.name}.failed" if number == 1 else f"{final.name}.failed-{number}")
        if failed.is_dir() and [entry.name for entry in failed.iterdir()] == ["error.log"]:
            shutil.rmtree(failed)
        if not os.path.lexists(failed):
            return failed
    raise AssertionError("unreachable: itertools.count has no end")


def _probe(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"\0" * _PROBE_BYTES)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def _sync(folder: Path) -> None:
    """Have everything on disk before the final name, so that a power cut cannot leave a whole-looking half."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _log(error: BaseException, config: Any) -> str:
    if isinstance(error, KeyboardInterrupt):
        sentence = "Interrupted by the user."
    elif isinstance(error, QEngineError):
        sentence = " ".join(str(error).split())
    else:
        sentence = f"{type(error).__name__}: {' '.join(str(error).split())}"
    parts = [sentence, "".join(traceback.format_exception(error)).rstrip()]
    if config is not None:
        parts.append("Composition:\n" + json.dumps(plain(config), indent=2, ensure_ascii=False))
    return "\n\n".join(parts) + "\n"
