"""Random lives of random plans: facts in any order, people who interfere, crashes at any moment.

A `World` holds what outlives a sitting: the journal, the manifests, and what each unit does. A
sitting ends by the planner's own decision or by a crash, which may take with it what was not
synced. Laws that hold at every step are checked while it goes on.
"""

import hashlib
import random
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from msgspec.json import encode
from msgspec.structs import replace

from procsup.core.events import (
    Asked,
    Ended,
    Expand,
    Expanded,
    Hold,
    Inspected,
    Interrupted,
    Kill,
    Measure,
    Measured,
    Publish,
    Published,
    Reuse,
    Sampled,
    Settled,
    Standing,
    Start,
    Started,
    Stop,
    Synced,
    TakenBack,
    Weigh,
    Weighed,
    Withdraw,
    Write,
)
from procsup.core.keep import Change, FileChanges, find_standing, find_standing_again
from procsup.core.outcome import (
    NO_LEFTOVER_FILES,
    AttemptId,
    Exited,
    LeftoverFiles,
    NotStarted,
    Reading,
    Signaled,
    Verdict,
)
from procsup.core.plan.outlook import LastSitting, count_outlook, format_first_line, list_notes
from procsup.core.plan.reactor import handle, open_sitting
from procsup.core.plan.rehearsal import RehearsedStage, rehearse
from procsup.core.plan.state import Plan
from procsup.core.plan.units import Done
from procsup.core.records import JOURNAL_VERSION, Begin, ControlReply, Launch, Record, Refused
from procsup.core.replay import UnitHistory
from procsup.core.selectors import Selection
from procsup.core.slots import Capacity
from procsup.core.spec import After, OnFailure, OutputSpec, Retry, RunSpec, StageSpec, UnitSpec
from procsup.core.task import Program
from procsup.supervisor.previous_run import make_lost_ends
from tests.support.plays import fold

STEPS = 3000
CAPACITY = Capacity(2, 1000, (0, 1), None, "h")


class Crash(Exception):
    """The supervisor is gone."""


def random_plan(dice: random.Random, *, wild: bool) -> Tuple[RunSpec, List[UnitSpec]]:
    """Some stages with a few units each, hanging together in every way there is.

    `wild`: also with time limits, delays, needs and policies of every kind.
    """
    names = "abcd"[: dice.randint(1, 4)]
    stages: List[StageSpec] = []
    units: List[UnitSpec] = []
    for number in range(dice.randint(1, 4)):
        name = f"s{number}"
        before = [stage.name for stage in stages]
        followed: Tuple[str, ...] = ()
        afters: Tuple[After, ...] = ()
        if before and dice.random() < 0.6:
            followed = tuple(dice.sample(before, min(len(before), dice.choice((1, 1, 2)))))
        if before and dice.random() < 0.4:
            one = dice.choice(before)
            afters = (After(one, dice.choice(("succeeded", "finished"))),)
        stages.append(
            StageSpec(
                name,
                after=afters,
                for_each=followed,
                unit_wise=bool(followed) and dice.random() < 0.85,
                retry=Retry(times=dice.randint(0, 2)),
                keep=dice.choice(("unchanged",) * 4 + ("never",)),
            )
        )
        if wild:
            stages[-1] = _wild(stages[-1], dice)
        makes = dice.random() < 0.7
        for index, own in enumerate(names):
            unit_id = f"{name}/{own}"
            follows = tuple(f"{stage}/{own}" for stage in followed)
            outputs = (OutputSpec(f"/{unit_id}"),) if makes else ()
            units.append(
                UnitSpec(
                    unit_id, name, index, ("true",), "/", "f", outputs=outputs, follows=follows
                )
            )
            if wild and dice.random() < 0.2:
                cpus, memory = dice.choice((1.0, 2.0, 3.0)), dice.choice((None, 400, 900))
                units[-1] = replace(units[-1], cpus=cpus, memory_bytes=memory)
    do = dice.choice(("finish",) * 4 + ("drain", "stop"))
    policy = _policy(dice) if wild else OnFailure(do)
    return RunSpec("run", None, "/", "/d", tuple(stages), on_failure=policy), units


