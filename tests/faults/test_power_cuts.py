"""The states of a power cut, and the harness that judges them."""

import random
import sys

import pytest

from tests.faults.power_cuts.bugs import BUGS
from tests.faults.power_cuts.disk import Disk
from tests.faults.power_cuts.recording import Op
from tests.faults.trial import Trial

recordable = pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="syncing is a call of Python's os on Linux"
)


def left_of(ops, **more):
    """What may be left of these calls, as {path: content}."""
    disk = Disk("/d")
    for op in ops:
        disk.take(op)
    states = disk.states(random.Random(1), **{"more": 30, **more})
    return [{path: data for path, (_, data) in state.files.items()} for state in states]


def renamed(*, content, name):
    ops = [Op("create", "/d/t", 1), Op("write", "/d/t", 1, 0, b"new")]
    ops += [Op("sync", "/d/t", 1)] if content else []
    ops += [Op("rename", "/d/t", 1, to="/d/a")]
    return ops + ([Op("sync-folder", "/d")] if name else [])


def test_a_file_whose_content_and_name_were_synced_is_there_whatever_happens():
    assert left_of(renamed(content=True, name=True))[0] == {"/d/a": b"new"}
    assert all(state == {"/d/a": b"new"} for state in left_of(renamed(content=True, name=True)))


def test_a_rename_may_come_without_the_content_and_the_content_without_the_rename():
    careless = left_of(renamed(content=False, name=True))
    assert {"/d/a": b""} in careless
    assert {"/d/a": b"ne"} in careless or {"/d/a": b"n"} in careless
    assert {"/d/a": b"\x00\x00\x00"} in careless
    forgetful = left_of(renamed(content=True, name=False))
    assert {} in forgetful
    assert {"/d/t": b"new"} in forgetful
    assert {"/d/a": b"new"} in forgetful


def test_what_was_removed_comes_back_unless_its_folder_was_synced():
    ops = [*renamed(content=True, name=True), Op("unlink", "/d/a", 1)]

    assert {"/d/a": b"new"} in left_of(ops)
    assert {"/d/a": b"new"} not in left_of([*ops, Op("sync-folder", "/d")])


def test_a_file_in_a_folder_without_a_durable_name_is_lost_with_it():
    ops = [Op("mkdir", "/d/f"), Op("create", "/d/f/a", 1), Op("sync", "/d/f/a", 1)]
    ops += [Op("sync-folder", "/d/f")]

    assert {} in left_of(ops)
    assert {"/d/f/a": b""} in left_of(ops)
    assert {} not in left_of([*ops, Op("sync-folder", "/d")])


@recordable
@pytest.mark.parametrize("bug", list(BUGS), ids=lambda bug: bug.__name__)
def test_a_fault_of_order_is_seen(bug, tmp_path):
    from tests.faults.power_cuts.bugs import attack_bugs

    trial = Trial("power_cuts", "quick", tmp_path, only=f"seeded {bug.__name__}")

    attack_bugs(trial)

    assert trial.failures == []
    assert trial.cases == 1
