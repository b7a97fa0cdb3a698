"""An engine in another process, behind a pipe: the same attempts, orders and facts as lines.

No verb and no option uses it. It shows that all orders and facts can be sent as lines, and is the
supervisor's half of an engine that runs units elsewhere.
"""

from typing import Dict, List, Optional, Set

from procsup.attempt.context import RunContext
from procsup.core.events import Ended, Fact, Inspected, Kill, Start, Started, Stop
from procsup.core.outcome import AttemptId, NotStarted, Vanished
from procsup.core.task import Rules
from procsup.engines.wire import ORDERS, SAID, SETTINGS, EngineOrder, Failed, Setting
from procsup.errors import RecordError
from procsup.host import system
from procsup.host.pipes import WireProcess
from procsup.interfaces import Clock

# The guard is forked before anything else is imported.
_ENTRY = """\
from procsup.host.guard import fork_supervisor
fork_supervisor()
from procsup.engines.serve import serve
sys.exit(serve())
"""
_ENDS_S = 30.0  # longer than a local engine needs to give up processes that cannot be ended
_GONE_S = 5.0
_DIED = "the process that ran it died"


class _Live:
    """An attempt whose `Ended` has not arrived: its rules, its start and its pid."""

    __slots__ = ("pid", "rules", "started")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.started: Optional[float] = None
        self.pid: Optional[int] = None


class PipedEngine:
    """Runs attempts through another process, which starts and ends them; for the main thread.

    That process is started with the context's environment, which units inherit; `Setting` sends it
    the rest of the context. If it dies, its guard ends its trees, and each of its attempts ends as
    `Vanished`; later starts fail.
    """

    def __init__(self, context: RunContext, *, clock: Clock, sampling: bool = True) -> None:
        self._far = WireProcess(_ENTRY, context.environment)
        self._clock = clock
        self._notifier = system.exit_notifier()
        self._live: Dict[AttemptId, _Live] = {}
        self._inspecting: Set[AttemptId] = set()
        self._facts: List[Fact] = []
        self._is_called = False
        self._is_over = False
        self._closed = False
        setting = Setting(
            context.run_id,
            str(context.run_dir),
            context.mark_base,
            context.units_lock_path,
            sampling,
        )
        self._far.tell(SETTINGS.encode(setting) + b"\n")
        self._far.listen(self._notifier.wake)

    # --- the engine's interface --------------------------------------------------------------

    def start(self, order: Start) -> None:
        """Send the start of an attempt; `Started`, `Ended` and `Inspected` come from `wait`."""
        if self._is_over:
            problem = NotStarted("the process that runs units has died")
            self._facts.append(Ended(order.attempt, problem, self._clock.wall()))
            return
        self._live[order.attempt] = _Live(order.task.rules)
        self._tell(order)

    def stop(self, order: Stop) -> None:
        """Send the stop of an attempt; it is killed when its grace is over."""
        if order.attempt in self._live:
            self._tell(order)

    def kill(self, attempt: AttemptId) -> None:
        """Send the kill of the attempt's whole tree."""
        if attempt in self._live:
            self._tell(Kill(attempt))

    def wait(self, until: Optional[float]) -> List[Fact]:
        """Block until there are facts, `wake` was called or the monotonic time `until`.

        RecordError if the other process reported that the run directory is damaged.
        """
        while True:
            self._hear()
            is_late = until is not None and self._clock.now() >= until
            if self._facts or self._is_called or is_late:
                self._is_called = False
                return self._take_facts()
            self._sleep(until)

    def wake(self) -> None:
        """Make `wait` return; callable from any thread and from signal handlers."""
        self._is_called = True
        self._notifier.wake()

    def close(self) -> List[Fact]:
        """Close the pipe, which ends every tree, and return when no process is left.

        A process that does not end in time is left behind.
        """
        if self._closed:
            return []
        self._closed = True
        self._far.finish()
        limit = self._clock.now() + _ENDS_S
        while not self._is_over and self._clock.now() < limit:
            self._sleep(limit)
            self._hear(closing=True)
        self._far.close(timeout_s=_GONE_S if self._is_over else 0.0)
        self._notifier.close()
        return self._take_facts()

    # --- the pipe ----------------------------------------------------------------------------

    def _tell(self, order: EngineOrder) -> None:
        self._far.tell(ORDERS.encode(order) + b"\n")

    def _sleep(self, until: Optional[float]) -> None:
        """Wait for a line, a call of `wake` or the time `until`."""
        now = self._clock.now()
        self._notifier.wait(None if until is None else max(0.0, until - now))

    def _hear(self, *, closing: bool = False) -> None:
        is_over = self._far.is_over  # read before the last lines are taken
        for line in self._far.take():
            said = SAID.decode(line)
            if not isinstance(said, Failed):
                self._note(said)
                self._facts.append(said)
            elif not closing:
                raise RecordError(said.problem)
        if is_over and not self._is_over:
            self._is_over = True
            self._note_death()

    def _note(self, fact: Fact) -> None:
        if isinstance(fact, Started):
            live = self._live[fact.attempt]
            live.started, live.pid = fact.at, fact.pid
        elif isinstance(fact, Ended):
            rules = self._live.pop(fact.attempt).rules
            if fact.is_good(rules):
                self._inspecting.add(fact.attempt)
        elif isinstance(fact, Inspected):
            self._inspecting.discard(fact.attempt)

    def _note_death(self) -> None:
        """End the attempts whose ends did not arrive; the guard has ended their trees."""
        at = self._clock.wall()
        for attempt, live in self._live.items():
            end = Ended(attempt, Vanished(_DIED), at, started=live.started, pid=live.pid)
            self._facts.append(end)
        for attempt in self._inspecting:
            problem = "the process that ran it died before it had looked at its outputs"
            self._facts.append(Inspected(attempt, problem=problem))
        self._live.clear()
        self._inspecting.clear()

    def _take_facts(self) -> List[Fact]:
        facts, self._facts = self._facts, []
        return facts
