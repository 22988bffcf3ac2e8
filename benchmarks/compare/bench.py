"""One comparison: who starts, in which sizes, round after round. It knows nothing of how it will look."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.compare.contestants import OUR_NOTES, PEERS
from benchmarks.compare.files import SOURCES
from benchmarks.compare.ours import LANES
from benchmarks.compare.peers.task import Task
from benchmarks.compare.runner import ContestantFailedError, Measurement, measure
from benchmarks.compare.table import Line, Section
from benchmarks.parity.environments import PeerUnavailableError, environment
from benchmarks.workloads import WORKLOADS

__all__ = ["Bench"]


@dataclass(frozen=True)
class _Start:
    """How a contestant is started on a workload."""

    line: Line
    python: str
    module: str
    task: Task
    is_peer: bool


@dataclass
class Bench:
    """How everybody is measured; ``versions`` is filled in as contestants say theirs."""

    repeat: int
    timeout: float
    quick: bool
    versions: dict[str, str] = field(default_factory=dict)
    _pythons: dict[str, str] = field(default_factory=dict)
    _broken: dict[str, str] = field(default_factory=dict)

    def section(self, workload: str, peers: Sequence[str]) -> Section:
        """Every round of a workload; who fails is asked no more."""
        ours = [self._our_start(workload, lane, self._rows(workload)) for lane in LANES[workload]]
        starts: list[_Start] = list(ours)
        lines = [start.line for start in ours]
        for peer in peers:
            start = self._peer_start(workload, peer)
            lines.append(start.line)
            if not start.line.absent:
                starts.append(start)
        for number in range(self.repeat):
            for start in starts:
                if not start.line.absent:
                    self._measure(start, f"round {number + 1} of {self.repeat}")
        self._refer(workload, starts)
        source = SOURCES[workload]
        return Section(
            workload, WORKLOADS[workload].summary, source.unit, self._rows(workload), lines, ours=len(LANES[workload])
        )

    def _rows(self, workload: str, default: int | None = None) -> int:
        source = SOURCES[workload]
        rows = source.rows if default is None else default
        return min(rows, source.quick) if self.quick else rows

    def _our_start(self, workload: str, lane: str, rows: int) -> _Start:
        line = Line(f"qengine, {lane} lane", notes=tuple(filter(None, [OUR_NOTES.get(workload)])))
        return _Start(line, sys.executable, "benchmarks.compare.ours", _task(workload, lane, rows), is_peer=False)

    def _peer_start(self, workload: str, peer: str) -> _Start:
        """The peer is installed here if need be; why it cannot take part stands in its line."""
        contestant, python, rows = PEERS[peer], "", 0
        line = Line(peer)
        if workload not in contestant.rows:
            line.absent = contestant.without.get(workload, "not tried")
        else:
            rows = self._rows(workload, contestant.rows[workload])
            line.notes = tuple(filter(None, [contestant.notes.get(workload)]))
            python, line.absent = self._python(peer)
        task = _task(workload, contestant.lane, rows)
        return _Start(line, python, f"benchmarks.compare.peers.{contestant.script}", task, is_peer=True)

    def _python(self, peer: str) -> tuple[str, str]:
        """The peer's Python, or why there is none; installing is tried once."""
        if peer not in self._pythons | self._broken:
            try:
                self._pythons[peer] = str(environment(peer))
            except PeerUnavailableError as error:
                self._broken[peer] = f"not installed: {error}".rstrip(".")
        return self._pythons.get(peer, ""), self._broken.get(peer, "")

    def _measure(self, start: _Start, round_name: str) -> None:
        print(f"{start.task.workload} {start.line.name}: {round_name}", file=sys.stderr, flush=True)
        try:
            run = measure(start.python, start.module, start.task, self.timeout, start.is_peer)
        except ContestantFailedError as error:
            start.line.absent, start.line.runs = f"failed: {error}".rstrip("."), []
            return
        start.line.runs.append(run)
        about = ", ".join(f"{name} {version}" for name, version in run.versions.items())
        self.versions.setdefault(start.line.name.split(",")[0], f"{about}, Python {run.python}")

    def _refer(self, workload: str, starts: Sequence[_Start]) -> None:
        """What QEngine does with each size that was measured: its own first run, or one more on the slice."""
        first = starts[0]
        known: dict[int, Measurement | None] = {first.task.rows: first.line.runs[0] if first.line.runs else None}
        for start in starts:
            rows = start.task.rows
            if start.line.runs and rows not in known:
                again = self._our_start(workload, LANES[workload][0], rows)
                self._measure(again, f"the same {rows:,} rows")
                known[rows] = again.line.runs[0] if again.line.runs else None
            start.line.reference = known.get(rows)


def _task(workload: str, lane: str, rows: int) -> Task:
    source = SOURCES[workload]
    is_whole = rows == source.rows
    return Task(workload, lane, str(source.path(rows)) if rows else "", rows, min(rows, source.quick), is_whole)
