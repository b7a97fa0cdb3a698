"""Runs without a run file: units that a program lists, or one child per input."""

import os
from dataclasses import dataclass, field
from typing import (
    Any,
    Collection,
    Dict,
    Generator,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    TypeVar,
    Union,
)

from procsup.errors import UsageError
from procsup.host.attached import Feed, can_grow
from procsup.host.files import AnyPath
from procsup.host.folders import get_current_folder, make_absolute
from procsup.lib.invocation import make_display
from procsup.lib.manifest import Manifest
from procsup.lib.plain import convert_argument, convert_arguments, make_plain
from procsup.lib.running import Invocation, Progress, Run, begin
from procsup.lib.targets import DEFAULT_ARGS, Target, make_target
from procsup.lib.timing import Duration, convert_seconds
from procsup.runfile.plan import (
    CALLED_OFF,
    KEEP_LAST,
    Head,
    check_name,
    check_settings,
    encode,
    end_line,
    make_own_name,
)
from procsup.supervisor.requests import Display, HostedRequest, Request

T = TypeVar("T")
Argument = Union[str, float, "os.PathLike[str]"]
Paths = Union[Sequence[AnyPath], Mapping[str, Union[AnyPath, Sequence[AnyPath]]]]
Output = Union[AnyPath, Mapping[str, object]]
Outputs = Union[Sequence[Output], Mapping[str, Output]]

_KEEP = ("never", "unchanged", "always")
_WHOLE = (str, bytes, os.PathLike, Mapping)
_FILES = ("inputs", "depends", "outputs", "cwd", "stdin", "stdout", "stderr")


@dataclass(frozen=True)
class Unit:
    """One child process to run: its command line, and the files that it declares.

    It has no placeholders; relative paths start where `run_units` is called. `inputs` must exist,
    `outputs` must be made, `depends` are only compared for changes: lists, or tables of names;
    ``*`` and ``?`` in them are wildcards, and an entry with ``!`` in front excludes what it
    matches. An output may be a table with `path` and the options `empty`, `optional` and
    `unchanged`. `cpus` is a number, a fraction or ``"all"``, `memory` bytes or a text such as
    ``"2G"``; `parameters` are recorded. `stop_command` is run instead of the stop signal; only
    there ``{pid}`` is the unit's process id, ``{index}`` the unit's index, and other braces are
    doubled.
    """

    argv: Sequence[Argument]
    id: Optional[str] = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Optional[AnyPath] = None
    inputs: Paths = ()
    depends: Paths = ()
    outputs: Outputs = ()
    stdin: Optional[AnyPath] = None
    stdout: Optional[AnyPath] = None
    stderr: Optional[AnyPath] = None
    cpus: Optional[Union[float, str]] = None
    memory: Optional[Union[int, str]] = None
    stop_command: Sequence[Argument] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("argv", "inputs", "depends", "outputs", "stop_command"):
            value = getattr(self, name)
            if isinstance(value, Iterable) and not isinstance(value, _WHOLE):
                object.__setattr__(self, name, tuple(value))  # a generator yields once

    def __hash__(self) -> int:
        return hash((self.id, self.argv))

    def make_table(self, where: str = "") -> Dict[str, object]:
        """Return the unit as a table of a plan, without empty fields.

        Error messages name a field by `where` and its name.
        """
        table: Dict[str, object] = {
            name: make_plain(value, where + name, paths=name in _FILES)
            for name, value in vars(self).items()
            if name != "argv" and value is not None and value not in ((), [], {})
        }
        return {"argv": convert_arguments(self.argv, f"{where}argv"), **table}


AnyUnit = Union[Sequence[Argument], Unit]


