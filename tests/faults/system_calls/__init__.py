"""Every kind of system call fails, in every way, at first, now and then, and always."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from shutil import rmtree
from typing import Any, Dict, List, Optional

from tests.faults import laws
from tests.faults.system_calls.starting import Case, Cell, Seam, complete, counts, obey_the_laws
from tests.faults.system_calls.table import right_codes
from tests.faults.trial import Trial

WHAT = "system calls that fail: 12 kinds, 10 ways, once and always"

CALLS = (
    "open", "write", "fdatasync", "fsync", "rename", "lock", "spawn", "thread", "pidfd_open",
    "poll", "wait", "kill",
)  # fmt: skip
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EMFILE", "EAGAIN", "ENOMEM", "EINTR", "EROFS", "ESTALE")
AT_ONCE = 2  # start programs, one case each


def attack(trial: Trial) -> None:
    """Run the cells of this form, each in a folder of its own, and resume each one."""
    with ExitStack() as stack:
        seams: SimpleQueue[Seam] = SimpleQueue()
        for _ in range(AT_ONCE):
            seams.put(stack.enter_context(Seam()))
        seam = seams.get()
        clean = _clean(seam, trial.folder)
        counted = counts(seam, Case(trial.folder / "counted", "counted"), CALLS)
        seams.put(seam)
        cells = [cell for cell in cells_of(trial, counted) if trial.wants(str(cell))]
        Attack(trial, clean, seams).carry_out(cells)
    if trial.form == "long":
        from tests.faults.system_calls import traced

        traced.attack(trial)


def _clean(seam: Seam, folder: Path) -> Dict[str, Any]:
    case = Case(folder / "clean", "clean")
    code, _ = seam.run(case)
    assert code == 0, case.said()
    return laws.story(case.rundir)


def cells_of(trial: Trial, counted: Dict[str, int]) -> List[Cell]:
    """Return the faults of this form; `counted`: how often a run makes each kind of call."""
    trial.figure("calls of an undisturbed run", counted)
    cells: List[Cell] = []
    for call, error in product(CALLS, ERRORS):
        if counted[call] and (call != "thread" or error == "EAGAIN"):
            cells += _moments(trial, call, error, counted[call])
    cells += _moments(trial, "write", "short", counted["write"])
    if trial.form == "smoke":
        cells = trial.random.sample(cells, 8)
    return cells


def _moments(trial: Trial, call: str, error: str, count: int) -> List[Cell]:
    if trial.form == "long":
        numbers = list(range(1, count + 1))
    else:
        numbers = [1, trial.random.randint(2, max(2, count))]
    once = [Cell(call, error, number, number) for number in numbers]
    return [*once, Cell(call, error, 1, None)]


class Attack:
    """Cells on their way, a few at once."""

    def __init__(self, trial: Trial, clean: Dict[str, Any], seams: "SimpleQueue[Seam]") -> None:
        self._trial, self._clean, self._seams = trial, clean, seams
        self._struck: Dict[str, int] = {}

    def carry_out(self, cells: List[Cell]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            problems = pool.map(self._try, range(len(cells)), cells)
            for cell, problem in zip(cells, problems):
                with self._trial.case(str(cell)):
                    if problem is not None:
                        raise problem
        self._trial.figure("cells that a call of the run fell into", sum(self._struck.values()))

    def _try(self, number: int, cell: Cell) -> Optional[BaseException]:
        case = Case(self._trial.folder / str(number), f"{self._trial.seed}-{number}")
        seam = self._seams.get()
        try:
            self._hit(seam, case, cell)
            complete(seam, case, self._clean)
        except BaseException as problem:  # noqa: BLE001 (kept for the case's own thread)
            return problem
        finally:
            self._seams.put(seam)
        rmtree(str(case.project.folder), ignore_errors=True)
        return None

    def _hit(self, seam: Seam, case: Case, cell: Cell) -> None:
        code, hits = seam.run(case, cell)
        if hits:
            self._struck[str(cell)] = 1
        right = right_codes(cell, hits)
        where = f"{hits[0].function} {hits[0].target} by {hits[0].by[:2]}" if hits else "nowhere"
        assert code in right, f"exit {code}, not {right}, after {where}: {case.said()[-300:]}"
        obey_the_laws(case, self._clean, code)
