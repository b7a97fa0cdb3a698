"""Finds the owner of a file, and folders in which other users may replace our entries.

A user who may write to a folder may rename any entry of it, even another user's, and put another
one in its place; in a sticky folder, such as /tmp, only entries of their own. Root may do
everything, so root is always trusted. Modelled on the StrictModes of OpenSSH. POSIX access lists
are read (Linux); those of NFSv4 and macOS are not. Windows has access lists only, which are not
read either: everything counts as ours.
"""

import errno
import os
import stat
import struct
import sys
from functools import lru_cache
from typing import Callable, Iterator, List, Optional, Set, Tuple, Union

from msgspec import Struct

from procsup.paths.opening import AnyPath
from procsup.paths.reader import Reader, describe_foreign

Place = Union[str, int]  # of a file: its path, or its descriptor

_USER, _GROUP_OF_FILE, _GROUP, _MAY_WRITE = 2, 4, 8, 2  # in an access list: linux/posix_acl.h
_LIST = "access list (getfacl)"
_WITHOUT_NUMBER = 65534  # in a user namespace: every user outside it

MOST_LINKS = 40  # as Linux


class Doubt(Struct, frozen=True):
    """A folder in which other users may exchange entries, and why; `by_mode`: its mode allows it.

    `is_ours`: the folder is ours, so that we may change its mode.
    """

    folder: str
    why: str
    by_mode: bool
    is_ours: bool


if sys.platform == "win32":

    def is_root() -> bool:
        """Tell whether we may do everything by the system's own word."""
        return False

    def is_ours(status: os.stat_result) -> bool:  # noqa: ARG001 - as elsewhere
        """Tell whether a file is ours."""
        return True

    def is_ours_or_roots(status: os.stat_result) -> bool:  # noqa: ARG001 - as elsewhere
        """Tell whether a file is ours, or the system's."""
        return True

    def explain_others_may(status: os.stat_result, place: Place) -> Optional[str]:  # noqa: ARG001 - as elsewhere
        """Return why others may write to a file or folder; None if only we and root may."""
        return None

    def explain_by_mode(status: os.stat_result, place: Place) -> Optional[str]:  # noqa: ARG001 - as elsewhere
        """Return why others than its owner may write to it; None if they may not."""
        return None

    def name_user(uid: int) -> str:
        """Return how to call a user in a message."""
        return f"user {uid}"

    def refuse_foreign(fd: int, path: str, owner: int) -> None:
        """Do nothing: access lists are not read."""

    def find_other_user(folder: AnyPath) -> Optional[int]:  # noqa: ARG001 - as elsewhere
        """Return the user of a run that is neither ours nor the system's; None otherwise."""
        return None

    def find_reader(folder: AnyPath) -> Optional[Reader]:  # noqa: ARG001 - as elsewhere
        """Return the user for whom a run's files are read; None if there is no other than us."""
        return None

