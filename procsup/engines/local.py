"""The engine of this machine: it starts attempts, waits for their events, and ends them."""

from functools import partial
from typing import Dict, List, Optional, Set

from procsup.attempt.attempt import UNKILLABLE_S, Attempt
from procsup.attempt.context import RunContext
from procsup.attempt.observation import Sampler
from procsup.attempt.start import Starter
from procsup.core.events import Ended, Fact, Inspected, Start, Started, Stop
from procsup.core.outcome import AttemptId, NotStarted
from procsup.host import machine, system
from procsup.host.threads import Pool, ResultQueue
from procsup.interfaces import Clock

_GATHER_S = 0.002  # `Started` facts are held this long, to be handed over with others
_REAP_S = 1.0  # adopted zombies are reaped after this time at the latest
_INSPECTORS = 2
_INSPECTED_S = 5.0  # an inspection may hang in a dead file system


class LocalEngine:
    """Starts, watches and ends attempts on this machine. Belongs to the main thread."""

    def __init__(
        self,
        context: RunContext,
        *,
        clock: Clock,
        sampling: bool = True,
        exits: Optional[system.ExitNotifier] = None,
    ) -> None:
        self._clock = clock
        self._starter = Starter(context)
        self._exits = system.exit_notifier() if exits is None else exits
        self._trees = system.Trees(context.run_id, context.mark_base)
        self._sampler = Sampler(machine.sample_tree) if sampling else None
        self._live: Dict[AttemptId, Attempt] = {}
        self._by_pid: Dict[int, Attempt] = {}
        self._ending: Dict[AttemptId, Attempt] = {}  # stopped, or main has ended
        self._watched: Set[int] = set()  # adopted processes
        self._facts: List[Fact] = []
        self._inspectors = Pool("procsup-inspect", _INSPECTORS)
        self._inspected: ResultQueue[Fact] = ResultQueue(self.wake)
        self._looked_at = 0.0
        self._closed = False

    # --- the engine's interface --------------------------------------------------------------

    def start(self, order: Start) -> None:
        """Start an attempt; `Started`, `Ended` and `Inspected` come from `wait`."""
        task = order.task
        at, begun = self._clock.wall(), self._clock.now()
        started = self._starter.start(task)
        if isinstance(started, NotStarted):
            self._facts.append(Ended(task.attempt, started, self._clock.wall()))
            return
        attempt = Attempt(task, *started, self._trees, self._starter, at=at, begun=begun)
        self._live[task.attempt] = attempt
        self._by_pid[attempt.child.pid] = attempt
        self._exits.watch(attempt.child.pid)
        child = attempt.child
        self._facts.append(Started(task.attempt, child.pid, at, child.born, child.mark))
        self._tell(attempt.see_cpus(begun))
        if self._sampler is not None:
            self._sampler.add(attempt.observed, begun)

    def stop(self, order: Stop) -> None:
        """Ask an attempt to end; it is killed when its grace is over."""
        now = self._clock.now()
        attempt = self._begin_end(order.attempt, now)
        if attempt is not None:
            attempt.stop(order, now)

    def kill(self, attempt: AttemptId) -> None:
        """Kill the attempt's whole tree; `wait` repeats the kill until no process is left."""
        now = self._clock.now()
        live = self._begin_end(attempt, now)
        if live is not None:
            live.kill(now)

    def wait(self, until: Optional[float]) -> List[Fact]:
        """Block until there are facts, `wake` was called or the monotonic time `until`.

        The fact of a start may come a little later, together with its end if that is soon.
        """
        while True:
            called = self._take_turn(until)
            if called or self._facts or (until is not None and self._clock.now() >= until):
                return self._take_facts()

    def wake(self) -> None:
        """Make `wait` return; callable from any thread and from signal handlers."""
        self._exits.wake()

    def close(self) -> List[Fact]:
        """End every tree and release everything; returns when no process is left.

        What cannot be ended within 10 s is left to the guard, which names the processes that stay.
        """
        if self._closed:
            return []
        self._closed = True
        for attempt in list(self._live):
            self.kill(attempt)
        limit = self._clock.now() + UNKILLABLE_S + 1.0
        while self._live and self._clock.now() < limit:
            self._take_turn(limit)
        self._trees.end_rest(UNKILLABLE_S)
        self._inspectors.close()
        self._inspectors.join(self._clock.now() + _INSPECTED_S)
        self._exits.close()
        self._trees.close()
        self._starter.close()
        return self._take_facts()

    def _take_facts(self) -> List[Fact]:
        facts, self._facts = self._facts, []
        return facts

    def _tell(self, fact: Optional[Fact]) -> None:
        if fact is not None:
            self._facts.append(fact)

    # --- one turn ----------------------------------------------------------------------------

    def _take_turn(self, until: Optional[float]) -> bool:
        """Wait once and do what is due; return whether `wake` was called."""
        notice = self._exits.wait(self._compute_time_to_wait_s(until))
        now = self._clock.now()
        for pid in notice.pids:
            attempt = self._by_pid.get(pid)
            if attempt is None:
                self._forget(pid)  # an adopted process, which has ended
            elif attempt.child.has_ended():
                self._note_main_end(attempt, now)
        if self._ending or now - self._looked_at > _REAP_S:
            self._trees.look()  # once a turn, for any number of ends
            self._looked_at = now
        for attempt in list(self._ending.values()):
            self._advance(attempt, now)
        self._facts.extend(self._inspected.take())  # in every turn: the wake-up may have been lost
        if self._sampler is not None and not notice.pids:
            self._sample(now)
        return notice.called

    def _compute_time_to_wait_s(self, until: Optional[float]) -> Optional[float]:
        times = [] if until is None else [until]
        if self._sampler is not None:
            due = self._sampler.next_due()
            if due is not None:
                times.append(due)
        times.extend(live.look_at for live in self._ending.values() if live.look_at is not None)
        now = self._clock.now()
        if self._facts:
            only_starts = all(type(fact) is Started for fact in self._facts)
            times.append(now + _GATHER_S if only_starts else now)
        return max(0.0, min(times) - now) if times else None

    def _sample(self, now: float) -> None:
        assert self._sampler is not None
        observed, drifted = self._sampler.sample_one(now)
        attempt = None if observed is None else self._by_pid.get(observed.pid)
        if attempt is not None and attempt.observed is observed:
            self._tell(attempt.judge_drift(drifted))

    # --- ends ----------------------------------------------------------------------------------

    def _begin_end(self, attempt: AttemptId, now: float) -> Optional[Attempt]:
        """Note that an attempt must end, and return it; None if it has ended.

        If its main process has ended already, that is noted first: the order did not cause it.
        """
        live = self._live.get(attempt)
        if live is not None:
            if live.ended_at is None and live.child.has_ended(noticed=False):
                self._note_main_end(live, now)
            self._ending[attempt] = live
        return live

    def _note_main_end(self, attempt: Attempt, now: float) -> None:
        self._ending[attempt.task.attempt] = attempt
        self._exits.forget(attempt.child.pid)  # it would be reported in every turn
        attempt.note_main_end(now)
        self._tell(attempt.see_cpus(now))  # most units are never sampled

    def _advance(self, attempt: Attempt, now: float) -> None:
        """Do the next step of an attempt that is ending."""
        if attempt.advance(now, ending_count=len(self._ending)):
            self._end(attempt, attempt.reap())
            return
        for pid in attempt.orphans:
            self._watch(pid)
        reaped = attempt.try_to_give_up(now)
        if reaped is not None:
            self._end(attempt, reaped)

    def _watch(self, pid: int) -> None:
        """Wake the engine when an adopted process ends."""
        if pid not in self._watched:
            self._watched.add(pid)
            self._exits.watch(pid)

    def _forget(self, pid: int) -> None:
        self._watched.discard(pid)
        self._exits.forget(pid)

    def _end(self, attempt: Attempt, reaped: system.ReapResult) -> None:
        self._exits.forget(attempt.child.pid)
        for table in (self._live, self._ending):
            table.pop(attempt.task.attempt, None)
        del self._by_pid[attempt.child.pid]
        now, at = self._clock.now(), self._clock.wall()
        self._facts.append(attempt.end(reaped, at=at, now=now))
        if not attempt.is_well(reaped.exit):
            return
        if attempt.needs_inspection:
            self._inspectors.add(partial(self._inspect, attempt))
        else:
            self._facts.append(Inspected(attempt.task.attempt))

    def _inspect(self, attempt: Attempt) -> None:
        """Inspect an attempt's outputs, on a thread of the inspectors."""
        self._inspected.put(attempt.inspect())
