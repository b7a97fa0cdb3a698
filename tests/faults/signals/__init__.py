"""Signals and terminals: what is pressed x in which phase x how procsup was started.

Phases are met exactly: procsup is held at a function of its course (paused_procsup.py), or its
units say that they are there. After each case the death was the right one, the terminal is as
before, nothing of the run lives, and a resume brings the run to its clean end.
"""

import itertools
import shutil
from typing import Iterator, List, NamedTuple

from tests.faults import laws
from tests.faults.signals import shells, suspended
from tests.faults.signals.job import GAP_S, Job
from tests.faults.trial import Trial

WHAT = "whatever is pressed, and whenever, procsup dies as a shell expects and leaves no mess"
PRESSES = ("INT", "INT INT", "INT INT INT", "TERM", "HUP", "QUIT", "TSTP CONT", "PIPE")
PHASES = ("planning", "starting", "running", "draining", "publishing")
MORE_PHASES = ("holding", "published")
WAYS = ("pty", "background", "nohup", "pipe")
IGNORED = {"background": ("INT", "QUIT"), "nohup": ("HUP",)}
GONE_S = 1.0


class Case(NamedTuple):
    """What is pressed, in which phase, and how procsup was started."""

    pressed: str
    phase: str
    way: str

    @property
    def signals(self) -> List[str]:
        return self.pressed.split()

    @property
    def is_heard(self) -> bool:
        """Whether the signal means an end to this procsup."""
        harmless = ("TSTP", "PIPE", *IGNORED.get(self.way, ()))
        return self.signals[0] not in harmless

    @property
    def kills_at_once(self) -> bool:
        return self.is_heard and len(self.signals) == 3

    @property
    def end(self) -> str:
        """How procsup ends: an exit code, or a signal's name."""
        if self.phase in ("publishing", "published") and not self.kills_at_once:
            return "0"  # the run is final: there is nothing left to interrupt
        if self.is_heard:
            return f"SIG{self.signals[0]}"
        return "3" if self.phase == "draining" else "0"


def attack(trial: Trial) -> None:
    """Play all cases, or one of each pair of signal and phase."""
    for case in choose_cases(trial):
        name = f"{case.pressed}, {case.phase}, {case.way}"
        if trial.wants(name):
            with trial.case(name):
                play(trial, case)
    more = () if trial.form == "smoke" else (*shells.scripts(trial), *suspended.scripts())
    for name, script in more:
        if trial.wants(name):
            with trial.case(name):
                script(trial.folder / name.replace(" ", "-").replace(",", ""))


def choose_cases(trial: Trial) -> Iterator[Case]:
    """Return the cases of this form."""
    if trial.form == "smoke":
        yield Case("INT", "running", "pty")
        yield Case("TERM", "publishing", "pipe")
    elif trial.form == "long":
        every = itertools.product(PRESSES, (*PHASES, *MORE_PHASES), WAYS)
        yield from itertools.starmap(Case, every)
    else:
        # Each signal in each phase, and in each of the ways as often as the others.
        for pressed in PRESSES:
            ways = [*WAYS, trial.random.choice(WAYS)]
            trial.random.shuffle(ways)
            yield from (Case(pressed, phase, way) for phase, way in zip(PHASES, ways))


def play(trial: Trial, case: Case, other: str = "") -> None:
    """Play one case from its start to the end of a resume."""
    folder = trial.folder / "-".join(case).replace(" ", "-")
    with Job(folder, case.way, shapes_of(case), other=other) as job:
        come_to(job, case)
        if case.signals[0] == "TSTP":
            stop_and_continue(job)
        else:
            press(job, case)
        job.go()
        if not case.is_heard:
            job.release()
        end = job.end()
        assert end == case.end, f"its end is {end} and not {case.end}: {job.said()[-800:]}"
        check(job, case)
    shutil.rmtree(str(folder))


def shapes_of(case: Case) -> List[str]:
    second = "stubborn" if len(case.signals) > 1 and case.is_heard else "second"
    return ["neighbour", second, *(["third"] if case.phase == "draining" else [])]


def come_to(job: Job, case: Case) -> None:
    """Start, and bring it to the phase."""
    hang = case.kills_at_once and case.phase in ("running", "draining")
    if case.phase in ("publishing", "published"):
        job.release()
    if case.phase in ("running", "draining"):
        job.start("killing" if hang else "none")
        job.wait_until_ready(*shapes_of(case)[:2])
        job.wait_until("begun", lambda: job.supervisor > 0)
    else:
        job.start(case.phase, 2 if case.phase == "starting" else 1)
        job.wait_until_held()
        if case.phase == "starting":
            job.wait_until_ready("neighbour")
    if case.phase == "draining":
        done = job.project.call("drain", "run")
        assert done.returncode == 0, done.stderr


def press(job: Job, case: Case) -> None:
    """Press so many times, each time when the one before was heard."""
    for number, name in enumerate(case.signals):
        if number:
            job.wait_until("past the gap", lambda: job.since_press_s() >= GAP_S)
            if number == 1 and case.phase in ("running", "draining") and case.is_heard:
                job.wait_until("heard", (job.folder / "stubborn.termed").exists)
            if number == 2 and case.phase in ("running", "draining") and case.is_heard:
                job.wait_until_held()
        job.press(name)
        job.pressed()
    if case.pressed == "PIPE" and case.way == "pipe":
        job.lose_reader()


def stop_and_continue(job: Job) -> None:
    """Both processes stop, their units do not; both go on."""
    job.press("TSTP")
    job.wait_until_stopped()
    job.check_terminal()
    if job.way == "pty":
        job.continue_group()
    else:
        job.press("CONT")
    job.wait_until_continued()


def check(job: Job, case: Case) -> None:
    """What must hold after each case, and after its resume."""
    left = job.crowd.wait_until_gone(GONE_S)
    assert not left, f"alive {GONE_S:g} s after the end: {left}"
    job.check_terminal()
    laws.no_traceback(job.said())
    is_final = case.end == "0" or case.phase == "published"
    assert (job.project.rundir / "manifest.json").exists() is is_final, "manifest or no manifest?"
    if not is_final:
        (job.folder / "calm").touch()
        job.project.run()
    assert set(job.project.verdicts.values()) == {"succeeded"}, job.project.verdicts
    laws.no_unit_finished_twice(job.project.rundir)
    laws.journal_and_manifest_agree(job.project.rundir)
