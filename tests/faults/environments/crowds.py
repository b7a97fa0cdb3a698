"""Many at once: supervisors that want one directory, waiters for one run."""

import json
import os
from typing import Dict, List

from tests.faults import laws
from tests.faults.environments.scene import Door, Scene
from tests.faults.system_calls.starting import Case, Seam

BUSY = 75
HELD = """
[stage.door]
command = ["/bin/sh", "-c", "read x < go; echo went > {outputs[0]}"]
outputs = ["went.txt"]
"""


def attack(scene: Scene) -> None:
    for number in scene.trial.choose([3], [100] + [5] * 10, [200] * 5 + [10] * 200):
        name = f"{number} supervisors at once"
        if scene.trial.wants(name):
            with scene.trial.case(name):
                _race(scene, number)
    number = scene.trial.choose(5, 1000, 3000)
    if scene.trial.wants("waiters"):
        with scene.trial.case(f"{number} waiters"):
            _wait(scene, number)


def _held(scene: Scene, name: str) -> Case:
    case = scene.case(f"{name} {scene.trial.cases}")
    case.project.write("run.toml", HELD)
    return case


def _race(scene: Scene, number: int) -> None:
    """All start at once: one gets the directory, the others are told who has it."""
    case = _held(scene, "race")
    door = Door.made(case)
    crowd = scene.seam.crowd(case, number, ["run", "run.toml"])
    codes = [next(crowd) for _ in range(number - 1)]
    assert codes == [BUSY] * (number - 1), _counted(codes)
    door.open()
    assert next(crowd) == 0, case.said()
    assert case.said().count("is in use by process") == number - 1
    laws.no_traceback(case.said())
    laws.nothing_lives(case.cookie)
    laws.journal_and_manifest_agree(case.rundir)
    starts = [record for record in laws.records(case.rundir) if record["t"] == "start"]
    assert len(starts) == 1, starts


def _wait(scene: Scene, number: int) -> None:
    """All of them are told, by one and the same end; the supervisor does not notice them."""
    case = _held(scene, "waiters")
    door = Door.made(case)
    with Seam() as other:
        running = other.crowd(case, 1, ["run", "run.toml"])
        lock = case.rundir / "locks" / "1-run.lock"
        laws.until(lock.exists, "the run did not begin", 20.0)
        waiting = scene.seam.crowd(case, number, ["wait", "run"])
        laws.until(lambda: _blocked(lock) == number, "not all of them wait", 120.0, look_s=0.2)
        door.open()
        assert next(running) == 0, case.said()
        codes = [next(waiting) for _ in range(number)]
    assert codes == [0] * number, _counted(codes)
    laws.no_traceback(case.said())
    laws.nothing_lives(case.cookie)


def _blocked(lock: "os.PathLike[str]") -> int:
    """Return how many wait for this lock, by what the kernel says."""
    inode = f":{os.stat(lock).st_ino} "
    with open("/proc/locks", encoding="ascii") as file:
        return sum(1 for line in file if "->" in line and inode in line)


def _counted(codes: List[int]) -> str:
    found: Dict[int, int] = {}
    for code in codes:
        found[code] = found.get(code, 0) + 1
    return json.dumps(found)
