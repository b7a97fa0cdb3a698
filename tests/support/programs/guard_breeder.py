"""A chain of processes: each forks the next one and ends soon after.

Bounded in number and time, for the sake of a busy machine. Says ``up`` first.
"""

import os
import time

if __name__ == "__main__":
    os.write(1, b"up\n")  # whole: others write there too
    end = time.monotonic() + 20
    for _ in range(4000):
        if os.fork() or time.monotonic() > end:
            time.sleep(0.003)
            os._exit(0)
        time.sleep(0.001)
