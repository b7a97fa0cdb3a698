"""One start of a unit: its environment, its files, its process.

Whatever goes wrong with the unit's own things comes back as a `NotStarted`; half a start is
undone. Nothing of the inherited environment is written down anywhere.
"""

import os
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Set, Tuple, Union

from procsup.attempt.context import RunContext
from procsup.attempt.environment import Environments
from procsup.attempt.makings import (
    make_folders,
    make_private_folder,
    refuse_planted,
    write_lists,
    write_private,
)
from procsup.core.events import Start
from procsup.core.outcome import AttemptId, NotStarted
from procsup.core.spec import SCRATCH, StageSpec
from procsup.host import system


class Stream:
    """Where one of a child's streams goes: a log, or a file of the user's (`target`)."""

    __slots__ = ("log_path", "target", "written_path")

    def __init__(self, log_path: str, target: Optional[str], attempt: AttemptId) -> None:
        self.log_path = log_path
        self.target = target
        self.written_path = log_path if target is None else str(temporary_output(target, attempt))

    def open(self) -> int:
        """Open it for the child."""
        if self.target is None:
            return system.open_log(self.log_path)
        return system.open_target(self.written_path)

    def remove(self) -> None:
        """Remove what was opened for nothing."""
        try:
            os.unlink(self.written_path)
        except OSError:
            pass  # somebody else was faster; an empty file that stays does no harm


class Preparation:
    """What was made for an attempt, and what is being made (`step`), so that it can be undone."""

    __slots__ = ("fds", "scratch_path", "stdout_path", "step", "streams")

    def __init__(self, stdout_path: str) -> None:
        self.stdout_path = stdout_path
        self.fds: List[int] = []  # ours, to be closed after the start in any case
        self.streams: List[Stream] = []  # stdout, and stderr if that is another
        self.scratch_path: Optional[str] = None
        self.step = ""

    @property
    def name(self) -> str:
        """``<safe name>.<attempt>``, for files of the attempt."""
        return os.path.splitext(os.path.basename(self.stdout_path))[0]

    def open_stream(self, stream: Stream) -> int:
        """Open a stream and remember it."""
        self.step = "output file"
        fd = stream.open()
        self.fds.append(fd)
        self.streams.append(stream)
        return fd

    def close_fds(self) -> None:
        """Close our copies; the child has its own."""
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def undo(self) -> None:
        """Remove what was made for nothing."""
        for stream in self.streams:
            stream.remove()
        if self.scratch_path is not None:
            import shutil

            shutil.rmtree(self.scratch_path, ignore_errors=True)


class Started:
    """A start that worked. With one file for both streams, `stderr` is None."""

    __slots__ = ("child", "scratch_path", "stderr", "stdout")

    def __init__(self, child: system.Child, made: Preparation) -> None:
        self.child = child
        self.stdout = made.streams[0]
        self.stderr = made.streams[1] if len(made.streams) > 1 else None
        self.scratch_path = made.scratch_path


def temporary_output(path: Union[str, Path], attempt: AttemptId) -> Path:
    """Return the name under which a declared stdout or stderr is written until it is published."""
    folder, name = os.path.split(os.fspath(path))
    return Path(folder, f".{name}.procsup-{attempt.number}")


