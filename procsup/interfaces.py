"""The seams: what the loop asks of the world, as Protocols. No implementation is named here."""

from typing import Iterator, List, Optional, Protocol, Sequence, Tuple

from procsup.core.events import (
    Expand,
    Fact,
    Publish,
    Settled,
    Start,
    Stop,
    UnitResult,
    Weigh,
    Withdraw,
)
from procsup.core.manifest import StageCounts
from procsup.core.outcome import AttemptId
from procsup.core.records import Record
from procsup.core.tally import Summary


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> float:
        """Monotonic seconds: for deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since 1970: for records only."""
        ...


class Engine(Protocol):
    """What starts, stops and waits for attempts.

    Its law: a unit's fault never raises, it arrives as ``Ended(NotStarted(...))``; each `start`
    is answered by exactly one `Ended`, which comes when the attempt's whole tree is gone, and
    each good end without a stop by one `Inspected` after it, from the host where the outputs were
    made; stopping or killing what has ended is a no-op; facts and orders are plain data.
    """

    def start(self, order: Start) -> None:
        """Start an attempt; `Started`, `Ended` and `Inspected` come from `wait`."""
        ...

    def stop(self, order: Stop) -> None:
        """Ask an attempt to end; the engine ends it by force when its grace is over."""
        ...

    def kill(self, attempt: AttemptId) -> None:
        """End the attempt's whole tree by force."""
        ...

    def wait(self, until: Optional[float]) -> List[Fact]:
        """Block until something happened, `wake` was called or the monotonic time `until`."""
        ...

    def wake(self) -> None:
        """Make `wait` return; callable from any thread and from signal handlers."""
        ...

    def close(self) -> List[Fact]:
        """End every tree and release everything; return the facts that `wait` had not told.

        No process is left on return.
        """
        ...


class Journal(Protocol):
    """The append-only truth. Any failure to write or sync raises RecordError, now or next time."""

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
    """Works out stages, on a side thread; facts come from `drain`."""

    def expand(self, order: Expand) -> None:
        """Work out a stage's units: answered by one `Expanded`."""
        ...

    def weigh(self, order: Weigh) -> None:
        """Look again at the files of some units: answered by one `Weighed`."""
        ...

    def drain(self) -> List[Fact]:
        """Return what was found since the last call."""
        ...


class Interrupts(Protocol):
    """Signals, the guard's death and control requests, as facts."""

    def next_look(self) -> Optional[float]:
        """The monotonic time at which `drain` must be called even if the engine was not woken."""
        ...

    def drain(self) -> List[Fact]:
        """Return what came since the last call: `Interrupted` and `Asked`."""
        ...


class Publisher(Protocol):
    """Manifests and stamps, by which others learn of completion; in order, on a side thread.

    Before each of its deeds the journal is synced. Facts come from `drain`.
    """

    def withdraw(self, order: Withdraw) -> None:
        """Remove the manifests and stamps of these stages and of the run.

        Answered by one `TakenBack`, when that is durable.
        """
        ...

    def publish(
        self,
        order: Publish,
        counts: Sequence[Tuple[str, StageCounts]],
        results: Iterator[UnitResult],
    ) -> None:
        """Write the manifest and the stamp of a stage or of the run, then wake its waiters.

        Answered by one `Published`, when they are durable. `counts` are those of the stage, or of
        all; `results` are asked for on the side thread.
        """
        ...

    def drain(self) -> List[Fact]:
        """Return what was done since the last call; RecordError if something could not be done.

        Nothing that stands in line behind a failure is done any more.
        """
        ...


class Watcher(Protocol):
    """A watcher of the run's events; its failures never reach the run."""

    def settled(self, order: Settled) -> None:
        """A unit's end is on disk."""
        ...

    def show(self, summary: Summary) -> None:
        """The run as it stands; called once a turn, must be cheap."""
        ...

    def close(self) -> None:
        """The sitting is over: restore the terminal."""
        ...
