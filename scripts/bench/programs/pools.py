"""One of Python's pools at work: ``python pools.py KIND UNITS SLOTS COMMAND...``.

Each kind does the obvious thing of its manual, and nothing to save itself: workers that call
`subprocess.run` with a unit's command. If COMMAND is ``--calls FILE``, the units are calls of
`crunch.unit` in the workers instead.
"""

import subprocess
import sys
from typing import Callable, Dict, List, NamedTuple

from crunch import unit


class Call(NamedTuple):
    """One unit, as something that can be pickled and called."""

    argv: List[str]
    number: int

    def __call__(self) -> int:
        """Run it; what fails raises."""
        if self.argv[0] == "--calls":
            return unit(self.argv[1], self.number)
        return subprocess.run([*self.argv, str(self.number)], check=True).returncode


def call(one: Call) -> int:
    """Call: what is handed to the workers."""
    return one()


def one_by_one(calls: List[Call], _slots: int) -> List[int]:
    """Do all of it here."""
    return [call(one) for one in calls]


def threads(calls: List[Call], slots: int) -> List[int]:
    """Use a pool of threads."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(slots) as pool:
        return list(pool.map(call, calls))


def pool(calls: List[Call], slots: int) -> List[int]:
    """Use multiprocessing.Pool."""
    from multiprocessing import Pool

    with Pool(slots) as workers:
        return workers.map(call, calls, chunksize=1)


def futures(calls: List[Call], slots: int) -> List[int]:
    """Use concurrent.futures.ProcessPoolExecutor."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(slots) as executor:
        return list(executor.map(call, calls))


def joblib(calls: List[Call], slots: int) -> List[int]:
    """Use joblib with its own back end, loky."""
    from joblib import Parallel, delayed

    results: List[int] = Parallel(n_jobs=slots)(delayed(call)(one) for one in calls)
    return results


KINDS: Dict[str, Callable[[List[Call], int], List[int]]] = {
    "one-by-one": one_by_one,
    "threads": threads,
    "pool": pool,
    "futures": futures,
    "joblib": joblib,
}

if __name__ == "__main__":
    kind, units, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # __main__ is another module in a worker: what is pickled must be found by its name there.
    import pools

    todo = [pools.Call(sys.argv[4:], number) for number in range(1, units + 1)]
    done = getattr(pools, kind.replace("-", "_"))(todo, slots)
    sys.exit(len(done) != units)
