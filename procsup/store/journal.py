"""Writes the journal: one `write` per append, a thread that syncs, failures that are final.

The loop never waits for a disk: it appends, and `Synced` facts tell it which records are durable.
A partly written line is cut off again. A failed sync is never repeated, since the system may have
dropped the data and could report success the next time.
"""

import errno
import os
import threading
import time
from contextlib import ExitStack
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

from procsup.core.events import Fact, Synced
from procsup.core.manifest import JournalMark
from procsup.core.records import Kept, Launch, Missing, Record, Seen, Spawned, encode_line
from procsup.core.relocation import Root
from procsup.core.text import count_noun
from procsup.errors import RecordError
from procsup.host.files import (
    AnyPath,
    describe_error,
    open_private,
    sync_fd,
    sync_folder,
    write_atomically,
)
from procsup.host.opened import Folder, refuse_replaced
from procsup.host.owners import refuse_foreign
from procsup.host.shortages import PAUSES_S
from procsup.seams import seam
from procsup.store.reader import Entry, ReadJournal, follow, read_journal

__all__ = ["Entry", "JournalWriter", "ReadJournal", "follow", "read_journal"]

SYNC_EVERY_S = 0.010  # on average: after a pause some syncs need not wait so long
_SYNCS_SAVED = 5
# Nothing waits for these records, so the next sync that is due anyway includes them.
_NOT_SYNCED_AT_ONCE = (Launch, Spawned, Kept, Seen)
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR)


class JournalWriter:
    """The open journal of one sitting. `append` is for one thread; RecordError is final.

    `sync` and `mark` are for any thread.

    `on_synced` is called on the syncing thread, after each sync and when one failed; `drain`
    then returns the result. `check` is called before a sync is reported, and raises RecordError
    if the run directory is no longer ours; paths below `root` are written relative to it. The
    other keywords are for tests and benchmarks: with `durable` false only the syncs are left out.
    """

    def __init__(
        self,
        fd: int,
        path: AnyPath,
        read: ReadJournal,
        *,
        on_synced: Callable[[], None],
        check: Optional[Callable[[], None]] = None,
        durable: bool = True,
        root: Optional[Root] = None,
        write: Callable[[int, bytes], int] = os.write,
        sync: Callable[[int], None] = sync_fd,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = os.fspath(path)
        self.length = read.good_length
        self._fd = fd
        status = os.fstat(fd)
        self._identity = (status.st_dev, status.st_ino)  # unique while this file is open
        self._seq = self._synced = self._told = read.last_seq
        self._digest = read.digest.copy()
        self._on_synced, self._check, self._durable = on_synced, check, durable
        self._write, self._sync_fd, self._sleep = write, sync, sleep
        self._root = root
        self._failure: Optional[RecordError] = None
        self._syncing = threading.Lock()
        self._writing = threading.Lock()  # `length` and the digest go together
        self._due = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_syncing, name="procsup-journal")
        self._thread.daemon = True  # an exception elsewhere must not hang the exit

    @classmethod
    def open(
        cls,
        path: AnyPath,
        read: Optional[ReadJournal] = None,
        *,
        on_synced: Callable[[], None],
        check: Optional[Callable[[], None]] = None,
        durable: bool = True,
        root: Optional[Root] = None,
        write: Callable[[int, bytes], int] = os.write,
        sync: Callable[[int], None] = sync_fd,
        sleep: Callable[[float], None] = time.sleep,
        folder: Optional[Folder] = None,
    ) -> "JournalWriter":
        """Open the journal for writing, after `read` was iterated (None: it is read here).

        A torn tail is cut off. A damaged journal is copied to a file beside it and replaced by its
        undamaged lines, with their numbers. A journal of a newer procsup is refused with
        RecordError. `folder` is its open folder: a file that has its path later is not touched.
        """
        fd, read = _open_whole(os.path.abspath(os.fspath(path)), read, folder)
        writer = cls(
            fd,
            path,
            read,
            on_synced=on_synced,
            check=check,
            durable=durable,
            root=root,
            write=write,
            sync=sync,
            sleep=sleep,
        )
        try:
            writer._thread.start()
        except RuntimeError as error:  # the system allows no more threads
            os.close(fd)
            raise RecordError(f"journal {writer.path} cannot be synced: {error}") from error
        return writer

    @property
    def sha256(self) -> str:
        """The digest of the first `length` bytes, in hexadecimal digits."""
        return str(self._digest.hexdigest())

    def mark(self) -> JournalMark:
        """Sync, and return the mark by which a manifest identifies its journal.

        May be called on any thread: an append on another thread is in the mark as a whole, or not.
        """
        with self._writing:
            length, digest = self.length, self._digest.copy()
        self.sync()
        return JournalMark(length, digest.hexdigest())

    def append(self, records: Sequence[Record]) -> int:
        """Write the records, all or none; return the number of the last one of the journal.

        On a full disk it tries again, for three seconds.
        """
        if self._failure is not None:
            raise self._failure
        if not records:
            return self._seq
        seq, lines, is_urgent = self._seq, [], False
        for record in records:
            seq += 1
            recorded = record if self._root is None else self._root.map_record(record)
            lines.append(encode_line(seq, recorded))
            is_urgent = is_urgent or not isinstance(record, _NOT_SYNCED_AT_ONCE)
        data = b"".join(lines)
        with self._writing:
            self._write_whole(data)
            self._digest.update(data)
            self.length += len(data)
            self._seq = seq
        if is_urgent:
            self._due.set()
        return seq

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        self._sync_once()
        if self._failure is not None:
            raise self._failure

    def drain(self) -> List[Fact]:
        """Return the facts of syncs since the last call; RecordError if a sync failed."""
        if self._failure is not None:
            raise self._failure
        synced = self._synced
        if synced == self._told:
            return []
        self._told = synced
        return [Synced(synced)]

    def close(self) -> None:
        """Sync the rest, end the thread and close the file; may be called again."""
        if self._fd < 0:
            return
        self._closing.set()
        self._due.set()
        self._thread.join()
        try:
            if self._failure is None:
                self.sync()
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- writing -----------------------------------------------------------------------------

    def _write_whole(self, data: bytes) -> None:
        problem = "only a part of it was written"
        for pause_s in (*PAUSES_S, None):
            try:
                written = self._write(self._fd, data)
                if written < len(data):  # a second call reports the error
                    written += self._write(self._fd, data[written:])
                if written == len(data):
                    return
            except OSError as error:
                problem = describe_error(error)
                if error.errno not in _PASSING:
                    pause_s = None
            self._take_back(problem)
            if pause_s is None:
                break
            self._sleep(pause_s)
        self._fail(f"cannot be written: {problem}")

    def _take_back(self, problem: str) -> None:
        try:
            os.ftruncate(self._fd, self.length)
        except OSError as error:
            self._fail(f"cannot be written: {problem}; nor cut back: {describe_error(error)}")

    def _fail(self, problem: str) -> None:
        self._failure = self._failure or RecordError(f"journal {self.path}: {problem}")
        raise self._failure

    # --- syncing -----------------------------------------------------------------------------

    @seam("sync beside the loop")
    def _keep_syncing(self) -> None:
        saved, since = float(_SYNCS_SAVED), time.monotonic()
        while self._due.wait() and not self._closing.is_set():
            self._due.clear()
            began = time.monotonic()
            saved = min(_SYNCS_SAVED, saved + (began - since) / SYNC_EVERY_S) - 1.0
            since = began
            self._sync_once()
            self._on_synced()
            if self._failure is not None:
                return
            if saved < 1.0:
                again = since + (1.0 - saved) * SYNC_EVERY_S
                self._closing.wait(max(0.0, again - time.monotonic()))

    def _sync_once(self) -> None:
        with self._syncing:
            if self._failure is not None:
                return
            seq = self._seq  # written before now, so that the sync covers it
            if seq == self._synced:
                return
            try:
                if self._durable:
                    self._sync_fd(self._fd)
                self._check_place()
            except RecordError as error:
                self._failure = error
            except OSError as error:
                problem = f"journal {self.path}: cannot be synced: {describe_error(error)}"
                self._failure = RecordError(problem)
            except Exception as error:  # noqa: BLE001  the thread would end without an error
                problem = f"journal {self.path}: cannot be synced: {type(error).__name__}: {error}"
                self._failure = RecordError(problem)
            else:
                self._synced = seq

    def _check_place(self) -> None:
        """Raise RecordError if the journal at its path is no longer the file that we write."""
        length = self.length  # another thread may be appending: the file is never shorter
        try:
            found: Optional[os.stat_result] = os.stat(self.path)
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise RecordError(f"journal {self.path} was removed, moved or replaced during the run")
        if found.st_size < length:
            raise RecordError(
                f"journal {self.path} was cut during the run: it has {found.st_size} of"
                f" {count_noun(length, 'byte')}"
            )
        if self._check is not None:
            self._check()


