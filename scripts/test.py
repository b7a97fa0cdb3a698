"""Set everything up and run the tests: ``python scripts/test.py [OPTIONS] [PYTEST OPTIONS]``.

``--quick`` leaves out those that bring whole runs to completion; ``--no-venv`` uses this very
interpreter, and installs nothing. The tests run in two processes a CPU, unless options say
otherwise (``-n0``: all in one).
"""

import os
import subprocess
import sys
from typing import Dict, List

import _setup


def main() -> int:
    """Run pytest in an environment of its own, or here."""
    arguments = sys.argv[1:]
    if "--quick" in arguments:
        arguments[arguments.index("--quick")] = "-m not slow"
    if "--no-venv" in arguments:
        arguments.remove("--no-venv")
        _setup.check_python()
        python, env = sys.executable, _setup.here_environ()
    else:
        python, env = str(_setup.environment("test", ["test"])), _setup.clean_environ()
    return _setup.run([python, "-m", "pytest", *_spread(python, env, arguments), *arguments], env)


def _spread(python: str, env: Dict[str, str], arguments: List[str]) -> List[str]:
    """Return the options for many processes: most tests wait for their children."""
    alone = ("-n", "--numprocesses", "--pdb", "--trace", "-s", "--capture=no", "--collect-only")
    if any(argument.startswith(alone) for argument in arguments):
        return []
    if subprocess.call([python, "-c", "import xdist"], env=env, stderr=subprocess.DEVNULL) != 0:
        return []
    return ["-n", str(2 * (os.cpu_count() or 1)), "--dist", "worksteal"]


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))
