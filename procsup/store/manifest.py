"""Manifests and stamps: the files that show other programs the completion of a run.

A manifest is one JSON object: its first line holds all but the units, and each further line one
unit. It is renamed into place as a whole, after all outputs and records in it are durable.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional

import msgspec
from msgspec import Struct

from procsup.core.manifest import (
    SCHEMA,
    Head,
    StageCounts,
    UnitRecord,
    format_rfc3339,
    make_unit_record,
)
from procsup.core.regexes import compile_at_use
from procsup.core.text import escape_bytes, restore_bytes
from procsup.errors import RecordError
from procsup.host.files import (
    AnyPath,
    describe_error,
    make_folders,
    open_record,
    remove,
    sync_folder,
    write_atomically,
)
from procsup.seams import seam
from procsup.store.rundir import FILE_MODES, RunDir

if TYPE_CHECKING:  # `wait` reads only manifests and must not import these (start-up budget)
    from typing import BinaryIO, Callable, Iterable, List, Pattern, Sequence, Tuple

    from procsup.core.events import UnitResult
    from procsup.core.records import Begin
    from procsup.core.spec import RunSpec
    from procsup.host.opened import Folder
    from procsup.store.journal import JournalWriter
    from procsup.store.sitting import Sitting

_LONGEST_LINE_BYTES = 1 << 28
_LONGEST_HEAD_BYTES = 1 << 24
_ESCAPED_TEXTS = "base64"  # JSON pointer -> bytes, of texts that are not UTF-8
_BETWEEN = b",\n"
_LAST_LINE = b"]}"
# What a stamp of any version looks like: only such a file is replaced or removed.
_STAMP = compile_at_use(rb"\S+ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\s*\Z")
_MANIFEST = compile_at_use(rb'\{"schema":"%s' % re.escape(SCHEMA.rpartition("/")[0] + "/").encode())
_LONGEST_STAMP_BYTES = 1 << 12

_encoder = msgspec.json.Encoder()
_unit_decoder = msgspec.json.Decoder(UnitRecord)


class ManifestPublisher:
    """Publishes and withdraws for one sitting; every failure is a RecordError.

    `started` is when the run (not this sitting) began, `wall` the wall clock.
    """

    def __init__(
        self,
        rundir: RunDir,
        spec: RunSpec,
        begin: Begin,
        journal: JournalWriter,
        sitting: Sitting,
        *,
        started: Optional[float],
        wall: Callable[[], float],
    ) -> None:
        from procsup.store.unit_lines import UnitLines

        self._rundir, self._spec, self._begin = rundir, spec, begin
        self._journal, self._sitting = journal, sitting
        self._started, self._wall = started, wall
        self._mode = FILE_MODES[spec.share]
        self._bodies = UnitLines()

    def withdraw(self, stages: Sequence[str]) -> None:
        """Remove the manifests and stamps of these stages and of the run; durable on return.

        RecordError, and nothing is removed, if the file at a user's path is not procsup's.
        """
        stamps = [self._spec.stamp, *(self._spec.stage(stage).stamp for stage in stages)]
        marks = [*_marks([self._spec.manifest], _MANIFEST), *_marks(stamps, _STAMP)]
        for mark in marks:
            mark.refuse_other()
        _withdraw_marks(marks)
        _remove_durably([self._rundir.manifest], dir_fd=self._sitting.folder.fd)
        with self._list_stages() as folder:
            _remove_durably(list(map(self._rundir.get_stage_manifest, stages)), dir_fd=folder.fd)

    def publish_stage(self, stage: str, counts: StageCounts, results: Iterator[UnitResult]) -> None:
        """Write a stage's manifest and stamp, durable on return; then wake its waiters."""
        head = self._make_head(counts.status, {stage: counts}, stage)
        path = self._rundir.get_stage_manifest(stage)
        first = _encode_head(head)
        lines = _encode_units(self._make_records(results))
        noted = self._bodies.pass_lines(stage, path.name, len(first), lines)
        with self._list_stages() as folder:
            _write(path, _join_whole(first, noted), mode=self._mode, dir_fd=folder.fd)
        self._sitting.check()  # if our folder was replaced, no waiter would see it
        self._format_stamp(self._spec.stage(stage).stamp, head)
        self._sitting.release_stage(stage)

    def publish_run(
        self,
        status: str,
        counts: Sequence[Tuple[str, StageCounts]],
        results: Iterator[UnitResult],
    ) -> None:
        """Write the run's manifest, its visible copy and its stamp; then wake its waiters."""
        head = self._make_head(status, dict(counts), None)
        if not self._try_copy(head, [name for name, _ in counts]):
            self._write_run(encode_manifest(head, self._make_records(results)))
        self._sitting.check()
        for mark in _marks([self._spec.manifest], _MANIFEST):
            mark.write(self._copy_lines())
        self._format_stamp(self._spec.stamp, head)
        self._sitting.release_run()

    @contextmanager
    def _list_stages(self) -> Iterator[Folder]:
        with _report_errors(self._rundir.stages, "opened"):
            folder = self._sitting.folder.child(self._rundir.stages.name)
        with folder:
            yield folder

    def _write_run(self, chunks: Iterable[bytes]) -> None:
        folder = self._sitting.folder
        _write(self._rundir.manifest, chunks, mode=self._mode, dir_fd=folder.fd)

    def _copy_lines(self) -> Iterator[bytes]:
        with self._sitting.folder.record(self._rundir.manifest.name) as file:
            yield from iter(lambda: file.read(1 << 20), b"")

    def _try_copy(self, head: Head, stages: Sequence[str]) -> bool:
        """Write the run's manifest with the unit lines copied from the manifests of its stages.

        Return false if these cannot be used: then nothing was written.
        """
        from procsup.store.unit_lines import UnitLinesChanged

        with self._list_stages() as folder:
            lines = self._bodies.join(stages, _BETWEEN, folder)
            if lines is None or self._spec.keep_logs != "all":  # they name removed logs
                return False
            try:
                self._write_run(_join_whole(_encode_head(head), lines))
            except UnitLinesChanged:
                return False
        return True

    def _make_records(self, results: Iterator[UnitResult]) -> Iterator[UnitRecord]:
        return (make_unit_record(result, self._spec.folder) for result in results)

    def _make_head(self, status: str, stages: Dict[str, StageCounts], stage: Optional[str]) -> Head:
        begin = self._begin
        return Head(
            run_id=begin.run_id,
            name=begin.name,
            status=status,
            started=format_rfc3339(self._started),
            ended=format_rfc3339(self._wall()) or "",
            host=begin.host,
            platform=begin.platform,
            procsup=begin.procsup,
            python=begin.python,
            run_file=begin.run_file,
            directory=str(self._rundir.path),
            journal=self._journal.mark(),
            stages=stages,
            stage=stage,
            variables=begin.variables,
            thread_caps=begin.thread_caps,
            root=self._spec.folder,
        )

    def _format_stamp(self, path: Optional[str], head: Head) -> None:
        marks = _marks([path], _STAMP)
        if head.status != "succeeded":
            _withdraw_marks(marks)
            return
        for mark in marks:
            mark.write([f"{head.run_id} {head.ended}\n".encode()])


