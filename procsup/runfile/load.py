"""The entry to run files: `load` reads and checks one, `LoadedRun` makes its units."""

import datetime
import os
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from procsup.core.outcome import Reading
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec, UnitSpec, sort_stages
from procsup.errors import RunFileError
from procsup.host.names import make_path_key
from procsup.runfile.checks.missing import note_missing
from procsup.runfile.checks.registry import Registry
from procsup.runfile.parameters.vouched_outputs import VouchedOutputs
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.stages.following import FollowedStage, MadeUnits
from procsup.runfile.stages.recipe import ExpandContext, Recipe
from procsup.runfile.stages.run import RunReader
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import Problems
from procsup.runfile.syntax.reading import Source, read_source
from procsup.runfile.units.expand import expand
from procsup.runfile.vocabulary.keys import RUN_KEYS, STAGE_KEYS

UpstreamOutputs = Mapping[str, Sequence[Tuple[str, Tuple[Reading, ...]]]]
EarlyUnits = Dict[str, List[UnitSpec]]


def _list_nothing(_units: EarlyUnits) -> Sequence[str]:
    return ()


def load(
    path: Union[str, "os.PathLike[str]"],
    *,
    variables: Optional[Mapping[str, str]] = None,
    directory: Optional[str] = None,
    jobs: Optional[int] = None,
    today: Optional[datetime.date] = None,
) -> "LoadedRun":
    """Read and check a run file; RunFileError has all of its problems.

    `variables` override those of the file; `directory` is the folder in which the run directory
    is made, by default ``.procsup`` beside the file; `jobs` overrides the file's; `today` is the
    local date for ``{date}``.
    """
    source = read_source(path)
    _refuse_other_toml(source)
    problems = Problems(source.shown, source.text)
    reader = RunReader(source, problems, today or datetime.date.today())
    spec, recipes = reader.read(variables or {}, directory, jobs)
    if problems:
        note_missing(recipes, spec.folder, problems)
    problems.raise_if_any()
    loaded = LoadedRun(source, spec, recipes, reader.make_context(spec))
    loaded.check_marks(problems)
    problems.raise_if_any()
    return loaded


def _refuse_other_toml(source: Source) -> None:
    """Refuse TOML that has not one key of a run file: its problems would be all of its keys."""
    known = (*RUN_KEYS, *STAGE_KEYS)
    if any(key in known for key in source.data):
        return
    from procsup.runfile.syntax.kinds import describe_other_toml  # for messages only

    kind = describe_other_toml(source.shown, source.data, known)
    if kind:
        raise RunFileError([f"{source.shown}: {kind}"])


