"""The commands of a queue: ``queue.jsonl`` in its run directory, which grows while it is open.

It has a line ``{"opened": RUN_ID}`` where a run began, then one for each command, as in a plan, and
``{"end": COUNT}`` where the queue was closed. Those who add append under a lock of this file, and
have their line on the disk on return; the supervisor reads it. A line without its end was never
acknowledged: the next one replaces it.
"""

import errno
import json
import os
import threading
import time
from contextlib import contextmanager
from io import FileIO
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from procsup.errors import RecordError, UsageError
from procsup.host.files import describe_error, open_private, sync_fd, sync_folder, write_all
from procsup.host.locks import FileLock
from procsup.host.opened import Folder
from procsup.store.rundir import QUEUE_FILE, RunDir

STAGE = "queue"
_OPENED, _END = b'{"opened":', b'{"end":'
_TAIL_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20
_LOOK_S = 0.1
_LOCK_LIMIT_S = 30.0
_LOCK_LOOK_S = 0.005

MakeUnit = Callable[[int], Dict[str, Any]]


def is_queue(rundir: RunDir) -> bool:
    """Whether a run directory is one of a queue."""
    return os.path.lexists(rundir.path / QUEUE_FILE)


def add_unit(rundir: RunDir, make_unit: MakeUnit, follows: Sequence[int] = ()) -> int:
    """Append a command, made with its number; return the number, from 1 on.

    It is on the disk on return. UsageError if the queue is closed, or one of the numbers it
    `follows` is not of it; RecordError if the file cannot be locked or written.
    """
    with _lock(rundir) as file:
        if file.is_closed:
            raise UsageError(f"{rundir.path} is closed: use `procsup queue start` to open it again")
        number = file.find_last_number() + 1
        if follows:
            _check_followed(rundir, follows, file.read_numbers())
        file.append(make_unit(number))
    return number


def close_queue(rundir: RunDir) -> Optional[int]:
    """Append the end; return the number of commands since the opening, None if it was closed.

    RecordError if the file cannot be locked or written.
    """
    with _lock(rundir) as file:
        if file.is_closed:
            return None
        count = len(file.read_numbers())
        file.append({"end": count})
        return count


def read_last_number(rundir: RunDir) -> int:
    """Return the number of the last command, 0 if there is none; RecordError if unreadable."""
    with _read(rundir) as file:
        return file.find_last_number()


def is_closed(rundir: RunDir) -> bool:
    """Whether a queue takes nothing more; false if it is not there, RecordError if unreadable."""
    if not is_queue(rundir):
        return False
    with _read(rundir) as file:
        return file.is_closed


@contextmanager
def _read(rundir: RunDir) -> Iterator["_Lines"]:
    path = str(rundir.path / QUEUE_FILE)
    try:
        with rundir.open() as run:
            fd = open_private(path, os.O_RDONLY, dir_fd=run.fd)
        with os.fdopen(fd, "rb", buffering=0) as file:
            yield _Lines(file, path)
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {describe_error(error)}") from error


def _check_followed(rundir: RunDir, follows: Sequence[int], numbers: Sequence[int]) -> None:
    known = frozenset(numbers)
    for one in follows:
        if one not in known:
            of_it = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
            raise UsageError(
                f"{rundir.path} has no command {one} to start after: since it was opened it got"
                f" {of_it}; give one of these, nothing was added"
            )


@contextmanager
def _lock(rundir: RunDir) -> Iterator["_Lines"]:
    path = str(rundir.path / QUEUE_FILE)
    lock = FileLock(path)
    try:
        with rundir.open() as run:
            if not run.has(QUEUE_FILE):
                raise UsageError(f"{rundir.path} is no queue: make one (procsup queue start)")
            _take(lock, run)
        lines = _Lines(os.fdopen(lock.fd, "r+b", buffering=0, closefd=False), path)
        if not lines.is_opened:
            raise UsageError(f"{rundir.path} is not open yet: use `procsup queue start` first")
        lines.cut_torn()
        yield lines
    except OSError as error:
        raise _make_error(rundir, error) from error
    finally:
        lock.close()


def _take(lock: FileLock, run: Folder) -> None:
    deadline = time.monotonic() + _LOCK_LIMIT_S
    while not lock.try_exclusive(dir_fd=run.fd):
        if time.monotonic() >= deadline:
            raise OSError(errno.EAGAIN, "another process holds its lock", lock.path)
        time.sleep(_LOCK_LOOK_S)


def _make_error(rundir: RunDir, error: OSError) -> RecordError:
    return RecordError(f"{rundir.path / QUEUE_FILE}: {describe_error(error)}; nothing was added")


