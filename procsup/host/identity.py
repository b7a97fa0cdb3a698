"""Ids of this machine, this boot and this process, for records."""

import os
import sys
from typing import Optional, Tuple

from procsup.host import procfs


def get_host_name() -> str:
    """Return the network name of this machine."""
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "") or "windows"
    return os.uname().nodename


def get_machine_id() -> Tuple[str, str]:
    """Return (host name, id of this boot; empty if unknown): the scope of locks and pids.

    Two containers of one machine differ in the name and agree in the boot.
    """
    return get_host_name(), read_boot_id()


def read_pid_namespace() -> str:
    """Return the pid namespace (``pid:[4026531836]``); empty if the system does not show it."""
    if sys.platform != "linux":
        return ""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_ticks() -> Optional[int]:
    """Return when this process was started, in clock ticks since boot; None if unknown."""
    process = procfs.look(os.getpid())
    return None if process is None else process.start_ticks


def read_boot_id() -> str:
    """Return an id that changes only with a boot; empty if the system has none."""
    if sys.platform == "linux":
        return _read_first_line("/proc/sys/kernel/random/boot_id")
    if sys.platform == "darwin":
        return _read_sysctl("kern.bootsessionuuid")
    if sys.platform == "win32":
        return _read_windows_boot_number()
    return ""


def describe_platform() -> str:
    """Return system, release and architecture, for records: ``Linux 6.1.0 x86_64``."""
    if sys.platform == "win32":
        version = sys.getwindowsversion()
        machine = os.environ.get("PROCESSOR_ARCHITECTURE", "")
        return f"Windows {version.major}.{version.minor}.{version.build} {machine}".strip()
    name = os.uname()
    return f"{name.sysname} {name.release} {name.machine}"


def _read_first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _read_sysctl(name: str) -> str:
    """Read a text by sysctlbyname(3)."""
    import ctypes

    try:
        text, size = ctypes.create_string_buffer(128), ctypes.c_size_t(128)
        failed = ctypes.CDLL(None).sysctlbyname(
            name.encode(), text, ctypes.byref(size), None, ctypes.c_size_t(0)
        )
    except (OSError, AttributeError):
        return ""
    return "" if failed else text.value.decode("ascii", "replace")


def _read_windows_boot_number() -> str:
    """Read the number of boots that the memory manager counts (PrefetchParameters\\BootId)."""
    if sys.platform != "win32":
        return ""
    import winreg

    path = (
        "SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management\\PrefetchParameters"
    )
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
            return f"boot-{winreg.QueryValueEx(key, 'BootId')[0]}"
    except OSError:
        return ""
