"""The one switch between the systems: the same names, the same promises on each."""

import sys

from procsup.host.processes import (
    ExitNotifier,
    Key,
    KillRound,
    Launch,
    OpenFile,
    ReapResult,
    TreeProcess,
    Wakeup,
)

if sys.platform == "win32":
    from procsup.host.windows import (
        PYTHON_DEFAULTS,
        Child,
        Spawner,
        StopSignaller,
        Trees,
        exit_notifier,
        explain_not_started,
        find_program,
        is_plain_script,
        make_environment_key,
        open_log,
        open_log_folder,
        open_null,
        open_source,
        open_target,
        wrap_in_shell,
    )
else:
    from procsup.host.posix import (
        PYTHON_DEFAULTS,
        Child,
        Spawner,
        StopSignaller,
        Trees,
        exit_notifier,
        explain_not_started,
        find_program,
        is_plain_script,
        make_environment_key,
        open_log,
        open_log_folder,
        open_null,
        open_source,
        open_target,
        wrap_in_shell,
    )

__all__ = [
    "PYTHON_DEFAULTS",
    "Child",
    "ReapResult",
    "ExitNotifier",
    "Key",
    "Launch",
    "KillRound",
    "Wakeup",
    "OpenFile",
    "TreeProcess",
    "Spawner",
    "StopSignaller",
    "Trees",
    "wrap_in_shell",
    "make_environment_key",
    "exit_notifier",
    "find_program",
    "is_plain_script",
    "open_log",
    "open_log_folder",
    "open_null",
    "open_source",
    "open_target",
    "explain_not_started",
]
