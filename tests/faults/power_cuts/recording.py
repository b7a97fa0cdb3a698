"""What procsup asks of the disk in a run of its own, call by call, and what it told meanwhile.

Nothing is synced for real while it is recorded. Paths are those of one folder; the logs of units
and the locks of sittings are left out: nobody is promised anything of them.
"""

import errno
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple
from unittest import mock

from procsup.store.journal import JournalWriter

FOLDER = 0  # the number of whatever is a folder
_LEFT_OUT = ("/logs/", "/locks/", "/units.lock")
_SLEEPLESS: Callable[[float], None] = lambda _s: None  # noqa: E731


class Op(NamedTuple):
    """One call, or (`event`) something that procsup did or told at that moment."""

    kind: str  # create mkdir write truncate sync sync-folder rename unlink event
    path: str = ""
    file: int = 0  # the number of a file, whatever its name
    offset: int = 0
    data: bytes = b""
    to: str = ""
    event: Tuple[Any, ...] = ()


class Recorder:
    """Writes down the calls below a folder, while it is entered; goes on from earlier `ops`.

    `spoil` may raise in the place of a write, or cut it short: it is given path and data, and
    returns how much is written.
    """

    def __init__(self, folder: Path, ops: List[Op], names: Dict[str, int]) -> None:
        self.folder = str(folder)
        self.ops = ops
        self.spoil: Optional[Callable[[str, bytes], int]] = None
        self._names = dict(names)
        self._next = max([op.file for op in ops], default=0) + 1
        self._open: Dict[int, Tuple[int, str, bool, int]] = {}  # fd: file, path, append, real inode
        self._made: Dict[int, bytes] = {}  # what units wrote, as it was noted last
        self._ours_alone: Set[int] = set()  # files that procsup writes to
        self._folders = {op.path for op in ops if op.kind == "mkdir"} | {self.folder}
        self._before = {str(path) for path in folder.glob("*.toml")}  # no call of ours makes them
        self._lock = threading.RLock()

    def event(self, *event: Any) -> None:
        """Note something that is not a call."""
        with self._lock:
            self.ops.append(Op("event", event=event))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Have all calls written down, and no sync done for real."""
        real = {name: getattr(os, name) for name in _CALLS}
        with mock.patch.multiple(os, **{name: _bound(self, name, real) for name in _CALLS}):
            defaults = JournalWriter.open.__func__.__kwdefaults__  # type: ignore[attr-defined]
            changed = {**defaults, "write": os.write, "sleep": _SLEEPLESS}
            with mock.patch.dict(defaults, changed):
                yield

    # --- the calls -----------------------------------------------------------------------

    def open(self, real: Any, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        """Note a new file, and whose descriptor it is."""
        name = self._ours(path, **more)
        if name is None:
            return int(real["open"](path, flags, mode, **more))
        with self._lock:
            changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not changes and name in self._before and name not in self._names:
                return int(real["open"](path, flags, mode, **more))  # on the disk for long
            is_new = not os.path.lexists(name)
            fd = int(real["open"](path, flags, mode, **more))
            if os.path.isdir(name):
                self._open[fd] = (FOLDER, name, False, os.fstat(fd).st_ino)
                return fd
            if is_new:
                self._names[name] = self._new_file()
                self.ops.append(Op("create", name, self._names[name]))
            file = self._file(name)
            if flags & os.O_TRUNC and not is_new:
                self.ops.append(Op("truncate", name, file))
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._ours_alone.add(file)
            self._open[fd] = (file, name, bool(flags & os.O_APPEND), os.fstat(fd).st_ino)
            return fd

    def close(self, real: Any, fd: int) -> None:
        """Forget a descriptor."""
        with self._lock:
            self._open.pop(fd, None)
            real["close"](fd)

    def write(self, real: Any, fd: int, data: Any) -> int:
        """Note what was written, as far as it was."""
        with self._lock:
            opened = self._of(fd)
            if opened is None:
                return int(real["write"](fd, data))
            file, name, appends, _ = opened
            text = bytes(data)
            if self.spoil is not None:
                text = text[: self.spoil(name, text)]
            at = os.fstat(fd).st_size if appends else os.lseek(fd, 0, os.SEEK_CUR)
            written = int(real["write"](fd, text))
            self.ops.append(Op("write", name, file, at, text[:written]))
            return written

    def ftruncate(self, real: Any, fd: int, length: int) -> None:
        """Note a cut."""
        with self._lock:
            real["ftruncate"](fd, length)
            opened = self._of(fd)
            if opened is not None:
                self.ops.append(Op("truncate", opened[1], opened[0], length))

    def fsync(self, _real: Any, fd: int) -> None:
        """Note a sync, of a file or of a folder; nothing is done."""
        with self._lock:
            opened = self._of(fd)
            if opened is None:
                return
            if opened[0] == FOLDER:
                self.ops.append(Op("sync-folder", opened[1]))
            else:
                self._note_what_was_made(opened[0], opened[1])
                self.ops.append(Op("sync", opened[1], opened[0]))

    def rename(self, real: Any, source: Any, target: Any, **more: Any) -> None:
        """Note a rename."""
        with self._lock:
            old = self._ours(source, more.get("src_dir_fd"))
            new = self._ours(target, more.get("dst_dir_fd"))
            if old is not None and new is not None:
                file = self._file(old)
                self._note_what_was_made(file, old)
                self.ops.append(Op("rename", old, file, to=new))
                self._names[new] = self._names.pop(old)
            real["replace"](source, target, **more)

    def unlink(self, real: Any, path: Any, **more: Any) -> None:
        """Note that a name went away."""
        with self._lock:
            real["unlink"](path, **more)
            name = self._ours(path, **more)
            if name is not None:
                self.ops.append(Op("unlink", name, self._names.pop(name, 0)))

    def mkdir(self, real: Any, path: Any, mode: int = 0o777, **more: Any) -> None:
        """Note a new folder."""
        with self._lock:
            real["mkdir"](path, mode, **more)
            name = self._ours(path, **more)
            if name is not None:
                self._note_folder(name)

    # --- names and numbers ---------------------------------------------------------------

    def _ours(self, path: Any, dir_fd: Optional[int] = None) -> Optional[str]:
        if isinstance(path, int):
            return None
        start = "" if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        name = os.path.abspath(os.path.join(start, os.fsdecode(path)))
        if name.startswith("/proc/self/fd/"):
            name = os.readlink(name)  # opened again, after a look
        if not name.startswith(self.folder) or any(part in name for part in _LEFT_OUT):
            return None
        return name

    def _of(self, fd: int) -> Optional[Tuple[int, str, bool, int]]:
        opened = self._open.get(fd)
        if opened is None or os.fstat(fd).st_ino != opened[3]:
            return None  # closed by other ways, and its number belongs to something else
        return opened

    def _file(self, name: str) -> int:
        """Return a file's number, a new one for what a unit has made."""
        if name not in self._names:
            self._note_folder(os.path.dirname(name))
            self._names[name] = self._new_file()
            self.ops.append(Op("create", name, self._names[name]))
        return self._names[name]

    def _note_folder(self, name: str) -> None:
        """Note a folder that is new, whoever made it."""
        if name not in self._folders:
            self._note_folder(os.path.dirname(name))
            self._folders.add(name)
            self.ops.append(Op("mkdir", name))

    def _note_what_was_made(self, file: int, name: str) -> None:
        """Note the content of a file that a unit wrote, if that is news."""
        if file in self._ours_alone:
            return
        with open(name, "rb") as stream:
            data = stream.read()
        if self._made.get(file) != data:
            self._made[file] = data
            self.ops.append(Op("truncate", name, file))
            self.ops.append(Op("write", name, file, 0, data))
            self.event("made", name, data, os.stat(name).st_mtime_ns)

    def _new_file(self) -> int:
        self._next += 1
        return self._next


_CALLS = {
    "open": Recorder.open,
    "close": Recorder.close,
    "write": Recorder.write,
    "ftruncate": Recorder.ftruncate,
    "fsync": Recorder.fsync,
    "fdatasync": Recorder.fsync,
    "rename": Recorder.rename,
    "replace": Recorder.rename,
    "unlink": Recorder.unlink,
    "remove": Recorder.unlink,
    "mkdir": Recorder.mkdir,
}


def _bound(recorder: Recorder, name: str, real: Dict[str, Any]) -> Callable[..., Any]:
    method = _CALLS[name]
    return lambda *args, **more: method(recorder, real, *args, **more)


def full_disk(at: int, passing: bool) -> Callable[[str, bytes], int]:
    """Return a `spoil`: the journal's write number `at` is cut short, the next is refused.

    `passing`: then there is room again; else never.
    """
    seen = [0]

    def spoil(path: str, data: bytes) -> int:
        if not path.endswith("journal.jsonl"):
            return len(data)
        seen[0] += 1
        if seen[0] == at:
            return len(data) // 2
        if seen[0] > at and (not passing or seen[0] == at + 1):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)

    return spoil
