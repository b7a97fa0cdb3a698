"""What is recorded of a file, when it was written, when it is intact."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from procsup.core.outcome import Reading
from procsup.paths import identity
from procsup.paths.identity import Contents, compare, read_file, read_stamp
from tests.support.files import needs_links, written

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs, no ctime there")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def replace(path: str, text: str) -> None:
    """Replace a file by one of the same times but other content, as `cp -p` may."""
    status = os.stat(path)
    written(Path(f"{path}.new"), text)
    os.utime(f"{path}.new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(f"{path}.new", path)


def differs(recorded: Reading, checksum: str = "auto") -> str:
    return compare(recorded, checksum=checksum).difference


# --- a reading ---------------------------------------------------------------------------------


def test_a_reading_has_size_time_and_digest(tmp_path):
    path = written(tmp_path / "a", "data")

    status = os.stat(path)
    reading = read_file(path, checksum="auto")
    assert (reading.path, reading.size) == (path, 4)
    assert (reading.mtime_ns, reading.sha256) == (status.st_mtime_ns, sha("data"))
    assert reading.inode == status.st_ino
    assert reading.link is None
    assert not reading.changed
    assert read_file(path, checksum="none") == msgspec.structs.replace(reading, sha256=None)


def test_a_missing_file_has_no_reading_and_no_stamp(tmp_path):
    for path in (str(tmp_path / "a"), str(Path(written(tmp_path / "file")) / "a")):
        assert read_file(path, checksum="auto") is None
        assert read_file(path, checksum="none") is None
        assert read_stamp(path) is None


def test_a_large_file_is_digested_only_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "HASHED_UP_TO_BYTES", 3)
    path = written(tmp_path / "a", "data")

    assert read_file(path, checksum="auto").sha256 is None
    assert read_file(path, checksum="all").sha256 == sha("data")


def test_a_file_of_many_chunks_is_digested_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "_CHUNK_BYTES", 7)
    path = written(tmp_path / "a", "0123456789" * 10)

    assert read_file(path, checksum="all").sha256 == sha("0123456789" * 10)


def test_a_file_that_grows_as_fast_as_it_is_read_is_an_error(tmp_path, monkeypatch):
    path = written(tmp_path / "a", "data")

    class Digest:
        def update(self, _chunk: bytes) -> None:
            with open(path, "a") as file:
                file.write("x")

    monkeypatch.setattr(hashlib, "sha256", Digest)
    monkeypatch.setattr(identity, "_CHUNK_BYTES", 1)
    with pytest.raises(OSError, match="while it is read"):
        read_file(path, checksum="all")


@needs_posix
def test_a_fifo_is_not_opened(tmp_path):
    path = str(tmp_path / "fifo")
    os.mkfifo(path)

    assert read_file(path, checksum="all").sha256 is None


@needs_links
def test_a_link_is_read_through(tmp_path):
    written(tmp_path / "target", "data")
    link = tmp_path / "link"
    link.symlink_to("target")

    assert read_file(str(link), checksum="auto").sha256 == sha("data")


@needs_links
def test_a_reading_of_a_link_says_where_it_leads(tmp_path):
    path = written(tmp_path / "target", "data")
    link = tmp_path / "link"
    link.symlink_to("target")

    reading = read_file(str(link), checksum="auto")

    assert reading.link == "target"
    target = read_file(path, checksum="auto")
    assert msgspec.structs.replace(reading, path=path, link=None) == target


# --- stamps ------------------------------------------------------------------------------------


@needs_links
def test_a_link_that_is_made_again_has_another_stamp(tmp_path):
    written(tmp_path / "target", "data")
    link = tmp_path / "link"
    link.symlink_to("target")
    before = read_stamp(str(link))
    assert read_stamp(str(link)) == before

    (tmp_path / "new").symlink_to("target")  # as `ln -sfn` does
    os.replace(tmp_path / "new", link)

    assert read_stamp(str(link)) != before
    assert read_stamp(str(link))[:4] == before[:4]


@needs_links
def test_a_link_to_nothing_has_no_stamp(tmp_path):
    (tmp_path / "link").symlink_to("nothing")

    assert read_stamp(str(tmp_path / "link")) is None
    assert read_file(str(tmp_path / "link"), checksum="auto") is None


# --- is it intact? -----------------------------------------------------------------------------


def test_an_untouched_file_is_intact_without_being_read(tmp_path, monkeypatch):
    recorded = read_file(written(tmp_path / "a"), checksum="auto")
    monkeypatch.setattr(identity, "_read_content", None)

    assert differs(recorded) == ""


def test_a_touched_file_is_intact_if_its_content_is_on_record(tmp_path):
    path = written(tmp_path / "a", "data")
    with_sha, without = read_file(path, checksum="auto"), read_file(path, checksum="none")
    os.utime(path, ns=(0, with_sha.mtime_ns + 10**9))

    assert differs(with_sha) == ""
    assert differs(with_sha, "none") == "time differs"
    assert differs(without) == "time differs"


def test_what_differs_is_said(tmp_path):
    path = written(tmp_path / "a", "data")
    recorded = read_file(path, checksum="auto")

    written(tmp_path / "a", "atad")
    os.utime(path, ns=(0, recorded.mtime_ns + 10**9))
    assert differs(recorded) == "content differs"
    written(tmp_path / "a", "longer")
    assert differs(recorded) == "size 4 → 6"
    os.unlink(path)
    assert differs(recorded) == "missing"
    os.mkdir(path)
    assert differs(recorded) == "no longer a file"


def test_a_file_that_cannot_be_read_is_not_intact(tmp_path, monkeypatch):
    path = written(tmp_path / "a", "data")
    recorded = read_file(path, checksum="auto")
    os.utime(path, ns=(0, recorded.mtime_ns + 10**9))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(identity, "_read_content", refuse)

    assert differs(recorded) == "cannot be read: Permission denied"


@pytest.mark.parametrize("checksum", ["auto", "all"])
def test_another_content_of_the_same_size_and_times_is_not_intact(tmp_path, checksum):
    path = written(tmp_path / "a", "old")
    recorded = read_file(path, checksum="auto")

    replace(path, "new")

    assert differs(recorded, checksum) == "content differs"


def test_where_no_content_is_on_record_size_and_time_decide(tmp_path):
    path = written(tmp_path / "a", "old")
    with_sha, without = read_file(path, checksum="auto"), read_file(path, checksum="none")

    replace(path, "new")

    assert differs(without) == ""
    assert differs(with_sha, "none") == ""


@needs_posix
def test_a_write_that_restores_the_time_is_seen(tmp_path):
    path = written(tmp_path / "a", "old")
    status = os.stat(path)
    recorded = read_file(path, checksum="auto")

    while os.stat(path).st_ctime_ns == status.st_ctime_ns:  # until the file system's clock ticks
        written(tmp_path / "a", "new")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert differs(recorded) == "content differs"


def test_all_reads_the_content_even_of_an_untouched_file(tmp_path, monkeypatch):
    path = written(tmp_path / "a", "data")
    recorded = read_file(path, checksum="auto")
    reads = []
    real = identity._read_content
    monkeypatch.setattr(identity, "_read_content", lambda *given: reads.append(1) or real(*given))

    assert compare(recorded, checksum="all") == identity.Comparison()
    assert reads == [1]


def test_what_was_read_and_is_the_same_needs_to_be_read_once_only(tmp_path, monkeypatch):
    path = written(tmp_path / "a", "data")
    recorded = read_file(path, checksum="auto")
    replace(path, "data")

    found = compare(recorded, checksum="auto")
    monkeypatch.setattr(identity, "_read_content", None)

    assert found.difference == ""
    assert found.seen == read_file(path, checksum="none").__class__(
        **{**msgspec.structs.asdict(read_stamp(path).make_reading(path)), "sha256": recorded.sha256}
    )
    assert compare(found.seen, checksum="auto") == identity.Comparison()


def test_an_older_record_which_knows_size_and_time_only_is_not_asked_for_more(tmp_path):
    path = written(tmp_path / "a", "data")
    recorded = read_file(path, checksum="auto")
    old = Reading(path, recorded.size, recorded.mtime_ns, recorded.sha256)

    replace(path, "atad")

    assert differs(old) == ""


def test_a_file_that_changed_under_the_hands_of_its_unit_is_never_intact(tmp_path):
    path = written(tmp_path / "a", "data")
    recorded = read_stamp(path).make_reading(path, changed=True)

    assert differs(recorded) == "changed while the unit ran"


@needs_links
def test_a_link_that_leads_elsewhere_is_intact_if_the_content_is(tmp_path):
    written(tmp_path / "a", "data")
    written(tmp_path / "b", "data")
    written(tmp_path / "c", "atad")
    link = tmp_path / "link"
    link.symlink_to("a")
    with_sha, without = (read_file(str(link), checksum=one) for one in ("auto", "none"))

    for target, found in (("b", ""), ("c", "content differs")):
        os.unlink(link)
        link.symlink_to(target)
        times = os.stat(tmp_path / "a")
        os.utime(link, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert differs(with_sha) == found
        assert differs(without) == f"is a link to {target} now, was one to a"
    os.unlink(link)
    shutil.copy2(tmp_path / "a", link)
    assert differs(with_sha) == ""
    assert differs(without) == "is no link to a any more"


# --- files that many units share ---------------------------------------------------------------


def age(path: str) -> str:
    """Make a file's mtime old; its ctime stays new, so tests patch `_SETTLED_NS`, too."""
    os.utime(path, ns=(0, 10**18))
    return path


def test_a_shared_file_is_read_once_while_its_stamp_holds(tmp_path, monkeypatch):
    path = age(written(tmp_path / "a", "data"))
    monkeypatch.setattr(identity, "_SETTLED_NS", -(10**18))
    contents, reads = Contents(), []
    real = identity._read_content
    monkeypatch.setattr(identity, "_read_content", lambda *given: reads.append(1) or real(*given))

    first = read_file(path, checksum="auto", contents=contents)
    assert read_file(path, checksum="auto", contents=contents) == first
    assert reads == [1]
    replace(path, "atad")
    assert read_file(path, checksum="auto", contents=contents).sha256 == sha("atad")
    assert reads == [1, 1]


def test_a_shared_file_that_was_written_just_now_is_read_again(tmp_path, monkeypatch):
    path = written(tmp_path / "a", "data")
    contents, reads = Contents(), []
    real = identity._read_content
    monkeypatch.setattr(identity, "_read_content", lambda *given: reads.append(1) or real(*given))

    for _ in range(2):
        read_file(path, checksum="auto", contents=contents)

    assert reads == [1, 1]