def run_units(
    units: Iterable[AnyUnit],
    *,
    name: Optional[str] = None,
    jobs: Optional[int] = None,
    on_failure: Union[str, Mapping[str, object]] = "finish",
    keep: str = "never",
    adopt: bool = False,
    dir: Optional[AnyPath] = None,
    progress: Progress = "auto",
    check: bool = True,
    time_limit: Optional[Duration] = None,
    keep_last: Optional[int] = KEEP_LAST,
    **defaults: object,
) -> Manifest:
    """Run units, each a command line or a `Unit`, and return the manifest when all have ended.

    The units of a generator start while it makes more of them. `name` names the run directory
    (``.procsup/NAME`` here, or below `dir`); without it procsup chooses a new name. In a second
    call of the same name, `keep` ``"unchanged"`` skips units that succeeded before and are the
    same, ``"always"`` also those that have changed; ``"never"`` runs all. In a copied folder the
    original's successes are kept only with `adopt`; without it they are a UsageError. `defaults`
    are the keys of a stage for all units, with underscores: ``timeout="10m"``, ``retries=2``,
    ``env``, ``cwd``, ... `time_limit` is for the whole run, as in `run`. Beside a run without a
    name the newest `keep_last` finished ones without a name stay, this one included, and those that
    ended less than an hour ago; their older run directories are removed. None keeps all.

    Errors are those of `run`; UsageError says what is wrong with a unit or a setting. Of a list
    nothing was started then. Of a generator nothing more is started, and what runs finishes; the
    run is not final. If the generator raises, the run is stopped, and its exception goes on.
    """
    options = UnitOptions(
        name, jobs, on_failure, keep, dir, progress, check, defaults, adopt, time_limit, keep_last
    )
    return make_units_invocation(units, options).carry_out()


def start_units(
    units: Iterable[AnyUnit],
    *,
    name: Optional[str] = None,
    jobs: Optional[int] = None,
    on_failure: Union[str, Mapping[str, object]] = "finish",
    keep: str = "never",
    adopt: bool = False,
    dir: Optional[AnyPath] = None,
    detach: bool = False,
    time_limit: Optional[Duration] = None,
    keep_last: Optional[int] = KEEP_LAST,
    **defaults: object,
) -> Run:
    """Start a run of units and return once it holds its run directory, as `start` does for a file.

    Then ``for event in run.events()`` has the end of each unit as it comes. The arguments are those
    of `run_units`, the errors those of `start`. A thread iterates over a generator. What that
    raises is raised here until the run has begun, then by `Run.wait`. With `detach` all units are
    made before the first one starts.
    """
    options = UnitOptions(
        name, jobs, on_failure, keep, dir, "none", True, defaults, adopt, time_limit, keep_last
    )
    invocation = make_units_invocation(units, options)
    return begin(invocation.make_feed(make_display("none"), True), detach=detach)


def map(
    target: Union[AnyPath, Sequence[Argument]],
    inputs: Iterable[Argument],
    *,
    args: Sequence[Argument] = DEFAULT_ARGS,
    outputs: Outputs = (),
    name: Optional[str] = None,
    check: bool = True,
    jobs: Optional[int] = None,
    on_failure: Union[str, Mapping[str, object]] = "finish",
    keep: str = "never",
    adopt: bool = False,
    dir: Optional[AnyPath] = None,
    progress: Progress = "auto",
    time_limit: Optional[Duration] = None,
    keep_last: Optional[int] = KEEP_LAST,
    **defaults: object,
) -> Manifest:
    """Run one child per input of a module, a Python file or a command; return the manifest.

    `target` is ``"pkg.mod"`` (run as ``python -m pkg.mod``), ``"x.py"`` or an argv such as
    ``["gzip", "-9"]``. In `args`, in `outputs` and in an argv ``{}`` is the input, and
    ``{.name}``, ``{.stem}``, ``{.suffix}`` and ``{.parent}`` are its parts as a path; braces that
    stand for themselves are doubled. Inputs are texts, numbers or paths; an input that is an
    `os.PathLike` is watched for changes (for ``keep="unchanged"``). The rest is as in
    `run_units`; `python` chooses the interpreter.
    """
    options = UnitOptions(
        name, jobs, on_failure, keep, dir, progress, check, defaults, adopt, time_limit, keep_last
    )
    return make_map_invocation(target, inputs, args, outputs, options).carry_out()


