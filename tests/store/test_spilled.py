"""Results that wait on disk for their manifest."""

import errno
import os
import tempfile

import pytest
from msgspec.structs import replace

from procsup.core.events import UnitResult
from procsup.core.outcome import Exited, Reading, Verdict
from procsup.core.records import End
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.errors import RecordError
from procsup.host.opened import Folder
from procsup.store.spilled import SpilledResults


def result(index, text="x"):
    unit = UnitSpec(
        f"s/{index}",
        "s",
        index,
        ("echo", text),
        "/",
        "f",
        parameters={"several": ("a", 1.5), "one": True},
        outputs=(OutputSpec("/o"),),
    )
    made = (Reading("/o", 1, 2),)
    end = End(unit.id, 1, Verdict.SUCCEEDED, 1.0, exit=Exited(0), outputs=made, cause=text)
    return UnitResult(unit, (end,))


def listed(results):
    """Results as they were written; a list in the parameters is as good as a tuple."""
    return [
        replace(one, unit=replace(one.unit, parameters={**one.unit.parameters, "several": 0}))
        for one in results
    ]


@pytest.fixture
def held(tmp_path):
    with Folder.open(tmp_path) as run:
        held = SpilledResults(run)
        yield held
        held.close()


def test_all_results_come_in_the_order_of_their_units(held):
    held.add([result(3), result(0)])
    held.add([result(5), result(1)])

    found = held.merge([result(2), result(4), result(7)])

    assert listed(found) == listed(map(result, (0, 1, 2, 3, 4, 5, 7)))


def test_they_can_be_read_again_and_grow(held):
    held.add([result(1)])
    assert [one.unit.index for one in held.merge([])] == [1]
    held.add([result(0)])

    for _ in range(2):
        assert [one.unit.index for one in held.merge([result(9)])] == [0, 1, 9]


def test_without_any_the_others_are_passed_on(held, tmp_path):
    assert list(held.merge(["as", "it", "is"])) == ["as", "it", "is"]
    assert os.listdir(tmp_path) == []


def test_text_that_is_not_utf_8_is_preserved(held):
    odd = "caf\udce9"
    held.add([result(2, odd), result(0), result(3, odd)])

    found = list(held.merge([result(1)]))

    assert listed(found) == listed([result(0), result(1), result(2, odd), result(3, odd)])


@pytest.mark.skipif(os.name == "nt", reason="there a file has its name until it is closed")
def test_the_files_have_no_names(held, tmp_path):
    held.add([result(0)])

    assert os.listdir(tmp_path) == []


class Full:
    """Files of a disk that is full."""

    def seek(self, place):
        pass

    def write(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def test_a_full_disk_is_an_error_of_the_records(held, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())

    with pytest.raises(RecordError, match=f"of {tmp_path} cannot be written"):
        held.add([result(0)])
