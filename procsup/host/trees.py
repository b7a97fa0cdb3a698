"""Whose process is this, and are all of an attempt's processes gone? (POSIX)

On Linux we are a subreaper: a process whose parent died becomes our child, and stays pinned (as
a zombie at least) until we reap it. The list of our children, read once a turn, is therefore
all that has to be looked at to know that a tree is empty. A process belongs to the attempt
whose session it is in, or else to the one named in the environment it was started with, or
else to the only attempt that lived when it was started. Elsewhere there is the process group,
and a sweep by environment.

Processes in our own session are never a unit's (each unit leads a session of its own, and
none can be left for ours): they belong to somebody else in this process and are left alone.
"""

import os
import sys
import time
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Set

from procsup.host import holders, procfs, tree_walk
from procsup.host.processes import Identity, Key, Left, Seen

if TYPE_CHECKING:
    from procsup.host import posix

assert sys.platform != "win32"

_PR_SET_CHILD_SUBREAPER = 36
_PAUSE_S = 0.005
_STOP_FIRST_S = 0.3  # a tree that breeds faster than it is killed is stopped first
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TICK_S = 2.0 / _TICKS_PER_S  # start times are cut to ticks


class _Family:
    """The processes of one attempt, as far as they are our children."""

    __slots__ = ("child", "hit", "killed_since", "orphans")

    def __init__(self, child: "posix.Child") -> None:
        self.child = child
        self.orphans: Set[int] = set()  # adopted; pinned until we reap them
        self.hit: Set[Identity] = set()  # all that were sent SIGKILL
        self.killed_since: Optional[float] = None


