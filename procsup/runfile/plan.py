"""A plan: a program's run without a run file, written to a file from which a resume reads it.

It has one JSON object a line: first a head (the run's name, the caller's current folder, the
settings as in a run file), then one object a unit, last ``{"end": COUNT}``. The library and
`procsup map` make it, send it to the supervisor through a pipe, and it stays in the run directory
as ``plan.jsonl``. A plan without its last line is invalid: its maker gave up. The units of a
generator run while it makes more of them: then the plan grows until its last line has come.
"""

import datetime
import json
import os
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

import msgspec
from msgspec import Struct

from procsup.core.regexes import compile_at_use
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec, UnitSpec
from procsup.core.text import count_noun
from procsup.errors import RunFileError, UsageError
from procsup.host.clock import make_dated_id
from procsup.host.files import open_record
from procsup.host.folders import make_absolute
from procsup.host.threads import Handover
from procsup.runfile.load import LoadedRun, UpstreamOutputs
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.stages.recipe import ExpandContext, Recipe
from procsup.runfile.stages.run import RunReader
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import Problems, Wrong, show_path, suggest
from procsup.runfile.syntax.reading import Source
from procsup.runfile.templates.template import double_braces
from procsup.runfile.units.tables import Names, UnitReader, all_run_python
from procsup.runfile.vocabulary.keys import LATER_KEYS, RUN_KEYS, STAGE_KEYS
from procsup.runfile.vocabulary.names import check_run_name
from procsup.store.rundir import QUEUE_FILE

PLAN_FILE = "plan.jsonl"
PLAN_VERSION = 1
CALLED_OFF = b'{"called-off":true}\n'
END = b'{"end":'
_ENOUGH_PROBLEMS = 20
KEEP_LAST = 20  # unnamed runs that remain in a folder
_OWN_NAME = compile_at_use(r"[a-z]+-\d{8}T\d{6}-[0-9a-f]+(-\d+)?")  # see make_own_name
_MOST_READ_AHEAD = 500
_MARK = "procsup-plan"
# Texts whose braces are kept: names, and the only setting that has placeholders.
_TEXT_AS_IS = ("secrets", "stop-command")

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

# Settings of a run that a plan may have; `name` and `dir` are separate arguments.
_OF_THE_RUN = tuple(
    key for key in RUN_KEYS if key not in ("name", "dir", "vars", "defaults", "stage")
)
_EACH_UNIT_S_OWN = ("args", "id", "outputs", "stdout", "stderr")
_NO_MEANING = (
    *("module", "script", "command", "shell", "matrix", "zip", "units", "exclude", "for-each"),
    *("after", "paths", "scratch"),
)


class PlanWithdrawn(Exception):
    """The maker of the plan gave up; it has reported why."""


class Head(NamedTuple):
    """The first line of a plan; `settings` are keys of a run and of a stage together.

    `named`: the user chose the name. Otherwise another name is used if a run has this one.
    """

    name: str
    folder: str  # absolute: relative paths start here
    stage: str
    settings: Mapping[str, Any]
    program: Mapping[str, Any]  # `module` or `script`, if all units run the same
    named: bool = True

    def line(self) -> bytes:
        """Return the line of the head."""
        return encode({_MARK: PLAN_VERSION, **self._asdict()})


class LineQueue:
    """The lines of a plan that grows: one thread reads them, another one takes them.

    `is_sure`: a last line says that all units were made. Else it may only say that the program
    ended that makes them, such as by the Ctrl-C that ends this one, too. `is_queue`: see
    `StageSpec`.
    """

    def __init__(
        self, lines: Iterator[bytes], *, is_sure: bool = True, is_queue: bool = False
    ) -> None:
        self.is_sure = is_sure
        self.is_queue = is_queue
        self._lines = lines
        self._handover: Handover[bytes] = Handover(_MOST_READ_AHEAD)
        self._failure: Optional[Exception] = None

    def fill(self) -> bool:
        """Read up to the last line or the end of the input; false if `leave` was called before.

        False also after an error of their maker, which `take` raises.
        """
        try:
            for line in self._lines:
                if not self._handover.put([line]):
                    return False
                if line.startswith(END) or line == CALLED_OFF:
                    break
        except Exception as error:  # noqa: BLE001 - raised on the other thread
            self._failure = error
            self._handover.finish()
            return False
        return True

    def take(self) -> Optional[List[bytes]]:
        """Wait for lines, and return those there are; None after `leave`."""
        lines = self._handover.take()
        if not lines and self._failure is not None:
            raise self._failure
        return lines

    @property
    def is_ready(self) -> bool:
        """Whether `take` would not wait now."""
        return self._handover.is_ready

    def leave(self) -> None:
        """Let both threads return."""
        self._handover.leave()


