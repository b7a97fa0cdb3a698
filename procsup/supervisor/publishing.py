"""Builds the queue that publishes a sitting's manifests."""

import os
import time
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import msgspec

from procsup.core.events import UnitResult
from procsup.core.manifest import StageCounts
from procsup.core.outcome import Verdict
from procsup.core.plan.state import Stage
from procsup.core.records import Begin, End
from procsup.core.spec import RunSpec
from procsup.host.opened import Folder
from procsup.runfile.plan import end_line
from procsup.store.growing_plan import PlanFile
from procsup.store.journal import JournalWriter
from procsup.store.manifest import ManifestPublisher
from procsup.store.publishing import Manifests, PublishingQueue
from procsup.store.rundir import LOGS
from procsup.store.sitting import Sitting
from procsup.store.spilled import SpilledResults


class GrowingPlan(NamedTuple):
    """The file of a plan that grows, and its only stage."""

    file: PlanFile
    stage: Stage

    def end(self) -> None:
        """Add the last line if all units are known; the stage must be closed."""
        if not self.stage.was_cut:
            self.file.add([end_line(self.stage.tally.planned or 0)], last=True)

    def check(self) -> bool:
        """Raise what kept it from being written; return whether it has no last line."""
        if self.file.problem is not None:
            raise self.file.problem
        return self.file.is_open


def open_queue(
    spec: RunSpec,
    begin: Begin,
    sitting: Sitting,
    journal: JournalWriter,
    *,
    started: Optional[float],
    wake: Callable[[], None],
    growing: Optional[GrowingPlan] = None,
) -> PublishingQueue:
    """Return the queue that withdraws and publishes manifests; the caller closes it.

    `started` is when the run (not this sitting) began; `wake` is called after each step.
    """
    manifests: Manifests = ManifestPublisher(
        sitting.rundir, spec, begin, journal, sitting, started=started, wall=time.time
    )
    if spec.keep_logs == "failed":
        manifests = _Trimmer(manifests, sitting.folder)
    if growing is not None:
        manifests = _PlanKeeper(manifests, growing)
    return PublishingQueue(manifests, journal, SpilledResults(sitting.folder), wake=wake)


class _PlanKeeper:
    """Publishes and withdraws such that a manifest never stands beside another run's open plan.

    The plan begins after older manifests are withdrawn, and ends before its own are published.
    """

    def __init__(self, manifests: Manifests, growing: GrowingPlan) -> None:
        self._manifests = manifests
        self._growing = growing

    def withdraw(self, stages: Sequence[str]) -> None:
        """Withdraw, then begin the plan."""
        self._manifests.withdraw(stages)
        self._growing.file.begin()

    def publish_stage(self, stage: str, counts: StageCounts, results: Iterator[UnitResult]) -> None:
        """End the plan, then publish."""
        self._growing.file.begin()  # nothing was withdrawn if nothing was to be started
        self._growing.end()
        self._manifests.publish_stage(stage, counts, results)

    def publish_run(
        self,
        status: str,
        counts: Sequence[Tuple[str, StageCounts]],
        results: Iterator[UnitResult],
    ) -> None:
        """Publish unchanged: the only stage was published before."""
        self._manifests.publish_run(status, counts, results)


class _Trimmer:
    """Publishes, then removes the logs of successes, for `keep-logs = "failed"`.

    The run's manifest does not name the removed files. `folder` is the run directory.
    """

    def __init__(self, manifests: Manifests, folder: Folder) -> None:
        self._manifests = manifests
        self._folder = folder
        self._dropped: List[str] = []

    def withdraw(self, stages: Sequence[str]) -> None:
        """Withdraw as the inner publisher does."""
        self._manifests.withdraw(stages)

    def publish_stage(self, stage: str, counts: StageCounts, results: Iterator[UnitResult]) -> None:
        """Publish unchanged: while the run is not final, all logs exist."""
        self._manifests.publish_stage(stage, counts, results)

    def publish_run(
        self,
        status: str,
        counts: Sequence[Tuple[str, StageCounts]],
        results: Iterator[UnitResult],
    ) -> None:
        """Publish without the logs to remove, then remove them."""
        self._manifests.publish_run(status, counts, map(self._drop_logs, results))
        if self._dropped:
            from procsup.store.removal import remove_files

            # A log that cannot be removed does no harm: no record names it.
            remove_files(self._folder, self._dropped)

    def _drop_logs(self, result: UnitResult) -> UnitResult:
        ends = tuple(map(self._drop_log, result.ends))
        return UnitResult(result.unit, ends, result.kept, result.stale)

    def _drop_log(self, end: End) -> End:
        if end.verdict is not Verdict.SUCCEEDED:
            return end
        logs = ((end.stdout_path, end.stdout_part), (end.stderr_path, end.stderr_part))
        for path, part in logs:
            if path is not None and part is None and self._is_log(path):
                self._dropped.append(path)
        return msgspec.structs.replace(
            end, stdout_path=None, stderr_path=None, stdout_part=None, stderr_part=None
        )

    def _is_log(self, path: str) -> bool:
        return not os.path.isabs(path) and path.replace("\\", "/").startswith(f"{LOGS}/")
