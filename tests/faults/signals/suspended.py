"""What a suspended run does with the time limits of its units, which run on meanwhile."""

import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Tuple

from tests.faults.signals.job import Job

LIMIT_S = 2.0
LATE_S = 2.2
THREADS = """
from procsup.host import exits
exits.PidfdExits = exits.ThreadExits
"""
Script = Callable[[Path], None]


def scripts() -> Iterator[Tuple[str, Script]]:
    """Return the cases, by name."""
    for way, other in (("pidfd", ""), ("threads", THREADS)):
        name = f"a unit that ends in time while procsup is suspended has succeeded, {way}"
        yield name, in_time(other)
    yield "a unit that is too late when procsup goes on is timed out", too_late


def in_time(other: str) -> Script:
    def script(folder: Path) -> None:
        with suspended(folder, other) as job:
            job.release()
            job.wait_until("over", lambda: not job.crowd.living())
            wait_until_late(job)
            assert go_on(job) == "0", job.said()
            assert job.project.verdicts == {"s/shape=neighbour": "succeeded"}

    return script


def too_late(folder: Path) -> None:
    with suspended(folder) as job:
        wait_until_late(job)
        assert go_on(job) == "1", job.said()
        assert job.project.verdicts == {"s/shape=neighbour": "timed-out"}
        assert not job.crowd.living()


@contextmanager
def suspended(folder: Path, other: str = "") -> Iterator[Job]:
    """Give a run with a time limit that was suspended as soon as its unit was there."""
    with Job(folder, "pty", ["neighbour"], f'timeout = "{LIMIT_S}s"', other) as job:
        job.start()
        job.wait_until_ready("neighbour")
        job.wait_until("begun", lambda: job.supervisor > 0)
        job.press("TSTP")
        job.wait_until_stopped()
        yield job


def wait_until_late(job: Job) -> None:
    begun = time.monotonic()
    job.wait_until("late", lambda: time.monotonic() - begun > LATE_S)


def go_on(job: Job) -> str:
    job.continue_group()
    end = job.end()
    job.check_terminal()
    return end