def _open_whole(
    path: str, read: Optional[ReadJournal], folder: Optional[Folder]
) -> Tuple[int, ReadJournal]:
    with ExitStack() as stack:
        try:
            if folder is None:
                folder = stack.enter_context(Folder.open(os.path.dirname(path)))
            read = (read or read_journal(path, folder=folder)).read()
            read.check_writable()
            if read.damage:
                read = _repair(path, read, folder)
            return _open_for_append(path, read, folder), read
        except OSError as error:
            raise RecordError(f"journal {path}: {describe_error(error)}") from error


def _open_for_append(path: str, read: ReadJournal, folder: Folder) -> int:
    fd = open_private(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, dir_fd=folder.fd)
    try:
        refuse_replaced(path, fd)
        refuse_foreign(fd, path, folder.status.st_uid)
        size = os.fstat(fd).st_size
        if size < read.good_length:
            raise RecordError(f"journal {path} was changed while it was read")
        if size > read.good_length:
            os.ftruncate(fd, read.good_length)
        sync_fd(fd)  # the last records of an earlier sitting may not be durable yet
        # Nor may its name, if that sitting was killed after it made the file.
        sync_folder(os.path.dirname(path), dir_fd=folder.fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _repair(path: str, read: ReadJournal, folder: Folder) -> ReadJournal:
    """Copy the damaged journal to a file beside it and replace it by its undamaged records."""
    name = os.path.basename(path)
    aside = os.path.join(os.path.dirname(path), _free_name(folder, f"{name}.damaged-"))
    with folder.read(name) as file:
        write_atomically(aside, iter(lambda: file.read(1 << 20), b""), dir_fd=folder.fd)
    lines = _list_believed_lines(read_journal(path, folder=folder))
    write_atomically(path, lines, dir_fd=folder.fd)
    repaired = read_journal(path, folder=folder).read()
    read.damage.append(f"the damaged journal is kept as {aside}")
    return repaired


def _list_believed_lines(read: ReadJournal) -> Iterator[bytes]:
    """Yield the undamaged lines with their numbers, and one `Missing` for each gap in these."""
    expected = 1
    for entry in read:
        if entry.seq > expected:
            yield encode_line(expected, Missing(entry.seq - 1))
        yield encode_line(entry.seq, entry.record)
        expected = entry.seq + 1
    if read.last_seq >= expected:
        yield encode_line(expected, Missing(read.last_seq))


def _free_name(folder: Folder, start: str) -> str:
    number = 1
    while folder.has(f"{start}{number}"):
        number += 1
    return f"{start}{number}"
