"""What must hold of whatever a power cut leaves: P1, P2, P5 and P7, asked of procsup's own code.

The truth comes from the calls as they were recorded: every line that was ever written to the
journal, every manifest and stamp that was ever put in place, and what was told when.
"""

import hashlib
import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple
from unittest import mock

from procsup.core.outcome import Verdict
from procsup.core.records import Begin, End, Launch, Record, Withdrawn, decode_line
from procsup.core.relocation import Root
from procsup.errors import RunUnfinished
from procsup.host import identity
from procsup.queries.waiting import Limits, WaitResult, await_final
from procsup.store.journal import JournalWriter, read_journal
from procsup.store.manifest import read_head, read_manifest
from procsup.store.place import find_way
from procsup.store.rundir import RunDir
from procsup.supervisor.expansion import Expander
from procsup.supervisor.previous_run import PreviousRun
from procsup.supervisor.resolved_request import read
from tests.faults.power_cuts.disk import State
from tests.faults.power_cuts.recording import Op
from tests.faults.power_cuts.workloads import Recording, stamps_of
from tests.store.builders import begin

AT_ONCE = Limits(timeout_s=0.0, start_s=0.0)


class Told(NamedTuple):
    """What was done and told up to a moment; the numbers are those of calls."""

    settled: Dict[Tuple[str, int], End]  # told to a person
    started: Dict[str, int]  # stage -> its last start; "" for any
    attempts: Set[Tuple[str, int]]
    begun: Dict[str, int]  # stage -> sitting of its first start since it was withdrawn
    published: Dict[int, int]  # file -> when it got its place
    standing: Dict[str, int]  # path -> the file that must stand there: somebody was told
    made: Dict[str, bytes]  # what units wrote and procsup vouched for
    withdrawn: Dict[str, int]  # stage ("" for the run) -> when its withdrawal last began
    sitting: int


