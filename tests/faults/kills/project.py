"""The run that is killed: four units in three stages, which prove themselves that none is twofold.

Each unit holds an exclusive lock (its second copy would say ``two``) and appends to one log, at
its start and at its end. `make/n=2` leaves a daemon without environment behind, which holds the
lock too; `last` fails, and is tried once more. While there is a file ``hold`` it goes on.
"""

import fcntl
import glob
import json
import os
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

COOKIE = "PROCSUP_TRIAL"
RUN_FILE = """
capacity = { cpus = 3 }
defaults.grace = "1s"
defaults.linger = "100ms"
[stage.make]
command = ["./unit.sh", "make-{n}", "{outputs[0]}"]
matrix.n = [1, 2]
outputs = ["out/make-{n}"]
[stage.use]
for-each = "make"
command = ["./unit.sh", "use-{n}", "{outputs[0]}"]
outputs = ["out/use-{n}"]
[stage.last]
after = ["use"]
command = ["./unit.sh", "last", "out/last", "3"]
retries = 1
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
if [ "$1" = make-2 ]; then
    env -i setsid "$(command -v sleep)" 30 &
    sleep 0.03 # others end and begin meanwhile
fi
if [ "$1" = last ] && [ -e hold ]; then
    sleep 30
fi
sleep 0.005
echo "$1" >"$2"
echo "end $1 $PROCSUP_ATTEMPT" >>units.log
exit "${3:-0}"
"""
# A unit must not run (again) once one that needs it has begun.
NEEDED_BY = {
    "make-1": ("use-1", "last"),
    "make-2": ("use-2", "last"),
    "use-1": ("last",),
    "use-2": ("last",),
}
NAMES = {
    "make/n=1": "make-1",
    "make/n=2": "make-2",
    "use/n=1": "use-1",
    "use/n=2": "use-2",
    "last": "last",
}


class Line(NamedTuple):
    """What a unit said: `word` is start, end or two."""

    word: str
    name: str
    attempt: int


class Project:
    """The folder of one run; `fresh` makes it as if nothing had ever been there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rundir = folder / ".procsup" / "run"

    def make(self) -> None:
        for name in ("locks", "out", "notes"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "run.toml").write_text(RUN_FILE)
        unit = self.folder / "unit.sh"
        unit.write_text(UNIT)
        unit.chmod(0o755)

    def hold(self, held: bool) -> None:
        """Have the last unit go on until it is ended."""
        path = self.folder / "hold"
        if held:
            path.touch()
        elif path.exists():
            path.unlink()

    def said(self) -> List[Line]:
        """What all units said, in the order of time."""
        try:
            lines = (self.folder / "units.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        words = [line.split() for line in lines]
        return [Line(word, name, int(attempt)) for word, name, attempt in words]

    def held(self) -> List[str]:
        """Return which of the units' locks are held, as the system tells: it disturbs nobody."""
        with open("/proc/locks") as file:
            inodes = {line.split()[5].rpartition(":")[2] for line in file if " FLOCK " in line}
        locks = (self.folder / "locks").iterdir()
        return [path.name for path in locks if str(path.stat().st_ino) in inodes]

    def holders(self) -> List[int]:
        """Return who has one of the units' locks open: a daemon is known by nothing else."""
        found, locks = [], str(self.folder / "locks") + os.sep
        for link in glob.glob("/proc/[0-9]*/fd/9"):
            try:
                held = os.readlink(link)
            except OSError:
                continue  # it has ended
            if held.startswith(locks):
                found.append(int(link.split("/")[2]))
        return found

    def pair_is_gone(self) -> bool:
        """Whether neither the guard nor the supervisor of what was started last is alive."""
        with open(str(self.folder / "notes" / "alive"), "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
        return True

    def note(self, kind: str) -> Tuple[int, float]:
        """Who noted this, and when (monotonic); FileNotFoundError if nobody did."""
        pid, at = json.loads((self.folder / "notes" / kind).read_text())
        return pid, at

    def noted(self, kind: str) -> bool:
        return (self.folder / "notes" / kind).exists()

    def forget_notes(self) -> None:
        for path in (self.folder / "notes").iterdir():
            path.unlink()


def units_prove_it(project: Project, records: List[Dict[str, object]]) -> None:
    """No two live copies; nothing without a record before it; what is finished stays so."""
    said = project.said()
    twofold = [line for line in said if line.word == "two"]
    assert not twofold, f"two live copies: {twofold}"
    started = [(line.name, line.attempt) for line in said if line.word == "start"]
    again = {one for one in started if started.count(one) > 1}
    assert not again, f"attempts that were started more than once: {again}"
    intended = {(NAMES[str(r["unit"])], r["attempt"]) for r in records if r["t"] == "start"}
    assert intended.issuperset(started), f"without a record: {set(started) - intended}"
    for at, line in enumerate(said):
        users = [other for other in said[:at] if other.name in NEEDED_BY.get(line.name, ())]
        assert line.word != "start" or not users, f"{line} comes after {users[:1]}, which needs it"
    ended = {(line.name, line.attempt) for line in said if line.word == "end"}
    finished: Dict[str, object] = {}
    for record in records:
        name = NAMES.get(str(record.get("unit")), "")
        if record["t"] == "start":
            assert name not in finished, f"{name} starts again after {finished[name]}"
        if record["t"] == "end" and record["verdict"] == "succeeded":
            finished[name] = record["attempt"]
            assert (name, record["attempt"]) in ended, f"{name} did not succeed: {record}"


def environment(folder: Path) -> Dict[str, str]:
    """Return what the runs of a folder are given: few things, and a cookie of their own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, COOKIE: str(folder)}
