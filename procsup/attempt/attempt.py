"""One try at a unit on this host, from its process to the fact of its end.

An attempt is over when its whole process tree is gone. Until then its main process stays a
zombie, which keeps its pid and its process group reserved while the processes that it left behind
are ended. Only then is the main process reaped.
"""

import time
from typing import Collection, List, Optional, Tuple

import msgspec

from procsup.attempt.ending import Ending
from procsup.attempt.files import AttemptFiles
from procsup.attempt.ladder import Ladder, StopTarget
from procsup.attempt.observation import Observation
from procsup.attempt.output_holders import OutputHolders
from procsup.attempt.outputs import inspect
from procsup.attempt.start import Starter
from procsup.attempt.stop_command import StopCommand
from procsup.core.events import Ended, Inspected, Sampled, Stop
from procsup.core.late import fill_in
from procsup.core.outcome import Exit, Exited, Vanished
from procsup.core.task import Rules, Task
from procsup.host import machine, system

UNKILLABLE_S = 10.0  # after a SIGKILL: a process that still lives is stuck in the kernel
_SHARE = 0.01  # of one CPU, for observing the processes that main processes left behind
_LONGEST_REST_S = 2.0
_FOREIGN_LOOK_S = 1.0  # between checks of a main process that we may not end


class Attempt:
    """A live attempt, which has no `Ended` yet. `at` is wall clock, other times are monotonic."""

    __slots__ = (
        "_ending",
        "_fault",
        "_holding",
        "_ladder",
        "_look_at",
        "_starter",
        "_stop_command",
        "_trees",
        "at",
        "begun",
        "child",
        "ended_at",
        "files",
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
        starter: Starter,
        *,
        at: float,
        begun: float,
    ) -> None:
        self.task = task
        self.child = child
        self.files = files
        self.at = at
        self.begun = begun
        self.observed = Observation(child.pid, begun, task.placement.cpu_ids)
        self.stopped = False  # a stop or a kill reached it before its end
        self.ended_at: Optional[float] = None  # when the main process was found dead
        self._trees = trees
        self._starter = starter
        self._stop_command: Optional[StopCommand] = None
        self._look_at: Optional[float] = None
        self._ladder: Optional[Ladder] = None  # not None while it is being stopped
        self._ending: Optional[Ending] = None  # not None if its main process left processes behind
        self._holding: Optional[OutputHolders] = None
        self._fault = ""  # why it failed although it exited well
        trees.add(child)

    @property
    def _rules(self) -> Rules:
        return self.task.rules

    @property
    def look_at(self) -> Optional[float]:
        """The monotonic time at which `advance` has something to do; None if no time is set."""
        return self._look_at if self._ladder is None else self._ladder.look_at

    # --- its stop and its tree ---------------------------------------------------------------

    def note_main_end(self, now: float) -> None:
        """Note that the main process is a zombie now."""
        self.ended_at = self._look_at = now
        self._trees.note_main_end()

    def stop(self, order: Stop, now: float) -> None:
        """Send the tree the stop signal; it is killed when its grace is over.

        Nothing happens if no process of the tree is left.
        """
        if self._is_gone():
            return
        self._note_stop()
        if self._ladder is None:
            self._ladder = self._make_ladder(order.grace_s, now, dump=order.dump)
        else:
            self._ladder.shorten(order.grace_s, now)

    def kill(self, now: float) -> None:
        """Kill the whole tree; `advance` repeats the kill until no process is left."""
        if self._is_gone():
            return
        self._note_stop()
        if self._ladder is None:
            self._ladder = self._make_ladder(0.0, now)
        self._ladder.force(now)

    def _is_gone(self) -> bool:
        if self.ended_at is None:
            return False
        self._trees.look()
        return not self.child.count_others()

    def _note_stop(self) -> None:
        """Note the stop: processes left behind, for which we waited, count as ended by us now."""
        self.stopped = self.stopped or not self._is_known_bad()
        if self._ending is not None and self._holding is not None:
            self._ending.note_ended(
                self._holding.find_leftovers(self._trees.list_processes(self.child))
            )

    def _is_known_bad(self) -> bool:
        """Whether the main process is known to have failed: a later stop does not change that."""
        code = self.child.code
        return self.ended_at is not None and code is not None and not self._rules.is_success(code)

    def _make_ladder(self, grace_s: float, now: float, *, dump: bool = False) -> Ladder:
        name, reach = self.task.rules.stop_signal, self.task.rules.stop_to
        tree: StopTarget = system.StopSignaller(self.child, self._trees, name=name, reach=reach)
        if self.task.unit.stop_command and self.ended_at is None and grace_s > 0:
            tree = self._stop_command = StopCommand(self._start_stop_command, self._trees, tree)
        request_dump = self.child.dump_stacks if dump else None
        return Ladder(tree, grace_s=grace_s, now=now, request_dump=request_dump)

    def _start_stop_command(self) -> system.Child:
        pid = {"pid": str(self.child.pid)}
        argv = tuple(fill_in(part, pid) for part in self.task.unit.stop_command)
        return self._starter.start_beside((self.child, self.files), argv)

    def advance(self, now: float, *, ending_count: int = 1) -> bool:
        """Take the due steps; true if its tree has ended and the main process can be reaped.

        `ending_count` is the number of attempts that are ending: the more, the less often each is
        observed.
        """
        if self.ended_at is not None:
            if not self.child.count_others():
                return True
            if self._ladder is None and (self._look_at is None or now >= self._look_at):
                self._advance_leftovers(now, ending_count)
            elif self._ending is None:
                self._note_leftovers()
        if self._ladder is not None:
            self._ladder.advance(now)
        return False

    def _advance_leftovers(self, now: float, ending_count: int) -> None:
        """Wait for the processes that the main process left behind, or begin to end them."""
        if self._holding is None:
            self._holding = OutputHolders(self.task, self.files)
        if self._ending is None:
            self._ending = self._make_ending(self._holding)
        begun = time.thread_time()
        left = self._holding.find_leftovers(self._trees.list_processes(self.child))
        rest_s = min((time.thread_time() - begun) * ending_count / _SHARE, _LONGEST_REST_S)
        grace_s = self._ending.find_due_grace_s(now, left)
        self._look_at = max(self._ending.look_at, now + rest_s)
        if grace_s is not None:
            self._ladder = self._make_ladder(grace_s, now)

    def _note_leftovers(self) -> None:
        """Count the processes left behind by a stopped main process as ended by the same stop."""
        holding = OutputHolders(self.task, self.files)
        self._ending = self._make_ending(holding)
        self._ending.note_ended(holding.find_leftovers(self._trees.list_processes(self.child)))

    def _make_ending(self, holding: OutputHolders) -> Ending:
        assert self.ended_at is not None
        rules = self._rules
        return Ending(
            at=self.ended_at,
            # If the exit code is unknown before the reaping, it counts as a success here: the
            # processes left behind then have time to finish their writes.
            is_good=not self.stopped and not self._is_known_bad(),
            linger_s=rules.linger_s,
            grace_s=rules.grace_s,
            has_outputs=holding.has_outputs,
            look=holding.look,
        )

    @property
    def orphans(self) -> Collection[int]:
        """The pids of its orphans that are our children now, whose ends we can wait for."""
        return self.child.orphans if self._trees.adopts else ()

    # --- its end -----------------------------------------------------------------------------

    def reap(self) -> system.ReapResult:
        """Reap the main process of an attempt whose tree is empty."""
        return self.child.reap()

    def try_to_give_up(self, now: float) -> Optional[system.ReapResult]:
        """Give up on an attempt that SIGKILL did not end in time; None if it may still end.

        A process stuck in the kernel runs no more code. A main process of another user
        (set-user-ID), which we may not kill, still runs: the attempt lasts until it ends.
        """
        ladder = self._ladder
        if ladder is None or ladder.killed_at is None or now - ladder.killed_at <= UNKILLABLE_S:
            return None
        if self.ended_at is not None:
            return self.child.reap()
        if not self.child.may_end():
            ladder.look_at = now + _FOREIGN_LOOK_S
            return None
        reason = f"process {self.child.pid} did not die within {UNKILLABLE_S:g} s of SIGKILL"
        return system.ReapResult(Vanished(reason))

    def end(self, reaped: system.ReapResult, *, at: float, now: float) -> Ended:
        """Return the fact of its end, and stop observing its tree."""
        self.observed.over = True
        ending = self._ending
        usage = self.observed.sum_usage(reaped, 0 if ending is None else len(ending.ended))
        if self._stop_command is not None:
            self._stop_command.close()
        self._trees.remove(self.child)
        self.child.give_up()  # from now on its pid may be reused
        if ending is not None and self._is_good(reaped.exit):
            self._fault = ending.find_fault()
        stdout, stderr = self.files.settle(well=self.is_well(reaped.exit))
        ended_at = now if self.ended_at is None else self.ended_at
        return Ended(
            self.task.attempt,
            reaped.exit,
            at,
            started=self.at,
            wall_s=ended_at - self.begun,
            pid=self.child.pid,
            usage=usage,
            stdout_path=stdout,
            stderr_path=stderr,
            stopped=self.stopped,
            fault=self._fault,
            remarks=self._collect_remarks(),
            linger_s=0.0 if ending is None else now - ending.at,
            program=self.files.program,
        )

    def _collect_remarks(self) -> Tuple[str, ...]:
        command, ending = self._stop_command, self._ending
        found = self.files.remarks
        if command is not None and command.remark:
            found = (*found, command.remark)
        return found if ending is None or self._fault else (*found, *ending.list_remarks())

    def is_well(self, exit_: Exit) -> bool:
        """Whether an exit is a good end: only then are the outputs inspected."""
        return self._is_good(exit_) and not self._fault

    def _is_good(self, exit_: Exit) -> bool:
        is_good = isinstance(exit_, Exited) and self.task.rules.is_success(exit_.code)
        return is_good and not self.stopped

    def inspect(self) -> Inspected:
        """Inspect the outputs of a good end, then remove the scratch folder.

        Never raises. May take long.
        """
        try:
            found = inspect(self.task, self.files.before, self.files.identify_made())
        except Exception as error:  # noqa: BLE001  unknown is never success, and never silence
            what = f"{type(error).__name__}: {error}"
            problem = f"its outputs could not be looked at: {what}"
            found = Inspected(self.task.attempt, problem=problem)
        remarks = self.files.clear()
        return msgspec.structs.replace(found, remarks=remarks) if remarks else found

    @property
    def needs_inspection(self) -> bool:
        """Whether `inspect` has any work for this attempt."""
        return self.task.is_inspected or self.files.scratch is not None

    # --- its CPUs ----------------------------------------------------------------------------

    def see_cpus(self, now: float) -> Optional[Sampled]:
        """Read which CPUs its main process may use; on Linux a zombie still shows its last ones."""
        if not self.child.pinned:
            return None
        cpus = machine.read_affinity(self.child.pid)
        return self.judge_drift(self.observed.see_affinity(cpus, now))

    def judge_drift(self, drifted: Optional[List[int]]) -> Optional[Sampled]:
        """Apply ``on-drift`` if the CPUs have changed; return the fact for the planner."""
        on_drift = self.task.rules.on_drift
        if drifted is None or on_drift == "record":
            return None
        if on_drift == "fail":
            self.stopped = True  # even if it ends before the planner orders the stop
        elif on_drift == "restore" and self.ended_at is None:
            try:
                machine.set_affinity(self.child.pid, self.observed.reference or drifted)
                self.observed.last = self.observed.reference
            except OSError:
                pass  # those CPUs are offline, or it runs as another user: the drift is recorded
        return Sampled(self.task.attempt, drifted)
