"""Random histories: whatever happens, and however often it crashes, the laws hold."""

import pytest

from tests.support.histories import World

SITTINGS = 8
HISTORIES = 400


def life(seed):
    """Sittings with people and crashes, then calm ones until the run is final."""
    world = World(seed)
    for _ in range(world.dice.randint(0, SITTINGS)):
        world.sit(calm=False)
        if world.dice.random() < 0.15:
            world.change_something()
    for _ in range(3):
        if world.sit(calm=True):
            return world
    raise AssertionError("undisturbed, a run comes to its end in one sitting")


def undisturbed(seed):
    world = World(seed)
    assert world.sit(calm=True)
    return world


@pytest.mark.parametrize("start", range(0, HISTORIES, 100))
def test_the_laws_hold_in_any_history(start):
    for seed in range(start, start + 100):
        world = life(seed)
        if world.spec.on_failure.do == "finish":
            assert world.verdicts == undisturbed(seed).verdicts, seed
