"""A process that starts units for a supervisor shares its lock, and gives units theirs."""

import os
import sys

import pytest

from procsup.errors import RecordError
from procsup.host.units_lock import UnitsLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="units inherit no locks there")


@pytest.fixture
def taken(tmp_path):
    """The lock as its supervisor has it."""
    lock = UnitsLock(tmp_path / "units.lock")
    assert lock.try_take()
    yield lock
    lock.close()


def join(path):
    lock = UnitsLock(path)
    lock.join()
    return lock


def test_the_lock_is_held_until_the_last_who_joined_and_the_last_unit_are_gone(taken):
    helper = join(taken.shared_path)
    (unit_fd,) = helper.share()
    probe = UnitsLock(taken.path)

    taken.close()
    assert probe.is_held()
    helper.close()
    assert probe.is_held()
    os.close(unit_fd)
    assert not probe.is_held()


def test_a_lock_that_another_supervisor_has_is_not_joined(tmp_path):
    path = tmp_path / "units.lock"
    path.touch()
    other = UnitsLock(path)
    assert other._lock.try_exclusive()

    with pytest.raises(RecordError, match="held by another supervisor"):
        join(path)

    other.close()


def test_a_lock_that_was_removed_is_not_joined(taken):
    os.unlink(taken.path)

    with pytest.raises(RecordError, match="was removed during the run"):
        join(taken.path)


def test_who_joined_gives_no_unit_the_lock_of_another_file(taken):
    helper = join(taken.path)
    os.rename(taken.path, f"{taken.path}.old")
    with open(taken.path, "w"):
        pass

    with pytest.raises(RecordError, match="was replaced during the run"):
        helper.share()

    helper.close()


def test_without_locks_there_is_nothing_to_join_by(tmp_path):
    lock = UnitsLock(tmp_path / "units.lock")
    lock.open()

    assert lock.shared_path is None

    lock.close()
