"""Reads a request and expands its units before anything is changed on disk."""

import os
from typing import List, Mapping, Optional, Sequence, Tuple

import msgspec
from msgspec import Struct

from procsup.attempt.preflight import preflight
from procsup.core.facts import make_facts_before
from procsup.core.plan.rehearsal import RehearsedStage
from procsup.core.replay import History
from procsup.core.selectors import Selection, make_selection, refuse
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec, UnitSpec, list_upstream
from procsup.core.text import count_noun, make_visible, quote_word, say_when_units_known
from procsup.errors import RecordError, RunFileError, UsageError
from procsup.host import machine
from procsup.host.default_python import choose_python
from procsup.host.files import describe_error, write_atomically
from procsup.host.folders import make_absolute
from procsup.host.nested import read_granted_cpus
from procsup.host.opened import Folder
from procsup.host.owners import find_first_closed
from procsup.paths.opening import is_absent
from procsup.runfile.load import LoadedRun, load
from procsup.runfile.plan import PLAN_FILE, LoadedPlan, PlanText, load_plan, read_file
from procsup.store.growing_plan import PlanFile
from procsup.store.place import find_folder_now
from procsup.store.reader import read_last_begin
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Request


class ResolvedRequest(Struct, frozen=True):
    """A request and its run; `units` has the units that can be expanded now, by stage.

    `only` and `again` are None without selectors: a retry then runs all that did not succeed.
    """

    request: Request
    loaded: LoadedRun
    spec: RunSpec
    capacity: Capacity
    units: Mapping[str, Sequence[UnitSpec]]
    only: Optional[Selection] = None
    again: Optional[Selection] = None

    @property
    def selections(self) -> List[Selection]:
        """The selections of the request."""
        return [one for one in (self.only, self.again) if one is not None]

    def weigh_words(self, history: History) -> None:
        """Pass the earlier results to the selectors; UsageError if one selects no unit."""
        facts = make_facts_before(history)
        for selection in self.selections:
            selection.set_facts(facts)
        self.refuse_words()

    def refuse_words(self) -> None:
        """Raise UsageError for a selector that certainly selects no unit."""
        self._refuse([stage.name for stage in self.spec.stages if stage.name not in self.units])

    def refuse_unmatched(self, foreseen: Mapping[str, RehearsedStage]) -> List[str]:
        """Refuse selectors like `refuse_words`, by units known from a rehearsal.

        Return a note for each option with a selector that only units known later may match.
        """
        unknown = {name: _explain_unknown(name, seen) for name, seen in foreseen.items()}
        for selection in self.selections:
            selection.set_stages(unknown)
        self._refuse([name for name, why in unknown.items() if why])
        doubts = {"--only ": self.only, "": self.again}
        found = [(option, one.find_doubt()) for option, one in doubts.items() if one is not None]
        return [f"{option}{doubt}" for option, doubt in found if doubt]

    def _refuse(self, late: Sequence[str]) -> None:
        refuse(self.only, late, "--only ")
        refuse(self.again, late)

    def keep_plan(self, folder: Folder) -> Optional[PlanFile]:
        """Write a program's plan into `folder`, the run directory, whose lock this process holds.

        A resume reads it from there. RecordError if it cannot be written. The text is freed
        afterwards: it may be large, and is not needed any more. Returns the file if the plan grows:
        then it is begun at once only where no older plan is.
        """
        if not isinstance(self.loaded, LoadedPlan):
            return None
        path, plan_file = os.path.join(self.spec.directory, PLAN_FILE), None
        if self.loaded.grows:
            plan_file = PlanFile(path, self.loaded.text.lines(), dir_fd=folder.fd)
            if not folder.has(PLAN_FILE):
                plan_file.begin()
        elif self.request.plan is not None:
            _write_plan(path, self.loaded, folder)
        self.loaded.forget_text()
        return plan_file


def _write_plan(path: str, loaded: LoadedPlan, folder: Folder) -> None:
    try:
        write_atomically(path, loaded.text.lines(), dir_fd=folder.fd)
    except OSError as error:
        raise RecordError(f"{path} cannot be written: {describe_error(error)}") from error


def read(request: Request, *, may_be_open: bool = False) -> ResolvedRequest:
    """Read the request; RunFileError and UsageError list all its errors.

    `may_be_open` as in `load_source`.
    """
    if request.engine != "local":
        raise UsageError(f"engine {request.engine!r} is not known: this version has only local")
    loaded = load_source(request, may_be_open=may_be_open)
    wanted = loaded.spec.capacity
    capacity = machine.make_capacity(
        cpus=wanted.cpus, memory_bytes=wanted.memory_bytes, jobs=loaded.spec.jobs
    )
    units = loaded.expand_early(capacity, lambda made: _list_missing(loaded.spec, made))
    only, again = make_selection(request.only), make_selection(request.again)
    asked = ResolvedRequest(request, loaded, loaded.spec, capacity, units, only, again)
    for selection in asked.selections:
        selection.set_stages({stage.name: "" for stage in asked.spec.stages})
        for name, some in units.items():
            selection.learn(some, name)
    asked.refuse_words()
    return asked


