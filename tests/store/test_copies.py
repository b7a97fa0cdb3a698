"""Whether a journal is the file that it says it is."""

import os
import shutil
import time
from types import SimpleNamespace

import msgspec
import pytest

from procsup.host import birth, identity
from procsup.host.birth import read_born_ns
from procsup.host.files import read_file_id
from procsup.store import copies
from procsup.store.copies import is_copy, is_original
from procsup.store.rundir import RunDir
from tests.store.builders import begin

HERE, BORN, OTHER_BOOT = "aa:bb", 3, "another boot"


@pytest.fixture
def lies_here(monkeypatch):
    monkeypatch.setattr(copies, "read_file_id", lambda _path, **_how: HERE)
    monkeypatch.setattr(birth, "read_born_ns", lambda _path, **_how: BORN)


@pytest.mark.parametrize(
    ("recorded", "born", "same_boot", "copy"),
    [
        (HERE, BORN, True, False),
        (HERE, BORN, False, False),
        ("aa:b0", BORN, False, True),
        ("a0:bb", BORN, True, True),
        ("a0:bb", BORN, False, False),  # numbers of devices change with a boot
        (HERE, BORN + 1, True, True),  # the inode was used again
        (HERE, BORN + 1, False, True),
        (HERE, None, False, False),  # of an older procsup, or where no time of birth is told
    ],
)
def test_device_inode_and_birth_say_what_a_copy_is(
    tmp_path, lies_here, recorded, born, same_boot, copy
):
    boot = identity.read_boot_id() if same_boot else OTHER_BOOT
    record = msgspec.structs.replace(begin(), journal=recorded, born_ns=born, boot_id=boot)

    assert is_copy(RunDir(tmp_path), record) == copy
    assert is_original(RunDir(tmp_path), record) != copy


@pytest.mark.parametrize("host", ["", "another"])
def test_the_oldest_records_say_only_their_host(tmp_path, host):
    record = msgspec.structs.replace(begin(), journal="", host=host or identity.get_host_name())

    assert is_copy(RunDir(tmp_path), record) == bool(host)
    assert not is_original(RunDir(tmp_path), record)


def test_a_file_keeps_its_birth_and_a_copy_of_it_has_another(tmp_path):
    path = tmp_path / "file"
    path.write_text("text")
    born = read_born_ns(path)
    if born is None:
        pytest.skip("this file system does not tell it")
    assert abs(born / 1e9 - time.time()) < 60
    os.utime(path, (1, 1))
    path.write_text("more")
    path.rename(tmp_path / "moved")
    assert read_born_ns(tmp_path / "moved") == born
    shutil.copy2(tmp_path / "moved", path)
    assert read_born_ns(path) > born


@pytest.mark.parametrize(("written", "told"), [(5, None), (6, 5)])
def test_on_windows_a_birth_that_is_the_last_write_is_none(monkeypatch, written, told):
    status = SimpleNamespace(st_ctime_ns=5, st_mtime_ns=written)
    monkeypatch.setattr(birth, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(birth, "os", SimpleNamespace(stat=lambda _path, **_how: status))

    assert read_born_ns("any") == told


def test_a_missing_file_has_no_id(tmp_path):
    assert read_file_id(tmp_path / "none") == ":"
    assert read_born_ns(tmp_path / "none") is None
