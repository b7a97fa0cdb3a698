"""Random lives of random plans: facts in any order, people who interfere, crashes at any moment.

A `World` holds what outlives a sitting: the journal, the manifests, and what each unit does. A
sitting ends by the planner's own decision or by a crash, which may take with it what was not
synced. Laws that hold at every step are checked while it goes on.
"""

import random
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from procsup.api.past import lost_ends
from procsup.core.events import (
    Asked,
    Ended,
    Expand,
    Expanded,
    Inspected,
    Interrupted,
    Publish,
    Published,
    Settled,
    Start,
    Started,
    Stop,
    Synced,
    TakenBack,
    Withdraw,
    Write,
)
from procsup.core.keep import Intact, standing
from procsup.core.outcome import AttemptId, Exited, Reading, Signaled, Verdict
from procsup.core.planner import Planner
from procsup.core.records import JOURNAL_VERSION, Answer, Begin, End, Launch, Record
from procsup.core.replay import History, fold
from procsup.core.slots import Capacity
from procsup.core.spec import After, OnFailure, OutputSpec, Retry, RunSpec, StageSpec, UnitSpec
from procsup.core.states import Done

STEPS = 3000
CAPACITY = Capacity(2, None, (0, 1), None, "h")


class Crash(Exception):
    """The supervisor is gone."""


def random_plan(dice: random.Random) -> Tuple[RunSpec, List[UnitSpec]]:
    """Some stages with a few units each, hanging together in every way there is."""
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
    do = dice.choice(("finish",) * 4 + ("drain", "stop"))
    return RunSpec("run", None, "/", "/d", tuple(stages), on_failure=OnFailure(do)), units


