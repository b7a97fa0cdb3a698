"""A process that exchanges a folder with a link to another one, all the time, as procsup acts."""

import os
from pathlib import Path
from typing import Callable, Dict

from procsup.errors import RecordError
from procsup.host.system import open_log
from procsup.store.control import ControlInbox
from procsup.store.removal import make_target, remove_run
from procsup.store.rundir import RunDir
from tests.faults.strangers.plants import remove
from tests.faults.strangers.scene import snapshot
from tests.faults.trial import Trial
from tests.support.sittings import Supervised, result
from tests.support.swaps import Swapper, can_exchange


def attack(trial: Trial) -> None:
    """Run each race for some rounds; what the link leads to is never changed."""
    if not can_exchange(trial.folder):
        trial.leave_out("swapper", "this system exchanges no names in one step")
        return
    for name, act in RACES.items():
        title = f"swapper: {name}"
        if trial.wants(title):
            with trial.case(title):
                _race(trial, name, act)


def _race(trial: Trial, name: str, act: Callable[[Path], Callable[[], None]]) -> None:
    top = trial.folder / "race"
    victim, run, other = (top / one for one in ("victim", "run", "other"))
    counts = {"done": 0, "noticed": 0}
    top.mkdir()
    _made(victim)
    with Swapper(run, other) as swapper:
        for _round in range(trial.choose(20, 500, 10_000)):
            _made(run)
            other.symlink_to(victim)
            before = snapshot(top / "victim"), os.lstat(victim).st_mode
            do = act(run)
            swapper.go()
            try:
                do()
                counts["done"] += 1
            except (RecordError, OSError):
                counts["noticed"] += 1
            swapper.halt()
            assert (snapshot(victim), os.lstat(victim).st_mode) == before, "it was led elsewhere"
            for path in top.iterdir():
                if path != victim:
                    remove(str(path))
        trial.figure(name, f"{counts['done']} done, {counts['noticed']} noticed")
    remove(str(top))


def _made(folder: Path) -> None:
    rundir = RunDir(folder)
    rundir.create()
    rundir.journal.write_text("{}\n")
    log = rundir.logs / "s" / "0.out"
    log.parent.mkdir()
    log.write_text("x")
    (rundir.control / "none.json").write_text("x")


def _create(run: Path) -> Callable[[], None]:
    return lambda: RunDir(run).create("all") and None


def _log(run: Path) -> Callable[[], None]:
    """Open a log in the folder that is exchanged: it is new, or it stands there."""

    def act() -> None:
        for name in ("0.out", "new.out"):
            os.close(open_log(str(run / name)))

    return act


def _remove(run: Path) -> Callable[[], None]:
    rundir = RunDir(run)
    planned = make_target(rundir)
    return lambda: remove_run(rundir, planned)


def _read(run: Path) -> Callable[[], None]:
    """Read requests: what is no request is removed."""

    def act() -> None:
        with RunDir(run).open() as folder:
            ControlInbox(folder, 1).drain()

    return act


def _sit(run: Path) -> Callable[[], None]:
    """Begin a sitting in a folder that is made or checked first, publish, and end it."""
    played = Supervised(run.parent)
    played.rundir = RunDir(run)

    def act() -> None:
        try:
            played.begin(share="group")
            played.withdraw()
            played.publish_stage(result(0))
            played.publish(result(0))
        finally:
            played.leave()

    return act


RACES: Dict[str, Callable[[Path], Callable[[], None]]] = {
    "a run directory is made": _create,
    "a log is opened": _log,
    "a run is removed": _remove,
    "requests are read": _read,
    "a sitting writes its files": _sit,
}