class PlanText(Struct, frozen=True):
    """A plan as text: the decoded head, and the lines of its units.

    A plan that grows has its first unit, or none, in `units`, and the lines after it in `rest`.
    """

    head: Head
    units: List[bytes]
    rest: Optional[LineQueue] = None

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the file."""
        yield self.head.line()
        yield from self.units
        if self.rest is None:
            yield end_line(len(self.units))


def encode(table: Mapping[str, Any]) -> bytes:
    """Return a line; text that is not UTF-8 is preserved."""
    return _encode(table).encode("ascii") + b"\n"


def end_line(count: int) -> bytes:
    """Return the last line of a plan with `count` units."""
    return encode({"end": count})


def read_text(lines: Iterable[bytes], shown: str, *, may_be_open: bool = False) -> PlanText:
    """Read a plan up to its last line; UsageError if it is not a plan, or not whole.

    PlanWithdrawn if its maker gave up and has said so in a line. `may_be_open`: if it has no last
    line, its units so far are returned.
    """
    rows = iter(lines)
    head = _read_head(next(rows, b""), shown)
    units: List[bytes] = []
    for line in rows:
        if is_last_line(line, len(units), shown):
            return PlanText(head, units)
        units.append(line)
    if not may_be_open:
        raise _make_open_error(shown)
    return PlanText(head, [line for line in units if line.endswith(b"\n")])


def read_growing(lines: Iterator[bytes], shown: str, rest: LineQueue) -> PlanText:
    """Read a plan up to its first unit; errors as `read_text`. It is whole if it has no unit."""
    head = _read_head(next(lines, b""), shown)
    line = next(lines, b"")
    if not line:
        raise _make_open_error(shown)
    is_whole = is_last_line(line, 0, shown)
    return PlanText(head, []) if is_whole else PlanText(head, [line], rest)


def _make_open_error(shown: str) -> UsageError:
    return UsageError(
        f"{shown}: the plan has no last line: run the program again that makes it (with `name` and"
        " `keep` it repeats nothing), the same line of procsup map (with --resume), or"
        " procsup queue start"
    )


def is_last_line(line: bytes, count: int, shown: str) -> bool:
    """Whether a line ends a plan of `count` units; errors as `read_text`."""
    if line == CALLED_OFF:
        raise PlanWithdrawn
    if not line.startswith(END):
        return False
    if _decode(line, shown) != {"end": count}:
        raise UsageError(
            f"{shown}: the plan has {count_noun(count, 'unit')}, and its last line another number:"
            " make it again"
        )
    return True


def read_file(path: str, *, may_be_open: bool = False) -> PlanText:
    """Read the plan of a run directory, as `read_text`."""
    try:
        with open_record(path) as file:
            return read_text(file, path, may_be_open=may_be_open)
    except OSError as error:
        raise RunFileError([f"{path}: cannot be read: {error.strerror or error}"]) from error


def read_plan_head(path: str) -> Head:
    """Read the head of a plan in a run directory; OSError or UsageError if that is impossible."""
    with open_record(path) as file:
        return _read_head(file.readline(), path)


def _read_head(line: bytes, shown: str) -> Head:
    table = _decode(line, shown)
    if table.pop(_MARK, None) == PLAN_VERSION:
        try:
            return Head(**table)
        except TypeError:
            pass  # a key is missing or unknown
    raise UsageError(f"{shown}: is no plan of this version of procsup: make it again")


def _decode(line: bytes, shown: str) -> Dict[str, Any]:
    try:
        table = json.loads(line)
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise UsageError(f"{shown}: is no plan: expected a JSON object on each line")
    return table


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse keys that cannot apply to all units of a plan; UsageError names them as in Python.

    The values are checked when the plan is loaded.
    """
    known = (*(key for key in STAGE_KEYS if key not in _NO_MEANING), *_OF_THE_RUN)
    for key in settings:
        name = key.replace("-", "_")
        if key in _EACH_UNIT_S_OWN:
            raise UsageError(f"{name}: is each unit's own: give it to procsup.Unit({name}=...)")
        if key in _NO_MEANING and key != "shell":
            raise UsageError(f"{name}: has no meaning here, it belongs into a run file")
        if key in LATER_KEYS and key not in known:
            raise UsageError(f"{name}: is not there yet in this version of procsup")
        if key not in known:
            hint = suggest(key, known).replace("-", "_")
            raise UsageError(f"{name}: unknown setting{hint}")


