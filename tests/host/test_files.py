import errno
import io
import os
import stat
import sys

import pytest

from procsup.errors import RecordError
from procsup.host import files
from procsup.host.files import (
    is_temporary,
    make_temporary_name,
    open_private,
    open_reading,
    open_record,
    remove,
    replace,
    sync_fd,
    sync_folder,
    write_atomically,
)
from tests.support.users import EVE, root_only

posix = pytest.mark.skipif(os.name == "nt", reason="symbolic links, FIFOs and modes of POSIX")
WRITE = os.O_WRONLY | os.O_CREAT


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_and_nothing_else_stays(tmp_path):
    write_atomically(tmp_path / "a", [b"one ", b"", b"two"])

    assert (tmp_path / "a").read_bytes() == b"one two"
    assert names(tmp_path) == ["a"]


def test_a_large_file_is_written_whole(tmp_path):
    chunk = bytes(range(256)) * 100

    write_atomically(tmp_path / "a", (chunk for _ in range(40)))

    assert (tmp_path / "a").read_bytes() == chunk * 40


def test_a_failure_on_the_way_leaves_the_old_content_and_no_rest(tmp_path):
    write_atomically(tmp_path / "a", [b"old"])

    def chunks():
        yield b"new" * 100_000
        raise ValueError("the units could not be made")

    with pytest.raises(ValueError, match="units"):
        write_atomically(tmp_path / "a", chunks())

    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.survives("F41")
@pytest.mark.parametrize("step", ["sync_fd", "replace"])
def test_a_failing_sync_or_replace_leaves_the_old_content_and_no_rest(tmp_path, monkeypatch, step):
    write_atomically(tmp_path / "a", [b"old"])

    def fails(*_arguments, **_more):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(files, step, fails)
    with pytest.raises(OSError, match="broken"):
        write_atomically(tmp_path / "a", [b"new"])

    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@posix
def test_a_folder_that_is_exchanged_before_the_rename_leads_to_no_other_file(tmp_path, monkeypatch):
    """No other folder has a file of the temporary name, which is drawn for each write."""
    for name in ("here", "victim"):
        (tmp_path / name).mkdir()
        write_atomically(tmp_path / name / "a", [b"old"])

    def and_swap(source, target, **more):
        (tmp_path / "here").rename(tmp_path / "away")
        (tmp_path / "here").symlink_to("victim")
        replace(source, target, **more)

    monkeypatch.setattr(files, "replace", and_swap)
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "here" / "a", [b"new"])

    assert names(tmp_path / "victim") == ["a"]
    assert (tmp_path / "victim" / "a").read_bytes() == b"old"


@posix
def test_below_an_open_folder_a_file_is_written_whatever_has_its_path(tmp_path, monkeypatch):
    for name in ("here", "victim"):
        (tmp_path / name).mkdir()
    fd = os.open(tmp_path / "here", os.O_RDONLY)
    (tmp_path / "here").rename(tmp_path / "away")
    (tmp_path / "here").symlink_to("victim")
    try:
        write_atomically(tmp_path / "here" / "a", [b"new"], dir_fd=fd)
        os.close(open_private(tmp_path / "here" / "b", WRITE, dir_fd=fd))
        assert names(tmp_path / "away") == ["a", "b"]
        assert files.remove(tmp_path / "here" / "b", dir_fd=fd)
        with pytest.raises(FileNotFoundError) as caught:
            open_private(tmp_path / "here" / "b", os.O_RDONLY, dir_fd=fd)
    finally:
        os.close(fd)

    assert caught.value.filename == str(tmp_path / "here" / "b")
    assert names(tmp_path / "away") == ["a"]
    assert names(tmp_path / "victim") == []


def test_the_order_is_write_sync_replace_sync_folder(tmp_path, monkeypatch):
    steps = []
    for name in ("sync_fd", "replace", "sync_folder"):
        real = getattr(files, name)
        monkeypatch.setattr(
            files, name, lambda *a, name=name, real=real, **k: (steps.append(name), real(*a, **k))
        )

    write_atomically(tmp_path / "a", [b"x"])

    assert steps == ["sync_fd", "replace", "sync_folder"]


def test_a_temporary_name_is_told_from_others_and_never_the_same_twice():
    drawn = {make_temporary_name() for _ in range(1000)}

    assert len(drawn) == 1000
    assert all(map(is_temporary, drawn))
    assert len({name.rpartition("-")[2][:8] for name in drawn}) > 990  # nothing to count on from


@posix
def test_the_mode_is_exact_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "shared", [b"x"], mode=0o644)
        write_atomically(tmp_path / "private", [b"x"])
    finally:
        os.umask(0o027)
    try:
        write_atomically(tmp_path / "users", [b"x"], mode=None)
    finally:
        os.umask(before)

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)]
    assert [oct(mode) for mode in modes] == ["0o600", "0o644", "0o640"]


