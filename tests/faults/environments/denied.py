"""A start program: procsup on a system that lacks something. ``python denied.py WHAT ARGS...``"""

import ctypes
import errno
import os
import runpy
import sys


def refuse(*_args, **_kwargs):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def main():
    what = sys.argv.pop(1)
    if what == "pidfd":
        if hasattr(os, "pidfd_open"):
            os.pidfd_open = refuse
    elif what == "ctypes":  # so no prctl, and before Python 3.9 no pidfd
        ctypes.CDLL = refuse
    elif what == "affinity":
        os.sched_setaffinity = os.sched_getaffinity = refuse
    else:
        raise SystemExit(f"unknown: {what}")
    sys.argv[0] = "procsup"
    runpy.run_module("procsup", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
