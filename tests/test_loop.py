"""The interest-driven loop gives every participant the same history, in the same order, as the naive one.

Random streams, timers and participants are run twice; what the participants write down must be identical.
The order itself is held to a reference sort that knows nothing of segments, interest or heaps.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qengine_core.agenda import Agenda
from qengine_core.blocks import Block, StreamInfo
from qengine_core.clock import SimulatedClock
from qengine_core.errors import DataError, RunError
from qengine_core.loop import Loop
from qengine_core.participant import Participant
from qengine_core.randomness import Randomness
from qengine_core.timeline import Timeline
from qengine_core.vocabulary import Instrument, Phase

KINDS = ("bar", "trade", "quote", "signal")


@attrs.frozen
class Ping:
    """An immediate event: who posted it, and how many more it may cause."""

    sender: int
    hops: int


@attrs.frozen
class Retarget:
    """Changes the threshold of the participant named."""

    who: int
    threshold: float


@attrs.frozen
class World:
    """What a scenario is made of, as plain values that Hypothesis can shrink."""

    streams: list  # (kind, phase, [(ts, value)], cuts)
    people: list  # dicts of settings, one per participant
    timers: list  # (ts, phase, cancel: bool) scheduled before the start


class Actor(Participant):
    """A participant whose every reaction follows from its settings and from what it has been shown."""

    def __init__(self, index, settings_, run):
        self.rank = settings_["rank"]
        self.index = index
        self.set = settings_
        self.run = run
        self.threshold = settings_["threshold"]
        self.seen = 0
        self.scheduled = None

    def follows(self, stream):
        return stream.kind in self.set["kinds"]

    # -- what happens to it ------------------------------------------------------------------------

    def on_start(self):
        self.run.agenda.on(Ping, self.on_ping, self.rank)
        self.run.agenda.on(Retarget, self.on_retarget, self.rank)

    def act(self, segment, row):
        value = float(segment.block.columns["value"][row])
        self.seen += 1
        self.write("row", segment.block.stream, int(segment.block.ts[row]), value)
        every = self.set
        if every["post_every"] and self.seen % every["post_every"] == 0:
            self.run.agenda.post(Ping(self.index, every["hops"]))
        if every["retarget_every"] and self.seen % every["retarget_every"] == 0:
            who = (self.index + 1) % len(self.run.people)
            self.run.agenda.post(Retarget(who, (self.threshold * 7 + value) % 10))
        if every["timer_every"] and self.seen % every["timer_every"] == 0:
            self.set_timer()
        if every["cancel_every"] and self.seen % every["cancel_every"] == 0 and self.scheduled is not None:
            self.scheduled.cancel()

    def set_timer(self):
        now = self.run.clock.now
        self.scheduled = self.run.agenda.schedule(now + self.set["delay"], self.set["timer_phase"], self.on_timer, now)

    def on_timer(self):
        self.write("timer", self.set["timer_phase"])
        if self.set["timer_posts"]:
            self.run.agenda.post(Retarget(self.index, (self.threshold + 3) % 10))
            self.run.agenda.post(Ping(self.index, self.set["hops"]))

    def on_ping(self, ping):
        self.write("ping", ping.sender, ping.hops)
        if ping.hops > 0 and ping.sender != self.index and self.set["answers"]:
            self.run.agenda.post(Ping(self.index, ping.hops - 1))
        if ping.sender != self.index and self.set["moved_by_ping"]:
            self.move((self.threshold + 1) % 10)

    def on_retarget(self, event):
        self.write("retarget", event.who, event.threshold)
        if event.who == self.index:
            self.move(event.threshold)

    def on_stop(self):
        self.write("stop", self.seen)
        if self.set["timer_posts"]:
            self.run.agenda.post(Ping(self.index, 1))

    def move(self, threshold):
        self.threshold = threshold
        self.forget()
        self.run.agenda.interrupt()

    def forget(self):
        """Drop what was remembered about where nothing is wanted."""

    def write(self, *what):
        self.run.journal.append((self.run.clock.now, self.index, *what))


class Sleeper(Actor):
    """Follows a stream, and never wants a row of it: lives on timers and events."""

    def on_rows(self, segment, start, stop):
        raise AssertionError("woken for a row it never asked for")


class Everything(Actor):
    """Wants every row, and works through runs of them as a strategy does."""

    def next_row(self, segment, start, stop):
        return start

    def on_rows(self, segment, start, stop):
        position, pending = self.run.loop_position(), self.run.agenda.pending
        for row in range(start, stop):
            position.row = row
            self.act(segment, row)
            if pending:
                return row + 1
        return stop


class Scanner(Actor):
    """Wants rows whose value reaches its threshold: scans, and remembers how far it is quiet."""

    def __init__(self, *given):
        super().__init__(*given)
        self.quiet = {}

    def forget(self):
        self.quiet.clear()

    def next_row(self, segment, start, stop):
        block = segment.block
        known, begun, end = self.quiet.get(block.stream, (None, 0, 0))
        if known is block and begun <= start < end:
            if stop <= end:
                return stop
            first = end
        else:
            first = begun = start
        wanted = np.flatnonzero(block.columns["value"][first:stop] >= self.threshold)
        answer = first + int(wanted[0]) if len(wanted) else stop
        self.quiet[block.stream] = (block, begun, answer)
        return answer

    def on_rows(self, segment, start, stop):
        assert segment.block.columns["value"][start] >= self.threshold, "woken for a row it did not ask for"
        self.act(segment, start)
        return start + 1


class Once(Scanner):
    """A scanner that loses interest by itself after each row, until an event gives it a new threshold."""

    def on_rows(self, segment, start, stop):
        super().on_rows(segment, start, stop)
        self.threshold = 11.0
        self.forget()
        return start + 1


class Every3rd(Actor):
    """Wants rows by their place, alone; handles as many as it is given."""

    def next_row(self, segment, start, stop):
        return min(start + (-start) % 3, stop)

    def on_rows(self, segment, start, stop):
        row = start
        while row < stop:
            self.run.loop_position().row = row
            self.act(segment, row)
            row += 3
            if self.run.agenda.pending:
                break
        return min(row, stop) if not self.run.agenda.pending else row - 2


ROLES = {cls.__name__: cls for cls in (Sleeper, Everything, Scanner, Once, Every3rd)}


class MiniRun:
    """The least that a loop needs: what Engine builds, without components."""

    def __init__(self, world, every_row):
        self.clock = SimulatedClock()
        self.agenda = Agenda()
        self.journal = []
        self.people = [ROLES[p["role"]](index, p, self) for index, p in enumerate(world.people)]
        infos = [
            StreamInfo(kind=kind, columns=("value",), instruments=(Instrument(name="X"),), phase=phase)
            for kind, phase, _, _ in world.streams
        ]
        self.loop = Loop(
            clock=self.clock, agenda=self.agenda, participants=self.people, streams=infos, every_row=every_row
        )
        for number, (ts, phase, cancelled) in enumerate(world.timers):
            event = self.agenda.schedule(ts, phase, lambda number=number: self.preset(number), -99)
            if cancelled:
                event.cancel()
        for person in self.people:
            person.on_start()
        self.timeline = Timeline(
            [(phase, blocks(i, rows, cuts)) for i, (_, phase, rows, cuts) in enumerate(world.streams)]
        )

    def preset(self, number):
        self.journal.append((self.clock.now, -1, "preset", number))
        self.agenda.post(Ping(-1, 1))

    def loop_position(self):
        return self.clock.position

    def go(self):
        self.loop.run(self.timeline)
        self.clock.stand_at(self.loop.last_ts)
        for person in reversed(self.people):
            person.on_stop()
            self.agenda.drain()
        return self.journal


def blocks(stream, rows, cuts):
    """The rows as blocks, cut at some of the places where a cut does not split equal stamps."""
    ts = np.array([t for t, _ in rows], dtype=np.int64)
    values = np.array([v for _, v in rows], dtype=np.float64)
    legal = [i for i in range(1, len(ts)) if ts[i] != ts[i - 1]]
    places = [0, *sorted({legal[c % len(legal)] for c in cuts} if legal else ()), len(ts)]
    for start, stop in itertools.pairwise(places):
        codes = np.zeros(stop - start, dtype=np.int32)
        yield Block(stream, ts[start:stop], codes, {"value": values[start:stop]})


times = st.integers(-20, 20)  # around the epoch: 0 is a time like any other
phases = st.sampled_from(list(Phase))
streams = st.tuples(
    st.sampled_from(KINDS),
    phases,
    st.lists(st.tuples(times, st.integers(0, 10).map(float)), max_size=40).map(
        lambda rows: sorted(rows, key=lambda r: r[0])
    ),
    st.lists(st.integers(0, 100), max_size=4),
)
people = st.fixed_dictionaries(
    {
        "role": st.sampled_from(sorted(ROLES)),
        "rank": st.integers(0, 6),
        "kinds": st.sets(st.sampled_from(KINDS), min_size=1),
        "threshold": st.integers(0, 11).map(float),
        "post_every": st.sampled_from([0, 1, 2, 5]),
        "hops": st.integers(0, 2),
        "answers": st.booleans(),
        "moved_by_ping": st.booleans(),
        "retarget_every": st.sampled_from([0, 1, 3]),
        "timer_every": st.sampled_from([0, 1, 4]),
        "cancel_every": st.sampled_from([0, 0, 2, 5]),
        "delay": st.integers(0, 9),
        "timer_phase": phases,
        "timer_posts": st.booleans(),
    }
)
worlds = st.builds(
    World,
    streams=st.lists(streams, min_size=1, max_size=4),
    people=st.lists(people, min_size=1, max_size=5),
    timers=st.lists(st.tuples(times, phases, st.booleans()), max_size=5),
)


@settings(max_examples=400, deadline=None)
@given(worlds)
def test_interest_and_every_row_write_identical_journals(world):
    naive = MiniRun(world, every_row=True).go()
    assert MiniRun(world, every_row=False).go() == naive


@settings(max_examples=100, deadline=None)
@given(worlds, st.lists(st.lists(st.integers(0, 100), max_size=6), min_size=4, max_size=4))
def test_how_a_feed_cuts_its_blocks_changes_nothing(world, cuts):
    recut = [(kind, phase, rows, new) for (kind, phase, rows, _), new in zip(world.streams, cuts, strict=False)]
    # Every3rd counts rows from the start of their block, so it is the one role that may notice.
    persons = [p for p in world.people if p["role"] != "Every3rd"] or [{**world.people[0], "role": "Everything"}]
    journals = [
        MiniRun(attrs.evolve(world, people=persons, streams=s), every_row=False).go() for s in (world.streams, recut)
    ]
    assert journals[0] == journals[1]


class Witness(Participant):
    """Sees every row of everything, and writes down its place in the total order."""

    def __init__(self, run):
        self.run = run

    def follows(self, stream):
        return True

    def next_row(self, segment, start, stop):
        return start

    def on_rows(self, segment, start, stop):
        for row in range(start, stop):
            self.run.clock.position.row = row
            self.run.order.append(
                (int(segment.block.ts[row]), int(self.run.phases[segment.block.stream]), row_id(segment, row))
            )
            assert self.run.clock.now == segment.block.ts[row]
            if self.run.agenda.pending:
                return row + 1
        return stop


def row_id(segment, row):
    return ("row", segment.block.stream, float(segment.block.columns["value"][row]))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(streams, min_size=1, max_size=4),
    st.lists(st.tuples(times, phases), max_size=8),
    st.booleans(),
)
def test_rows_and_appointments_come_in_the_one_total_order(feeds, appointments, every_row):
    """(ts, phase, arrival): against a plain stable sort. Rows go before appointments of the same ts and phase."""

    class Context:
        clock, agenda, order = SimulatedClock(), Agenda(), []
        phases = [phase for _, phase, _, _ in feeds]

    run = Context()
    # Number the rows of each stream, so that arrival shows.
    numbered = [
        (kind, phase, [(ts, float(i)) for i, (ts, _) in enumerate(rows)], cuts) for kind, phase, rows, cuts in feeds
    ]
    infos = [StreamInfo(kind=k, columns=("value",), instruments=(), phase=p) for k, p, _, _ in numbered]
    witness = Witness(run)
    loop = Loop(clock=run.clock, agenda=run.agenda, participants=[witness], streams=infos, every_row=every_row)

    def keep(number, ts, phase):
        assert run.clock.now == ts
        run.order.append((ts, int(phase), ("appointment", number)))

    for number, (ts, phase) in enumerate(appointments):
        run.agenda.schedule(ts, phase, lambda n=number, t=ts, p=phase: keep(n, t, p), -99)
    loop.run(Timeline([(p, blocks(i, rows, cuts)) for i, (_, p, rows, cuts) in enumerate(numbered)]))

    rows = [
        (ts, int(phase), 0, stream, number, ("row", stream, value))
        for stream, (_, phase, listed, _) in enumerate(numbered)
        for number, (ts, value) in enumerate(listed)
    ]
    last = max((row[0] for row in rows), default=None)
    dates = [
        (ts, int(phase), 1, 0, number, ("appointment", number))
        for number, (ts, phase) in enumerate(appointments)
        if last is not None and ts <= last
    ]
    expected = [(entry[0], entry[1], entry[5]) for entry in sorted(rows + dates, key=lambda e: e[:5])]
    assert run.order == expected
    assert loop.rows == len(rows)
    assert (loop.first_ts, loop.last_ts) == ((min(r[0] for r in rows), last) if rows else (0, 0))


@settings(max_examples=100, deadline=None)
@given(worlds, st.booleans())
def test_time_never_turns_back_and_nobody_hears_of_the_future(world, every_row):
    journal = MiniRun(world, every_row).go()
    stamps = [entry[0] for entry in journal]
    assert stamps == sorted(stamps)
    for entry in journal:
        if entry[2] == "row":
            assert entry[0] == entry[4], "the clock and the row's own stamp differ"


@settings(max_examples=100, deadline=None)
@given(worlds)
def test_a_follower_that_wants_all_rows_gets_each_exactly_once(world):
    everyone = [{**person, "role": "Everything"} for person in world.people]
    run = MiniRun(attrs.evolve(world, people=everyone), every_row=False)
    seen = defaultdict(int)
    for entry in run.go():
        seen[entry[1]] += entry[2] == "row"
    for index, person in enumerate(everyone):
        assert seen[index] == sum(len(rows) for kind, _, rows, _ in world.streams if kind in person["kinds"])


def test_participants_of_one_row_act_in_rank_order_and_events_settle_between_them():
    base = {
        "kinds": {"bar"}, "threshold": 0.0, "post_every": 1, "hops": 0, "answers": False, "moved_by_ping": False,
        "retarget_every": 0, "timer_every": 0, "cancel_every": 0, "delay": 0, "timer_phase": Phase.TIMER,
        "timer_posts": False,
    }  # fmt: skip
    world = World(
        streams=[("bar", Phase.MARKET_DATA, [(1, 5.0)], [])],
        people=[{**base, "role": "Everything", "rank": 4}, {**base, "role": "Scanner", "rank": 2}],
        timers=[],
    )
    said = [(who, what) for _, who, what, *_ in MiniRun(world, every_row=False).go()]
    assert said == [
        (1, "row"), (1, "ping"), (0, "ping"),  # rank 2 acts, and its event reaches both in rank order ...
        (0, "row"), (1, "ping"), (0, "ping"),  # ... before rank 4 sees the row
        (1, "stop"), (0, "stop"),
    ]  # fmt: skip


def test_an_appointment_may_be_made_for_the_present_instant():
    """Whatever its phase: made during a later phase of the same instant, it is kept before time moves."""
    agenda, clock, kept = Agenda(), SimulatedClock(), []

    class Asker(Witness):
        def on_rows(self, segment, start, stop):
            now = clock.now
            agenda.schedule(now, Phase.SESSION_OPEN, lambda: kept.append(clock.now), now)
            return start + 1

    feed = ("bar", Phase.MARKET_DATA, [(1, 0.0), (1, 0.0), (5, 0.0)], [])
    info = StreamInfo(kind="bar", columns=("value",), instruments=(), phase=Phase.MARKET_DATA)
    for every_row in (True, False):
        kept.clear()
        loop = Loop(clock=clock, agenda=agenda, participants=[Asker(None)], streams=[info], every_row=every_row)
        loop.run(Timeline([(Phase.MARKET_DATA, blocks(0, feed[2], []))]))
        assert kept == [1, 1, 5]


def test_a_cancelled_appointment_does_not_show_the_future():
    """The clock once stood on the block's last row after all appointments before its first were cancelled."""
    agenda, clock, asked = Agenda(), SimulatedClock(), []

    class Curious(Witness):
        def next_row(self, segment, start, stop):
            asked.append((clock.now, int(segment.block.ts[start])))
            return start

    agenda.schedule(1, Phase.TIMER, lambda: None, 0).cancel()
    info = StreamInfo(kind="bar", columns=("value",), instruments=())
    loop = Loop(clock=clock, agenda=agenda, participants=[Curious(None)], streams=[info], every_row=True)
    loop._followers[0][0].on_rows = lambda segment, start, stop: start + 1
    loop.run(Timeline([(Phase.MARKET_DATA, blocks(0, [(2, 0.0), (9, 0.0)], []))]))
    assert asked == [(1, 2), (2, 9)]


