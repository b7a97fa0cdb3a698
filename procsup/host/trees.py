"""Assigns processes to attempts, and finds out when a tree is empty (POSIX).

On Linux we are a subreaper: a process whose parent died becomes our child, and its pid stays in use
(at least by a zombie) until we reap it. So the list of our children, read once a turn, shows
whether a tree is empty. The attempt of such an orphan is found, in this order, by the mark that
it inherited, its session, the environment it was started with, a log that it has open; or else
it belongs to the only attempt that was live when it was started. On other systems the process
group and a search by environment are used.

Processes in our own session are never part of a unit (each unit leads its own session, and no
process can join ours): other code in this process owns them, and they are left alone.
"""

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Dict, Iterable, Iterator, List, Optional, Sequence, Set

from procsup.errors import RunBusy
from procsup.host import holders, leftovers, marks, procfs, titles, tree_walk
from procsup.host.processes import WITHIN, Key, KillRound, TreeProcess
from procsup.seams import seam

if TYPE_CHECKING:
    from procsup.host import posix

assert sys.platform != "win32"

_PAUSE_S = 0.005
_STOP_FIRST_S = 0.3  # a tree that forks faster than it is killed is stopped first
_KEY_NAMES = (b"PROCSUP_UNIT", b"PROCSUP_ATTEMPT")
_TICK_S = 2.0 / procfs.TICKS_PER_S  # start times are truncated to ticks


