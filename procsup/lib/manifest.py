"""The manifest for programs: its head is read at once, its units when they are first used."""

from functools import cached_property
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from procsup.core.manifest import Head, StageCounts, UnitRecord
from procsup.core.outcome import Part, Reading, Verdict
from procsup.core.text import are, count_noun, find_nearest
from procsup.errors import OutputsChanged, RecordError, RunUnfinished, UsageError
from procsup.host.files import AnyPath
from procsup.host.logfiles import LogPlaces
from procsup.host.owners import find_other_user
from procsup.lib.logs import read_log
from procsup.paths.identity import compare
from procsup.paths.opening import is_absent
from procsup.queries.rows import make_record_row
from procsup.store.copies import find_copy_source
from procsup.store.log_places import make_copy_log_places
from procsup.store.manifest import read_manifest as read_file
from procsup.store.mark import mark_problem
from procsup.store.place import Project
from procsup.store.rundir import JOURNAL, RunDir

_NAMED = 10


class ManifestUnit(UnitRecord, frozen=True, gc=False, omit_defaults=True):
    """A unit of a manifest; its logs are in `log_places`."""

    log_places: Optional[LogPlaces] = None

    @property
    def ok(self) -> bool:
        """The unit succeeded."""
        return self.verdict == Verdict.SUCCEEDED.value

    def stdout(self, encoding: str = "utf-8") -> str:
        """Read what its last attempt wrote to stdout; bytes of other encodings become ``\ufffd``.

        Empty if it never started. RecordError if the log was removed or cannot be read.
        """
        return self._read(self.stdout_path, self.stdout_part, encoding)

    def stderr(self, encoding: str = "utf-8") -> str:
        """Read what its last attempt wrote to stderr, as `stdout`."""
        return self._read(self.stderr_path, self.stderr_part, encoding)

    def _read(self, path: Optional[str], part: Union[Part, UnsetType], encoding: str) -> str:
        if path is None:
            return ""
        if self.log_places is None:
            raise RecordError(f"unit {self.id}: where its logs are is not known")
        place = None if part is UNSET else part
        return read_log(self.id, path, place, self.log_places, encoding)


class NoSuchUnit(UsageError, KeyError):
    """The manifest has no unit of this id."""

    __str__ = Exception.__str__  # a KeyError would quote the sentence


