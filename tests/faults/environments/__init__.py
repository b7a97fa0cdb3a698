"""procsup where it was never meant to be: whatever the place, it works or says why not."""

from contextlib import ExitStack

from tests.faults import laws
from tests.faults.environments import crowds, names, places, secrets, starts
from tests.faults.environments.scene import Scene
from tests.faults.system_calls.starting import Case, Seam
from tests.faults.trial import Trial

WHAT = "hostile starts, places, crowds, names, and a secret that is not to be found"


def attack(trial: Trial) -> None:
    """Try all that this host can do."""
    with ExitStack() as stack:
        seam = stack.enter_context(Seam())
        case = Case(trial.folder / "clean", f"clean-{trial.seed}")
        code, _ = seam.run(case)
        assert code == 0, case.said()
        scene = Scene(trial, seam, laws.story(case.rundir), case)
        for part in (starts, places, crowds, names, secrets):
            cases, began_s = trial.cases, trial.seconds
            part.attack(scene)
            name = part.__name__.rpartition(".")[2]
            took_s = trial.seconds - began_s
            trial.figure(name, f"{trial.cases - cases} cases, {took_s:.1f} s")
