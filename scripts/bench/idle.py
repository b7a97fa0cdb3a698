"""What it costs to watch over units that do nothing: CPU while 1,000 of them sleep, with sampling.

In percent of one CPU over a window, of procsup (the supervisor and its guard) and of the floor's
loop, from what the kernel has on each process. Both are ended when the window is over.
"""

import os
import time
from typing import Any, Dict, List, Tuple

import _setup

from bench.figures import duration
from bench.measure import PROGRAMS, Command, CommandFailed, Workshop, program, stage
from bench.processes import children, cpu_of, end_strays, memory_of

SLEEPERS = 1000
SETTLING_S, WINDOW_S = {"quick": 1.0}, {"quick": 5.0, "long": 120.0}
START_LIMIT_S = 60.0


def measure(bench: Workshop, form: str) -> Dict[str, Any]:
    """Return the share of one CPU that each takes, the window, and the memory of its processes."""
    window_s = WINDOW_S.get(form, 30.0)
    found: Dict[str, Any] = {"sleepers": SLEEPERS, "window_s": window_s, "cpu_share": {}}
    found["memory_bytes"] = {}
    for name, command in _commands(bench).items():
        with bench.started(command) as child:
            ours = _wait_for_sleepers(child.pid, command)
            time.sleep(SETTLING_S.get(form, 5.0))
            before, began = sum(map(cpu_of, ours)), time.monotonic()
            time.sleep(window_s)
            took_s = time.monotonic() - began
            found["cpu_share"][name] = (sum(map(cpu_of, ours)) - before) / took_s
            found["memory_bytes"][name] = sum(memory_of(pid)[0] for pid in ours)
        end_strays()
        _setup.say(f"idle: {name}: {found['cpu_share'][name]:.3%} over {duration(window_s)}")
    return found


def _commands(bench: Workshop) -> Dict[str, Command]:
    sleep, mine, theirs = [program("sleep"), "100000"], bench.room(), bench.room()
    # Each has its number as a last argument, and sleeps for the sum of both.
    bench.run_file(mine, stage(sleep, SLEEPERS, jobs=SLEEPERS))
    floor = [bench.python, str(PROGRAMS / "floor.py"), str(SLEEPERS), str(SLEEPERS), *sleep]
    return {
        "procsup": Command([*bench.procsup, "run"], mine),
        "bare Popen": Command(floor, theirs),
    }


def _wait_for_sleepers(pid: int, command: Command) -> List[int]:
    """Return the processes that watch, once all sleepers are there; CommandFailed if not."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        watching, sleeping = _parted(pid)
        if sleeping >= SLEEPERS:
            return watching
        time.sleep(0.1)
    raise CommandFailed(f"{SLEEPERS} units were not live after {START_LIMIT_S:.0f} s", command.room)


def _parted(pid: int) -> Tuple[List[int], int]:
    """Return the processes that watch (those that have children), and how many others there are."""
    watching, sleeping, todo = [], 0, [pid]
    while todo:
        one = todo.pop()
        below = children(one)
        if below:
            watching.append(one)
            todo += below
        elif os.path.exists(f"/proc/{one}"):
            sleeping += 1
    return watching, sleeping
