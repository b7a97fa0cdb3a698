"""Faults of order, put into procsup one at a time: the states of a quick form show every one."""

import random
from pathlib import Path
from threading import Event, Thread
from typing import Any, Callable, Dict, List, Optional, Tuple

from procsup import loop
from procsup.core.events import Synced, TakenBack, Withdraw
from procsup.engines.local import LocalEngine
from procsup.host import files
from procsup.store.journal import JournalWriter
from procsup.store.manifest import ManifestPublisher
from procsup.store.sitting import Sitting
from tests.faults.power_cuts.course import first_failure
from tests.faults.power_cuts.workloads import Course, again, fresh
from tests.faults.seams import Put, Seed, leave_out, nothing, plant, planted, starts_first
from tests.faults.trial import Trial

_START_S = 10.0
_LATE_S = 0.3


def no_sync_before_a_withdrawal(put: Put) -> None:
    """Manifests are taken away while the journal's word for it is in memory only."""
    leave_out(JournalWriter.sync, "withdraw", put)
    _sync_late(put)


def manifest_before_the_journal(put: Put) -> None:
    """A manifest is published of what no disk holds yet."""
    plant(JournalWriter.sync, nothing, put)
    _sync_late(put)


def renamed_before_its_content(put: Put) -> None:
    """A file gets its name before its content is on the disk."""
    leave_out(files.sync_fd, "write a manifest", put)


def rename_left_in_memory(put: Put) -> None:
    """A file gets its name, and its folder is not synced."""
    leave_out(files.sync_folder, "write a manifest", put)


def told_before_its_sync(put: Put) -> None:
    """An end is told as soon as it is written."""
    written: List[int] = [0]

    def append(real: Callable[..., int]) -> Callable[..., int]:
        def noted(journal: JournalWriter, records: Any) -> int:
            written[0] = real(journal, records)
            return written[0]

        return noted

    plant(JournalWriter.append, append, put)
    plant(JournalWriter.drain, lambda _: lambda _journal: [Synced(written[0])], put)
    plant("sync beside the loop", nothing, put)  # on a fast disk it may hide the fault


def stamp_before_the_manifest(put: Put) -> None:
    """The stamp says that all is done, and the manifest follows."""
    early = Event()

    def write(real: Callable[..., None]) -> Callable[..., None]:
        def unless_early(path: Any, *rest: Any, **more: Any) -> None:
            if not (early.is_set() and Path(path).suffix == ".json"):
                real(path, *rest, **more)

        return unless_early

    def publish(real: Callable[..., None]) -> Callable[..., None]:
        def twice(*args: Any) -> None:
            early.set()
            real(*args)
            early.clear()
            real(*args)

        return twice

    plant("write a manifest", write, put)
    plant(ManifestPublisher.publish_run, publish, put)
    plant(Sitting.release_run, lambda real: lambda self: early.is_set() or real(self), put)


def start_before_the_withdrawal(put: Put) -> None:
    """Units start, and then what was claimed of them is taken back."""
    started = Event()

    def withdraw(real: Callable[..., Any]) -> Callable[..., Any]:
        def later(queue: Any, order: Withdraw) -> TakenBack:
            started.clear()
            Thread(target=lambda: started.wait(_START_S) and real(queue, order)).start()
            return TakenBack(order.stages)

        return later

    def start(real: Callable[..., None]) -> Callable[..., None]:
        def told(*args: Any) -> None:
            real(*args)
            started.set()

        return told

    plant("withdraw", withdraw, put)
    plant(LocalEngine.start, start, put)


def start_before_its_record(put: Put) -> None:
    """A unit lives before the journal knows of it."""
    plant(loop.carry_out, starts_first, put)


def withdrawal_left_in_memory(put: Put) -> None:
    """Manifests are taken away, and their folders are not synced."""
    leave_out(files.sync_folder, "withdraw", put)


def run_directory_without_a_name(put: Put) -> None:
    """The run directory's own name is not synced."""
    leave_out(files.sync_folder, files.make_folders, put)


def outputs_left_in_memory(put: Put) -> None:
    """An end vouches for outputs that were not synced."""
    plant("sync outputs", nothing, put)


def outputs_without_names(put: Put) -> None:
    """The content of outputs is synced, and their names are not."""
    leave_out(files.sync_folder, "sync outputs", put)


def waiters_woken_too_early(put: Put) -> None:
    """Who waits for a stage is woken before its manifest stands."""
    held: List[Sitting] = []

    def begin(real: Callable[..., None]) -> Callable[..., None]:
        return lambda sitting, *rest: held.append(sitting) or real(sitting, *rest)

    def publish(real: Callable[..., None]) -> Callable[..., None]:
        return lambda self, stage, *rest: held[-1].release_stage(stage) or real(self, stage, *rest)

    plant(Sitting.begin, begin, put)
    plant(ManifestPublisher.publish_stage, publish, put)


def stage_left_standing(put: Put) -> None:
    """Only the run's manifest is withdrawn, and those of its stages are not."""
    plant(ManifestPublisher.withdraw, lambda real: lambda self, _stages: real(self, ()), put)


BUGS: Dict[Seed, Callable[..., Course]] = {
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


def _shown(trial: Trial, bug: Seed, name: str) -> Optional[str]:
    dice = random.Random(f"{trial.seed} {name}")
    with planted(bug):
        recording = BUGS[bug](trial.folder / bug.__name__, dice).done()
    return first_failure(recording, dice, more=0)


def _sync_late(put: Put) -> None:
    """Have the syncing thread come late, too, as on a slow disk: else it may hide the fault."""

    def late(real: Callable[..., None]) -> Callable[..., None]:
        return lambda journal: Event().wait(_LATE_S) or real(journal)

    plant("sync beside the loop", late, put)


__all__: Tuple[str, ...] = ("BUGS", "attack_bugs")
