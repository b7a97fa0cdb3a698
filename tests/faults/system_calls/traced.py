"""The same faults from the kernel's side: ``strace -f -e inject`` on the program itself.

Here the guard is struck too, and so are the units. The seam says which code is right for which
call; here it is one of those that the call may lead to, and the laws say the rest.
"""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from shutil import rmtree, which
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional

from tests.faults import laws
from tests.faults.system_calls.starting import Case, Seam, complete, obey_the_laws
from tests.faults.trial import Trial

LIMIT_S = 60.0
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EMFILE", "EAGAIN", "ENOMEM", "EINTR", "EROFS", "ESTALE")
MOMENTS = ("1", "2", "3+2", "1+")
RECORDS, UNIT, ANY = frozenset((0, 74)), frozenset((0, 1)), frozenset((0, 1, 2, 70, 74))


class Spot(NamedTuple):
    """A system call, the path that it is about (below the case's folder; None: any)."""

    call: str
    path: Optional[str]
    codes: FrozenSet[int]


NEW_LOCK = "locks/.procsup-1-run.lock.part"  # its name while nobody else can lock it
RUN, STAGES = ".procsup/run", ".procsup/run/stages"
SPOTS = (
    *(Spot(call, f"{RUN}/journal.jsonl", RECORDS) for call in ("write", "fdatasync")),
    Spot("write", f"{RUN}/run.lock", RECORDS),
    # Below an open folder a call is known by that folder.
    Spot("openat", RUN, RECORDS | UNIT),
    Spot("openat", f"{RUN}/locks", RECORDS),
    Spot("openat", f"{RUN}/units.lock", UNIT),  # each unit opens it by its path
    *(Spot("renameat,renameat2", path, RECORDS) for path in (RUN, STAGES, f"{RUN}/locks")),
    # That a lock would block (EAGAIN) says that somebody else has it.
    *(Spot("flock", f"{RUN}/{name}", RECORDS | {75}) for name in ("run.lock", NEW_LOCK)),
    Spot("flock", f"{RUN}/units.lock", RECORDS | UNIT | {75}),
    Spot("rename", "done.stamp", RECORDS),
    *(Spot("fsync", path, RECORDS) for path in (RUN, STAGES)),
    Spot("fsync", "out", frozenset((0, 1, 2))),
    Spot("openat", f"{RUN}/logs/make/n=1.1.out", UNIT),
    Spot("openat", "out/1.txt", UNIT),
    Spot("fdatasync", "out/1.txt", UNIT),
    Spot("pidfd_open", None, frozenset((0,))),
    Spot("epoll_wait", None, RECORDS),
    Spot("waitid", None, RECORDS),
    Spot("clone,clone3,vfork,fork", None, ANY),
    Spot("pidfd_send_signal", None, RECORDS | {70}),  # 70: as of any shortage
)


def attack(trial: Trial) -> None:
    """Run all cells, if strace is here and may trace."""
    if which("strace") is None or not _may_trace():
        trial.leave_out("injection by the kernel", "no strace that may trace")
        return
    with Seam() as seam:
        clean = _clean(seam, trial.folder)
        for number, (spot, error, when) in enumerate(_cells()):
            name = f"strace {spot.call} {spot.path or ''} {error} {when}"
            if trial.wants(name):
                with trial.case(name):
                    case = Case(trial.folder / f"traced-{number}", f"traced-{number}")
                    _try(seam, case, clean, spot, f"error={error}:when={when}")


def _cells() -> Iterator[Any]:
    for spot, error, when in product(SPOTS, ERRORS, MOMENTS):
        if error != "EINTR" or when in ("1", "2"):  # Python tries again, for ever
            yield spot, error, when


def _may_trace() -> bool:
    traced = subprocess.run(
        ["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False
    )
    return traced.returncode == 0


def _clean(seam: Seam, folder: Path) -> Dict[str, Any]:
    case = Case(folder / "traced-clean", "traced-clean")
    assert seam.run(case)[0] == 0, case.said()
    return laws.story(case.rundir)


def _try(seam: Seam, case: Case, clean: Dict[str, Any], spot: Spot, injection: str) -> None:
    code = _run(case, spot, injection)
    assert code in spot.codes, f"exit {code}, not of {sorted(spot.codes)}: {case.said()[-300:]}"
    obey_the_laws(case, clean, code)
    complete(seam, case, clean)
    rmtree(str(case.project.folder), ignore_errors=True)


def _run(case: Case, spot: Spot, injection: str) -> int:
    folder = case.project.folder
    words: List[str] = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={spot.call}"]
    if spot.path is not None:
        words += ["-P", str(folder / spot.path)]
    words += ["-e", f"inject={spot.call}:{injection}", "--"]
    words += [sys.executable, "-m", "procsup", "run", "run.toml", "--jobs", "2"]
    environment = {**os.environ, "FAULTS_CASE": case.mark}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    with open(str(folder / "err.traced"), "wb") as err:
        child = subprocess.Popen(words, cwd=str(folder), env=environment, stdout=err, stderr=err)
        try:
            return child.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            for pid in laws.living(case.cookie):
                os.kill(pid, 9)
            child.wait()
            raise AssertionError(f"not over after {LIMIT_S:g} s: {case.said()[-300:]}") from None
