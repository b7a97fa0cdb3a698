"""Set everything up and run the tests: ``python scripts/test.py [OPTIONS] [PYTEST OPTIONS]``.

``--quick`` leaves out those that bring whole runs to completion; ``--no-venv`` uses this very
interpreter, and installs nothing.
"""

import sys

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
    return _setup.run([python, "-m", "pytest", *arguments], env)


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))
