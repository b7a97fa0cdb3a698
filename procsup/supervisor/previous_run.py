"""Reads the journal of earlier sittings, and finds what the next one must repair."""

import os
from typing import List, Optional, Sequence, Tuple, Union

from procsup.core.outcome import Verdict
from procsup.core.plan.outlook import LastSitting
from procsup.core.records import End, Record
from procsup.core.replay import History
from procsup.core.spec import RunSpec
from procsup.core.text import are, count_noun
from procsup.errors import RecordError, RunBusy, UsageError
from procsup.host.leftovers import RecordedProcesses, find_cookie_bearers
from procsup.host.opened import Folder
from procsup.paths.opening import is_absent
from procsup.store.copies import is_copy, is_original
from procsup.store.find import is_same_file
from procsup.store.left_alive import describe_ended, list_recorded
from procsup.store.manifest import read_head
from procsup.store.place import find_folder_before, run_file_now
from procsup.store.reader import read_journal
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Request

LOST = "the supervisor ended while it ran"


class PreviousRun:
    """The history of the journal; `finished` if its run is, or if there was none.

    `extend` adds this sitting's first records to `history`; `before` stays as it was read.
    `folder` is the run directory, if a sitting has it open. RecordError if the journal cannot be
    read, or a newer procsup wrote it.
    """

    def __init__(self, rundir: RunDir, spec: RunSpec, folder: Optional[Folder] = None) -> None:
        self.ended: List[Tuple[int, str]] = []  # (pid, unit) of processes left alive
        self._unreadable: List[str] = []
        self._rundir, self._folder, self._open = rundir, spec.folder, folder
        self.read = read_journal(rundir.journal, folder=folder)
        self.history = History(for_a_sitting=True, folder_now=lambda _begin: spec.folder)
        for entry in self.read:
            self.history.add(entry.seq, entry.record)
        self.read.check_writable()
        seen = self.history
        self.before = LastSitting(seen.begin, seen.run_final, seen.closed, self.moved_from)
        self._source = seen.run_id if self.is_copy else None  # the run that this is a copy of
        self.finished = self._is_finished(rundir, spec)

    def _is_finished(self, rundir: RunDir, spec: RunSpec) -> bool:
        """Whether all manifests and stamps of a final run exist; a crash may have prevented that.

        An unreadable manifest does not count: it is made again from the journal.
        """
        if self.history.run_id is None:
            return True
        final = self.history.run_final
        if final is None or not self._stands(rundir.manifest, self._open):
            return False
        if spec.manifest is not None and not self._stands(spec.manifest):
            return False
        return spec.stamp is None or final.status != "succeeded" or os.path.exists(spec.stamp)

    def _stands(
        self, manifest: Union[str, "os.PathLike[str]"], folder: Optional[Folder] = None
    ) -> bool:
        try:
            head = read_head(manifest, folder=folder)
        except RecordError as error:
            self._unreadable.append(f"{error}; it is made anew from the journal")
            return False
        return head is not None and head.run_id == self.history.run_id

    def list_recorded(self) -> RecordedProcesses:
        """Return the records that identify processes of the last sitting on this machine."""
        return list_recorded(self._rundir, self.history, self._open)

    @property
    def is_original(self) -> bool:
        """Whether the last sitting is known to have written to this same file."""
        begin = self.history.begin
        return begin is not None and is_original(self._rundir, begin, self._open)

    @property
    def is_copy(self) -> bool:
        """Whether the last sitting is known to have written to another file."""
        begin = self.history.begin
        return begin is not None and is_copy(self._rundir, begin, self._open)

    def refuse_doubt(self) -> None:
        """Raise RunBusy if a process has the run's id and the journal records no file id.

        An older procsup wrote such a journal; it may be a copy, so the process may be another's.
        """
        begin = self.history.begin
        if begin is None or begin.journal:
            return
        pids = ", ".join(map(str, find_cookie_bearers(begin.run_id)))
        if pids:
            raise RunBusy(
                f"these processes have the run's id and may be of this run: {pids}. An older"
                f" procsup, which recorded too little to be sure, may have left them. Look (ps -fp"
                f" PID), end those of this run, then run again"
            )

    @property
    def is_open(self) -> bool:
        """Whether some attempt was started and has no recorded end."""
        return any(unit.open_launch is not None for unit in self.history.units.values())

    @property
    def started(self) -> Optional[float]:
        """When the present run began (seconds since 1970)."""
        first = self.history.first_begin
        return first.at if first is not None else None

    def extend(self, records: Sequence[Record], base_seq: int) -> None:
        """Add the records that open this sitting."""
        for seq, record in enumerate(records, base_seq + 1):
            self.history.add(seq, record)

    def refuse_other_file(self, spec: RunSpec) -> None:
        """Raise UsageError if the run belongs to another run file, which still exists."""
        begin = self.history.begin
        written = None if begin is None else run_file_now(self._rundir.path, begin)
        if written is None or spec.file is None or is_absent(written):
            return
        if written == spec.file or is_same_file(written, spec.file):
            return
        raise UsageError(
            f"run directory {spec.directory} belongs to {written}, not to {spec.file}: give this"
            " run another `name`, or another --dir"
        )

    def refuse_copy(self, request: Request) -> None:
        """Raise UsageError for a copy with successful units, without --adopt or --fresh."""
        complaint = self.explain_copy(request)
        if complaint:
            raise UsageError(complaint)

    def explain_copy(self, request: Request) -> str:
        """Return why a run is refused in a copy with successful units; empty if it is not.

        procsup can check the copied files. Only the user can judge whether other effects of the
        copied run, outside its files, are present here.
        """
        if not self.is_copy or request.adopt or (request.fresh and not request.only):
            return ""
        # A success before a skip counts, too: the unit would be kept.
        if not any(unit.success is not None for unit in self.history.units.values()):
            return ""
        return (
            f"run directory {self._rundir.path} is {self.moved_from}: `procsup run` with --adopt"
            " (in a program: adopt=True) keeps what was done there, where its files are"
            " intact; --fresh repeats all"
        )

    @property
    def moved_from(self) -> str:
        """Return the project's place when the last sitting began; empty if it was this one."""
        was = self._folder_before
        is_here = was is None or was == self._folder
        begin = self.history.begin
        if self.is_copy and begin is not None and not begin.journal:
            return f"of host {begin.host} and an older procsup, so it may be a copy"
        if self.is_copy:
            return "restored from a copy" if is_here else f"copied from {was}"
        is_here = is_here or is_same_file(str(was), self._folder)
        return "" if is_here else f"moved from {was}"

    @property
    def _folder_before(self) -> Optional[str]:
        """The path of the run file's folder when the last sitting began."""
        begin = self.history.begin
        return None if begin is None else find_folder_before(self._rundir.path, begin)

    def list_notices(self) -> List[str]:
        """Return a line for each damage of the records, and for each process ended."""
        remarks = [*self.read.damage, *self._unreadable]
        begin = self.history.begin
        if self._source is not None and begin is not None and not begin.fresh:
            remarks.append(f"a copy of run {self._source} goes on as run {begin.run_id}, its own")
        for pid, unit in self.ended:
            remarks.append(describe_ended(pid, unit))
        if self.read.torn:
            torn = f"{count_noun(self.read.torn, 'byte')} {are(self.read.torn)}"
            remarks.append(f"the journal's end was torn: {torn} dropped")
        return remarks


def make_lost_ends(history: History, at: float) -> List[End]:
    """Make the ends that a dead sitting did not record; they do not count as tries."""
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
            host=launch.host or None,
            cpus=launch.placement.cpus,
            memory_bytes=launch.placement.memory_bytes,
            fingerprint=launch.fingerprint,
        )
        ends.append(end)
    return ends