else:
    import grp
    import pwd

    def is_root() -> bool:
        """Tell whether we may do everything by the system's own word."""
        return os.geteuid() == 0

    def is_ours(status: os.stat_result) -> bool:
        """Tell whether a file is ours."""
        return status.st_uid == os.geteuid()

    def is_ours_or_roots(status: os.stat_result) -> bool:
        """Tell whether a file is ours, or the system's."""
        return status.st_uid in (os.geteuid(), 0) or (
            status.st_uid == _WITHOUT_NUMBER and _is_in_user_namespace()
        )

    def explain_others_may(status: os.stat_result, place: Place) -> Optional[str]:
        """Return why others may write to a file or folder; None if only we and root may.

        To write to a folder is to rename what is in it. `place` is its path, or a descriptor.
        """
        if not is_ours_or_roots(status):
            return f"belongs to {name_user(status.st_uid)}"
        return explain_by_mode(status, place)

    def explain_by_mode(status: os.stat_result, place: Place) -> Optional[str]:
        """Return why others than its owner may write to it; None if they may not.

        With an access list the group's bits are the most that the users and groups in it may do.
        """
        mode = f"(mode {stat.S_IMODE(status.st_mode):04o})"
        if status.st_mode & stat.S_ISVTX:
            return None
        if status.st_mode & stat.S_IWOTH:
            return f"may be written to by every user {mode}"
        if not status.st_mode & stat.S_IWGRP:
            return None
        listed = _read_access_list(place)
        if listed is None:
            listed = [(_GROUP_OF_FILE, 0)]
        for kind, number in listed:
            if kind == _USER and number not in (os.geteuid(), status.st_uid, 0):
                return f"may be written to by {name_user(number)}, who is in its {_LIST}"
            gid = status.st_gid if kind == _GROUP_OF_FILE else number
            if kind != _USER and not _is_private(gid, os.geteuid()):
                group = f"its group, {_name_group(gid)} {mode}"
                named = f"the group {_name_group(gid)}, which is in its {_LIST}"
                return f"may be written to by {named if kind == _GROUP else group}"
        return None

    def _read_access_list(place: Place) -> "Optional[List[Tuple[int, int]]]":
        """Return the users and groups that an access list lets write (Linux); None without one."""
        if sys.platform != "linux":
            return None
        try:
            text = os.getxattr(place, "system.posix_acl_access")
        except OSError:
            return None
        entries = struct.iter_unpack("<HHI", text[4:])
        return [
            (kind, number)
            for kind, allowed, number in entries
            if kind in (_USER, _GROUP_OF_FILE, _GROUP) and allowed & _MAY_WRITE
        ]

    def name_user(uid: int) -> str:
        """Return how to call a user in a message."""
        user = _read_user_entry(uid)
        return f"an unknown user (uid {uid})" if user is None else f"user {user.pw_name}"

    def refuse_foreign(fd: int, path: str, owner: int) -> None:
        """Raise OSError unless an open file belongs to the user of the run."""
        uid = os.fstat(fd).st_uid
        if uid != owner:
            raise OSError(errno.EINVAL, f"it {describe_foreign(uid, owner)}", path)

    def find_other_user(folder: AnyPath) -> Optional[int]:
        """Return the user of a run that is neither ours nor the system's; None otherwise."""
        status = os.lstat(folder)
        return None if status.st_uid in (os.geteuid(), 0) else status.st_uid

    def find_reader(folder: AnyPath) -> Optional[Reader]:
        """Return the user for whom a run's files are read; None if there is no other than us.

        A run of root may read all that root may. OSError if there is no such folder.
        """
        uid = find_other_user(folder)
        return None if uid is None else Reader(name_user(uid), uid, _list_groups(uid))

    def _list_groups(uid: int) -> Set[int]:
        user = _read_user_entry(uid)
        return set() if user is None else set(os.getgrouplist(user.pw_name, user.pw_gid))

    def _name_group(gid: int) -> str:
        group = _read_group_entry(gid)
        return str(gid) if group is None else group.gr_name

    def _read_user_entry(uid: int) -> Optional[pwd.struct_passwd]:
        try:
            return pwd.getpwuid(uid)
        except KeyError:
            return None

    def _read_group_entry(gid: int) -> Optional[grp.struct_group]:
        try:
            return grp.getgrgid(gid)
        except KeyError:
            return None

    @lru_cache(maxsize=64)
    def _is_private(gid: int, uid: int) -> bool:
        """Whether only that user (and root) is in a group: many systems give each user one.

        The system cannot list all users of a group. But such a group has the name of its user, or,
        where neither has a name (`docker run --user 1000:1000`), the same number.
        """
        us, group = _read_user_entry(uid), _read_group_entry(gid)
        if us is None or group is None:
            return us is None and group is None and gid == uid
        return us.pw_gid == gid and us.pw_name == group.gr_name and set(group.gr_mem) <= {
            us.pw_name, "root"
        }  # fmt: skip

    @lru_cache(maxsize=1)
    def _is_in_user_namespace() -> bool:
        try:
            with open("/proc/self/uid_map", encoding="ascii") as file:
                return file.read().split() != ["0", "0", "4294967295"]
        except (OSError, ValueError):
            return False


def find_doubts(path: str, *, is_trusted: Callable[[str], bool]) -> Iterator[Doubt]:
    """Yield the folders on the way to `path` in which other users may exchange entries.

    `path` is absolute. It and all folders and links that lead to it are checked, as far as they
    exist. Folders for which `is_trusted` is true are left out.
    """
    if sys.platform == "win32":
        return
    for here, status in _walk_way(path):
        why = explain_foreign_link(status) if stat.S_ISLNK(status.st_mode) else None
        if stat.S_ISDIR(status.st_mode):
            why = explain_others_may(status, here)
        if why is not None and not is_trusted(here):
            yield Doubt(here, why, is_ours_or_roots(status), is_root() or is_ours(status))


def find_first_closed(path: str, *, group: bool) -> Optional[str]:
    """Return the first folder on the way to `path` that other users may not enter; None if none.

    With `group` the other users are only those of its group. Missing folders are skipped.
    """
    bits = stat.S_IXOTH | (stat.S_IXGRP if group else 0)
    if sys.platform == "win32":
        return None
    for here, status in _walk_way(path):
        if stat.S_ISDIR(status.st_mode) and not status.st_mode & bits:
            return here
    return None


def explain_foreign_link(status: os.stat_result) -> Optional[str]:
    """Return whose a link is if another user can change its target; None if it is ours."""
    if is_ours_or_roots(status):
        return None
    return f"is a link that belongs to {name_user(status.st_uid)}"


def _walk_way(path: str) -> Iterator[Tuple[str, os.stat_result]]:
    """Yield the folders and links that the system passes when it follows a path, targets included.

    It ends at the first name that does not exist or that we may not look at.
    """
    names = path.split("/")[::-1]
    here, links = "/", 0
    yield here, os.lstat(here)
    while names:
        name = names.pop()
        if name in ("", os.curdir):
            continue
        following = os.path.dirname(here) if name == os.pardir else os.path.join(here, name)
        try:
            status = os.lstat(following)
            target = os.readlink(following) if stat.S_ISLNK(status.st_mode) else None
        except OSError:
            return
        yield following, status
        if target is None:
            here = following
            continue
        links += 1
        if links > MOST_LINKS:
            return  # a loop of links: the system refuses it, too
        here = "/" if os.path.isabs(target) else here
        names += target.split("/")[::-1]