@posix
def test_a_planted_link_under_the_target_is_replaced_not_followed(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "a").symlink_to(tmp_path / "victim")

    write_atomically(tmp_path / "a", [b"x"])

    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "a").is_symlink()


def test_a_private_file_is_opened_for_us_alone(tmp_path):
    fd = open_private(tmp_path / "a", WRITE)
    try:
        assert not os.get_inheritable(fd)
        os.write(fd, b"a\nb")
        sync_fd(fd)
    finally:
        os.close(fd)
    assert (tmp_path / "a").read_bytes() == b"a\nb"
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.survives("F48")
@posix
def test_what_was_planted_is_refused_and_left_alone(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "hard").hardlink_to(victim) if sys.version_info >= (3, 10) else os.link(
        victim, tmp_path / "hard"
    )
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    flags = (os.O_RDONLY, WRITE, os.O_RDWR | os.O_CREAT, WRITE | os.O_APPEND)

    for name in ("link", "dangling", "hard", "fifo", "folder"):
        for flag in flags:
            with pytest.raises(RecordError, match="refused"):
                open_private(tmp_path / name, flag)

    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.survives("F48")
@posix
def test_a_device_is_refused():
    with pytest.raises(RecordError, match="no regular file"):
        open_private("/dev/null", os.O_RDWR)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_private(tmp_path / "a", os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        open_reading(tmp_path / "a")
    assert not remove(tmp_path / "a")


def test_a_file_being_read_can_be_removed_and_read_on(tmp_path):
    (tmp_path / "a").write_bytes(b"one\ntwo\n")

    with open_reading(tmp_path / "a") as file:
        assert file.readline() == b"one\n"
        assert remove(tmp_path / "a")
        assert file.readline() == b"two\n"

    assert names(tmp_path) == []


def test_replacing_puts_the_one_in_place_of_the_other(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").write_bytes(b"new")

    replace(tmp_path / "b", tmp_path / "a")

    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


@posix
def test_a_folder_that_cannot_be_synced_is_forgiven_only_where_that_is_its_nature(
    tmp_path, monkeypatch
):
    def fails_with(number):
        def fails(_fd):
            raise OSError(number, "no")

        return fails

    monkeypatch.setattr(os, "fsync", fails_with(errno.EINVAL))
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", fails_with(errno.EIO))
    with pytest.raises(OSError, match="no"):
        sync_folder(tmp_path)


def test_made_folders_are_put_on_the_disk_and_one_that_was_there_too(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync_folder", synced.append)

    assert files.make_folders(tmp_path / "a" / "b" / "c")
    assert synced == [
        str(tmp_path.parent),
        str(tmp_path),
        *map(str, (tmp_path / "a", tmp_path / "a" / "b")),
    ]
    synced.clear()
    assert not files.make_folders(tmp_path / "a")
    assert synced == [str(tmp_path)]


def test_a_folder_that_may_not_be_read_cannot_be_synced_and_hinders_nothing(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "no", path)

    monkeypatch.setattr(files, "sync_folder", refused)

    assert files.make_folders(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"exists|file"):
        files.make_folders(tmp_path / "file")


@pytest.mark.skipif(os.name != "nt", reason="only Windows refuses to replace what is open")
def test_replacing_waits_for_a_reader_on_windows(tmp_path):
    import threading

    (tmp_path / "a").write_bytes(b"old")
    reader = (tmp_path / "a").open("rb")
    threading.Timer(0.3, reader.close).start()

    write_atomically(tmp_path / "a", [b"new"])

    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.survives("F86")
@posix
def test_a_large_record_of_nothing_is_refused_at_once(tmp_path):
    (tmp_path / "journal").write_bytes(b"line")
    os.truncate(tmp_path / "journal", 1 << 40)

    with pytest.raises(OSError, match="of its 1099511627776 bytes only"):
        open_record(tmp_path / "journal")


def test_a_record_whose_folder_is_removed_meanwhile_is_closed(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal").touch()
    opened = []

    def open_late(path):
        file = io.FileIO(os.devnull)  # Windows renames no folder of an open file
        (tmp_path / "run").rename(tmp_path / "gone")
        opened.append(file)
        return file

    monkeypatch.setattr(files, "open_reading", open_late)

    with pytest.raises(FileNotFoundError):
        open_record(tmp_path / "run" / "journal")
    assert opened[0].closed


@pytest.mark.survives("F86")
@root_only
def test_a_record_of_another_user_than_the_runs_is_refused(tmp_path):
    (tmp_path / "journal").write_bytes(b"line")
    open_record(tmp_path / "journal").close()

    os.chown(tmp_path / "journal", EVE, EVE)
    with pytest.raises(OSError, match=f"it belongs to uid {EVE}, and the run to uid 0"):
        open_record(tmp_path / "journal")
    os.chown(tmp_path, EVE, EVE)
    open_record(tmp_path / "journal").close()
