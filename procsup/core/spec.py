"""The specification of a run, its stages and their units; immutable."""

from typing import Dict, List, Optional, Tuple, Union

from msgspec import Struct, field

from procsup.core.outcome import RETRY_ON, Verdict
from procsup.core.values import Value


class Retry(Struct, frozen=True):
    """How often and for which verdicts a unit is tried again (`times` beyond the first try)."""

    times: int = 0
    on: Tuple[Verdict, ...] = RETRY_ON
    delay_s: float = 0.0
    memory_factor: float = 1.0  # the grant of memory is multiplied by this at each retry


class OnFailure(Struct, frozen=True):
    """What the first failures do to the other units.

    `do` is ``finish`` (continue), ``drain`` (start nothing more) or ``stop`` (end running units);
    it applies when `at_count` units did not succeed, or `at_fraction` of those planned.
    """

    do: str = "finish"
    at_count: Optional[int] = 1
    at_fraction: Optional[float] = None


class Enough(Struct, frozen=True):
    """The number of units from which on a stage has succeeded; its other units are not needed.

    `of` is what is counted: units that ``succeeded``, or all that are ``done``. With ``done`` the
    stage has failed if one of them has. `at_count` of them, or `at_fraction` of the planned units,
    are enough.
    `do` is ``stop`` (end running units) or ``drain`` (start nothing more).
    """

    do: str = "stop"
    at_count: Optional[int] = 1
    at_fraction: Optional[float] = None
    of: str = "succeeded"


class Pace(Struct, frozen=True):
    """What must hold before a stage starts one more unit.

    `delay_s` passes between two starts. `memory_bytes` are free. The load is below `load`, or below
    `load_share` of the machine's CPUs.
    """

    delay_s: float = 0.0
    memory_bytes: Optional[int] = None
    load: Optional[float] = None
    load_share: Optional[float] = None

    @property
    def needs_reading(self) -> bool:
        """Whether it depends on the state of the machine."""
        return self.memory_bytes is not None or self.limits_load

    @property
    def limits_load(self) -> bool:
        """Whether it depends on the load."""
        return self.load is not None or self.load_share is not None


class After(Struct, frozen=True):
    """A dependency on a whole stage: `when` is ``succeeded`` or ``finished``."""

    stage: str
    when: str = "succeeded"


class OutputSpec(Struct, frozen=True, gc=False):
    """A file, folder or glob that a unit must make; `path` is absolute.

    `empty`: may be empty; `optional`: may be missing; `unchanged`: need not be written anew.
    `kind` is ``file``, ``folder`` (`path` ends with a separator) or ``glob`` (``*`` and ``?``
    within a name, ``**`` for any depth). `excluded` are absolute patterns of what is not part of
    a folder or glob.
    """

    path: str
    name: Optional[str] = None
    empty: bool = False
    optional: bool = False
    unchanged: bool = False
    kind: str = "file"
    excluded: Tuple[str, ...] = ()


class StageSpec(Struct, frozen=True):
    """The settings that all units of a stage share."""

    name: str
    after: Tuple[After, ...] = ()
    inputs_from: Optional[str] = None  # the stage whose outputs are this one's inputs
    for_each: Tuple[str, ...] = ()  # stages whose units its own follow, one by one
    hands_on: Tuple[str, ...] = ()  # stages of `for_each` whose outputs are named in its commands
    unit_wise: bool = False  # a unit starts once those it follows succeeded, not the whole stage
    late: bool = False  # its units are only known once the stages before it are (done)
    looks_into: Tuple[str, ...] = ()  # stages before it whose outputs its globs may match
    list_files: Tuple[str, ...] = ()  # absolute: files with one parameter a line
    jobs: Optional[int] = None
    on_failure: Optional[OnFailure] = None
    enough: Optional[Enough] = None
    pace: Optional[Pace] = None
    timeout_s: Optional[float] = None
    timeout_share: Optional[float] = None  # of the median time of units that succeeded
    grace_s: float = 10.0
    linger_s: Optional[float] = 10.0  # None: as long as the unit may take
    stop_signal: str = "TERM"  # a signal's name without SIG
    stop_to: str = "auto"  # or "main", "tree"
    retry: Retry = Retry()
    success_codes: Tuple[int, ...] = (0,)
    keep: str = "unchanged"  # or "never", "always"
    pin: str = "none"  # or "cpus"
    on_drift: str = "record"  # or "warn", "restore", "fail"
    on_failed_outputs: str = "keep"  # or "aside"
    is_queue: bool = False  # its units come one by one from outside: all that wait are known
    is_python: bool = False  # module, script, or a command that runs a Python
    module: Optional[str] = None
    script: Optional[str] = None  # absolute
    interpreter: Tuple[str, ...] = ()  # argv of the interpreter; () for commands
    shell: Tuple[str, ...] = ()  # argv of the shell, up to its text; () for all else
    secrets: Tuple[str, ...] = ()
    pythonpath: Tuple[str, ...] = ()  # absolute folders
    scratch: bool = False
    unit_file: bool = False
    stamp: Optional[str] = None  # absolute


