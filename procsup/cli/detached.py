"""`procsup run --detach`, on both sides: the starter, and the supervisor that stays."""

import os
from typing import Any, Dict, Sequence

from procsup.cli.run_options import Options
from procsup.console.terminal import Screen, write_stderr, write_stdout, write_stdout_bytes
from procsup.core.text import quote_word
from procsup.errors import RunUnfinished
from procsup.host.inherited import inherited_environment
from procsup.host.nested import is_nested
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Opening


def announce_ready(opening: Opening) -> None:
    """In the supervisor: its lock is held, old manifests are withdrawn. Let the starter end."""
    from procsup.host.detach import announce

    ready = {
        "id": opening.run_id,
        "directory": opening.directory,
        "sitting": opening.sitting,
    }
    announce(ready, str(RunDir(opening.directory).supervisor_log))


def start(options: Options) -> int:
    """Start a supervisor of its own; print ``DIR@ID`` when it has begun."""
    words = [*options.arguments()[:-2], "--announce", "--", options.file]
    return start_words(words, quiet=options.quiet, as_json=options.as_json)


def start_words(words: Sequence[str], *, quiet: bool, as_json: bool) -> int:
    """Start ``procsup WORDS`` detached; print ``DIR@ID`` when its run has begun."""
    from procsup.host.detach import start_detached

    if is_nested():
        write_stderr(
            "procsup: this is inside a unit of another run: what is detached here ends with it"
        )
    detached = start_detached(list(words), environment=inherited_environment())
    if detached.ready is None:
        return _raise_not_begun(detached.exit_code)
    if "error" in detached.ready:  # stderr has it, too; with --json this is the payload
        return _write_error(detached.ready)
    _write_run(detached.ready, quiet=quiet, as_json=as_json)
    return 0


def _write_run(ready: Dict[str, Any], *, quiet: bool, as_json: bool) -> None:
    from procsup.report.tables import json_text

    run = f"{ready['directory']}@{ready['id']}"
    if not quiet:
        write_stderr(f"detached; procsup wait {quote_word(run)}")
    if as_json:
        write_stdout(json_text({**ready, "run": run}))
    else:
        line = os.fsencode(run) + b"\n"  # unchanged: the shell passes it to `procsup wait`
        write_stdout_bytes([Screen().fit(line, last=True)])


def _write_error(ready: Dict[str, Any]) -> int:
    from procsup.report.tables import json_text

    write_stdout(json_text(ready))
    return int(ready["error"].get("exit_code", 70))


def _raise_not_begun(exit_code: Any) -> int:
    if isinstance(exit_code, int) and exit_code > 0:
        return exit_code  # it has reported why
    signal = f" by signal {-exit_code}" if isinstance(exit_code, int) and exit_code < 0 else ""
    raise RunUnfinished(f"the supervisor ended{signal} before the run had begun")
