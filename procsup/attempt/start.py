"""The start of an attempt: its environment, its files, its process.

An error that concerns only this unit is returned as a `NotStarted`; the files of a failed start
are removed.
"""

import os
from typing import Dict, Mapping, Optional, Set, Tuple, Union

from procsup.attempt.aside import put_aside
from procsup.attempt.context import RunContext
from procsup.attempt.environment import Environments
from procsup.attempt.files import AttemptFiles
from procsup.attempt.private_files import refuse_planted
from procsup.core.outcome import AttemptId, NotStarted
from procsup.core.task import Task
from procsup.host import system
from procsup.paths.identity import Stamp, compute_digest, read_stamp
from procsup.store.rundir import RunDir

Launched = Tuple[system.Child, AttemptFiles]


class Starter:
    """Starts attempts; caches what is the same for all units of a stage."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._run_dir = os.fspath(context.run_dir)
        self._environments = Environments(context)
        self._log_folders: Set[str] = set()  # those that were checked: one per stage
        self._programs: Dict[Tuple[str, str, str], str] = {}  # (name, PATH, cwd) -> file
        self._unsaid: Dict[str, Tuple[str, ...]] = {}  # unit -> remarks of refused starts
        self._null_fd = system.open_null()
        self._files: Dict[str, Tuple[Stamp, str]] = {}  # path -> (stamp when it was read, sha256)
        self._spawner = system.Spawner(context.mark_base)

    def close(self) -> None:
        """Release what all starts shared."""
        os.close(self._null_fd)

    def start(self, task: Task) -> Union[Launched, NotStarted]:
        """Make the attempt's files, and start its process.

        RecordError if a folder of the run directory was replaced by something else: then no unit
        can start.
        """
        if not task.unit.argv:
            return NotStarted("the command is empty")
        out_path, err_path = self._context.log_paths(task.attempt, task.unit.stage)
        self._check_log_folder(os.path.dirname(out_path))
        files = AttemptFiles(task, self._run_dir, out_path)
        launch: Optional[system.Launch] = None
        try:
            files.remarks = self._put_aside(task)
            files.look_before()
            files.program = self._compute_digest(task.rules.program)
            launch = self._prepare(task, files, err_path)
            child = self._spawner.spawn(launch)
            self._unsaid.pop(task.unit.id, None)
            return child, files
        except (OSError, ValueError, TypeError) as error:
            self._programs.clear()  # the programs may have moved
            files.undo()
            return system.explain_not_started(error, launch, files.step)
        finally:
            files.close_fds()

    def start_beside(self, attempt: Launched, argv: Tuple[str, ...]) -> system.Child:
        """Start a command that belongs to a living attempt; its output goes to the stderr log.

        OSError, ValueError or TypeError if it cannot be started, RecordError as `start`.
        """
        child, files = attempt
        task = files.task
        env = self._environments.of(task)
        files.fill_in_env(env)
        argv, cwd = files.fill_in(argv), task.unit.cwd
        log = files.open_error_log()
        try:
            return self._spawner.spawn(
                system.Launch(
                    self._find_program(argv[0], env, cwd),
                    argv,
                    cwd,
                    env,
                    self._null_fd,
                    log,
                    log,
                    key=child.key,
                    mark=child.mark,
                )
            )
        finally:
            os.close(log)

    def _put_aside(self, task: Task) -> Tuple[str, ...]:
        """Move away the files of an earlier attempt; return remarks for the start that succeeds."""
        if task.aside is None:
            return ()
        unit = task.unit
        earlier = AttemptId(unit.id, task.aside.number)
        folder = RunDir(self._run_dir).get_failed_folder(earlier, unit.stage)
        said = (*self._unsaid.get(unit.id, ()), *put_aside(task, folder, self._run_dir))
        self._unsaid[unit.id] = said
        return said

    def _prepare(self, task: Task, files: AttemptFiles, err_path: str) -> system.Launch:
        env = self._environments.of(task)
        argv = files.make(env)
        streams = files.open_streams(err_path, self._null_fd)
        inherited_fds = files.keep_inherited(self._context.open_inherited)
        program = self._find_program(argv[0], env, task.unit.cwd)
        key = task.attempt.unit, str(task.attempt.number)
        cpu_ids = task.placement.cpu_ids
        return system.Launch(
            program, argv, task.unit.cwd, env, *streams, cpu_ids, inherited_fds, key
        )

    def _find_program(self, name: str, env: Mapping[str, str], cwd: str) -> str:
        key = (name, env.get("PATH", os.defpath), cwd)
        found = self._programs.get(key)
        if found is None:
            found = self._programs[key] = system.find_program(*key)
        return found

    def _compute_digest(self, path: Optional[str]) -> Optional[str]:
        """Return a file's current sha256, None if unknown; cached while its stamp is the same."""
        stamp = None if path is None else read_stamp(path)
        if path is None or stamp is None:
            return None
        known = self._files.get(path)
        if known is None or known[0] != stamp:
            try:
                known = (stamp, compute_digest(path))
            except OSError:
                return None  # the interpreter will report it
            self._files[path] = known
        return known[1]

    def _check_log_folder(self, folder: str) -> None:
        if folder not in self._log_folders:
            refuse_planted(os.path.dirname(folder))
            refuse_planted(folder)
            self._log_folders.add(folder)
