"""The file of a queue: many writers, one reader, and what a killed writer leaves."""

import json
import multiprocessing
import os
import threading
from itertools import chain

import pytest

from procsup.errors import RecordError, UsageError
from procsup.store import queue_file
from procsup.store.queue_file import (
    QueueFeed,
    add_unit,
    close_queue,
    is_closed,
    is_queue,
    read_last_number,
)
from procsup.store.rundir import RunDir


@pytest.fixture
def rundir(tmp_path):
    made = RunDir(tmp_path / "run")
    made.create()
    return made


@pytest.fixture
def open_feed(rundir):
    feeds = []

    def open_one(run_id="r1", *, resumed=False):
        feeds.append(QueueFeed())
        with rundir.open() as run:
            feeds[-1].open(run, run_id, resumed=resumed)
        return feeds[-1]

    yield open_one
    for feed in feeds:
        feed.close()


def add(rundir, follows=()):
    return add_unit(rundir, lambda number: {"id": str(number), "argv": ["true"]}, follows)


def read_ids(feed):
    """Return what a closed queue has since its opening."""
    return [json.loads(line).get("id", "end") for line in feed.lines()]


def path_of(rundir):
    return rundir.path / "queue.jsonl"


def test_what_was_added_is_read_in_order_up_to_the_end(rundir, open_feed):
    feed = open_feed()

    assert [add(rundir), add(rundir, (1,)), close_queue(rundir)] == [1, 2, 2]

    assert read_ids(feed) == ["1", "2", "end"]
    assert is_queue(rundir)


def test_a_closed_queue_takes_nothing_more(rundir, open_feed):
    open_feed()
    close_queue(rundir)

    with pytest.raises(UsageError, match="is closed: use `procsup queue start`"):
        add(rundir)
    assert close_queue(rundir) is None


def test_opened_for_a_new_run_it_counts_on_and_has_only_what_came_since(rundir, open_feed):
    open_feed()
    add(rundir)
    close_queue(rundir)

    feed = open_feed("r2")

    assert add(rundir) == 2
    assert close_queue(rundir) == 1
    assert read_ids(feed) == ["2", "end"]


def test_opened_for_the_same_run_it_has_all_of_it(rundir, open_feed):
    open_feed()
    add(rundir)
    add(rundir)
    close_queue(rundir)

    assert read_ids(open_feed(resumed=True)) == ["1", "2", "end"]


def test_it_is_not_opened_while_a_retry_of_its_commands_is_not_finished(rundir, open_feed):
    open_feed()
    close_queue(rundir)

    with pytest.raises(UsageError, match="procsup retry"):
        open_feed("of the retry", resumed=True)


def test_a_command_cannot_follow_one_that_is_not_there(rundir, open_feed):
    open_feed()
    with pytest.raises(UsageError, match=r"no command 1 to start after: .* it got none;"):
        add(rundir, (1,))
    add(rundir)
    close_queue(rundir)
    open_feed("r2")
    add(rundir)

    with pytest.raises(UsageError, match=r"no command 1 to start after: .* it got 2 to 2"):
        add(rundir, (1,))
    assert read_last_number(rundir) == 2


@pytest.mark.parametrize("torn", [b'{"id":"2","argv":["tr', b"{", b'{"end":1'])
def test_a_line_that_a_killed_writer_left_is_replaced(rundir, open_feed, torn):
    feed = open_feed()
    add(rundir)
    with open(path_of(rundir), "ab") as file:
        file.write(torn)

    assert add(rundir) == 2
    close_queue(rundir)

    assert read_ids(feed) == ["1", "2", "end"]


def test_the_reader_waits_for_the_rest_of_a_line(rundir, open_feed):
    feed = open_feed()
    found, came = [], threading.Event()

    def read():
        for line in feed.lines():
            found.append(line)
            came.set()

    with open(path_of(rundir), "ab", buffering=0) as file:
        file.write(b'{"id":"1",')
        reader = threading.Thread(target=read)
        reader.start()
        assert not came.wait(0.25)
        file.write(b'"argv":["true"]}\n')
        assert came.wait(20)
    feed.close()
    reader.join(20)

    assert found == [b'{"id":"1","argv":["true"]}\n']
    assert not reader.is_alive()


def no_space(*_):
    raise OSError(28, "No space left on device")