class UnitSpec(Struct, frozen=True, gc=False):
    """One piece of work. All paths are absolute; messages show them in shorter forms.

    `stdin` is one of the `inputs`, unless it is `piped`: then its name tells its content.
    `depends` and `inputs` must exist before the start; `fingerprint` covers argv, parameters,
    declared env, cwd, the interpreter as written and the *names* of inputs (their contents are
    compared by readings). argv, `env` and `stop_command` may hold marks (core/late.py).
    """

    id: str  # "stage/key=value", unique in the run
    stage: str
    index: int  # position in its stage, from 0
    argv: Tuple[str, ...]
    cwd: str
    fingerprint: str
    parameters: Dict[str, Value] = field(default_factory=dict)
    env: Dict[str, str] = field(default_factory=dict)
    inputs: Tuple[str, ...] = ()
    depends: Tuple[str, ...] = ()
    excluded: Dict[str, Tuple[str, ...]] = field(default_factory=dict)  # folder of these -> globs
    outputs: Tuple[OutputSpec, ...] = ()
    input_names: Dict[str, Union[str, Tuple[str, ...]]] = field(default_factory=dict)  # declared
    stdin: Optional[str] = None
    stdout: Optional[str] = None
    stderr: Optional[str] = None
    cpus: float = 1.0
    memory_bytes: Optional[int] = None
    threads: Optional[int] = None  # what its libraries may start; None: as many as its CPUs
    lists: Dict[str, Tuple[str, ...]] = field(default_factory=dict)  # file to write first -> lines
    stop_command: Tuple[str, ...] = ()  # runs in place of the stop signal
    follows: Tuple[str, ...] = ()  # ids of the units that must have succeeded
    priority: int = 0  # those with more start before the others of their stage
    piped: bool = False  # `stdin` is a file of the run directory, which is removed when it succeeds


class CapacitySpec(Struct, frozen=True):
    """The capacity in the run file or by `--jobs`; None: all that this process may use."""

    cpus: Optional[float] = None
    memory_bytes: Optional[int] = None


class RunSpec(Struct, frozen=True):
    """A whole run file, without its units."""

    name: str
    file: Optional[str]  # absolute; None for a run made by the library
    folder: str  # absolute: relative paths of the run file start here
    directory: str  # absolute: the run directory
    stages: Tuple[StageSpec, ...]
    variables: Dict[str, Value] = field(default_factory=dict)
    capacity: CapacitySpec = CapacitySpec()
    jobs: Optional[int] = None  # without `capacity.cpus` it also raises the CPUs to this number
    on_failure: OnFailure = OnFailure()
    missing_inputs: str = "refuse"  # or "fail-unit"
    stamp: Optional[str] = None
    manifest: Optional[str] = None  # a visible copy of the manifest
    checksum: str = "auto"  # or "all", "none"
    sync_outputs: bool = True
    logs: str = "split"  # or "merged"
    keep_logs: str = "all"  # or "failed"
    share: str = "none"  # or "group", "all"
    lock: Optional[str] = None  # runs with the same name never run at once

    def stage(self, name: str) -> StageSpec:
        """Return the stage of that name; KeyError if there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


def list_published_files(spec: RunSpec) -> Tuple[str, ...]:
    """Return the files outside the run directory that procsup itself writes: stamps, manifest."""
    paths = (spec.stamp, spec.manifest, *(stage.stamp for stage in spec.stages))
    return tuple([path for path in paths if path is not None])


def find_head(stage: StageSpec) -> Tuple[str, ...]:
    """Return the fixed argv between `prefix` and the unit's own arguments; () for commands."""
    if not stage.interpreter:
        return stage.shell
    target = (stage.script,) if stage.module is None else ("-m", stage.module)
    return (*stage.interpreter, *(word for word in target if word is not None))


def list_upstream(stage: StageSpec) -> List[str]:
    """Return the names of the stages before this one, each once."""
    return list(dict.fromkeys([*list_whole_upstream(stage), *stage.for_each]))


def list_whole_upstream(stage: StageSpec) -> List[str]:
    """Return the names of the stages that must be done as a whole before it, each once."""
    names = [after.stage for after in stage.after]
    if stage.inputs_from is not None and stage.inputs_from not in names:
        names.append(stage.inputs_from)
    return names


def list_sources(stage: StageSpec) -> List[str]:
    """Return the names of the stages whose outputs its expansion needs, each once."""
    names = () if stage.inputs_from is None else (stage.inputs_from,)
    return list(dict.fromkeys([*names, *stage.looks_into]))


def sort_stages(spec: RunSpec) -> List[str]:
    """Return the names of the stages, each after those that it waits for."""
    placed: List[str] = []
    left = [stage.name for stage in spec.stages]
    while left:
        ready = [name for name in left if set(list_upstream(spec.stage(name))) <= set(placed)]
        placed.extend(ready)
        left = [name for name in left if name not in ready]
        if not ready:  # a cycle; the run file's reader refuses it
            return placed + left
    return placed