def _list_missing(spec: RunSpec, units: Mapping[str, Sequence[UnitSpec]]) -> List[str]:
    """Return what the first stages of a run file miss that is refused for something else."""
    found: List[str] = []
    for stage in spec.stages:
        if not list_upstream(stage):
            made = units.get(stage.name, ())
            found += preflight(spec, stage, made, os.environ, touch=False)[0]
    return found


def _explain_unknown(stage: str, seen: RehearsedStage) -> str:
    if seen.problem and not seen.units:
        return f"the units of stage {stage} are not known: {seen.problem}"
    return "" if seen.known_after is None else say_when_units_known(stage, seen.known_after)


def make_directory(asked: ResolvedRequest) -> Tuple[ResolvedRequest, RunDir, bool]:
    """Make the run directory; return the request for it, the directory, and whether it is new.

    A run without a given name takes the next free name: another run may take the same one at
    the same moment. Errors as `RunDir.create`.
    """
    plan, count = asked.request.plan, 1
    rundir = RunDir(asked.spec.directory)
    if plan is None or plan.head.named or asked.request.goes_on:
        return asked, rundir, rundir.create(asked.spec.share)
    while not rundir.create(asked.spec.share, only_new=True):
        count += 1
        head = plan.head._replace(name=f"{plan.head.name}-{count}")
        other = msgspec.structs.replace(plan, head=head)
        asked = read(msgspec.structs.replace(asked.request, plan=other))
        rundir = RunDir(asked.spec.directory)
    return asked, rundir, True


def begin_anew(asked: ResolvedRequest, name: str) -> ResolvedRequest:
    """Return the same plan as a new run of this name, which goes on from no other one."""
    plan = asked.request.plan
    assert plan is not None
    plan = msgspec.structs.replace(plan, head=plan.head._replace(name=name))
    new = {"plan": plan, "goes_on": False, "fresh": True}
    return read(msgspec.structs.replace(asked.request, **new, name_if_busy=None))


def list_notices(asked: ResolvedRequest) -> List[str]:
    """Return the notes to show before the run starts, a line each."""
    found = [line for stage in asked.units for line in asked.loaded.notes(stage)]
    return [
        *_describe_cpus(asked),
        *_check_share(asked.spec),
        *_note_python(asked.spec),
        *_note_late_scripts(asked.spec),
        *found,
    ]


def _note_python(spec: RunSpec) -> List[str]:
    """Return a note on the Python of stages that name none, unless it is simply our own."""
    chosen = choose_python()
    if not chosen.why or all(stage.interpreter != chosen.argv for stage in spec.stages):
        return []
    return [make_visible(f"Python of the units: {' '.join(chosen.argv)} ({chosen.why})")]


def _note_late_scripts(spec: RunSpec) -> List[str]:
    """Return a note for each script that is not there yet: only a stage before may make it."""
    late = [stage for stage in spec.stages if stage.script is not None and list_upstream(stage)]
    return [
        f"stage {stage.name}: script {make_visible(str(stage.script))} does not exist yet;"
        f" unless it is made before, the stage fails"
        for stage in late
        if is_absent(str(stage.script))
    ]


def _check_share(spec: RunSpec) -> List[str]:
    """Return a note if the users with whom the run is shared cannot reach its directory."""
    if spec.share == "none":
        return []
    closed = find_first_closed(os.path.dirname(spec.directory), group=spec.share == "group")
    if closed is None:
        return []
    who = "g" if spec.share == "group" else "go"
    return [
        f'share = "{spec.share}": other users cannot read this run, since they may not enter'
        f" {closed}: chmod {who}+x {quote_word(closed)}, or keep runs elsewhere (--dir)"
    ]


def _describe_cpus(asked: ResolvedRequest) -> List[str]:
    """Return a note if the CPUs are those of a unit of another run, not the machine's."""
    granted, capacity = read_granted_cpus(), asked.capacity
    own = asked.spec.capacity.cpus is not None
    machines = len(capacity.cpu_ids) or os.cpu_count() or 1
    if own or granted is None or capacity.cpus != granted or granted >= machines:
        return []
    share = f"{granted:g} of {count_noun(machines, 'CPU')}"
    return [f"inside a unit of another run, which has {share} (--jobs or `capacity` take more)"]


def load_source(request: Request, *, may_be_open: bool = False) -> LoadedRun:
    """Load the plan or the run file of a request; the plan may be in a run directory.

    `may_be_open`: of a plan to which more units may come, load those there are.
    """
    if request.plan is not None:
        return load_plan(request.plan, directory=request.directory, jobs=request.jobs)
    if os.path.basename(request.file) == PLAN_FILE:
        text = _replace_folder(read_file(request.file, may_be_open=may_be_open), request.file)
        return load_plan(text, jobs=request.jobs, path=request.file)
    loaded = load(
        request.file,
        variables=request.variables,
        directory=request.directory,
        jobs=request.jobs,
        today=request.date,
    )
    if request.digest not in (None, loaded.digest):
        raise RunFileError([f"{request.file}: was changed while it was read: do it again"])
    return loaded


def _replace_folder(text: PlanText, file: str) -> PlanText:
    """Return a plan of a run directory with the present folder at which its paths start."""
    rundir = RunDir(os.path.dirname(make_absolute(file)))
    begin = read_last_begin(rundir.journal)
    folder = find_folder_now(rundir.path, begin) if begin is not None and begin.root else None
    if folder is None:
        return text
    return msgspec.structs.replace(text, head=text.head._replace(folder=folder))
