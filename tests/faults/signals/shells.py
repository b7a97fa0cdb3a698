"""procsup under a real bash, by hand: loops, job control, a pipeline, a terminal that hangs up."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Callable, Iterator, Tuple

from tests.faults import laws
from tests.faults.signals.job import Job
from tests.faults.trial import Trial
from tests.support.projects import PROGRAMS

GONE_S = 1.0
BASH = "bash"
SHAPES = ["neighbour", "second"]
INTERACTIVE = [BASH, "--noprofile", "--norc", "-i"]
# Its first unit says a line; the others wait until the reader of that line is gone.
LATE = "case $1 in 1) echo one;; *) until [ -e release ]; do sleep 0.01; done; echo late;; esac"
Script = Callable[[Path], None]


def scripts(trial: Trial) -> Iterator[Tuple[str, Script]]:
    """Return the cases of this form, by name."""
    if shutil.which(BASH) is None:
        trial.leave_out("procsup under bash", "there is no bash")
        return
    for point in ("none", "planning", "starting"):
        yield f"a loop of bash stops on Ctrl-C, held at {point}", loop(point)
    yield "a loop typed into bash stops on Ctrl-C", typed_loop
    yield "Ctrl-Z and fg under bash", suspended
    yield "a background job of bash, brought to the front, dies by Ctrl-C", brought_to_front
    yield "the terminal hangs up", hung_up
    yield "map dies by SIGPIPE when the reader of its pipeline is gone", broken_pipeline


def loop(point: str, other: str = "") -> Script:
    """Ctrl-C while procsup is at a point: the loop around it ends, and bash by SIGINT."""

    def script(folder: Path) -> None:
        with Job(folder, "pty", SHAPES, other=other) as job:
            line = f"for i in 1 2; do echo round $i; {procsup(folder, point)}; done; echo script-on"
            job.start_program([BASH, "-c", line])
            come_to(job, point)
            job.press("INT")
            if other:
                job.release()
            job.go()
            end = job.end()
            said = job.said()
            assert end == "SIGINT", f"bash ends with {end}: {said[-800:]}"
            assert "round 1" in said, said
            assert "round 2" not in said, "the loop goes on"
            assert "script-on" not in said, "the script goes on"
            check(job)

    return script


def come_to(job: Job, point: str) -> None:
    if point == "none":
        job.wait_until_ready(*SHAPES)
        job.wait_until("begun", lambda: job.supervisor > 0)
    else:
        job.wait_until_held()


def typed_loop(folder: Path) -> None:
    with Job(folder, "pty", SHAPES) as job:
        job.start_program(INTERACTIVE)
        job.type(f"for i in 1 2; do echo round-$((i+10)); {procsup(folder)}; done")
        come_to(job, "none")
        job.press("INT")
        assert answer(job, "$?") == "130"
        assert "round-11" in job.said(), job.said()
        assert "round-12" not in job.said(), "the loop goes on"
        check(job)


def suspended(folder: Path) -> None:
    with Job(folder, "pty", SHAPES) as job:
        job.start_program(INTERACTIVE)
        job.type(procsup(folder))
        come_to(job, "none")
        job.press("TSTP")
        job.wait_until("stopped", lambda: "Stopped" in job.said())
        job.check_cursor()
        job.type("fg")
        job.release()
        assert answer(job, "$?") == "0"
        check(job, is_final=True)


def brought_to_front(folder: Path) -> None:
    with Job(folder, "pty", SHAPES) as job:
        job.start_program(INTERACTIVE)
        job.type(procsup(folder) + " &")
        come_to(job, "none")
        job.type("fg")
        job.wait_until("in the foreground", job.is_in_front)
        job.press("INT")
        assert answer(job, "$?") == "130"
        check(job)


def hung_up(folder: Path) -> None:
    with Job(folder, "pty", SHAPES) as job:
        job.start()
        come_to(job, "none")
        supervisor = job.supervisor
        job.lose_reader()
        left = job.crowd.wait_until_gone(GONE_S)
        assert not left, f"alive {GONE_S:g} s after the terminal hung up: {left}"
        job.wait_until("over", lambda: not job.lives(supervisor) and not job.lives(job.guard))
        resume(job)


def broken_pipeline(folder: Path) -> None:
    with Job(folder, "pipe", SHAPES) as job:
        run = f"{shlex.quote(sys.executable)} -m procsup"
        run += f" map --jobs 1 -- sh -c {shlex.quote(LATE)} sh {{}} ::: 1 2 3"
        reader = "{ head -n 1; exec 0<&-; touch release; }"
        job.start_program([BASH, "-c", f"{run} | {reader}; echo code=${{PIPESTATUS[0]}}"])
        assert job.end() == "0", job.said()
        said = job.said()
        assert "one" in said, said
        assert "code=141" in said, said
        laws.no_traceback(said)


def procsup(folder: Path, point: str = "none") -> str:
    """Return the line that runs procsup, held at a point."""
    program = str(PROGRAMS / "paused_procsup.py")
    times = "2" if point == "starting" else "1"
    return " ".join(
        map(shlex.quote, [sys.executable, program, point, times, str(folder), "run", "run.toml"])
    )


def answer(job: Job, expression: str) -> str:
    """Let bash tell what an expression is, once it prompts again."""
    job.type(f'echo "answer"={expression}=')  # quoted: what is typed is echoed, too
    job.wait_until("an answer", lambda: "answer=" in job.said())
    job.wait_until("the answer's end", lambda: "=" in job.said().rpartition("answer=")[2])
    return job.said().rpartition("answer=")[2].partition("=")[0]


def check(job: Job, *, is_final: bool = False) -> None:
    """What must hold after each case, and after its resume."""
    left = job.crowd.wait_until_gone(GONE_S)
    assert not left, f"alive {GONE_S:g} s after the end: {left}"
    job.check_cursor()
    laws.no_traceback(job.said())
    assert (job.project.rundir / "manifest.json").exists() is is_final, "manifest or no manifest?"
    if not is_final:
        resume(job)


def resume(job: Job) -> None:
    (job.folder / "calm").touch()
    job.project.run()
    assert set(job.project.verdicts.values()) == {"succeeded"}, job.project.verdicts
    laws.no_unit_finished_twice(job.project.rundir)
