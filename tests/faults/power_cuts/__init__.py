"""What a power cut may leave of a run, state by state, and what procsup makes of each.

The calls of real runs are recorded (`recording`, `workloads`); `disk` enumerates what may be left
at every call, under several models of what a disk keeps; `judging` asks procsup's own reader,
waiter, planner and writer about each, and a sample is resumed for real (`course`). `bugs` puts
faults of order into procsup, one at a time: each has to be seen.
"""

import random
import sys
from typing import Callable

from tests.faults.power_cuts.bugs import attack_bugs
from tests.faults.power_cuts.course import through
from tests.faults.power_cuts.judging import after_a_reboot
from tests.faults.power_cuts.workloads import WORKLOADS, Course, again
from tests.faults.trial import Trial

EVERYTHING = (*WORKLOADS, again)
WHAT = "what a power cut may leave at every call of eight kinds of runs, read and resumed"


def attack(trial: Trial) -> None:
    """Record the runs, and judge what may be left of each."""
    if sys.platform in ("darwin", "win32"):
        trial.leave_out("everything", "calls are recorded where syncing is a call of Python's os")
        return
    states = 0
    for number in range(trial.choose(1, 1, 8)):
        for workload in trial.choose(WORKLOADS[:1], EVERYTHING, EVERYTHING):
            name = f"{workload.__name__} {number}"
            if trial.wants(name):
                states += _attack_one(trial, workload, name)
    trial.figure("states", states)
    attack_bugs(trial)


def _attack_one(trial: Trial, workload: Callable[..., Course], name: str) -> int:
    dice = random.Random(f"{trial.seed} {name}")
    recording = workload(trial.folder / name.replace(" ", "-"), dice).done()
    count = 0
    with after_a_reboot():
        for left in through(
            recording, dice, more=trial.choose(0, 2, 10), resumed=trial.choose(1, 14, 100)
        ):
            count += 1
            with trial.case(f"{name} at {left.at} ({left.state.how})"):
                left.check()
    return count
