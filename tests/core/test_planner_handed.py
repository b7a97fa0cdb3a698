"""A stage that is told to read a whole folder with leftover files in it gets one note."""

from typing import Any, List, Sequence

import pytest
from msgspec.structs import replace

from procsup.core.events import Inspected
from procsup.core.outcome import AttemptId, LeftoverFiles, Reading
from procsup.core.spec import After, OutputSpec
from tests.support.plays import Play, stage, unit

LEFT = LeftoverFiles(4, ("out/old", "out/deep/a", "/far/b"))
AFTER = {"after": (After("s"),)}


def maker(name: str = "s/a", path: str = "/p/out/") -> Any:
    return replace(unit(name), outputs=(OutputSpec(path, kind="folder"),))


def told(play: Play, name: str = "t") -> List[str]:
    return [one for one in play.plan.summary.stages[name].news if "leftover" in one]


def play_history(stages: Sequence[Any], units: Sequence[Any], left: Any = LEFT) -> Play:
    play = Play(stages, units, cpus=4, folder="/p")
    for name in list(play.live):
        play.ended(name)
        out = (Reading("/p/out/x", 1, 1),)
        play.tell(Inspected(AttemptId(name, 1), out, leftover_files=left))
    return play.synced()


@pytest.mark.parametrize("key", ["inputs", "depends"])
@pytest.mark.parametrize(
    ("path", "shown"),
    [("/p/out", "out"), ("/p/out/deep", "out/deep"), ("/p", "/p"), ("/far", "/far")],
)
def test_a_folder_with_leftover_files_somewhere_in_it_is_named_once(key, path, shown):
    readers = [unit(f"t/{n}", **{key: ("/p/x", path)}) for n in "abc"]

    play = play_history([stage("s"), stage("t", **AFTER)], [maker(), *readers])

    assert told(play) == [
        f"note: t reads all of {shown}/, also 4 leftover files of s (out/old, out/deep/a, /far/b,"
        ' ...): remove them, or set on-failed-outputs = "aside" in s'
    ]


@pytest.mark.parametrize("path", ["/p/out/old", "/p/out/x", "/p/ou", "/p/out/deep/a", "/p/other"])
def test_other_inputs_are_fine(path):
    play = play_history([stage("s"), stage("t", **AFTER)], [maker(), unit("t/a", inputs=(path,))])

    assert told(play) == []
    assert play.live == {"t/a": 1}


def test_a_folder_without_leftover_files_is_fine():
    play = play_history(
        [stage("s"), stage("t", **AFTER)], [maker(), unit("t", inputs=("/p/out",))], None
    )

    assert told(play) == []


def test_it_may_be_a_stage_far_before_that_moves_them_already():
    stages = [stage("s", on_failed_outputs="aside"), stage("u", **AFTER)]
    stages.append(stage("t", after=(After("u"),)))
    play = play_history(stages, [maker(), unit("u/a"), unit("t/a", inputs=("/p/out",))])
    play.ended("u/a").synced()

    assert told(play) == [
        "note: t reads all of out/, also 4 leftover files of s (out/old, out/deep/a, /far/b, ...):"
        " remove them"
    ]


@pytest.mark.parametrize("hands_on", [(), ("s",)])
def test_a_unit_that_follows_one_is_told_of_the_folder_if_its_command_names_it(hands_on):
    stages = [stage("s"), stage("t", for_each=("s",), unit_wise=True, hands_on=hands_on)]
    units = [maker("s/a"), maker("s/b", "/p/out/b/")]
    units += [unit(f"t/{n}", follows=(f"s/{n}",)) for n in "ab"]

    play = play_history(stages, units)

    assert len(told(play)) == len(hands_on)
    assert set(play.live) == {"t/a", "t/b"}
