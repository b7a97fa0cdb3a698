"""Strangers who put their own things wherever procsup looks: before it starts, or as it acts.

The paths are not listed here: each act is done once undisturbed, and every path of the project
that procsup touches is noted by an audit hook, call by call. Then at each of them, and at each
folder above it, something else lies when the act begins, or appears just before that very call.
Nothing outside the project may be changed, nothing of somebody else's may be shown or recorded,
nothing foreign believed; and each act ends, with an exit code that is documented and a reason.
"""

import hashlib
import os
import signal
import stat
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from procsup.core.rooted import HOME
from tests.faults import laws
from tests.faults.strangers import races
from tests.faults.strangers.plants import (
    DEVICES,
    HUGE_BYTES,
    KINDS,
    MOUNTS,
    Place,
    find_target,
    is_root,
    plant,
    remove,
    take_away,
)
from tests.faults.strangers.projects import CONFIG
from tests.faults.strangers.scene import (
    CHANGES,
    HOOKED,
    LIVE,
    MAY_BE,
    PROJECTS,
    READS,
    SECRET,
    Act,
    Done,
    Scene,
    refuse_records_of_secrets,
    snapshot,
)
from tests.faults.system_calls.starting import Case, Seam
from tests.faults.trial import Trial

Pair = Tuple[str, str, str]
WHAT = "links, FIFOs, devices, mounts and files of strangers at every path that procsup touches"


class Cell(NamedTuple):
    """What is planted at a path; `touch`: just before this touch of it, None: before the act."""

    act: Act
    kind: str
    path: str
    touch: Optional[Tuple[str, int]]

    def name(self, top: str) -> str:
        """Return the name of the case."""
        when = "" if self.touch is None else f" as {self.touch[0][len(top) :]} is touched"
        number = "" if self.touch is None or self.touch[1] == 1 else f", {self.touch[1]}"
        return f"{self.act.name}: {self.kind} at {self.path[len(top) :]}{when}{number}"

    def pairs(self, top: str) -> Set[Pair]:
        """Return which of its properties it has together, two by two."""
        act, place = self.act.name, self.path[len(top) :]
        moment = "before" if self.touch is None else f"{self.touch[1]} {self.touch[0][len(top) :]}"
        return {
            ("place, kind", place, self.kind),
            ("act, place", act, place),
            ("act, kind", act, self.kind),
            ("act, moment", act, moment),
        }


def attack(trial: Trial) -> None:
    """Let every act meet strangers."""
    if sys.platform != "linux":
        trial.leave_out("all", "what a descriptor is of is read from /proc")
        return
    with Seam(HOOKED) as seam, Seam(HOOKED) as other_seam:
        scene = Scene(trial, seam, other_seam)
        kinds = tuple(_possible(scene))
        pairs: Set[Pair] = set()
        touches = sum(
            _meet(scene, act, kinds, number, pairs)
            for acts, number in (  # what changes anything comes first: it meets new pairs
                (CHANGES, trial.choose(1, 20, 1_000_000)),
                (LIVE, trial.choose(1, 12, 1_000_000)),
                (READS, trial.choose(1, 30, 1_000_000)),
            )
            for act in acts
        )
        trial.figure("acts", len(READS) + len(LIVE) + len(CHANGES))
        trial.figure("touches of paths", touches)
        if pairs:
            trial.figure("pairs", len(pairs))
    races.attack(trial)


def _meet(scene: Scene, act: Act, kinds: Tuple[str, ...], number: int, pairs: Set[Pair]) -> int:
    """Let an act meet so many strangers; return how often it touches a path."""
    trial = scene.trial
    clean, touches = scene.noted(act)
    cells = list(_cells(scene, act, kinds, touches))
    top = f"{scene.cases[act.project].project.folder}/"
    if trial.only is None:
        lots = {cell: _lot(trial.seed, cell.name(top)) for cell in cells}
        cells.sort(key=lots.__getitem__)
        if trial.form == "pairs":
            cells = cover_pairs(cells, pairs, top)
        else:
            cells = _of_many_paths(cells)[:number]
    for cell in cells:
        if trial.is_in_part(cell.name(top)):
            _try(scene, cell, clean)
    return len(touches)


def _of_many_paths(cells: List[Cell]) -> List[Cell]:
    """Return them in another order: first one of each path, then a second one of each."""
    turns: Dict[Cell, int] = {}
    seen: Dict[str, int] = {}
    for cell in cells:
        turns[cell] = seen[cell.path] = seen.get(cell.path, 0) + 1
    return sorted(cells, key=turns.__getitem__)


