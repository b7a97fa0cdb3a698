"""Sends a stop signal down a process tree, to each process once (POSIX).

A process that catches the signal and is not a shell stops its children itself: a coordinator
collects from its workers before it saves. A shell with a trap does so for its background jobs,
which the trap may kill. These get the signal when that process has ended, or at half of the
grace. A process that starts after the stop began (a trap's clean-up program) gets no signal.
"""

import signal
import sys
import time
from typing import Dict, List, Set

from procsup.host import listening, procfs, signals, tree_walk
from procsup.host.listening import StopScope
from procsup.host.processes import Identity

assert sys.platform != "win32"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procsup.host.posix import Child
    from procsup.host.trees import Trees


class StopSignaller:
    """Sends the stop signal to the processes of one tree, and kills them when they must end.

    `reach` is ``auto`` (down to processes that stop their own children), ``main`` (the main process
    only) or ``tree`` (all at once). ``main`` becomes ``auto`` if the main process has ended.
    """

    def __init__(self, child: "Child", trees: "Trees", *, name: str, reach: str) -> None:
        self._child = child
        self._trees = trees
        self._signum = signals.find_number(name) or signal.SIGTERM
        self._reach = "auto" if reach == "main" and child.ended else reach
        self._told: Dict[Identity, StopScope] = {}  # the descendants that each stops itself
        self._there: Set[Identity] = {_read_identity(one) for one in self._list_tree()}
        self._since = time.monotonic()
        self._since_ticks = procfs.read_ticks()

    def signal(self, *, everybody: bool = False, dump: bool = False) -> bool:
        """Signal the processes that are due; true if others of the tree must still be signalled.

        `dump`: the main process is asked for its stacks instead, unless it catches the signal.
        """
        tree = self._list_tree()
        if self._reach == "main":
            tree = [one for one in tree if one.pid == self._child.pid]
        families: Dict[int, List[procfs.Process]] = {}
        for one in tree:
            families.setdefault(one.parent, []).append(one)
        pids = {one.pid for one in tree}
        pending = [one for one in tree if one.parent not in pids]
        everybody = everybody or self._reach == "tree"
        while pending:
            one = pending.pop()
            if not self._was_present(one):
                continue
            answers = self._signal(one, dump=dump)
            below = families.get(one.pid, ())
            pending.extend(one for one in below if everybody or not _is_left_to(answers, one))
        scanned_at = self._trees.scanned_at
        if scanned_at is not None and scanned_at < self._since:
            return True  # the list may lack the youngest processes
        return any(self._was_present(one) and _read_identity(one) not in self._told for one in tree)

    def _signal(self, process: procfs.Process, *, dump: bool) -> StopScope:
        """Signal one process, once; return which descendants it stops itself."""
        known = self._told.get(_read_identity(process))
        if known is not None:
            return known
        pid, is_main = process.pid, process.pid == self._child.pid
        handling = listening.read_signal_handling(
            pid, self._signum
        )  # before the signal, which may end it
        answers = listening.find_stop_scope(pid, handling, tree_walk.read_name(pid))
        self._told[_read_identity(process)] = answers
        if is_main and dump and handling.catches is False:
            self._child.dump_stacks()
            return answers
        # Background jobs of shells without job control ignore SIGINT.
        is_deaf = self._signum == signal.SIGINT and handling.ignores
        tree_walk.send(process, signal.SIGTERM if is_deaf else self._signum)
        tree_walk.send(process, signal.SIGCONT)  # a stopped process would not handle it
        return answers

    def kill(self, *, spare: bool = False) -> int:
        """Send SIGKILL to the whole tree; return how many processes were found for the first time.

        With `spare` processes other than the main one that ignore the stop signal are not killed:
        they may be trackers, which clean up after the others and then end by themselves.
        """
        if not spare:
            return self._trees.kill(self._child).fresh
        victims = [one for one in self._list_tree() if not self._is_spared(one)]
        return self._trees.kill_these(self._child, victims).fresh

    def _is_spared(self, process: procfs.Process) -> bool:
        if process.pid == self._child.pid:
            return False
        return bool(listening.read_signal_handling(process.pid, self._signum).ignores)

    def _was_present(self, process: procfs.Process) -> bool:
        if _read_identity(process) in self._there:
            return True
        return 0 < process.start_ticks < self._since_ticks

    def _list_tree(self) -> List[procfs.Process]:
        return self._trees.list_recent_tree(self._child)


def _is_left_to(answers: StopScope, process: procfs.Process) -> bool:
    if answers is StopScope.JOBS:
        return listening.is_background_job(process.pid, tree_walk.read_name(process.pid))
    return answers is StopScope.ALL


def _read_identity(process: procfs.Process) -> Identity:
    return process.pid, process.start_ticks
