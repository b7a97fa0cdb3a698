"""Check format, lint, types and layering: ``python scripts/check.py [--fix]``.

``--fix`` formats and mends what ruff can mend instead of complaining. All checks run even if
one fails; the exit code is 1 if any did.
"""

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
        *((f"types on {name}", [*mypy, "--platform", name]) for name in PLATFORMS),
        ("layering and house", [python, "-m", "pytest", *HOUSE]),
    ]


def main() -> int:
    """Run all checks; 1 if any failed."""
    python = str(_setup.environment("check", ["check", "test"]))
    failed = []
    for name, argv in commands(python, fix="--fix" in sys.argv[1:]):
        _setup.say(name)
        if _setup.run(argv, _setup.clean_environ()) != 0:
            failed.append(name)
    _setup.say("failed: " + ", ".join(failed) if failed else "all good")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))