def test_after_an_error_of_the_disk_nothing_was_added(rundir, open_feed, monkeypatch):
    feed = open_feed()
    add(rundir)

    def write_half(fd, lines):
        os.write(fd, lines[0][:9])
        no_space()

    with monkeypatch.context() as patch:
        patch.setattr(queue_file, "write_all", write_half)
        with pytest.raises(RecordError, match="No space left on device; nothing was added"):
            add(rundir)

    assert path_of(rundir).read_bytes().endswith(b'"argv":["true"]}\n')
    assert add(rundir) == 2
    close_queue(rundir)
    assert read_ids(feed) == ["1", "2", "end"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_whole_line_stays_since_it_may_have_been_read(rundir, open_feed, monkeypatch, error):
    feed = open_feed()

    def fail(_fd):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(queue_file, "sync_fd", fail)
        with pytest.raises((RecordError, KeyboardInterrupt)) as caught:
            add(rundir)

    assert "nothing was added" not in str(caught.value)
    assert add(rundir) == 2
    close_queue(rundir)
    assert read_ids(feed) == ["1", "2", "end"]


def test_a_line_is_on_the_disk_before_it_is_read(rundir, open_feed, monkeypatch):
    feed = open_feed()
    add(rundir)
    monkeypatch.setattr(queue_file, "sync_fd", no_space)

    with pytest.raises(RecordError, match="No space left on device"):
        next(feed.lines())


def test_a_torn_line_is_not_mixed_with_the_one_that_replaces_it(rundir, open_feed):
    feed = open_feed()
    size = path_of(rundir).stat().st_size
    torn = b'{"id":"1","argv":["rm'
    with open(path_of(rundir), "ab") as file:
        file.write(torn)
    assert feed._read_whole() == []
    os.truncate(path_of(rundir), size)

    add(rundir)
    close_queue(rundir)

    assert read_ids(feed) == ["1", "end"]


def test_a_line_that_changes_while_it_is_read_is_read_again(rundir, open_feed, monkeypatch):
    feed = open_feed()
    add(rundir)
    close_queue(rundir)
    whole = path_of(rundir).read_bytes()
    path_of(rundir).write_bytes(whole.replace(b"true", b"kill"))

    def replace(_fd):
        path_of(rundir).write_bytes(whole)

    monkeypatch.setattr(queue_file, "sync_fd", replace)

    assert b'"argv":["true"]' in next(feed.lines())


def test_nothing_is_added_before_the_opening_is_there(rundir, open_feed):
    path_of(rundir).touch(mode=0o600)

    with pytest.raises(UsageError, match="is not open yet"):
        add(rundir)
    with pytest.raises(UsageError, match="is not open yet"):
        close_queue(rundir)

    feed = open_feed()
    assert add(rundir) == 1
    close_queue(rundir)
    assert read_ids(feed) == ["1", "end"]


def test_whether_it_is_closed_is_known_without_its_lock(rundir, open_feed):
    assert not is_closed(rundir)
    open_feed()
    add(rundir)
    with open(path_of(rundir), "ab") as file:
        file.write(b'{"end":1')
    assert not is_closed(rundir)

    close_queue(rundir)

    assert is_closed(rundir)


def test_without_a_queue_nothing_is_made(rundir):
    with pytest.raises(UsageError, match="is no queue: make one"):
        add(rundir)
    assert not is_queue(rundir)


@pytest.mark.skipif(os.name != "posix", reason="Windows makes no such links without a privilege")
def test_a_link_in_its_place_is_refused(rundir, open_feed, tmp_path):
    target = tmp_path / "theirs"
    target.write_text("theirs\n")
    path_of(rundir).symlink_to(target)

    with pytest.raises(RecordError, match="symbolic link"):
        add(rundir)
    with pytest.raises(RecordError, match="symbolic link"):
        open_feed()

    assert target.read_text() == "theirs\n"


def test_a_line_that_is_damaged_is_named(rundir, open_feed):
    open_feed()
    with open(path_of(rundir), "ab") as file:
        file.write(b"nonsense\n")

    with pytest.raises(RecordError, match="is damaged"):
        add(rundir)


def test_the_last_number_is_found_behind_a_long_line(rundir, open_feed):
    open_feed()
    long = "x" * (3 * queue_file._TAIL_BYTES)
    add_unit(rundir, lambda number: {"argv": [long], "id": str(number)})

    assert add(rundir) == 2
    assert add_unit(rundir, lambda number: {"argv": [long], "id": str(number)}) == 3
    assert read_last_number(rundir) == 3


def _add_many(path, count, ids):
    ids.put([add(RunDir(path)) for _ in range(count)])


def test_many_writers_get_numbers_of_their_own(rundir, open_feed):
    feed = open_feed()
    context = multiprocessing.get_context("spawn")
    ids = context.Queue()
    writers = [context.Process(target=_add_many, args=(rundir.path, 25, ids)) for _ in range(4)]
    for one in writers:
        one.start()
    found = [ids.get(timeout=60) for _ in writers]
    for one in writers:
        one.join(60)

    assert all(some == sorted(some) for some in found)
    assert sorted(chain.from_iterable(found)) == list(range(1, 101))
    close_queue(rundir)
    assert read_ids(feed) == [*map(str, range(1, 101)), "end"]
