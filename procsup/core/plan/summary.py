"""The numbers of the run, updated with each event: all displays and manifests use them."""

from enum import IntEnum
from typing import Dict, List, Optional

from procsup.core.outcome import NO_LEFTOVER_FILES, LeftoverFiles, Verdict


class EarlyEnd(IntEnum):
    """Why nothing more is started in a sitting; a greater one replaces a smaller one for good."""

    NONE = 0
    SELECTION = 1  # all that was selected is done
    DRAINING = 2
    STOPPING = 3
    INTERRUPTED = 4

    @property
    def word(self) -> str:
        """Its name for messages; empty if there is no reason."""
        return self.name.lower() if self else ""


class StageStatus(IntEnum):
    """How far a stage is. From `OPEN` on its units are known, from `PUBLISHING` on it is closed.

    `PUBLISHING`: every planned unit has its verdict, and the manifest is being published. The
    last three are final.
    """

    BLOCKED = 0  # it waits for other stages
    EXPANDING = 1
    OPEN = 2
    PUBLISHING = 3
    SKIPPED = 4
    FAILED = 5
    SUCCEEDED = 6

    @property
    def word(self) -> str:
        """Its name in manifests and messages."""
        return self.name.lower()

    @classmethod
    def of_record(cls, word: str) -> "StageStatus":
        """Return the status with this name in a record; FAILED for an unknown name."""
        return next((one for one in cls if one.word == word), cls.FAILED)


class StageTally:
    """One stage in numbers; `planned` is None until its units are known.

    `news` are sentences for displays: what of it is kept, for a stage expanded during the run;
    CPU affinities that changed. It only grows.
    """

    __slots__ = (
        "enough",
        "grows",
        "held",
        "kept",
        "leftover_files",
        "name",
        "news",
        "planned",
        "problem",
        "refused",
        "remarks",
        "running",
        "stale",
        "status",
        "verdicts",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.planned: Optional[int] = None
        self.grows = False  # more units are made while these run
        self.running = 0
        self.kept = 0
        self.stale = 0
        self.status = StageStatus.BLOCKED
        self.problem = ""
        self.held = ""  # what it waits for before it starts more: memory, or a lower load
        self.enough = ""  # why no more of its units are needed, if they are not
        self.news: List[str] = []
        self.remarks: List[str] = []  # of attempts, each as it is recorded
        self.leftover_files: Dict[str, LeftoverFiles] = {}  # unit -> what is in its outputs
        self.refused = 0  # starts that were put off for a shortage
        self.verdicts: Dict[Verdict, int] = {}

    def count(self, verdict: Verdict, *, kept: bool = False, stale: bool = False) -> None:
        """Count one unit that has its verdict."""
        self.verdicts[verdict] = self.verdicts.get(verdict, 0) + 1
        self.kept += kept
        self.stale += stale

    def note_leftover_files(self, unit: str, found: Optional[LeftoverFiles]) -> None:
        """Note the leftover files of a unit's outputs; they replace those noted before."""
        if found is not None and found.count:
            self.leftover_files[unit] = found
        elif self.leftover_files:
            self.leftover_files.pop(unit, None)

    @property
    def all_leftover_files(self) -> LeftoverFiles:
        """The leftover files of all of its units together."""
        if not self.leftover_files:
            return NO_LEFTOVER_FILES
        found = self.leftover_files.values()
        names = tuple([name for one in found for name in one.names])
        return LeftoverFiles(sum(one.count for one in found), names)

    @property
    def done(self) -> int:
        """Units that have their verdict, kept ones included."""
        return sum(self.verdicts.values())

    @property
    def succeeded(self) -> int:
        """Units that succeeded, kept ones included."""
        return self.verdicts.get(Verdict.SUCCEEDED, 0)

    @property
    def unsuccessful(self) -> int:
        """Units that are done and did not succeed."""
        return self.done - self.succeeded

    @property
    def final(self) -> bool:
        """Every unit has its verdict and the stage its status; its manifest is published."""
        return self.status > StageStatus.PUBLISHING

    @property
    def closed(self) -> bool:
        """Nothing of it changes any more: its manifest is published, or being published."""
        return self.status >= StageStatus.PUBLISHING


class Summary:
    """The whole run in numbers; the planner's own live object, not a copy.

    `withdrawing` is how many withdrawals are not done: older manifests may still exist.
    """

    __slots__ = ("ending", "running", "stages", "withdrawing")

    def __init__(self, stages: List[str]) -> None:
        self.stages = {name: StageTally(name) for name in stages}
        self.running = 0
        self.withdrawing = 0
        self.ending = EarlyEnd.NONE
