"""Random histories: whatever happens, and however often it crashes, the laws hold.

The corpus has a digest of all records and orders for each of some hundred lives, so that a change
of structure shows that it changes nothing else. After a change of behaviour it is written anew by
``python -m tests.core.test_planner_histories``.
"""

from pathlib import Path

import pytest

from tests.support.histories import World, live

CORPUS = Path(__file__).parents[1] / "fixtures" / "planner" / "corpus.txt"
SITTINGS = 8
HISTORIES = 400
LIVES = 500  # in the corpus


def life(seed):
    world = World(seed)
    return live(world, world.dice.randint(0, SITTINGS))


def wild_life(seed):
    world = World(seed, wild=True)
    return live(world, world.dice.randint(1, 6))


def run_undisturbed(seed):
    world = World(seed)
    assert world.sit(calm=True)
    return world


@pytest.mark.parametrize("start", range(0, HISTORIES, 100))
def test_the_laws_hold_in_any_history(start):
    for seed in range(start, start + 100):
        world = life(seed)
        if world.spec.on_failure.do == "finish":
            assert world.verdicts == run_undisturbed(seed).verdicts, seed


def digests(seeds):
    return [f"{seed} {wild_life(seed).told.hexdigest()[:16]}" for seed in seeds]


def corpus():
    return CORPUS.read_text().splitlines()


@pytest.mark.parametrize("start", range(0, LIVES, 100))
def test_the_records_and_orders_of_the_corpus_are_the_same(start):
    seeds = range(start, start + 100)
    assert digests(seeds) == corpus()[start : start + 100]


if __name__ == "__main__":
    CORPUS.write_text("".join(f"{line}\n" for line in digests(range(LIVES))))
