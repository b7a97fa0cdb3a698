"""Runs one unit in the foreground, for debugging: nothing is recorded.

Its files are made as the engine makes them. Its streams are the terminal; only a declared stdin
is read from its file, since the unit's work depends on it.
"""

import errno
import os
import signal
import subprocess
from types import FrameType
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from procsup.attempt.context import RunContext
from procsup.attempt.environment import Environments
from procsup.attempt.files import AttemptFiles
from procsup.attempt.private_files import Scratch
from procsup.core.late import SCRATCH
from procsup.core.task import Task
from procsup.errors import UsageError
from procsup.host import system
from procsup.host.shells import Process, get_native_shell

HERE = "PROCSUP_HERE"  # set to 1 for a unit started in a terminal


class PreparedUnit(NamedTuple):
    """The process to start; `scratch` was made for it."""

    argv: Tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    stdin_path: Optional[str] = None
    scratch: Optional[Scratch] = None

    def find_differences(self, environment: Mapping[str, str]) -> Dict[str, str]:
        """Return the variables that differ from the caller's environment."""
        known = {system.make_environment_key(name): value for name, value in environment.items()}
        return {name: value for name, value in self.env.items() if known.get(name) != value}

    def format_shell_line(self, environment: Mapping[str, str]) -> str:
        """Return an equal line for this system's shell, without terminal control characters."""
        variables = self.find_differences(environment)
        return get_native_shell().line(Process(self.argv, self.cwd, variables, self.stdin_path))


def prepare(task: Task, context: RunContext, *, touch: bool) -> PreparedUnit:
    """Make the unit's files as the engine does (with `touch`); return the process to start.

    OSError if something cannot be made, RecordError if something else stands in its place.
    """
    env = Environments(context).of(task)
    env[HERE] = "1"
    stdout_path = context.log_paths(task.attempt, task.unit.stage)[0]
    files = AttemptFiles(task, os.fspath(context.run_dir), stdout_path)
    if touch:
        argv = files.make(env)
    else:
        files.fill_in_env(env)
        env = {name: value.replace(SCRATCH, "SCRATCH") for name, value in env.items()}
        argv = tuple(part.replace(SCRATCH, "SCRATCH") for part in files.fill_in(task.unit.argv))
    return PreparedUnit(argv, task.unit.cwd, env, task.unit.stdin, files.scratch)


def run(prepared: PreparedUnit) -> int:
    """Run it to its end; return its exit code, or the negative number of the signal it died of.

    The terminal sends Ctrl-C to the unit; we ignore it. UsageError if it cannot be started.
    """
    child: List[subprocess.Popen[bytes]] = []

    def pass_on(signum: int, _frame: Optional[FrameType]) -> None:
        if signum != signal.SIGINT and child:
            child[0].terminate()

    # Handlers, and not SIG_IGN, which the unit would inherit.
    before = {one: signal.signal(one, pass_on) for one in (signal.SIGINT, signal.SIGTERM)}
    stdin: Optional[int] = None
    try:
        program = system.find_program(
            prepared.argv[0], prepared.env.get("PATH", os.defpath), prepared.cwd
        )
        if prepared.stdin_path is not None:
            stdin = system.open_source(prepared.stdin_path)
        started = _start(prepared, program, stdin)
        child.append(started)
        return started.wait()
    except (OSError, ValueError) as error:
        raise UsageError(f"{prepared.argv[0]} cannot be started: {error}") from error
    finally:
        if stdin is not None:
            os.close(stdin)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _start(prepared: PreparedUnit, program: str, stdin: Optional[int]) -> "subprocess.Popen[bytes]":
    def start(program: str, argv: Sequence[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            argv, executable=program, cwd=prepared.cwd, env=prepared.env, stdin=stdin
        )

    try:
        return start(program, prepared.argv)
    except OSError as error:
        if error.errno != errno.ENOEXEC or not system.is_plain_script(program):
            raise
    argv = system.wrap_in_shell(program, prepared.argv)
    return start(argv[0], argv)


def clear(prepared: PreparedUnit) -> str:
    """Remove the scratch folder; return a remark about what stays, empty if nothing does."""
    return "" if prepared.scratch is None else prepared.scratch.remove()
