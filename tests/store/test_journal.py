import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from procsup.core.events import Synced
from procsup.core.records import JOURNAL_VERSION, ControlReply, Launch, Spawned, encode_line
from procsup.errors import RecordError
from procsup.store.journal import JournalWriter, follow, read_journal
from procsup.store.reader import read_begins, read_last_begin
from tests.store.builders import (
    PROGRAMS,
    WALL,
    begin,
    end,
    environment,
    every_record,
    read,
    records,
    records_of_version_2,
    records_of_version_3,
    write,
)
from tests.support.plays import fold
from tests.support.users import EVE, root_only

GOLDEN = Path(__file__).with_name("journal-1.jsonl")
LIMIT_S = 20.0
posix = pytest.mark.skipif(os.name == "nt", reason="open files cannot be removed there")


class Syncs:
    """Counts syncs, holds them back on demand, fails them on demand."""

    def __init__(self):
        self.count = 0
        self.error = None
        self.open = threading.Event()
        self.open.set()
        self.told = threading.Semaphore(0)

    def sync(self, fd):
        self.count += 1
        assert self.open.wait(LIMIT_S)
        if self.error is not None:
            raise self.error

    def on_synced(self):
        self.told.release()

    def wait(self):
        assert self.told.acquire(timeout=LIMIT_S)


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, every_record())

    found, journal = read(path)

    assert found == every_record()
    assert journal.good_length == path.stat().st_size
    assert journal.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (journal.torn, journal.damage, journal.unknown) == (0, [], [])
    assert journal.last_seq == len(found)


@pytest.mark.survives("F67")
def test_the_journal_of_version_1_is_read_for_ever(tmp_path):
    found, journal = read(GOLDEN)

    assert found == every_record()
    assert (journal.damage, journal.unknown, journal.newer_version) == ([], [], None)
    assert journal.good_length == len(GOLDEN.read_bytes())


def test_the_journal_of_version_2_is_read_for_ever():
    golden = GOLDEN.with_name("journal-2.jsonl")
    found, journal = read(golden)

    assert found == records_of_version_2()
    assert (journal.damage, journal.unknown, journal.newer_version) == ([], [], None)
    history = fold(enumerate(found, 1))
    assert history.units["s/x=1"].last_number == 1
    assert history.units["s/x=1"].is_final


def test_the_journal_of_version_3_is_read_for_ever():
    golden = GOLDEN.with_name("journal-3.jsonl")
    found, journal = read(golden)

    assert found == records_of_version_3()
    assert (journal.damage, journal.unknown, journal.newer_version) == ([], [], None)
    written = [encode_line(seq, record) for seq, record in enumerate(found, 1)]
    lines = golden.read_bytes().splitlines(keepends=True)
    grown = b'"t":"begin"'  # has had more fields since
    assert [line for line in written if grown not in line] == [
        line for line in lines if grown not in line
    ]


def test_there_need_not_be_a_journal_yet(tmp_path):
    journal = read_journal(tmp_path / "journal.jsonl").read()

    assert (journal.good_length, journal.last_seq, journal.exists) == (0, 0, False)
    assert follow(tmp_path / "journal.jsonl").read() == []
    assert read_last_begin(tmp_path / "journal.jsonl") is None


def test_numbers_length_and_digest_go_on_in_the_next_sitting(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, records())
    count = len(records())
    with JournalWriter.open(path, read_journal(path).read(), on_synced=lambda: None) as writer:
        assert writer.append([begin("r2", 2)]) == count + 1
        assert writer.append([]) == count + 1
        mark = writer.mark()

    assert mark.length == path.stat().st_size
    assert mark.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [entry.seq for entry in read_journal(path)] == list(range(1, count + 2))


def test_a_mark_taken_while_another_thread_appends_is_of_whole_records(tmp_path):
    path, marks, over = tmp_path / "journal.jsonl", set(), threading.Event()
    # So long that digesting it lets other threads run, as a turn of thousands of units is.
    long = ControlReply("r", "stop", True, "x" * 1_000_000)
    with JournalWriter.open(path, on_synced=lambda: None, durable=False) as writer:

        def take_marks():
            while not over.is_set():
                marks.add(writer.mark())

        taker = threading.Thread(target=take_marks)
        taker.start()
        for _ in range(30):
            writer.append([long])
        over.set()
        taker.join()

    whole = path.read_bytes()
    for mark in marks:
        assert mark.sha256 == hashlib.sha256(whole[: mark.length]).hexdigest()
        assert whole[: mark.length].endswith(b"\n") or not mark.length


