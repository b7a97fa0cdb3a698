"""What every harness is given: the form, a seeded generator, a folder, and a place for its cases.

A harness is a module here with a line `WHAT` and a function ``attack(trial)``. Each case is one
``with trial.case("what is done"):`` block; whatever is raised in it is a failure of that case,
kept with its name, and the next case goes on.
"""

import random
import sys
import time
import traceback
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple, TypeVar

FORMS = ("smoke", "quick", "pairs", "long")
SHOWN = 20
SAY_EVERY_S = 2.0
Choice = TypeVar("Choice")


class Trial:
    """One form of one harness under way."""

    def __init__(
        self,
        name: str,
        form: str,
        folder: Path,
        seed: int = 1,
        only: Optional[str] = None,
        part: Tuple[int, int] = (1, 1),
    ) -> None:
        assert form in FORMS, form
        self.name = name
        self.form = form
        self.folder = folder
        self.seed = seed
        self.only = only
        self._part = part
        self.random = random.Random(seed)
        self.cases = 0
        self.failures: List[str] = []
        self.left_out: Dict[str, str] = {}
        self.figures: Dict[str, Any] = {}
        self._began = time.monotonic()
        self._said = self._began

    def choose(self, smoke: Choice, quick: Choice, long: Choice) -> Choice:
        """Return what fits the form: of the tests' own, of CI's, of the thorough one."""
        return {"smoke": smoke, "quick": quick, "pairs": quick, "long": long}[self.form]

    def is_in_part(self, name: str) -> bool:
        """Whether this process does that case: others do the other parts."""
        number, parts = self._part
        return zlib.crc32(name.encode()) % parts == number - 1

    def wants(self, name: str) -> bool:
        """Is this case asked for? A harness may ask before it prepares one that costs much."""
        return self.only is None or self.only in name

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Count one case; what is raised within is its failure."""
        if not self.wants(name):
            yield  # prepared already: it may as well run, but does not count
            return
        self.cases += 1
        try:
            yield
        except Exception as problem:  # noqa: BLE001 (whatever it is, it is the case's failure)
            self.fail(name, problem)
        self._progress()

    def passed(self, number: int = 1) -> None:
        """Count cases that a harness judged by itself, and found good."""
        self.cases += number
        self._progress()

    def failed(self, name: str, why: str) -> None:
        """Count a case that a harness judged by itself, and found bad."""
        self.cases += 1
        self._failure(f"{name}: {why}")

    def fail(self, name: str, problem: BaseException) -> None:
        """Note the failure of a case that is counted already."""
        where = traceback.extract_tb(problem.__traceback__)[-1]
        text = str(problem).strip() or type(problem).__name__
        kind = "" if isinstance(problem, AssertionError) else f"{type(problem).__name__}: "
        self._failure(f"{name}: {kind}{text} ({Path(where.filename).name}:{where.lineno})")

    def leave_out(self, what: str, why: str) -> None:
        """Say what could not be tried on this host, and why: never silently."""
        self.left_out[what] = why

    def figure(self, name: str, value: Any) -> None:
        """Keep a measured figure, shown with the harness."""
        self.figures[name] = value

    @property
    def seconds(self) -> float:
        """How long it has been going, in seconds."""
        return time.monotonic() - self._began

    def result(self) -> Dict[str, Any]:
        """Return all that is known, as plain data."""
        return {
            "harness": self.name,
            "form": self.form,
            "seed": self.seed,
            "cases": self.cases,
            "failures": self.failures,
            "left_out": self.left_out,
            "figures": self.figures,
            "seconds": round(self.seconds, 1),
        }

    def _failure(self, text: str) -> None:
        self.failures.append(text)
        if len(self.failures) <= SHOWN:
            self._say(f"FAILED {text}")

    def _progress(self) -> None:
        if time.monotonic() - self._said >= SAY_EVERY_S:
            self._say(f"{self.cases} cases, {len(self.failures)} failed, {self.seconds:.0f} s")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        print(f"[{self.name}] {text}", file=sys.stderr, flush=True)
