"""Checks that ids and outputs of units are unique over all stages of a run.

Also: no glob of a stage may match the outputs of another stage for which it does not wait.
"""

import json
import os
import threading
from itertools import chain
from typing import (
    Collection,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from procsup.core.globs import find_meeting, meet, unescape
from procsup.core.spec import OutputSpec, RunSpec, UnitSpec
from procsup.host.names import make_path_key
from procsup.paths.links import RealFolders
from procsup.paths.walk import CASE, make_glob, read_excluded
from procsup.runfile.checks.looks import Look, list_looks
from procsup.runfile.checks.overlaps import Claims, Overlap
from procsup.runfile.checks.reads import Read, Reads
from procsup.runfile.parameters.vouched_outputs import VouchedOutputs
from procsup.runfile.stages.graph import list_all_upstream, list_done_before
from procsup.runfile.stages.recipe import Recipe
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import Problems

_ENOUGH_PROBLEMS = 20


class Registry:
    """The units and outputs of all stages that have been expanded."""

    def __init__(self, spec: RunSpec, file: str) -> None:
        self._folder = spec.folder
        self._directory = spec.directory
        self._upstream = list_all_upstream(spec.stages)
        by_name = {stage.name: stage for stage in spec.stages}
        self._done = {stage.name: list_done_before(stage, by_name) for stage in spec.stages}
        self._follows: Dict[str, Tuple[str, ...]] = {}  # unit -> units that it follows
        self._file_key = make_path_key(file)
        self._inside_directory = make_path_key(spec.directory) + os.sep
        self._outputs: Dict[str, Dict[str, str]] = {}  # stage -> output -> unit
        self._declared: Dict[str, List[Tuple[OutputSpec, str]]] = {}  # folders and globs
        self._claims: Dict[str, Claims] = {}  # stage -> its folders and globs
        self._looks: List[Look] = []
        self._reads: Dict[str, List[Reads]] = {}  # stage -> what its units read
        self._ids: Dict[str, Dict[str, UnitSpec]] = {}  # stage -> its units
        self._real = RealFolders(spec.folder)
        self._marks: Dict[str, str] = {}  # key of a stamp or the like -> its description
        self._escaped: Set[str] = set()  # patterns with escaped characters, and their keys
        self._lock = threading.Lock()  # stages may be expanded on side threads

    def reserve(self, path: str, owner: str) -> Optional[str]:
        """Reserve a path for a stamp or the like; return its present user, if there is one."""
        return self._marks.setdefault(_make_key(path), owner)

    @property
    def marks(self) -> Mapping[str, str]:
        """The keys of stamps and the like, each with its description."""
        return self._marks

    def explain_no_mark(self, path: str) -> str:
        """Return why no file may be written to or removed from this path; "" if it may."""
        key = _make_key(path)
        problem = self._explain_own(path, key)
        if problem:
            return problem
        if make_path_key(self._directory).startswith(key.rstrip(os.sep) + os.sep):
            return f"{self._display_path(path)} is a folder: the run directory is in it"
        if os.path.isdir(path):
            return f"{self._display_path(path)} is a folder"
        for look in self._looks:
            if look.is_glob and look.sees(key):
                seen = f"the stage `{look.stage}` would find {self._display_path(path)} by its glob"
                return f"{seen} `{look.source}`"
        return ""

    def forget_units(self) -> None:
        """Drop all units: no more units will be compared with them."""
        self._outputs.clear()
        self._declared.clear()
        self._claims.clear()
        self._reads.clear()
        self._ids.clear()
        self._follows.clear()
        self._escaped.clear()

    def find_vouched(self, stages: Sequence[str], made: Iterable[str]) -> VouchedOutputs:
        """Return the outputs of these stages; only those that were `made` are vouched for."""

        def is_output(key: str) -> bool:
            names = (key, key + os.sep)  # folders are registered with a separator
            return any(
                any(name in self._outputs[stage] for name in names)
                or self._claims[stage].holds(key)
                for stage in known
            )

        known = [stage for stage in stages if stage in self._claims]
        return VouchedOutputs(made, is_output, self._real)

    def add_looks(self, recipe: Recipe, values: Mapping[str, object]) -> None:
        """Note the globs and lists of a stage that are the same for all its units."""
        self._looks += list_looks(recipe, values, self._folder)

    def add(
        self,
        recipe: Recipe,
        units: Iterable[UnitSpec],
        problems: Problems,
        *,
        more: bool = False,
        distinct: bool = False,
    ) -> None:
        """Add units of a stage, `more` or the first ones; note duplicates, and early reading.

        `distinct`: it is known that their ids are.
        """
        with self._lock:
            stage = recipe.spec.name
            if not more:
                self._outputs[stage], self._declared[stage], self._ids[stage] = {}, [], {}
                self._reads[stage] = []
            ids = None if distinct else self._ids[stage]
            for problem in _take_first(self._find_problems(recipe, units, ids)):
                problems.add(*problem)
            self._claims[stage] = Claims(self._declared[stage])
            for problem in _take_first(self._find_overlaps(recipe)):
                problems.add(*problem)
            for problem in _take_first(self._find_early_looks(recipe)):
                problems.add(*problem)

    def _find_problems(
        self, recipe: Recipe, units: Iterable[UnitSpec], ids: Optional[Dict[str, UnitSpec]]
    ) -> Iterator[Tuple[KeyPath, str]]:
        for unit in units:
            if unit.follows:
                self._follows[unit.id] = unit.follows
            first = unit if ids is None else ids.setdefault(unit.id, unit)
            if first is not unit:
                yield (
                    recipe.place("id") if recipe.unit_id else recipe.at,
                    _describe_same_id(first, unit),
                )
                continue
            for output in unit.outputs:
                is_glob = output.kind == "glob"
                real = self._real.resolve_declared(output.path, is_glob=is_glob)
                problem = self._take(recipe.spec.name, output.path, real, unit, is_glob=is_glob)
                if problem:
                    yield recipe.place("outputs"), problem
                elif output.kind != "file":
                    self._declared[recipe.spec.name].append((output, unit.id))
                    if real != output.path:
                        through = (self._real.resolve_output(output), unit.id)
                        self._declared[recipe.spec.name].append(through)
            yield from self._take_streams(recipe, unit)
            yield from self._find_own_inputs(recipe, unit)
            if self._marks:
                yield from self._find_marked_inputs(recipe, unit)

    def _find_overlaps(self, recipe: Recipe) -> Iterator[Tuple[KeyPath, str]]:
        """Find outputs in a folder or a glob that another unit declares."""
        stage = recipe.spec.name
        pairs = [(stage, other) for other in self._claims]
        pairs += [(other, stage) for other in self._claims if other != stage]
        for of, claiming in pairs:
            for hit in self._claims[claiming].hits(self._outputs[of], self._claims[of]):
                yield recipe.place("outputs"), self._describe_both(hit)
        for hit in self._find_inside_of_files(stage):
            yield recipe.place("outputs"), self._describe_both(hit)

    def _find_inside_of_files(self, stage: str) -> Iterator[Overlap]:
        """Find outputs below another unit's output that was not declared as a folder."""
        folders = {make_path_key(folder) for folder in self._real.folders}
        above: Dict[str, Tuple[str, str]] = {}  # output -> its unit and stage
        for maker, outputs in self._outputs.items():
            above.update((key, (outputs[key], maker)) for key in folders & outputs.keys())
            for claims in self._claims.values():  # a path declared as a file and as a folder
                both = (key[:-1] for key in claims.folders if key[:-1] in outputs)
                above.update((key, (outputs[key], maker)) for key in both)
        if not above:
            return
        for maker, outputs in self._outputs.items():
            for key, unit in outputs.items():
                folder = key.rstrip(os.sep) if key.endswith(os.sep) else os.path.dirname(key)
                while folder not in above and folder != os.path.dirname(folder):
                    folder = os.path.dirname(folder)
                if folder in above:
                    other, of = above[folder]
                    if other != unit and stage in (maker, of):
                        yield Overlap(key, unit, other, folder)

    def _describe_both(self, hit: Overlap) -> str:
        own, other = self._display_path(hit.key), self._display_path(hit.declared)
        if hit.common is None:
            lies = f"{own} of the unit `{hit.unit}` lies in {other}"
            return f"{lies}, which the unit `{hit.claimer}` makes: both would vouch for it"
        both = f"{own} of the unit `{hit.unit}` and {other} of the unit `{hit.claimer}`"
        shared = self._display_path(hit.common)
        return f"{both} may both be {shared}: both would vouch for it, so narrow one"

    def _find_own_inputs(self, recipe: Recipe, unit: UnitSpec) -> Iterator[Tuple[KeyPath, str]]:
        """Find files that a unit both reads and writes: it would destroy them, or never be kept."""
        if not unit.inputs or not (unit.outputs or unit.stdout or unit.stderr):
            return
        inputs = {_make_key(path) for path in unit.inputs}
        streams = {key: getattr(unit, key) for key in ("stdout", "stderr")}
        for key, path in streams.items():
            if path is not None and _make_key(path) in inputs:
                both = f"{self._display_path(path)} is an input of the unit `{unit.id}`, too"
                yield recipe.place(key), f"{both}: it would be emptied before it is read"
        for output in unit.outputs:
            written = output.path in streams.values()
            if _make_key(output.path) in inputs and not (output.unchanged or written):
                both = f"{self._display_path(output.path)} is an input of the unit `{unit.id}`, too"
                cure = "give the output a path of its own, or `unchanged = true`"
                yield recipe.place("outputs"), f"{both}: its result would never be kept: {cure}"

    def _find_marked_inputs(self, recipe: Recipe, unit: UnitSpec) -> Iterator[Tuple[KeyPath, str]]:
        for key, paths in (("inputs", unit.inputs), ("depends", unit.depends)):
            for path in paths:
                whose = self._marks.get(_make_key(path))
                if whose is not None:
                    own = "stdin" if path == unit.stdin else key
                    # A parameter that is a path has no key in `places`.
                    at = recipe.place(own) if own in recipe.places else recipe.at
                    problem = (
                        f"{self._display_path(path)}, which the unit `{unit.id}` reads, is {whose}"
                    )
                    yield at, f"{problem}, too: procsup would remove it"

    def _take_streams(self, recipe: Recipe, unit: UnitSpec) -> Iterator[Tuple[KeyPath, str]]:
        if unit.stdout is None and unit.stderr is None:
            return
        declared = {output.path for output in unit.outputs}
        for key, path in (("stdout", unit.stdout), ("stderr", unit.stderr)):
            if path is not None and path not in declared:
                real = self._real.resolve_declared(path)
                problem = self._take(recipe.spec.name, path, real, unit)
                if problem:
                    yield recipe.place(key), problem

    def _take(
        self, stage: str, path: str, real: str, unit: UnitSpec, *, is_glob: bool = False
    ) -> str:
        """Register an output with the real path `real`; return its problem, empty if none."""
        if is_glob and "[" in real:
            self._escaped.update((path, real, make_path_key(path), make_path_key(real)))
        problem = self._take_as(stage, path, path, unit)
        if problem or real == path:
            return problem
        return self._take_as(stage, real, path, unit)

    def _take_as(self, stage: str, real: str, path: str, unit: UnitSpec) -> str:
        """Register an output that the unit declares as `path` and whose real path is `real`."""
        key = make_path_key(real)
        through = f" (through a link, {self._display_path(path)})" if real != path else ""
        for taken in self._outputs.values():
            if key in taken:
                whose = taken[key]
                if whose == unit.id:
                    return f"the unit `{unit.id}` writes {self._display_path(real)}{through} twice"
                both = f"the units `{whose}` and `{unit.id}` write the same file"
                return f"{both}, {self._display_path(real)}{through}: each needs its own"
        self._outputs[stage][key] = unit.id
        bare = key.rstrip(os.sep) or key
        marked = self._marks.get(bare)
        if marked is not None:
            return f"{self._display_path(real)}{through} is {marked}, too"
        return self._explain_own(real, bare)

    def _explain_own(self, path: str, key: str) -> str:
        if (key + os.sep).startswith(self._inside_directory):
            return f"{self._display_path(path)} is in the run directory, which is procsup's own"
        if key == self._file_key:
            return f"{self._display_path(path)} is the run file itself"
        return ""

    def _display_path(self, path: str) -> str:
        if path in self._escaped:
            path = unescape(path)
        inside = make_path_key(path).startswith(make_path_key(self._folder + os.sep))
        return (path[len(self._folder) + 1 :] if inside else path).replace(os.sep, "/")

    # --- inputs and globs ----------------------------------------------------------------

    def check_inputs(
        self,
        made: Iterable[Tuple[Recipe, Collection[UnitSpec]]],
        problems: Problems,
        *,
        again: bool = True,
    ) -> None:
        """Note inputs for which a reader does not wait, if it or the maker is in these stages.

        `again`: also those of units that were checked before, whose makers may be new.
        """
        with self._lock:
            new = {recipe.spec.name: Reads(recipe, units, self._real) for recipe, units in made}
            for name, of_stage in new.items():
                if not of_stage.is_empty:
                    self._reads[name].append(of_stage)
            for reads in chain.from_iterable(self._reads.values()) if again else new.values():
                reader = reads.recipe.spec.name
                makers = self._outputs if reader in new else new
                for maker in makers:
                    if maker not in self._done[reader]:
                        for problem in _take_first(self._find_made_elsewhere(reads, maker)):
                            problems.add(*problem)

    def _find_made_elsewhere(self, reads: Reads, maker: str) -> Iterator[Tuple[KeyPath, str]]:
        recipe, outputs, claims = reads.recipe, self._outputs[maker], self._claims[maker]
        for read in reads.find_readers_of_others(outputs, claims, self._follows_unit):
            at = recipe.place(read.key) if read.key in recipe.places else recipe.at
            yield at, self._explain_too_early(read, maker)

    def _explain_too_early(self, read: Read, maker: str) -> str:
        path, made, unit = self._display_path(read.path), self._display_path(read.made), read.unit
        follows = maker in self._upstream[unit.stage]
        near = unit.stage == maker or follows
        whom = f"the unit `{read.maker}`" if near else f"the stage `{maker}`"
        bare = made.rstrip("/")
        what, leave_out = f"{path} is made by {whom}", ""
        if read.lies_in:
            leave_out = f', or leave it out of {made}: "!{path}"'
        elif bare != path:
            what = f"{path} holds {made}, which is made by {whom}"
            leave_out = f', or leave that out: "!{bare}"'
        if unit.stage == maker:
            what += f" of the same stage, and the unit `{unit.id}` reads it"
            cure = "make it in a stage of its own, and wait for that"
        elif follows:
            what += f", which the unit `{unit.id}` does not follow"
            cure = f'wait for all with after = ["{maker}"]'
        elif unit.stage in self._upstream[maker]:
            cure = f"the stage `{maker}` waits for this one"
        else:
            cure = f'wait for it with after = ["{maker}"]'
        return f"{what}: {cure}{leave_out}"

    def _follows_unit(self, unit: UnitSpec, other: str) -> bool:
        return bool(unit.follows) and other in self._find_followed(unit)

    def _find_followed(self, unit: UnitSpec) -> Set[str]:
        """Return the units that this one follows, directly or not."""
        found: Set[str] = set()
        todo = list(unit.follows)
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += self._follows.get(one, ())
        return found

    def _find_early_looks(self, recipe: Recipe) -> Iterator[Tuple[KeyPath, str]]:
        """Compare the stage's globs with all outputs, and all globs with the stage's outputs."""
        for look in self._looks:
            for maker in self._outputs:
                if recipe.spec.name not in (look.stage, maker):
                    continue
                own = maker == look.stage and not look.is_glob  # a missing list is reported
                if maker not in self._upstream[look.stage] and not own:
                    path = self._find_seen(look, maker)
                    if path is not None:
                        yield look.at, self._describe_too_early(look, maker, path)

    def _find_seen(self, look: Look, maker: str) -> Optional[str]:
        for path in self._outputs[maker]:
            if look.sees(path) and not self._is_own_source(look, maker, path):
                return path
        for output, _ in self._declared[maker]:
            if output.kind == "folder":
                path, excluded = output.path.replace(os.sep, "/"), read_excluded(output)
                common = find_meeting(look.glob, path, excluded, case=CASE)
            else:
                common = meet(look.glob, make_glob(output), case=CASE)
            if common is not None:
                return output.path
        return None

    def _is_own_source(self, look: Look, maker: str, path: str) -> bool:
        """Whether the stage matches an existing file of its own: it changes its files in place."""
        return look.stage == maker and os.path.exists(path)

    def _describe_too_early(self, look: Look, maker: str, path: str) -> str:
        if not look.is_glob:
            source = self._display_path(look.source)
            return f'{source} is made by the stage `{maker}`: wait for it with after = ["{maker}"]'
        seen = (
            f"`{look.source}` matches what the stage `{maker}` makes ({self._display_path(path)})"
        )
        if look.stage == maker:
            return f"{seen}: the next run would take its own outputs for new work"
        return f'{seen}: wait for it with after = ["{maker}"], or narrow the glob'


def _make_key(path: str) -> str:
    """Return the key of a file or folder, which may have a separator at its end."""
    return make_path_key(path.rstrip(os.sep) or path)


def _describe_same_id(first: UnitSpec, second: UnitSpec) -> str:
    ways = [f"{{{_format_parameters(unit)}}}" for unit in (first, second) if unit.parameters]
    return (
        f"two units have the id `{first.id}`{', from ' if ways else ''}{' and '.join(ways)}:"
        ' give each its own with `id = "..."`, or leave one out'
    )


def _format_parameters(unit: UnitSpec) -> str:
    return ", ".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in unit.parameters.items()
    )


def _take_first(problems: Iterator[Tuple[KeyPath, str]]) -> List[Tuple[KeyPath, str]]:
    """Return the first problems and a count of the rest; reads all, which registers units."""
    found: List[Tuple[KeyPath, str]] = []
    more = 0
    for problem in problems:
        if len(found) < _ENOUGH_PROBLEMS:
            found.append(problem)
        else:
            more += 1
    if more:
        found.append((found[-1][0], f"and {more:,} more of this kind"))
    return found
