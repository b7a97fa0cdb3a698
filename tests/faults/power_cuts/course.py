"""Through all states of a recording, one after another."""

import random
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from procsup.supervisor.requests import Request
from procsup.supervisor.session import bring_to_completion
from tests.faults.power_cuts.disk import Disk, State
from tests.faults.power_cuts.judging import Judge, after_a_reboot
from tests.faults.power_cuts.laying import Table
from tests.faults.power_cuts.workloads import Recording, Watcher
from tests.support.projects import Project

WRITES_EVERY = 16


class Left(NamedTuple):
    """A state, the number of calls before it, and how it is judged."""

    at: int
    state: State
    check: Callable[[], None]


def through(
    recording: Recording, dice: random.Random, *, more: int, resumed: int
) -> Iterator[Left]:
    """Yield every different state in turn; `check` lays it out and raises what does not hold.

    So many of them are `resumed` for real. To be gone through `after_a_reboot`.
    """
    judge, table = Judge(recording), Table(recording)
    states = _states_of(recording, dice, more=more)
    samples = set(dice.sample(range(len(states)), min(resumed, len(states))))
    for number, (at, state) in enumerate(states):
        writes, resumes = number % WRITES_EVERY == 0, number in samples
        told = judge.told(at)

        def check(state: State = state, writes: bool = writes, resumes: bool = resumes) -> None:
            table.lay(state, to_be_changed=writes or resumes)
            judge.judge(state, told, writes=writes)  # noqa: B023 (it is called before the next)
            if resumes:
                _resume(recording)

        yield Left(at, state, check)


def first_failure(recording: Recording, dice: random.Random, *, more: int) -> Optional[str]:
    """Return what first does not hold of some state; None if all is well."""
    with after_a_reboot():
        for left in through(recording, dice, more=more, resumed=0):
            try:
                left.check()
            except Exception as problem:  # noqa: BLE001, PERF203 (whatever it is, it shows)
                return f"at {left.at} ({left.state.how}): {problem}"
    return None


def _states_of(
    recording: Recording, dice: random.Random, *, more: int
) -> Sequence[Tuple[int, State]]:
    disk = Disk(str(recording.folder))
    found: List[Tuple[int, State]] = []
    seen: Set[Tuple[int, int]] = set()
    told = 0
    for at, op in enumerate(recording.ops, 1):
        disk.take(op)
        told += op.kind == "event"
        for state in disk.states(dice, more=more):
            key = (told, hash((frozenset(state.files.items()), state.folders)))
            if key not in seen:
                seen.add(key)
                found.append((at, state))
    return found


def _resume(recording: Recording) -> None:
    """Resume for real: it ends as an undisturbed run does."""
    ending = bring_to_completion(
        # The states are written as new files, which procsup takes for a copy.
        Request(file=recording.request.file, adopt=True),
        watchers=lambda _: Watcher(lambda *_: None, lambda _: None),
    )
    project = Project(recording.folder)
    assert ending.status == project.manifest["status"]
    causes = [unit["cause"] for unit in project.manifest["units"] if unit["cause"]]
    assert project.verdicts == recording.verdicts, f"P7: it ends in another manifest: {causes}"