class _Mark(Struct, frozen=True):
    """A stamp, or the visible copy of the manifest, at a path that the user chose.

    A file is replaced or removed only in the folder in which it was recognized as procsup's, even
    if the path leads elsewhere by then.
    """

    path: str
    pattern: Pattern[bytes]

    @contextmanager
    def folder(self) -> Iterator[Optional[Folder]]:
        """Open the folder that it is in, links followed; None if there is none."""
        from procsup.host.opened import Folder

        above = os.path.dirname(os.path.abspath(self.path))
        try:
            folder = Folder.open(os.path.realpath(above))
        except (FileNotFoundError, NotADirectoryError):
            yield None
            return
        except OSError as error:
            raise RecordError(f"{above} cannot be opened: {describe_error(error)}") from error
        with folder:
            yield folder

    def refuse_other(self) -> None:
        """Raise RecordError if a file is there that is not empty and was not written by procsup."""
        with self.folder() as folder:
            if folder is not None:
                self.refuse_other_in(folder)

    def refuse_other_in(self, folder: Folder) -> None:
        """Do the same in `folder`, the open folder of the file."""
        name = os.path.basename(self.path)
        with _report_errors(self.path, "read"):
            try:
                # A device or a pipe may look empty; it must not be opened or removed.
                if not stat.S_ISREG(folder.look(name).st_mode):
                    raise RecordError(self._describe_kept("is no regular file"))
                with folder.read(name) as file:
                    start = file.read(_LONGEST_STAMP_BYTES)
            except FileNotFoundError:
                return
        if start and not self.pattern.match(start):
            what = "stamp" if self.pattern is _STAMP else "manifest"
            raise RecordError(self._describe_kept(f"is no {what} that procsup has written"))

    def _describe_kept(self, problem: str) -> str:
        return (
            f"{self.path} {problem}, and is left as it is: move it away, or choose another path in"
            " the run file"
        )

    def write(self, chunks: Iterable[bytes]) -> None:
        """Write it, durable on return; RecordError as `refuse_other`."""
        with _report_errors(self.path, "written"):
            make_folders(os.path.dirname(os.path.abspath(self.path)))
        with self.folder() as folder:
            if folder is None:
                raise RecordError(f"{self.path} cannot be written: its folder was removed")
            self.refuse_other_in(folder)
            _write(self.path, chunks, mode=None, dir_fd=folder.fd)