class _Lines:
    """The lines of an open queue file."""

    def __init__(self, file: FileIO, path: str) -> None:
        self._file = file
        self._path = path

    @property
    def is_closed(self) -> bool:
        """Whether its last line is an end."""
        lines = self._read_tail(_TAIL_BYTES).rsplit(
            b"\n", 2
        )  # what is behind the last is not whole
        return len(lines) == 3 and lines[1].startswith(_END)

    @property
    def is_opened(self) -> bool:
        """Whether it has a first line: `queue start` makes the file before."""
        self._file.seek(0)
        return self._file.read(len(_OPENED)) == _OPENED

    def cut_torn(self) -> None:
        """Remove a last line that is not whole: its writer was killed, or its disk was full."""
        size = self._file.seek(0, os.SEEK_END)
        tail_bytes = _TAIL_BYTES
        tail = self._read_tail(tail_bytes)
        while b"\n" not in tail and len(tail) < size:
            tail_bytes *= 4
            tail = self._read_tail(tail_bytes)
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn:
            self._file.truncate(size - torn)

    def append(self, table: Dict[str, Any]) -> None:
        """Append a line and sync it; OSError, and nothing is appended, if it cannot be written.

        A whole line stays, whatever happens then: the supervisor may have read it. RecordError if
        it cannot be synced.
        """
        size = self._file.seek(0, os.SEEK_END)
        line = json.dumps(table, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            write_all(self._file.fileno(), [line])
        except BaseException:
            if self._file.seek(0, os.SEEK_END) < size + len(line):
                self._file.truncate(size)
            raise
        try:
            sync_fd(self._file.fileno())
        except OSError as error:
            raise RecordError(
                f"{self._path}: {describe_error(error)}; the line was written, and may be lost if"
                " the machine dies"
            ) from error

    def find_last_number(self) -> int:
        """Return the number of the last command, 0 if there is none."""
        size, tail_bytes = self._file.seek(0, os.SEEK_END), _TAIL_BYTES
        while True:
            tail = self._read_tail(tail_bytes)
            whole = tail.split(b"\n")[0 if len(tail) == size else 1 : -1]
            for line in reversed(whole):
                if not line.startswith((_OPENED, _END)):
                    return self._read_number(line)
            if len(tail) == size:
                return 0
            tail_bytes *= 4

    def read_numbers(self) -> List[int]:
        """Return the numbers of the commands since the last opening."""
        self._file.seek(0)
        found: List[int] = []
        for line in self._file.read().split(b"\n"):
            if line.startswith(_OPENED):
                found = []
            elif line and not line.startswith(_END):
                found.append(self._read_number(line))
        return found

    def find_opening(self) -> Tuple[Optional[str], int]:
        """Return the id of the run that was opened last, and where its first line starts."""
        self._file.seek(0)
        data = self._file.read()
        at = data.rfind(b"\n" + _OPENED) + 1
        line, separator, _ = data[at:].partition(b"\n")
        if not separator or not line.startswith(_OPENED):
            return None, 0
        return str(self._decode(line).get("opened")), at + len(line) + 1

    def _read_number(self, line: bytes) -> int:
        try:
            return int(self._decode(line)["id"])
        except (KeyError, TypeError, ValueError):
            raise RecordError(f"{self._path} is damaged: it has a line without a number") from None

    def _decode(self, line: bytes) -> Dict[str, Any]:
        try:
            table = json.loads(line)
        except ValueError:
            table = None
        if not isinstance(table, dict):
            raise RecordError(f"{self._path} is damaged: it has a line that is no JSON object")
        return table

    def _read_tail(self, most: int) -> bytes:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(size - most, 0))
        return self._file.read(most)


class QueueFeed:
    """The supervisor's side: the lines of the commands, as they are added.

    `open` is called when the run has begun, `lines` on a side thread, which waits for that.
    """

    def __init__(self) -> None:
        self._opened, self._left = threading.Event(), threading.Event()
        self._reading = threading.Lock()
        self._file: Optional[FileIO] = None
        self._offset = 0
        self._path = QUEUE_FILE

    def open(self, run: Folder, run_id: str, *, resumed: bool) -> None:
        """Open the queue of a run that has begun; `resumed`: it had planned units before.

        RecordError if its file cannot be read or written; UsageError if the run is not the one
        that the queue was opened for.
        """
        path = self._path = os.path.join(run.path, QUEUE_FILE)
        try:
            fd = open_private(path, os.O_RDWR | os.O_CREAT, dir_fd=run.fd)
            self._file = os.fdopen(fd, "r+b", buffering=0)
            lines = _Lines(self._file, path)
            last, self._offset = lines.find_opening()
            if last != run_id:
                if last is not None and resumed:
                    raise UsageError(
                        f"{run.path}: a retry of its commands is not finished:"
                        " use `procsup retry` to go on with it, then start the queue"
                    )
                lock = FileLock(path)
                try:
                    _take(lock, run)
                    lines.cut_torn()
                    lines.append({"opened": run_id})
                finally:
                    lock.close()
                sync_folder(run.path, dir_fd=run.fd)
                _, self._offset = lines.find_opening()
        except OSError as error:
            raise RecordError(f"{path} cannot be written: {describe_error(error)}") from error
        self._opened.set()

    def lines(self) -> Iterator[bytes]:
        """Yield the lines up to the end, or until `close`."""
        self._opened.wait()
        while not self._left.is_set():
            whole = self._read_whole()
            if not whole:
                self._left.wait(_LOOK_S)
            for line in whole:
                self._offset += len(line) + 1
                yield line + b"\n"
                if line.startswith(_END):
                    return

    def close(self) -> None:
        """Let `lines` return, and close the file."""
        with self._reading:
            self._left.set()
            self._opened.set()
            if self._file is not None:
                self._file.close()

    def _read_whole(self) -> List[bytes]:
        """Return the next lines, as they are on the disk; none if there are none yet.

        A command that ran although its line was lost would leave its verdict to another one, which
        gets its number. A line that is not whole is read again from its start: it may be replaced.
        """
        with self._reading:
            if self._file is None or self._left.is_set():
                return []
            try:
                lines = self._read_rest()
                if not lines:
                    return []
                sync_fd(self._file.fileno())
                if self._read_rest()[: len(lines)] != lines:
                    return []  # a writer was killed between two reads: part of it was another line
                return lines.split(b"\n")[:-1]
            except OSError as error:
                raise RecordError(f"{self._path}: {describe_error(error)}") from error

    def _read_rest(self) -> bytes:
        """Return the whole lines that were not read yet, up to a size, but at least one."""
        if self._file is None:
            return b""
        self._file.seek(self._offset)
        data, more = b"", self._file.read(_CHUNK_BYTES)
        while more:
            data += more
            more = b"" if b"\n" in more else self._file.read(_CHUNK_BYTES)
        return data[: data.rfind(b"\n") + 1]
