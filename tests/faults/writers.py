"""Writers that outlive their unit's main process, many times under load.

``seq 1 3000000 | tee >(gzip -9 > OUT) | tail -1``: bash ends as soon as tail does, while gzip has
much to write. What such a unit vouches for must be whole, and as it was read; a unit that had to
end its writer has failed: here that of ``sort``, which begins to write when bash has ended. Beside
them a process per core does nothing but compute.
"""

import gzip
import os
import subprocess
import sys
from typing import List

from tests.faults.trial import Trial
from tests.support.projects import Project

WHAT = "no output is vouched for while a process of its unit still writes it"
LINES = (100_000, 1_000_000, 3_000_000)
UNITS = (2, 8, 100)
JOBS = 4
LIMIT_S = 3600.0
HOG = "while True: pass"
RUN = """
[stage.s]
shell = "{line}"
matrix.n = {{ range = "1..{units}" }}
outputs = ["out/{{n}}.gz"]
linger = "{linger}"
[stage.short]
shell = "{sorting}"
matrix.n = {{ range = "1..{few}" }}
outputs = ["short/{{n}}.gz"]
linger = "{short}"
grace = "1s"
"""
LINE = "seq 1 {lines} | tee >({writer}) | tail -1"
QUICK = "gzip -9 > {{outputs[0]}}"
SLOW = "exec > {{outputs[0]}}; sort -rn | gzip -9"  # it writes when it has read everything


def attack(trial: Trial) -> None:
    """Run the pipeline with time enough for its writer, and with too little."""
    if sys.platform != "linux":
        trial.leave_out("all of it", "who writes a file is told by Linux only")
        return
    units, lines = trial.choose(*UNITS), trial.choose(*LINES)
    text = RUN.format(
        line=LINE.format(lines=lines, writer=QUICK.format()),
        sorting=LINE.format(lines=lines, writer=SLOW.format()),
        units=units,
        few=max(2, units // 4),
        linger="10m",
        short="10ms",
    )
    project = Project(trial.folder, text)
    hogs = start_hogs()
    try:
        done = project.start("run", "run.toml", "--jobs", str(JOBS))
        _, said = done.communicate(timeout=LIMIT_S)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    with trial.case("the run ends"):
        assert done.returncode in (0, 1), said
    judge(trial, project, lines)


def start_hogs() -> "List[subprocess.Popen[bytes]]":
    argv = [sys.executable, "-S", "-c", HOG]
    return [subprocess.Popen(argv) for _ in range(os.cpu_count() or 1)]


def judge(trial: Trial, project: Project, lines: int) -> None:
    """What is vouched for must be whole; what had time enough must be vouched for."""
    waited_s = 0.0
    for unit, verdict in project.verdicts.items():
        stage, _, number = unit.partition("/n=")
        path = project.folder / ("out" if stage == "s" else "short") / f"{number}.gz"
        with trial.case(f"{'with time' if stage == 's' else 'without time'}, {number}"):
            assert verdict == "succeeded" or stage == "short", verdict
            assert verdict in ("succeeded", "failed", "bad-output"), verdict
            if verdict == "succeeded":
                assert gzip.decompress(path.read_bytes()).count(b"\n") == lines, "it is truncated"
    ends = project.records("end")
    waited_s = sum(float(record.get("linger_s", 0.0)) for record in ends)
    trial.figure("vouched for", sum(one["verdict"] == "succeeded" for one in ends))
    trial.figure(
        "failed, since they had no time", sum(one["verdict"] != "succeeded" for one in ends)
    )
    trial.figure("mean wait for writers (s)", round(waited_s / max(1, len(ends)), 2))
    with trial.case("what is vouched for is as it was read"):
        verified = project.call("verify", "run")
        assert verified.returncode == 0, verified.stderr