def test_the_past_takes_no_appointments():
    with pytest.raises(RunError, match=r"scheduled at 4 ns, before the clock's 5 ns"):
        Agenda().schedule(4, Phase.TIMER, lambda: None, now=5)


def test_appointments_after_the_last_row_are_not_kept():
    agenda, kept = Agenda(), []
    loop = Loop(
        clock=SimulatedClock(),
        agenda=agenda,
        participants=[],
        streams=[StreamInfo(kind="bar", columns=(), instruments=())],
    )
    for ts in (3, 4, 5):
        agenda.schedule(ts, Phase.SESSION_CLOSE, lambda ts=ts: kept.append(ts), 0)
    loop.run(Timeline([(Phase.MARKET_DATA, blocks(0, [(2, 0.0), (4, 0.0)], []))]))
    assert kept == [3, 4]


@pytest.mark.parametrize("pieces", [[[3, 2]], [[1, 2], [2, 3]], [[5], [4]]])
def test_a_feed_that_turns_back_time_is_refused(pieces):
    def given_blocks():
        for piece in pieces:
            yield Block(7, np.array(piece, np.int64), np.zeros(len(piece), np.int32), {})

    with pytest.raises(DataError, match="Stream 7 is not in time order"):
        list(Timeline([(Phase.MARKET_DATA, given_blocks())]))


def test_a_generator_depends_on_the_seed_and_its_name_alone():
    one, two = Randomness(1), Randomness(1)
    two("somebody else").random(5)
    assert one("mine").random(3).tolist() == two("mine").random(3).tolist()
    assert Randomness(1)("mine").random() != Randomness(2)("mine").random()
    assert Randomness(1)("mine").random() != Randomness(1)("yours").random()
    assert one("mine") is one("mine"), "asking again goes on with the same sequence"


def test_generators_are_the_same_on_every_machine():
    """The first draw, written down: a change here would silently change every seeded run."""
    assert Randomness(0)("demo").integers(1 << 30) == 436_585_731
