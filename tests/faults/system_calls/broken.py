"""Faults to be seeded into procsup, in the start program only: each is one that people make."""

import fcntl
import os
import traceback
from typing import Any, Callable, Type

from procsup.errors import RecordError
from procsup.host import files, owners
from tests.faults.seams import nothing, plant


def _forgiving(error: Type[Exception]) -> Callable[[Any], Any]:
    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def forgiving(*args: Any, **more: Any) -> None:
            try:
                real(*args, **more)
            except error:
                pass  # that is the fault

        return forgiving

    return make


def syncs_that_failed_are_forgotten() -> None:
    """The journal goes on as if nothing had been."""
    os.fdatasync = _forgiving(OSError)(os.fdatasync)


def short_writes_are_believed() -> None:
    """What `write` returns is not looked at."""
    write = os.write

    def careless(fd: int, data: Any) -> int:
        write(fd, data)
        return len(data)

    os.write = careless


def manifests_may_fail() -> None:
    """A manifest that cannot be written is none of the run's business."""
    plant("write a manifest", _forgiving(RecordError))


def errors_are_shown_raw() -> None:
    """The last wall lets a traceback through."""
    plant(files.describe_error, lambda _: lambda _error: traceback.format_exc())


def links_are_followed() -> None:
    """Files are opened wherever their names lead."""

    def follow(path: Any, flags: int, mode: int = 0o600, *, dir_fd: Any = None) -> int:
        name = path if dir_fd is None else os.path.basename(path)
        return os.open(name, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd)

    plant(files.open_private, lambda _: follow)


def locks_keep_nobody_out() -> None:
    """Whoever asks for a lock gets it, unless it is the probe that asks."""
    flock = fcntl.flock

    def generous(fd: int, how: int) -> None:
        try:
            flock(fd, how)
        except BlockingIOError:
            if not os.readlink(f"/proc/self/fd/{fd}").endswith(".lock"):
                raise

    fcntl.flock = generous


def owners_do_not_count() -> None:
    """A file is believed whoever owns it."""
    plant(owners.refuse_foreign, nothing)


def locks_of_others_are_taken() -> None:
    """A lock counts whoever made its file."""
    from procsup.store import sitting

    sitting.refuse_foreign = lambda _fd, _path, _folder: None


def requests_are_read_by_path() -> None:
    """The folder of requests is wherever its name leads."""
    from contextlib import contextmanager

    from procsup.host.opened import Folder
    from procsup.store import control

    @contextmanager
    def by_path(run: Any) -> Any:
        with Folder.open(os.path.realpath(os.path.join(run.path, "control"))) as folder:
            yield folder

    plant(control.open_control, lambda _: by_path)


def anyone_may_say_what_is_trusted() -> None:
    """The user's configuration counts whoever wrote it."""
    from procsup.store import trust

    find_doubts = trust.find_doubts
    trust.is_ours_or_roots = lambda _status: True
    trust.explain_others_may = lambda _status, _place: None
    trust.find_doubts = lambda path, **how: (
        iter(()) if path == trust.find_user_settings() else find_doubts(path, **how)
    )
