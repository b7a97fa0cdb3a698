"""Random lives of whole projects, against a model that knows the contents of their files.

`tests.support.lives` says what a life is made of, and what is looked at after each verb of procsup:
nothing stale is vouched for, nothing unchanged is repeated, and a run does what its dry run said. A
life is named by its number, which seeds it: ``--case "life 12"`` does one again.
"""

import os
import shutil

from tests.faults.trial import Trial
from tests.support.lives import World, drawn

WHAT = (
    "random lives of projects: files changed, moved, copied, restored; runs that fail, are killed"
)


def attack(trial: Trial) -> None:
    """Live lives; the folder of one that fails is left."""
    if os.name == "nt":
        trial.leave_out("all", "links need a privilege here")
        return
    verbs = 0
    for number in range(trial.choose(1, 6, 3_000)):
        name = f"life {number}"
        if trial.wants(name):
            steps = drawn(f"{trial.seed} {name}", length=trial.choose(3, 6, 8))
            verbs += sum(step.split()[0] in ("run", "retry") for step in steps)
            home = trial.folder / str(number)
            home.mkdir()
            with trial.case(name):
                World(home / "p0").live(steps)
                shutil.rmtree(home)
    trial.figure("verbs", verbs)
