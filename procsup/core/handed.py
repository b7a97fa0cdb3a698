"""Notes, once for a stage, that its units read a folder with leftover files in it."""

from typing import TYPE_CHECKING, Container, Dict, Iterable, List, Optional, Set

from procsup.core.outcome import LeftoverFiles
from procsup.core.rooted import at, below, folder_of, separator_of
from procsup.core.spec import UnitSpec
from procsup.core.text import plural

if TYPE_CHECKING:
    from procsup.core.planner import Planner
    from procsup.core.stages import Stage

_NAMED = 3


class HandedFolders:
    """The planner's part for folders with leftover files; it changes the planner's own state."""

    def __init__(self, planner: "Planner") -> None:
        self._planner = planner
        self._root = planner.spec.folder
        self._left: Dict[str, Dict[str, Set[str]]] = {}  # stage -> stage before it -> folders

    def look_before(self, stage: "Stage") -> None:
        """Find the folders that hold leftover files of the stages before one, which are done."""
        by_name = self._planner.by_name
        names = list(stage.upstream)
        for name in names:  # grows during the loop
            names += [one for one in by_name[name].upstream if one not in names]
        left = {name: by_name[name].tally.leftover_files.values() for name in names}
        self._left[stage.name] = {
            name: _folders(found, self._root) for name, found in left.items() if found
        }

    def may_hold_leftovers(self, stage: "Stage", unit: UnitSpec) -> bool:
        """Whether `note` may find such a folder for this unit."""
        left = self._left.get(stage.name)
        return bool(left) or (left is not None and bool(unit.follows))

    def note(self, stage: "Stage", unit: UnitSpec) -> None:
        """Add a note, with the cure, if this is the stage's first unit that reads such a folder."""
        for name, folders in self._left[stage.name].items():
            path = _read(unit, folders)
            if path is not None:
                self._tell(stage, path, name)
                return
        for other in unit.follows:
            maker = self._planner.unit(other).spec
            found = self._planner.by_name[maker.stage].tally.leftover_files.get(other)
            if found is None:
                continue
            folders = _folders([found], self._root)
            path = _read(unit, folders)
            if path is None and maker.stage in stage.spec.hands_on:
                path = _made(maker, folders)
            if path is not None:
                self._tell(stage, path, maker.stage)
                return

    def _tell(self, stage: "Stage", path: str, name: str) -> None:
        del self._left[stage.name]
        maker = self._planner.by_name[name]
        found = maker.tally.all_leftover_files
        names = found.names[:_NAMED]
        shown = (below(self._root, path) or path).replace(separator_of(self._root), "/")
        more = ", ..." if found.count > len(names) else ""
        cure = "remove them"
        if maker.spec.on_failed_outputs != "aside":
            cure += f', or set on-failed-outputs = "aside" in {name}'
        stage.tally.news.append(
            f"note: {stage.name} reads all of {shown}/, also"
            f" {plural(found.count, 'leftover file')} of {name} ({', '.join(names)}{more}): {cure}"
        )


def _folders(found: Iterable[LeftoverFiles], root: str) -> Set[str]:
    """Return all folders above the named files, absolute."""
    folders: Set[str] = set()
    for one in found:
        for name in one.names:
            folder = folder_of(at(root, name.replace("/", separator_of(root))))
            while folder not in folders:
                folders.add(folder)
                folder = folder_of(folder)
    return folders


def _read(unit: UnitSpec, folders: Container[str]) -> Optional[str]:
    """Return the first of these folders that is an input of a unit, None if none is."""
    return next((path for path in (*unit.inputs, *unit.depends) if path in folders), None)


def _made(unit: UnitSpec, folders: Container[str]) -> Optional[str]:
    """Return the first of these folders that is an output of a unit, None if none is."""
    made: List[str] = [one.path.rstrip("/\\") for one in unit.outputs if one.kind == "folder"]
    return next((path for path in made if path in folders), None)
