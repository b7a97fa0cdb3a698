"""Finds the files that a process has open, or mapped, for writing.

On Linux it reads /proc/PID/fd, fdinfo and maps. On other systems that would be expensive: there the
open files of a process are unknown.
"""

import os
import sys
from typing import Iterator, List, Optional

from procsup.host import procfs, titles
from procsup.host.processes import OpenFile, TreeProcess

_WRITING = os.O_WRONLY | os.O_RDWR
_DELETED = " (deleted)"


def open_for_writing(pid: int) -> Optional[List[OpenFile]]:
    """Return the files that a process has open, or mapped and shared, for writing.

    None if unknown: on other systems, and for another user's process. Descriptors that are being
    sent through a socket are not seen (unix(7)).
    """
    if sys.platform != "linux":
        return None
    try:
        folders = _list_descriptor_folders(pid)
        found = [file for folder in folders for file in _list_descriptors(folder)]
    except PermissionError:
        return None
    return [*found, *_list_mapped(pid)]


def list_writers(path: str) -> List[TreeProcess]:
    """Return the processes that have a file open for writing, as far as they can be seen."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    found = []
    for pid in procfs.list_pids():
        files = open_for_writing(pid) or []
        if any((one.device, one.inode) == (status.st_dev, status.st_ino) for one in files):
            found.append(TreeProcess(pid, 0, titles.read_title(pid), files))
    return found


def _list_descriptor_folders(pid: int) -> List[str]:
    """Return the folder of the process; if its first thread is dead, those of its other threads."""
    folder = f"/proc/{pid}"
    process = procfs.look(pid)
    if process is None or process.state != "Z":
        return [folder]
    try:
        return [f"{folder}/task/{thread}" for thread in os.listdir(f"{folder}/task")]
    except OSError:
        return []  # it has ended


def _list_descriptors(folder: str) -> Iterator[OpenFile]:
    try:
        names = os.listdir(f"{folder}/fd")
    except PermissionError:
        raise
    except OSError:
        return  # it has ended: nothing is open any more
    for name in names:
        link = f"{folder}/fd/{name}"
        try:
            path = os.readlink(link)
            if path.startswith("/") and _is_for_writing(f"{folder}/fdinfo/{name}"):
                status = os.stat(link)
                yield OpenFile(status.st_dev, status.st_ino, _strip_mark(path))
        except OSError:
            continue  # closed since the list was read


def _is_for_writing(path: str) -> bool:
    """Read the flags of an open file, an octal number in the second line (proc(5))."""
    for line in procfs.read(path).splitlines():
        if line.startswith(b"flags:"):
            return bool(int(line.split()[1], 8) & _WRITING)
    return False


def _list_mapped(pid: int) -> Iterator[OpenFile]:
    if sys.platform == "win32":
        return
    for line in procfs.read(f"/proc/{pid}/maps").splitlines():
        fields = line.split(None, 5)
        # address, permissions, offset, device, inode, path
        if len(fields) < 6 or fields[1][1:2] != b"w" or fields[1][3:4] != b"s":
            continue
        major, _, minor = fields[3].partition(b":")
        device = os.makedev(int(major, 16), int(minor, 16))
        path = os.fsdecode(fields[5])
        if path.startswith("/"):
            yield OpenFile(device, int(fields[4]), _strip_mark(path))


def _strip_mark(path: str) -> str:
    return path[: -len(_DELETED)] if path.endswith(_DELETED) else path
