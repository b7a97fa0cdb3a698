"""What the journal tells of earlier sittings, and what of it the next one must put right."""

import os
from typing import List, Optional, Sequence, Tuple, Union

from procsup.core.outcome import Verdict
from procsup.core.outlook import Before
from procsup.core.records import End, Record
from procsup.core.replay import History
from procsup.core.spec import RunSpec
from procsup.errors import RecordError, UsageError
from procsup.host.leftovers import Trace
from procsup.store.manifest import read_head
from procsup.store.reader import read_journal
from procsup.store.rundir import RunDir

LOST = "the supervisor ended while it ran"


class Past:
    """The journal, folded; `finished` if its run is, or if there was none.

    `history` grows by what this sitting writes first (`extend`); `before` stays as it was read.
    Raises RecordError if the journal cannot be read, or is of a newer procsup.
    """

    def __init__(self, rundir: RunDir, spec: RunSpec) -> None:
        self.ended: List[Tuple[int, str]] = []  # (pid, unit) of what was left alive
        self._unreadable: List[str] = []
        self.read = read_journal(rundir.journal)
        self.history = History(for_a_sitting=True)
        for entry in self.read:
            self.history.add(entry.seq, entry.record)
        self.read.check_writable()
        seen = self.history
        self.before = Before(seen.begin, seen.run_final, seen.closed)
        self.finished = self._is_finished(rundir, spec)

    def _is_finished(self, rundir: RunDir, spec: RunSpec) -> bool:
        """A run is finished when all that tells of it stands; a crash before leaves it unfinished.

        An unreadable manifest does not stand: it is made anew from the journal.
        """
        if self.history.run_id is None:
            return True
        final = self.history.run_final
        if final is None or not self._stands(rundir.manifest):
            return False
        if spec.manifest is not None and not self._stands(spec.manifest):
            return False
        return spec.stamp is None or final.status != "succeeded" or os.path.exists(spec.stamp)

    def _stands(self, manifest: Union[str, "os.PathLike[str]"]) -> bool:
        try:
            head = read_head(manifest)
        except RecordError as error:
            self._unreadable.append(f"{error}; it is made anew from the journal")
            return False
        return head is not None and head.run_id == self.history.run_id

    def traces(self, boot_id: str) -> List[Trace]:
        """Return the processes of attempts without an end, if they were started since the boot."""
        begin = self.history.begin
        if begin is None or begin.boot_id != boot_id or not boot_id:
            return []
        return [
            Trace(name, unit.open_pid, unit.open_launch.at)
            for name, unit in self.history.units.items()
            if unit.open_launch is not None and unit.open_pid is not None
        ]

    @property
    def is_open(self) -> bool:
        """Some attempt was started and has no end on record."""
        return any(unit.open_launch is not None for unit in self.history.units.values())

    @property
    def started(self) -> Optional[float]:
        """When the present run began (seconds since 1970)."""
        first = self.history.first_begin
        return first.at if first is not None else None

    def extend(self, records: Sequence[Record], base_seq: int) -> None:
        """Take the records by which this sitting opens."""
        for seq, record in enumerate(records, base_seq + 1):
            self.history.add(seq, record)

    def refuse_other_file(self, spec: RunSpec) -> None:
        """Raise UsageError if the run of that name is of another run file, which still exists."""
        written = self.history.begin.run_file if self.history.begin is not None else None
        if written is None or written == spec.file or not os.path.exists(written):
            return
        raise UsageError(
            f"run directory {spec.directory} belongs to {written}, not to {spec.file}: give this"
            " run another `name`, or another --dir"
        )

    def remarks(self) -> List[str]:
        """Say what was wrong with the journal, if anything."""
        remarks = [*self.read.damage, *self._unreadable]
        for pid, unit in self.ended:
            remarks.append(f"ended process {pid} of {unit or 'an unknown unit'}, left alive before")
        if self.read.torn:
            remarks.append(f"the journal's last {self.read.torn} bytes were torn and are dropped")
        return remarks


def lost_ends(history: History, at: float) -> List[End]:
    """Make the ends of attempts that a dead sitting left without one; they count for nothing."""
    ends = []
    for unit_id, unit in history.units.items():
        launch = unit.open_launch
        if launch is None:
            continue
        end = End(
            unit_id,
            launch.attempt,
            Verdict.LOST,
            at,
            final=False,
            counts=False,
            cause=LOST,
            started=launch.at,
            pid=unit.open_pid,
            cpus=launch.cpus,
            memory_bytes=launch.memory_bytes,
            fingerprint=launch.fingerprint,
        )
        ends.append(end)
    return ends
