"""A run seen from outside: found by the name that the user gives, read when it is needed."""

from functools import cached_property
from pathlib import Path
from typing import Callable, Optional

from procsup.core.manifest import Head
from procsup.errors import ProcsupError, RecordError, RunUnfinished, UsageError
from procsup.host.files import AnyPath
from procsup.host.owners import is_root
from procsup.store.find import FoundRun, find
from procsup.store.manifest import read_head
from procsup.store.owner import Owner, read_owner
from procsup.store.sitting import is_live, is_starting
from procsup.store.trust import refuse_doubtful


class RunView(FoundRun):
    """A run directory, its supervisor and its manifests at one moment.

    The owner's line and the lock are read once, when they are first needed; to read them again,
    make a new view. The `require_...` methods raise an error if the run is not in the state that a
    verb requires.
    """

    @cached_property
    def owner(self) -> Optional[Owner]:
        """Its present or last supervisor; None if that cannot be read."""
        return read_owner(self.rundir)

    @cached_property
    def live(self) -> Optional[Owner]:
        """The supervisor that works on it now."""
        owner = self.owner
        return owner if owner is not None and is_live(self.rundir, owner) else None

    @property
    def is_starting(self) -> bool:
        """Whether a supervisor has it, but has not begun its sitting yet."""
        return is_starting(self.owner)

    def head(self, stage: Optional[str] = None) -> Optional[Head]:
        """Read the head of its manifest, or of a stage's; None if there is none; RecordError."""
        return read_head(self.rundir.get_manifest(stage))

    def require_latest(self, latest: Optional[str], why: str = "") -> None:
        """Raise RunUnfinished if the requested run is not the directory's `latest`.

        The message says `why`; by default, that it is superseded.
        """
        if self.run_id not in (None, latest):
            raise RunUnfinished(f"run {self.run_id} {why or f'is superseded by {latest}'}")

    def require_stage(self, stage: Optional[str], named: str = "") -> None:
        """Raise UsageError if the run has no such stage; messages call the run `named`."""
        known = () if self.owner is None else self.owner.stages
        if stage is not None and known and stage not in known:
            named = named or str(self.rundir.path)
            raise UsageError(f"{named} has no stage {stage!r}: it has {', '.join(known)}")

    def require_live(self, verb: str) -> Owner:
        """Return its supervisor; RunUnfinished if there is none, or if it works on another run."""
        owner = self.live
        if owner is None:
            raise RunUnfinished(
                f"no supervisor works on {self.rundir.path}: there is nothing to {verb}"
            )
        self.require_latest(
            owner.run_id, f"is over: {owner.describe()} is at run {owner.run_id} now"
        )
        return owner

    def require_final(
        self, stage: Optional[str] = None, *, named: str = "", absent: str = ""
    ) -> Head:
        """Return the head of its manifest, or of a stage's; RunUnfinished if it is not final.

        Also if the manifest is of another run than the requested one, or if a supervisor works on
        another. `absent` is the message if there is no manifest.
        """
        named, live = named or str(self.rundir.path), self.live
        head = self.head(stage)  # after the lock: a manifest published meanwhile counts
        if head is None:
            self.require_stage(stage)
            what = named if stage is None else f"{named}, stage {stage}"
            raise RunUnfinished(absent or f"{what}: {self._explain_not_final()}")
        self.require_latest(head.run_id)
        if live is not None and live.run_id != head.run_id:
            raise RunUnfinished(f"{named}: run {live.run_id} is under way")
        return head

    def _explain_not_final(self) -> str:
        if self.live is not None:
            return f"not final: {self.live.describe()} works on it"
        if self.owner is None:
            return "it has not begun"
        from procsup.queries.session_end import explain_end  # it reads the journal

        return explain_end(self.rundir, self.owner)


def find_run(
    run: str, start: AnyPath, *, notice: Optional[Callable[[str], None]] = None
) -> RunView:
    """Find a run, looking from the folder `start` upwards; errors as `find`.

    `notice` is called with a sentence if it belongs to another user.
    """
    view = RunView(*find(run, start, directory_of=_find_directory))
    whose = None if notice is None else view.other_owner
    if notice is not None and whose is not None:
        notice(f"run of {whose}: {view.rundir.path}")
    return view


def find_own_run(run: str, start: AnyPath, verb: str, *, root_may: bool = False) -> RunView:
    """Find a run to act on it; RecordError if it belongs to another user, else as `find`.

    `root_may`: root may act on any run.
    """
    view = find_run(run, start)
    whose = view.other_owner
    if whose is not None and not (root_may and is_root()):
        raise RecordError(
            f"run {view.rundir.path} belongs to {whose}: only its owner may {verb} it"
        )
    return view


def find_to_execute(run: str, start: AnyPath, verb: str) -> RunView:
    """Find a run of our own to execute its commands; RecordError as `find_own_run`.

    RecordError, too, if others could put another run, with their commands, in its place.
    """
    view = find_own_run(run, start, verb)
    refuse_doubtful(view.rundir.path)
    return view


def _find_directory(file: Path) -> Optional[Path]:
    """Return the run directory that a run file names; None if the file is wrong."""
    from procsup.runfile.load import load  # rarely needed: if no run lies beside it

    try:
        return Path(load(file).spec.directory)
    except ProcsupError:
        return None