def _wild(stage: StageSpec, dice: random.Random) -> StageSpec:
    delay_s, factor = dice.choice((0.0, 0.0, 3.0)), dice.choice((1.0, 2.0))
    return replace(
        stage,
        retry=Retry(stage.retry.times, delay_s=delay_s, memory_factor=factor),
        timeout_s=dice.choice((None, None, 6.0)),
        jobs=dice.choice((None, None, 1)),
        pin=dice.choice(("none", "cpus")),
        on_drift=dice.choice(("record", "warn", "fail")),
        keep=dice.choice((stage.keep, stage.keep, "always")),
        on_failed_outputs=dice.choice(("keep", "aside")),
        on_failure=_policy(dice) if dice.random() < 0.3 else None,
    )


def _policy(dice: random.Random) -> OnFailure:
    do = dice.choice(("finish", "drain", "stop"))
    return OnFailure(do, at_count=dice.randint(1, 2)) if dice.random() < 0.5 else OnFailure(do)


class World:
    """What outlives a sitting."""

    def __init__(self, seed: int, *, wild: bool = False) -> None:
        self.dice = random.Random(seed)
        self.wild = wild
        self.told = hashlib.sha256()  # all records and orders
        self.spec, self.units = random_plan(self.dice, wild=wild)
        self.ends_well = {unit.id: self.dice.random() < 0.8 for unit in self.units}
        self.touches = {unit.id: self.dice.random() < 0.7 for unit in self.units}
        self.fingerprints = {unit.id: "f" for unit in self.units}
        self.journal: List[Record] = []
        self.synced = 0
        self.published: Set[Optional[str]] = set()
        self.run_id = ""
        self.verdicts: Dict[str, Verdict] = {}

    def tell(self, orders: Sequence[Any]) -> None:
        """Note orders: records in their order, others as a set."""
        records = [encode(order) for order in orders if isinstance(order, Write)]
        others = sorted(encode(order) for order in orders if not isinstance(order, Write))
        self.told.update(b"\n".join([*records, b"", *others, b""]))

    def sit(self, *, calm: bool) -> Optional[str]:
        """One sitting: its outcome ("" if not final), None if it crashed."""
        return Sitting(self, calm=calm).live()

    def change_something(self) -> None:
        """Somebody edits the run file: a unit is another one now."""
        name = self.dice.choice(sorted(self.fingerprints))
        self.fingerprints[name] += "x"

    def specs(self) -> List[UnitSpec]:
        return [replace(unit, fingerprint=self.fingerprints[unit.id]) for unit in self.units]


