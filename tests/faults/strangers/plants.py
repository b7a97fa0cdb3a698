"""What strangers put in the place of a file or folder, and how it is taken away again.

Used by the harness, before procsup starts, and in procsup's own process just before a call, so
that nothing of procsup is imported here. Where we are root all of it belongs to a stranger.
"""

import ctypes
import os
import re
import shutil
import stat
from typing import Callable, Dict, NamedTuple, Optional

STRANGER = 60001  # the number of a user who has no account here
HUGE_BYTES = 1 << 40
_BIND, _DETACH = 4096, 2


class Place(NamedTuple):
    """Where something is planted; `twin`: what a stranger has there; `park`: for what was there.

    `outside` is a folder that has nothing to do with the run.
    """

    path: str
    twin: str
    park: str
    outside: str


def is_root() -> bool:
    """Whether we may give files away."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def plant(kind: str, place: Place) -> None:
    """Move what is there away, and put something else in its place.

    That is made elsewhere: procsup's other threads and its units never see a part of it, and
    nothing of it as ours.
    """
    os.makedirs(os.path.dirname(place.path), exist_ok=True)
    if kind in MOUNTS:
        MOUNTS[kind](place)
        return
    made = os.path.join(f"{place.park}.made", os.path.basename(place.path))
    remove(os.path.dirname(made))
    os.mkdir(os.path.dirname(made))
    PLANTS[kind](place._replace(path=made))
    if is_root() and kind != "hard link":
        give(made)
    if os.path.lexists(place.path):
        os.rename(place.path, place.park)
    os.rename(made, place.path)


def take_away(kind: str, place: Place) -> None:
    """Remove what is there, whatever it is by now, and put back what was there before."""
    if kind in MOUNTS:
        unmount_all(os.path.dirname(os.path.dirname(place.park)))
        return
    remove(place.path)
    if os.path.isdir(os.path.dirname(place.path)) and os.path.lexists(place.park):
        os.rename(place.park, place.path)
    remove(place.park)  # the folder that it was in is gone


def unmount_all(folder: str) -> None:
    """Take away every mount below a folder: what is above one may have got another name."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        places = [_UNSAID.sub(_said, line.split(" ")[4]) for line in file]
    for path in reversed(places):
        if path.startswith(f"{folder}/"):
            _call("umount2", os.fsencode(path), _DETACH)


_UNSAID = re.compile(r"\\(\d{3})")


def _said(escape: "re.Match[str]") -> str:
    return chr(int(escape[1], 8))


def give(path: str) -> None:
    """Make something a stranger's, with all that is in it; its modes stay as they are."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            give(os.path.join(path, name))
    os.lchown(path, STRANGER, STRANGER)


def remove(path: str) -> None:
    """Remove whatever is there; links are not followed."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def copy(source: str, target: str) -> None:
    """Copy a file or folder, with times and modes."""
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


# --- what is planted ----------------------------------------------------------------------------


def find_target(kind: str, place: Place) -> Optional[str]:
    """Return where what is planted leads: what is written to it is written there; None: nowhere."""
    if kind == "link":
        return place.twin if os.path.lexists(place.twin) else _secret(place)
    if kind in ("hard link", "mount on a file"):
        return place.twin if os.path.isfile(place.twin) else _secret(place)
    if kind == "link to a folder":
        return place.outside
    names = {"dangling link": "made-by-procsup", "mount": "mounted"}
    return os.path.join(place.outside, names[kind]) if kind in names else None


def _secret(place: Place) -> str:
    return os.path.join(place.outside, "secret")


def _link(place: Place, kind: str = "link") -> None:
    target = find_target(kind, place)
    assert target is not None
    os.symlink(target, place.path)


def _dangling(place: Place) -> None:
    _link(place, "dangling link")


def _folder_link(place: Place) -> None:
    _link(place, "link to a folder")


def _loop(place: Place) -> None:
    os.symlink(os.path.basename(place.path), place.path)


def _hard_link(place: Place) -> None:
    target = find_target("hard link", place)
    assert target is not None
    os.link(target, place.path)


def _fifo(place: Place) -> None:
    os.mkfifo(place.path)


def _socket(place: Place) -> None:
    os.mknod(place.path, stat.S_IFSOCK | 0o666)


def _endless(place: Place) -> None:
    os.mknod(place.path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def _empty(place: Place) -> None:
    os.mknod(place.path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


def _folder(place: Place) -> None:
    os.mkdir(place.path)
    _write(os.path.join(place.path, "theirs"))


def _file(place: Place) -> None:
    _write(place.path)


def _huge(place: Place) -> None:
    _write(place.path)
    os.truncate(place.path, HUGE_BYTES)


def _theirs(place: Place) -> None:
    if os.path.lexists(place.twin):
        copy(place.twin, place.path)
    else:
        _write(place.path)


def _theirs_open(place: Place) -> None:
    _theirs(place)
    os.chmod(place.path, 0o777 if os.path.isdir(place.path) else 0o666)


def _write(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"theirs\n")


def _mount(place: Place) -> None:
    os.makedirs(place.path, exist_ok=True)
    _bind("mount", place)


def _mount_file(place: Place) -> None:
    if not os.path.lexists(place.path):
        os.close(os.open(place.path, os.O_CREAT | os.O_EXCL, 0o600))
    _bind("mount on a file", place)


def _bind(kind: str, place: Place) -> None:
    source = find_target(kind, place)
    assert source is not None
    if not _call("mount", os.fsencode(source), os.fsencode(place.path), None, _BIND, None):
        raise OSError(ctypes.get_errno(), "mount", place.path)


def _call(name: str, *arguments: object) -> bool:
    return getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == 0


PLANTS: Dict[str, Callable[[Place], None]] = {
    "link": _link,
    "dangling link": _dangling,
    "link to a folder": _folder_link,
    "link to itself": _loop,
    "hard link": _hard_link,
    "FIFO": _fifo,
    "socket": _socket,
    "endless device": _endless,
    "empty device": _empty,
    "folder": _folder,
    "file": _file,
    "huge file": _huge,
    "theirs": _theirs,
    "theirs, open to all": _theirs_open,
}
MOUNTS: Dict[str, Callable[[Place], None]] = {
    "mount": _mount,
    "mount on a file": _mount_file,
}
DEVICES = ("endless device", "empty device")
KINDS = (*PLANTS, *MOUNTS)
