"""Random runs of which a model knows the contents: nothing stale is kept, nothing repeated."""

import random
from typing import Any, Dict, List

import pytest

from procsup.core.events import Standing
from procsup.core.outcome import Exited, Reading, Signaled
from procsup.core.spec import After
from tests.support.plays import Play, stage, unit

STAGES = [
    stage("s"),
    stage("t", for_each=("s",), unit_wise=True),
    stage("u", after=(After("t"),)),
    stage("w", after=(After("s", "finished"),)),
]
UNITS = [
    unit("s/a", outputs=["/s"]),
    unit("t/a", outputs=["/t"], follows=("s/a",)),
    unit("u/a"),
    unit("w/a"),
]
BEFORE = {"t/a": "s/a", "u/a": "t/a", "w/a": "s/a"}


class World:
    """`now` is what each unit has made (None: it failed); `used`, from what it was made."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now: Dict[str, Any] = {}
        self.used: Dict[str, Any] = {}
        self.play = Play(STAGES, UNITS)

    def live(self) -> str:
        """Play one sitting to its end, and return its outcome."""
        play = self.play
        for _ in range(50):
            self.check_starts()
            if play.planner.done:
                return play.planner.outcome or ""
            if play.live and self.dice.random() < 0.1:
                play.interrupted()
            for name in list(play.live):
                self.end(name)
            play.synced()
        raise AssertionError("it never ends")

    def check_starts(self) -> None:
        for order in self.play.take_orders():
            name = order[len("start ") :].partition("#")[0]
            if order.startswith("start ") and name in BEFORE:
                before = self.now[BEFORE[name]]
                failed = self.now.get(name) is None or before is None
                assert failed or self.used[name] != before, f"{name} is repeated"

    def end(self, name: str) -> None:
        play, number = self.play, self.play.live[name]
        before = self.now[BEFORE[name]] if name in BEFORE else self.dice.choice("xy")
        self.used[name], self.now[name] = before, None
        if play.planner.summary.ending:
            play.ended(name, Signaled(15), stopped=True)
        elif self.dice.random() < 0.3:
            play.ended(name, Exited(1))
        else:
            self.now[name] = f"{name}({'same' if self.dice.random() < 0.5 else before})"
            play.ended(name)
            if name in ("s/a", "t/a"):
                digest = self.now[name].encode().hex()
                made: List[Reading] = [Reading("/o", 1, number, digest)]
                play.inspected(name, number, outputs=made)

    def sit_down_again(self) -> None:
        history = self.play.replayed()
        standings = {}
        for one in UNITS:
            past = history.units.get(one.id)
            kept = past is not None and past.standing_success is not None
            standings[one.id] = Standing(True) if kept else Standing(False, "failed before")
        if self.dice.random() < 0.6:
            standings["s/a"] = Standing(False, "changed")
        self.play = self.play.again(standings=standings)

    def check_nothing_is_stale(self) -> None:
        for name, before in BEFORE.items():
            assert self.used[name] == self.now[before], f"{name} is stale"


@pytest.mark.parametrize("seed", range(100))
def test_what_is_kept_was_made_from_what_is_there_and_is_not_repeated(seed):
    world = World(seed)
    for _ in range(8):
        if world.live() == "succeeded":
            world.check_nothing_is_stale()
        world.sit_down_again()
