"""Takes readings of files, and compares them with recorded ones.

Nothing is written here; `sync_file` and `sync_folder` only make what was written durable.
"""

import os
from functools import partial
from typing import (
    Callable,
    Container,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from procsup.core.globs import unescape
from procsup.core.keep import Change, FileChanges
from procsup.core.outcome import NO_LEFTOVER_FILES, LeftoverFiles, Reading
from procsup.core.records import End
from procsup.core.rooted import strip_folder
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.host.files import sync_fd
from procsup.host.files import sync_folder as sync_folder
from procsup.paths.identity import Comparison, Contents, compare, has_recorded_stamps, read_file
from procsup.paths.links import RealFolders
from procsup.paths.opening import open_regular
from procsup.paths.walk import excludes, list_files, stands_for

_UNTOUCHED = FileChanges()
_INTACT = FileChanges(leftover_files=NO_LEFTOVER_FILES)
_SEPARATORS = "/" + os.sep
_NAMED = 3  # leftover files of a unit


def read_output(output: OutputSpec, *, checksum: str) -> List[Reading]:
    """Return a reading of each present file of a declared output (see `list_files`)."""
    readings = (read_file(path, checksum=checksum) for path in list_files(output))
    return [reading for reading in readings if reading is not None]


# --- comparison with the record --------------------------------------------------------------


def list_inputs(unit: UnitSpec) -> List[OutputSpec]:
    """Return the paths that a unit's result depends on, each once, in the form of outputs."""
    paths = [*unit.inputs, *unit.depends]
    if unit.stdin is not None and not unit.piped:
        paths.append(unit.stdin)
    if unit.excluded:
        excluded = unit.excluded
        return [OutputSpec(p, excluded=excluded.get(p, ())) for p in dict.fromkeys(paths)]
    return [OutputSpec(path) for path in dict.fromkeys(paths)]


def find_input_files(
    unit: UnitSpec, declared: OutputSpec, published: Sequence[str] = ()
) -> List[str]:
    """Return the current files of one of a unit's inputs.

    In a folder the unit's own outputs do not count, nor do the `published` files that procsup
    itself writes. OSError as `list_files`.
    """
    return list_files(declared, follow=True, leaves_out=OwnFiles(unit, declared.path, published))


class OwnFiles:
    """Recognizes the files of an input folder that the unit itself, or procsup, writes.

    Links are resolved. An output at the same path as the folder does not count.
    """

    def __init__(self, unit: UnitSpec, folder: str, published: Sequence[str] = ()) -> None:
        self._unit, self._published = unit, published
        self._folder = folder.rstrip(_SEPARATORS)
        self._real = RealFolders(self._folder)
        self._paths: Optional[Set[str]] = None  # with all that is below them
        self._folders: Tuple[str, ...] = ()
        self._special: List[OutputSpec] = []

    def __call__(self, path: str) -> bool:
        """Whether a file or folder is one of these."""
        if self._paths is None:
            self._paths = set(self._find())
            self._folders = tuple([one + os.sep for one in self._paths])
        real = self._real.resolve(path)
        if real in self._paths or real.startswith(self._folders):
            return True
        # A declared folder with exclusions may hold files that do not belong to it.
        return any(stands_for(one, real) for one in self._special) and not os.path.isdir(path)

    def _find(self) -> Iterator[str]:
        yield from map(self._real.resolve, self._published)
        for output in list_outputs(self._unit):
            bare = output.path.rstrip(_SEPARATORS)
            if bare == self._folder:
                continue
            real = self._real.resolve_output(output)
            if output.kind == "glob" or output.excluded:
                self._special.append(real)
            else:
                yield real.path.rstrip(_SEPARATORS)
            if output.kind != "glob" and os.path.islink(bare):
                yield self._real.resolve(os.path.realpath(bare))


def unescape_path(output: OutputSpec) -> str:
    """Return an output's path as it is shown to users; a glob's without its escapes."""
    return unescape(output.path) if output.kind == "glob" else output.path


def list_outputs(unit: UnitSpec) -> List[OutputSpec]:
    """Return the declared outputs and the files named for stdout and stderr, each path once."""
    outputs = {output.path: output for output in unit.outputs}
    for path in (unit.stdout, unit.stderr):
        if path is not None and path not in outputs:
            outputs[path] = OutputSpec(path, empty=True)
    return list(outputs.values())


def compare_with_record(
    unit: UnitSpec,
    end: End,
    *,
    checksum: str,
    contents: Optional[Contents] = None,
    folder: str = "",
    published: Sequence[str] = (),
) -> FileChanges:
    """Compare a unit's inputs and outputs with those of its recorded end, file by file.

    If an input is a folder or a glob, an added or removed file is a change. If an output is a
    folder or a glob, only the recorded files count: others beside them are leftover files, whose
    names are shown relative to `folder`.
    """
    outputs, inputs = list_outputs(unit), list_inputs(unit)
    if not (outputs or inputs or end.outputs or end.inputs):
        return _UNTOUCHED
    if checksum != "all" and _are_as_recorded(outputs, inputs, end):
        return _INTACT
    seen: List[Reading] = []
    try:
        made = [(output, list_files(output)) for output in outputs]
        missing = next((one for one, files in made if not files and not one.optional), None)
        if missing is not None:
            return _describe_missing(missing, end)
        known = {reading.path for reading in end.outputs}
        used = {path for declared in inputs for path in find_input_files(unit, declared, published)}
        own = [OwnFiles(unit, declared.path, published) for declared in inputs]
        were_used = _select_watched(end.inputs, inputs, used, own)
        look = partial(compare, checksum=checksum, contents=contents)
        return FileChanges(
            _describe_difference(used, were_used, look, seen),
            _find_left_out(known, made)
            or _describe_difference(_select_counting(made, known), end.outputs, look, seen),
            seen=tuple(seen),
            leftover_files=make_leftover_files(
                [file for _, files in made for file in files if file not in known], folder
            ),
        )
    except OSError as error:
        unread = Change(str(error.filename), f"cannot be read: {error.strerror or error}")
        return FileChanges(unread, unread, missing=True)


def _find_left_out(
    recorded: Set[str], made: Sequence[Tuple[OutputSpec, Sequence[str]]]
) -> Optional[Change]:
    """Return the first recorded output that the outputs exclude now."""
    less = [output for output, _ in made if output.excluded]
    if not less:
        return None
    unlisted = recorded.difference(*(files for _, files in made))
    paths = [path for path in unlisted if any(excludes(one, path) for one in less)]
    return Change(min(paths), "is left out by now") if paths else None


def _are_as_recorded(outputs: Sequence[OutputSpec], inputs: Sequence[OutputSpec], end: End) -> bool:
    """Whether all declared paths are single files with their recorded stamps: the usual case."""
    recorded = (*end.outputs, *end.inputs)
    if [one.path for one in (*outputs, *inputs)] != [one.path for one in recorded]:
        return False
    return all(map(has_recorded_stamps, recorded))


def _select_counting(
    made: Iterable[Tuple[OutputSpec, Sequence[str]]], known: Container[str]
) -> Set[str]:
    """Return the present files of outputs that are recorded, or that were declared later."""
    found: Set[str] = set()
    for output, files in made:
        recorded = [file for file in files if file in known]
        # Old files of an optional output that is declared later are ignored.
        found.update(recorded or ([] if output.optional else files))
    return found


def _describe_missing(output: OutputSpec, end: End) -> FileChanges:
    made_before = any(stands_for(output, one.path) for one in end.outputs)
    kind = "deleted" if made_before else "new"
    return FileChanges(outputs=Change(unescape_path(output), "missing", kind), missing=True)


def _select_watched(
    recorded: Sequence[Reading],
    inputs: Sequence[OutputSpec],
    now: Set[str],
    own: Sequence[OwnFiles],
) -> Sequence[Reading]:
    """Return the recorded inputs without those that are not compared any more.

    `own` are the tests of `inputs`. An older procsup compared more files, and the run file may
    exclude more of a folder now. The declared inputs are part of the unit's fingerprint.
    """
    if now.issuperset([reading.path for reading in recorded]):
        return recorded
    declared = {one.path for one in inputs}

    def is_watched(path: str) -> bool:
        holding = [pair for pair in zip(inputs, own) if strip_folder(pair[0].path, path)]
        return any(not (excludes(one, path) or is_own(path)) for one, is_own in holding)

    return [one for one in recorded if one.path in declared or is_watched(one.path)]


class DeclaredChanges(NamedTuple):
    """Inputs that a unit declares now and did not when it ended, and the reverse."""

    new: Sequence[str] = ()
    removed: Sequence[str] = ()


def find_declared_since(unit: UnitSpec, end: End, published: Sequence[str] = ()) -> DeclaredChanges:
    """Return which inputs are declared since the recorded end, and which no longer are.

    Only the recorded files are known: nothing is known of a folder without files. OSError if a
    folder cannot be read.
    """
    known = [reading.path for reading in end.inputs]
    declared = {one.path: one for one in list_inputs(unit)}
    seen = {above for path in known for above in _walk_up(path)}
    new = [one for one in declared if one not in seen]
    return DeclaredChanges(
        [p for p in new if not os.path.isdir(p) or find_input_files(unit, declared[p], published)],
        [one for one in known if declared.keys().isdisjoint(_walk_up(one))],
    )


def _walk_up(path: str) -> Iterator[str]:
    above = ""
    while path != above:
        yield path
        above, path = path, os.path.dirname(path)


def make_leftover_files(paths: Iterable[str], folder: str) -> LeftoverFiles:
    """Return the record of these files, with names relative to `folder`."""
    found = sorted({*paths})
    if not found:
        return NO_LEFTOVER_FILES
    names = [(strip_folder(folder, path) or path).replace(os.sep, "/") for path in found[:_NAMED]]
    return LeftoverFiles(len(found), tuple(names))


def _describe_difference(
    now: Set[str],
    recorded: Sequence[Reading],
    look: Callable[[Reading], Comparison],
    seen: List[Reading],
) -> Optional[Change]:
    known = {reading.path for reading in recorded}
    if now != known:
        path = min(now ^ known)
        return Change(path, "missing", "deleted") if path in known else Change(path, "new", "new")
    for reading in recorded:
        found = look(reading)
        if found.difference:
            kind = "deleted" if found.difference == "missing" else "changed"
            return Change(reading.path, found.difference, kind)
        if found.seen is not None:
            seen.append(found.seen)
    return None


# --- durability ------------------------------------------------------------------------------


def sync_file(path: str) -> None:
    """Return when the file's content is on disk; OSError if it could not be put there."""
    writable = os.O_RDONLY if os.name == "posix" else os.O_RDWR  # Windows flushes for writers only
    fd = open_regular(path, writable)
    try:
        sync_fd(fd)
    finally:
        os.close(fd)
