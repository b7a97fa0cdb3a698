"""Drift of CPU affinity in units too short to be sampled, and what sampling is charged for."""

import os
import sys
from pathlib import Path
from typing import List, Optional, Tuple

import pytest

from procsup.attempt.observation import Observation, Sampler
from procsup.attempt.outputs import name_temporary_output
from procsup.core.events import Ended, Inspected, Sampled, Started
from procsup.core.outcome import Exited, Signaled, Vanished
from procsup.host import machine
from tests.support.engines import Bench

OWN = machine.read_affinity(0) or [] if sys.platform == "linux" else []
two_cpus = pytest.mark.skipif(len(OWN) < 2, reason="needs Linux' affinity and two CPUs")


def _drifting(*sets: List[int], first: str = "", then: str = "") -> Tuple[str, ...]:
    """Return the command of a unit that takes these CPUs, one set after the other, and ends."""
    moves = "; ".join(f"os.sched_setaffinity(0, {cpus})" for cpus in sets)
    return (sys.executable, "-S", "-c", f"import os; {first or 0}; {moves}; {then}")


# --- units that were never sampled ------------------------------


@two_cpus
@pytest.mark.parametrize("on_drift", ["record", "warn", "restore", "fail"])
def test_a_drift_that_stands_at_the_end_is_recorded_and_told_before_the_end(
    tmp_path: Path, on_drift: str
) -> None:
    with Bench(tmp_path, stage={"on_drift": on_drift}) as bench:
        end = bench.wait_for(bench.start("u", _drifting(OWN[:2]), cpu_ids=(OWN[0],)))

    told = [fact.drifted_to for fact in bench.facts if isinstance(fact, Sampled)]
    assert ([] if on_drift == "record" else [OWN[:2]]) == told
    kinds = [type(fact) for fact in bench.facts]
    inspected = [] if on_drift == "fail" else [Inspected]
    assert [Started, *[Sampled] * len(told), Ended, *inspected] == kinds
    assert (Exited(0), 0) == (end.exit, end.usage.samples)
    ((after_s, cpus),) = end.usage.affinity.drift
    assert OWN[:2] == cpus == end.usage.affinity.observed
    assert end.wall_s is not None
    assert 0 <= after_s <= end.wall_s + 0.001


@two_cpus
def test_a_unit_that_returns_to_its_cpus_or_never_left_them_is_not_told_of(tmp_path: Path) -> None:
    there_and_back = _drifting(OWN[:2], [OWN[0]])
    with Bench(tmp_path, stage={"on_drift": "fail"}) as bench:
        ends = [
            bench.wait_for(bench.start("u", there_and_back, cpu_ids=(OWN[0],))),
            bench.wait_for(bench.start("v", ("true",), cpu_ids=(OWN[0],))),
            bench.wait_for(bench.start("w", ("true",))),
        ]

    assert not any(end.usage.affinity.drift for end in ends)
    assert not any(isinstance(fact, Sampled) for fact in bench.facts)


@two_cpus
def test_an_unpinned_unit_drifts_from_the_cpus_it_began_with(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "gate"))
    argv = _drifting([OWN[1]], first="open('gate').read()")
    with Bench(tmp_path, stage={"on_drift": "fail"}) as bench:
        attempt = bench.start("u", argv)
        (tmp_path / "gate").write_bytes(b"x")  # only now, as its first CPUs are known
        end = bench.wait_for(attempt)

    assert end.usage.affinity.granted is None
    assert [[OWN[1]]] == [cpus for _, cpus in end.usage.affinity.drift]


@two_cpus
def test_a_killed_units_last_cpus_are_read_too(tmp_path: Path) -> None:
    argv = _drifting([OWN[1]], then="os.kill(os.getpid(), 9)")
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.start("u", argv, cpu_ids=(OWN[0],)))

    assert Signaled(9) == end.exit
    assert [[OWN[1]]] == [cpus for _, cpus in end.usage.affinity.drift]


@two_cpus
def test_a_unit_that_drifted_where_that_fails_is_tidied_as_a_failed_one(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    argv = _drifting([OWN[1]], then="print('half')")
    with Bench(tmp_path, stage={"on_drift": "fail", "scratch": True}) as bench:
        attempt = bench.start("u", argv, cpu_ids=(OWN[0],), stdout=str(target))
        end = bench.wait_for(attempt)

    assert (end.exit, end.stdout_path) == (Exited(0), "logs/s/u.1.out")
    assert not Path(name_temporary_output(str(target), attempt)).exists()
    assert (tmp_path / "run" / "scratch" / "s.u.1").is_dir()


@two_cpus
def test_a_pid_that_is_not_ours_any_more_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bench(tmp_path, stage={"on_drift": "fail"}) as bench:
        attempt = bench.start("u", ("true",), cpu_ids=(OWN[0],))
        os.waitpid(bench.engine._live[attempt].child.pid, 0)
        monkeypatch.setattr(machine, "read_affinity", lambda _pid: [OWN[1]])  # another's
        end = bench.wait_for(attempt)

    assert isinstance(end.exit, Vanished)
    assert end.usage.affinity.drift == ()


# --- what sampling is charged for -------------------------------


class _Tree:
    """A tree whose looks cost CPU time: the first one much, as it loads a library."""

    def __init__(self, *, loading_s: float, look_s: float) -> None:
        self.cpu_s = 0.0
        self._loading_s = loading_s
        self._look_s = look_s

    def look(self, _pid: int) -> Optional[machine.TreeSample]:
        self.cpu_s += self._loading_s + self._look_s
        self._loading_s = 0.0
        return machine.TreeSample(0.0, 0.0, 1, None, 1, [0])


def _rest_after_the_first(tree: _Tree) -> float:
    sampler = Sampler(tree.look, cpu_clock=lambda: tree.cpu_s)
    sampler.add(Observation(1, 0.0, (0,)), 0.0)
    sampler.add(Observation(2, 0.0, (0,)), 0.0)
    now = sampler.next_due()
    assert now is not None
    watched, _ = sampler.sample_one(now)
    assert watched is not None
    assert watched.samples == 1
    due = sampler.next_due()
    assert due is not None
    return due - now


def test_loading_what_samples_need_does_not_delay_the_next_sample() -> None:
    assert _rest_after_the_first(_Tree(loading_s=0.05, look_s=0.0002)) < 0.1


def test_sampling_rests_a_hundred_times_as_long_as_a_look_took() -> None:
    assert 25 < _rest_after_the_first(_Tree(loading_s=0.05, look_s=0.2)) < 32
