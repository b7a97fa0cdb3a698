"""Kills the supervisor, its guard, or both, at the k-th executed line of procsup; then resumes.

Undisturbed runs are recorded line by line first; each case dies at one of those lines, is looked
at (nothing lives, waiters know, what is on disk is true), resumed, and compared.
"""

import os
import queue
import shutil
import signal
import statistics
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from tests.faults import laws
from tests.faults.kills.cases import Case, cases_of
from tests.faults.kills.project import units_prove_it
from tests.faults.kills.recording import record_all
from tests.faults.kills.worker import Died, Worker
from tests.faults.trial import Trial

WHAT = "SIGKILL of the supervisor, the guard or both at the k-th executed line, then resume"
FAILED = 1  # the exit code of the run: its last unit fails


class Result(NamedTuple):
    """What became of a case; `problem` is None if all held."""

    case: Case
    deaths: List[Died]
    problem: Optional[BaseException]


def attack(trial: Trial) -> None:
    """Record, draw, kill, resume, compare."""
    if not sys.platform.startswith("linux") or shutil.which("flock") is None:
        trial.leave_out("everything", "looks into /proc, and its units need flock(1)")
        return
    recorded = record_all(trial.folder / "recorded")
    cases = [case for case in cases_of(trial, recorded) if trial.wants(case.name)]
    results: queue.Queue[Result] = queue.Queue()
    waiting = iter(cases)
    turn = threading.Lock()
    number = trial.choose(1, 2, max(2, os.cpu_count() or 1))
    for at in range(number):
        folder = trial.folder / f"worker-{at}"
        threading.Thread(target=_work, args=(folder, waiting, turn, results), daemon=True).start()
    deaths: Dict[str, List[Died]] = {}
    for _ in cases:
        result = results.get()
        deaths.setdefault(result.case.kind, []).extend(result.deaths)
        with trial.case(result.case.name):
            if result.problem is not None:
                raise result.problem
    _figures(trial, recorded, cases, deaths)


def _work(folder: Path, waiting: Any, turn: threading.Lock, results: "queue.Queue[Result]") -> None:
    worker = Worker(folder)
    try:
        clean = run_undisturbed(worker)
        while True:
            with turn:
                case = next(waiting, None)
            if case is None:
                return
            results.put(attempt(worker, case, clean))
    finally:
        worker.close()


def run_undisturbed(worker: Worker) -> Dict[str, Any]:
    """Run once without any harm; return the story of its manifest."""
    worker.renew()
    assert worker.complete() == FAILED, (worker.project.folder / "said").read_text()
    return laws.story(worker.project.rundir)


def attempt(worker: Worker, case: Case, clean: Dict[str, Any]) -> Result:
    """Carry out one case; its folder is kept if it failed."""
    deaths: List[Died] = []
    try:
        worker.renew()
        for plan in case.plans:
            died = worker.strike(plan, stage=case.stage, cold=case.cold)
            if died is not None:
                deaths.append(died)
                look_at_rest(worker, died, clean)
        assert worker.complete() == FAILED, "resumed, it ended with another exit code"
        look_at_end(worker, clean)
    except Exception as problem:  # noqa: BLE001 (whatever it is, it is the case's failure)
        worker.put_aside()
        return Result(case, deaths, problem)
    return Result(case, deaths, None)


def look_at_rest(worker: Worker, died: Died, clean: Dict[str, Any]) -> None:
    """What holds right after a death: what is on disk is true, whatever is missing."""
    project = worker.project
    assert died.status == -signal.SIGKILL, f"the guard ended by {died.status}"
    laws.journal_and_manifest_agree(project.rundir)
    units_prove_it(project, laws.records(project.rundir))
    if died.told_final:
        laws.final_manifest_equals(clean, project.rundir)


def look_at_end(worker: Worker, clean: Dict[str, Any]) -> None:
    """What holds after the resume."""
    project = worker.project
    laws.nothing_lives(worker.entry)
    assert not project.held(), f"locks are held at the end: {project.held()}"
    laws.final_manifest_equals(clean, project.rundir)
    laws.journal_and_manifest_agree(project.rundir)
    laws.no_unit_finished_twice(project.rundir)
    units_prove_it(project, laws.records(project.rundir))
    laws.no_traceback((project.folder / "said").read_text())


def _figures(trial: Trial, recorded: Any, cases: List[Case], deaths: Dict[str, List[Died]]) -> None:
    every = [died for one in deaths.values() for died in one]
    emptied = [died.empty_s for died in every if died.empty_s is not None]
    decided = [died.decided_s for died in every if died.decided_s is not None]
    trial.figure("lines of an undisturbed run", len(recorded.supervisor))
    trial.figure("points", {kind: sum(c.kind == kind for c in cases) for kind in deaths})
    trial.figure("deaths", len(every))
    planned = sum(len(case.plans) for case in cases)
    trial.figure("not reached", planned - sum(died.hit for died in every))
    trial.figure("with survivors for the next one", sum(died.left > 0 for died in every))
    for name, times in (("empty after ms", emptied), ("waiter knew after ms", decided)):
        if times:
            trial.figure(name, _milliseconds(times))


def _milliseconds(times: List[float]) -> Tuple[int, int, int]:
    """Return how many there are, the median and the longest, in ms."""
    return len(times), round(statistics.median(times) * 1000), round(max(times) * 1000)
