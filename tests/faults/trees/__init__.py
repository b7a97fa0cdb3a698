"""The process-tree matrix: shapes of unit x kinds of end x ways to end a tree.

All shapes are units of one run, beside a unit that shall live on; each shape is a case of its
own. A second run and processes of nobody's stand by, and must not be hit.
"""

import shutil
from pathlib import Path
from typing import Dict, List

from tests.faults.trees import lacking
from tests.faults.trees.bystander import Bystander
from tests.faults.trees.crowd import HAS_PROC
from tests.faults.trees.party import ENDS, LIVE_ON, NEIGHBOURS, TIMEOUTS_S, WRITERS, BackEnd, Party
from tests.faults.trial import Trial

WHAT = "whatever a unit makes of its processes, none is left after its end, and no other is hit"
SHAPES = (
    "plain",
    "ignores-term",
    "stopped",
    "with-child",
    "daemonized",
    "setsid",
    "runner",
    "bomb",
    "pipe-holder",
    "re-exec",
    "own-group",
    "log-holder",
    "scrubbed",
    "tracker",
    *WRITERS,
)
BACK_ENDS = (
    BackEnd("subreaper, pidfd", "none", adopts=True),
    BackEnd("subreaper, threads", "pidfd", adopts=True),
    BackEnd("group, pidfd", "subreaper", adopts=False),
    BackEnd("group, threads", "pidfd,subreaper", adopts=False),
    BackEnd("guard only, pidfd", "lists", adopts=False),
)

# Where orphans do not come to procsup, it does not know of these; of who holds a file it does.
OWN_SESSION = ("renaming", "appending", "mapping")
FEW = ("stopped", "daemonized", "runner", "bomb", "scrubbed", "tracker", "holding")


def attack(trial: Trial) -> None:
    """Play every kind of end under every back end, while another run goes on beside them."""
    back_ends = available(trial)
    with Bystander(trial.folder / "bystander") as bystander:
        play_all(trial, back_ends)
        with trial.case("another run of the same user goes on through it all"):
            bystander.check()


def play_all(trial: Trial, back_ends: List[BackEnd]) -> None:
    for back_end in trial.choose(back_ends[:1], back_ends, back_ends):
        for end in trial.choose(("exit 0", "supervisor killed"), ENDS, ENDS):
            for number in range(trial.choose(1, 1, 10)):
                play(trial, back_end, end, number)


def available(trial: Trial) -> List[BackEnd]:
    """Return the back ends of this host; say what it has not."""
    trial.leave_out(
        "writers that are daemons and hold nothing at the end, without a subreaper",
        "only who holds a file open is known there",
    )
    trial.leave_out("cgroup.kill", "procsup has no such back end: trees are walked")
    if not HAS_PROC:
        for back_end in BACK_ENDS[1:]:
            trial.leave_out(back_end.name, "this system has no /proc")
        return [BackEnd("of this system", "none", adopts=False)]
    if lacking.can_filter():
        return list(BACK_ENDS)
    for back_end in BACK_ENDS[1:4]:
        trial.leave_out(back_end.name, "the numbers of this machine's system calls are not known")
    return [BACK_ENDS[0], BACK_ENDS[4]]


def play(trial: Trial, back_end: BackEnd, end: str, number: int) -> None:
    """Play one run; each of its shapes is a case, and so are their neighbours."""
    shapes = list(trial.choose(FEW, SHAPES, SHAPES))
    if not back_end.adopts:
        shapes = [shape for shape in shapes if shape not in OWN_SESSION]
    names = {shape: f"{shape}, {end}, {back_end.name}" for shape in (*shapes, NEIGHBOURS)}
    if not any(map(trial.wants, names.values())):
        return
    folder = trial.folder / f"{back_end.name}-{end}-{number}".replace(" ", "-").replace(",", "")
    problems: Dict[str, str] = {}
    try:
        problems = problems_of(folder, back_end, shapes, end)
        found = [problem for shape, problem in problems.items() if shape in names]
        if found and all(problem.endswith(LIVE_ON) for problem in found):
            # Late, not lost? A second is a promise of procsup, not of whatever else runs here.
            trial.figure("played again", trial.figures.get("played again", 0) + 1)
            problems = problems_of(folder / "again", back_end, shapes, end)
    except Exception as problem:  # noqa: BLE001 (whatever it is, all its cases have failed)
        problems = dict.fromkeys(names, f"{type(problem).__name__}: {problem}")
    for shape, name in names.items():
        with trial.case(name):
            assert shape not in problems, problems[shape]
    if not problems:
        shutil.rmtree(str(folder))


def problems_of(folder: Path, back_end: BackEnd, shapes: List[str], end: str) -> Dict[str, str]:
    """Play a run, again with more patience if this machine was too slow for its time limit."""
    if end != "timeout":
        return Party(folder, back_end, shapes).play(end)
    for timeout_s in TIMEOUTS_S:
        party = Party(folder / f"{timeout_s:g}", back_end, shapes)
        problems = party.play(end, timeout_s)
        if not party.missed():
            return problems
    return dict.fromkeys(party.missed(), "it was not ready within its time limit")
