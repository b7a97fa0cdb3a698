"""The run directory: all its file names, its creation and the checks of its owner and modes.

::

    journal.jsonl   the truth           logs/STAGE/UNIT.N.out, .err     control/   requests
    manifest.json   of the run          stages/STAGE.json   of a stage  scratch/   of attempts
    run.lock        the supervisor's    locks/N-run.lock, N-stage-STAGE.lock       of a sitting
                                        locks/owner.json   of a shared run: who holds it
    units.lock      shared by every unit                                supervisor.log
    failed/STAGE/UNIT.N/   outputs of attempts without a good end, moved away
    plan.jsonl      the units of a run without a run file   queue.jsonl   what was added to a queue
    stdin/   parts of a stream that units have not read with success
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Optional, Tuple

from procsup.core.outcome import AttemptId
from procsup.core.regexes import compile_at_use
from procsup.core.rooted import RUN_LOCK, UNITS_LOCK
from procsup.errors import RecordError
from procsup.host.files import AnyPath, describe_error, make_folders, make_temporary_name
from procsup.host.folders import make_absolute

if TYPE_CHECKING:  # `wait` opens no folder, and must start quickly
    from procsup.host.opened import Folder, Identity

FOLDER_MODES = {"none": 0o700, "group": 0o750, "all": 0o755}
FILE_MODES = {"none": 0o600, "group": 0o640, "all": 0o644}

QUEUE_FILE = "queue.jsonl"
JOURNAL, CONTROL, LOGS = "journal.jsonl", "control", "logs"
SCRATCH, UNIT_FILES, PIPED = "scratch", "unit-files", "stdin"
# Everything that any version makes in a run directory.
OURS = compile_at_use(
    r"journal\.jsonl(\.damaged.*)?|manifest\.json|plan\.jsonl|queue\.jsonl|run\.lock|units\.lock"
    r"|supervisor\.log|\.gitignore|control|failed|lists|locks|logs|scratch|stages|stdin|unit-files"
    r"|units"
    r"|\.procsup-.*"
)
_PLAIN = compile_at_use(r"[a-z0-9=_,+][a-z0-9=._,+-]{0,99}(?<!\.)")
_PLAIN_STAGE = compile_at_use(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_RESERVED = compile_at_use(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)
_SLUG_CHARACTERS, _HASH_DIGITS = 60, 20


def make_safe_name(unit_id: str) -> str:
    """Return a file name for any id, even a hostile one; two ids never get the same name.

    That holds on case-insensitive file systems, too. Short ids of plain lower-case letters are
    their own names.
    """
    if _PLAIN.fullmatch(unit_id) and not _RESERVED.fullmatch(unit_id):
        return unit_id
    slug = re.sub(r"[^a-z0-9=_,+]+", "-", unit_id[:1000].lower())[:_SLUG_CHARACTERS]
    from hashlib import sha256  # slow to load, and few names need it

    digest = sha256(unit_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug.strip('-') or 'unit'}~{digest[:_HASH_DIGITS]}"


def name_stage(stage: str) -> str:
    """Return a stage's name in file names: the name itself, if that is safe.

    Run files with stages whose names differ only in case are refused when they are read.
    """
    if _PLAIN_STAGE.fullmatch(stage) and not _RESERVED.fullmatch(stage):
        return stage
    return make_safe_name(stage)


class RunDir:
    """Names the files of one run directory; changes nothing on disk before `create`."""

    def __init__(self, path: AnyPath) -> None:
        self.path = Path(make_absolute(path))
        self.journal = self.path / JOURNAL
        self.manifest = self.path / "manifest.json"
        self.run_lock = self.path / RUN_LOCK
        self.units_lock = self.path / UNITS_LOCK
        self.control = self.path / CONTROL
        self.logs = self.path / LOGS
        self.stages = self.path / "stages"
        self.locks = self.path / "locks"
        self.shared_owner = self.locks / "owner.json"
        self.supervisor_log = self.path / "supervisor.log"
        self._log_folders: Dict[str, str] = {}  # by stage
        self.checked: Optional[Identity] = None  # the folder that `create` made or checked

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    def get_stage_manifest(self, stage: str) -> Path:
        """Return the path of a stage's manifest."""
        return self.stages / f"{name_stage(stage)}.json"

    def get_manifest(self, stage: Optional[str]) -> Path:
        """Return the path of a stage's manifest, or the run's for None."""
        return self.manifest if stage is None else self.get_stage_manifest(stage)

    def get_sitting_lock(self, sitting: int, stage: Optional[str] = None) -> Path:
        """Return the path of the lock held until a stage (None: the run) of a sitting is over."""
        what = "run" if stage is None else f"stage-{name_stage(stage)}"
        return self.locks / f"{sitting}-{what}.lock"

    def make_log_paths(self, attempt: AttemptId, stage: str) -> Tuple[str, str]:
        """Return the absolute paths of an attempt's stdout and stderr files."""
        folder = self._log_folders.get(stage)
        if folder is None:
            folder = self._log_folders[stage] = os.path.join(str(self.logs), name_stage(stage), "")
        base = folder + _name_attempt(attempt, stage)
        return f"{base}.out", f"{base}.err"

    def get_failed_folder(self, attempt: AttemptId, stage: str) -> Path:
        """Return the path of the folder to which an attempt's output files are moved aside."""
        return self.path / "failed" / name_stage(stage) / _name_attempt(attempt, stage)

    def create(self, share: str = "none", *, only_new: bool = False) -> bool:
        """Make the directory, or check an existing one; `share` says who may read manifests.

        True if it did not exist before; with `only_new` an existing one is not changed.
        RecordError if it is a symbolic link, belongs to another user, cannot be written, or stands
        where others could put something else in its place.
        """
        from procsup.store.trust import refuse_doubtful  # `wait` seldom needs it

        refuse_doubtful(self.path)
        try:
            made = self._make()
            # What was missing above it may have been planted meanwhile. Now all of it exists, and
            # others cannot exchange what is not doubtful.
            refuse_doubtful(self.path)
            if only_new and not made:
                return False
            with self.open() as folder:
                self.checked = folder.identity
                _try_out(folder)
                folder.set_mode(FOLDER_MODES[share])
                for path in (self.stages, self.locks):
                    _make_folder(folder, path.name, FOLDER_MODES[share])
                for path in (self.logs, self.control):
                    _make_folder(folder, path.name, 0o700)
                _hide_from_git(folder)
        except OSError as error:
            cure = "; keep runs elsewhere (--dir)" if isinstance(error, PermissionError) else ""
            raise RecordError(
                f"run directory {self.path}: {describe_error(error)}{cure}"
            ) from error
        return made

    def _make(self) -> bool:
        if os.path.lexists(self.path) and not os.path.isdir(self.path):
            return False  # `open` reports what it is
        return make_folders(self.path, 0o700, above=0o755)

    def open(self) -> Folder:
        """Open the directory, to write below its descriptor even if its path is exchanged later.

        RecordError if it is a link, is not a folder, or belongs to another user, even for root.
        OSError if it is not the folder that `create` has checked.
        """
        from procsup.host.opened import Folder, make_replaced_error

        try:
            folder = Folder.open(self.path)
        except NotADirectoryError:
            kind = "a symbolic link" if os.path.islink(self.path) else "not a folder"
            problem = f"run directory {self.path} is {kind}: refused, name another"
            raise RecordError(problem) from None
        if not folder.is_ours():
            folder.close()
            raise RecordError(
                f"run directory {self.path} belongs to another user (uid {folder.status.st_uid}):"
                " refused, name another with --dir"
            )
        if self.checked not in (None, folder.identity):
            folder.close()
            raise make_replaced_error(folder.path)
        return folder


