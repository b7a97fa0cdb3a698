"""Faults of order, put into procsup one at a time: the states of a quick form show every one."""

import os
import random
from contextlib import ExitStack
from threading import Event
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Sequence, Tuple
from unittest import mock

from procsup import loop
from procsup.attempt import outputs
from procsup.core.events import Sampled, Start, Synced, TakenBack, Withdraw
from procsup.core.outcome import AttemptId
from procsup.engines.local import LocalEngine
from procsup.host import files, readings
from procsup.store import manifest, rundir
from procsup.store.journal import JournalWriter
from procsup.store.manifest import ManifestPublisher
from procsup.store.publishing import PublishingQueue
from tests.faults.power_cuts.course import first_failure
from tests.faults.power_cuts.workloads import Course, again, fresh
from tests.faults.trial import Trial

Patch = Any
_START_S = 10.0
_nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731


def no_sync_before_a_withdrawal() -> Patch:
    """Manifests are taken away while the journal's word for it is in memory only."""

    def take_back(self: Any, order: Withdraw) -> Any:
        with mock.patch.object(self, "_sync", _nothing):
            return real(self, order)

    real = PublishingQueue._take_back
    return _on_a_slow_disk(mock.patch.object(PublishingQueue, "_take_back", take_back))


def manifest_before_the_journal() -> Patch:
    """A manifest is published of what no disk holds yet."""
    return _on_a_slow_disk(mock.patch.object(JournalWriter, "sync", _nothing))


def renamed_before_its_content() -> Patch:
    """A file gets its name before its content is on the disk."""
    return mock.patch.object(manifest, "write_atomically", _careless(content=False))


def rename_left_in_memory() -> Patch:
    """A file gets its name, and its folder is not synced."""
    return mock.patch.object(manifest, "write_atomically", _careless(name=False))


def told_before_its_sync() -> Patch:
    """An end is told as soon as it is written."""
    drain = mock.patch.object(JournalWriter, "drain", lambda self: [Synced(self._seq)])
    return _on_a_slow_disk(drain)


def stamp_before_the_manifest() -> Patch:
    """The stamp says that all is done, and the manifest follows."""

    def publish(self: Any, status: str, counts: Any, results: Any) -> None:
        self._stamp(self._spec.stamp, self._head(status, dict(counts), None))
        real(self, status, counts, results)

    real = ManifestPublisher.publish_run
    return mock.patch.object(ManifestPublisher, "publish_run", publish)


def start_before_the_withdrawal() -> Patch:
    """Units start, and then what was claimed of them is taken back."""

    def withdraw(self: Any, order: Withdraw) -> None:
        started.clear()
        self._done.put(TakenBack(order.stages))
        self._add(lambda: take_back(self, order))

    def take_back(self: Any, order: Withdraw) -> Any:
        started.wait(_START_S)
        real(self, order)
        return Sampled(AttemptId("nobody", 0), [])  # a fact of which nothing comes

    def start(self: Any, order: Start) -> None:
        whole(self, order)
        started.set()

    started, real, whole = Event(), PublishingQueue._take_back, LocalEngine.start
    both = ExitStack()
    both.enter_context(mock.patch.object(PublishingQueue, "withdraw", withdraw))
    both.enter_context(mock.patch.object(LocalEngine, "start", start))
    return both


def start_before_its_record() -> Patch:
    """A unit lives before the journal knows of it."""
    return _in_another_order(lambda order: not isinstance(order, Start), at_once=True)


def withdrawal_left_in_memory() -> Patch:
    """Manifests are taken away, and their folders are not synced."""
    return mock.patch.object(manifest, "sync_folder", _nothing)


def run_directory_without_a_name() -> Patch:
    """The run directory's own name is not synced."""

    def make(path: Any, mode: int = 0o777) -> bool:
        os.makedirs(path, mode, exist_ok=True)
        return True

    return mock.patch.object(rundir, "make_folders", make)


def outputs_left_in_memory() -> Patch:
    """An end vouches for outputs that were not synced."""
    return mock.patch.object(outputs, "_sync", _nothing)


