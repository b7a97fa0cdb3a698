"""Reads `stop-command` and `linger`: the stop of a unit and the wait for its leftover processes."""

from typing import Any, Dict, Optional, Tuple

from procsup.runfile.stages.program import make_command_reader
from procsup.runfile.stages.recipe import PlacedTemplate
from procsup.runfile.stages.table import StageTable
from procsup.runfile.templates.scope import TEXT, Scope
from procsup.runfile.templates.template import Template


def read_stop_command(table: StageTable, scope: Scope) -> Tuple[PlacedTemplate, ...]:
    """Read `stop-command`, an argv that also knows `{pid}`, the unit's main process."""
    key = "stop-command"
    if key in table and "pid" in scope.known:
        what = "parameter" if "pid" in table.parameters else "variable"
        table.note(key, f"{{pid}} is the process here: give the {what} `pid` another name")
    pid: Dict[str, Any] = {"pid": TEXT}
    return table.take_placed(key, make_command_reader(scope.extend_scope(pid)))


def read_stop(value: Any) -> Tuple[Template, ...]:
    """Read the `stop_command` of a unit of a plan; it knows `{pid}` and `{index}`."""
    return make_command_reader(Scope({"pid": TEXT, "index": TEXT}))(value)


def check_linger(table: StageTable, *, seconds: Optional[float]) -> None:
    """Note a problem if `linger` ends with the `timeout`, and the stage has no `timeout`."""
    if seconds is None and "timeout" not in table:
        message = '"timeout" means as long as the unit may take, and the stage has no `timeout`'
        table.note("linger", f"{message}: give it one, or write how long")
