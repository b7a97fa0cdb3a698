"""Reads a journal: its valid records, and a list of its damage.

A line is valid if it has its newline, its checksum matches and its number is higher than all
before it. One bad line at the very end is a torn write: it was never acknowledged. Any other bad
line, and any gap in the numbers, is damage: it is listed, and reading continues at the next line.
"""

import os
from functools import partial
from typing import Any, BinaryIO, Iterator, List, Optional, Tuple

import msgspec
from msgspec import Struct

from procsup.core.records import (
    JOURNAL_VERSION,
    BadLine,
    Begin,
    Missing,
    Planned,
    Record,
    UnknownRecord,
    decode_line,
)
from procsup.errors import RecordError
from procsup.host.files import AnyPath, describe_error, open_reading, open_record, sync_fd
from procsup.host.opened import Folder
from procsup.paths.opening import MISSING
from procsup.seams import seam

LONGEST_LINE_BYTES = 1 << 24
_ABOUT_ITSELF = (Begin, Missing)  # records about the journal itself
_MOST_DAMAGE = 100  # further places are not listed


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One valid record: its number, the offset of its line, and the record."""

    seq: int
    offset: int
    record: Record


class _Bad(Struct, frozen=True):
    offset: int
    end: int
    problem: str


class ReadJournal:
    """A journal to iterate once, in constant memory; the attributes are valid after that.

    good_length  bytes up to the end of the last valid line; `digest` is the sha256 over them
    last_seq     number of the last record
    torn         bytes of a torn write behind the good part
    damage       a sentence for each other damage
    unknown      a description of each record that this procsup does not know
    """

    def __init__(
        self, path: AnyPath, *, digesting: bool = True, folder: Optional[Folder] = None
    ) -> None:
        self.path = os.fspath(path)
        self._folder = folder
        self.good_length = 0
        self.last_seq = 0
        self.torn = 0
        self.damage: List[str] = []
        self.unknown: List[str] = []
        self.newer_version: Optional[int] = None
        self.digest: Any = _make_digest() if digesting else _NoDigest()
        self.exists = False
        self.finished = False
        self._bad: List[_Bad] = []  # since the last good line
        self._bad_digest = self.digest  # with the bad lines: becomes `digest` at a good line

    @property
    def sha256(self) -> str:
        """The digest of the good part, in hexadecimal digits."""
        return str(self.digest.hexdigest())

    def __iter__(self) -> Iterator[Entry]:
        try:
            file = self._open()
        except MISSING:
            self.finished = True
            return
        except OSError as error:
            raise RecordError(f"journal {self.path}: {describe_error(error)}") from error
        self.exists = True
        with file:
            yield from self._read_entries(file)
        self._judge_tail()
        self.finished = True

    def _open(self) -> BinaryIO:
        return _open(self.path, self._folder)

    def read(self) -> "ReadJournal":
        """Read it to its end, so that the attributes are valid, unless that was done."""
        if not self.finished:
            for _entry in self:
                pass
        return self

    def check_writable(self) -> None:
        """Raise RecordError if a newer procsup wrote this journal: it is left as it is."""
        if self.newer_version is not None:
            raise RecordError(
                f"journal {self.path} is of version {self.newer_version}, and this procsup writes"
                f" version {JOURNAL_VERSION}: use the newer procsup, or another run directory"
            )
        if self.unknown:
            raise RecordError(
                f"journal {self.path} holds records that this procsup does not know"
                f" ({self.unknown[0]}): use the newer procsup that wrote them, or another run"
                " directory"
            )

    @seam("read entries")
    def _read_entries(self, file: BinaryIO) -> Iterator[Entry]:
        offset = 0
        for line, whole in _read_lines(file):
            start, offset = offset, offset + len(line)
            try:
                if not whole:
                    raise BadLine("it has no end")
                seq, record = decode_line(line[:-1])
            except UnknownRecord as error:
                if self._is_stranger(line, str(error)):
                    self._believe(line, error.seq, start)
                else:
                    self._distrust(line, start, str(error))
            except BadLine as error:
                self._distrust(line, start, str(error))
            else:
                if seq == self.last_seq + 1 and not self._bad:  # the usual case
                    self.digest.update(line)
                    self.good_length = offset
                    self.last_seq = seq
                elif not self._believe(line, seq, start):
                    continue
                if type(record) in _ABOUT_ITSELF and not self._is_news(record):
                    continue
                yield Entry(seq, start, record)

    @seam("believe a line")
    def _believe(self, line: bytes, seq: int, start: int) -> bool:
        if seq <= self.last_seq:
            self._distrust(line, start, f"record {seq} comes after record {self.last_seq}")
            return False
        if self._bad:
            self._admit_damage()
        if seq != self.last_seq + 1:
            self._note(f"records {self.last_seq + 1} to {seq - 1} are missing at byte {start}")
        self.digest.update(line)
        self.good_length = start + len(line)
        self.last_seq = seq
        return True

    def _is_news(self, record: Record) -> bool:
        if type(record) is Begin and record.version > JOURNAL_VERSION:
            self.newer_version = record.version
        if type(record) is Missing:
            self.last_seq = max(self.last_seq, record.last)
            return False
        return True

    def _distrust(self, line: bytes, start: int, problem: str) -> None:
        if not self._bad:
            self._bad_digest = self.digest.copy()
        self._bad_digest.update(line)
        end = start + len(line)
        if len(self._bad) < _MOST_DAMAGE:
            self._bad.append(_Bad(start, end, problem))
        else:
            self._bad[-1] = msgspec.structs.replace(self._bad[-1], end=end)

    def _admit_damage(self) -> None:
        for bad in self._bad:
            self._note(f"bytes {bad.offset} to {bad.end} are damaged: {bad.problem}")
        self._bad.clear()
        self.digest = self._bad_digest

    @seam("note damage")
    def _note(self, sentence: str) -> None:
        if len(self.damage) < _MOST_DAMAGE:
            self.damage.append(sentence)

    def _judge_tail(self) -> None:
        if not self._bad:
            return
        self.torn = self._bad[-1].end - self._bad[0].offset
        if len(self._bad) > 1:
            # A torn write leaves one fragment; more bad lines are damage.
            kept, self.digest = self.digest, self._bad_digest
            self._admit_damage()
            self.digest = kept

    def _is_stranger(self, line: bytes, problem: str) -> bool:
        """Note a record of a newer procsup; False if the line is not a record."""
        kind, version = _look_at(line)
        if kind is None:
            return False
        if kind == "begin" and version is not None and version > JOURNAL_VERSION:
            self.newer_version = version
        elif len(self.unknown) < _MOST_DAMAGE:
            self.unknown.append(f"{kind!r}: {problem}")
        return True


def _make_digest() -> Any:
    import hashlib  # slow to load, and not every verb reads a journal

    return hashlib.sha256()


class _NoDigest:
    """Takes the place of the digest if that is not needed."""

    def update(self, data: bytes) -> None:
        """Ignore the data."""

    def copy(self) -> "_NoDigest":
        """Return itself: it has no state."""
        return self


def read_journal(
    path: AnyPath, *, digesting: bool = True, folder: Optional[Folder] = None
) -> ReadJournal:
    """Return a reader of the journal; a missing one reads as empty.

    Only a writer needs its `digest`; without it reading is quicker. With `folder`, its open folder,
    it is read there, even if that was moved or replaced.
    """
    return ReadJournal(path, digesting=digesting, folder=folder)


class Follower:
    """Reads new records of a journal while its supervisor writes it.

    Each `read` returns the records completed since the last one; `offset` is where the next one
    starts. A journal that became shorter than `offset` is read from its start again.
    """

    def __init__(self, path: AnyPath, offset: int = 0) -> None:
        self.path = os.fspath(path)
        self.offset = offset

    def read(self) -> List[Entry]:
        """Return the new records; an empty list if there are none, or no journal yet."""
        try:
            file = open_record(self.path)
        except FileNotFoundError:
            return []
        found: List[Entry] = []
        with file:
            if os.fstat(file.fileno()).st_size < self.offset:
                self.offset = 0
            file.seek(self.offset)
            for line, whole in _read_lines(file):
                if not whole and len(line) < LONGEST_LINE_BYTES:
                    break  # still being written
                try:
                    seq, record = decode_line(line[:-1])
                except BadLine:
                    pass  # damage: the next sitting reports it
                else:
                    if not isinstance(record, Missing):
                        found.append(Entry(seq, self.offset, record))
                self.offset += len(line)
        return found


def follow(path: AnyPath, from_offset: int = 0) -> Follower:
    """Return a follower of the journal from that offset on."""
    return Follower(path, from_offset)


def put_on_disk(path: AnyPath) -> None:
    """Sync the journal that was read: an end is reported only once it is durable."""
    try:
        with open_reading(path) as file:
            sync_fd(file.fileno())
    except OSError:
        pass  # a system that syncs only for writers; the supervisor does so within 10 ms


def read_last_begin(path: AnyPath) -> Optional[Begin]:
    """Return the latest beginning of a sitting, without decoding the rest; None if none."""
    latest: Optional[Begin] = None
    for begin in read_begins(path):
        latest = begin
    return latest


def read_begins(path: AnyPath) -> Iterator[Begin]:
    """Return the beginnings of all sittings, in order; none if there is no journal.

    OSError if it cannot be read, as for `read_last_begin` and `plans`.
    """
    return (record for _, record in _read_type(path, b"begin") if isinstance(record, Begin))


def read_plans(path: AnyPath, *, folder: Optional[Folder] = None) -> Iterator[Tuple[int, Planned]]:
    """Return the plans of all sittings with their record numbers, in order; decode nothing else.

    `folder` as for `read_journal`.
    """
    for seq, record in _read_type(path, b"planned", folder):
        if isinstance(record, Planned):
            yield seq, record


def _read_type(
    path: AnyPath, tag: bytes, folder: Optional[Folder] = None
) -> Iterator[Tuple[int, Record]]:
    try:
        file = _open(path, folder)
    except MISSING:
        return
    start = b'{"t":"%s"' % tag
    with file:
        for line, whole in _read_lines(file):
            if not whole or start not in line[:48]:
                continue
            try:
                yield decode_line(line[:-1])
            except BadLine:
                continue


def _open(path: AnyPath, folder: Optional[Folder]) -> BinaryIO:
    return open_record(path) if folder is None else folder.record(os.path.basename(path))


@seam("read lines")
def _read_lines(file: BinaryIO) -> Iterator[Tuple[bytes, bool]]:
    """Yield each line with its newline, and whether it is whole; too long ones in pieces."""
    within = False  # the rest of a line that was too long
    for line in iter(partial(file.readline, LONGEST_LINE_BYTES), b""):
        ends = line[-1:] == b"\n"
        yield line, ends and not within
        within = not ends


def _look_at(line: bytes) -> Tuple[Optional[str], Optional[int]]:
    """Return the type and the version of a record; without a type the line is not a record."""
    try:
        fields = msgspec.json.decode(line[9:].partition(b" ")[2])
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None, None
    kind = fields.get("t") if isinstance(fields, dict) else None
    if not isinstance(kind, str):
        return None, None
    version = fields.get("version")
    return kind[:40], version if isinstance(version, int) else None