def cover_pairs(cells: List[Cell], met: Set[Pair], top: str) -> List[Cell]:
    """Choose cells of an act that have each pair that none had before; `met` gets these pairs.

    Pairs are of place and kind, act and place, act and kind, act and moment. Cells with many new
    ones come first.
    """
    chosen = []
    for least in (4, 3, 2, 1):
        for cell in cells:
            new = cell.pairs(top) - met
            if len(new) >= least:
                met |= new
                chosen.append(cell)
    return chosen


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def _possible(scene: Scene) -> Iterator[str]:
    """Yield what can be planted on this host."""
    if not is_root():
        scene.trial.leave_out("files of strangers, devices, mounts", "not root here")
    case = scene.ready(READS[0])
    for kind in KINDS:
        if is_root() or kind not in (*DEVICES, *MOUNTS, "theirs", "theirs, open to all"):
            name = "units.csv" if kind == "mount on a file" else "in"
            place = scene.place(case, str(case.project.folder / name))
            try:
                plant(kind, place)
                if kind in DEVICES:
                    open(place.path, "rb").close()
            except OSError as error:
                scene.trial.leave_out(kind, f"it cannot be made here: {error.strerror}")
            else:
                yield kind
            finally:
                take_away(kind, place)


def _cells(
    scene: Scene, act: Act, kinds: Tuple[str, ...], touches: List[Tuple[str, int]]
) -> Iterator[Cell]:
    top = f"{scene.cases[act.project].project.folder}/"
    before = set()
    for path, number in touches:
        for planted in _and_above(path, top):
            for kind in kinds:
                if _has_sense(kind, act, planted):
                    if "*" not in planted and (planted, kind) not in before:
                        before.add((planted, kind))
                        yield Cell(act, kind, planted, None)
                    if kind != "huge file":
                        yield Cell(act, kind, planted, (path, number))


def _and_above(path: str, top: str) -> Iterator[str]:
    while path.startswith(top):
        yield path
        path = os.path.dirname(path)


def _has_sense(kind: str, act: Act, path: str) -> bool:
    above = os.path.dirname(_first_missing(path))
    if not os.path.isdir(above):
        return False  # nothing can be there: that is asked of every file, as if it were a folder
    if kind in MOUNTS:
        return os.path.isfile(path) if kind == "mount on a file" else os.path.isdir(path)
    # A log of a TB is printed as a whole, and a program of a TB read; that is right.
    is_read = "/tools" in path or "/lib" in path or (act.words[0] == "logs" and "/logs/" in path)
    return not (kind == "huge file" and is_read)


def _first_missing(path: str) -> str:
    """Return the path, or the highest folder on the way to it that is not there."""
    above = os.path.dirname(path)
    return path if os.path.lexists(above) else _first_missing(above)


def _try(scene: Scene, cell: Cell, clean: Done) -> None:
    top = f"{scene.cases[cell.act.project].project.folder}/"
    name = cell.name(top)
    if not scene.trial.wants(name):
        return
    with scene.trial.case(name):
        case = scene.ready(cell.act)
        place = scene.place(case, cell.path)
        before = {} if cell.act.changes else snapshot(case.project.folder)
        missing = _first_missing(cell.path)
        done = None
        try:
            with scene.under_way(cell.act, case):
                done = _do(scene, cell, case, place)
                _judge(cell, case, done, clean)
        finally:
            may_be_changed = partial(_may_be_changed, cell, case, place)
            for path in [place.path] if cell.touch is None else done.came if done else []:
                take_away(cell.kind, place._replace(path=path))
                if missing != cell.path:
                    remove(missing)
            try:
                scene.check_outside(may_be_changed)
                if not cell.act.changes:
                    _refuse_changes(scene, cell, before)
            finally:
                if cell.act.changes:
                    _refuse_the_living(case)


def _refuse_the_living(case: Case) -> None:
    try:
        laws.nothing_lives(case.cookie)
    except AssertionError:
        for pid in laws.living(case.cookie):  # else the next cases would fail, too
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise


def _do(scene: Scene, cell: Cell, case: Case, place: Place) -> Done:
    if cell.touch is None:
        plant(cell.kind, place)
        return scene.do(case, cell.act.words, code=cell.act.code)
    more = {"at": cell.touch, "kind": cell.kind, "place": place}
    return scene.do(case, cell.act.words, code=cell.act.code, **more)


def _refuse_changes(scene: Scene, cell: Cell, before: Dict[str, object]) -> None:
    now = snapshot(scene.cases[cell.act.project].project.folder)
    if now != before:
        changed = sorted({path for path, _ in set(now.items()) ^ set(before.items())})
        scene.rebuild(cell.act.project)
        raise AssertionError(f"an act that only reads has changed {changed}")


def _may_be_believed(cell: Cell) -> bool:
    """Whether it is a folder that a reader has looked at before it was exchanged.

    Only who may write to the folder above it can do that, and there no run begins.
    """
    return cell.act not in CHANGES and cell.touch is not None and os.path.isdir(cell.path)


def _is_trusted(cell: Cell, case: Case) -> bool:
    """Whether it is a run of theirs, or a folder of runs, where the user trusts what is there.

    Readers answer for such a run, and say whose it is.
    """
    within = os.path.relpath(cell.path, str(case.project.folder)).split(os.sep)[0] == HOME
    is_open = cell.act.project.startswith("open")
    return is_open and within and cell.kind.startswith("theirs") and not cell.act.changes


def _is_their_own(cell: Cell) -> bool:
    return cell.act.project == "other" and cell.kind.startswith("theirs")