def test_what_is_synced_is_told_once_and_in_order(tmp_path):
    syncs = Syncs()
    with JournalWriter.open(tmp_path / "j", on_synced=syncs.on_synced, sync=syncs.sync) as writer:
        assert writer.drain() == []
        writer.append([begin()])
        syncs.wait()
        assert writer.drain() == [Synced(1)]
        assert writer.drain() == []
        writer.append([end("s/1"), end("s/2")])
        syncs.wait()
        assert writer.drain() == [Synced(3)]


def test_nothing_is_told_before_its_sync_has_returned(tmp_path):
    syncs = Syncs()
    with JournalWriter.open(tmp_path / "j", on_synced=syncs.on_synced, sync=syncs.sync) as writer:
        syncs.open.clear()
        writer.append([begin()])
        assert writer.drain() == []
        for number in range(50):
            writer.append([end(f"s/{number}")])
        assert writer.drain() == []
        syncs.open.set()
        writer.sync()
        assert writer.drain() == [Synced(51)]
        assert syncs.count <= 3


def test_starts_alone_are_not_synced_but_ride_along(tmp_path):
    syncs = Syncs()
    with JournalWriter.open(tmp_path / "j", on_synced=syncs.on_synced, sync=syncs.sync) as writer:
        writer.append([Launch("s/1", 1, WALL, "f"), Spawned("s/1", 1, 5, WALL)])
        assert syncs.count == 0
        writer.append([end("s/1")])
        syncs.wait()
        assert writer.drain() == [Synced(3)]
        writer.append([Launch("s/2", 1, WALL, "f")])
        writer.sync()
        assert writer.drain() == [Synced(4)]


def test_closing_syncs_what_is_left(tmp_path):
    syncs = Syncs()
    writer = JournalWriter.open(tmp_path / "j", on_synced=syncs.on_synced, sync=syncs.sync)
    writer.append([Launch("s/1", 1, WALL, "f")])
    writer.close()
    writer.close()

    assert syncs.count == 1


def test_without_durability_all_but_the_sync_happens(tmp_path):
    syncs = Syncs()
    with JournalWriter.open(
        tmp_path / "j", on_synced=syncs.on_synced, sync=syncs.sync, durable=False
    ) as writer:
        writer.append([begin()])
        syncs.wait()
        assert writer.drain() == [Synced(1)]

    assert syncs.count == 0


@pytest.mark.survives("F40")
@posix
def test_a_failed_sync_is_final(tmp_path):
    syncs = Syncs()
    writer = JournalWriter.open(tmp_path / "j", on_synced=syncs.on_synced, sync=syncs.sync)
    syncs.error = OSError(errno.EIO, "Input/output error")
    writer.append([begin()])
    syncs.wait()
    syncs.error = None

    for use in (writer.drain, writer.sync, writer.mark, lambda: writer.append([begin()])):
        with pytest.raises(RecordError, match="cannot be synced: Input/output error"):
            use()
    assert syncs.count == 1
    writer.close()
    assert len(read(tmp_path / "j")[0]) == 1


