"""The process-tree matrix can fail: each of these worse procsups is caught by it."""

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("what it proves is proven once", allow_module_level=True)

from tests.faults.trees import BACK_ENDS
from tests.faults.trees.party import NEIGHBOURS, Party

SUBREAPER, GROUP = BACK_ENDS[0], BACK_ENDS[2]
GUARD_SLEEPS = 'plant("guard: end all", nothing)'
STRANGERS_ARE_HIT = """
from procsup.host import procfs
plant(procfs.list_children, lambda _: lambda pid: [])
"""
ONLY_THE_MAIN_PROCESS = """
from procsup.host import posix, trees
plant(posix.Child.count_others, lambda _: lambda child: 0)
plant("kill orphans", nothing)
plant(trees.Trees.end_rest, nothing)
"""
NO_SWEEP = """
plant("sweep", nothing)
plant("guard: sweep", nothing)
"""
CASES = {
    "a guard that ends nothing": (SUBREAPER, GUARD_SLEEPS, "supervisor killed", "daemonized"),
    "a guard that ends strangers": (SUBREAPER, STRANGERS_ARE_HIT, "exit 0", NEIGHBOURS),
    "an end told before the tree is empty": (
        SUBREAPER,
        ONLY_THE_MAIN_PROCESS,
        "exit 0",
        "with-child",
    ),
    "no sweep where nothing is adopted": (GROUP, NO_SWEEP, "exit 0", "daemonized"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_seeded_bug_is_caught(name, tmp_path):
    back_end, seed, end, caught = CASES[name]
    party = Party(tmp_path, back_end, ["with-child", "daemonized"], seed=("--seed", seed))

    assert caught in party.play(end)