def _is_ours_alone(cell: Cell, case: Case) -> bool:
    """Whether nobody but the run's user could put something there in the middle of an act.

    Folders of runs and run directories are closed to others (but for a trusted folder of runs).
    """
    names = os.path.relpath(cell.path, str(case.project.folder)).split(os.sep)
    closed = 2 if cell.act.project.startswith("open") else 1
    return cell.touch is not None and names[0] == HOME and len(names) > closed


def _may_be_changed(cell: Cell, case: Case, place: Place, path: str) -> bool:
    """Whether a path outside may be changed, since what was planted leads there.

    Units write where their outputs are by then: to just these files. And a run may have its
    folders on other file systems: it leaves alone what was there. Nothing else may be changed.
    """
    target = find_target(cell.kind, place)
    if target is None or not cell.act.changes:
        return False
    if cell.kind == "mount" and path.startswith(f"{target}/"):
        return os.path.basename(path) != "kept"
    if _is_at(cell.path, str(case.rundir)) and _comes_first(cell, case):
        return path == target + str(case.rundir)[len(cell.path) :]  # an empty folder
    top, kind = str(case.project.folder), cell.act.kind
    written = (os.path.join(top, name) for name in (*kind.makes, *kind.writes))
    led = (target + one[len(cell.path) :] for one in written if _is_at(cell.path, one))
    return path in map(os.path.normpath, led)


def _comes_first(cell: Cell, case: Case) -> bool:
    """Whether it may come after the way is found safe, and before a run directory is made there.

    Who could exchange the folder of runs then is trusted. It is refused before more is made in it.
    """
    places = (str(case.rundir.parent), str(case.rundir))
    return cell.touch is not None and cell.touch[0] in places


def _is_at(path: str, one: str) -> bool:
    return one == path or one.startswith(f"{path}/")


def _judge(cell: Cell, case: Case, done: Done, clean: Done) -> None:
    said = done.err + _in_its_log(case)
    laws.no_traceback(said)
    # 124: a supervisor that sees another folder of requests does not answer.
    assert done.code in (*MAY_BE, *([124] if cell.act.hold else [])), f"exit {done.code}: {said}"
    assert done.code in (0, clean.code) or said, f"exit {done.code} without a reason"
    if not is_root() or _may_be_believed(cell):
        return
    is_own = cell.act.changes and _is_ours_alone(cell, case)
    if not (is_own or _is_their_own(cell) or cell.path.endswith("/said.txt")):  # the run file's
        assert SECRET not in done.out + said, "it prints a file of somebody else's"
    if cell.act.changes and not is_own:
        refuse_records_of_secrets(case)
    if cell.act.project == "other" or _is_trusted(cell, case):
        return  # of that its owner may say what he likes
    if clean.code != 0 and cell.act.name != "live prune":  # it may have noticed, and ended
        assert done.code != 0, f"success, which it is not: {done.out[-300:]} {said[-300:]}"
    if cell.act.kind.is_open and cell.touch is None and _decides_trust(cell, case):
        assert done.code != clean.code, "a folder is trusted by the word of somebody else"
    if done.code == 0:
        _refuse_false_claims(cell, case, done)


def _refuse_false_claims(cell: Cell, case: Case, done: Done) -> None:
    """What exit code 0 says is so: AssertionError if not."""
    project = case.project.folder
    is_new = not (cell.act.hold or PROJECTS[cell.act.project].was_run)
    vouches = is_new or cell.act.project == "good"
    # Else it may come after the last look at an output, or be what the units read.
    if vouches and cell.touch is None and not _is_at(str(project / "in"), cell.path):
        for name, text in cell.act.kind.makes.items():
            assert _holds(project / name, text), f"it vouches for {name}"
    if is_new:
        if not cell.path.endswith("/words.txt"):  # of any text its lines are the units
            assert sorted(set(done.ran)) == sorted(cell.act.kind.units), f"only {done.ran} ran"
        # The run's own user may exchange its records, also after the last look at them.
        if not (_is_ours_alone(cell, case) and cell.path.endswith((".part", ".json", ".jsonl"))):
            laws.journal_and_manifest_agree(case.rundir)
    # Who waits for an end waits for a lock, which the run's own user may exchange.
    if cell.act.name == "live stop" and not (_is_ours_alone(cell, case) and "/locks" in cell.path):
        laws.nothing_lives(case.cookie)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.stat().st_size == len(text) and path.read_text() == text


def _decides_trust(cell: Cell, case: Case) -> bool:
    """Whether it is the user's own configuration, or a folder that it is in."""
    return _is_at(cell.path, str(case.project.folder / CONFIG))


def _in_its_log(case: Case) -> str:
    """Return what a detached run said after its beginning; what was planted there is not that."""
    path = str(case.rundir / "supervisor.log")
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    is_its_own = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    is_its_own = is_its_own and (not is_root() or status.st_uid == os.geteuid())
    return _text(path) if is_its_own and status.st_size < HUGE_BYTES else ""


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