class Trees:
    """The process trees of all live attempts. Belongs to the main thread."""

    def __init__(self, run_id: str) -> None:
        self._run = b"PROCSUP_RUN=" + os.fsencode(run_id)
        self._run_id = run_id
        self._session = os.getsid(0)
        self._families: Dict[Key, _Family] = {}
        self._by_main: Dict[int, Key] = {}
        self._strays: Dict[int, Set[Key]] = {}  # adopted, of one of these attempts
        self._homeless: Set[int] = set()  # adopted, of an attempt that is over: to be killed
        self._known: Set[bytes] = set()  # our children in the form of the list
        self._foreign: Set[bytes] = set()
        self._with_orphans: Set[Key] = set()  # attempts that have adopted processes
        self._list_fd = _open_list_of_children()
        self.adopts = self._list_fd is not None and become_subreaper()

    def add(self, key: Key, child: "posix.Child") -> None:
        """Take a child that was just started; `remove` gives it back."""
        self._families[key] = _Family(child)
        self._by_main[child.pid] = key
        self._known.add(b"%d" % child.pid)

    def remove(self, key: Key) -> None:
        """Forget an attempt; what still lives of it is killed, and reaped, when it can be."""
        family = self._families.pop(key)
        self._by_main.pop(family.child.pid, None)
        self._homeless.update(family.orphans)
        self._with_orphans.discard(key)
        if family.child.pinned:
            self._homeless.add(family.child.pid)
        else:
            self._known.discard(b"%d" % family.child.pid)
        if self._strays:
            self._settle_strays(key)

    def _settle_strays(self, ended: Key) -> None:
        for pid, owners in list(self._strays.items()):
            owners.discard(ended)
            if not owners:
                del self._strays[pid]
                self._homeless.add(pid)

    # --- looking ---------------------------------------------------------------------------

    def look(self) -> None:
        """Read the list of our children once: adopt, attribute, reap the dead ones."""
        if not self.adopts:
            return
        again = True
        while again:
            tokens = self._read_list()
            if self._foreign:
                self._foreign &= tokens  # their pids may be reused
            for token in tokens - self._known - self._foreign:
                self._take(token)
            # The dead one's children became ours, perhaps after the list was read.
            again = self._reap_orphans()
        if self._homeless:
            self._kill_homeless()

    def _read_list(self) -> Set[bytes]:
        fd = self._list_fd
        assert fd is not None
        data = os.pread(fd, 1 << 16, 0)
        if len(data) > 4000:  # it comes in pages
            os.lseek(fd, 0, os.SEEK_SET)
            data = b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
        return set(data.split())

    def _take(self, token: bytes) -> None:
        pid = int(token)
        process = procfs.look(pid)
        session = _session_of(pid)
        if process is None or session is None:
            return  # another thread started and reaped it
        owners = self._possible_owners(process.start_ticks)
        if session == self._session or not owners:
            self._foreign.add(token)
            return
        self._known.add(token)
        owner = self._by_main.get(session)
        if owner is not None:
            self._adopt(owner, pid)
        else:
            self._strays[pid] = owners
            self._attribute(pid)

    def _possible_owners(self, start_ticks: int) -> Set[Key]:
        born = start_ticks / _TICKS_PER_S + _TICK_S
        return {key for key, family in self._families.items() if family.child.born <= born}

    def _attribute(self, pid: int) -> None:
        """Find a stray's attempt; tried again at each look, since exec hides the environment."""
        owners = self._strays[pid]
        owner = self._named_owner(pid)
        if owner is None and len(owners) == 1:
            owner = next(iter(owners))
        if owner is None:
            return
        del self._strays[pid]
        if owner in self._families:
            self._adopt(owner, pid)
        else:
            self._homeless.add(pid)

    def _adopt(self, owner: Key, pid: int) -> None:
        self._families[owner].orphans.add(pid)
        self._with_orphans.add(owner)

    def _named_owner(self, pid: int) -> Optional[Key]:
        data = procfs.raw_environment(pid)
        if self._run not in data:
            return None
        entries = data.split(b"\0")
        if self._run not in entries:
            return None
        found = dict(entry.split(b"=", 1) for entry in entries if entry.startswith(b"PROCSUP_"))
        unit, attempt = found.get(b"PROCSUP_UNIT"), found.get(b"PROCSUP_ATTEMPT")
        if unit is None or attempt is None:
            return None
        return os.fsdecode(unit), os.fsdecode(attempt)

    def _reap_orphans(self) -> bool:
        """Reap adopted processes that are dead; tell whether there were any."""
        any_dead = False
        for pid in list(self._strays):
            if self._reap(pid):
                del self._strays[pid]
                any_dead = True
            else:
                self._attribute(pid)
        any_dead = self._reap_of(self._homeless) or any_dead
        for key in list(self._with_orphans):
            orphans = self._families[key].orphans
            any_dead = self._reap_of(orphans) or any_dead
            if not orphans:
                self._with_orphans.discard(key)
        return any_dead

    def _reap_of(self, orphans: Set[int]) -> bool:
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

    def main_ended(self, key: Key) -> None:
        """A main process is a zombie now: where orphans do not come to us, its group is killed."""
        if not self.adopts:
            self.kill(key)

    def others(self, key: Key) -> int:
        """Return how many of the attempt's processes beside the main one are known to live.

        As of the last `look`; descendants of those are not counted.
        """
        family = self._families[key]
        if self.adopts:
            return len(family.orphans)
        return int(tree_walk.group_lives(family.child.pid)) if family.child.pinned else 0

    def members(self, key: Key, *, with_main: bool = False) -> List[procfs.Process]:
        """Return the living processes of an attempt beside the main one (or with it)."""
        family = self._families[key]
        roots = set(family.orphans)
        main = family.child.pid
        if not family.child.ended:
            roots.add(main)
        found = tree_walk.walk(roots)
        return found if with_main else [one for one in found if one.pid != main]

    def seen(self, key: Key) -> List[Seen]:
        """Return the living processes of an attempt beside the main one, with their files."""
        return [
            Seen(
                one.pid,
                one.start_ticks,
                tree_walk.name_of(one.pid),
                holders.open_for_writing(one.pid),
            )
            for one in self.members(key)
        ]

    def orphans(self, key: Key) -> List[int]:
        """Return the pids of those of its processes that are our children now."""
        return list(self._families[key].orphans)

    def kill_these(self, key: Key, victims: Sequence[procfs.Process]) -> Left:
        """Send SIGKILL to some of an attempt's processes."""
        family = self._families[key]
        fresh = {(one.pid, one.start_ticks) for one in victims} - family.hit
        family.hit |= fresh
        for process in victims:
            tree_walk.send(process)
        return Left(len(victims), len(fresh))

    def kill(self, key: Key) -> Left:
        """Send SIGKILL to the whole tree, once; repeat, after a `look`, until all is gone."""
        family = self._families[key]
        now = time.monotonic()
        if family.killed_since is None:
            family.killed_since = now
        roots = set(family.orphans)
        if not family.child.ended:
            roots.add(family.child.pid)
        late = now - family.killed_since > _STOP_FIRST_S
        alive = tree_walk.stop_all(roots) if late else tree_walk.walk(roots)
        if family.child.pinned:
            tree_walk.send_to_group(family.child.pid)
        return self.kill_these(key, alive)

    def _kill_homeless(self) -> None:
        for process in tree_walk.walk(self._homeless):
            tree_walk.send(process)

    def end_rest(self, limit_s: float) -> List[int]:
        """At the end: kill what belongs to no attempt for certain; return pids that stay."""
        limit = time.monotonic() + limit_s
        while True:
            self.look()
            self._homeless.update(self._strays)
            self._strays.clear()
            self._kill_homeless()
            left = sorted(self._homeless) if self.adopts else self._sweep()
            if not left or time.monotonic() > limit:
                return left
            time.sleep(_PAUSE_S)

    def _sweep(self) -> List[int]:
        """Kill what is found by its environment, where orphans do not come to us."""
        from procsup.host import machine

        found = [pid for pid, _ in machine.processes_with_cookie(self._run_id)]
        for pid in found:
            tree_walk.kill_by_pid(pid)
        return found

    def close(self) -> None:
        """Release what was opened. We stay the reaper of orphans."""
        if self._list_fd is not None:
            os.close(self._list_fd)
            self._list_fd = None
            self.adopts = False


def become_subreaper() -> bool:
    """Make orphaned descendants our children (prctl(2), Linux 3.4); False if it cannot be."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        return int(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0
    except (ImportError, OSError, AttributeError):
        return False


def _open_list_of_children() -> Optional[int]:
    """Open the main thread's list: that thread adopts. None without CONFIG_PROC_CHILDREN."""
    if sys.platform != "linux":
        return None
    try:
        return os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _session_of(pid: int) -> Optional[int]:
    try:
        return os.getsid(pid)
    except OSError:
        return None
