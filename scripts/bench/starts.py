#!/usr/bin/env python3
"""What one start costs the supervisor: subprocess.Popen beside os.posix_spawn, in turns.

    python scripts/bench/starts.py     # 31 and 149 MB: those of 1,000 and of 100,000 planned units
    python scripts/bench/starts.py --memory 31,400 --rounds 20

Each way starts `true` in a session of its own, with three streams and 60 environment variables,
and reaps it. What counts is the CPU time of this thread (the wall time beside it has the
machine's noise in it), while it holds as much memory as a supervisor does: where Python forks,
the kernel copies the tables of all of that. Any CPython from 3.8 on runs it, nothing is needed.
"""

import argparse
import gc
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Callable, Dict, List, Sequence, Tuple

ENVIRONMENT = {f"VARIABLE_{n}": "some value " * 3 for n in range(60)}
PROGRAM = "/bin/true"
RTTIME = 1 << 60


def by_posix_spawn(streams: Sequence[int]) -> int:
    """Start as posix_spawn does: the folder is changed for the whole process meanwhile."""
    here = os.open(".", os.O_RDONLY)
    os.chdir("/")
    try:
        return os.posix_spawn(
            PROGRAM,
            (PROGRAM, "7"),
            ENVIRONMENT,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate(streams)],
            setsid=True,
            setsigmask=(),
        )
    finally:
        os.fchdir(here)
        os.close(here)


def by_popen(streams: Sequence[int], env: Dict[str, str] = ENVIRONMENT) -> int:
    """Start as Popen does."""
    popen = subprocess.Popen(
        (PROGRAM, "7"),
        executable=PROGRAM,
        cwd="/",
        env=env,
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        start_new_session=True,
    )
    popen.returncode = 0
    return popen.pid


ENCODED = {os.fsencode(name): os.fsencode(value) for name, value in ENVIRONMENT.items()}


def by_popen_encoded(streams: Sequence[int]) -> int:
    """Start as Popen does, fed with an environment that is encoded already."""
    return by_popen(streams, ENCODED)  # type: ignore[arg-type]


def by_popen_marked(streams: Sequence[int]) -> int:
    """Start as the one before, with a limit of its own around it: the mark of an attempt."""
    own = resource.getrlimit(resource.RLIMIT_RTTIME)
    resource.setrlimit(resource.RLIMIT_RTTIME, (RTTIME, own[1]))
    try:
        return by_popen_encoded(streams)
    finally:
        resource.setrlimit(resource.RLIMIT_RTTIME, own)


WAYS: Dict[str, Callable[[Sequence[int]], int]] = {
    "posix_spawn": by_posix_spawn,
    "Popen": by_popen,
    "Popen, encoded": by_popen_encoded,
    "Popen, encoded, marked": by_popen_marked,
}


def cost(start: Callable[[Sequence[int]], int], times: int) -> Tuple[float, float]:
    """Return the CPU and wall microseconds of one start, reaping left out."""
    null = os.open(os.devnull, os.O_RDWR)
    cpu = wall = 0.0
    try:
        for _ in range(times):
            began, cpu_began = time.perf_counter(), time.thread_time()
            pid = start((null, null, null))
            cpu += time.thread_time() - cpu_began
            wall += time.perf_counter() - began
            os.waitpid(pid, 0)
    finally:
        os.close(null)
    return cpu / times * 1e6, wall / times * 1e6


def resident_bytes() -> int:
    """Return how much memory of this process is resident."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def grow_to(megabytes: int) -> List[Tuple[str, int]]:
    """Hold so much memory in small objects, as a plan does."""
    held: List[Tuple[str, int]] = []
    while resident_bytes() < megabytes << 20:
        held += [(f"stage/unit={len(held) + n}", n) for n in range(1000)]
    return held


def main() -> int:
    """Measure, and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--memory", default="31,149", help="resident megabytes, with commas")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--starts", type=int, default=60, help="of each way in a round")
    options = parser.parse_args()
    print(f"CPython {sys.version.split()[0]}, medians of {options.rounds} rounds")
    for size in map(int, options.memory.split(",")):
        held = grow_to(size)
        gc.collect()
        took: Dict[str, List[Tuple[float, float]]] = {name: [] for name in WAYS}
        for _ in range(options.rounds):
            for name, way in WAYS.items():
                took[name].append(cost(way, options.starts))
        print(f"{resident_bytes() >> 20} MB resident ({len(held):,} objects)")
        base = statistics.median(cpu for cpu, _ in took["posix_spawn"])
        for name, values in took.items():
            cpu = statistics.median(value[0] for value in values)
            wall = statistics.median(value[1] for value in values)
            print(f"  {name:24} {cpu:7.0f} us CPU ({cpu / base:.2f})  {wall:7.0f} us wall")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
