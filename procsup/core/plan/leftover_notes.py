"""Notes, once for a stage, that its units read a folder with leftover files in it."""

from typing import Container, Iterable, List, Optional, Set

from procsup.core.outcome import LeftoverFiles
from procsup.core.plan.state import Plan, Stage
from procsup.core.rooted import find_folder, find_separator, join_folder, strip_folder
from procsup.core.spec import UnitSpec
from procsup.core.text import count_noun

_NAMED = 3


def find_leftovers_before(plan: Plan, stage: Stage) -> None:
    """Find the folders with leftover files that the finished stages before this one declare.

    `stage.leftovers` has them by the name of that stage, until a note was made.
    """
    names = list(stage.upstream)
    for name in names:  # grows during the loop
        names += [one for one in plan.by_name[name].upstream if one not in names]
    left = {name: plan.by_name[name].tally.leftover_files.values() for name in names}
    root = plan.spec.folder
    stage.leftovers = {name: _list_folders(found, root) for name, found in left.items() if found}


def note_leftovers(plan: Plan, stage: Stage, unit: UnitSpec) -> None:
    """Add a note, with the cure, if this is the stage's first unit that reads such a folder."""
    left = stage.leftovers
    if left is None or not (left or unit.follows):
        return
    for name, folders in left.items():
        path = _read(unit, folders)
        if path is not None:
            _tell(plan, stage, path, name)
            return
    for maker in (one.spec for one in plan.list_followed(unit)):
        found = plan.by_name[maker.stage].tally.leftover_files.get(maker.id)
        if found is None:
            continue
        folders = _list_folders([found], plan.spec.folder)
        path = _read(unit, folders)
        if path is None and maker.stage in stage.spec.hands_on:
            path = _find_maker(maker, folders)
        if path is not None:
            _tell(plan, stage, path, maker.stage)
            return


def _tell(plan: Plan, stage: Stage, path: str, name: str) -> None:
    stage.leftovers = None
    root = plan.spec.folder
    maker = plan.by_name[name]
    found = maker.tally.all_leftover_files
    names = found.names[:_NAMED]
    shown = (strip_folder(root, path) or path).replace(find_separator(root), "/")
    more = ", ..." if found.count > len(names) else ""
    cure = "remove them"
    if maker.spec.on_failed_outputs != "aside":
        cure += f', or set on-failed-outputs = "aside" in {name}'
    stage.tally.news.append(
        f"note: {stage.name} reads all of {shown}/, also"
        f" {count_noun(found.count, 'leftover file')} of {name} ({', '.join(names)}{more}): {cure}"
    )


def _list_folders(found: Iterable[LeftoverFiles], root: str) -> Set[str]:
    """Return all folders above the named files, absolute."""
    folders: Set[str] = set()
    for one in found:
        for name in one.names:
            folder = find_folder(join_folder(root, name.replace("/", find_separator(root))))
            while folder not in folders:
                folders.add(folder)
                folder = find_folder(folder)
    return folders


def _read(unit: UnitSpec, folders: Container[str]) -> Optional[str]:
    """Return the first of these folders that is an input of a unit, None if none is."""
    return next((path for path in (*unit.inputs, *unit.depends) if path in folders), None)


def _find_maker(unit: UnitSpec, folders: Container[str]) -> Optional[str]:
    """Return the first of these folders that is an output of a unit, None if none is."""
    made: List[str] = [one.path.rstrip("/\\") for one in unit.outputs if one.kind == "folder"]
    return next((path for path in made if path in folders), None)
