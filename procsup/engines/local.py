"""The engine of this machine: children of this process, their trees, their logs.

An attempt is over when its whole tree is gone. Its main process stays a zombie until then, so
that its pid and its group are pinned while what it left behind is ended; only then is its exit
status taken, once.
"""

from typing import Dict, List, Mapping, Optional, Tuple

from procsup.attempt.aftermath import Aftermath
from procsup.attempt.child import Started, Starter
from procsup.attempt.context import RunContext
from procsup.attempt.outputs import stamps_before
from procsup.attempt.sampler import Sampler, Watched
from procsup.core.events import Ended, Fact, Sampled, Start
from procsup.core.events import Started as StartedFact
from procsup.core.outcome import AttemptId, Exit, Exited, NotStarted, Usage, Vanished
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec, StageSpec, UnitSpec
from procsup.host import machine, system
from procsup.host.readings import Stamp
from procsup.interfaces import Clock

__all__ = ["LocalEngine"]

_UNKILLABLE_S = 10.0  # after a SIGKILL: what still lives then is stuck in the kernel
_SHORTEST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.05
_ROUNDS = 20  # of killing without a pause, while each still finds new processes
_GATHER_S = 0.002  # the news of a start may wait so long for company
_REAP_S = 1.0  # adopted zombies wait so long at most


class _Live:
    """An attempt whose end has not been told."""

    __slots__ = (
        "at",
        "attempt",
        "begun",
        "child",
        "ended_at",
        "killed_at",
        "next_round",
        "pause_s",
        "stage",
        "started",
        "stopped",
        "watched",
    )

    def __init__(
        self, order: Start, stage: StageSpec, started: Started, *, at: float, begun: float
    ) -> None:
        self.attempt = order.attempt
        self.stage = stage
        self.started = started
        self.child = started.child
        self.at = at
        self.begun = begun
        self.watched = Watched(self.attempt, self.child.pid, self.begun, order.placement.cpu_ids)
        self.ended_at: Optional[float] = None  # when the main process was found dead
        self.killed_at: Optional[float] = None  # since when the tree is being killed
        self.next_round = 0.0
        self.pause_s = _SHORTEST_PAUSE_S
        self.stopped = False


