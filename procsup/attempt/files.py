"""The files of one attempt: made before its start (removed if that fails), renamed at its end."""

import errno
import os
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import msgspec

from procsup.attempt.outputs import Stamps, name_temporary_output, take_stamps
from procsup.attempt.private_files import (
    Scratch,
    make_folders,
    open_private_folder,
    write_lists,
    write_private,
)
from procsup.core.late import fill_in, has_marks, list_values
from procsup.core.task import Task
from procsup.errors import RecordError
from procsup.host import system
from procsup.host.opened import Folder, Identity, make_identity
from procsup.store.rundir import SCRATCH, UNIT_FILES


class Stream:
    """The file of one of a child's streams: a log, or a file that the user named (`target`)."""

    __slots__ = ("fd", "log_path", "made", "target", "written_path")

    def __init__(self, log_path: str, target: Optional[str], task: Task) -> None:
        self.log_path = log_path
        self.target = target
        self.written_path = (
            log_path if target is None else name_temporary_output(target, task.attempt)
        )
        self.made: Optional[Identity] = None  # of the file that will be published
        self.fd: Optional[int] = None  # None: it was never opened

    def open(self, log_folder: Optional[int]) -> int:
        """Open it for the child; `log_folder` is that of its log if it is open already."""
        if self.target is None:
            self.fd = system.open_log(self.log_path, log_folder)
            return self.fd
        self.fd = system.open_target(self.written_path)
        self.made = make_identity(os.fstat(self.fd))
        return self.fd

    def remove(self, opened: Identity) -> None:
        """Remove the file that a failed start opened, but not another file of the same name."""
        folder, name = os.path.split(self.written_path)
        try:
            with Folder.open_followed(folder) as place:
                if place.is_still(name, opened):
                    place.unlink(name)
        except OSError:
            pass  # it is already deleted; an empty file left behind does no harm

    def settle(self, run_dir: str, *, well: bool) -> str:
        """Return the path for the record.

        If the attempt ended `well`, the inspection publishes a file that the user named later;
        otherwise the file becomes the attempt's log.
        """
        if self.target is not None and well:
            return self.target
        if self.target is not None and not self._move(run_dir):
            return self.written_path
        return _shorten_path(self.log_path, run_dir)

    def _move(self, run_dir: str) -> bool:
        """Move the file to the log; False if that failed: then it stays as it is.

        It is not moved to a folder of another user.

        If another process has replaced it, that file is not moved, and the log is missing.
        """
        folder, name = os.path.split(self.written_path)
        log_folder, log = os.path.split(self.log_path)
        try:
            logs = open_private_folder(log_folder, run_dir)
        except (OSError, RecordError):
            return False
        try:
            with logs, Folder.open_followed(folder) as source:
                if source.is_still(name, self.made):
                    self._move_to(logs, log, source, name)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _move_to(self, logs: Folder, log: str, source: Folder, name: str) -> None:
        try:
            logs.take(source, name, log)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy_to(logs, log, source, name)
            return
        if not (make_identity(logs.look(log)) == self.made or source.is_closed()):
            source.take(logs, log, name)  # it was replaced after the check: moved back

    def _copy_to(self, logs: Folder, log: str, source: Folder, name: str) -> None:
        import shutil

        with source.read(name) as written:
            if not (make_identity(os.fstat(written.fileno())) == self.made or source.is_closed()):
                return
            with os.fdopen(logs.create(log), "wb") as file:
                shutil.copyfileobj(written, file)
        source.unlink(name)