class Judge:
    """Knows what is true of one recording; each state is laid before it in the folder."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.rundir = RunDir(recording.folder / ".procsup" / "run")
        self.asked = read(recording.request)
        spec = self.asked.spec
        self.stages = [stage.name for stage in spec.stages]
        self.manifests = {str(self.rundir.manifest): "", str(spec.manifest): ""}
        self.stamps = {str(spec.stamp): ""}
        for stage in spec.stages:
            self.manifests[str(self.rundir.get_stage_manifest(stage.name))] = stage.name
            self.stamps[str(stage.stamp)] = stage.name
        self.stamp_ns = stamps_of(recording.ops)
        self._root = Root(spec.folder, find_way(spec.folder, self.rundir.path))
        self._told = _Teller(self)
        self._ends = self._all_ends()
        self._whole: Set[bytes] = set()

    def told(self, count: int) -> Told:
        """What was done and told within the first `count` calls, which may only grow."""
        return self._told.up_to(count)

    def judge(self, state: State, told: Told, *, writes: bool) -> None:
        """Raise AssertionError for whatever does not hold of this state; it lies in the folder."""
        past = PreviousRun(self.rundir, self.asked.spec)
        entries = [entry.record for entry in read_journal(self.rundir.journal)]
        self._check_records(state, told, past, entries)
        self._check_manifests(state, told, entries)
        self._check_stamps(state, told)
        self._check_outputs(state, told)
        self._check_wait(state, told)
        self._check_plan(told, past)
        if writes:
            self._check_writing(entries)

    # --- P1 and P2: what the journal says ------------------------------------------------

    def _check_records(
        self, state: State, told: Told, past: PreviousRun, entries: List[Record]
    ) -> None:
        ends = {repr(record) for record in entries if isinstance(record, End)}
        assert ends <= self._ends, "P1: an end that nobody observed"
        for end in told.settled.values():
            said = repr(self._root.map_record(end))
            assert said in ends, f"P2: the end of {end.unit} #{end.attempt} was told, and lost"
        if state.plain:
            assert not past.read.damage, f"a power cut reads as damage: {past.read.damage}"
        sittings = [record.sitting for record in entries if isinstance(record, Begin)]
        assert sittings == sorted(set(sittings)), "two sittings of one number"
        for stage, number in told.begun.items():
            assert number in sittings, f"P5: {stage} was started by a sitting that nobody knows"
            assert _withdrawn(entries, stage, number), f"P5: {stage} was started, not withdrawn"
        if state.how == "all":
            launched = {(r.unit, r.attempt) for r in entries if isinstance(r, Launch)}
            assert told.attempts <= launched, "an attempt was started before it was written down"

    def _all_ends(self) -> Set[str]:
        found: Set[str] = set()
        files = {op.file for op in self.recording.ops if op.path == str(self.rundir.journal)}
        for op in self.recording.ops:
            if op.kind == "write" and op.file in files:
                for line in op.data.split(b"\n")[:-1]:
                    try:
                        record = decode_line(line)[1]
                    except ValueError:
                        continue  # the rest of a line that was cut short
                    if isinstance(record, End):
                        found.add(repr(record))
        return found

    # --- P5: what the manifests and stamps say -------------------------------------------

    def _check_manifests(self, state: State, told: Told, entries: List[Record]) -> None:
        journal = state.files.get(str(self.rundir.journal), (0, b""))[1]
        ends = {(r.unit, r.attempt, r.verdict.value) for r in entries if isinstance(r, End)}
        for path, stage in self.manifests.items():
            if path not in state.files:
                continue
            file, data = state.files[path]
            self._check_age(path, stage, file, told)
            head = read_head(path)
            assert head is not None
            mark = head.journal
            known = hashlib.sha256(journal[: mark.length]).hexdigest()
            assert mark.sha256 == known, f"P5: {path} was made from a journal that is not there"
            if data in self._whole:
                continue
            said = list(read_manifest(path)[1])
            assert sum(count.planned for count in head.stages.values()) == len(said)
            for unit in said:
                one = (unit.id, unit.attempts[-1].attempt if unit.attempts else 0, unit.verdict)
                assert one in ends, f"P5: {path} says {one}, and the journal does not"
            wanted = {u for u in self.recording.verdicts if stage in ("", u.partition("/")[0])}
            assert {unit.id for unit in said} == wanted, f"P5: units are missing in {path}"
            self._whole.add(data)

    def _check_age(self, path: str, stage: str, file: int, told: Told) -> None:
        since = told.published.get(file)
        assert since is not None, f"P5: {path} stands before it was published"
        last = told.started.get(stage, -1)
        assert since > last, f"P5: {path} is older than the last start of what it vouches for"

    def _check_stamps(self, state: State, told: Told) -> None:
        for path, stage in self.stamps.items():
            if path not in state.files:
                continue
            file, data = state.files[path]
            self._check_age(path, stage, file, told)
            assert data.endswith(b"Z\n"), f"P5: {path} is torn"
            beside = self.rundir.get_manifest(stage or None)
            is_taken_back = told.withdrawn.get(stage, -1) > told.published[file]
            there = str(beside) in state.files
            assert there or is_taken_back, f"P5: {path} stands, and {beside} does not"

    def _check_wait(self, state: State, told: Told) -> None:
        """What was told by a manifest stands; whoever waits now is answered by it, or by 3."""
        for path, file in told.standing.items():
            found = state.files.get(path, (0, b""))[0]
            newer = told.published.get(found, -1) >= told.published.get(file, 0)
            assert newer, f"P2: {path} was told of, and is not there"
        for stage in (None, *self.stages):
            path = self.rundir.get_manifest(stage)
            waited = self._wait(stage)
            assert (waited is not None) == (str(path) in state.files), "wait says something else"

    def _wait(self, stage: Optional[str]) -> Optional[WaitResult]:
        if not self.rundir.path.is_dir():
            return None
        try:
            return await_final(str(self.rundir.path), stage=stage, limits=AT_ONCE)
        except RunUnfinished:
            return None

    # --- P2 and P7: outputs, and what the next sitting does ------------------------------

    def _check_outputs(self, state: State, told: Told) -> None:
        for end in told.settled.values():
            if end.verdict is not Verdict.SUCCEEDED or self._runs_again(end, told):
                continue
            for output in end.outputs:
                there = state.files.get(output.path, (0, b""))[1]
                true = told.made.get(output.path, b"\x00")
                assert there == true, f"P2: {output.path} was vouched for, and is not on the disk"

    def _runs_again(self, end: End, told: Told) -> bool:
        return any(unit == end.unit and number > end.attempt for unit, number in told.attempts)

    def _check_plan(self, told: Told, past: PreviousRun) -> None:
        """The next sitting keeps what is finished, and uses no number twice that was told."""
        run_id = past.history.run_id
        past.extend([begin(run_id or "new", 99, resumed=not past.finished)], 10_000)
        expander = Expander(self.asked, past.history, os.environ, touch=False)
        weighed = expander.expand_early(self.asked.units)
        for end in told.settled.values():
            history = past.history.units[end.unit]
            assert history.last_number >= end.attempt, "a number would be used twice"
            stage = end.unit.partition("/")[0]
            if stage not in weighed or self._runs_again(end, told):
                continue
            if end.verdict is not Verdict.SUCCEEDED:
                continue
            if history.last_number > end.attempt:
                continue  # it was begun again, on request
            if history.generation < past.history.fresh_generation:
                continue  # all is to run again, on request
            if history.generation < past.history.generation and not end.outputs:
                continue  # of a run that was finished: nothing shows that it was ever done
            pairs = zip(weighed[stage].units, weighed[stage].standings)
            why = [standing.reason for unit, standing in pairs if unit.id == end.unit
                   and not standing.keeps_verdict]  # fmt: skip
            assert not why, f"P7: {end.unit} is finished, and would run again: {why}"

    def _check_writing(self, entries: List[Record]) -> None:
        """The next sitting writes on: nothing of what was read is lost, the rest is gone."""
        if not self.rundir.path.is_dir():
            return
        before = read_journal(self.rundir.journal).read()
        with JournalWriter.open(self.rundir.journal, on_synced=lambda: None, durable=False) as out:
            out.append([begin("r9", 99)])
        now = read_journal(self.rundir.journal)
        assert [entry.record for entry in now] == [*entries, begin("r9", 99)]
        assert not now.damage
        assert now.last_seq == before.last_seq + 1


class _Teller:
    """Goes through the calls once, and knows at each what was done and told."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._ops: List[Op] = judge.recording.ops
        self._at = 0
        self._placed: Dict[str, int] = {}
        self._withdrawn: Set[str] = set()
        self.now = Told({}, {}, set(), {}, {}, {}, {}, {}, 0)

    def up_to(self, count: int) -> Told:
        """Take the calls up to that number."""
        for at in range(self._at, count):
            op = self._ops[at]
            if op.kind == "rename":
                self.now.published[op.file] = at
                self._placed[op.to] = op.file
            elif op.kind == "event":
                getattr(self, "_on_" + op.event[0].replace(" ", "_"))(at, *op.event[1:])
        self._at = max(self._at, count)
        return self.now

    def _on_sitting(self, _at: int) -> None:
        """Somebody starts procsup: nothing is told by that."""

    def _on_begin(self, _at: int, number: int, _run_id: str, _stages: Tuple[str, ...]) -> None:
        self.now = self.now._replace(sitting=number, begun={})

    def _on_settled(self, _at: int, end: End) -> None:
        self.now.settled[end.unit, end.attempt] = end

    def _on_start(self, at: int, order: Any) -> None:
        stage = order.task.unit.stage
        self.now.started[stage] = self.now.started[""] = at
        self.now.attempts.add((order.attempt.unit, order.attempt.number))
        self.now.begun.setdefault(stage, self.now.sitting)

    def _on_withdraw(self, at: int, stages: Tuple[str, ...]) -> None:
        self.now.withdrawn.update(dict.fromkeys(("", *stages), at))
        for path, stage in [*self._judge.manifests.items(), *self._judge.stamps.items()]:
            if stage == "" or stage in stages:
                self.now.standing.pop(path, None)

    def _on_stage_done(self, _at: int, stage: str) -> None:
        self._stands(stage)

    def _on_run_done(self, _at: int) -> None:
        self._stands("")

    def _stands(self, stage: str) -> None:
        told = [*self._judge.manifests.items(), *self._judge.stamps.items()]
        for path, of in told:
            if of == stage and path in self._placed:
                self.now.standing[path] = self._placed[path]
        path = str(self._judge.rundir.get_manifest(stage or None))
        self.now.standing.setdefault(path, -1)

    def _on_made(self, _at: int, path: str, data: bytes, _stamp: int) -> None:
        self.now.made[path] = data

    def _on_ended(self, _at: int, status: Optional[str]) -> None:
        """The exit code says it, too."""
        if status:
            self._stands("")

    def _on_withdrawn(self, _at: int, stages: Tuple[str, ...]) -> None:
        """Everybody is told that nothing is final any more; starts show whether it is true."""

    def _on_refused(self, _at: int, _why: str) -> None:
        """A sitting gave up: nothing is told by that."""

    def _on_killed(self, _at: int) -> None:
        """A sitting was killed: nothing is told by that."""


def _withdrawn(entries: List[Record], stage: str, number: int) -> bool:
    within = False
    for record in entries:
        if isinstance(record, Begin):
            within = record.sitting == number
        elif within and isinstance(record, Withdrawn) and stage in record.stages:
            return True
    return False


@contextmanager
def after_a_reboot() -> Iterator[None]:
    """Have this machine look as if it had been started anew: no process of before is alive."""
    with mock.patch.object(identity, "read_boot_id", return_value="another boot"):
        yield
