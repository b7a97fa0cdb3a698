"""Random lives of files against a model that knows their contents: `tests.support.lives`."""

import sys

import pytest

from tests.support.lives import World, drawn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


@pytest.mark.parametrize("seed", range(3))
def test_nothing_stale_is_vouched_for_and_nothing_unchanged_is_repeated(tmp_path, seed):
    World(tmp_path / "p0").live(drawn(seed, length=4))


@pytest.mark.parametrize(
    "steps",
    [
        ["delete never/b 0", "run --only copy/a"],
        ["write b two", "run --only copy/a"],
        ["write b two", "run --fresh --only copy/a"],
    ],
)
def test_only_vouches_for_no_changed_unit_whatever_else_would_make_it_run(tmp_path, steps):
    World(tmp_path / "p0").live(["stages copy never", "run", *steps])


def test_a_success_does_not_stand_after_a_failure_that_wrote_nothing(tmp_path):
    steps = ["stages copy", "run", "trouble copy/a early", "retry copy/a", "mend", "run"]

    World(tmp_path / "p0").live(steps)


@pytest.mark.parametrize("word", ["sum", "kept/a"])
@pytest.mark.parametrize(
    "change", ["write a two", "delete copy/a 0", "word kept y", "delete sum 0"]
)
def test_the_dry_run_says_what_only_does_after_a_change(tmp_path, change, word):
    steps = ["stages copy kept sum", "run", change, f"run --only {word}", "run"]

    World(tmp_path / "p0").live(steps)
