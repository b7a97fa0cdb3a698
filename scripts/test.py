"""Set everything up and run the tests: ``python scripts/test.py [--no-venv] [PYTEST OPTIONS]``."""

import sys

import _setup


def main() -> int:
    """Run pytest in an environment of its own (``--no-venv``: in this very interpreter)."""
    arguments = sys.argv[1:]
    if "--no-venv" in arguments:
        arguments.remove("--no-venv")
        _setup.check_python()
        python, env = sys.executable, _setup.here_environ()
    else:
        python, env = str(_setup.environment("test", ["test"])), _setup.clean_environ()
    return _setup.run([python, "-m", "pytest", *arguments], env)


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))
