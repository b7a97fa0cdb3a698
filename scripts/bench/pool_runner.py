"""One kind of pool at work: ``python pool_runner.py KIND UNITS LIMIT FOLDER VICTIM HOW``.

Each kind does the obvious thing of its manual, on two slots, and nothing to save itself. The work
is `crunch`. What a kind
raises is left to Python; what it returns is printed.
"""

import sys
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

from crunch import crunch

CRUNCH = Path(__file__).resolve().with_name("crunch.py")
SLOTS = 2


class Work(NamedTuple):
    """How many units, of which size, and which of them dies how (-1: none)."""

    units: int
    limit: int
    folder: str
    victim: int
    how: str

    def arguments(self, number: int) -> tuple:  # type: ignore[type-arg]
        """Return the arguments of one call."""
        return (number, self.limit, self.folder, self.victim, self.how)


def one_by_one(work: Work) -> List[int]:
    """Do all of it here."""
    return [crunch(*work.arguments(number)) for number in range(work.units)]


def threads(work: Work) -> List[int]:
    """Use a pool of threads."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(SLOTS) as pool:
        return list(pool.map(lambda number: crunch(*work.arguments(number)), range(work.units)))


def pool(work: Work) -> List[int]:
    """Use multiprocessing.Pool."""
    from multiprocessing import Pool

    with Pool(SLOTS) as workers:
        calls = [work.arguments(number) for number in range(work.units)]
        return workers.starmap(crunch, calls, chunksize=1)


def futures(work: Work) -> List[int]:
    """Use concurrent.futures.ProcessPoolExecutor."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(SLOTS) as executor:
        calls = [executor.submit(crunch, *work.arguments(number)) for number in range(work.units)]
        return [call.result() for call in calls]


def joblib(work: Work) -> List[int]:
    """Use joblib with its own back end, loky."""
    from joblib import Parallel, delayed

    calls = (delayed(crunch)(*work.arguments(number)) for number in range(work.units))
    results: List[int] = Parallel(n_jobs=SLOTS)(calls)
    return results


def procsup(work: Work) -> List[int]:
    """Use procsup.map: one child per unit."""
    import procsup

    done = procsup.map(
        CRUNCH,
        range(work.units),
        args=["{}", str(work.limit), work.folder, str(work.victim), work.how],
        outputs=[work.folder + "/{}.txt"],
        jobs=SLOTS,
        dir=work.folder,
        progress="none",
    )
    return [int(path.read_text(encoding="ascii")) for path in done.outputs()]


KINDS: Dict[str, Callable[[Work], List[int]]] = {
    "one by one": one_by_one,
    "threads": threads,
    "multiprocessing.Pool": pool,
    "ProcessPoolExecutor": futures,
    "joblib": joblib,
    "procsup.map": procsup,
}

if __name__ == "__main__":
    units, limit, folder, victim, how = sys.argv[2:]
    print(KINDS[sys.argv[1]](Work(int(units), int(limit), folder, int(victim), how)))