def outputs_without_names() -> Patch:
    """The content of outputs is synced, and their names are not."""
    return mock.patch.object(readings, "sync_folder", _nothing)


def waiters_woken_too_early() -> Patch:
    """Who waits for a stage is woken before its manifest stands."""

    def publish(self: Any, stage: str, *rest: Any) -> None:
        self._sitting.stage_done(stage)
        real(self, stage, *rest)

    real = ManifestPublisher.publish_stage
    return mock.patch.object(ManifestPublisher, "publish_stage", publish)


def stage_left_standing() -> Patch:
    """Only the run's manifest is withdrawn, and those of its stages are not."""
    real = ManifestPublisher.withdraw
    return mock.patch.object(ManifestPublisher, "withdraw", lambda self, _stages: real(self, ()))


BUGS: Dict[Callable[[], Patch], Callable[..., Course]] = {
    no_sync_before_a_withdrawal: again,
    manifest_before_the_journal: fresh,
    renamed_before_its_content: fresh,
    rename_left_in_memory: fresh,
    told_before_its_sync: fresh,
    stamp_before_the_manifest: fresh,
    start_before_the_withdrawal: again,
    start_before_its_record: fresh,
    withdrawal_left_in_memory: again,
    run_directory_without_a_name: fresh,
    outputs_left_in_memory: fresh,
    outputs_without_names: fresh,
    waiters_woken_too_early: fresh,
    stage_left_standing: again,
}


def attack_bugs(trial: Trial) -> None:
    """Put each one in, and look for a state that shows it."""
    chosen = list(BUGS)[: trial.choose(2, len(BUGS), len(BUGS))]
    for bug in chosen:
        name = f"seeded {bug.__name__}"
        if trial.wants(name):
            with trial.case(name):
                shown = _shown(trial, bug, name)
                assert shown is not None, "no state shows it"
    trial.figure("seeded faults of order", sum(trial.wants(f"seeded {b.__name__}") for b in chosen))


def _shown(trial: Trial, bug: Callable[[], Patch], name: str) -> Optional[str]:
    dice = random.Random(f"{trial.seed} {name}")
    with ExitStack() as stack:
        stack.enter_context(bug())
        recording = BUGS[bug](trial.folder / bug.__name__, dice).done()
    return first_failure(recording, dice, more=0)


def _on_a_slow_disk(patch: Patch) -> Patch:
    """Have the syncing thread come late, too: else it may hide the fault."""

    def keep_syncing(self: Any) -> None:
        self._closing.wait(0.05)
        real(self)

    real = JournalWriter._keep_syncing
    both = ExitStack()
    both.enter_context(patch)
    both.enter_context(mock.patch.object(JournalWriter, "_keep_syncing", keep_syncing))
    return both


def _careless(*, content: bool = True, name: bool = True) -> Callable[..., None]:
    """Return a `write_atomically` that leaves out a sync."""

    def write(path: Any, chunks: Iterable[bytes], *, mode: Optional[int] = 0o600) -> None:
        temporary, fd = files._create_beside(os.path.abspath(path), mode or 0o666)
        files._write_all(fd, chunks)
        if content:
            files.sync_fd(fd)
        os.close(fd)
        files.replace(temporary, path)
        if name:
            files.sync_folder(os.path.dirname(os.path.abspath(path)))

    return write


def _in_another_order(is_last: Callable[[Any], bool], *, at_once: bool = False) -> Patch:
    """Return a patch by which some orders come last; `at_once`: in a round of their own."""

    def carry_out(orders: Sequence[Any], *rest: Any) -> None:
        for part in _parts(orders) if at_once else [sorted(orders, key=is_last)]:
            real(part, *rest)

    def _parts(orders: Sequence[Any]) -> Iterator[Sequence[Any]]:
        yield [order for order in orders if not is_last(order)]
        yield [order for order in orders if is_last(order)]

    real = loop.carry_out
    return mock.patch.object(loop, "carry_out", carry_out)


__all__: Tuple[str, ...] = ("BUGS", "attack_bugs")
