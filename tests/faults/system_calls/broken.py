"""Faults to be seeded into procsup, in the start program only: each is one that people make."""

import os
import traceback
from typing import Any, Callable


def syncs_that_failed_are_forgotten() -> None:
    """The journal goes on as if nothing had been."""
    from procsup.store import journal

    sync: Callable[[int], None] = journal.sync_fd

    def forgetful(fd: int) -> None:
        try:
            sync(fd)
        except OSError:
            pass  # that is the fault

    journal.JournalWriter.__init__.__kwdefaults__["sync"] = forgetful
    journal.JournalWriter.open.__func__.__kwdefaults__["sync"] = forgetful  # type: ignore[attr-defined]
    journal.sync_fd = forgetful


def short_writes_are_believed() -> None:
    """What `write` returns is not looked at."""
    from procsup.host import files

    def careless(fd: int, data: bytearray) -> None:
        files.os.write(fd, data)

    files._write_fully = careless


def manifests_may_fail() -> None:
    """A manifest that cannot be written is none of the run's business."""
    from procsup.store import manifest

    write = manifest._write

    def careless(*args: Any, **kwargs: Any) -> None:
        try:
            write(*args, **kwargs)
        except manifest.RecordError:
            pass  # that is the fault

    manifest._write = careless


def errors_are_shown_raw() -> None:
    """The last wall lets a traceback through."""
    from procsup.cli import ending

    def raw(error: OSError) -> str:
        return traceback.format_exc()

    ending._said_by_system = raw


def links_are_followed() -> None:
    """Files are opened wherever their names lead."""
    from procsup.host import files

    files._SAFE_FLAGS = os.O_CLOEXEC
    files._why_not_ours = lambda _mode, _links: None


def locks_keep_nobody_out() -> None:
    """Whoever asks for a lock gets it, unless it is the probe that asks."""
    from procsup.host import locks

    lock = locks._lock

    def generous(fd: int, **how: bool) -> bool:
        return lock(fd, **how) or "-lock.part" not in os.readlink(f"/proc/self/fd/{fd}")

    locks._lock = generous