class AttemptFiles:
    """The files of one attempt, and the stamps of the unit's files before it started.

    `step` names what is being made, for the error message. With one file for both streams
    `stderr` is None.
    """

    __slots__ = (
        "_fds",
        "before",
        "program",
        "remarks",
        "run_dir",
        "scratch",
        "stderr",
        "stdout",
        "step",
        "task",
    )

    def __init__(self, task: Task, run_dir: str, stdout_path: str) -> None:
        self.task = task
        self.run_dir = run_dir
        self.stdout = Stream(stdout_path, task.unit.stdout, task)
        self.stderr: Optional[Stream] = None
        self.scratch: Optional[Scratch] = None
        self.before: Stamps = {}
        self.program: Optional[str] = None  # sha256 of the script or module file that it starts
        self.remarks: Tuple[str, ...] = ()  # about files moved away before its start
        self.step = ""
        self._fds: List[int] = []  # our copies, closed after every start, failed ones too

    @property
    def name(self) -> str:
        """``<stage>.<safe name>.<attempt>``, for files of the attempt."""
        base = os.path.splitext(os.path.basename(self.stdout.log_path))[0]
        return f"{self.task.unit.stage}.{base}"

    # --- before the start --------------------------------------------------------------------

    def look_before(self) -> None:
        """Note the stamps of the unit's files before it starts."""
        if self.task.is_inspected:
            self.step = "input"
            self.before = take_stamps(self.task.unit, self.task.rules.published)

    def make(self, env: Dict[str, str]) -> Tuple[str, ...]:
        """Make the folders and files that the unit needs; complete `env`, return its argv."""
        unit, rules = self.task.unit, self.task.rules
        if unit.outputs or unit.stdout or unit.stderr:
            self.step = "output folder"
            make_folders(unit)
        if rules.scratch:
            self._make_scratch()
        self.fill_in_env(env)
        if unit.lists:
            self.step = "list of inputs"
            write_lists(unit.lists, self.run_dir)
        if rules.unit_file:
            self._write_unit_file(env)
        return self.fill_in(unit.argv)

    def open_streams(self, stderr_path: str, null_fd: int) -> Tuple[int, int, int]:
        """Open stdin, stdout and stderr for the child; `close_fds` closes our copies."""
        unit = self.task.unit
        stdin = null_fd
        if unit.stdin is not None:
            self.step = "stdin"
            stdin = self._keep(system.open_source(unit.stdin))
        self.step = "output file"
        folder = None
        if unit.stdout is None or unit.stderr is None:  # usually for both logs
            folder = self._open_log_folder()
        try:
            stdout, stderr = self._open_outputs(stderr_path, folder)
        finally:
            if folder is not None:
                os.close(folder)  # before the child starts, which needs descriptors, too
        self.step = ""
        return stdin, stdout, stderr

    def _open_log_folder(self) -> Optional[int]:
        """Open the folder of the logs, which is made if it is missing; RecordError if not ours."""
        path = os.path.dirname(self.stdout.log_path)
        try:
            return system.open_log_folder(path)
        except FileNotFoundError:
            open_private_folder(path, self.run_dir).close()
            return system.open_log_folder(path)

    def _open_outputs(self, stderr_path: str, folder: Optional[int]) -> Tuple[int, int]:
        unit = self.task.unit
        stdout = stderr = self._keep(self.stdout.open(folder))
        is_one = unit.stdout == unit.stderr
        if not (is_one and (self.task.rules.merged_logs or unit.stdout is not None)):
            stream = Stream(stderr_path, unit.stderr, self.task)
            stderr = self._keep(stream.open(folder))
            self.stderr = stream
        return stdout, stderr

    def keep_inherited(self, open_inherited: Callable[[], Tuple[int, ...]]) -> Tuple[int, ...]:
        """Open the descriptors inherited beside the streams; `close_fds` closes our copies."""
        self.step = "lock of a unit"
        fds = open_inherited()
        self._fds += fds
        self.step = ""
        return fds

    def _keep(self, fd: int) -> int:
        self._fds.append(fd)
        return fd

    def close_fds(self) -> None:
        """Close our copies; the child has its own."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def undo(self) -> None:
        """Remove the files of a start that failed."""
        opened = [
            (stream, make_identity(os.fstat(stream.fd)))
            for stream in (self.stdout, self.stderr)
            if stream is not None and stream.fd is not None
        ]
        self.close_fds()  # Windows removes no open file
        for stream, identity in opened:
            stream.remove(identity)
        self.clear()

    def _make_scratch(self) -> None:
        self.step = "scratch folder"
        path = os.path.join(self.run_dir, SCRATCH, self.name)
        self.scratch = Scratch.make(path, self.run_dir)

    def fill_in_env(self, env: Dict[str, str]) -> None:
        """Set the unit's own variables, with their marks filled in, and PROCSUP_SCRATCH."""
        own = self.task.unit.env
        if own and has_marks(tuple(own.values())):
            values = self._describe()
            for name, value in own.items():
                env[system.make_environment_key(name)] = fill_in(value, values)
        if self.scratch is not None:
            env["PROCSUP_SCRATCH"] = self.scratch.path

    def fill_in(self, argv: Sequence[str]) -> Tuple[str, ...]:
        """Return an argv with its marks replaced by this attempt's values."""
        if not has_marks(argv):
            return tuple(argv)
        values = self._describe()
        return tuple([fill_in(part, values) for part in argv])

    def _describe(self) -> Dict[str, str]:
        values = dict(list_values(self.task.attempt.number, self.task.placement))
        if self.scratch is not None:
            values["scratch"] = self.scratch.path
        return values

    def open_error_log(self) -> int:
        """Open the stderr log (or the common one), for output that is not the unit's own."""
        stream = self.stderr or self.stdout
        folder = self._open_log_folder()
        try:
            return system.open_log(stream.log_path, folder)
        finally:
            if folder is not None:
                os.close(folder)

    def _write_unit_file(self, env: Dict[str, str]) -> None:
        self.step = "unit file"
        path = os.path.join(self.run_dir, UNIT_FILES, f"{self.name}.json")
        known = _describe_task(self.task, env["PROCSUP_RUN"])
        write_private(path, msgspec.json.encode(known), self.run_dir)
        env["PROCSUP_UNIT_FILE"] = path

    # --- after the end -----------------------------------------------------------------------

    def settle(self, *, well: bool) -> Tuple[str, Optional[str]]:
        """Return the paths of stdout and stderr for the record (None: one file for both)."""
        shown = self.stdout.settle(self.run_dir, well=well)
        if self.stderr is None:
            return shown, None
        return shown, self.stderr.settle(self.run_dir, well=well)

    def identify_made(self) -> Dict[str, Identity]:
        """Return the files that were made for streams, to be published: path -> identity."""
        streams = (self.stdout, self.stderr)
        return {one.written_path: one.made for one in streams if one is not None and one.made}

    def clear(self) -> Tuple[str, ...]:
        """Remove the scratch folder, which may take long; return a remark if something stays."""
        scratch, self.scratch = self.scratch, None
        remark = "" if scratch is None else scratch.remove()
        return (remark,) if remark else ()


def _describe_task(task: Task, run_id: str) -> Mapping[str, object]:
    unit, placement = task.unit, task.placement
    return {
        "run": run_id,
        "stage": unit.stage,
        "unit": unit.id,
        "index": unit.index,
        "attempt": task.attempt.number,
        "parameters": unit.parameters,
        "inputs": unit.input_names or list(unit.inputs),
        "outputs": [
            {"name": output.name, "path": output.path, "kind": output.kind}
            for output in unit.outputs
        ],
        "cpus": placement.cpus,
        "cpu_ids": placement.cpu_ids,
        "memory_bytes": placement.memory_bytes,
    }


def _shorten_path(path: str, run_dir: str) -> str:
    """Return a path relative to the run directory if it is in there; always with slashes."""
    prefix = os.path.join(run_dir, "")
    if not path.startswith(prefix):
        return path
    shown = path[len(prefix) :]
    return shown if os.sep == "/" else shown.replace(os.sep, "/")
