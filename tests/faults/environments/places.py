"""Where the run directory is: full, read-only, somebody else's, or gone in the middle of it."""

import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import move, rmtree, which
from typing import Callable, Dict, Iterator

from tests.faults import laws
from tests.faults.environments.scene import Door, Scene, contents, finish, run, start
from tests.faults.system_calls.starting import Case

NOBODY = 65534
# May read everything (so that Python is found), and write only what is theirs.
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip

HELD = """
[stage.door]
command = ["/bin/sh", "-c", "read x < go; echo went > {outputs[0]}"]
outputs = ["went.txt"]

[stage.other]
command = ["/bin/sh", "-c", "read x < never; exit 1"]
"""
FILLING = """
[stage.fill]
command = ["/bin/sh", "-c", "head -c 1000000 /dev/zero > .procsup/filler; echo full > {outputs[0]}"]
outputs = ["full.txt"]
"""


def attack(scene: Scene) -> None:
    cases: Dict[str, Callable[[Scene], None]] = {
        "run directory deleted in mid-run": _deleted,
        "run directory moved in mid-run": _moved,
        "run directory replaced in mid-run": _replaced,
        "the whole folder deleted in mid-run": _all_deleted,
        "lock file replaced in mid-run": _lock_replaced,
        "journal cut in mid-run": _journal_cut,
    }
    if os.geteuid() == 0 and which("setpriv") and which("mount") and _may_mount(scene):
        cases.update(
            {
                "tmpfs full before the start": _full,
                "tmpfs without free inodes": _no_inodes,
                "tmpfs filled in mid-run": _filled,
                "read-only file system": _read_only,
                "run directory of another user": _of_another,
                "run directory that may not be written": _not_writable,
            }
        )
    else:
        scene.trial.leave_out("tiny and read-only file systems, other users", "not root here")
    if scene.trial.form == "smoke":
        cases = {name: cases[name] for name in list(cases)[:2]}
    for name, act in cases.items():
        if scene.trial.wants(name):
            with scene.trial.case(name):
                act(scene)


# --- in mid-run ---------------------------------------------------------------------------------


def _in_mid_run(scene: Scene, name: str, do: Callable[[Path], None], said: str) -> Case:
    """Do something to the run directory while a unit is held; nothing may be claimed then."""
    case = scene.case(name)
    case.project.write("run.toml", HELD)
    os.mkfifo(str(case.project.folder / "never"))
    door = Door.made(case)
    child = start(case)
    _until_both_run(case)
    do(case.rundir)
    door.open()
    code = finish(case, child)
    assert code == 74, f"exit {code}: {case.said()[-300:]}"
    assert said in case.said(), case.said()[-300:]
    laws.no_traceback(case.said())
    laws.nothing_lives(case.cookie)
    return case


def _until_both_run(case: Case) -> None:
    def both() -> bool:
        return sum(1 for record in laws.records(case.rundir) if record["t"] == "spawned") == 2

    laws.until(both, "the units did not start", 20.0)


def _deleted(scene: Scene) -> None:
    case = _in_mid_run(scene, "deleted", lambda path: rmtree(str(path)), "removed, moved")
    assert not case.rundir.exists(), contents(case.rundir)
    _begins_anew(scene, case)


def _all_deleted(scene: Scene) -> None:
    case = scene.case("all deleted")
    case.project.write("run.toml", HELD)
    for name in ("never", "go"):
        os.mkfifo(str(case.project.folder / name))
    child = start(case)
    _until_both_run(case)
    held = os.open(str(case.project.folder / "go"), os.O_WRONLY)
    rmtree(str(case.project.folder))
    os.write(held, b"go\n")
    os.close(held)
    code = finish(case, child)
    assert code == 74, f"exit {code}"
    assert not case.project.folder.exists()
    laws.nothing_lives(case.cookie)


def _moved(scene: Scene) -> None:
    away = scene.trial.folder / "moved-away"
    case = _in_mid_run(scene, "moved", lambda path: _move(path, away), "removed, moved")
    assert not case.rundir.exists(), contents(case.rundir)
    assert not (away / "manifest.json").exists()
    _move(away, case.rundir)
    _begins_anew(scene, case)


def _replaced(scene: Scene) -> None:
    away = scene.trial.folder / "replaced-away"

    def replace(path: Path) -> None:
        _move(path, away)
        path.mkdir(0o700)

    case = _in_mid_run(scene, "replaced", replace, "removed, moved")
    assert list(case.rundir.iterdir()) == []
    assert not (away / "manifest.json").exists()
    _begins_anew(scene, case)


def _lock_replaced(scene: Scene) -> None:
    def replace(path: Path) -> None:
        (path / "run.lock").unlink()
        (path / "run.lock").touch(0o600)

    case = _in_mid_run(scene, "lock replaced", replace, "run.lock was removed or replaced")
    _begins_anew(scene, case)