def load_plan(
    text: PlanText, *, directory: Optional[str] = None, jobs: Optional[int] = None, path: str = ""
) -> "LoadedPlan":
    """Make a run of a plan; RunFileError lists all errors of its settings.

    `directory` is the folder in which the run directory is made; `path` is the path of the plan
    if it is already in the run directory.
    """
    head = text.head
    problems = PlanProblems(path)
    source = Source(path, os.path.join(head.folder, PLAN_FILE), "", "", _make_data(head))
    reader = RunReader(source, problems, datetime.date.today())
    spec, recipes = reader.read({}, directory, jobs)
    if path:
        spec = msgspec.structs.replace(spec, directory=os.path.dirname(make_absolute(path)))
    spec = msgspec.structs.replace(spec, file=os.path.join(spec.directory, PLAN_FILE))
    problems.raise_if_any()
    found: Dict[str, bool] = {}
    if text.rest is not None:
        found["is_queue"] = text.rest.is_queue
    elif path and os.path.lexists(os.path.join(spec.directory, QUEUE_FILE)):
        found["is_queue"] = True
    elif not head.program:
        found["is_python"] = all_run_python(_decode(line, path) for line in text.units)
    if found:
        stage = msgspec.structs.replace(spec.stages[0], **found)
        recipes = [msgspec.structs.replace(recipes[0], spec=stage)]
        spec = msgspec.structs.replace(spec, stages=(stage,))
    around = reader.make_context(spec)
    source = msgspec.structs.replace(source, path=str(spec.file))
    loaded = LoadedPlan(source, spec, recipes, around, text)
    loaded.check_marks(problems)
    problems.raise_if_any()
    return loaded


def make_own_name(prefix: str) -> str:
    """Return a unique name for a run without a name; it is made like the id of a run."""
    return f"{prefix}-{make_dated_id(4)}"


def is_own_name(name: str) -> bool:
    """Whether `make_own_name` may have made a name; users may have chosen it all the same."""
    return _OWN_NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Refuse a name that cannot be a folder's; UsageError says why."""
    try:
        check_run_name(name)
    except Wrong as wrong:
        raise UsageError(f"name: {wrong}") from None


def _make_data(head: Head) -> Dict[str, Any]:
    """Return the settings as the parsed run file of an equal run."""
    run = {key: value for key, value in head.settings.items() if key in _OF_THE_RUN}
    stage = {key: value for key, value in head.settings.items() if key not in run}
    written = {
        key: value if key in _TEXT_AS_IS else double_braces(value)
        for key, value in {**stage, **(head.program or {"command": ["procsup"]})}.items()
    }
    return {"name": head.name, **double_braces(run), "stage": {head.stage: written}}


class KeepLines(Protocol):
    """Writes lines of a plan to its file; the `last` ones are on disk on return."""

    def __call__(self, lines: Iterable[bytes], *, last: bool) -> None:
        """Write them."""


class MoreUnits(NamedTuple):
    """Units of a plan that grows; whether they are the last ones, and whether that `is_sure`."""

    units: List[UnitSpec]
    is_last: bool
    is_sure: bool


