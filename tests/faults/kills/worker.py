"""One folder in which runs are killed and resumed: the processes, the waiters, the limits."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Union

from procsup.errors import RunUnfinished
from procsup.queries.waiting import Limits, await_final
from procsup.store.rundir import RunDir
from procsup.store.sitting import read_owner
from tests.faults import laws
from tests.faults.kills.project import COOKIE, Project, environment

TRACED = Path(__file__).parent / "traced.py"
LIMIT_S = 20.0
HELD_S = 4.0  # by then it has begun all its units, even on a busy machine
DECIDES_S = 1.0
LOOK_S = 0.003
ARGV = ["run", "run.toml"]


class Plan(NamedTuple):
    """What becomes of one sitting: `deaths` by role, and whether its last unit is to go on."""

    deaths: Dict[str, List[Any]]
    held: bool = False


class Died(NamedTuple):
    """A sitting that was killed: when, by what status its guard ended, how long all else lived."""

    at: float
    status: int
    empty_s: Optional[float]  # None: both were killed, and what is left is the next one's
    decided_s: Optional[float]  # None: nobody waited yet
    told_final: bool  # to one who waited for the run
    left: int  # that is how many processes and locks
    hit: bool = True  # at the line that was wanted


class Server:
    """The process that forks the runs (traced.py)."""

    def __init__(self, breaks: str = "") -> None:
        argv = [sys.executable, str(TRACED), "serve", breaks]
        self._child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._answer = b""

    def start(self, order: Dict[str, Any]) -> int:
        """Carry out an order; return the pid of what is the guard soon."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        return int(self._line(LIMIT_S))

    def status(self, limit_s: float = LIMIT_S) -> int:
        """Wait for the end of what was started last; return its exit code, or minus the signal."""
        status = int(self._line(limit_s))
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def _line(self, limit_s: float) -> str:
        assert self._child.stdout is not None
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._answer:
            left_s = max(0.0, deadline - time.monotonic())
            readable, _, _ = select.select([self._child.stdout], [], [], left_s)
            assert readable, f"nothing came to its end within {limit_s:g} s"
            data = os.read(self._child.stdout.fileno(), 4096)
            assert data, "the server of runs is gone"
            self._answer += data
        line, _, self._answer = self._answer.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()
        self._child.kill()
        self._child.wait()


class ColdServer:
    """The same for one run at a time, in a process that has loaded nothing yet."""

    def __init__(self) -> None:
        self._child: Optional[subprocess.Popen[bytes]] = None

    def start(self, order: Dict[str, Any]) -> int:
        """Carry out an order; return the pid of what is the guard soon."""
        self._child = subprocess.Popen([sys.executable, str(TRACED), json.dumps(order)])
        return self._child.pid

    def status(self, limit_s: float = LIMIT_S) -> int:
        """Wait for the end of what was started last; return its exit code, or minus the signal."""
        assert self._child is not None
        try:
            return self._child.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"nothing came to its end within {limit_s:g} s") from None

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()


class Waiter:
    """Somebody who waits for the sitting that has the directory now, on a thread."""

    def __init__(self, rundir: Path, stage: Optional[str]) -> None:
        self.decided_at: Optional[float] = None
        self.waiting_since: Optional[float] = None
        self.final = False
        self.problem = ""
        self.stage = stage
        self._rundir = rundir
        self._before = read_owner(RunDir(str(rundir)))
        self._given_up = False
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        try:
            if self._has_begun():
                self.waiting_since = time.monotonic()
                await_final(
                    str(self._rundir), stage=self.stage, limits=Limits(LIMIT_S, start_s=0.0)
                )
                self.final = True
        except RunUnfinished:
            pass
        except Exception as problem:  # noqa: BLE001 (it would be lost with its thread)
            self.problem = f"{type(problem).__name__}: {problem}"
        self.decided_at = time.monotonic()

    def _has_begun(self) -> bool:
        rundir = RunDir(str(self._rundir))
        while not self._given_up:
            owner = read_owner(rundir)
            if owner is not None and owner.sitting and owner != self._before:
                return True
            laws.pause(LOOK_S)
        return False

    def seconds_after(self, death: float) -> Optional[float]:
        """How long after that it knew; None if it was not waiting then."""
        self._given_up = True
        self._thread.join(max(0.0, death + DECIDES_S + 1.0 - time.monotonic()))
        assert not self.problem, self.problem
        if self.waiting_since is None or self.waiting_since > death:
            return None
        assert self.decided_at is not None, "the waiter waits for the dead"
        return self.decided_at - death


