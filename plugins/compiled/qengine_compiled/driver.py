"""A compiled strategy's seat in the loop: it takes the broker's rows over, and walks them in compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from qengine_portfolio.native import address
from qengine_portfolio.view import KINDS
from qengine_strategy.context import Context
from qengine_strategy.dense import Dense, instant_ends
from qengine_strategy.interest import CALLBACKS, Interest, interests_of, overrides, refuse_unheard

from qengine_compiled.compiling import Memory, compile_callback, compile_questions, compile_walk, names_in
from qengine_compiled.lane import LANE
from qengine_compiled.strategy import CompiledStrategy
from qengine_compiled.walk import BROKER, PATHS, WENT
from qengine_core.blocks import Block, Segment, StreamInfo
from qengine_core.participant import Participant
from qengine_core.plugin import ConfigError, Rank

if TYPE_CHECKING:
    from qengine_core.run import Run

__all__ = ["CompiledDriver", "refuse_several_streams"]

_FIXED = ("ts", "code", "count", "row")
_MOST_ORDERS = 4_096


def refuse_several_streams(strategy: CompiledStrategy, run: Run) -> None:
    """Blocks of several streams come in no order that a strategy could go by. Raises ConfigError."""
    kinds = {kind for kind, method in CALLBACKS.items() if overrides(strategy, CompiledStrategy, method)}
    if overrides(strategy, CompiledStrategy, "on_block") and sum(stream.kind in kinds for stream in run.streams) > 1:
        raise ConfigError(
            f"Strategy {type(strategy).__name__} works on blocks (on_block, signals), for which one feed must have all "
            "its rows: put the data into one feed."
        )


class CompiledDriver(Participant):
    """Walks the rows of the streams that the strategy follows, matching included."""

    rank = Rank.DECISION

    def __init__(self, strategy: CompiledStrategy, run: Run) -> None:
        self.strategy = strategy
        self._name = type(strategy).__name__
        self._run, self._clock, self._agenda = run, run.clock, run.agenda
        self._kinds = [stream.kind for stream in run.streams]
        self._interests = interests_of(strategy, CompiledStrategy)
        self._callbacks = {
            kind: "on_slice" if interest.slices else CALLBACKS[kind] for kind, interest in self._interests.items()
        }
        self._history = 0
        self._streams = {number for number, kind in enumerate(self._kinds) if kind in self._callbacks}
        self._refuse_what_cannot_be()
        refuse_several_streams(strategy, run)
        self._core: Any = run.broker.lend_core(self._streams)  # type: ignore[attr-defined]
        self._record = np.zeros(1, LANE)
        self._lane = self._record[0]
        self._address = address(self._record)
        self._sent = np.zeros(max(1, len(run.instruments)), np.int64)
        self._walk = compile_walk()
        self._kept: list[Any] = []
        self._block: Block | None = None
        self._shapes = [_Shape(self._used_columns(stream), len(run.instruments)) for stream in run.streams]
        self._on_row: dict[int, int] = {}  # by stream

    def _refuse_what_cannot_be(self) -> None:
        """Raises ConfigError naming what the run has that the compiled lane has not."""
        run = self._run
        against = [f"the risk rule {_use(rule)}" for rule in run.components["risk"]]
        against += [f"the position rule {_use(rule)}" for rule in run.components["position_rule"]]
        ending = [part for part in run.components["financing"] if getattr(part, "ends_trading", False)]
        against += [f"the financing {_use(part)}" for part in ending]
        if len(run.components["strategy"]) > 1:
            against.append("a second strategy")
        if len(run.ledger.accounts) > 1:
            against.append("several accounts")
        lend = getattr(run.broker, "lend_core", None)
        against += [f"the broker {type(run.broker).__name__}"] if lend is None else run.broker.not_lendable()  # type: ignore[attr-defined]
        if against:
            raise ConfigError(
                f"Strategy {self._name} cannot run compiled with {', '.join(against)}: leave that out, or set lane = "
                '"event" to run the same strategy as Python.'
            )

    def _used_columns(self, stream: StreamInfo) -> tuple[str, ...]:
        """The columns of a stream that its callback names. Others are not at hand in compiled code."""
        if stream.kind not in self._callbacks:
            return ()
        code = getattr(type(self.strategy), self._callbacks[stream.kind]).__code__
        return tuple(sorted(names_in(code) & set(stream.columns) - set(_FIXED)))

    # What a Context asks of its driver ---------------------------------------------------------------------------

    def subscribe(
        self,
        kind: str,
        codes: frozenset[int] | None,
        every: int | str | None,
        history: int,
        crossing: bool = False,
    ) -> None:
        """Narrow the interest in one kind of event, in ``on_start``."""
        if crossing:
            self._refuse("waits for prices to cross a level")
        if kind not in self._interests:
            refuse_unheard(self.strategy, kind)
        self._interests[kind] = Interest(self._interests[kind].slices, codes, every)
        self._history = max(self._history, history)

    def set_timer(self, name: str, ts: int, step: int | None) -> Any:
        self._refuse("sets a timer")

    def watch(self, code: int, above: float, below: float) -> Any:
        self._refuse("watches a price")

    def _refuse(self, does: str) -> NoReturn:
        raise ConfigError(f'Strategy {self._name} {does}, which the compiled lane has not: set lane = "event".')

    # The run -------------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        context = Context(self._run, self, 0)  # type: ignore[arg-type]
        self._call("on_start", context)
        memory = self._memory = Memory(self.strategy)
        for number in self._streams:
            method = self._callbacks[self._kinds[number]]
            columns = self._shapes[number].columns
            self._on_row[number], kept = compile_callback(self.strategy, method, memory, columns)
            self._kept.append(kept)
        lane = self._lane
        if overrides(self.strategy, CompiledStrategy, "on_fill"):
            lane["on_fill"], kept = compile_callback(self.strategy, "on_fill", memory, None)
            self._kept.append(kept)
            self._core.pause_at_fills()
        for name, value in self._core.fields().items():
            lane[name] = value
        lane["notes"] = self._core.keeps_slips and not lane["on_fill"]
        for name, (place, kept) in compile_questions().items():
            lane[name] = place
            self._kept.append(kept)
        lane["memory"], lane["instruments"] = memory.address, len(self._run.instruments)
        lane["sent"], lane["most"] = address(self._sent), max(_MOST_ORDERS, 4 * len(self._run.instruments))
        lane["depth"] = max(1, self._history)
        for shape in self._shapes:
            shape.depth = max(1, self._history)

    def _call(self, method: str, context: Context) -> None:
        try:
            getattr(self.strategy, method)(context)
        except Exception as error:
            error.add_note(f"Strategy {self._name}, {method}")
            raise

    def follows(self, stream: StreamInfo) -> bool:
        return stream.kind in self._callbacks

    def next_row(self, segment: Segment, start: int, stop: int) -> int:
        return start

    def on_rows(self, segment: Segment, start: int, stop: int) -> int:
        if segment.block is not self._block:
            self._enter(segment.block)
        if self._core.closed_out:
            self._refuse("runs on after trading in an instrument has ended")
        core, lane, row, due = self._core, self._lane, start, self._agenda.next_key
        core.make_room(int(lane["most"]))
        lane["room"] = core.order_room
        while row < stop:
            try:
                row = self._walk(self._address, row, stop)
            except Exception as error:
                self._blame(error)
                raise
            status = int(lane["status"])
            if status == WENT:
                break
            self._attend(status)
            if self._agenda.next_key != due:
                break
        core.forget()
        return row

    def _attend(self, status: int) -> None:
        """Do what the walk came back for."""
        core = self._core
        if status == BROKER:
            self._clock.position.row = int(self._lane["row"])
            if core.attend():
                self._agenda.drain()
        elif status == PATHS:
            core.foresee_paths()
            self._lane["needs_paths"] = 0
        core.make_room(int(self._lane["most"]))
        self._lane["room"] = core.order_room

    def _blame(self, error: Exception) -> None:
        """Say which callback raised, and let the clock stand where it was."""
        assert self._block is not None
        row = self._clock.position.row = int(self._lane["row"])
        method = self._callbacks[self._kinds[self._block.stream]]
        about = "" if method == "on_slice" else f" of {self._run.instruments[self._block.instrument[row]].name}"
        error.add_note(f"Strategy {self._name}, {method}{about}")

    def _enter(self, block: Block) -> None:
        """Let the lane see a block."""
        lane = self._lane
        kind, shape = self._kinds[block.stream], self._shapes[block.stream]
        self._block = block
        chosen = None
        if overrides(self.strategy, CompiledStrategy, "on_block"):
            self._memory.write_back()
            chosen = self.strategy.on_block(block)
            self._memory.read()
        is_slice = self._interests[kind].slices
        wanted, instants = self._wanted(block, kind) if chosen is None else (chosen, None)
        wanted = None if wanted is None else np.ascontiguousarray(wanted, np.int64)
        lane["seen"], lane["ts"], lane["codes"] = self._core.enter(block), address(block.ts), address(block.instrument)
        lane["matches"] = kind in KINDS
        lane["wanted"], lane["wanted_count"], lane["place"] = (
            (0, 0, 0) if wanted is None else (address(wanted), len(wanted), 0)
        )
        lane["instants"] = 0 if instants is None else address(instants)
        lane["on_row"], lane["on_cross"] = (
            (0, self._on_row[block.stream]) if is_slice else (self._on_row[block.stream], 0)
        )
        columns = shape.cross(block) if is_slice else shape.rows(block)
        lane["columns"], lane["past"], lane["known"] = address(columns), shape.past, shape.past
        self._of_block = wanted, instants, columns

    def _wanted(self, block: Block, kind: str) -> tuple[Any, Any]:
        """The rows of a block that the strategy wants (None: all), and of cross-sections which instants they end."""
        rows = self._interests[kind].chosen(block)
        if rows is None or not self._interests[kind].slices:
            return rows, None
        return rows, instant_ends(block).searchsorted(rows)

    def end_segment(self, segment: Segment) -> None:
        """History reaches back over blocks in which nothing was delivered, too."""
        kind = self._kinds[segment.block.stream]
        if self._interests[kind].slices:
            self._shapes[segment.block.stream].leave(segment.block)

    def on_stop(self) -> None:
        self._memory.write_back()
        self._call("on_stop", Context(self._run, self, 0))  # type: ignore[arg-type]


class _Shape:
    """The columns of one stream as compiled code finds them: by row, or as matrices of instants by instruments."""

    def __init__(self, columns: tuple[str, ...], instruments: int) -> None:
        self.columns = columns
        self.depth = 1
        self.past = 0  # instants kept from before the block
        self._instruments = instruments
        self._dense = Dense(instruments)
        self._tails: dict[str, Any] = {}
        self._left: Block | None = None
        self._kept: list[Any] = []

    def rows(self, block: Block) -> Any:
        """Addresses of the columns, by row."""
        self._kept = [np.ascontiguousarray(block.columns[name], np.float64) for name in self.columns]
        return np.array([*map(address, self._kept), 0], np.int64)

    def cross(self, block: Block) -> Any:
        """Addresses of the columns as matrices, with the instants before the block that history reaches."""
        key = (type(self), "cross")
        if key not in block.cache:
            matrices = []
            for name in self.columns:
                matrix = self._dense.column(block, name)
                if name in self._tails:
                    matrix = np.concatenate([self._tails[name], matrix])
                matrices.append(np.ascontiguousarray(matrix))
            tails = [len(tail) for tail in self._tails.values()]
            block.cache[key] = matrices, tails[0] if tails else 0
        self._kept, self.past = block.cache[key]
        return np.array([*map(address, self._kept), 0], np.int64)

    def leave(self, block: Block) -> None:
        """Keep what history may reach of a block, once it is over."""
        if self.depth < 2 or block is self._left:
            return
        self.cross(block)
        self._left = block
        self._tails = {
            name: matrix[-(self.depth - 1) :].copy() for name, matrix in zip(self.columns, self._kept, strict=True)
        }


def _use(component: Any) -> str:
    return type(component).__name__
