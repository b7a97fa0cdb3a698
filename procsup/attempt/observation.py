"""Samples live trees: CPU affinity, memory, number of processes.

It takes at most a hundredth of one CPU however many units run: after each sample it rests a
hundred times as long as that one took, and a little more. One tree is sampled at a time, so an
exit never waits for more than one look.
"""

import heapq
import time
from typing import Callable, List, Optional, Protocol, Sequence, Set, Tuple

from procsup.core.outcome import Affinity, Usage
from procsup.host.processes import ReapResult

_FIRST_S = 0.3  # most short units are never sampled: a sample would cost more CPU than the unit
_LONGEST_INTERVAL_S = 2.0
_SHARE = 0.007  # of one CPU: less than a hundredth, with the rest of a turn
_WAKING_S = 100e-6  # CPU time of a turn of the loop without the sample


class TreeSample(Protocol):
    """The part of `machine.TreeSample` that is used here."""

    @property
    def memory_bytes(self) -> int:
        """Sum of the resident memory of all processes, in bytes."""
        ...

    @property
    def peak_bytes(self) -> Optional[int]:
        """Sum of the high-water marks of all processes, in bytes."""
        ...

    @property
    def processes(self) -> int:
        """Number of processes."""
        ...

    @property
    def affinity(self) -> Optional[List[int]]:
        """CPUs that the main process may run on."""
        ...


class Observation:
    """The samples of one attempt; `pid` is its main process, which is not reaped meanwhile."""

    __slots__ = (
        "begun",
        "cpus_seen",
        "drift",
        "granted",
        "interval_s",
        "last",
        "over",
        "peak_memory_bytes",
        "peak_processes",
        "pid",
        "reference",
        "sampled_at",
        "samples",
    )

    def __init__(self, pid: int, begun: float, granted: Sequence[int]) -> None:
        self.pid = pid
        self.begun = begun
        self.granted: Optional[List[int]] = sorted(granted) or None
        self.reference = self.granted  # not pinned: the first reading
        self.last = self.granted
        self.cpus_seen: Set[int] = set()
        self.drift: List[Tuple[float, List[int]]] = []
        self.samples = 0
        self.sampled_at = begun
        self.interval_s = _FIRST_S
        self.peak_memory_bytes: Optional[int] = None
        self.peak_processes: Optional[int] = None
        self.over = False

    def see_affinity(self, cpus: Optional[List[int]], now: float) -> Optional[List[int]]:
        """Note the CPUs seen; return them if they newly differ from the expected ones."""
        if cpus is None:
            return None
        self.cpus_seen.update(cpus)
        if self.reference is None:
            self.last = self.reference = cpus
        if cpus == self.last:
            return None
        self.last = cpus
        if cpus == self.reference:
            return None
        self.drift.append((round(max(0.0, now - self.begun), 3), cpus))
        return cpus

    def see(self, sample: TreeSample, now: float) -> Optional[List[int]]:
        """Note a sample; return what `see_affinity` does."""
        self.samples += 1
        self.sampled_at = now
        memory = sample.peak_bytes if sample.peak_bytes is not None else sample.memory_bytes
        self.peak_memory_bytes = max(memory, self.peak_memory_bytes or 0)
        self.peak_processes = max(sample.processes, self.peak_processes or 0)
        return self.see_affinity(sample.affinity, now)

    def affinity(self) -> Affinity:
        """Return the affinity for the record; `granted` is None unless the attempt was pinned."""
        return Affinity(self.granted, sorted(self.cpus_seen) or None, tuple(self.drift))

    def sum_usage(self, reaped: ReapResult, leftovers: int) -> Usage:
        """Return peaks and sums, together with the resource usage from the reaping."""
        peak, source = self.peak_memory_bytes, "sampled"
        if peak is None:
            peak, source = reaped.peak_memory_bytes, "rusage"
        return Usage(
            cpu_user_s=reaped.cpu_user_s,
            cpu_system_s=reaped.cpu_system_s,
            peak_memory_bytes=peak,
            peak_memory_source=None if peak is None else source,
            peak_processes=self.peak_processes,
            samples=self.samples,
            sample_interval_s=self.compute_mean_interval_s(),
            leftovers=leftovers,
            affinity=self.affinity(),
        )

    def compute_mean_interval_s(self) -> Optional[float]:
        """Return the average time between samples; None without any."""
        if not self.samples:
            return None
        return round((self.sampled_at - self.begun) / self.samples, 3)


class Sampler:
    """Samples the trees of live attempts, the one that waited longest first."""

    def __init__(
        self,
        sample_tree: Callable[[int], Optional[TreeSample]],
        *,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._sample_tree = sample_tree
        self._cpu_clock = cpu_clock
        self._line: List[Tuple[float, int, Observation]] = []
        self._count = 0
        self._rests_until = float("-inf")
        self._has_loaded = False

    def add(self, observed: Observation, now: float) -> None:
        """Begin to sample an attempt; it is dropped once it is `over`."""
        self._queue(observed, now + _FIRST_S)

    def _queue(self, observed: Observation, due: float) -> None:
        self._count += 1
        heapq.heappush(self._line, (due, self._count, observed))

    def next_due(self) -> Optional[float]:
        """Return when the next sample is due; None if there is nothing to sample."""
        while self._line and self._line[0][2].over:
            heapq.heappop(self._line)
        if not self._line:
            return None
        return max(self._line[0][0], self._rests_until)

    def sample_one(self, now: float) -> Tuple[Optional[Observation], Optional[List[int]]]:
        """Take the sample that is due; return its observation, and the CPUs if they drifted."""
        due = self.next_due()
        if due is None or due > now:
            return None, None
        observed = heapq.heappop(self._line)[2]
        if not self._has_loaded:
            self._sample_tree(observed.pid)  # loads psutil: the next samples cost less
            self._has_loaded = True
        before = self._cpu_clock()
        sample = self._sample_tree(observed.pid)
        cost_s = self._cpu_clock() - before + _WAKING_S
        self._rests_until = now + cost_s / _SHARE
        drifted = None if sample is None else observed.see(sample, now)
        observed.interval_s = min(observed.interval_s * 2, _LONGEST_INTERVAL_S)
        self._queue(observed, now + observed.interval_s)
        return observed, drifted
