"""A unit with 50 MB in shared memory: ``in_memory.py NAME END``; ``NAME.ready`` says so.

END is ``exit`` (at once, without any clean-up), ``kill`` (of itself) or ``stay``. NAME ``joblib``
lets that library map an array there, for two workers that stay.
"""

import os
import signal
import sys
import time

SIZE = 50 << 20
LIFE_S = 60.0


def share(name: str, end: str) -> None:
    """Fill the memory, then end."""
    from multiprocessing import shared_memory

    memory = shared_memory.SharedMemory(create=True, size=SIZE, name=name)
    memory.buf[:] = bytes(SIZE)
    with open("a.ready", "w"):
        pass
    if end == "exit":
        os._exit(3)
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(LIFE_S)


def work(_data: object) -> None:
    """Stay, as a worker of joblib."""
    with open("a.ready", "w"):
        pass
    time.sleep(LIFE_S)


if __name__ == "__main__":
    if sys.argv[1] == "joblib":
        import numpy
        from joblib import Parallel, delayed

        data = numpy.zeros(3_000_000)
        Parallel(n_jobs=2, max_nbytes="1M")(delayed(work)(data) for _ in range(2))
    else:
        share(sys.argv[1], sys.argv[2])
