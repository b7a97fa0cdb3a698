"""Start procsup where something is lacking: WHAT,... [--stranger FILE] [--seed CODE] ARGS...

``pidfd`` and ``subreaper`` are taken away by the kernel itself (seccomp: what a container's
profile or an old kernel does); ``lists``, the lists of children in /proc that a kernel without
CONFIG_PROC_CHILDREN has not, by hiding them from Python. ``none``: nothing is lacking.
``--stranger`` first starts a child that is none of procsup's, and writes its pid there; ``--seed``
executes code that makes procsup a worse one by `plant`: the proof that the harness sees it.
"""

import ctypes
import errno
import os
import platform
import runpy
import struct
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
STRANGER_S = 60
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER = 38, 22, 36
FILTER = 2
PIDFD_OPEN, PIDFD_SEND_SIGNAL = 434, 424
PRCTL = {"x86_64": 157, "aarch64": 167}
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
NUMBER, FIRST_ARGUMENT = 0, 16  # where they are in what the filter is shown


def can_filter():
    """Tell whether this machine's system calls are known here."""
    return sys.platform == "linux" and platform.machine() in PRCTL


def forbid(what):
    """Let the kernel answer as if it did not know these calls, here and in all that follows."""
    program = [(LOAD, 0, 0, NUMBER)]
    if "pidfd" in what:
        for number in (PIDFD_OPEN, PIDFD_SEND_SIGNAL):
            program += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, FAIL | errno.ENOSYS)]
    if "subreaper" in what:
        program += [
            (JUMP_IF_EQUAL, 0, 3, PRCTL[platform.machine()]),
            (LOAD, 0, 0, FIRST_ARGUMENT),
            (JUMP_IF_EQUAL, 0, 1, PR_SET_CHILD_SUBREAPER),
            (RETURN, 0, 0, FAIL | errno.EINVAL),
        ]
    program.append((RETURN, 0, 0, ALLOW))
    install(b"".join(struct.pack("=HBBI", *line) for line in program), len(program))


def install(code, length):
    libc = ctypes.CDLL(None, use_errno=True)
    lines = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("@HP", length, ctypes.addressof(lines)))
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0) == 0, ctypes.get_errno()


def hide_lists():
    """Hide the lists of children from this process and its forks."""
    whole_open, whole_exists = os.open, os.path.exists

    def is_list(path):
        return str(path).startswith("/proc/") and str(path).endswith("/children")

    def open_(path, *args, **options):
        if is_list(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return whole_open(path, *args, **options)

    os.open = open_
    os.path.exists = lambda path: not is_list(path) and whole_exists(path)


def start_stranger(path):
    """Leave procsup a child, as a shell does that calls exec."""
    code = f"from time import sleep; sleep({STRANGER_S})"
    null = subprocess.DEVNULL
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code], stdin=null, stdout=null, stderr=null
    )
    with open(path, "w") as file:
        file.write(str(child.pid))


def main(what, *args):
    lacking = [] if what == "none" else what.split(",")
    if args[0] == "--stranger":
        start_stranger(args[1])
        args = args[2:]
    if set(lacking) - {"lists"}:
        forbid(lacking)
    if "lists" not in lacking and args[0] != "--seed":
        os.execv(sys.executable, [sys.executable, "-m", "procsup", *args])
    if "lists" in lacking:
        hide_lists()
    if args[0] == "--seed":
        sys.path.insert(0, ROOT)
        from tests.faults.seams import nothing, plant

        del sys.path[0]
        exec(args[1], {"plant": plant, "nothing": nothing})
        args = args[2:]
    sys.argv[1:] = args
    del sys.path[0]
    runpy.run_module("procsup", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
