"""What a user may read, as modes show it."""

import os
import sys

import pytest

from procsup.paths.opening import open_regular
from procsup.paths.reader import Reader, list_names, read_as

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")


def other(*groups):
    """A user who is not us."""
    return Reader("eve", os.geteuid() + 1, groups)


def may_read(reader, path):
    with read_as(reader):
        try:
            os.close(open_regular(str(path)))
        except PermissionError:
            return False
    return True


@pytest.fixture
def folder(tmp_path_factory):
    """A folder which all may enter, as is every one above it up to our own."""
    made = tmp_path_factory.mktemp("open")
    (made / "file").touch()
    made.chmod(0o755)
    return made


@pytest.mark.parametrize(
    ("mode", "all_may", "group_may"),
    [(0o644, True, True), (0o640, False, True), (0o604, True, False), (0o600, False, False)],
)
def test_a_mode_says_who_may_read(folder, monkeypatch, mode, all_may, group_may):
    monkeypatch.setattr(Reader, "_may_enter", lambda _self, _folder: True)
    (folder / "file").chmod(mode)
    group = (folder / "file").stat().st_gid

    assert may_read(other(), folder / "file") == all_may
    assert may_read(other(group), folder / "file") == group_may
    assert may_read(Reader("eve", os.geteuid(), ()), folder / "file")  # it is theirs
    assert may_read(None, folder / "file")


def test_the_folders_above_it_are_asked_too(folder):
    (folder / "in").mkdir(mode=0o700)
    (folder / "in" / "file").touch(0o644)
    (folder / "link").symlink_to(folder / "in" / "file")
    reader = other()

    assert not may_read(reader, folder / "in" / "file")
    assert not may_read(reader, folder / "link")


def test_only_a_folder_that_they_may_list_is_listed(folder):
    assert list_names(str(folder)) is None
    (folder / "in").mkdir(mode=0o711)
    with read_as(Reader("eve", os.geteuid(), ())):
        assert list_names(str(folder)) == {"file", "in"}
    with read_as(other()), pytest.raises(PermissionError, match="may not read it"):
        list_names(str(folder / "in"))
