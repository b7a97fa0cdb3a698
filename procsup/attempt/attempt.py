"""One try at a unit on this host, from its process to the fact of its end.

An attempt is over when its whole tree is gone. Its main process stays a zombie until then, so
that its pid and its group are pinned while what it left behind is ended; only then is its exit
status taken, once.
"""

from typing import List, Optional

from procsup.attempt.files import AttemptFiles
from procsup.attempt.observation import Observation
from procsup.attempt.outputs import inspect
from procsup.core.events import Ended, Inspected, Sampled, Stop
from procsup.core.outcome import Exit, Exited, Vanished
from procsup.core.task import Task
from procsup.host import machine, system

_UNKILLABLE_S = 10.0  # after a SIGKILL: what still lives then is stuck in the kernel
_FOREIGN_LOOK_S = 1.0  # between looks at a main process that we may not end
_DUMP_S = 1.0  # from the request for stacks to the kill
_SHORTEST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.05
_ROUNDS = 20  # of killing without a pause, while each still finds new processes


class Attempt:
    """An attempt whose end has not been told. `at` is wall clock, all other times are monotonic."""

    __slots__ = (
        "_dump",
        "_kill_at",
        "_killed_at",
        "_pause_s",
        "_trees",
        "at",
        "begun",
        "child",
        "ended_at",
        "files",
        "key",
        "look_at",
        "observed",
        "stopped",
        "task",
    )

    def __init__(
        self,
        task: Task,
        child: system.Child,
        files: AttemptFiles,
        trees: system.Trees,
        *,
        at: float,
        begun: float,
    ) -> None:
        self.task = task
        self.child = child
        self.files = files
        self.key: system.Key = (task.attempt.unit, str(task.attempt.number))
        self.at = at
        self.begun = begun
        self.observed = Observation(child.pid, begun, task.placement.cpu_ids)
        self.stopped = False  # a stop or a kill reached it before its end
        self.ended_at: Optional[float] = None  # when the main process was found dead
        self.look_at: Optional[float] = None  # when `tend` has something to do
        self._trees = trees
        self._killed_at: Optional[float] = None  # since when the tree is being killed
        self._kill_at: Optional[float] = None  # the end of its grace
        self._dump = False  # it is asked for its stacks before it is killed
        self._pause_s = _SHORTEST_PAUSE_S
        trees.add(self.key, child)

    # --- what happens to it ------------------------------------------------------------------

    def main_ended(self, now: float) -> None:
        """The main process is a zombie now."""
        self.ended_at = self.look_at = now
        self._trees.main_ended(self.key)

    def stop(self, order: Stop, now: float) -> None:
        """Ask the main process to end; the tree is killed when its grace is over.

        Nothing happens if nothing of the tree is left: it ended before.
        """
        if self.ended_at is not None:
            self._trees.look()
            if not self._trees.others(self.key):
                return
        self.stopped = True
        self.child.stop(dump=order.dump)
        self._dump = order.dump
        self._kill_at = self.look_at = now + order.grace_s

    def kill(self, now: float) -> None:
        """End the whole tree by force; what it takes goes on in `tend`."""
        if self._killed_at is not None:
            return
        self.stopped = True
        self._begin_kill(now)
        self._kill_round(now)

    def tend(self, now: float) -> bool:
        """Do what is due; true if nothing of its tree is left, and its status can be taken."""
        if self.ended_at is not None and not self._trees.others(self.key):
            return True
        if self._killed_at is None:
            if self.ended_at is not None:  # the main process has left others behind
                self._begin_kill(now)
            elif self._kill_at is not None and now >= self._kill_at:
                self._end_grace(now)
        if self._killed_at is not None and self.look_at is not None and now >= self.look_at:
            self._kill_round(now)
        return False

    def _end_grace(self, now: float) -> None:
        if self._dump:
            self._dump = False
            self.child.stop(dump=True, insist=True)
            self._kill_at = self.look_at = now + _DUMP_S
            return
        self._begin_kill(now)

    def _begin_kill(self, now: float) -> None:
        self._killed_at = self.look_at = now

    def _kill_round(self, now: float) -> None:
        for _ in range(_ROUNDS):
            if not self._trees.kill(self.key).fresh:
                break
            self._trees.look()
        self.look_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    # --- its end -----------------------------------------------------------------------------

    def depart(self) -> system.Departure:
        """Take the exit status of an attempt whose tree is empty."""
        return self.child.reap()

    def try_to_give_up(self, now: float) -> Optional[system.Departure]:
        """Return how an attempt departs that SIGKILL did not end in time; None if it may yet.

        Stuck in the kernel, it does no more. A main process of somebody else's (set-user-ID) is
        alive, and may not be ended by us: its attempt is not over before it is.
        """
        if self._killed_at is None or now - self._killed_at <= _UNKILLABLE_S:
            return None
        if self.ended_at is not None:
            return self.child.reap()
        if not self.child.may_end():
            self.look_at = now + _FOREIGN_LOOK_S
            return None
        reason = f"process {self.child.pid} did not die within {_UNKILLABLE_S:g} s of SIGKILL"
        return system.Departure(Vanished(reason))

    def end(self, departure: system.Departure, *, at: float, now: float) -> Ended:
        """Return the fact of its end; its tree is not looked after any more."""
        self.observed.over = True
        usage = self.observed.usage(departure, self._trees.leftovers(self.key))
        self._trees.remove(self.key)
        self.child.give_up()  # from here on its pid is not ours
        stdout, stderr = self.files.settle(well=self.is_well(departure.exit))
        ended_at = now if self.ended_at is None else self.ended_at
        return Ended(
            self.task.attempt,
            departure.exit,
            at,
            started=self.at,
            wall_s=ended_at - self.begun,
            pid=self.child.pid,
            usage=usage,
            stdout_path=stdout,
            stderr_path=stderr,
            stopped=self.stopped,
        )

    def is_well(self, exit_: Exit) -> bool:
        """Tell whether an exit is a good end: what was made is worth an inspection."""
        is_good = isinstance(exit_, Exited) and self.task.rules.is_success(exit_.code)
        return is_good and not self.stopped

    def inspect(self) -> Inspected:
        """Look at what a good end has left, then clear away; never raises. May take long."""
        try:
            return inspect(self.task, self.files.before)
        except Exception as error:  # noqa: BLE001  unknown is never success, and never silence
            what = f"{type(error).__name__}: {error}"
            problem = f"its outputs could not be looked at: {what}"
            return Inspected(self.task.attempt, problem=problem)
        finally:
            self.files.clear()

    @property
    def needs_inspection(self) -> bool:
        """Whether `inspect` has more to do than to say that all is well."""
        return self.task.is_inspected or self.files.scratch_path is not None

    # --- its CPUs ----------------------------------------------------------------------------

    def see_cpus(self, now: float) -> Optional[Sampled]:
        """Read which CPUs its main process may use; a zombie still tells its last ones (Linux)."""
        if not self.child.pinned:
            return None
        cpus = machine.read_affinity(self.child.pid)
        return self.judge_drift(self.observed.see_affinity(cpus, now))

    def judge_drift(self, drifted: Optional[List[int]]) -> Optional[Sampled]:
        """Do what ``on-drift`` says about CPUs that have become others; return what to tell."""
        on_drift = self.task.rules.on_drift
        if drifted is None or on_drift == "record":
            return None
        if on_drift == "fail":
            self.stopped = True  # whether or not it ends before the planner has asked for that
        elif on_drift == "restore" and self.ended_at is None:
            try:
                machine.set_affinity(self.child.pid, self.observed.reference or drifted)
                self.observed.last = self.observed.reference
            except OSError:
                pass  # those CPUs are offline, or it runs as somebody else: it is recorded
        return Sampled(self.task.attempt, drifted)
