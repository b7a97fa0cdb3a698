"""Import every test module as if this were Windows, and print what fails.

First all is imported as it is, so that only the tests' own modules meet what Windows lacks: names
of `os` and `signal`, modules, programs of POSIX. A module may skip itself, but none may import
one that does: it would be skipped with it, without a word.
"""

import importlib
import os
import pathlib
import shutil
import signal
import sys
import traceback

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
NO_MODULES = "fcntl grp posix pty pwd resource syslog termios tty"
SIGNALS = "SIGABRT SIGFPE SIGILL SIGINT SIGSEGV SIGTERM SIG_DFL SIG_IGN"
NOT_OF_SIGNAL = "alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt"
NOT_OF_OS = """
    EX_OK F_LOCK O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC P_ALL P_PID
    RTLD_NOW WCOREDUMP WEXITED WEXITSTATUS WIFEXITED WIFSIGNALED WIFSTOPPED WNOHANG WNOWAIT
    WSTOPPED WTERMSIG WUNTRACED chown chroot confstr ctermid environb fchdir fchmod fchown
    fdatasync fork forkpty getegid geteuid getgid getgrouplist getgroups getloadavg getpgid
    getpgrp getpriority getsid getuid getxattr initgroups killpg lchown lockf major makedev
    minor mkfifo mknod nice openpty pathconf pipe2 posix_spawn pread preadv pwrite
    register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid
    setgid setgroups setpgid setpriority setregid setresuid setreuid setsid setuid setxattr
    statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev
"""


def modules():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name.startswith(("test_", "conftest")) or path.parent.name == "support":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), str(path)


def become_windows():
    for name in NOT_OF_OS.split():
        vars(os).pop(name, None)
    signals = {name for name in dir(signal) if name.startswith("SIG")} - {*SIGNALS.split()}
    for name in (*signals, *NOT_OF_SIGNAL.split()):
        vars(signal).pop(name, None)
    sys.modules.update(dict.fromkeys(NO_MODULES.split()))
    sys.platform, os.name = "win32", "nt"
    vars(sys.modules[pathlib.Path.__module__])["WindowsPath"] = pathlib.PosixPath
    shutil.which = lambda *_args, **_options: None


def what_fails(name, path):
    """Import a module; return why that fails, "" if it does not or it has skipped itself."""
    try:
        importlib.import_module(name)
    except pytest.skip.Exception as skipped:
        frames = traceback.extract_tb(skipped.__traceback__)
        ours = [
            one.filename for one in frames if one.filename.startswith(f"{ROOT / 'tests'}{os.sep}")
        ]
        by = ours[-1]  # an environment may lie in the project, and pytest with it
        return "" if by == path else f"is skipped since it imports {os.path.relpath(by, ROOT)}"
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        return f"{type(error).__name__}: {error}"
    return ""


def main():
    sys.path.insert(0, str(ROOT))
    found = list(modules())
    for name, path in found:
        assert not what_fails(name, path), (name, what_fails(name, path))
    become_windows()
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    for name, path in found:
        problem = "" if name == "tests.host.test_windows" else what_fails(name, path)
        if problem:
            print(f"{name}: {problem}")


main()
