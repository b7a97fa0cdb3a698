"""The limits that Linux control groups set on this process: CPU time and memory.

A limit of any ancestor holds too, so every folder from the process' group up to the mount is
read. The group is found through /proc/self/cgroup and /proc/self/mountinfo: a fixed path below
/sys/fs/cgroup is wrong outside of containers (cgroups(7)).
"""

import os
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

_UNLIMITED_BYTES = 1 << 60  # version 1 writes "no limit" as a number just below 2**63


class Limits(NamedTuple):
    """CPUs (a share of time, may be a fraction) and bytes of memory; None: no limit is set."""

    cpus: Optional[float] = None
    memory_bytes: Optional[int] = None


class _Mount(NamedTuple):
    root: str  # the folder of the hierarchy that is mounted
    point: str
    controllers: Tuple[str, ...]  # () for version 2


def read_limits(proc: str = "/proc/self") -> Limits:
    """Return the strictest limits over all groups that the process is in; never raises."""
    memberships = _parse_memberships(_read(os.path.join(proc, "cgroup")))
    cpus: List[float] = []
    memory: List[int] = []
    for mount in _parse_mounts(_read(os.path.join(proc, "mountinfo"))):
        for folder in _list_folders(mount, memberships):
            cpus.extend(_read_cpu_limits(folder, mount))
            memory.extend(_read_memory_limits(folder, mount))
    return Limits(min(cpus, default=None), min(memory, default=None))


def read_free_memory_bytes(proc: str = "/proc/self") -> Optional[int]:
    """Return what the groups of the process may still take of memory; None without a limit.

    The cache of files that are not in use counts as free.
    """
    memberships = _parse_memberships(_read(os.path.join(proc, "cgroup")))
    free: List[int] = []
    for mount in _parse_mounts(_read(os.path.join(proc, "mountinfo"))):
        used_name, cache_name = "memory.current", "inactive_file"
        if mount.controllers:
            used_name, cache_name = "memory.usage_in_bytes", "total_inactive_file"
        for folder in _list_folders(mount, memberships):
            limit = min(_read_memory_limits(folder, mount), default=None)
            used = _read_number(_read(os.path.join(folder, used_name)))
            if limit is not None and used is not None:
                cache = _read_field(_read(os.path.join(folder, "memory.stat")), cache_name)
                free.append(max(limit - used + cache, 0))
    return min(free, default=None)


def _read_field(text: str, name: str) -> int:
    fields = (line.partition(" ") for line in text.splitlines())
    return next((_read_number(value) or 0 for key, _, value in fields if key == name), 0)


def _parse_memberships(text: str) -> Dict[str, str]:
    """Return the group's path by controller; version 2 is the controller ``""``."""
    found: Dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon:
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _parse_mounts(text: str) -> Iterator[_Mount]:
    """Read mountinfo (proc(5)): fields, a hyphen, type, source, options."""
    for line in text.splitlines():
        left, hyphen, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if not hyphen or len(fields) < 5 or len(kind) < 3:
            continue
        root, point = _unescape(fields[3]), _unescape(fields[4])
        if kind[0] == "cgroup2":
            yield _Mount(root, point, ())
        elif kind[0] == "cgroup":
            yield _Mount(root, point, tuple(kind[2].split(",")))


def _list_folders(mount: _Mount, memberships: Dict[str, str]) -> Iterator[str]:
    """Yield the group's folder and all above it, up to the mount."""
    path = next((memberships[c] for c in mount.controllers or ("",) if c in memberships), None)
    if path is None:
        return
    inside = os.path.relpath(path, mount.root)
    # A group outside of what is mounted here (a container's view): only the mount can be read.
    names = [] if inside.startswith("..") or inside == "." else inside.split("/")
    for count in range(len(names), -1, -1):
        yield os.path.join(mount.point, *names[:count])


def _read_cpu_limits(folder: str, mount: _Mount) -> Iterator[float]:
    """Yield CPUs: quota over period, both in microseconds."""
    if not mount.controllers:
        quota, _, period = _read(os.path.join(folder, "cpu.max")).partition(" ")
    elif "cpu" in mount.controllers:
        quota = _read(os.path.join(folder, "cpu.cfs_quota_us"))
        period = _read(os.path.join(folder, "cpu.cfs_period_us"))
    else:
        return
    quota_us, period_us = _read_number(quota), _read_number(period)  # "max", -1, "": no limit
    if quota_us is not None and quota_us > 0 and period_us is not None and period_us > 0:
        yield quota_us / period_us


def _read_memory_limits(folder: str, mount: _Mount) -> Iterator[int]:
    if not mount.controllers:
        names = ["memory.max", "memory.high"]
    else:
        names = ["memory.limit_in_bytes"] if "memory" in mount.controllers else []
    for name in names:
        limit = _read_number(_read(os.path.join(folder, name)))
        if limit is not None and 0 <= limit < _UNLIMITED_BYTES:
            yield limit


def _read_number(text: str) -> Optional[int]:
    try:
        return int(text)
    except ValueError:
        return None


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""  # no such controller in this group, or the group was removed