class LoadedPlan(LoadedRun):
    """A valid plan, and its units; `text` is the text that it was read from."""

    def __init__(
        self,
        source: Source,
        spec: RunSpec,
        recipes: Sequence[Recipe],
        around: ExpandContext,
        text: PlanText,
    ) -> None:
        super().__init__(source, spec, recipes, around)
        self.text = text
        self._rest = text.rest
        self._count = 0  # of the units read so far
        self._unfit: Dict[str, str] = {}
        self._names = Names(spills=self.grows)
        self._checked = 1  # units whose inputs were compared with all outputs so far

    def forget_text(self) -> None:
        """Drop the lines of the units, here and in the caller's list."""
        self.text.units.clear()

    @property
    def grows(self) -> bool:
        """Whether more units are made during the run."""
        return self._rest is not None

    @property
    def unfit(self) -> Mapping[str, str]:
        """Units read last whose inputs no argument can hold, each with the cause."""
        return self._unfit

    @property
    def is_ready(self) -> bool:
        """Whether more units, or that there are none, are known without a wait."""
        rest = self._rest
        return rest is None or rest.is_ready

    def stop_growing(self) -> None:
        """Let a thread return that waits for more units."""
        rest = self._rest  # another thread may clear it
        if rest is not None:
            rest.leave()

    def expand_more(self, capacity: Capacity, keep: KeepLines) -> Optional[MoreUnits]:
        """Wait for more units.

        None if their maker gave up. `keep` writes their lines to the file of the plan, before they
        are checked; the last one only if it is sure. RunFileError has all problems of these units.
        """
        rest = self._rest
        lines = None if rest is None else rest.take()
        if lines is None or rest is None:
            return None
        known, is_last = self._count, False
        try:
            is_last = is_last_line(lines[-1], known + len(lines) - 1, self._source.shown)
        except PlanWithdrawn:
            return None
        if is_last and not rest.is_sure:
            keep(lines[:-1], last=False)
        else:
            keep(lines, last=is_last)
        problems = self._find_problems()
        stage = self.spec.stages[0].name
        units = self._read_units(stage, capacity, lines[:-1] if is_last else lines, problems)
        # Comparing all units each time would take quadratic time: it is done when their number has
        # doubled, and at the end.
        again = is_last or self._count >= 2 * self._checked
        self._registry.check_inputs([(self._recipes[stage], units)], problems, again=again)
        problems.raise_if_any()
        if again:
            self._checked = self._count
        if is_last:
            self._rest = None
            self._registry.forget_units()
        return MoreUnits(units, is_last, rest.is_sure)

    def _find_problems(self) -> Problems:
        return PlanProblems(self._source.shown)

    def _expand(
        self,
        stage: str,
        capacity: Capacity,
        outputs: UpstreamOutputs,  # noqa: ARG002 - nothing is before the only stage
        problems: Problems,
    ) -> List[UnitSpec]:
        self._count, self._names = 0, Names(spills=self.grows)
        return self._read_units(stage, capacity, self.text.units, problems)

    def _read_units(
        self, stage: str, capacity: Capacity, lines: Iterable[bytes], problems: Problems
    ) -> List[UnitSpec]:
        recipe, first = self._recipes[stage], self._count
        finder = Finder(self._around.folder, marks=self._registry.marks)
        reader = UnitReader(recipe, self._around, capacity, finder, self._names)
        units: List[UnitSpec] = []
        self._unfit = {}
        wrong_ones = 0
        for index, line in enumerate(lines, first):
            before = len(units)
            table = _decode(line, self._source.shown)
            cause = table.pop("unfit", None)
            with problems.below(("stage", stage, index)):
                unit, wrong = self._read_unit(reader, index, table)
                units.append(unit)
                cause = cause or wrong
                if cause is not None:
                    self._unfit[units[-1].id] = cause
            wrong_ones += len(units) == before
            if wrong_ones >= _ENOUGH_PROBLEMS:
                break
        self._count += len(units)
        self._notes[stage] = tuple(f"{stage}: {note}" for note in finder.notes())
        self._registry.add(recipe, units, problems, more=first > 0, distinct=True)
        return units

    def _read_unit(
        self, reader: UnitReader, index: int, table: Dict[str, Any]
    ) -> Tuple[UnitSpec, Optional[str]]:
        """Return a unit; of a queue also one that is wrong, without what is wrong, and why."""
        try:
            return reader.read(index, table), None
        except Wrong as wrong:
            faults = list(wrong.below())
            bad = {at[0] for at, _ in faults if at}
            if not self.spec.stages[0].is_queue or "id" in bad:
                raise
            rest = {"argv": ["procsup"], **{key: table[key] for key in table if key not in bad}}
            why = "; ".join(_format_fault(at, text) for at, text in faults)
            return reader.read(index, rest), why


class PlanProblems(Problems):
    """The problems of a plan, shown with names as in Python instead of lines of a file."""

    def __init__(self, shown: str) -> None:
        super().__init__(shown, "")
        self._shown = f"{shown}: " if shown else ""

    def raise_if_any(self, others: Sequence[str] = ()) -> None:
        """Raise RunFileError with every problem, each with the setting, or the unit's number."""
        if self._found:
            own = [f"{self._shown}{_format_fault(at, text)}" for at, text in self._found]
            raise RunFileError([*own, *others])


def _format_fault(at: KeyPath, text: str) -> str:
    words: List[Any] = list(at[2:] if at[:1] == ("stage",) else at)
    if words and isinstance(words[0], int):
        words.insert(0, "units")
    elif words:
        words[0] = words[0].replace("-", "_")
    return f"{show_path(tuple(words))}: {text}" if words else text