class Manifest:
    """A final run, or a final stage of one.

    `head` holds all but the units, `path` is the file. Units are read when they are first used;
    RunUnfinished if the run was begun again meanwhile and the file is no longer the same.
    ``manifest["measure/mod=abc"]`` is the unit with that id; NoSuchUnit, a UsageError and a
    KeyError, if there is none.
    """

    def __init__(self, path: AnyPath, head: Head) -> None:
        self.path = Path(path)
        self.head = head
        self._units: Optional[Tuple[ManifestUnit, ...]] = None

    def __getitem__(self, unit: str) -> ManifestUnit:
        found = self._by_id.get(unit)
        if found is None:
            like = find_nearest(unit, self._by_id)
            hint = f" (did you mean {like!r}?)" if like else ""
            raise NoSuchUnit(f"{self.head.name} has no unit {unit!r}{hint}")
        return found

    def __repr__(self) -> str:
        return f"<Manifest of {self.head.name}: {self.status}, run {self.run_id}>"

    def _repr_html_(self) -> str:
        from procsup.report.html import format_manifest_html  # only notebooks need it

        return format_manifest_html(self.head, self.read_units())

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.head.run_id

    @property
    def status(self) -> str:
        """``succeeded`` or ``failed``; of a stage also ``skipped``."""
        return self.head.status

    @property
    def ok(self) -> bool:
        """Every unit succeeded, or `enough` of them."""
        return self.head.status == "succeeded"

    @property
    def directory(self) -> Path:
        """The present path of the run directory."""
        return self.path.parent if self.head.stage is None else self.path.parent.parent

    @property
    def copied_from(self) -> Optional[str]:
        """Where it was made, ``HOST:DIRECTORY``, if it came along with a copy or a checkout.

        None if it was made here, as far as is known.
        """
        return find_copy_source(RunDir(self.directory), self.head)

    @property
    def stages(self) -> Mapping[str, StageCounts]:
        """The stages in numbers."""
        return self.head.stages

    @property
    def units(self) -> Sequence[ManifestUnit]:
        """All units, in order."""
        if self._units is None:
            self._units = tuple(self.read_units())
        return self._units

    @cached_property
    def _by_id(self) -> Dict[str, ManifestUnit]:
        return {unit.id: unit for unit in self.units}

    @property
    def failed(self) -> Sequence[ManifestUnit]:
        """The units that failed by themselves: not those that were skipped or cancelled."""
        return [unit for unit in self.units if Verdict(unit.verdict).is_failure]

    def read_units(self) -> Iterator[ManifestUnit]:
        """Read the units one by one, in constant memory."""
        if self._units is not None:
            yield from self._units
            return
        if is_absent(self.path):
            raise self._make_begun_again()
        head, units = read_file(self.path)
        if (head.run_id, head.journal) != (self.head.run_id, self.head.journal):
            next(units, None)  # a generator that never began would leave its file open
            raise self._make_begun_again()
        places = self._log_places
        make: Callable[..., ManifestUnit] = ManifestUnit
        for unit in units:
            yield make(*astuple(unit), places)  # its fields come first

    @cached_property
    def _log_places(self) -> LogPlaces:
        if self.copied_from is not None:
            return make_copy_log_places(RunDir(self.directory))
        return LogPlaces(str(self.directory))

    def outputs(self, stage: Optional[str] = None) -> List[Path]:
        """Return the outputs of the succeeded units, of all stages or one: files as recorded.

        OutputsChanged if one of them differs from its record, or if the run is another user's and
        the file is not. UsageError if there is no such stage.
        """
        self._verify_outputs(stage)
        return [Path(output.path) for output in self._list_outputs(stage)]

    def verify(self, stage: Optional[str] = None) -> None:
        """Compare every output with its record: size and time, or content where it is known.

        First the journal is compared with the one from which the manifest was made: RecordError if
        it differs. OutputsChanged names the outputs that differ.
        """
        problem = mark_problem(self.directory / JOURNAL, self.head.journal)
        if problem:
            raise RecordError(problem)
        self._verify_outputs(stage)

    def _verify_outputs(self, stage: Optional[str]) -> None:
        if stage is not None and stage not in self.stages:
            has = ", ".join(self.stages)
            raise UsageError(f"{self.head.name} has no stage {stage!r}: {self.path} has {has}")
        try:
            owner = find_other_user(self.directory)
        except FileNotFoundError:
            raise self._make_begun_again() from None
        changed = list(find_changed_outputs(self._list_outputs(stage), owner))
        if not changed:
            return
        named = [f"  {line}" for line in changed[:_NAMED]]
        if len(changed) > _NAMED:
            named.append(f"  ... and {len(changed) - _NAMED} more")
        count = count_noun(len(changed), "output")
        verb = are(len(changed))
        raise OutputsChanged("\n".join([f"{count} {verb} no longer as recorded:", *named]))

    def rows(self) -> List[Dict[str, object]]:
        """Return one flat row per unit: ``pandas.DataFrame(manifest.rows())``."""
        return [make_record_row(unit) for unit in self.units]

    def _list_outputs(self, stage: Optional[str]) -> Iterator[Reading]:
        """Yield the outputs with their present paths: the project may have moved."""
        project = Project(self.directory, self.head)
        for unit in self.read_units():
            if stage is None or unit.stage == stage:
                yield from map(project.make_reading, unit.outputs)

    def _make_begun_again(self) -> RunUnfinished:
        if not self.directory.exists():
            return RunUnfinished(
                f"{self.directory} is removed: a run with a name stays until `procsup prune`,"
                " one without a name also gives way to newer ones (keep_last)"
            )
        return RunUnfinished(f"{self.path} is withdrawn or of another run: it was begun again")


def find_changed_outputs(outputs: Iterator[Reading], owner: Optional[int] = None) -> Iterator[str]:
    """Yield ``path: what differs`` for each output that differs from its record.

    With an `owner`, also for each output that belongs to another user.
    """
    for output in outputs:
        difference = compare(output, checksum="auto", owner=owner).difference
        if difference:
            yield f"{output.path}: {difference}"