def has_records(rundir: RunDir) -> bool:
    """Whether it has any records."""
    try:
        return rundir.journal.stat().st_size > 0
    except FileNotFoundError:
        return False


def _try_out(folder: Folder) -> None:
    """Raise OSError if no file can be made in it; modes that its owner has set are not changed."""
    name = make_temporary_name()
    os.close(folder.create(name))
    try:
        folder.unlink(name)
    except FileNotFoundError:
        pass  # the supervisor that has the directory clears such names when it begins


def _make_folder(above: Folder, name: str, mode: int) -> None:
    try:
        above.make(name, mode).close()
    except NotADirectoryError as error:
        raise RecordError(f"{error.filename} is not a folder: refused, remove it") from None


def _hide_from_git(folder: Folder) -> None:
    try:
        fd = folder.create_new(".gitignore")
    except FileExistsError:
        return  # an existing file is the user's: it is not changed
    with os.fdopen(fd, "wb") as file:
        file.write(b"*\n")


def _name_unit(unit_id: str, stage: str) -> str:
    prefix = f"{stage}/"
    if unit_id.startswith(prefix):
        return make_safe_name(unit_id[len(prefix) :])
    if unit_id == stage:
        return f"@{name_stage(stage)}"  # the only unit of its stage; no safe name has an @
    return make_safe_name(f"/{unit_id}")  # never the name of "stage/" and the same id


def _name_attempt(attempt: AttemptId, stage: str) -> str:
    return f"{_name_unit(attempt.unit, stage)}.{attempt.number}"
