"""The interfaces that the loop uses, as Protocols. No implementation is named here."""

from typing import Iterator, List, Optional, Protocol, Sequence, Tuple

from procsup.core.events import (
    Expand,
    Fact,
    Publish,
    Settled,
    Spill,
    Start,
    Stop,
    UnitResult,
    Weigh,
    Withdraw,
)
from procsup.core.manifest import StageCounts
from procsup.core.outcome import AttemptId
from procsup.core.plan.summary import Summary
from procsup.core.records import Record


class Clock(Protocol):
    """The two clocks."""

    def now(self) -> float:
        """Monotonic seconds: for deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since 1970: for records only."""
        ...


class Engine(Protocol):
    """Starts, stops and waits for attempts.

    Every engine guarantees: the failure of a unit raises nothing, it arrives as a fact such as
    ``Ended(NotStarted(...))``.
    Each `start` is answered by exactly one `Ended`, which comes when the attempt's whole tree has
    ended, and each good end without a stop by one `Inspected` after it, from the host where the
    outputs were made. Stopping or killing an ended attempt is a no-op. Facts and orders are plain
    data.
    """

    def start(self, order: Start) -> None:
        """Start an attempt; `Started`, `Ended` and `Inspected` come from `wait`."""
        ...

    def stop(self, order: Stop) -> None:
        """Ask an attempt to end; the engine kills it when its grace is over."""
        ...

    def kill(self, attempt: AttemptId) -> None:
        """Kill the attempt's whole tree."""
        ...

    def wait(self, until: Optional[float]) -> List[Fact]:
        """Block until there are facts, `wake` was called or the monotonic time `until`."""
        ...

    def wake(self) -> None:
        """Make `wait` return; callable from any thread and from signal handlers."""
        ...

    def close(self) -> List[Fact]:
        """End every tree and release everything; return the facts that `wait` has not returned.

        No process is left on return.
        """
        ...


class Journal(Protocol):
    """The append-only journal. A failed write or sync raises RecordError, at once or in the next
    call."""

    def append(self, records: Sequence[Record]) -> int:
        """Write the records (not yet synced); return the number of the last one.

        A sync follows on the journal's own thread, and a `Synced` fact after it.
        """
        ...

    def sync(self) -> None:
        """Return when everything appended is on disk."""
        ...

    def drain(self) -> List[Fact]:
        """Return the `Synced` facts since the last call; RecordError if a sync failed."""
        ...


class Expander(Protocol):
    """Expands stages, on a side thread; facts come from `drain`."""

    def expand(self, order: Expand) -> None:
        """Expand a stage's units: answered by one `Expanded`."""
        ...

    def weigh(self, order: Weigh) -> None:
        """Compare the files of some units again: answered by one `Weighed`."""
        ...

    def drain(self) -> List[Fact]:
        """Return the facts since the last call."""
        ...


class Interrupts(Protocol):
    """Signals, the guard's death and control requests, as facts."""

    def next_look(self) -> Optional[float]:
        """The monotonic time at which `drain` must be called even if the engine was not woken."""
        ...

    def drain(self) -> List[Fact]:
        """Return the facts since the last call: `Interrupted` and `Asked`."""
        ...


class Gauge(Protocol):
    """Readings of the machine's memory and load, as facts."""

    def measure(self) -> None:
        """Take a reading: answered by one `Measured`."""
        ...

    def drain(self) -> List[Fact]:
        """Return the readings since the last call."""
        ...


class Publisher(Protocol):
    """Manifests and stamps, which show the completion; in order, on a side thread.

    The journal is synced before each step. Facts come from `drain`.
    """

    def withdraw(self, order: Withdraw) -> None:
        """Remove the manifests and stamps of these stages and of the run.

        Answered by one `TakenBack`, when that is durable.
        """
        ...

    def spill(self, order: Spill) -> None:
        """Hold results on disk until their manifest is written."""
        ...

    def publish(
        self,
        order: Publish,
        counts: Sequence[Tuple[str, StageCounts]],
        results: Iterator[UnitResult],
    ) -> None:
        """Write the manifest and the stamp of a stage or of the run, then wake its waiters.

        What was spilled before is in it, too.

        Answered by one `Published`, when they are durable. `counts` are those of the stage, or of
        all stages; the side thread iterates over `results`.
        """
        ...

    def drain(self) -> List[Fact]:
        """Return the facts since the last call; RecordError if an order failed.

        Orders queued behind a failed one are dropped.
        """
        ...


class Watcher(Protocol):
    """A watcher of the run's events; its failures never reach the run."""

    def note_start(self, order: Start) -> None:
        """An attempt is started; units of a stage begin in the order of its plan."""
        ...

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk."""
        ...

    def show(self, summary: Summary) -> None:
        """Show the present state of the run; called once a turn, must be cheap."""
        ...

    def close(self) -> None:
        """The sitting is over: restore the terminal."""
        ...


class Printer(Watcher, Protocol):
    """A watcher that writes what units print, on a thread of its own.

    `gone` is true once stdout has no reader any more; `problem` describes another error of writing.
    """

    @property
    def gone(self) -> bool:
        """Stdout has no reader any more."""
        ...

    @property
    def problem(self) -> str:
        """An error of writing; empty if there is none."""
        ...

    def finish(self) -> None:
        """Return when all is written, or cannot be."""
        ...
