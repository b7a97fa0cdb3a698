"""What may stand where a file is expected, and is refused without waiting."""

import contextlib
import ctypes
import os
import socket
import sys

import pytest

from procsup.host.files import open_reading
from procsup.host.opened import Folder
from procsup.paths import opening
from procsup.paths.opening import open_regular
from tests.paths.test_walk import link
from tests.support.permissions import as_anybody

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux looks without opening")


def test_a_regular_file_is_opened_also_behind_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"text")
    link("file", tmp_path / "link")

    for name in ("file", "link"):
        fd = open_regular(str(tmp_path / name))
        assert os.read(fd, 9) == b"text"
        os.close(fd)


def open_in_folder(path):
    with Folder.open(os.path.dirname(path)) as folder:
        return folder.read(os.path.basename(path))


@pytest.mark.parametrize("how", [open_reading, open_in_folder])
def test_a_file_that_grows_is_read_up_to_the_end_that_it_had(how, tmp_path):
    """Its owner can make it longer as fast as it is read, by an empty TB, too."""
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo")
    with how(str(path)) as file:
        os.truncate(path, 1 << 40)

        assert file.readline() == b"one\n"
        assert list(file) == [b"two"]
        assert file.seek(0, os.SEEK_END) == 7
        file.seek(4)
        assert file.read() == b"two"


@linux
def test_a_file_of_the_system_that_has_no_size_is_read(tmp_path):
    with open_reading("/proc/self/status") as file:
        assert file.seek(0, os.SEEK_END) == 0
        file.seek(0)
        assert b"Uid:" in file.read()


@posix
@pytest.mark.parametrize("how", [open_regular, open_reading])
@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a device"])
def test_what_is_no_regular_file_is_refused_and_named(how, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with planted(kind), pytest.raises(OSError, match=f"it is {kind}, not a regular file"):
        how("planted")


@posix
def test_a_folder_and_a_missing_file_are_errors_of_their_own(tmp_path):
    with pytest.raises(IsADirectoryError):
        open_regular(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        open_regular(str(tmp_path / "missing"))


@posix
def test_a_refused_file_leaves_no_descriptor_open(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    before = lowest_free()
    for _ in range(3):
        with pytest.raises(OSError, match="FIFO"):
            open_reading(tmp_path / "fifo")

    assert lowest_free() == before


@linux
@pytest.mark.parametrize("how", [open_regular, open_reading])
@pytest.mark.parametrize("kind", ["a FIFO", "a device"])
def test_what_is_refused_is_not_opened(how, kind, tmp_path, monkeypatch):
    """To open a watchdog starts it, and to open a tape winds it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"text")
    with planted(kind):
        assert not was_opened("planted", lambda: expect_refusal(how, "planted"))
    assert was_opened("file", (tmp_path / "file").read_bytes)


@linux
def test_what_takes_the_name_after_the_look_is_not_opened(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"text")
    os.mkfifo(tmp_path / "fifo")
    look = opening.refuse_irregular

    def look_and_swap(what, path):
        look(what, path)
        with contextlib.suppress(FileNotFoundError):
            os.replace(tmp_path / "fifo", tmp_path / "file")

    monkeypatch.setattr(opening, "refuse_irregular", look_and_swap)
    fd = open_regular(str(tmp_path / "file"))

    assert os.read(fd, 9) == b"text"
    os.close(fd)


@linux
def test_without_proc_it_is_looked_at_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"text")
    monkeypatch.setattr(opening, "_OWN_DESCRIPTORS", "/nonexistent")

    fd = open_regular("file")
    assert os.read(fd, 9) == b"text"
    os.close(fd)
    with planted("a FIFO"):
        assert not was_opened("planted", lambda: expect_refusal(open_regular, "planted"))


@posix
@pytest.mark.parametrize("how", [open_regular, open_reading])
def test_an_error_names_the_file_as_it_was_named(how, tmp_path):
    (tmp_path / "file").touch(0o000)

    with as_anybody() as works:
        if not works:
            pytest.skip("root reads everything here")
        with pytest.raises(PermissionError) as caught:
            how(str(tmp_path / "file"))
    assert caught.value.filename == str(tmp_path / "file")


def expect_refusal(how, path):
    """Expect it to be refused."""
    with pytest.raises(OSError, match="not a regular file"):
        how(path)


def was_opened(path, act):
    """Whether `act` opens a file (Linux: inotify(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(fd, os.fsencode(path), 0x20) > 0  # IN_OPEN
        act()
        return bool(os.read(fd, 4096))
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


class planted:
    """A FIFO, a socket or an endless device named `planted` in the current folder."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        if self.kind == "a FIFO":
            os.mkfifo("planted")
        elif self.kind == "a device":
            os.symlink("/dev/zero", "planted")
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind("planted")

    def __exit__(self, *_error):
        if self.kind == "a socket":
            self.listener.close()


def lowest_free():
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)
    return fd
