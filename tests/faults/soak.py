"""Thousands of units while units are killed at random, and in a second run the supervisor too.

The first run shows that the supervisor's memory, descriptors, threads and zombies are at its end
what they were at its beginning: one unit goes on then, as one did at first. The second run is
killed and resumed again and again, until it is complete. Units prove themselves that none is
twofold: each holds an exclusive lock, and says when it starts and ends.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from procsup.host import procfs
from procsup.store.rundir import RunDir
from procsup.store.sitting import read_owner
from tests.faults import laws
from tests.faults.trial import Trial

WHAT = "thousands of units, random kills of units and of the supervisor; resources afterwards"
ROOT = Path(__file__).resolve().parents[2]
JOBS = 8
LIMIT_S = 60.0
LOOK_S = 0.02
COOKIE = "PROCSUP_TRIAL"
RUN_FILE = """
defaults.retries = {{ times = 50, on = ["failed", "lost"] }}
[stage.warm]
command = ["./unit.sh", "warm-{{n}}"]
matrix.n = {{ range = "1..{warm}" }}
[stage.first]
after = ["warm"]
command = ["./held.sh", "first"]
[stage.work]
after = ["first"]
command = ["./unit.sh", "{{n}}"]
matrix.n = {{ range = "1..{units}" }}
[stage.last]
after = ["work"]
command = ["./held.sh", "last"]
"""
UNIT = """#!/bin/sh
exec 9>>"locks/$1"
flock -n 9
case $? in
    0) ;;
    1) echo "two $1 $PROCSUP_ATTEMPT" >>units.log; exit 99 ;;
    *) exit 98 ;; # it was killed
esac
echo "start $1 $PROCSUP_ATTEMPT" >>units.log
sleep 0.01
echo "end $1 $PROCSUP_ATTEMPT" >>units.log
"""
HELD = """#!/bin/sh
: >"$1.held"
while [ -e "$1.held" ]; do
    sleep 0.02
done
"""
RSS_PER_UNIT_BYTES = 1000  # what is known of a unit is kept until the manifest is written
RSS_SLACK_BYTES = 2 << 20


class Reading(NamedTuple):
    """What the supervisor holds at one moment; `zombies` are its and its guard's."""

    done: int
    rss_bytes: int
    descriptors: int
    threads: int
    zombies: int


