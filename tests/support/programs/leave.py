"""What a unit may leave behind: ``leave.py HOW FILE``."""

import ctypes
import mmap
import os
import signal
import sys
import threading
import time


def write(path: str) -> None:
    """Write for a while, with the file open."""
    with open(path, "w") as file:
        for number in range(20):
            print(number, file=file, flush=True)
            time.sleep(0.03)


def append(path: str) -> None:
    """Open the file anew for each line."""
    for number in range(400):
        with open(path, "a") as file:
            print(number, file=file)
        time.sleep(0.02)


def write_by_map(path: str) -> None:
    """Write through a map, the file being closed."""
    with open(path, "r+b") as file:
        area = mmap.mmap(file.fileno(), 0)
    time.sleep(0.4)
    area[:4] = b"last"
    area.flush()


def write_headless(path: str) -> None:
    """End the first thread, while another one writes on (x86-64: exit is call 60)."""

    def finish() -> None:
        with open(path, "w") as file:
            time.sleep(0.5)
            print("whole", file=file)

    threading.Thread(target=finish).start()
    ctypes.CDLL(None).syscall(60, 0)


def track(path: str) -> None:
    """Ignore the stop, end when stdin does, and clean up then: as resource trackers do."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.stdin.read()
    with open(path, "w"):
        pass


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
