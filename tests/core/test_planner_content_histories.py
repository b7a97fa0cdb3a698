"""Random runs of which a model knows the contents: nothing stale is kept, nothing repeated.

Units fail, are interrupted or killed with their supervisor, left out by `--only`, asked for by
`retry`, or never kept.
"""

import random
from typing import Any, Dict, List, Set

import pytest

from procsup.core.events import Standing
from procsup.core.keep import Change, FileChanges, find_standing, find_standing_again
from procsup.core.outcome import Exited, Reading, Signaled, Verdict
from procsup.core.records import End
from procsup.core.replay import UnitHistory
from procsup.core.spec import After, UnitSpec
from tests.support.plays import WALL, Play, stage, unit

SOURCE = "source"
STAGES = [
    stage("s"),
    stage("t", for_each=("s",), unit_wise=True),
    stage("u", after=(After("t"),)),
    stage("w", after=(After("s", "finished"),)),
    stage("v", for_each=("s",), unit_wise=True, keep="never"),
    stage("x", for_each=("v",), unit_wise=True),
]
BEFORE = {"s/a": SOURCE, "t/a": "s/a", "u/a": "t/a", "w/a": "s/a", "v/a": "s/a", "x/a": "v/a"}
FOLLOWED = {"t": "s/a", "v": "s/a", "x": "v/a"}
UNITS = [
    unit(name, outputs=["/" + name[0]], follows=(FOLLOWED[name[0]],) if name[0] in FOLLOWED else ())
    for name in BEFORE
]


class World:
    """`now` is what each unit has made (None: it failed); `used`, from what it was made.

    `version` is another one after each success with other contents, `used_version` that of what
    came before at the last attempt, -1 if that had failed.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now: Dict[str, Any] = {SOURCE: "x"}
        self.used: Dict[str, Any] = {}
        self.made: Dict[str, Any] = {}  # at its last success
        self.version: Dict[str, int] = dict.fromkeys([SOURCE, *BEFORE], 0)
        self.used_version: Dict[str, int] = {}
        self.run_of: Dict[str, str] = {}
        self.published: Set[str] = set()
        self.asked: Set[str] = set()  # by a retry, and did not succeed since
        self.verb, self.chosen, self.stopped = "run", "", False
        self.play = Play(STAGES, UNITS)

    def live(self) -> None:
        """Play one sitting to its end."""
        play, self.stopped = self.play, False
        for _ in range(50):
            self.read_orders()
            if play.plan.done:
                break
            if play.live and self.dice.random() < 0.1:
                self.stopped = True
                play.interrupted()
            if play.live and self.dice.random() < 0.05:
                self.die()
                return
            for name in list(play.live):
                self.end(name)
            play.synced()
        else:
            raise AssertionError("it never ends")
        if not self.stopped:
            self.check_what_is_vouched_for()

    def die(self) -> None:
        """The supervisor is killed; the next one notes first which attempts have no end."""
        for name, number in self.play.live.items():
            self.now[name] = None
            lost = End(name, number, Verdict.LOST, WALL, started=WALL, final=False, counts=False)
            self.play.records.append(lost)

    def read_orders(self) -> None:
        for order in self.play.take_orders():
            verb, *words = order.split()
            if verb == "start":
                self.check_start(words[0].partition("#")[0])
            elif verb == "withdraw":
                self.published -= {"run", *words}
            elif verb == "publish":
                self.published.add(words[0])

    def check_start(self, name: str) -> None:
        before = BEFORE[name]
        is_chosen = name == self.chosen
        assert self.verb != "only" or is_chosen, f"{name} was not asked for"
        failed = self.now.get(name) is None or self.now[before] is None
        again = name == "v/a" and self.verb != "retry" and self.run_of.get(name) != self.run_id
        asked = name in self.asked
        moved = failed or self.used_version[name] != self.version[before]
        assert moved or again or asked, f"{name} is repeated"

    @property
    def run_id(self) -> str:
        return self.play.plan.run_id

    def end(self, name: str) -> None:
        play, number, before = self.play, self.play.live[name], BEFORE[name]
        self.used[name], self.now[name] = self.now[before], None
        self.used_version[name] = -1 if self.now[before] is None else self.version[before]
        if play.plan.summary.ending:
            play.ended(name, Signaled(15), stopped=True)
        elif self.dice.random() < 0.3:
            play.ended(name, Exited(1))
        else:
            made = f"{name}({'same' if self.dice.random() < 0.3 else self.now[before]})"
            self.version[name] += self.made.get(name) != made
            self.now[name] = self.made[name] = made
            self.run_of[name] = self.run_id
            self.asked.discard(name)
            play.ended(name)
            digest = made.encode().hex()
            outputs: List[Reading] = [Reading("/o", 1, number, digest)]
            play.inspected(name, number, outputs=outputs)

    # --- the next sitting ----------------------------------------------------------------

    def sit_down_again(self) -> None:
        self.verb = self.dice.choice(["run", "run", "only", "retry"])
        self.chosen = self.dice.choice([one.id for one in UNITS])
        if self.verb == "retry" and self.dice.random() < 0.5:
            self.chosen = ""
        if self.verb == "retry":
            self.asked.add(self.chosen)
        source = self.dice.choice("xxy")
        self.version[SOURCE] += source != self.now[SOURCE]
        self.now[SOURCE] = source
        history = self.play.replayed()
        resumed = history.run_final is None
        standings = {}
        for one in UNITS:
            past = history.units.get(one.id) or UnitHistory(one.id)
            earlier = not resumed or past.generation != history.generation
            standings[one.id] = self.standing_of(one, past, earlier=earlier)
        only = self.verb == "only"
        selector = (lambda spec: spec.id == self.chosen) if only else None
        self.play = self.play.again(standings=standings, selector=selector)

    def standing_of(self, one: UnitSpec, past: UnitHistory, *, earlier: bool) -> Standing:
        is_changed = one.id == "s/a" and self.used.get(one.id) != self.now[SOURCE]
        look = FileChanges(Change("/source", "content differs")) if is_changed else FileChanges()
        of = next(spec for spec in STAGES if spec.name == one.stage)
        known: Dict[str, Any] = {"stage": of, "fresh": False, "program": None}
        known["intact"] = lambda _unit, _end: look
        is_chosen = one.id == self.chosen
        if self.verb == "retry":
            asked = is_chosen if self.chosen else None
            return find_standing_again(one, past, asked=asked, **known)
        due = self.verb == "run" or is_chosen
        return find_standing(one, past, run_succeeded=False, earlier=due and earlier, **known)

    # --- what was said -------------------------------------------------------------------

    def check_what_is_vouched_for(self) -> None:
        """What is published, and not withdrawn, was made from what is there."""
        for result in self.play.plan.results():
            name, last = result.unit.id, result.ends[-1]
            is_said = "run" in self.published or result.unit.stage in self.published
            if is_said and last.final and last.verdict is Verdict.SUCCEEDED:
                assert self.used[name] == self.now[BEFORE[name]], f"{name} is stale"
        if "run" in self.published and self.verb == "run":
            assert set(self.play.verdicts()) == set(BEFORE)


@pytest.mark.parametrize("seed", range(150))
def test_what_is_vouched_for_was_made_from_what_is_there_and_is_not_repeated(seed):
    world = World(seed)
    for _ in range(8):
        world.live()
        world.sit_down_again()