def _marks(paths: Iterable[Optional[str]], pattern: Pattern[bytes]) -> List[_Mark]:
    return [_Mark(path, pattern) for path in paths if path is not None]


def _withdraw_marks(marks: Iterable[_Mark]) -> None:
    by_folder: Dict[str, List[_Mark]] = {}
    for mark in marks:
        by_folder.setdefault(os.path.dirname(mark.path), []).append(mark)
    for some in by_folder.values():
        with some[0].folder() as folder:
            if folder is not None:
                for mark in some:
                    mark.refuse_other_in(folder)
                _remove_durably([mark.path for mark in some], dir_fd=folder.fd)


def encode_manifest(head: Head, units: Iterator[UnitRecord]) -> Iterator[bytes]:
    """Return the lines of a manifest, as they are written."""
    return _join_whole(_encode_head(head), _encode_units(units))


def _encode_head(head: Head) -> bytes:
    fields = {"schema": head.schema, **msgspec.to_builtins(head)}
    return _encode(fields)[:-1] + b',"units":[\n'


def _encode_units(units: Iterator[UnitRecord]) -> Iterator[bytes]:
    before = b""
    for unit in units:
        yield before + _encode(unit)
        before = _BETWEEN


def _join_whole(first: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    line = b""
    for line in lines:
        yield line
    yield b"\n" + _LAST_LINE + b"\n" if line else _LAST_LINE + b"\n"


def read_head(path: AnyPath, *, folder: Optional[Folder] = None) -> Optional[Head]:
    """Read a manifest's first line; None if there is no manifest.

    RecordError if it cannot be read, or is of another schema. With `folder`, its open folder, it is
    read there.
    """
    try:
        file = open_record(path) if folder is None else folder.record(os.path.basename(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _make_unreadable_error(path, describe_error(error)) from error
    with file:
        return _decode_head(path, file)


def read_manifest(path: AnyPath) -> Tuple[Head, Iterator[UnitRecord]]:
    """Read a manifest: its head, and an iterator that reads its units one by one.

    RecordError if there is none or it cannot be read; the iterator may raise it, too.
    """
    try:
        file = open_record(path)
    except OSError as error:
        raise _make_unreadable_error(path, describe_error(error)) from error
    try:
        head = _decode_head(path, file)
    except BaseException:
        file.close()
        raise
    return head, _decode_units(path, file)


def _decode_head(path: AnyPath, file: BinaryIO) -> Head:
    line = file.readline(_LONGEST_HEAD_BYTES)
    start, separator, rest = line.rpartition(b',"units":[')
    if not separator or rest != b"\n":
        raise _make_unreadable_error(path, "its first line is not that of a manifest")
    try:
        fields = _restore_texts(msgspec.json.decode(start + b"}"))
        if fields.get("schema") != SCHEMA:
            raise _make_unreadable_error(
                path, f"its schema is {fields.get('schema')!r}, not {SCHEMA!r}"
            )
        return msgspec.convert(fields, Head)
    except (ValueError, TypeError, msgspec.MsgspecError, RecursionError) as error:
        raise _make_unreadable_error(path, str(error)) from error


def _decode_units(path: AnyPath, file: BinaryIO) -> Iterator[UnitRecord]:
    with file:
        for line in iter(lambda: file.readline(_LONGEST_LINE_BYTES), b""):
            text = line.rstrip(b",\n")
            if text == _LAST_LINE:
                return
            if len(line) == _LONGEST_LINE_BYTES:
                limit = _LONGEST_LINE_BYTES >> 20
                raise _make_unreadable_error(
                    path, f"a line of it is longer than {limit} MB: it is damaged"
                )
            try:
                yield _decode_unit(text)
            except (ValueError, msgspec.MsgspecError, RecursionError) as error:
                raise _make_unreadable_error(path, str(error)) from error
    raise _make_unreadable_error(path, "its end is missing")


def _decode_unit(text: bytes) -> UnitRecord:
    if b'"base64":' not in text:
        return _unit_decoder.decode(text)
    return msgspec.convert(_restore_texts(msgspec.json.decode(text)), UnitRecord)


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # a path or an argument that is not UTF-8
        fields, found = escape_bytes(msgspec.to_builtins(value))
        return _encoder.encode({**fields, _ESCAPED_TEXTS: found})


def _restore_texts(fields: Any) -> Dict[str, Any]:
    if not isinstance(fields, dict):
        raise ValueError("not a table")
    found = fields.pop(_ESCAPED_TEXTS, None)
    if found is None:
        return fields
    restored: Dict[str, Any] = restore_bytes(fields, msgspec.convert(found, Dict[str, str]))
    return restored


def _make_unreadable_error(path: AnyPath, problem: str) -> RecordError:
    return RecordError(f"manifest {os.fspath(path)} cannot be read: {problem}")


@seam("write a manifest")
def _write(
    path: AnyPath, chunks: Iterable[bytes], *, mode: Optional[int], dir_fd: Optional[int] = None
) -> None:
    with _report_errors(path, "written"):
        write_atomically(path, chunks, mode=mode, dir_fd=dir_fd)


def _remove_durably(paths: Sequence[AnyPath], *, dir_fd: Optional[int] = None) -> None:
    """Remove the files, durably on return. With `dir_fd`, paths are relative to that folder."""
    for path in paths:
        with _report_errors(path, "removed"):
            remove(path, dir_fd=dir_fd)
    # Also if no file existed: a sitting that died may have removed it without a sync.
    for folder in {os.path.dirname(os.path.abspath(path)) for path in paths}:
        with _report_errors(folder, "synced"):
            if dir_fd is not None or os.path.isdir(folder):
                sync_folder(folder, dir_fd=dir_fd)


@contextmanager
def _report_errors(path: AnyPath, action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordError(
            f"{os.fspath(path)} cannot be {action}: {describe_error(error)}"
        ) from error