class Wild:
    """What else may happen to a plan of all kinds: refused starts, faults, lists that change."""

    def __init__(self, dice: random.Random, spec: RunSpec) -> None:
        self.dice = dice
        self.followed = {name for stage in spec.stages for name in stage.for_each}
        self.is_fresh = dice.random() < 0.1
        self.is_retry = dice.random() < 0.2
        self.asked = dice.choice((None, "a", "b"))
        self.changed = dice.choice((0.1, 0.1, 0.7))  # part of the units whose inputs changed
        self.program = Program("/p", dice.choice(("1", "1", "1", "2")))
        self.named = [Selection(["s0/nowhere"])] if dice.random() < 0.05 else []

    def expanded(self, fact: Expanded) -> Expanded:
        unfit = {unit.id: "no input" for unit in fact.units if self.dice.random() < 0.02}
        fact = replace(fact, program=self.program, unfit=unfit)
        if fact.stage not in self.followed and self.dice.random() < 0.03:
            return Expanded(fact.stage, problem="no such list")
        return replace(fact, notes=("a link was left out",)) if self.dice.random() < 0.1 else fact

    def intact(self, unit: UnitSpec) -> FileChanges:
        kind = self.dice.choice(("changed", "deleted", "new"))
        chance = self.dice.random()
        if chance < self.changed:
            return FileChanges(inputs=Change("/in", "size 1 -> 2", kind))
        if chance < self.changed + 0.1:
            missing = kind == "deleted"
            return FileChanges(outputs=Change("/out", "size 1 -> 2", kind), missing=missing)
        return FileChanges(
            seen=(Reading(f"/{unit.id}", 1, 9),), leftover_files=self._leftover_files()
        )

    def _leftover_files(self) -> Optional[LeftoverFiles]:
        return self.dice.choice((None, None, NO_LEFTOVER_FILES, LeftoverFiles(1, ("out/x",))))

    def standing_again(
        self, unit: UnitSpec, past: Optional[UnitHistory], stage: StageSpec
    ) -> Standing:
        asked = None if self.asked is None else unit.id.endswith(self.asked)
        intact = self.intact(unit)
        known: Dict[str, Any] = {"stage": stage, "fresh": False, "program": self.program.sha256}
        return find_standing_again(
            unit, past, asked=asked, intact=lambda _unit, _end: intact, **known
        )

    def ended(self, fact: Ended) -> Ended:
        chance = self.dice.random()
        if chance < 0.1:
            return Ended(fact.attempt, NotStarted("no slot", True), 0.0)
        if chance < 0.13:
            return Ended(fact.attempt, NotStarted("no such file"), 0.0)
        if chance < 0.18 and fact.exit == Exited(0):
            return replace(fact, fault="sleep (pid 7) still wrote to /out")
        if chance < 0.23:
            return replace(fact, remarks=("a process was left",), linger_s=1.25)
        return replace(fact, program="2") if chance < 0.3 else fact

    def inspected(self, fact: Inspected) -> Inspected:
        chance = self.dice.random()
        if chance < 0.1:
            return Inspected(fact.attempt, problem="/out: there is no such file")
        if chance < 0.2:
            return replace(fact, inputs=(Reading("/in", 1, 1, changed=True),))
        if chance < 0.3:
            return replace(fact, leftover_files=self._leftover_files(), remarks=("odd",))
        return fact

    def interfere(self, live: List[AttemptId], units: List[UnitSpec]) -> Any:
        kind = self.dice.choice(("stop-units", "stop-units", "sampled", "retry", "stop", "guard"))
        if kind == "sampled":
            return Sampled(self.dice.choice(live), [0]) if live else None
        if kind == "guard":
            return Interrupted(None, "the guard died") if self.dice.random() < 0.3 else None
        name = self.dice.choice(units).id
        words = {"stop-units": (self.dice.choice((name, "s0/*", "s1", "nowhere")),), "retry": ()}
        grace_s = self.dice.choice((None, 2.0))
        verb = kind if kind != "stop" or self.dice.random() < 0.2 else "unheard-of"
        return Asked("r", verb, grace_s, words.get(kind, ()))


