"""What saves its work when it is asked to stop: ``saver.py HOW NAME [SECONDS]``.

``NAME.ready`` appears when it can be asked, ``NAME.got`` has a line for each signal that it has
received, ``NAME.saved`` appears when it has saved.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, List

LIFE_S = 60.0
NAME = sys.argv[2]
SAVES_S = float(sys.argv[3]) if len(sys.argv) > 3 else 0.2
asked: List[int] = []


def touch(what: str, text: str = "") -> None:
    """Let a file appear, whole."""
    path = f"{NAME}.{what}"
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def count(signum: int, _frame: Any) -> None:
    """Note a signal, each one."""
    asked.append(signum)
    with open(f"{NAME}.got", "a") as file:
        print(signal.Signals(signum).name[3:], file=file)


def listen(*signums: int) -> None:
    for signum in signums:
        signal.signal(signum, count)


def wait_until_asked(done: Any = lambda: False) -> None:
    until = time.monotonic() + LIFE_S
    while not asked and not done() and time.monotonic() < until:
        time.sleep(0.01)
    if time.monotonic() >= until:
        sys.exit(8)


def take_time(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:  # a signal interrupts no step of it
        time.sleep(0.01)


def save() -> None:
    """Listen, and save for a while."""
    listen(signal.SIGTERM, signal.SIGINT)
    touch("ready")
    wait_until_asked()
    take_time(SAVES_S)
    touch("saved")


def save_at_term() -> None:
    """Listen to TERM only; INT is as it was."""
    listen(signal.SIGTERM)
    touch("ready")
    wait_until_asked()
    take_time(SAVES_S)
    touch("saved")


def clean() -> None:
    """Listen to nothing, and clean up for a while: what a trap starts."""
    take_time(SAVES_S)
    touch("saved")


def coordinate() -> None:
    """Collect from two workers, which a signal ends, before saving."""
    line = f"import sys, time; sys.stdin.readline(); time.sleep({SAVES_S}); print('part')"
    workers = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    listen(signal.SIGTERM, signal.SIGINT)
    touch("ready")
    wait_until_asked()
    parts = [worker.communicate(b"\n")[0] for worker in workers]
    if parts == [b"part\n", b"part\n"]:
        touch("saved")


def relay() -> None:
    """Wait for TERM without a handler, and pass it on: as the first process of a container."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = subprocess.Popen(
        [sys.executable, "-S", __file__, "save", NAME, str(SAVES_S)],
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM}),
    )
    signal.sigwait({signal.SIGTERM})
    take_time(0.1)
    child.terminate()
    child.wait()


def _work(_number: int) -> int:
    time.sleep(LIFE_S)
    return 1


def pool() -> None:
    """End a pool of processes in the handler, then save."""
    with multiprocessing.get_context("fork").Pool(2) as workers:
        workers.map_async(_work, range(2))
        listen(signal.SIGTERM)
        touch("ready")
        wait_until_asked()
        workers.terminate()
        workers.join()
    touch("saved")


def finally_() -> None:
    """Know no signal, but have a ``finally`` and a temporary folder, as programs have."""
    try:
        with tempfile.TemporaryDirectory(dir=".", prefix="temporary-"):
            # Python may lose a KeyboardInterrupt while it closes files: it shall sleep by then.
            threading.Timer(0.2, touch, ["ready"]).start()
            time.sleep(LIFE_S)
    finally:
        touch("saved")


def ignore() -> None:
    """Ignore every request."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    touch("ready")
    time.sleep(LIFE_S)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
