"""Something lies under every name that procsup makes: links, FIFOs, folders of somebody else's."""

import os
from pathlib import Path
from typing import Callable, Dict, Iterator

from tests.faults import laws
from tests.faults.environments.scene import Scene, contents
from tests.faults.system_calls.starting import Case, complete, obey_the_laws

# All that is defined: done in spite of it, a unit that could not start, refused, not recorded.
RIGHT = (0, 1, 2, 74)
USERS = ("run.toml", "out", "joined.txt")  # not procsup's to judge: the user named them


def attack(scene: Scene) -> None:
    names = list(names_made(scene.clean_case))
    scene.trial.figure("names that a clean run makes", len(names))
    folder = scene.clean_case.project.folder
    cells = [
        (name, kind)
        for name in names
        for kind in PLANT
        if kind != "folder" or not (folder / name).is_dir()
    ]
    number = scene.trial.choose(2, 90, len(cells))
    cells = scene.trial.random.sample(cells, number)
    codes: Dict[int, int] = {}
    for name, kind in cells:
        title = f"planted {kind} at {name}"
        if scene.trial.wants(title):
            with scene.trial.case(title):
                code = _try(scene, scene.case(title), name, kind)
                codes[code] = codes.get(code, 0) + 1
    scene.trial.figure("planted: exit codes", codes)


def names_made(clean: Case) -> Iterator[str]:
    """Yield every name in a finished run's folder that was made by procsup."""
    folder = clean.project.folder
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] in USERS or name == ".procsup":  # which may lead to a larger disk
            continue
        if not name.startswith(("err.", "out.", "told.")):
            yield name


def _try(scene: Scene, case: Case, name: str, kind: str) -> int:
    outside = scene.trial.folder / "outside" / case.mark
    outside.mkdir(parents=True)
    (outside / "victim").write_bytes(b"not yours\n")
    place = case.project.folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    PLANT[kind](place, outside)
    before = contents(outside)

    code, _ = scene.seam.run(case)

    assert code in RIGHT, f"exit {code}: {case.said()[-500:]}"
    assert contents(outside) == before, f"touched: {contents(outside)} was {before}"
    laws.no_traceback(case.said())
    laws.nothing_lives(case.cookie)
    if code == 0:
        obey_the_laws(case, scene.clean, code)
    _clear(place)
    complete(scene.seam, case, scene.clean)
    return code


def _clear(place: Path) -> None:
    if place.is_symlink() or not place.is_dir():
        if os.path.lexists(str(place)) and not _is_plain(place):
            place.unlink()
    elif (place / "theirs").exists():
        (place / "theirs").unlink()
        place.rmdir()


def _is_plain(place: Path) -> bool:
    return place.is_file() and not place.is_symlink() and place.stat().st_nlink == 1


def _link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "victim")


def _dangling(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "made-by-procsup")


def _folder_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside, target_is_directory=True)


def _fifo(place: Path, outside: Path) -> None:
    os.mkfifo(str(place))


def _hard_link(place: Path, outside: Path) -> None:
    os.link(str(outside / "victim"), str(place))


def _folder(place: Path, outside: Path) -> None:
    place.mkdir()
    (place / "theirs").write_bytes(b"theirs\n")


PLANT: Dict[str, Callable[[Path, Path], None]] = {
    "link": _link,
    "dangling link": _dangling,
    "link to a folder": _folder_link,
    "FIFO": _fifo,
    "hard link": _hard_link,
    "folder": _folder,
}