class LoadedRun:
    """A valid run file, and its units.

    `digest` is the sha256 of the file's bytes.
    """

    @property
    def grows(self) -> bool:
        """Whether more units are made during the run."""
        return False

    def __init__(
        self, source: Source, spec: RunSpec, recipes: Sequence[Recipe], around: ExpandContext
    ) -> None:
        self.spec = spec
        self.digest = source.digest
        self._source = source
        self._recipes = {recipe.spec.name: recipe for recipe in recipes}
        self._followed = {name for stage in spec.stages for name in stage.for_each}
        self._made: Dict[str, List[MadeUnits]] = {}  # units that others may follow
        self._around = around
        self._notes: Dict[str, Tuple[str, ...]] = {}
        self._registry = Registry(spec, source.path)
        for recipe in recipes:
            self._registry.add_looks(recipe, around.values)

    @property
    def unfit(self) -> Mapping[str, str]:
        """Units made last that cannot be started, each with the cause."""
        return {}

    @property
    def is_ready(self) -> bool:
        """Whether more units, or that there are none, are known without a wait."""
        return True

    def stop_growing(self) -> None:
        """Let a thread return that waits for more units."""

    def list_early_stages(self) -> List[str]:
        """Return the names of the stages whose units can be known now, in the file's order."""
        return [stage.name for stage in self.spec.stages if not stage.late]

    def expand_early(
        self, capacity: Capacity, list_more: Callable[[EarlyUnits], Sequence[str]] = _list_nothing
    ) -> EarlyUnits:
        """Return the units of these stages; RunFileError has all problems of all of them.

        If there are any, `list_more` returns further ones, of the units that could be made.
        """
        problems = self._find_problems()
        early = self.list_early_stages()
        found: Dict[str, List[UnitSpec]] = {}
        for name in sort_stages(self.spec):
            if name in early:
                found[name] = self._expand(name, capacity, {}, problems)
        units = {name: found[name] for name in early}
        made = [(self._recipes[name], of_stage) for name, of_stage in units.items()]
        self._registry.check_inputs(made, problems)
        problems.raise_if_any(list_more(units) if problems else ())
        if not (self.grows or any(stage.late for stage in self.spec.stages)):
            self._registry.forget_units()
            self._made.clear()
        return units

    def expand(self, stage: str, capacity: Capacity, outputs: UpstreamOutputs) -> List[UnitSpec]:
        """Return the units of a stage whose upstream is done; RunFileError has all problems.

        `outputs`: for each of its `sources`, the readings of the units that succeeded, in order;
        the stages whose units it follows have been expanded.
        """
        problems = self._find_problems()
        units = self._expand(stage, capacity, outputs, problems)
        self._registry.check_inputs([(self._recipes[stage], units)], problems)
        problems.raise_if_any()
        return units

    def notes(self, stage: str) -> Tuple[str, ...]:
        """Return notes on the paths that were left out when a stage's units were made."""
        return self._notes.get(stage, ())

    def check_marks(self, problems: Problems) -> None:
        """Note stamps and manifests whose path is also that of another file.

        procsup removes and replaces them, so no other file may have their paths.
        """
        read = self._read_by_stages()
        marks: List[Tuple[KeyPath, Optional[str], str]] = [
            (("stamp",), self.spec.stamp, "the run's stamp"),
            (("manifest",), self.spec.manifest, "the run's manifest"),
        ]
        for recipe in self._recipes.values():
            whose = f"the stamp of the stage `{recipe.spec.name}`"
            marks += [(recipe.place("stamp"), recipe.spec.stamp, whose)]
        for at, path, whose in marks:
            if path is None:
                continue
            owner = self._registry.reserve(path, whose)
            if owner != whose:
                problems.add(at, f"the same file is {owner}")
            problem = read.get(make_path_key(path)) or self._registry.explain_no_mark(path)
            if problem:
                problems.add(at, f"{problem}: {whose} needs a path of its own")

    def _read_by_stages(self) -> Dict[str, str]:
        """Return the files that stages name for all their units, with a description of each."""
        read: Dict[str, str] = {}
        for stage in self.spec.stages:
            named = [(stage.script, "script"), *((one, "list") for one in stage.list_files)]
            named += [(folder, "pythonpath") for folder in stage.pythonpath]
            named += [(program, "interpreter") for program in stage.interpreter[:1]]
            for path, what in named:
                if path is not None:
                    key = make_path_key(path.rstrip(os.sep) or path)
                    read[key] = f"the same file is the {what} of the stage `{stage.name}`"
        return read

    def _find_problems(self) -> Problems:
        return Problems(self._source.shown, self._source.text)

    def _expand(
        self, stage: str, capacity: Capacity, outputs: UpstreamOutputs, problems: Problems
    ) -> List[UnitSpec]:
        recipe = self._recipes[stage]
        of = outputs.get(recipe.spec.inputs_from or "", ())
        paths = [reading.path for _, readings in of for reading in readings]
        made = {name: self._made[name] for name in recipe.spec.for_each}
        followed = stage in self._followed
        before = FollowedStage(paths, made)
        finder = Finder(
            self._around.folder, self._find_vouched(recipe, outputs), self._registry.marks
        )
        units, seen = expand(
            recipe, self._around, capacity, before, finder, problems, followed=followed
        )
        self._notes[stage] = tuple(f"{stage}: {note}" for note in finder.notes())
        if followed:
            self._made[stage] = seen
        self._registry.add(recipe, units, problems)
        return units

    def _find_vouched(self, recipe: Recipe, outputs: UpstreamOutputs) -> Optional[VouchedOutputs]:
        """Return the outputs that the stage's globs may match; None if they match no outputs."""
        stages = [name for name in recipe.spec.looks_into if name in outputs]
        if not stages:
            return None
        units = (unit for name in stages for unit in outputs[name])
        made = (reading.path for _, readings in units for reading in readings)
        return self._registry.find_vouched(stages, made)
