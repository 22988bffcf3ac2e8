"""Composes a run from components, runs it, and returns what came out. It knows no component by name."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from qengine_core.agenda import Agenda
from qengine_core.blocks import Source, StreamInfo
from qengine_core.clock import SimulatedClock
from qengine_core.compose import KINDS, Composition, compose
from qengine_core.errors import ConfigError, QEngineError, RunError, did_you_mean
from qengine_core.garbage import rare_collections
from qengine_core.hookspecs import RunContext, RunFailed, RunFinished
from qengine_core.loop import Loop, Progress
from qengine_core.manager import Plugins
from qengine_core.randomness import Randomness
from qengine_core.run import Run
from qengine_core.timed import timed_run
from qengine_core.timeline import Timeline
from qengine_core.timings import Timings
from qengine_core.vocabulary import Instrument
from qengine_core.wall import Stopwatch

__all__ = ["Engine", "Result"]

_WAKES = ("interest", "every-row")


@attrs.define(kw_only=True)
class Result(Mapping[str, Any]):
    """What a run left: tables by name (``result.fills``, ``result["fills"]``), counts, and its settings.

    ``rows`` is the market data rows walked, ``wakes`` how often a participant was called for one,
    ``seconds`` the wall time of the loop alone. ``flags`` lists observers that failed.
    """

    config: Mapping[str, Any]
    plugins: Mapping[str, str]
    streams: tuple[StreamInfo, ...]
    instruments: tuple[Instrument, ...]
    counts: Mapping[str, Any]
    rows: int
    wakes: int
    seconds: float
    start_ts: int
    end_ts: int
    components: Mapping[str, tuple[Any, ...]] = attrs.field(repr=False)
    flags: list[str] = attrs.field(factory=list)
    out: str | None = None
    _tables: dict[str, Any] = attrs.field(factory=dict, repr=False)

    def provide(self, name: str, table: Any) -> None:
        """Add a table, or a callable that makes it when first asked for."""
        self._tables[name] = table

    def __getitem__(self, name: str) -> Any:
        table = self._tables[name]
        if callable(table):
            table = self._tables[name] = table()
        return table

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._tables:
            raise AttributeError(f"The result has no table {name!r} ({did_you_mean(name, self._tables)}).")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


class Engine:
    """A composition that can be run any number of times, with the same result each time.

    Every argument takes a component, the name of a registered one, or a mapping with ``use`` and its
    parameters; ``feed``, ``strategy``, ``financing``, ``calendar``, ``risk``, ``position_rule`` and ``report`` also
    take a list. Left out, the ledger is ``standard``, the broker ``simulated``, commission and slippage are ``none``,
    there is no financing and no rule, and the calendar is ``utc-days``; of several, an instrument has the first that
    covers it. ``profile`` names a set of policies for what is left out, and for the parameters that a mapping leaves
    out. ``seed`` feeds every random generator of the run. ``wake="every-row"`` selects the naive loop, for checking.
    ``base`` is the folder that relative files are looked for in.
    """

    def __init__(
        self,
        *,
        feed: Any,
        strategy: Any,
        ledger: Any = None,
        broker: Any = None,
        commission: Any = None,
        slippage: Any = None,
        financing: Any = None,
        calendar: Any = None,
        risk: Any = None,
        position_rule: Any = None,
        report: Any = None,
        runner: Any = None,
        profile: Any = None,
        seed: int = 0,
        wake: str = "interest",
        plugins: Plugins | None = None,
        base: Path | str = ".",
    ) -> None:
        given = {
            "feed": feed,
            "strategy": strategy,
            "ledger": ledger,
            "broker": broker,
            "commission": commission,
            "slippage": slippage,
            "financing": financing,
            "calendar": calendar,
            "risk": risk,
            "position_rule": position_rule,
            "report": report,
            "runner": runner,
            "profile": profile,
        }
        self.plugins = plugins if plugins is not None else Plugins.discover()
        self._composition = compose(self.plugins, given, Path(base))
        if wake not in _WAKES:
            raise ConfigError(f"wake must be one of {', '.join(map(repr, _WAKES))}, not {wake!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ConfigError(f"seed must be a whole number >= 0, not {seed!r}.")
        self._seed, self._wake = seed, wake

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, plugins: Plugins | None = None, base: Path | str = "."
    ) -> Engine:
        """Compose from plain values, as a run file holds them. Raises ConfigError naming an unknown key."""
        known = {*KINDS, "profile", "seed", "wake"}
        for key in config:
            if key not in known:
                raise ConfigError(f"There is no setting {key!r} ({did_you_mean(key, known)}).")
        return cls(**{"feed": None, "strategy": None, **config}, plugins=plugins, base=base)

    @property
    def config(self) -> dict[str, Any]:
        """The composition as plain values, complete with defaults: ``from_config`` takes it back."""
        return {"seed": self._seed, "wake": self._wake, **self._composition.config}

    def run(
        self, *, out: str | None = None, progress: Progress | None = None, timings: Timings | None = None
    ) -> Result:
        """Run to the end and return the result; with ``out``, installed reporting writes it there.

        ``progress(rows, ts, total)`` is called now and then; ``total`` is None where a feed cannot say.
        ``timings`` finds out what the time goes on; the run takes longer for it.
        Raises QEngineError, one sentence long, for mistakes of data, configuration or strategy.
        """
        config, state = self.config, dict[str, Any]()
        call = self.plugins.call if timings is None else timings.wrap("report", self.plugins.call)
        try:
            call("qengine_run_started", RunContext(out=out, config=config, state=state))
            result = self._run(out, progress, timings)
            finished = RunFinished(out=out, config=config, state=state, result=result)
            result.flags += call("qengine_run_finished", finished, isolate=out is None)
            return result
        except BaseException as error:
            failed = RunFailed(out=out, config=config, state=state, error=error)
            self.plugins.call("qengine_run_failed", failed, isolate=True)
            raise

    def _run(self, out: str | None, progress: Progress | None, timings: Timings | None) -> Result:
        composition = self._composition
        runner = composition.components["runner"][0]
        if timings is None:
            sources = [feed.open() for feed in composition.components["feed"]]
            drive = runner.run
        else:
            sources = [timings.wrap("feed", feed.open)() for feed in composition.components["feed"]]
            drive = timings.wrap("loop", runner.run)
            progress = progress and timings.wrap("progress", progress)
        takes_over = self._wake != "every-row" and timings is None
        run, timeline = _prepare(sources, composition, self._seed, takes_over, timings)
        loop = Loop(
            clock=run.clock,
            agenda=run.agenda,
            participants=run.participants,
            streams=run.streams,
            every_row=self._wake == "every-row",
            progress=progress,
        )
        watch = Stopwatch()
        with contextlib.closing(timeline):
            _guarded(run, lambda: _drive(run, loop, timeline, drive))
        seconds = watch.seconds()
        result = Result(
            config=self.config,
            plugins=composition.plugins_used,
            streams=tuple(source.info for source in sources),
            instruments=run.instruments,
            counts={key: value for p in run.participants for key, value in p.counts().items()},
            rows=loop.rows,
            wakes=loop.wakes,
            seconds=seconds,
            start_ts=loop.first_ts,
            end_ts=loop.last_ts,
            components=composition.components,
            out=out,
        )
        for participant in run.participants:
            for name, table in participant.tables().items():
                result.provide(name, table)
        run.close()
        return result


def _prepare(
    sources: Sequence[Source], composition: Composition, seed: int, takes_over: bool, timings: Timings | None
) -> tuple[Run, Timeline]:
    """Build the participants in the order in which they lean on one another."""
    instruments: dict[str, Instrument] = {}
    for source in sources:
        for instrument in source.info.instruments:
            if instruments.setdefault(instrument.name, instrument) != instrument:
                raise ConfigError(
                    f"Instrument {instrument.name} is described differently by two feeds: "
                    f"{instruments[instrument.name]} and {instrument}."
                )
    shared: dict[str, Any] = {
        "clock": SimulatedClock(),
        "random": Randomness(seed),
        "instruments": tuple(instruments.values()),
        "streams": tuple(source.info for source in sources),
        "components": composition.components,
        "takes_over": takes_over,
    }
    run = Run(agenda=Agenda(), **shared) if timings is None else timed_run(timings, **shared)
    for kind in ("ledger", "broker", "risk", "position_rule", "financing", "strategy"):
        for number, component in enumerate(composition.components[kind]):
            run.building = number
            run.add(kind, component)
    blocks = [(source.info.phase, source.blocks(index, run.codes)) for index, source in enumerate(sources)]
    if timings is not None:  # what is waited for: what is read meanwhile costs nothing
        blocks = [(phase, timings.each("feed", of_stream)) for phase, of_stream in blocks]
    return run, Timeline(blocks)


def _drive(run: Run, loop: Loop, timeline: Timeline, drive: Callable[..., None]) -> None:
    segments = iter(timeline)
    first = next(segments, None)
    if first is not None:
        # What is set up in on_start belongs just before the first row, not to 1970.
        run.clock.stand_at(int(first.block.ts[first.start]) - 1)
    for participant in run.participants:
        participant.on_start()
    with rare_collections():
        drive(loop, [] if first is None else itertools.chain([first], segments))
    run.clock.stand_at(loop.last_ts)
    for participant in reversed(run.participants):
        participant.on_stop()
        run.agenda.drain()


def _guarded(run: Run, drive: Callable[[], None]) -> None:
    """Turn what a component raises into one sentence that says where and when; the cause stays attached."""
    try:
        drive()
    except QEngineError:
        raise
    except Exception as error:
        where = getattr(error, "__notes__", ["a component"])[0]
        raise RunError(f"{where} raised {type(error).__name__} at {_readable(run.clock.now)}: {error}") from error


def _readable(ts: int) -> str:
    import numpy as np

    return f"{np.datetime64(ts, 'ns').astype('datetime64[us]')}Z" if ts else "the start"