class LocalEngine:
    """Starts, watches and ends attempts on this machine. Belongs to the main thread."""

    def __init__(
        self,
        spec: RunSpec,
        context: RunContext,
        *,
        clock: Clock,
        capacity: Capacity,
        sampling: bool = True,
        exits: Optional[system.ExitNotifier] = None,
    ) -> None:
        self._stages = {stage.name: stage for stage in spec.stages}
        self._clock = clock
        self._capacity = capacity
        self._starter = Starter(context, merged_logs=spec.logs == "merged")
        self._aftermath = Aftermath(context.run_dir)
        self._exits = system.exit_notifier() if exits is None else exits
        self._trees = system.Trees(context.run_id, context.mark_base)
        self._sampler = Sampler(machine.sample_tree) if sampling else None
        self._live: Dict[AttemptId, _Live] = {}
        self._by_pid: Dict[int, _Live] = {}
        self._ending: Dict[AttemptId, _Live] = {}  # those being killed, or with a dead main process
        self._before: Dict[AttemptId, Mapping[str, Optional[Stamp]]] = {}
        self._scratch: Dict[AttemptId, str] = {}
        self._facts: List[Fact] = []
        self._looked_at = 0.0
        self._closed = False
        self.survivors: Tuple[int, ...] = ()

    # --- the seam ----------------------------------------------------------------------------

    def capacity(self) -> Capacity:
        """What may be used at once."""
        return self._capacity

    def start(self, order: Start) -> None:
        """Start an attempt; `Started` and `Ended` come from `wait`."""
        attempt, stage = order.attempt, self._stages[order.unit.stage]
        if _is_inspected(order.unit):
            self._before[attempt] = stamps_before(order.unit)
        at, begun = self._clock.wall(), self._clock.now()
        started = self._starter.start(order, stage)
        if isinstance(started, NotStarted):
            self._before.pop(attempt, None)
            self._facts.append(Ended(attempt, started, self._clock.wall()))
            return
        if started.scratch_path is not None:
            self._scratch[attempt] = started.scratch_path
        live = _Live(order, stage, started, at=at, begun=begun)
        self._live[attempt] = live
        self._by_pid[live.child.pid] = live
        self._trees.add(live.child)
        self._exits.watch(live.child.pid)
        drifted = live.watched.see_affinity(machine.read_affinity(live.child.pid), live.begun)
        child = live.child
        self._facts.append(StartedFact(attempt, child.pid, live.at, child.born, child.mark))
        self._judge_drift(live, drifted)
        if self._sampler is not None:
            self._sampler.add(live.watched, live.begun)

    def stop(self, attempt: AttemptId, *, dump: bool = False, insist: bool = False) -> None:
        """Ask the attempt's main process to end."""
        live = self._live.get(attempt)
        if live is not None:
            live.stopped = True
            live.child.stop(dump=dump, insist=insist)

    def kill(self, attempt: AttemptId) -> None:
        """End the attempt's whole tree by force; what it takes goes on in `wait`."""
        live = self._live.get(attempt)
        if live is None or live.killed_at is not None:
            return
        live.stopped = True
        live.killed_at = self._clock.now()
        self._ending[attempt] = live
        self._kill_round(live)

    def wait(self, until: Optional[float]) -> List[Fact]:
        """Block until something happened, `wake` was called or the monotonic time `until`.

        The news that an attempt started may come a little later, with its end if that is soon.
        """
        while True:
            called = self._turn(until)
            if called or self._facts or (until is not None and self._clock.now() >= until):
                facts, self._facts = self._facts, []
                return facts

    def wake(self) -> None:
        """Make `wait` return; callable from any thread and from signal handlers."""
        self._exits.wake()

    def watch_fd(self, fd: int) -> None:
        """Let `wait` return when this becomes readable; it is not read here (POSIX)."""
        self._exits.watch_fd(fd)

    def readings_before(self, attempt: AttemptId) -> Mapping[str, Optional[Stamp]]:
        """Return what the attempt's files were like just before its start, until `forget`."""
        return self._before.get(attempt, {})

    def forget(self, attempt: AttemptId) -> None:
        """Drop what was kept for the inspection of an attempt that ended well; from any thread."""
        self._before.pop(attempt, None)
        scratch = self._scratch.pop(attempt, None)
        if scratch is not None:
            self._aftermath.clear(scratch)

    def close(self) -> None:
        """End every tree and release everything; returns when no process is left.

        What cannot be ended within 10 s is left behind, its pids in `survivors`.
        """
        if self._closed:
            return
        self._closed = True
        for attempt in list(self._live):
            self.kill(attempt)
        limit = self._clock.now() + _UNKILLABLE_S + 1.0
        while self._live and self._clock.now() < limit:
            self._turn(limit)
        left = self._trees.end_rest(_UNKILLABLE_S)
        self.survivors = (*left, *(live.child.pid for live in self._live.values()))
        self._exits.close()
        self._trees.close()
        self._starter.close()
        self._aftermath.close()

    # --- one turn ----------------------------------------------------------------------------

    def _turn(self, until: Optional[float]) -> bool:
        """Wait once, and do what is due; tell whether somebody called."""
        notice = self._exits.wait(self._time_to_wait_s(until))
        for pid in notice.pids:
            live = self._by_pid.get(pid)
            if live is not None and live.child.has_ended():
                self._main_ended(live)
        now = self._clock.now()
        if self._ending or now - self._looked_at > _REAP_S:
            self._trees.look()  # once a turn, however many ended
            self._looked_at = now
        for live in list(self._ending.values()):
            self._tend(live, now)
        if self._sampler is not None and not notice.pids:
            watched, drifted = self._sampler.sample_one(now)
            if watched is not None and watched.attempt in self._live:
                self._judge_drift(self._live[watched.attempt], drifted)
        return notice.called

    def _time_to_wait_s(self, until: Optional[float]) -> Optional[float]:
        times = [] if until is None else [until]
        if self._sampler is not None:
            due = self._sampler.next_due()
            if due is not None:
                times.append(due)
        times.extend(live.next_round for live in self._ending.values())
        now = self._clock.now()
        if self._facts:
            only_starts = all(type(fact) is StartedFact for fact in self._facts)
            times.append(now + _GATHER_S if only_starts else now)
        return max(0.0, min(times) - now) if times else None

    # --- ends ----------------------------------------------------------------------------------

    def _main_ended(self, live: _Live) -> None:
        live.ended_at = self._clock.now()
        self._ending[live.attempt] = live
        self._trees.main_ended(live.child)
        if live.child.pinned:  # Linux tells a zombie's last CPUs: most units are never sampled
            cpus = machine.read_affinity(live.child.pid)
            self._judge_drift(live, live.watched.see_affinity(cpus, live.ended_at))

    def _tend(self, live: _Live, now: float) -> None:
        """Bring an attempt that is ending nearer to its end."""
        if live.ended_at is not None and not live.child.others():
            self._tell_end(live, live.child.reap())
            return
        if live.killed_at is None:
            live.killed_at = now  # the main process has left others behind
        if now - live.killed_at > _UNKILLABLE_S and self._give_up(live):
            return
        if now >= live.next_round:
            self._kill_round(live)

    def _kill_round(self, live: _Live) -> None:
        for _ in range(_ROUNDS):
            if not self._trees.kill(live.child).fresh:
                break
            self._trees.look()
        live.next_round = self._clock.now() + live.pause_s
        live.pause_s = min(live.pause_s * 2, _LONGEST_PAUSE_S)

    def _give_up(self, live: _Live) -> bool:
        """Tell the end of what SIGKILL did not end: stuck in the kernel, it does no more.

        A main process of somebody else's (set-user-ID) is alive, and may not be ended by us: its
        attempt is not over before it is.
        """
        if live.ended_at is not None:
            self._tell_end(live, live.child.reap())
            return True
        if not live.child.may_end():
            live.next_round = self._clock.now() + _REAP_S
            return False
        reason = f"process {live.child.pid} did not die within {_UNKILLABLE_S:g} s of SIGKILL"
        self._tell_end(live, system.Departure(Vanished(reason)))
        live.child.give_up()
        return True

    def _tell_end(self, live: _Live, departure: system.Departure) -> None:
        attempt, child, started = live.attempt, live.child, live.started
        live.watched.over = True
        usage = _usage(live.watched, departure, child.leftovers)
        self._exits.forget(child.pid)
        self._trees.remove(child)
        for table in (self._live, self._ending):
            table.pop(attempt, None)
        del self._by_pid[child.pid]
        well = not live.stopped and _is_well(departure.exit, live.stage)
        stdout, stderr = self._aftermath.settle(started, well=well)
        if not well:
            self._before.pop(attempt, None)
            self._scratch.pop(attempt, None)  # left for whoever looks into it
        elif attempt not in self._before:
            self.forget(attempt)  # nobody will inspect it
        ended_at = self._clock.now() if live.ended_at is None else live.ended_at
        self._facts.append(
            Ended(
                attempt,
                departure.exit,
                self._clock.wall(),
                started=live.at,
                wall_s=ended_at - live.begun,
                pid=child.pid,
                usage=usage,
                stdout_path=stdout,
                stderr_path=stderr,
            )
        )

    def _judge_drift(self, live: _Live, drifted: Optional[List[int]]) -> None:
        if drifted is None or live.stage.on_drift == "record":
            return
        self._facts.append(Sampled(live.attempt, drifted))
        if live.stage.on_drift == "fail":
            live.stopped = True  # whether or not it ends before the planner has asked for that
        elif live.stage.on_drift == "restore" and live.ended_at is None:
            try:
                machine.set_affinity(live.child.pid, live.watched.reference or drifted)
            except OSError:
                return  # those CPUs are offline, or it runs as somebody else: it is recorded
            live.watched.last = live.watched.reference


def _is_inspected(unit: UnitSpec) -> bool:
    """Tell whether the unit has files that are looked at after a good end."""
    return bool(
        unit.outputs or unit.inputs or unit.depends or unit.stdin or unit.stdout or unit.stderr
    )


def _is_well(exit_: Exit, stage: StageSpec) -> bool:
    return isinstance(exit_, Exited) and exit_.code in stage.success_codes


def _usage(watched: Watched, departure: system.Departure, leftovers: int) -> Usage:
    peak, source = watched.peak_memory_bytes, "sampled"
    if peak is None:
        peak, source = departure.peak_memory_bytes, "rusage"
    return Usage(
        cpu_user_s=departure.cpu_user_s,
        cpu_system_s=departure.cpu_system_s,
        peak_memory_bytes=peak,
        peak_memory_source=None if peak is None else source,
        peak_processes=watched.peak_processes,
        samples=watched.samples,
        sample_interval_s=watched.mean_interval_s(),
        leftovers=leftovers,
        affinity=watched.affinity(),
    )
