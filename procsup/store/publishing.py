"""Withdraws and publishes on a side thread, one after another: the loop never waits for a disk."""

from typing import Callable, Iterator, List, Optional, Protocol, Sequence, Tuple

from procsup.core.events import Fact, Publish, Published, Spill, TakenBack, UnitResult, Withdraw
from procsup.core.manifest import StageCounts
from procsup.host.threads import Pool, ResultQueue
from procsup.seams import seam
from procsup.store.journal import JournalWriter
from procsup.store.spilled import SpilledResults

_Counts = Sequence[Tuple[str, StageCounts]]


class Manifests(Protocol):
    """Writes and removes manifests; durable on return, RecordError if that fails."""

    def withdraw(self, stages: Sequence[str]) -> None:
        """Remove the manifests and stamps of these stages and of the run."""
        ...

    def publish_stage(self, stage: str, counts: StageCounts, results: Iterator[UnitResult]) -> None:
        """Write a stage's manifest and stamp, then wake its waiters."""
        ...

    def publish_run(self, status: str, counts: _Counts, results: Iterator[UnitResult]) -> None:
        """Write the run's manifest, its visible copy and its stamp, then wake its waiters."""
        ...


class PublishingQueue:
    """A `Publisher` that carries out orders with `manifests`, on one thread and in sequence.

    The results must be final before the order, as they are in the planner's closed stages: their
    units have a verdict, no attempt of them is live, and a retry of them is refused. After the
    order both threads only read them.
    """

    def __init__(
        self,
        manifests: Manifests,
        journal: JournalWriter,
        spilled: SpilledResults,
        *,
        wake: Callable[[], None],
    ) -> None:
        self._manifests = manifests
        self._spilled = spilled
        self._journal = journal
        self._wake = wake
        self._done: ResultQueue[Fact] = ResultQueue(wake)
        self._failure: Optional[Exception] = None
        self._line = Pool("procsup-publish", 1)

    def withdraw(self, order: Withdraw) -> None:
        """Remove the manifests and stamps of these stages and of the run; gives one `TakenBack`."""
        self._add(lambda: self._take_back(order))

    def spill(self, order: Spill) -> None:
        """Hold these results on disk until a manifest with them is published."""
        self._line.add(lambda: self._try(lambda: self._spilled.add(order.results)))

    def publish(self, order: Publish, counts: _Counts, results: Iterator[UnitResult]) -> None:
        """Write the manifest and stamp of a stage or of the run; gives one `Published`."""
        self._add(lambda: self._put_out(order, counts, self._spilled.merge(results)))

    def drain(self) -> List[Fact]:
        """Return the facts since the last call; after a failure every call raises it."""
        if self._failure is not None:
            raise self._failure
        return self._done.take()

    def close(self) -> None:
        """Wait for the file that is being written, without a limit; drop the remaining orders.

        No file may appear in a run directory whose lock was released.
        """
        self._line.close()
        self._line.join()
        self._spilled.close()

    def _add(self, action: Callable[[], Fact]) -> None:
        self._line.add(lambda: self._try(lambda: self._done.put(action())))

    def _try(self, action: Callable[[], None]) -> None:
        if self._failure is not None:
            return  # it may depend on the order that failed
        try:
            action()
        except Exception as error:  # noqa: BLE001  `drain` raises it in the loop
            self._failure = error
            self._wake()

    @seam("withdraw")
    def _take_back(self, order: Withdraw) -> Fact:
        self._sync()
        self._manifests.withdraw(order.stages)
        return TakenBack(order.stages)

    def _put_out(self, order: Publish, counts: _Counts, results: Iterator[UnitResult]) -> Fact:
        self._sync()
        if order.stage is None:
            self._manifests.publish_run(order.status, counts, results)
        else:
            self._manifests.publish_stage(order.stage, dict(counts)[order.stage], results)
        return Published(order.stage)

    def _sync(self) -> None:
        """Sync the record of this intention, which was written before the order."""
        self._journal.sync()
