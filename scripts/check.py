"""Check format, lint, types and layering: ``python scripts/check.py [--fix]``.

``--fix`` formats and mends what ruff can mend instead of complaining. All checks run even if
one fails, those after lint beside each other; the exit code is 1 if any did.
"""

import subprocess
import sys
from typing import List, Tuple

import _setup

PLATFORMS = ("linux", "darwin", "win32")
HOUSE = ("tests/test_layering.py", "tests/test_house.py")


def commands(python: str, fix: bool) -> List[Tuple[str, List[str]]]:
    """Return the checks, each with its name."""
    ruff = [python, "-m", "ruff"]
    mypy = [python, "-m", "mypy"]
    return [
        ("format", [*ruff, "format", *([] if fix else ["--check"]), "."]),
        ("lint", [*ruff, "check", *(["--fix"] if fix else []), "."]),
        *(
            (f"types on {name}", [*mypy, "--platform", name, "--cache-dir", f".mypy_cache/{name}"])
            for name in PLATFORMS  # one cache would be made anew for each
        ),
        ("layering and house", [python, "-m", "pytest", *HOUSE]),
    ]


def main() -> int:
    """Run all checks; 1 if any failed."""
    python = str(_setup.environment("check", ["check", "test"]))
    env = _setup.clean_environ()
    failed = []
    checks = commands(python, fix="--fix" in sys.argv[1:])
    for name, argv in checks[:2]:  # what --fix writes is read by the others
        _setup.say(name)
        if _setup.run(argv, env) != 0:
            failed.append(name)
    piped = {"cwd": str(_setup.ROOT), "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    started = [(name, subprocess.Popen(argv, env=env, **piped)) for name, argv in checks[2:]]
    for name, process in started:
        said, _ = process.communicate()
        _setup.say(name)
        sys.stdout.write(said.decode("utf-8", "replace"))
        sys.stdout.flush()
        if process.returncode != 0:
            failed.append(name)
    _setup.say("failed: " + ", ".join(failed) if failed else "all good")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))