@pytest.mark.survives("F39")
def test_a_short_write_is_taken_back_and_tried_again(tmp_path):
    path, calls, pauses = tmp_path / "j", [], []

    def short(fd, data):
        calls.append(len(data))
        return os.write(fd, data[: len(data) // 2] if len(calls) in (2, 3, 4, 5) else data)

    with JournalWriter.open(
        path, on_synced=lambda: None, write=short, sleep=pauses.append
    ) as writer:
        for record in records():
            writer.append([record])

    assert pauses == [0.05, 0.1]
    assert read(path)[0] == records()
    assert read(path)[1].damage == []


@pytest.mark.survives("F39")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_waited_for_and_then_fails_closed(tmp_path, number):
    path, pauses, full = tmp_path / "j", [], []

    def write_until_full(fd, data):
        if full:
            os.write(fd, data[:7])
            raise OSError(number, os.strerror(number))
        return os.write(fd, data)

    writer = JournalWriter.open(
        path, on_synced=lambda: None, write=write_until_full, sleep=pauses.append
    )
    writer.append(records())
    full.append(True)
    with pytest.raises(RecordError, match="cannot be written"):
        writer.append([begin("r2", 2)])
    assert 2.0 < sum(pauses) < 5.0
    full.clear()
    with pytest.raises(RecordError, match="cannot be written"):
        writer.append([begin("r2", 2)])
    writer.close()

    found, journal = read(path)
    assert found == records()
    assert (journal.torn, journal.damage) == (0, [])


def test_a_disk_that_takes_only_a_part_is_asked_for_the_reason(tmp_path):
    room, pauses = [], []

    def write_what_fits(fd, data):
        free = 20 - os.fstat(fd).st_size
        if free <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room.append(free)
        return os.write(fd, data[:free])

    writer = JournalWriter.open(
        tmp_path / "j", on_synced=lambda: None, write=write_what_fits, sleep=pauses.append
    )
    with pytest.raises(RecordError, match=os.strerror(errno.ENOSPC)):
        writer.append([begin()])
    writer.close()

    assert set(room) == {20}
    assert (tmp_path / "j").read_bytes() == b""


def test_a_write_that_was_short_goes_on_without_a_pause_where_it_can(tmp_path):
    calls, pauses = [], []

    def short_once(fd, data):
        calls.append(data)
        return os.write(fd, data[:5] if len(calls) == 1 else data)

    with JournalWriter.open(
        tmp_path / "j", on_synced=lambda: None, write=short_once, sleep=pauses.append
    ) as writer:
        writer.append([begin()])

    assert pauses == []
    assert read(tmp_path / "j")[0] == [begin()]


def test_another_error_is_not_waited_for(tmp_path):
    pauses = []

    def broken(fd, data):
        raise OSError(errno.EIO, "Input/output error")

    writer = JournalWriter.open(
        tmp_path / "j", on_synced=lambda: None, write=broken, sleep=pauses.append
    )
    with pytest.raises(RecordError, match="cannot be written: Input/output error"):
        writer.append([begin()])
    writer.close()

    assert pauses == []


@pytest.mark.survives("F44", "F45")
@posix
@pytest.mark.parametrize("deed", ["removed", "replaced", "moved away with its folder"])
def test_a_journal_that_others_no_longer_find_is_noticed(tmp_path, deed):
    (tmp_path / "demo").mkdir()
    path = tmp_path / "demo" / "journal.jsonl"
    writer = JournalWriter.open(path, on_synced=lambda: None)
    writer.append([begin()])
    writer.sync()
    if deed == "moved away with its folder":
        (tmp_path / "demo").rename(tmp_path / "other")
    else:
        path.unlink()
    if deed == "replaced":
        path.write_bytes(b"")

    writer.append([end("s/1")])
    with pytest.raises(RecordError, match="removed, moved or replaced"):
        writer.sync()
    with pytest.raises(RecordError, match="removed, moved or replaced"):
        writer.drain()
    writer.close()


@pytest.mark.parametrize("left", [0, 5])
def test_a_journal_that_was_cut_is_noticed(tmp_path, left):
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter.open(path, on_synced=lambda: None)
    writer.append([begin()])
    writer.sync()
    os.truncate(path, left)

    writer.append([end("s/1")])
    with pytest.raises(RecordError, match="was cut during the run"):
        writer.sync()
    with pytest.raises(RecordError, match="was cut during the run"):
        writer.drain()
    writer.close()


def test_what_else_is_wrong_with_the_directory_is_noticed_at_a_sync(tmp_path):
    problems = []

    def check():
        if problems:
            raise RecordError(problems[0])

    writer = JournalWriter.open(tmp_path / "j", on_synced=lambda: None, check=check)
    writer.append([begin()])
    writer.sync()
    problems.append("the lock was replaced")
    writer.append([end("s/1")])
    with pytest.raises(RecordError, match="the lock was replaced"):
        writer.sync()
    writer.close()


def test_a_journal_that_grows_without_end_is_read_to_the_end_that_it_had(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, every_record())
    reading = iter(read_journal(path))
    next(reading)
    os.truncate(path, 1 << 40)

    assert len(list(reading)) == len(every_record()) - 1


@root_only
def test_a_journal_that_is_another_user_s_by_now_is_not_written_to(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, every_record())
    journal = read_journal(path).read()
    os.chown(path, EVE, EVE)

    with pytest.raises(RecordError, match=f"it belongs to uid {EVE}"):
        JournalWriter.open(path, journal, on_synced=lambda: None)


@posix
def test_planted_links_are_refused(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "j").symlink_to(tmp_path / "victim")

    with pytest.raises(RecordError, match="refused"):
        JournalWriter.open(tmp_path / "j", on_synced=lambda: None)

    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_journal_of_a_newer_version_is_read_but_not_touched(tmp_path):
    path = tmp_path / "j"
    newer = encode_line(1, begin(version=JOURNAL_VERSION + 1)) + encode_line(2, end("s/1"))
    path.write_bytes(newer + b"torn")

    found, journal = read(path)

    assert len(found) == 2
    assert journal.newer_version == JOURNAL_VERSION + 1
    with pytest.raises(RecordError, match=r"version 3.*use the newer procsup"):
        JournalWriter.open(path, journal, on_synced=lambda: None)
    assert path.read_bytes() == newer + b"torn"


def line(seq, text):
    import zlib

    body = b"%d %s" % (seq, text)
    return b"%08x %s\n" % (zlib.crc32(body), body)


@pytest.mark.survives("F67")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"t":"paused","unit":"s/1"}', "'paused'"),
        (b'{"t":"start","unit":"s/1","attempt":"one","at":1,"fingerprint":"f"}', "'start'"),
        (b'{"t":"begin","version":9}', "version 9"),
    ],
)
def test_records_that_are_not_known_here_are_passed_over_and_forbid_writing(
    tmp_path, text, expected
):
    path = tmp_path / "j"
    content = encode_line(1, begin()) + line(2, text) + encode_line(3, end("s/1"))
    path.write_bytes(content)

    found, journal = read(path)

    assert found == [begin(), end("s/1")]
    assert journal.damage == []
    with pytest.raises(RecordError, match=expected):
        JournalWriter.open(path, on_synced=lambda: None)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_follower_sees_whole_records_only_and_each_once(tmp_path):
    path = tmp_path / "j"
    lines = [encode_line(seq, record) for seq, record in enumerate(records(), 1)]
    follower, seen = follow(path), []
    with open(path, "ab", buffering=0) as file:
        for part in lines:
            for piece in (part[:9], part[9:]):
                file.write(piece)
                seen += [entry.record for entry in follower.read()]
                assert len(seen) == sum(1 for one in read_journal(path))

    assert seen == records()
    assert follow(path, follower.offset).read() == []