class Sitting:
    def __init__(self, world: World, *, calm: bool) -> None:
        self.world, self.dice, self.calm = world, world.dice, calm
        self.history = fold(enumerate(world.journal, 1))
        self.live_attempts: Dict[AttemptId, bool] = {}  # whether it was asked to end
        self.looked_at: List[AttemptId] = []
        self.to_expand: List[str] = []
        self.in_line: List[Any] = []  # withdrawals and publications that are not done
        self.closed: Dict[str, Any] = {}  # what was said of a stage when it was to be published
        self.is_final = False  # the run is to be published
        self.used: Set[Tuple[str, int]] = set()
        self._note_numbers(world.journal)
        self.to_weigh: List[Weigh] = []
        self.is_measuring = False
        self.selector: Optional[Callable[[UnitSpec], bool]] = None
        if not calm and self.dice.random() < 0.2:
            chosen = {unit.id for unit in world.units if self.dice.random() < 0.5}
            self.selector = lambda unit: unit.id in chosen
        self.wild = Wild(world.dice, world.spec) if world.wild and not calm else None
        named = self.wild.named if self.wild is not None else ()
        self.plan = Plan(world.spec, CAPACITY, self.history, selector=self.selector, named=named)
        self.specs = world.specs()
        self.now = 1000.0

    # --- from beginning to end -----------------------------------------------------------

    def live(self) -> Optional[str]:
        try:
            self._begin()
            for _ in range(STEPS):
                if self.plan.done:
                    self._check_end()
                    return self.plan.outcome
                self._handle(self._next_fact())
        except Crash:
            self._lose_what_was_not_synced()
            return None
        raise AssertionError(f"it never ends: {self.live_attempts} {self.plan.summary.ending!r}")

    def _begin(self) -> None:
        world, history = self.world, self.history
        finished = history.run_id is None or (
            history.run_final is not None and None in world.published
        )
        resumed = not finished
        world.run_id = history.run_id if resumed and history.run_id else f"r{history.sitting + 1}"
        begin = Begin(
            JOURNAL_VERSION, world.run_id, history.sitting + 1, "run", 0.0, "h", "b", 1,
            "0", "3", "linux", None, resumed,
        )  # fmt: skip
        lost = make_lost_ends(history, 0.0)
        base = history.last_seq
        for seq, record in enumerate([begin, *lost], base + 1):
            history.add(seq, record)
        self._perform(open_sitting(self.plan, begin, lost))
        early = {stage.name: self._expanded(stage.name) for stage in world.spec.stages}
        if world.wild:
            self._foresee(early)
        self._handle(list(early.values()))

    def _foresee(self, early: Dict[str, Expanded]) -> None:
        """Note what a dry run and the first line say now."""
        seen = rehearse(self.world.spec, CAPACITY, self.history, early, selector=self.selector)
        numbers = count_outlook(seen, self.selector)
        self.world.tell(
            [
                format_first_line(numbers, LastSitting(), fresh=False),
                list_notes(numbers, self.world.spec),
            ]
        )
        self.world.tell([words_of(seen[stage.name]) for stage in self.world.spec.stages])

    def _expanded(self, stage: str) -> Expanded:
        units = tuple(unit for unit in self.specs if unit.stage == stage)
        fact = Expanded(stage, units, tuple(self._standing(unit) for unit in units))
        return fact if self.wild is None else self.wild.expanded(fact)

    def _standing(self, unit: UnitSpec) -> Any:
        unit_history = self.history.units.get(unit.id)
        success = None if unit_history is None else unit_history.standing_success
        generation = success.generation if success is not None else 0
        if self.wild is not None and self.wild.is_retry:
            return self.wild.standing_again(unit, unit_history, self.world.spec.stage(unit.stage))
        intact = FileChanges() if self.wild is None else self.wild.intact(unit)
        return find_standing(
            unit,
            unit_history,
            intact=lambda _unit, _end: intact,
            stage=self.world.spec.stage(unit.stage),
            run_succeeded=generation <= self.history.done_generation,
            earlier=generation != self.history.generation,
            fresh=self.wild is not None and self.wild.is_fresh,
            program=None if self.wild is None else self.wild.program.sha256,
        )

    # --- what happens next -----------------------------------------------------------------

    def _next_fact(self) -> List[Any]:
        choices: List[Callable[[], Any]] = [self._sync]
        choices += [self._end_one] * (3 if self.live_attempts else 0)
        choices += [self._inspect_one] * (3 if self.looked_at else 0)
        choices += [self._expand_one] * (3 if self.to_expand else 0)
        choices += [self._publish_one] * (3 if self.in_line else 0)
        choices += [self._weigh_one] * (3 if self.to_weigh else 0)
        choices += [self._measure] * (3 if self.is_measuring else 0)
        # Most of all while something is on its way: nothing may come of it then.
        if not self.calm and self.dice.random() < (0.3 if self.in_line else 0.05):
            choices = [self._interfere]
        elif not self.calm and self.dice.random() < 0.02:
            raise Crash
        facts = [self.dice.choice(choices)()]
        if self.dice.random() < 0.3:
            facts.append(self.dice.choice([c for c in choices if c != facts] or choices)())
        return [fact for fact in facts if fact is not None]

    def _sync(self) -> Synced:
        self.world.synced = len(self.world.journal)
        return Synced(self.world.synced)

    def _end_one(self) -> Any:
        if not self.live_attempts:
            return None
        attempt = self.dice.choice(sorted(self.live_attempts))
        asked = self.live_attempts.pop(attempt)
        well = self.world.ends_well[attempt.unit]
        stopped = asked and self.dice.random() < 0.8
        exit = Signaled(15) if stopped and self.dice.random() < 0.8 else Exited(0 if well else 3)
        fact = Ended(attempt, exit, 0.0, 0.0, 1.0, 42, stopped=stopped)
        if self.wild is not None:
            fact = self.wild.ended(fact)
        if fact.exit == Exited(0) and not stopped and not fact.fault:
            self.looked_at.append(attempt)
        return fact

    def _inspect_one(self) -> Any:
        if not self.looked_at:
            return None
        attempt = self.looked_at.pop(self.dice.randrange(len(self.looked_at)))
        if not self.plan.unit(attempt.unit).spec.outputs:
            return Inspected(attempt)
        written = attempt.number if self.world.touches[attempt.unit] else 1
        fact = Inspected(attempt, (Reading(f"/{attempt.unit}", 1, written),))
        return fact if self.wild is None else self.wild.inspected(fact)

    def _weigh_one(self) -> Any:
        if not self.to_weigh:
            return None
        order = self.to_weigh.pop(0)
        due = [unit for unit in self.specs if unit.id in order.units]
        return Weighed(order.stage, {unit.id: self._standing(unit) for unit in due})

    def _measure(self) -> Any:
        self.is_measuring = False
        return Measured(self.dice.choice((None, 100, 900)), self.dice.choice((None, 0.0, 9.0)), 2)

    def _expand_one(self) -> Any:
        if not self.to_expand:
            return None
        return self._expanded(self.to_expand.pop(self.dice.randrange(len(self.to_expand))))

    def _publish_one(self) -> Any:
        """What is first in line is done on the side thread."""
        if not self.in_line:
            return None
        world, order = self.world, self.in_line.pop(0)
        world.synced = len(world.journal)
        if isinstance(order, Withdraw):
            world.published -= {None, *order.stages}
            return TakenBack(order.stages)
        self._check_publish(order)
        world.published.add(order.stage)
        return Published(order.stage)

    def _interfere(self) -> Any:
        if self.wild is not None and self.dice.random() < 0.6:
            return self.wild.interfere(sorted(self.live_attempts), self.specs)
        kind = self.dice.choice(("retry", "retry", "drain", "stop", "interrupt"))
        if kind == "interrupt":
            return Interrupted(2, "SIGINT")
        units = (self.dice.choice(self.specs).id,) if kind == "retry" else ()
        return Asked("r", kind, None, units)

    # --- orders, and the laws --------------------------------------------------------------

    def _handle(self, facts: List[Any]) -> None:
        self.now += 1.0
        before = self._how_it_ends()
        for fact in list(facts):
            if isinstance(fact, Ended) and self.dice.random() < 0.3:
                facts.insert(0, Started(fact.attempt, 42, 0.0))
        orders = handle(self.plan, facts, self.now, 0.0)
        self.world.tell(orders)
        assert self.plan.summary.ending >= before[0], "why it ends was taken back"
        if self.is_final:
            assert self._how_it_ends() == before, "somebody was heard after the end"
            self._check_nothing_comes_of_it(orders)
        self._perform(orders)
        for name, before in self.closed.items():
            assert self._said_of(name) == before, f"{name} changed after it was to be published"

    def _perform(self, orders: List[Any]) -> None:
        records = [order.record for order in orders if isinstance(order, Write)]
        self.world.journal += records
        self._note_numbers([one for one in records if isinstance(one, Refused)])
        assert self.plan.seq == len(self.world.journal)
        for order in orders:
            if not self.calm and self.dice.random() < 0.003:
                raise Crash
            self._carry_out(order)

    def _note_numbers(self, records: List[Record]) -> None:
        """A launch takes a number; a refused start gives it back."""
        for record in records:
            if isinstance(record, Launch):
                self.used.add((record.unit, record.attempt))
            elif isinstance(record, Refused):
                self.used.discard((record.unit, record.attempt))

    def _carry_out(self, order: Any) -> None:
        world = self.world
        if isinstance(order, Start):
            self._check_start(order)
            self.live_attempts[order.attempt] = False
        elif isinstance(order, (Stop, Kill)):
            if order.attempt in self.live_attempts:
                self.live_attempts[order.attempt] = True
        elif isinstance(order, Expand):
            self.to_expand.append(order.stage)
        elif isinstance(order, Weigh):
            self.to_weigh.append(order)
        elif isinstance(order, Measure):
            assert not self.is_measuring, "measured twice at once"
            self.is_measuring = True
        elif isinstance(order, Withdraw):
            assert not self.closed.keys() & set(order.stages), "what is final is withdrawn"
            self.in_line.append(order)
        elif isinstance(order, Publish):
            self._check_publish(order)
            self.in_line.append(order)
            if order.stage is None:
                self.is_final = True
            else:
                assert order.stage not in self.closed, "published twice"
                self.closed[order.stage] = self._said_of(order.stage)
        elif isinstance(order, Settled):
            assert any(record is order.end for record in world.journal[: world.synced])

    def _check_start(self, order: Start) -> None:
        attempt, unit = order.attempt, order.task.unit
        assert unit.id not in {live.unit for live in self.live_attempts}, "two live copies"
        assert attempt not in self.used, "a number is used twice"
        self.used.add((attempt.unit, attempt.number))
        assert not {None, unit.stage} & self.world.published, "started under a manifest"
        waiting = [one for one in self.in_line if isinstance(one, Withdraw)]
        assert not any(unit.stage in one.stages for one in waiting), "started before the answer"
        assert unit.stage not in self.closed, "started although it is final"
        assert not self.plan.summary.ending, "started after the end was asked for"
        for name in unit.follows:
            state = self.plan.unit(name).state
            assert isinstance(state, Done), f"{unit.id} is started before {name} is done"
            good = state.verdict is Verdict.SUCCEEDED
            assert good, f"{unit.id} is started although {name} is not good"

    def _said_of(self, stage: str) -> Any:
        """All that a manifest says of a stage."""
        found = self.plan.by_name[stage]
        return list(found.results()), found.counts(), [unit.state for unit in found.units]

    def _how_it_ends(self) -> Tuple[Any, ...]:
        plan = self.plan
        return plan.summary.ending, plan.closing, plan.interrupted_by, plan.run_status

    def _check_nothing_comes_of_it(self, orders: List[Any]) -> None:
        """The run is to be published: requests are answered, and that is all."""
        for order in orders:
            told = isinstance(order, Settled)
            assert told or (isinstance(order, Write) and isinstance(order.record, ControlReply)), (
                order
            )
        assert self.plan.outcome in (None, self.plan.run_status)

    def _check_publish(self, order: Publish) -> None:
        for stage in self.plan.stages:
            if order.stage not in (None, stage.name):
                continue
            assert stage.undecided == 0
            assert stage.unsettled == 0
            assert all(isinstance(unit.state, Done) for unit in stage.units)
            assert sum(stage.tally.verdicts.values()) == stage.tally.planned == len(stage.units)
            assert len(list(stage.results())) == len(stage.units)

    def _check_end(self) -> None:
        assert not self.live_attempts, "it ends while something lives"
        assert not self.looked_at
        assert not self.in_line, "it ends while something is on its way"
        assert self.is_final == bool(self.plan.outcome)
        if not self.plan.outcome:
            return
        for stage in self.plan.stages:
            for unit in stage.units:
                assert isinstance(unit.state, Done)
                self.world.verdicts[unit.spec.id] = unit.state.verdict
                if unit.state.verdict is Verdict.SUCCEEDED and not self.world.wild:
                    self._check_success(unit)

    def _check_success(self, unit: Any) -> None:
        assert unit.ends[-1].fingerprint == unit.spec.fingerprint, f"{unit.spec.id} is another now"
        told = fold(enumerate(self.world.journal, 1)).units
        for name in unit.spec.follows:
            older = told[unit.spec.id].ended_seq < told[name].made_seq
            assert not older, f"{unit.spec.id} is older than {name}"

    def _lose_what_was_not_synced(self) -> None:
        journal = self.world.journal
        if self.dice.random() < 0.5:  # a power cut; else only the process is gone
            del journal[self.dice.randint(self.world.synced, len(journal)) :]


def live(world: World, sittings: int) -> World:
    """Sittings with people and crashes, then calm ones until the run is final."""
    for _ in range(sittings):
        world.sit(calm=False)
        if world.dice.random() < 0.15:
            world.change_something()
    for _ in range(3):
        if world.sit(calm=True):
            return world
    raise AssertionError("undisturbed, a run comes to its end in one sitting")


def words_of(seen: RehearsedStage) -> Sequence[Any]:
    """The prediction for a stage in words: no names of types, which may change."""
    units = []
    for unit, one in zip(seen.units, seen.standings):
        stale, bare = (one.stale, one.bare) if isinstance(one, Reuse) else (False, False)
        aside = isinstance(one, Hold) and not one.keeps_verdict
        units.append((unit.id, one.keeps_verdict, aside, stale, bare, one.reason, one.text))
    return units, seen.known_after, seen.problem
