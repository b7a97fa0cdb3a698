"""File identity: the record of a file, and when a file counts as the same.

* *unchanged*: its `Stamp` is the same as before. A link's stamp covers the link and its target.
* *written by this attempt*: its stamp differs from before the start (or there was none).
* *intact*: it matches its `Reading`, by `compare`. A file with the same size, mtime_ns, inode and
  ctime_ns is intact. Otherwise the content decides if a sha256 is recorded; if none is, or under
  `checksum` ``none``, size and mtime_ns decide, as in make. `checksum` ``all`` always reads the
  content. Fields that are not recorded are not compared.
"""

import errno
import os
import stat
import time
from typing import Dict, NamedTuple, Optional, Tuple

from msgspec import Struct

from procsup.core.outcome import Reading
from procsup.paths.opening import MISSING, open_regular
from procsup.paths.reader import describe_foreign

HASHED_UP_TO_BYTES = 64 * 1024 * 1024  # with checksum = "auto"

_CHUNK_BYTES = 1024 * 1024
_SHARED_MOST = 4096
_SETTLED_NS = 3_000_000_000  # beyond the coarsest clock of a file system: 2 s
# On Windows, where files have attributes, st_ctime_ns is the time of creation.
_HAS_CTIME = not hasattr(os.stat_result, "st_file_attributes")
_INODE_BITS = (1 << 63) - 1  # some file systems have longer numbers, too long for a record


class Link(NamedTuple):
    """The identity of a symbolic link itself: a link made again with the same target differs."""

    inode: int
    ctime_ns: int
    mtime_ns: int
    target: str


class Stamp(NamedTuple):
    """The identity of the file at a path, and of the link, if the path is one.

    Every write changes it. A write of the same size within one tick of the file system's clock
    changes it only if it made a new file.
    """

    inode: int
    ctime_ns: int
    mtime_ns: int
    size: int
    link: Optional[Link] = None

    def make_reading(
        self, path: str, *, sha256: Optional[str] = None, changed: bool = False
    ) -> Reading:
        """Return the reading of this file for the record."""
        ctime_ns = self.ctime_ns if _HAS_CTIME else None
        target = None if self.link is None else self.link.target
        inode = self.inode & _INODE_BITS
        return Reading(path, self.size, self.mtime_ns, sha256, inode, ctime_ns, target, changed)


def read_stamp(path: str) -> Optional[Stamp]:
    """Return the stamp of a path; None if nothing is there, or a broken link."""
    try:
        return _look(path)[0]
    except MISSING:
        return None


def find_link(path: str) -> Optional[Link]:
    """Return the identity of a symbolic link; None if the path is not one."""
    try:
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            return None
        return Link(status.st_ino, status.st_ctime_ns, status.st_mtime_ns, os.readlink(path))
    except MISSING:
        return None


def _look(path: str) -> Tuple[Stamp, os.stat_result]:
    """Return the stamp and the status of the file at a path; OSError if there is none."""
    status, link = os.lstat(path), None
    if stat.S_ISLNK(status.st_mode):
        link = find_link(path)
        status = os.stat(path)
    return _make_stamp(status, link), status


def _make_stamp(status: os.stat_result, link: Optional[Link]) -> Stamp:
    return Stamp(status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size, link)