def test_a_follower_starts_anew_where_the_journal_was_cut(tmp_path):
    path = tmp_path / "j"
    write(path, records())
    follower = follow(path)
    follower.read()
    path.write_bytes(encode_line(1, begin("r9")))

    assert [entry.record for entry in follower.read()] == [begin("r9")]


def test_the_beginnings_are_found_without_reading_the_rest(tmp_path):
    path = tmp_path / "j"
    write(path, [begin("r1", 1), *records(), begin("r2", 2), ControlReply("1", "drain", True)])

    assert [one.run_id for one in read_begins(path)] == ["r1", "r1", "r2"]
    assert read_last_begin(path) == begin("r2", 2)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_what_a_killed_writer_had_acknowledged_is_there(tmp_path):
    path = tmp_path / "j"
    command = [sys.executable, str(PROGRAMS / "write_journal.py"), str(path)]
    for _ in range(3):
        before = read_journal(path).read().last_seq
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as writer:
            acknowledged = [int(writer.stdout.readline()) for _ in range(5)]
            writer.send_signal(signal.SIGKILL)
            acknowledged += [int(number) for number in writer.stdout.read().split()]
        journal = read_journal(path).read()

        assert journal.damage == []
        assert acknowledged == sorted(set(acknowledged))
        assert before < acknowledged[0]
        assert acknowledged[-1] <= journal.last_seq


def test_a_journal_that_gets_no_thread_is_refused_and_leaves_nothing_open(tmp_path, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    with pytest.raises(RecordError, match=r"journal\.jsonl cannot be synced: can't start"):
        JournalWriter.open(tmp_path / "journal.jsonl", on_synced=lambda: None)


def test_every_error_of_a_sync_is_reported(tmp_path):
    told = threading.Event()

    def explode(_fd):
        raise MemoryError("no memory")

    writer = JournalWriter.open(tmp_path / "journal.jsonl", on_synced=told.set, sync=explode)
    writer.append([end("s/1")])

    assert told.wait(LIMIT_S)
    with pytest.raises(RecordError, match="cannot be synced: MemoryError: no memory"):
        writer.drain()
    writer.close()
