"""Take the lock of the file in argv[1], say so, and hold it until stdin ends."""

import sys

from procsup.host.locks import FileLock

lock = FileLock(sys.argv[1])
print("held" if lock.try_exclusive() else "refused", flush=True)
sys.stdin.read()
