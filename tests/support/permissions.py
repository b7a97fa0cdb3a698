"""What may not be read, for root, too: whose right to read everything is laid down for a while."""

import ctypes
import os
import sys
from contextlib import contextmanager

_VERSION = 0x20080522
_READS_EVERYTHING = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def as_anybody():
    """Let this thread be refused what the permissions refuse; yields whether that works here."""
    if sys.platform == "win32":
        yield False
        return
    if os.geteuid() != 0:
        yield True
        return
    if not sys.platform.startswith("linux"):
        yield False
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _Header(_VERSION, 0), (_Data * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    before = data[0].effective
    data[0].effective &= ~_READS_EVERYTHING
    assert libc.capset(ctypes.byref(header), data) == 0
    try:
        yield True
    finally:
        data[0].effective = before
        assert libc.capset(ctypes.byref(header), data) == 0


@contextmanager
def closed(path, mode=0o000):
    """Give a folder or file this mode for a while, and hold us to it; yields as `as_anybody`."""
    before = os.stat(path).st_mode & 0o7777
    os.chmod(path, mode)
    try:
        with as_anybody() as works:
            yield works
    finally:
        os.chmod(path, before)