class World:
    """What outlives a sitting."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.spec, self.units = random_plan(self.dice)
        self.ends_well = {unit.id: self.dice.random() < 0.8 for unit in self.units}
        self.touches = {unit.id: self.dice.random() < 0.7 for unit in self.units}
        self.fingerprints = {unit.id: "f" for unit in self.units}
        self.journal: List[Record] = []
        self.synced = 0
        self.published: Set[Optional[str]] = set()
        self.run_id = ""
        self.verdicts: Dict[str, Verdict] = {}

    def sit(self, *, calm: bool) -> Optional[str]:
        """One sitting: its outcome ("" if not final), None if it crashed."""
        return Sitting(self, calm=calm).live()

    def change_something(self) -> None:
        """Somebody edits the run file: a unit is another one now."""
        name = self.dice.choice(sorted(self.fingerprints))
        self.fingerprints[name] += "x"

    def specs(self) -> List[UnitSpec]:
        import msgspec

        replace = msgspec.structs.replace
        return [replace(unit, fingerprint=self.fingerprints[unit.id]) for unit in self.units]


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
        self.used = {(r.unit, r.attempt) for r in world.journal if isinstance(r, Launch)}
        selector: Optional[Callable[[UnitSpec], bool]] = None
        if not calm and self.dice.random() < 0.2:
            chosen = {unit.id for unit in world.units if self.dice.random() < 0.5}
            selector = lambda unit: unit.id in chosen  # noqa: E731
        self.planner = Planner(world.spec, CAPACITY, self.history, selector=selector)
        self.specs = world.specs()
        self.now = 1000.0

    # --- from beginning to end -----------------------------------------------------------

    def live(self) -> Optional[str]:
        try:
            self._begin()
            for _ in range(STEPS):
                if self.planner.done:
                    self._check_end()
                    return self.planner.outcome
                self._handle(self._next_fact())
        except Crash:
            self._lose_what_was_not_synced()
            return None
        raise AssertionError(f"it never ends: {self.live_attempts} {self.planner.summary.ending!r}")

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
        lost = lost_ends(history, 0.0)
        base = history.last_seq
        for seq, record in enumerate([begin, *lost], base + 1):
            history.add(seq, record)
        self._perform(self.planner.begin(begin, lost))
        self._handle([self._expanded(stage.name) for stage in world.spec.stages])

    def _expanded(self, stage: str) -> Expanded:
        units = tuple(unit for unit in self.specs if unit.stage == stage)
        return Expanded(stage, units, tuple(self._standing(unit) for unit in units))

    def _standing(self, unit: UnitSpec) -> Any:
        unit_history = self.history.units.get(unit.id)
        success = None if unit_history is None else unit_history.standing_success
        generation = success.generation if success is not None else 0
        return standing(
            unit,
            unit_history,
            intact=lambda _unit, _end: Intact(),
            stage=self.world.spec.stage(unit.stage),
            run_succeeded=generation <= self.history.done_generation,
            earlier=generation != self.history.generation,
            fresh=False,
            program=None,
        )

    # --- what happens next -----------------------------------------------------------------

    def _next_fact(self) -> List[Any]:
        choices: List[Callable[[], Any]] = [self._sync]
        choices += [self._end_one] * (3 if self.live_attempts else 0)
        choices += [self._inspect_one] * (3 if self.looked_at else 0)
        choices += [self._expand_one] * (3 if self.to_expand else 0)
        choices += [self._publish_one] * (3 if self.in_line else 0)
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
        if exit == Exited(0) and not stopped:
            self.looked_at.append(attempt)
        return Ended(attempt, exit, 0.0, 0.0, 1.0, 42, stopped=stopped)

    def _inspect_one(self) -> Any:
        if not self.looked_at:
            return None
        attempt = self.looked_at.pop(self.dice.randrange(len(self.looked_at)))
        if not self.planner.unit(attempt.unit).spec.outputs:
            return Inspected(attempt)
        written = attempt.number if self.world.touches[attempt.unit] else 1
        return Inspected(attempt, (Reading(f"/{attempt.unit}", 1, written),))

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
        orders = self.planner.handle(facts, self.now, 0.0)
        assert self.planner.summary.ending >= before[0], "why it ends was taken back"
        if self.is_final:
            assert self._how_it_ends() == before, "somebody was heard after the end"
            self._check_nothing_comes_of_it(orders)
        self._perform(orders)
        for name, before in self.closed.items():
            assert self._said_of(name) == before, f"{name} changed after it was to be published"

    def _perform(self, orders: List[Any]) -> None:
        self.world.journal += [order.record for order in orders if isinstance(order, Write)]
        assert self.planner.seq == len(self.world.journal)
        for order in orders:
            if not self.calm and self.dice.random() < 0.003:
                raise Crash
            self._carry_out(order)

    def _carry_out(self, order: Any) -> None:
        world = self.world
        if isinstance(order, Start):
            self._check_start(order)
            self.live_attempts[order.attempt] = False
        elif isinstance(order, Stop):
            if order.attempt in self.live_attempts:
                self.live_attempts[order.attempt] = True
        elif isinstance(order, Expand):
            self.to_expand.append(order.stage)
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
        assert not self.planner.summary.ending, "started after the end was asked for"
        for name in unit.follows:
            state = self.planner.unit(name).state
            assert isinstance(state, Done), f"{unit.id} is started before {name} is done"
            good = state.verdict is Verdict.SUCCEEDED
            assert good, f"{unit.id} is started although {name} is not good"

    def _said_of(self, stage: str) -> Any:
        """All that a manifest says of a stage."""
        found = self.planner.by_name[stage]
        return list(found.results()), found.counts(), [unit.state for unit in found.units]

    def _how_it_ends(self) -> Tuple[Any, ...]:
        planner = self.planner
        return planner.summary.ending, planner.closing, planner.interrupted_by, planner.run_status

    def _check_nothing_comes_of_it(self, orders: List[Any]) -> None:
        """The run is to be published: requests are answered, and that is all."""
        for order in orders:
            told = isinstance(order, Settled)
            assert told or (isinstance(order, Write) and isinstance(order.record, Answer)), order
        assert self.planner.outcome in (None, self.planner.run_status)

    def _check_publish(self, order: Publish) -> None:
        for stage in self.planner.stages:
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
        assert self.is_final == bool(self.planner.outcome)
        if not self.planner.outcome:
            return
        for stage in self.planner.stages:
            for unit in stage.units:
                assert isinstance(unit.state, Done)
                self.world.verdicts[unit.spec.id] = unit.state.verdict
                if unit.state.verdict is Verdict.SUCCEEDED:
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


def verdicts_of(journal: List[Record]) -> Dict[str, Verdict]:
    """The last final verdict of each unit in a journal."""
    ends = [record for record in journal if isinstance(record, End) and record.final]
    return {end.unit: end.verdict for end in ends}


__all__ = ["History", "World", "verdicts_of"]