def _journal_cut(scene: Scene) -> None:
    case = _in_mid_run(
        scene, "journal cut", lambda path: os.truncate(str(path / "journal.jsonl"), 50), "was cut"
    )
    _begins_anew(scene, case)


def _begins_anew(scene: Scene, case: Case) -> None:
    """Whatever is left of the directory, the next run in it comes to its end."""
    case.project.write(
        "run.toml", HELD.replace("read x < never; exit 1", "exit 0").replace("read x < go;", "")
    )
    code = run(case)
    assert code == 0, f"exit {code} afterwards: {case.said()[-500:]}"
    laws.journal_and_manifest_agree(case.rundir)
    laws.nothing_lives(case.cookie)


def _move(source: Path, target: Path) -> None:
    move(str(source), str(target))


# --- small, read-only, somebody else's ------------------------------------------------------------


def _may_mount(scene: Scene) -> bool:
    place = scene.trial.folder / "mount-probe"
    place.mkdir()
    try:
        with _mounted(place, "size=64k"):
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    _call("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place))
    try:
        yield
    finally:
        _call("umount", "-l", str(place))


def _call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _fill(path: Path) -> None:
    with open(str(path), "wb", buffering=0) as file:
        with suppress(OSError):  # until it is full
            while file.write(b"x" * 4096):
                pass
        with suppress(OSError):
            while file.write(b"x"):
                pass


def _full(scene: Scene) -> None:
    case = scene.case("full")
    with _mounted(case.project.folder / ".procsup", "size=64k"):
        _fill(case.project.folder / ".procsup" / "filler")
        code = run(case)
        assert code in (2, 74), f"exit {code}: {case.said()}"
        assert not (case.project.folder / "out").exists(), "a unit was started"
        (case.project.folder / ".procsup" / "filler").unlink()
        scene.judge(case, code, {2, 74})


def _no_inodes(scene: Scene) -> None:
    case = scene.case("no inodes")
    with _mounted(case.project.folder / ".procsup", "size=1m,nr_inodes=8"):
        code = run(case)
        assert code in (2, 74), f"exit {code}: {case.said()}"
        assert not (case.project.folder / "out").exists(), "a unit was started"
        _call("mount", "-o", "remount,nr_inodes=1000", str(case.project.folder / ".procsup"))
        scene.judge(case, code, {2, 74})


def _filled(scene: Scene) -> None:
    case = scene.case("filled")
    case.project.write("run.toml", FILLING)
    with _mounted(case.project.folder / ".procsup", "size=64k"):
        code = run(case)
        assert code in (1, 74), f"exit {code}: {case.said()}"
        laws.no_traceback(case.said())
        laws.nothing_lives(case.cookie)
        laws.journal_and_manifest_agree(case.rundir)
        assert code == 1 or not (case.rundir / "manifest.json").exists()
        (case.project.folder / ".procsup" / "filler").unlink()
        case.project.write("run.toml", FILLING.replace("1000000", "10"))
        assert run(case) == 0, case.said()
        laws.journal_and_manifest_agree(case.rundir)


def _read_only(scene: Scene) -> None:
    case = scene.case("read-only")
    with _mounted(case.project.folder / ".procsup", "size=4m"):
        _call("mount", "-o", "remount,ro", str(case.project.folder / ".procsup"))
        code = run(case)
        assert code in (2, 74), f"exit {code}: {case.said()}"
        assert "read-only" in case.said().lower()
        _call("mount", "-o", "remount,rw", str(case.project.folder / ".procsup"))
        scene.judge(case, code, {2, 74})


def _of_another(scene: Scene) -> None:
    case = scene.case("another's")
    assert run(case) == 0
    before = contents(case.rundir)
    os.chown(str(case.project.folder), NOBODY, NOBODY)
    os.chmod(str(case.rundir), 0o777)
    code = run(case, prefix=AS_NOBODY)
    assert code == 74, f"exit {code}: {case.said()}"
    assert "other users could put something else in its place" in case.said()
    assert contents(case.rundir) == before


def _not_writable(scene: Scene) -> None:
    case = scene.case("not writable")
    for path in (case.project.folder, case.rundir.parent, case.rundir):
        path.mkdir(exist_ok=True)
        os.chown(str(path), NOBODY, NOBODY)
    os.chmod(str(case.rundir), 0o500)
    os.chmod(str(case.rundir.parent), 0o500)
    code = run(case, prefix=AS_NOBODY)
    assert code in (2, 74), f"exit {code}: {case.said()}"
    laws.no_traceback(case.said())
    assert contents(case.rundir) == {}
    assert not (case.project.folder / "out").exists(), "a unit was started"
