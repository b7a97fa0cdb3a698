"""The file of a plan that grows."""

import errno

import pytest

from procsup.errors import RecordError
from procsup.store import growing_plan
from procsup.store.growing_plan import PlanFile

END = b"end\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "plan.jsonl"
    path.write_bytes(b"an older one\n")
    return path


@pytest.fixture
def plan_file(path):
    plan_file = PlanFile(str(path), [b"head\n", b"one\n"])
    yield plan_file
    plan_file.close()


def test_an_older_plan_stays_until_it_begins(plan_file, path):
    plan_file.add([b"two\n"], last=False)
    assert path.read_bytes() == b"an older one\n"

    plan_file.begin()
    assert path.read_bytes() == b"head\none\ntwo\n"


def test_lines_follow_those_that_are_there(plan_file, path):
    plan_file.begin()
    plan_file.add([b"two\n", b"three\n"], last=False)
    plan_file.begin()
    plan_file.add([END], last=True)
    plan_file.add([b"late\n"], last=False)
    plan_file.add([b"other end"], last=True)

    assert path.read_bytes() == b"head\none\ntwo\nthree\nend\n"


def test_it_may_end_before_it_begins(plan_file, path):
    plan_file.add([END], last=True)
    plan_file.begin()
    plan_file.add([b"late\n"], last=False)

    assert path.read_bytes() == b"head\none\nend\n"
    assert not plan_file.is_open


def test_nothing_begins_or_is_added_after_it_was_closed(plan_file, path):
    plan_file.close()
    plan_file.add([END], last=True)
    plan_file.begin()

    assert path.read_bytes() == b"an older one\n"
    assert plan_file.is_open


def test_it_is_open_until_its_last_line(plan_file):
    plan_file.begin()
    plan_file.add([b"two\n"], last=False)
    assert plan_file.is_open
    plan_file.add([END], last=True)
    assert not plan_file.is_open


def test_what_keeps_a_line_from_being_written_is_kept(plan_file, monkeypatch):
    def fail(_fd, _lines):
        raise OSError(errno.ENOSPC, "No space left on device")

    plan_file.begin()
    monkeypatch.setattr(growing_plan, "write_all", fail)

    with pytest.raises(RecordError, match=r"plan\.jsonl cannot be written: No space left"):
        plan_file.add([b"two\n"], last=False)
    assert isinstance(plan_file.problem, RecordError)


def test_what_keeps_it_from_beginning_is_kept(tmp_path):
    plan_file = PlanFile(str(tmp_path / "none" / "plan.jsonl"), [b"head\n"])

    with pytest.raises(RecordError, match=r"plan\.jsonl cannot be written: No such file"):
        plan_file.begin()
    assert isinstance(plan_file.problem, RecordError)