class Worker:
    """Runs, kills and resumes in its own folder, one case at a time."""

    def __init__(self, folder: Path, breaks: str = "") -> None:
        self.project = Project(folder)
        self.warm = Server(breaks)
        self.server: Union[Server, ColdServer] = self.warm
        self.entry = f"{COOKIE}={folder}".encode()
        self._put_aside = 0
        self._survivors: FrozenSet[object] = frozenset()

    def close(self) -> None:
        self.warm.close()

    def renew(self) -> None:
        """Make the folder as if nothing had ever been there."""
        if self.project.folder.exists():
            shutil.rmtree(str(self.project.folder))
        self.project.make()
        self._survivors = frozenset()

    def put_aside(self) -> None:
        """End what may live still, and keep the folder for whoever wants to know."""
        for pid in (*laws.living(self.entry), *self.project.holders()):
            _kill(pid)
        self._put_aside += 1
        folder = self.project.folder
        folder.rename(folder.with_name(f"{folder.name}-failed-{self._put_aside}"))

    def order(self, **more: Any) -> Dict[str, Any]:
        folder = self.project.folder
        return {
            "argv": ARGV,
            "cwd": str(folder),
            "env": environment(folder),
            "output": str(folder / "said"),
            "notes": str(folder / "notes"),
            **more,
        }

    def complete(self, **more: Any) -> int:
        """Run to the end; return the exit code."""
        self.project.hold(False)
        self.project.forget_notes()
        self.server.start(self.order(**more))
        return self.server.status()

    def strike(
        self, plan: Plan, stage: Optional[str] = None, *, cold: bool = False
    ) -> Optional[Died]:
        """Run until the deaths that are planned; None if the run came to its end without."""
        self.server = ColdServer() if cold else self.warm
        try:
            return self._strike(plan, stage)
        finally:
            self.server = self.warm

    def _strike(self, plan: Plan, stage: Optional[str]) -> Optional[Died]:
        project = self.project
        project.forget_notes()
        project.hold(plan.held)
        waiter = Waiter(project.rundir, stage)
        guard = self.server.start(self.order(deaths=plan.deaths))
        outside: Dict[str, float] = {}
        try:
            status = self.server.status(HELD_S if plan.held else LIMIT_S)
        except AssertionError:
            if not plan.held:
                self._kill_pair(guard)
                raise
            if not self._struck(plan):  # it does not come to its line, and waits for a held unit
                outside["S"] = self._kill_supervisor()
            status = self.server.status()
        deaths = {**outside, **self._struck(plan)}
        if not deaths:
            waiter.seconds_after(time.monotonic())
            return None
        died = self._aftermath(max(deaths.values()), status, plan, list(deaths), waiter)
        return died._replace(hit=not outside)

    def _struck(self, plan: Plan) -> Dict[str, float]:
        """Return who has come to the line where it dies, and when."""
        kinds = {role: f"death-{role}" for role in plan.deaths}
        noted = self.project.noted
        return {role: self.project.note(kind)[1] for role, kind in kinds.items() if noted(kind)}

    def _kill_supervisor(self) -> float:
        at = time.monotonic()
        _kill(self.project.note("supervisor")[0])
        return at

    def _aftermath(
        self, at: float, status: int, plan: Plan, struck: List[str], waiter: Waiter
    ) -> Died:
        gone_s = self._until(at, self.project.pair_is_gone, "the supervisor lives on")
        both = len(struck) > 1 or any(plan.deaths[role][3] == "both" for role in struck)
        decided_s = waiter.seconds_after(at)
        assert decided_s is None or decided_s <= DECIDES_S, f"the waiter knew after {decided_s} s"
        final = waiter.final and waiter.stage is None
        if both:
            self._survivors = self._left()
            return Died(at, status, None, decided_s, final, len(self._survivors))
        # What outlived an earlier death of both is the business of the sitting that comes to it.
        empty_s = self._until(at, lambda: self._left() <= self._survivors, "units live on")
        return Died(at, status, max(empty_s, gone_s), decided_s, final, 0)

    def _left(self) -> FrozenSet[object]:
        return frozenset([*laws.living(self.entry), *self.project.held()])

    def _until(self, since: float, holds: Callable[[], bool], otherwise: str) -> float:
        """Wait for it; return how long after `since` it held, at most a second."""
        while True:
            now = time.monotonic()
            if holds():
                return now - since
            assert now - since <= laws.LIVES_ON_S, f"{otherwise}, {now - since:.2f} s after"
            laws.pause(LOOK_S)

    def _kill_pair(self, guard: int) -> None:
        pids = [guard]
        if self.project.noted("supervisor"):
            pids.append(self.project.note("supervisor")[0])
        for pid in (*pids, *laws.living(self.entry)):
            _kill(pid)
        self.server.status()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # gone by itself