class Contents:
    """Caches digests of files that many units share; a file is read again if its stamp changed."""

    def __init__(self) -> None:
        self._known: Dict[str, Tuple[Stamp, str]] = {}

    def get(self, path: str, stamp: Stamp) -> Optional[str]:
        """Return the cached sha256 of a file with this stamp, None if there is none."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == stamp else None

    def keep(self, path: str, stamp: Stamp, sha256: str) -> None:
        """Cache a digest, unless the file is so new that a write might not change its stamp."""
        if time.time_ns() - max(stamp.ctime_ns, stamp.mtime_ns) <= _SETTLED_NS:
            return
        if len(self._known) >= _SHARED_MOST:
            self._known.clear()
        self._known[path] = (stamp, sha256)


def read_file(
    path: str, *, checksum: str, contents: Optional[Contents] = None
) -> Optional[Reading]:
    """Return a file's current reading, None if it is missing; any other OSError is raised.

    `checksum` is ``auto`` (sha256 up to 64 MiB), ``all`` or ``none``. OSError if the file changes
    while its sha256 is computed.
    """
    found = read_stamped(path, checksum=checksum, contents=contents)
    return None if found is None else found[1]


def read_stamped(
    path: str, *, checksum: str, contents: Optional[Contents] = None
) -> Optional[Tuple[Stamp, Reading]]:
    """Return the stamp that a file had while it was read, and its reading; see `read_file`."""
    try:
        stamp, status = _look(path)
        if not _is_hashed(stamp, status.st_mode, checksum):
            return stamp, stamp.make_reading(path)
        stamp, sha256 = _compute_digest(path, stamp, contents)
        return stamp, stamp.make_reading(path, sha256=sha256)
    except MISSING:
        return None


def compute_digest(path: str) -> str:
    """Return the sha256 of a regular file; OSError if it cannot be read, or changes meanwhile."""
    return _read_content(path, None)[1]


def _is_hashed(stamp: Stamp, mode: int, checksum: str) -> bool:
    if checksum == "none" or not stat.S_ISREG(mode):
        return False  # opening a FIFO would block
    return checksum == "all" or stamp.size <= HASHED_UP_TO_BYTES


def _compute_digest(path: str, seen: Stamp, contents: Optional[Contents]) -> Tuple[Stamp, str]:
    sha256 = None if contents is None else contents.get(path, seen)
    if sha256 is not None:
        return seen, sha256
    stamp, sha256 = _read_content(path, seen.link)
    if contents is not None:
        contents.keep(path, stamp, sha256)
    return stamp, sha256


def _read_content(path: str, link: Optional[Link]) -> Tuple[Stamp, str]:
    import hashlib  # slow to load, and not needed by a run without files

    digest, length = hashlib.sha256(), 0
    with open(path, "rb", buffering=0, opener=open_regular) as file:
        before = os.fstat(file.fileno())
        while True:
            chunk = file.read(min(before.st_size + 1, _CHUNK_BYTES))
            length += len(chunk)
            if not chunk or length > before.st_size:  # a growing file may have no end
                break
            digest.update(chunk)
        after = os.fstat(file.fileno())
    if (length, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(errno.EBUSY, "it is written to while it is read", path)
    return _make_stamp(after, link), digest.hexdigest()


# --- comparison with the record ------------------------------------------------------------


class Comparison(Struct, frozen=True):
    """How a file differs from its record; empty if it is intact.

    `seen` is its new reading if the content was read and is the same: once recorded, the content
    need not be read again.
    """

    difference: str = ""
    seen: Optional[Reading] = None


_INTACT = Comparison()


def compare(
    recorded: Reading,
    *,
    checksum: str,
    contents: Optional[Contents] = None,
    owner: Optional[int] = None,
) -> Comparison:
    """Whether a file is intact, by the rule in the module docstring. Never raises OSError.

    With an `owner`, a file of any other user is not intact: the owner wrote the record, and may
    have named any file.
    """
    if recorded.changed:
        return Comparison("changed while the unit ran")
    try:
        stamp, status = _look(recorded.path)
        if not stat.S_ISREG(status.st_mode):
            return Comparison("no longer a file")
        if owner is not None and status.st_uid != owner:
            return Comparison(describe_foreign(status.st_uid, owner))
        if stamp.size != recorded.size:
            return Comparison(f"size {recorded.size} → {stamp.size}")
        now = stamp.make_reading(recorded.path, sha256=recorded.sha256)
        if checksum != "all" and _is_same_file(recorded, now):
            return _INTACT
        if recorded.sha256 is None or checksum == "none":
            return Comparison(_compare_as_make_does(recorded, now))
        stamp, sha256 = _compute_digest(recorded.path, stamp, contents)
    except MISSING:
        return Comparison("missing")
    except OSError as error:
        return Comparison(f"cannot be read: {error.strerror or error}")
    if sha256 != recorded.sha256:
        return Comparison("content differs")
    now = stamp.make_reading(recorded.path, sha256=sha256)
    return _INTACT if now == recorded else Comparison(seen=now)


def is_intact(recorded: Reading, *, checksum: str) -> bool:
    """Whether a file is intact; see `compare`."""
    return not compare(recorded, checksum=checksum).difference


def has_recorded_stamps(recorded: Reading) -> bool:
    """Whether a path is a regular file with all its recorded stamps; false if that is unknown.

    It is quicker than `compare`, which also handles links, other stamps and older records.
    """
    try:
        status = os.lstat(recorded.path)
    except OSError:
        return False  # `compare` says why
    return (
        stat.S_ISREG(status.st_mode)
        and recorded.link is None
        and not recorded.changed
        and (status.st_mtime_ns, status.st_size) == (recorded.mtime_ns, recorded.size)
        and status.st_ino & _INODE_BITS == recorded.inode
        and (not _HAS_CTIME or status.st_ctime_ns == recorded.ctime_ns)
    )


def _is_same_file(recorded: Reading, now: Reading) -> bool:
    if recorded.mtime_ns != now.mtime_ns:
        return False
    if recorded.inode is None:  # from an older procsup, which recorded neither inodes nor links
        return True
    same_link = recorded.link == now.link
    return same_link and (recorded.inode, recorded.ctime_ns) == (now.inode, now.ctime_ns)


def _compare_as_make_does(recorded: Reading, now: Reading) -> str:
    if recorded.mtime_ns != now.mtime_ns:
        return "time differs"
    if recorded.inode is not None and recorded.link != now.link:
        return _is_other_link(recorded.link, now.link)
    return ""


def _is_other_link(before: Optional[str], now: Optional[str]) -> str:
    if now is None:
        return f"is no link to {before} any more"
    return f"is a link to {now} now" + (f", was one to {before}" if before is not None else "")
