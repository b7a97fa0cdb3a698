"""What a disk may hold after a power cut: content and names, each with its own durability.

Promised is only what POSIX promises: content by the file's own sync, a name (made, moved or taken
away) by the sync of its folder. All else may be there or not, in any order, torn or as zeros.
"""

import os
import random
from typing import Callable, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from tests.faults.power_cuts.recording import FOLDER, Op

Content = Callable[["File"], bytes]


class State(NamedTuple):
    """What the disk holds: `files` by path, with the number of each; `how` it came to that.

    `plain` if nothing but a tail of what was written can be missing of any file.
    """

    files: Dict[str, Tuple[int, bytes]]
    folders: FrozenSet[str]
    how: str
    plain: bool = True


class File:
    """One file: what is on the disk for sure, and what was done to it since."""

    def __init__(self) -> None:
        self.durable = b""
        self.pending: List[Op] = []

    def now(self) -> bytes:
        """Its content if everything arrived."""
        return _applied(self.durable, self.pending)

    def sync(self) -> None:
        """Everything has arrived."""
        self.durable, self.pending = self.now(), []


class Disk:
    """Takes calls one by one; at any time it tells what a power cut may leave."""

    def __init__(self, folder: str) -> None:
        self._top = folder
        self.files: Dict[int, File] = {}
        self._durable: Dict[str, int] = {}
        self._pending: List[Op] = []

    def take(self, op: Op) -> None:
        """Do one call."""
        if op.kind == "create":
            self.files[op.file] = File()
        if op.kind in ("create", "mkdir", "rename", "unlink"):
            self._pending.append(op)
        elif op.kind in ("write", "truncate"):
            self.files[op.file].pending.append(op)
        elif op.kind == "sync":
            self.files[op.file].sync()
        elif op.kind == "sync-folder":
            due = [one for one in self._pending if os.path.dirname(one.path) == op.path]
            self._durable = _named(self._durable, due)
            self._pending = [one for one in self._pending if one not in due]

    def whole(self) -> State:
        """What is there if everything arrived: what a killed process leaves."""
        return self._state(self._pending, File.now, "all")

    def states(self, dice: random.Random, *, more: int) -> Iterator[State]:
        """Yield what may be left now: the four corners, then `more` of each other kind."""
        yield self.whole()
        yield self._state((), _durable, "unsynced lost")
        yield self._state(self._pending, _durable, "unsynced data lost")
        yield self._state((), File.now, "unsynced names lost")
        for number, op in enumerate(self._pending[-4:]):
            rest = [one for one in self._pending if one is not op]
            yield self._state(rest, File.now, f"name change {number} from the end lost")
            yield self._state([op], _durable, f"only name change {number} from the end")
        if any(file.pending for file in self.files.values()):
            for _ in range(more):
                yield self._state(self._pending, _torn(dice), "torn")
            for _ in range(more):
                yield self._state(self._pending, _zeroed(dice), "zeros", plain=False)
        for _ in range(more if self._pending else 0):
            some = [op for op in self._pending if dice.random() < 0.5]
            content = dice.choice([File.now, _durable, _torn(dice)])
            yield self._state(some, content, "names in any order")

    def _state(
        self, names: Sequence[Op], content: Content, how: str, *, plain: bool = True
    ) -> State:
        there = _named(self._durable, names)
        folders = {name for name, file in there.items() if file == FOLDER} | {self._top}
        files = {
            name: (file, content(self.files[file]))
            for name, file in there.items()
            if file != FOLDER and _is_reached(name, folders, self._top)
        }
        reached = frozenset(one for one in folders if _is_reached(one, folders, self._top))
        return State(files, reached, how, plain)


def _durable(file: File) -> bytes:
    return file.durable


def _torn(dice: random.Random) -> Content:
    """Of what was not synced some came, in order, and the last of that in part."""

    def content(file: File) -> bytes:
        if not file.pending:
            return file.durable
        count = dice.randrange(len(file.pending)) if dice.random() < 0.5 else len(file.pending) - 1
        last = file.pending[count]
        part = last._replace(data=last.data[: dice.randrange(len(last.data) + 1)])
        return _applied(file.durable, [*file.pending[:count], part])

    return content


def _zeroed(dice: random.Random) -> Content:
    """The length has arrived, and some of the blocks have not."""

    def content(file: File) -> bytes:
        now = bytearray(file.now())
        start = min(len(file.durable), len(now))
        if len(now) > start:
            at = dice.randrange(start, len(now))
            end = len(now) if dice.random() < 0.5 else dice.randrange(at, len(now)) + 1
            now[at:end] = bytes(end - at)
        return bytes(now)

    return content


def _applied(content: bytes, ops: Sequence[Op]) -> bytes:
    if not ops:
        return content
    now = bytearray(content)
    for op in ops:
        if op.kind == "truncate":
            now = now[: op.offset].ljust(op.offset, b"\x00")
        else:
            now.extend(bytes(max(0, op.offset - len(now))))
            now[op.offset : op.offset + len(op.data)] = op.data
    return bytes(now)


def _named(names: Dict[str, int], ops: Sequence[Op]) -> Dict[str, int]:
    now = dict(names)
    for op in ops:
        if op.kind in ("create", "mkdir"):
            now[op.path] = op.file
        elif op.kind == "unlink":
            if now.get(op.path) == op.file:
                del now[op.path]
        elif op.kind == "rename":
            if now.get(op.path) == op.file:
                del now[op.path]
            now[op.to] = op.file
    return now


def _is_reached(name: str, folders: "set[str]", top: str) -> bool:
    while name != top:
        name = os.path.dirname(name)
        if name not in folders:
            return False
    return True


def replay(folder: str, ops: Sequence[Op], until: Optional[int] = None) -> Disk:
    """Return a disk that has taken these calls."""
    disk = Disk(folder)
    for op in ops[:until]:
        disk.take(op)
    return disk