class Trees:
    """The process trees of all live attempts. Belongs to the main thread.

    `mark_base` is the base of the marks of this sitting's attempts.
    """

    def __init__(self, run_id: str, mark_base: Optional[int] = None) -> None:
        self._run = b"PROCSUP_RUN=" + os.fsencode(run_id)
        self._run_id = run_id
        self._mark_base = mark_base
        self._session = os.getsid(0)
        self._children: Dict[int, posix.Child] = {}  # by pid
        self._by_mark: Dict[int, posix.Child] = {}
        self._unclear_orphans: Dict[int, Set[posix.Child]] = {}  # adopted; of one of these attempts
        self._ownerless: Set[int] = set()  # adopted; its attempt is over: it is killed
        self._known: Set[bytes] = set()  # pids of our children, as in the kernel's list
        self._foreign: Set[bytes] = set()
        self._with_orphans: Set[posix.Child] = set()
        self._scan = procfs.Scan()
        self._list_fd = _open_list_of_children()
        self.adopts = self._list_fd is not None and tree_walk.become_subreaper()

    def add(self, child: "posix.Child") -> None:
        """Add a child that was just started, until `remove`."""
        self._children[child.pid] = child
        if child.mark is not None:
            self._by_mark[child.mark] = child
        self._known.add(b"%d" % child.pid)

    def add_beside(self, child: "posix.Child") -> None:
        """Add a helper of an attempt, which its owner reaps; see `end_beside`."""
        self._known.add(b"%d" % child.pid)

    def end_beside(self, child: "posix.Child") -> None:
        """Kill a helper with its tree, and reap it; nothing if that was done."""
        if not child.pinned:
            return
        for process in tree_walk.walk({child.pid}):
            tree_walk.send(process)
        child.reap()
        self._known.discard(b"%d" % child.pid)

    def remove(self, child: "posix.Child") -> None:
        """Forget an attempt; its live processes are killed, and reaped when they have ended."""
        del self._children[child.pid]
        if child.mark is not None:
            del self._by_mark[child.mark]
        if self.adopts:
            self._ownerless.update(child.orphans)
        self._with_orphans.discard(child)
        if child.pinned:
            self._ownerless.add(child.pid)
        else:
            self._known.discard(b"%d" % child.pid)
        if self._unclear_orphans:
            self._settle_unclear_orphans(child)

    def _settle_unclear_orphans(self, ended: "posix.Child") -> None:
        for pid, owners in list(self._unclear_orphans.items()):
            owners.discard(ended)
            if not owners:
                del self._unclear_orphans[pid]
                self._ownerless.add(pid)

    # --- reading the list of children ------------------------------------------------------

    def look(self) -> None:
        """Read the list of our children once: adopt, attribute, reap the dead ones.

        Where we do not adopt orphans, those of a dead main process are found by its session.
        """
        if not self.adopts:
            self._look_at_sessions()
            return
        again = True
        while again:
            tokens = self._read_list()
            if self._foreign:
                self._foreign &= tokens  # their pids may be reused
            for token in tokens - self._known - self._foreign:
                self._take(token)
            # The children of a dead process became ours, perhaps after the list was read.
            again = self._reap_orphans()
        if self._ownerless:
            self._kill_ownerless()

    def _look_at_sessions(self) -> None:
        ended = {child.pid: child for child in self._children.values() if child.ended}
        for child in ended.values():
            child.orphans.clear()
        for pid in tree_walk.list_pids() if ended else ():
            child_of = ended.get(_read_session(pid) or 0)
            if child_of is not None and pid != child_of.pid and tree_walk.is_alive(pid):
                child_of.orphans.add(pid)

    def _read_list(self) -> Set[bytes]:
        fd = self._list_fd
        assert fd is not None
        data = os.pread(fd, 1 << 16, 0)
        if len(data) > 4000:  # a read returns a page at most
            os.lseek(fd, 0, os.SEEK_SET)
            data = b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
        return set(data.split())

    def _take(self, token: bytes) -> None:
        pid = int(token)
        process = procfs.look(pid)
        session = _read_session(pid)
        if process is None or session is None:
            return  # another thread started and reaped it
        owners = self._list_possible_owners(process.start_ticks)
        if session == self._session or not (owners or self._is_marked(pid)):
            self._foreign.add(token)
            return
        self._known.add(token)
        self._unclear_orphans[pid] = owners
        self._attribute(pid)

    def _list_possible_owners(self, start_ticks: int) -> "Set[posix.Child]":
        born = start_ticks / procfs.TICKS_PER_S + _TICK_S
        return {child for child in self._children.values() if child.born[0] <= born}

    def _is_marked(self, pid: int) -> bool:
        """Whether its mark is of this sitting; its attempt may be over."""
        mark = marks.read(pid) if self._mark_base is not None else None
        return mark is not None and marks.find_base(mark) == self._mark_base

    def _attribute(self, pid: int) -> None:
        """Find an orphan's attempt; repeated at each `look`, since exec hides the environment."""
        owners = self._unclear_orphans[pid]
        mark = marks.read(pid)
        owner = None if mark is None else self._by_mark.get(mark)
        if owner is None and self._is_marked(pid):
            del self._unclear_orphans[pid]
            self._ownerless.add(pid)  # its attempt is over
            return
        owner = owner or self._children.get(_read_session(pid) or 0)
        owner = owner or self._find_named_owner(pid, owners) or _find_log_holder(pid, owners)
        if owner is None and len(owners) == 1:
            (owner,) = owners
        if owner is not None:
            del self._unclear_orphans[pid]
            owner.orphans.add(pid)
            self._with_orphans.add(owner)

    def _find_named_owner(self, pid: int, owners: "Set[posix.Child]") -> "Optional[posix.Child]":
        entries = procfs.read_raw_environment(pid).split(b"\0")
        found = dict(entry.split(b"=", 1) for entry in entries if entry.startswith(b"PROCSUP_"))
        keys = set(self._list_outer_keys(found.get(WITHIN.encode(), b"")))
        if self._run in entries:
            unit, attempt = (os.fsdecode(found.get(name, b"")) for name in _KEY_NAMES)
            keys.add((unit, attempt))
        return next((child for child in owners if child.key in keys), None)

    def _list_outer_keys(self, within: bytes) -> Iterator[Key]:
        """Yield the attempts of this run that contained a nested run."""
        for line in within.split(b"\n"):
            run, _, rest = line.partition(b" ")
            attempt, _, unit = rest.partition(b" ")
            if run == os.fsencode(self._run_id):
                yield os.fsdecode(unit), os.fsdecode(attempt)

    def _reap_orphans(self) -> bool:
        """Reap adopted processes that are dead; return whether there were any."""
        any_dead = False
        for pid in list(self._unclear_orphans):
            if self._reap(pid):
                del self._unclear_orphans[pid]
                any_dead = True
            else:
                self._attribute(pid)
        any_dead = self._reap_all(self._ownerless) or any_dead
        for child in list(self._with_orphans):
            any_dead = self._reap_all(child.orphans) or any_dead
            if not child.orphans:
                self._with_orphans.discard(child)
        return any_dead

    def _reap_all(self, orphans: Set[int]) -> bool:
        dead = [pid for pid in orphans if self._reap(pid)]
        orphans.difference_update(dead)
        return bool(dead)

    def _reap(self, pid: int) -> bool:
        try:
            gone = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            gone = True
        if gone:
            self._known.discard(b"%d" % pid)
        return gone

    # --- killing -----------------------------------------------------------------------------

    def note_main_end(self) -> None:
        """Search for the orphans of a main process that has ended, unless we adopt them anyway."""
        if not self.adopts:
            self.look()

    def list_tree(self, child: "posix.Child") -> List[procfs.Process]:
        """Return all living processes of its tree, as of the last `look`, parents first."""
        return tree_walk.walk(_list_roots(child))

    def list_recent_tree(self, child: "posix.Child") -> List[procfs.Process]:
        """Return its tree by a scan that other trees share; `scanned_at` tells how old it is."""
        return tree_walk.walk(_list_roots(child), scan=self._scan)

    @property
    def scanned_at(self) -> Optional[float]:
        """When the scan of `list_recent_tree` was begun (monotonic); None if it needs none."""
        return self._scan.begun_at

    def list_processes(self, child: "posix.Child") -> List[TreeProcess]:
        """Return the other live processes of its tree, with the files that they may write to."""
        others = [one for one in self.list_tree(child) if one.pid != child.pid]
        return [
            TreeProcess(
                one.pid,
                one.start_ticks,
                titles.read_title(one.pid),
                holders.open_for_writing(one.pid),
            )
            for one in others
        ]

    def kill(self, child: "posix.Child") -> KillRound:
        """Send SIGKILL to the whole tree, once; repeat, after a `look`, until none is left."""
        now = time.monotonic()
        if child.killed_since is None:
            child.killed_since = now
        late = now - child.killed_since > _STOP_FIRST_S
        alive = (
            _bring_to_rest(_list_roots(child), now + 1.0) if late else self.list_recent_tree(child)
        )
        if child.pinned:
            tree_walk.send_to_group(child.pid)
        return self.kill_these(child, alive)

    def kill_these(self, child: "posix.Child", victims: Sequence[procfs.Process]) -> KillRound:
        """Send SIGKILL to some processes of its tree."""
        fresh = {(one.pid, one.start_ticks) for one in victims} - child.hit
        child.hit |= fresh
        for process in victims:
            tree_walk.send(process)
        return KillRound(len(victims), len(fresh))

    @seam("kill orphans")
    def _kill_ownerless(self) -> None:
        for process in tree_walk.walk(self._ownerless):
            tree_walk.send(process)

    def end_rest(self, limit_s: float) -> None:
        """Kill orphans whose attempt is not certain, and wait until none is left."""
        if not self.adopts:
            self._sweep(limit_s)
            return
        limit = time.monotonic() + limit_s
        while True:
            self.look()
            self._ownerless.update(self._unclear_orphans)
            self._unclear_orphans.clear()
            self._kill_ownerless()
            if not self._ownerless or time.monotonic() > limit:
                return
            time.sleep(_PAUSE_S)

    @seam("sweep")
    def _sweep(self, limit_s: float) -> None:
        """Kill the orphans that are certainly ours, on systems where we do not adopt them.

        The run's id is used only without marks: a copy of the run has the same id.
        """
        run_id = self._run_id if self._mark_base is None else None
        recorded = leftovers.RecordedProcesses(run_id, self._mark_base)
        try:
            leftovers.end_leftovers(recorded, limit_s=limit_s)
        except RunBusy:
            pass  # the guard tries once more, and reports those that remain

    def close(self) -> None:
        """Release the descriptors. We stay the subreaper."""
        if self._list_fd is not None:
            os.close(self._list_fd)
            self._list_fd = None
            self.adopts = False


def _bring_to_rest(roots: Set[int], deadline: float) -> List[procfs.Process]:
    def find() -> List[procfs.Process]:
        found = tree_walk.walk(roots, signum=signal.SIGSTOP)
        for process in found if sys.platform != "linux" else ():
            tree_walk.send(process, signal.SIGSTOP)
        return found

    return tree_walk.bring_to_rest(find, deadline)


def _list_roots(child: "posix.Child") -> Set[int]:
    return child.orphans if child.ended else {child.pid, *child.orphans}


def _find_log_holder(pid: int, owners: "Iterable[posix.Child]") -> "Optional[posix.Child]":
    """Return the attempt of which this process has a log open."""
    files = {(status.st_dev, status.st_ino) for _, status in procfs.open_files(pid)}
    return next((child for child in owners if not files.isdisjoint(child.logs)), None)


def _open_list_of_children() -> Optional[int]:
    """Open the main thread's list of children; None without CONFIG_PROC_CHILDREN.

    Orphans become children of the main thread.
    """
    if sys.platform != "linux" or not procfs.is_ours():
        return None
    try:
        return os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _read_session(pid: int) -> Optional[int]:
    try:
        return os.getsid(pid)
    except OSError:
        return None