@dataclass(frozen=True)
class UnitOptions:
    """The arguments of `run_units` and `map` that apply to all units."""

    name: Optional[str]
    jobs: Optional[int]
    on_failure: Union[str, Mapping[str, object]]
    keep: str
    dir: Optional[AnyPath]
    progress: Progress
    check: bool
    defaults: Mapping[str, object]
    adopt: bool = False
    time_limit: Optional[Duration] = None
    keep_last: Optional[int] = None

    def make_settings(self) -> Dict[str, object]:
        """Return the settings under their keys in a run file; UsageError if one is unknown."""
        if self.keep not in _KEEP:
            raise UsageError(f"keep={self.keep!r}: expected one of {', '.join(_KEEP)}")
        settings = {
            key.replace("_", "-"): make_plain(value, key) for key, value in self.list_given()
        }
        check_settings(settings)
        more: Dict[str, object] = {"on-failure": make_plain(self.on_failure, "on_failure")}
        more.update({"keep": "always"} if self.keep == "always" else {})
        more.update({} if self.jobs is None else {"jobs": make_plain(self.jobs, "jobs")})
        return {**settings, **more}

    def list_given(self) -> Iterator[Any]:
        """Yield name and value of each setting that is not None."""
        return ((key, value) for key, value in self.defaults.items() if value is not None)

    def make_invocation(
        self,
        stage: str,
        program: Mapping[str, Any],
        tables: Iterable[Dict[str, object]],
        *,
        grows: bool,
    ) -> Invocation:
        """Return the invocation that runs these units, with `grows` while more are made."""
        named = self.name is not None
        head = Head(
            self.run_name(), get_current_folder(), stage, self.make_settings(), program, named
        )
        request = Request(
            directory=None if self.dir is None else make_absolute(self.dir),
            fresh=self.keep == "never",
            adopt=bool(self.adopt),
            time_limit_s=convert_seconds("time_limit", self.time_limit),
            keep_last=None if named else self.count_kept(),
        )

        def make_feed(display: Display, announce: bool) -> Feed:
            meanwhile = grows and can_grow()
            asked = HostedRequest(
                request, display, plan_follows=True, announce=announce, plan_grows=meanwhile
            )
            lines = _encode_lines(head, tables)
            return Feed(head.name, asked.encode(), lines, CALLED_OFF, meanwhile)

        return Invocation(make_feed, self.progress, self.check)

    def count_kept(self) -> Optional[int]:
        """Return `keep_last`; UsageError if it is no number of runs."""
        if self.keep_last is None:
            return None
        kept = make_plain(self.keep_last, "keep_last")
        if type(kept) is not int or kept < 1:
            raise UsageError(
                f"keep_last={self.keep_last!r}: expected a whole number of at least 1, or None"
            )
        return kept

    def run_name(self) -> str:
        """Return the given name of the run, or a new one."""
        if self.name is None:
            return make_own_name("run")
        check_name(self.name)
        return self.name


def make_units_invocation(units: Iterable[AnyUnit], options: UnitOptions) -> Invocation:
    """Return the invocation of `run_units`."""
    if isinstance(units, (str, bytes, Unit)) or not isinstance(units, Iterable):
        raise UsageError(
            f"units: expected a list of command lines, such as [['gzip', 'a.txt']], not {units!r}"
        )
    tables = _make_unit_tables(units)
    return options.make_invocation("units", {}, tables, grows=not isinstance(units, Collection))


def make_map_invocation(
    target: Union[AnyPath, Sequence[Argument]],
    inputs: Iterable[Argument],
    args: Sequence[Argument],
    outputs: Outputs,
    options: UnitOptions,
) -> Invocation:
    """Return the invocation of `map`."""
    target_program = make_target(target, args, outputs)
    if isinstance(inputs, (str, bytes, os.PathLike)) or not isinstance(inputs, Iterable):
        raise UsageError(f"inputs: expected a list of inputs, such as [{inputs!r}]")
    tables, grows = _make_map_tables(target_program, inputs), not isinstance(inputs, Collection)
    return options.make_invocation("map", target_program.program, tables, grows=grows)


def _encode_lines(head: Head, tables: Iterable[Dict[str, object]]) -> Iterator[bytes]:
    yield head.line()
    count = 0
    for table in _iterate(tables):
        yield encode(table)
        count += 1
    yield end_line(count)


def _iterate(items: Iterable[T]) -> Iterator[T]:
    """Yield the items; a generator is closed with this one, although others may hold it."""
    try:
        yield from items
    finally:
        if isinstance(items, Generator):
            items.close()


def _make_unit_tables(units: Iterable[AnyUnit]) -> Iterator[Dict[str, object]]:
    for index, unit in enumerate(_iterate(units)):
        where = f"units[{index}]."
        if isinstance(unit, Unit):
            yield unit.make_table(where)
        else:
            yield {"argv": convert_arguments(unit, f"{where}argv")}


def _make_map_tables(target_program: Target, inputs: Iterable[Any]) -> Iterator[Dict[str, object]]:
    for index, value in enumerate(_iterate(inputs)):
        text = convert_argument(value, f"inputs[{index}]")
        table = target_program.make_table(text, f"inputs[{index}]")
        if isinstance(value, os.PathLike):
            table["paths"] = [text]
        yield table


__all__: List[str] = ["Unit", "map", "run_units", "start_units"]
