import json
import os

import pytest

from procsup.core.manifest import StageCounts
from procsup.host.opened import Folder
from procsup.store.manifest import read_manifest
from procsup.store.unit_lines import UnitLines, UnitLinesChanged
from tests.store.builders import result
from tests.store.test_manifest import House

COUNTS = StageCounts("succeeded", 3, succeeded=3)


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.journal.close()


def never_asked():
    raise AssertionError("the units were worked out twice")
    yield


def units_of(house, stage=None):
    return [unit.id for unit in read_manifest(house.rundir.get_manifest(stage))[1]]


def publish_stage(house):
    house.publisher.publish_stage("s", COUNTS, (result(n) for n in range(3)))


def test_the_manifest_of_a_run_repeats_the_lines_of_its_stages(house):
    publish_stage(house)
    house.publisher.publish_run("succeeded", [("s", COUNTS)], never_asked())

    lines = [house.rundir.get_manifest(one).read_bytes().partition(b"\n")[2] for one in (None, "s")]
    assert lines[0] == lines[1]
    json.loads(house.rundir.manifest.read_bytes())


@pytest.mark.parametrize("what", ["changed", "cut", "gone"])
def test_what_was_tampered_with_is_not_repeated(house, what):
    publish_stage(house)
    path = house.rundir.get_manifest("s")
    text = path.read_bytes()
    path.write_bytes(text.replace(b"succeeded", b"SUCCEEDED") if what == "changed" else text[:-50])
    if what == "gone":
        path.unlink()

    house.publisher.publish_run("succeeded", [("s", COUNTS)], (result(n) for n in range(3)))

    assert units_of(house) == [result(n).unit.id for n in range(3)]
    assert b"SUCCEEDED" not in house.rundir.manifest.read_bytes()
    assert not [name for name in os.listdir(house.rundir.path) if name.endswith(".part")]


def test_a_run_whose_stages_are_of_an_earlier_sitting_is_worked_out(house):
    house.publisher.publish_run("succeeded", [("s", COUNTS)], (result(n) for n in range(3)))

    assert len(units_of(house)) == 3


def test_a_run_that_gives_up_its_logs_is_worked_out(tmp_path):
    house = House(tmp_path, keep_logs="failed")
    try:
        publish_stage(house)
        house.publisher.publish_run("succeeded", [("s", COUNTS)], (result(n) for n in range(2)))
        assert len(units_of(house)) == 2
    finally:
        house.journal.close()


def test_stages_without_units_leave_nothing_between_the_others(tmp_path):
    bodies = UnitLines()
    written = {"a": [b"1", b",\n2"], "none": [], "b": [b"3"]}
    for stage, lines in written.items():
        (tmp_path / stage).write_bytes(b"head\n" + b"".join(lines) + b"end")
        list(bodies.pass_lines(stage, stage, 5, lines))

    with Folder.open(tmp_path) as folder:
        joined = bodies.join(["none", "a", "none", "b"], b",\n", folder)

        assert joined is not None
        assert b"".join(joined) == b"1,\n2,\n3"
        assert bodies.join(["a", "unknown"], b",\n", folder) is None


def test_a_change_is_told_with_the_last_piece(tmp_path):
    bodies = UnitLines()
    (tmp_path / "a").write_bytes(b"x")
    list(bodies.pass_lines("a", "a", 0, [b"y"]))

    with Folder.open(tmp_path) as folder, pytest.raises(UnitLinesChanged, match="changed"):
        list(bodies.join(["a"], b"", folder))