class Starter:
    """Starts attempts; remembers what is the same for all units of a stage."""

    def __init__(self, context: RunContext, *, merged_logs: bool) -> None:
        self._context = context
        self._environments = Environments(context)
        self._merged_logs = merged_logs
        self._run_dir = os.fspath(context.run_dir)
        self._log_folders: Set[str] = set()  # those that were looked at: one per stage
        self._programs: Dict[Tuple[str, str, str], str] = {}  # (name, PATH, cwd) -> file
        self._null_fd = system.open_null()
        self._spawner = system.Spawner(context.mark_base)

    def close(self) -> None:
        """Release what all starts shared."""
        os.close(self._null_fd)

    def start(self, order: Start, stage: StageSpec) -> Union[Started, NotStarted]:
        """Make what the attempt needs, and start it.

        RecordError if a folder of the run directory is none of ours: no unit could start then.
        """
        if not order.unit.argv:
            return NotStarted("the command is empty")
        out_path, err_path = self._context.log_paths(order.attempt, order.unit.stage)
        self._check_log_folder(os.path.dirname(out_path))
        made = Preparation(os.fspath(out_path))
        launch: Optional[system.Launch] = None
        try:
            launch = self._prepare(order, stage, made, os.fspath(err_path))
            return Started(self._spawner.spawn(launch), made)
        except (OSError, ValueError, TypeError) as error:
            self._programs.clear()  # they may have moved
            made.close_fds()  # Windows removes no open file
            made.undo()
            return system.why_not_started(error, launch, made.step)
        finally:
            made.close_fds()

    def _prepare(
        self, order: Start, stage: StageSpec, made: Preparation, err_path: str
    ) -> system.Launch:
        unit = order.unit
        env = self._environments.of(order, stage)
        argv = unit.argv
        if unit.outputs or unit.stdout or unit.stderr:
            made.step = "output folder"
            make_folders(unit)
        if stage.scratch:
            argv = self._make_scratch(order, made, env)
        if unit.lists:
            made.step = "list of inputs"
            write_lists(unit.lists)
        if stage.unit_file:
            self._write_unit_file(order, made, env)
        stdin = self._null_fd if unit.stdin is None else _open_stdin(unit.stdin, made)
        stdout = made.open_stream(Stream(made.stdout_path, unit.stdout, order.attempt))
        is_one = unit.stdout == unit.stderr and (self._merged_logs or unit.stdout is not None)
        stderr = (
            stdout if is_one else made.open_stream(Stream(err_path, unit.stderr, order.attempt))
        )
        made.step = "lock of a unit"
        inherited_fds = self._context.open_inherited()
        made.fds += inherited_fds
        made.step = ""
        return system.Launch(
            self._program(argv[0], env, unit.cwd),
            argv,
            unit.cwd,
            env,
            stdin,
            stdout,
            stderr,
            order.placement.cpu_ids,
            inherited_fds,
            (order.attempt.unit, str(order.attempt.number)),
        )

    def _program(self, name: str, env: Mapping[str, str], cwd: str) -> str:
        key = (name, env.get("PATH", os.defpath), cwd)
        found = self._programs.get(key)
        if found is None:
            found = self._programs[key] = system.find_program(*key)
        return found

    # --- files -----------------------------------------------------------------------------

    def _check_log_folder(self, folder: str) -> None:
        if folder not in self._log_folders:
            refuse_planted(os.path.dirname(folder))
            refuse_planted(folder)
            self._log_folders.add(folder)

    def _make_scratch(
        self, order: Start, made: Preparation, env: Dict[str, str]
    ) -> Tuple[str, ...]:
        """Make the attempt's scratch folder, put it into `env`, return the argv that names it."""
        made.step = "scratch folder"
        path = os.path.join(self._run_dir, "scratch", f"{order.unit.stage}.{made.name}")
        make_private_folder(path)
        made.scratch_path = path
        for name, value in order.unit.env.items():
            env[system.environment_key(name)] = value.replace(SCRATCH, path)
        env["PROCSUP_SCRATCH"] = path
        return tuple(part.replace(SCRATCH, path) for part in order.unit.argv)

    def _write_unit_file(self, order: Start, made: Preparation, env: Dict[str, str]) -> None:
        import msgspec

        made.step = "unit file"
        unit, placement = order.unit, order.placement
        path = os.path.join(self._run_dir, "unit-files", f"{unit.stage}.{made.name}.json")
        content = {
            "run": self._context.run_id,
            "stage": unit.stage,
            "unit": unit.id,
            "index": unit.index,
            "attempt": order.attempt.number,
            "parameters": unit.parameters,
            "inputs": unit.input_names or list(unit.inputs),
            "outputs": [
                {"name": output.name, "path": output.path, "kind": output.kind}
                for output in unit.outputs
            ],
            "cpus": placement.cpus,
            "cpu_ids": placement.cpu_ids,
            "memory_bytes": placement.memory_bytes,
        }
        make_private_folder(os.path.dirname(path))
        write_private(path, msgspec.json.encode(content))
        env["PROCSUP_UNIT_FILE"] = path


def _open_stdin(path: str, made: Preparation) -> int:
    made.step = "stdin"
    fd = system.open_source(path)
    made.fds.append(fd)
    return fd
