"""Makes the units of a stage from their parts, which are rendered from templates or given."""

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from procsup.core.spec import OutputSpec, UnitSpec
from procsup.runfile.parameters.tables import Row
from procsup.runfile.stages.recipe import ExpandContext, Recipe
from procsup.runfile.syntax import values as v
from procsup.runfile.templates.template import Files
from procsup.runfile.units.command import Command, CommandMaker
from procsup.runfile.units.fingerprint import Identity, compute_fingerprint

NOTHING: Dict[str, Any] = {}  # one for all units


class Parts(Struct, frozen=True):
    """The parts of one unit.

    Files are as written, so relative to the run file's folder; all other paths are absolute.
    """

    own: str  # its id without the stage; "" for an only unit
    row: Row
    cwd: str
    shown: Command  # for the fingerprint: its paths are as written
    real: Command  # for the start: its paths are valid in `cwd`
    inputs: Files
    depends: Files
    paths: Sequence[str]  # its parameters that are files
    outputs: Tuple[OutputSpec, ...]
    streams: Mapping[str, Optional[str]]  # stdin, stdout, stderr
    cpus: float
    memory_bytes: Optional[int]
    threads: Optional[int]
    lists: Dict[str, Tuple[str, ...]] = NOTHING
    follows: Tuple[str, ...] = ()
    priority: int = 0
    # Patterns excluded from folders among inputs and depends, by absolute path.
    excluded: Sequence[Mapping[str, Tuple[str, ...]]] = ()
    piped: bool = False


class UnitMaker:
    """Makes the units of one stage; their common parts are made once.

    `inputs_from`: the absolute paths of ``inputs.from``.
    """

    def __init__(
        self, recipe: Recipe, around: ExpandContext, inputs_from: Sequence[str] = ()
    ) -> None:
        self.commands = CommandMaker(recipe)
        self.inputs_from = Files(tuple(map(around.make_relative, inputs_from)))
        self._inputs_from = tuple(inputs_from)
        self._stage = recipe.spec.name
        self._shown_head = recipe.program.shown_head
        self._around = around
        self._argv: Tuple[str, ...] = ()
        self._paths: Tuple[str, ...] = ()
        self._absolute_paths: Tuple[str, ...] = ()

    def make(self, index: int, parts: Parts) -> UnitSpec:
        """Return a unit; `Misplaced` if its command exceeds the system's limits."""
        own, cwd, real, streams = parts.own, parts.cwd, parts.real, parts.streams
        stdin = streams.get("stdin")
        watched = (stdin,) if stdin and not parts.piped else ()
        # Arguments by position, in the order of the fields: so many keywords take 2 us longer.
        return UnitSpec(
            f"{self._stage}/{own}" if own else self._stage,
            self._stage,
            index,
            self._share_argv(self.commands.make_argv(real, cwd)),
            cwd,
            self._compute_fingerprint(parts, stdin),
            v.plain_row(parts.row),
            real.env,
            self._make_absolute_inputs(parts.inputs) + watched,
            self._make_absolute((*parts.depends.paths, *parts.paths)),
            self._merge_excluded(parts) if parts.excluded else NOTHING,
            parts.outputs,
            self._list_names(parts.inputs),
            stdin,
            streams.get("stdout"),
            streams.get("stderr"),
            parts.cpus,
            parts.memory_bytes,
            parts.threads,
            parts.lists,
            self.commands.stop(real.stop, cwd),
            parts.follows,
            parts.priority,
            parts.piped,
        )

    def _share_argv(self, argv: Tuple[str, ...]) -> Tuple[str, ...]:
        """Return the previous unit's argv if it is equal, to save memory; most units differ."""
        if argv != self._argv:
            self._argv = argv
        return self._argv

    def _make_absolute(self, paths: Tuple[str, ...]) -> Tuple[str, ...]:
        """Return absolute paths; `depends` often equals the inputs, and then shares their paths."""
        if paths != self._paths:
            self._paths = paths
            self._absolute_paths = tuple([self._around.make_absolute(path) for path in paths])
        return self._absolute_paths

    def _make_absolute_inputs(self, inputs: Files) -> Tuple[str, ...]:
        if inputs.paths is self.inputs_from.paths:
            return self._inputs_from
        return self._make_absolute(inputs.paths)

    def _merge_excluded(self, parts: Parts) -> Dict[str, Tuple[str, ...]]:
        """Return the patterns excluded from folders; of a folder in both lists, those in both."""
        one, two = parts.excluded
        of_inputs, of_depends = (
            {self._around.make_absolute(path) for path in files.paths}
            for files in (parts.inputs, parts.depends)
        )
        both = of_inputs & of_depends
        return {
            path: patterns
            for path, patterns in {**one, **two}.items()
            if path not in both or one.get(path) == two.get(path)
        }

    def _list_names(self, inputs: Files) -> Dict[str, Any]:
        if inputs.named is None:
            return NOTHING
        return dict(inputs.map_paths(self._around.make_absolute, None).named or {})

    def _compute_fingerprint(self, parts: Parts, stdin: Optional[str]) -> str:
        around, cwd = self._around, parts.cwd
        return compute_fingerprint(
            Identity(
                parts.shown.argv(self._shown_head),
                parts.row,
                parts.shown.env,
                around.make_relative(cwd) if cwd != around.folder else ".",
                parts.inputs.paths,
                parts.depends.paths,
                None if stdin is None else around.make_relative(stdin),
            )
        )
