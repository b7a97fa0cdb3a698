"""How procsup is started: streams closed, signals ignored, other locales, hidden systems."""

import os
import resource
import signal
import stat
import subprocess
import sys
from itertools import product
from pathlib import Path
from shutil import which
from typing import Any, Callable, Dict, List, Sequence, Tuple

from tests.faults.environments.scene import Scene, environment, run

HERE = Path(__file__).parent
IN_SHELL = ("/bin/sh", "-c")
SIGNALS = (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP)
Cases = List[Tuple[str, Dict[str, Any]]]
SMOKE = ("closed 012", "blocked SIGCHLD", "umask 777")


def attack(scene: Scene) -> None:
    for name, settings in _cases(scene):
        if scene.trial.wants(name) and (scene.trial.form != "smoke" or name in SMOKE):
            with scene.trial.case(name):
                case = scene.case(name)
                more = settings.pop("more", {})
                right = settings.pop("right", {0})
                code = run(case, env=environment(case, **more), **settings)
                scene.judge(case, code, right)
                mode = stat.S_IMODE(case.rundir.stat().st_mode)
                assert mode == 0o700, f"the run directory has the mode {mode:o}"


def _cases(scene: Scene) -> Cases:
    cases: Cases = []
    for closed in product((False, True), repeat=3):
        fds = [fd for fd in (0, 1, 2) if closed[fd]]
        shut = " ".join(("<&-", ">&-", "2>&-")[fd] for fd in fds)
        name = f"closed {''.join(map(str, fds)) or 'none'}"
        cases.append((name, {"prefix": [*IN_SHELL, f'exec "$@" {shut}', "sh"]}))
    for signum in SIGNALS:
        cases.append((f"ignored {signum.name}", {"before": _ignoring(signum)}))
        cases.append((f"blocked {signum.name}", {"before": _blocking([signum])}))
    cases.append(("blocked all", {"before": _blocking(range(1, 32))}))
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    cases.append(("locale C", {"more": plain}))
    cases.append(("locale unknown", {"more": {"LC_ALL": "xx_YY.nonsense"}}))
    for mask in (0, 0o777):
        cases.append((f"umask {mask:o}", {"before": _masking(mask)}))
    cases.append(("few descriptors", {"before": _limiting(resource.RLIMIT_NOFILE, 25)}))
    cases.append(("no core, no locked memory", {"before": _limiting(resource.RLIMIT_CORE, 0)}))
    full = {"stdout": _full(), "stderr": _full()}
    cases.append(("stdout and stderr full", full))
    for what in ("pidfd", "ctypes", "affinity"):
        program = (sys.executable, str(HERE / "denied.py"), what)
        cases.append((f"no {what}", {"program": program}))
    return [*cases, *_namespaces(scene)]


def _namespaces(scene: Scene) -> Cases:
    hidden = ["unshare", "-m", *IN_SHELL, 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    first = ["unshare", "--fork", "--pid", "--mount-proc"]
    if which("unshare") is None or not _works([*hidden, "true"]) or not _works([*first, "true"]):
        scene.trial.leave_out("/proc hidden, process 1", "namespaces cannot be made here")
        return []
    below = [*first, *IN_SHELL, '"$@"', "sh"]  # not process 1 itself, but that does not reap
    return [
        ("proc hidden", {"prefix": hidden}),
        ("process 1", {"prefix": first}),
        ("below a process 1 that does not reap", {"prefix": below}),
    ]


def _works(words: Sequence[str]) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _ignoring(signum: int) -> Callable[[], None]:
    return lambda: signal.signal(signum, signal.SIG_IGN) and None


def _blocking(signums: Any) -> Callable[[], None]:
    return lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signums) and None


def _masking(mask: int) -> Callable[[], None]:
    return lambda: os.umask(mask) and None


def _limiting(what: int, limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (limit, limit))
