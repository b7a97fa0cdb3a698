"""procsup with a probe, or without syncing: ``python probed.py FILE|--not-durable ARGUMENT...``.

The arguments are those of procsup. To FILE one line is appended at each sync of a file
(``sync SIZE TIME``: up to that many bytes of it are on disk since that time; ``folder`` if it
is one) and at each replacement (``final NAME TIME``: the file stands under its name).
``--not-durable`` uses the keyword behind the library that leaves the journal unsynced.
"""

import functools
import os
import stat
import sys
import time
from typing import Callable


def _probe(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(what: str, which: object) -> None:
        os.write(fd, f"{what} {which} {time.time():.6f}\n".encode())

    def synced(sync: Callable[[int], None]) -> Callable[[int], None]:
        def call(file: int) -> None:
            before = os.fstat(file)  # what is written meanwhile may not be on disk
            sync(file)
            note("folder" if stat.S_ISDIR(before.st_mode) else "sync", before.st_size)

        return call

    replace = os.replace

    def replaced(source: str, target: str) -> None:
        replace(source, target)
        note("final", os.path.basename(target))

    os.replace = replaced  # type: ignore[assignment]
    for name in ("fdatasync", "fsync"):
        if hasattr(os, name):
            setattr(os, name, synced(getattr(os, name)))


def main() -> int:
    """Change what is to be changed, before procsup is imported, and go on as procsup."""
    first, *sys.argv[1:] = sys.argv[1:]
    if first == "--not-durable":
        import procsup.supervisor.requests as requests

        request = functools.partial(requests.Request, durable=False)
        requests.Request = request  # type: ignore[misc,assignment]
    else:
        _probe(first)
    from procsup.__main__ import main as procsup

    return procsup()


if __name__ == "__main__":
    sys.exit(main())