class Soaked:
    """One run under way: its folder, its present pair of processes, its sore points."""

    def __init__(self, folder: Path, units: int, seed: int, path: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.path = os.pathsep.join(map(str, [*path, ROOT]))  # where the pair imports from
        self.slowest_s = 0.0  # between two looks that saw another unit end
        self._moved_at = time.monotonic()
        self.rundir = folder / ".procsup" / "run"
        self.units = units
        self.entry = f"{COOKIE}={folder}".encode()
        self.unit_kills = 0
        self._random = random.Random(seed)
        self._guard: Optional[subprocess.Popen[bytes]] = None
        self._said_bytes = self._ends = 0
        folder.mkdir()
        (folder / "locks").mkdir()
        (folder / "run.toml").write_text(RUN_FILE.format(units=units, warm=2 * JOBS))
        for name, text in (("unit.sh", UNIT), ("held.sh", HELD)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": self.path, COOKIE: str(self.folder)}
        argv = [sys.executable, "-m", "procsup", "run", "run.toml", "--jobs", str(JOBS)]
        with open(str(self.folder / "said"), "ab") as said:
            self._guard = subprocess.Popen(
                argv, cwd=str(self.folder), env=environment,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    @property
    def guard(self) -> "subprocess.Popen[bytes]":
        assert self._guard is not None
        return self._guard

    @property
    def supervisor(self) -> int:
        """The pid of the supervisor, as soon as it has one and has begun."""
        laws.until(lambda: self._owner_pid() > 0, "no supervisor", LIMIT_S)
        return self._owner_pid()

    def _owner_pid(self) -> int:
        owner = read_owner(RunDir(str(self.rundir)))
        if owner is None or owner.sitting == 0 or owner.ended is not None:
            return 0
        return owner.pid if owner.pid in procfs.list_children(self.guard.pid) else 0

    def end_everything(self) -> None:
        if self._guard is not None and self._guard.poll() is None:
            self._guard.kill()
            self._guard.wait()
        for pid in laws.living(self.entry):
            _kill(pid)

    def held(self, name: str) -> None:
        """Wait until that unit goes on."""
        laws.until((self.folder / f"{name}.held").exists, f"{name} did not begin", LIMIT_S)

    def release(self, name: str) -> None:
        (self.folder / f"{name}.held").unlink()

    def ends(self) -> int:
        """How many units have said that they ended."""
        try:
            with open(str(self.folder / "units.log"), "rb") as file:
                file.seek(self._said_bytes)
                data = file.read()
        except FileNotFoundError:
            return 0
        whole = data[: data.rfind(b"\n") + 1]
        self._said_bytes += len(whole)
        if b"end " in whole:
            now = time.monotonic()
            self.slowest_s, self._moved_at = max(self.slowest_s, now - self._moved_at), now
        self._ends += whole.count(b"end ")
        return self._ends

    def kill_some_unit(self) -> None:
        """Kill a process of a unit of the stage `work`."""
        pids = laws.living(b"PROCSUP_STAGE=work", self.entry)
        if pids and _kill(self._random.choice(pids)):
            self.unit_kills += 1

    def read(self) -> Reading:
        pid = self.supervisor
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        pair = [*procfs.list_children(pid), *procfs.list_children(self.guard.pid)]
        looks = [procfs.look(child) for child in pair]
        return Reading(
            self.ends(),
            int(status["VmRSS"].split()[0]) << 10,
            len(os.listdir(f"/proc/{pid}/fd")),
            int(status["Threads"]),
            sum(look is not None and look.dead for look in looks),
        )

    def kill_supervisor(self) -> float:
        """Kill it; return how long anything lived on, in seconds, at most one."""
        pid = self.supervisor
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        laws.nothing_lives(self.entry)
        lived_s = time.monotonic() - began
        assert self.guard.wait(LIMIT_S) == -signal.SIGKILL
        return lived_s


def attack(trial: Trial) -> None:
    """One run whose supervisor lives, one whose supervisor is killed again and again."""
    if not sys.platform.startswith("linux") or shutil.which("flock") is None:
        trial.leave_out("everything", "looks into /proc, and its units need flock(1)")
        return
    units = trial.choose(60, 2500, 50_000)
    for name, run in (("resources", resources), ("deaths", deaths)):
        if not trial.wants(name):
            continue
        soaked = Soaked(trial.folder / name, units, trial.seed)
        try:
            run(trial, soaked)
        finally:
            soaked.end_everything()
        trial.figure(f"units killed ({name})", soaked.unit_kills)
        trial.figure(f"longest without an end ({name}), ms", round(soaked.slowest_s * 1000))


def resources(trial: Trial, soaked: Soaked) -> None:
    with trial.case("resources: all units end well while some are killed"):
        soaked.start()
        soaked.held("first")
        first = _calm_reading(soaked)
        soaked.release("first")
        soaked.ends()
        readings = _work(soaked, every=max(1, soaked.units // 5))
        soaked.held("last")
        last = _calm_reading(soaked)
        soaked.release("last")
        assert soaked.guard.wait(LIMIT_S) == 0
        _judge(soaked)
        trial.passed(soaked.units)
        trial.figure(
            "readings (done, RSS MB, fds, threads, zombies)", _shown(first, *readings, last)
        )
        with trial.case("resources: descriptors, threads and zombies are what they were"):
            pairs = zip(last[2:], first[2:])
            assert all(now <= was for now, was in pairs), f"{first} and now {last}"
        with trial.case("resources: memory grows by no more than what is known of the units"):
            most = first.rss_bytes + RSS_SLACK_BYTES + RSS_PER_UNIT_BYTES * soaked.units
            assert last.rss_bytes <= most, f"{first} and now {last}"
        with trial.case("resources: nothing piles up at equal concurrency"):
            _equal(readings)


def _calm_reading(soaked: Soaked) -> Reading:
    """Read when all that has ended is reaped and closed: three readings in a row are equal."""
    last: List[Reading] = []

    def is_calm() -> bool:
        last.append(soaked.read())
        return len(last) > 2 and last[-1][2:] == last[-2][2:] == last[-3][2:]

    laws.until(is_calm, "the supervisor does not come to rest", 10.0, LOOK_S)
    return last[-1]


def _work(soaked: Soaked, every: int) -> List[Reading]:
    """Kill units until all have ended; read every so many ends."""
    readings: List[Reading] = []
    deadline = time.monotonic() + 60 + soaked.units / 20
    while not (soaked.folder / "last.held").exists():
        assert time.monotonic() < deadline, f"{soaked.ends()} of {soaked.units} units ended"
        soaked.kill_some_unit()
        if soaked.ends() >= every * (len(readings) + 1):
            readings.append(_busy_reading(soaked))
        laws.pause(LOOK_S)
    return readings


def _busy_reading(soaked: Soaked) -> Reading:
    """Read several times while units come and go; return the least of each that was seen."""
    seen = [soaked.read() for _ in range(5)]
    return Reading(*map(min, zip(*seen)))


def _equal(readings: List[Reading]) -> None:
    """Whoever forgets to close, join or reap has more each time."""
    for was, now in zip(readings, readings[1:]):
        # One by which a live unit is watched, and one for what a killed one has left for a second.
        assert now.descriptors <= was.descriptors + 2 * JOBS, f"{was} and now {now}"
        assert now.threads <= was.threads + 1, f"{was} and now {now}"
        assert now.zombies <= JOBS, f"{was} and now {now}"


def _shown(*readings: Reading) -> List[str]:
    return [
        f"{r.done} {r.rss_bytes / (1 << 20):.1f} {r.descriptors} {r.threads} {r.zombies}"
        for r in readings
    ]


def deaths(trial: Trial, soaked: Soaked) -> None:
    lived: List[float] = []
    begun: List[float] = []
    number = trial.choose(1, 8, 100)
    for at in range(number):
        with trial.case(f"deaths: the supervisor's, number {at + 1}"):
            begun.append(_begin(soaked))
            _let_go_on(soaked, soaked.units * (at + 1) // (number + 1))
            lived.append(soaked.kill_supervisor())
            laws.journal_and_manifest_agree(soaked.rundir)
    with trial.case("deaths: resumed, it comes to the same end"):
        begun.append(_begin(soaked))
        _let_go_on(soaked, soaked.units)
        soaked.held("last")
        soaked.release("last")
        assert soaked.guard.wait(LIMIT_S) == 0, (soaked.folder / "said").read_text()[-1000:]
        _judge(soaked)
        trial.passed(soaked.units)
    if lived:
        trial.figure("empty after a death, at most ms", round(max(lived) * 1000))
        trial.figure("a sitting begun after, at most ms", round(max(begun) * 1000))


def _begin(soaked: Soaked) -> float:
    """Start a sitting; return how long it took until others knew of it, in seconds."""
    began = time.monotonic()
    soaked.start()
    assert soaked.supervisor > 0
    return time.monotonic() - began


def _let_go_on(soaked: Soaked, until: int) -> None:
    """Kill units until so many have ended."""
    deadline = time.monotonic() + 60 + soaked.units / 20
    while soaked.ends() < until and not (soaked.folder / "last.held").exists():
        assert time.monotonic() < deadline, f"{soaked.ends()} of {soaked.units} units ended"
        if (soaked.folder / "first.held").exists():
            soaked.release("first")
        soaked.kill_some_unit()
        laws.pause(LOOK_S)


def _judge(soaked: Soaked) -> None:
    """No unit is lost, none was twofold, none is finished twice."""
    laws.nothing_lives(soaked.entry)
    story = laws.story(soaked.rundir)
    verdicts = [unit["verdict"] for unit in story["units"]]
    assert verdicts == ["succeeded"] * (soaked.units + 2 * JOBS + 2), set(verdicts)
    laws.journal_and_manifest_agree(soaked.rundir)
    laws.no_unit_finished_twice(soaked.rundir)
    said = [line.split() for line in (soaked.folder / "units.log").read_text().splitlines()]
    twofold = [line for line in said if line[0] == "two"]
    assert not twofold, f"two live copies: {twofold[:5]}"
    starts = [(name, attempt) for word, name, attempt in said if word == "start"]
    assert len(starts) == len(set(starts)), "an attempt was started twice"
    ended = {name for word, name, _ in said if word == "end"}
    assert len(ended) == soaked.units + 2 * JOBS, f"{len(ended)} units said that they ended"


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
